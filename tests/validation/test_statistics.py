"""Statistics parity: golden rows counted by hand, and a real estate that agrees with its records."""

import uuid

import pandas as pd
import pytest
import sqlalchemy as sa
from loaded import Loaded, load_estate
from stores import make_store, own, store, store_template

from banyan.findings import FindingKind, LevelState
from validation.statistics import (
    compare_statistics,
    count_canonical,
    count_legacy,
    read_facts,
    statistics_level,
    total_by_index,
)

__all__ = ["make_store", "store", "store_template"]

pytestmark = pytest.mark.server
PARIS = "Europe/Paris"


def facts(*rows: tuple[str | None, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["id_fait", "index_4001", "dt_fait", "h_fait", "top_supp"])


def canonical(counts: dict[tuple[str, str], int]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(counts), names=["index", "month"])
    return pd.DataFrame({"canonical": list(counts.values())}, index=index)


GOLDEN = facts(
    ("1", "37", "20190501", "0030", "N"),
    ("2", "37", "20190531", "2359", "N"),
    ("3", "37", "20190600", "    ", "N"),  # a month without a day is not a day
    ("4", "37", "0", None, "N"),
    ("5", "37", "19800231", None, "N"),
    ("6", None, "20190612", None, "N"),  # an unknown index is counted as such
    ("7", "37", "20190502", None, "O"),  # deleted: counted nowhere
    ("8", "37", "20190503", None, "N"),  # filtered with its case
    ("9", "107", "20190401", "1200", "N"),
)
GOLDEN_CANONICAL = canonical(
    {("37", "2019-05"): 2, ("37", "unknown"): 3, ("none", "2019-06"): 1, ("107", "2019-04"): 1}
)


def test_golden_facts_are_counted_by_index_and_month():
    counted = count_legacy(GOLDEN, {"8"}, time_zone=PARIS)

    assert counted.to_dict("index") == {
        ("107", "2019-04"): {"legacy": 1, "explained": 0},
        ("37", "2019-05"): {"legacy": 3, "explained": 1},
        ("37", "unknown"): {"legacy": 3, "explained": 0},
        ("none", "2019-06"): {"legacy": 1, "explained": 0},
    }


def test_equal_statistics_pass_with_their_figures():
    level, lines = statistics_level(GOLDEN, {"8"}, GOLDEN_CANONICAL, time_zone=PARIS)

    assert level.state is LevelState.PASS
    assert level.level == "L5"
    assert level.figures == {
        "part": "statistics", "lines": 4, "different": 0, "legacy": 8, "explained": 1, "canonical": 7,
    }  # fmt: skip
    assert [line.difference for line in lines] == [0, 0, 0, 0]


def test_a_planted_difference_is_named_by_index_and_month():
    moved = canonical(
        {
            ("37", "2019-05"): 1,
            ("37", "2019-04"): 1,
            ("37", "unknown"): 3,
            ("none", "2019-06"): 1,
            ("107", "2019-04"): 1,
        }
    )

    level, lines = statistics_level(GOLDEN, {"8"}, moved, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert {line.place: line.difference for line in lines if line.difference} == {
        "index 37, 2019-04": -1,
        "index 37, 2019-05": 1,
    }
    assert [(each.kind, each.key) for each in level.findings] == [
        (FindingKind.STATISTIC_DIFFERS, "index 37, 2019-04"),
        (FindingKind.STATISTIC_DIFFERS, "index 37, 2019-05"),
    ]
    assert "index 37, 2019-04; index 37, 2019-05" in level.sentence


def test_a_row_left_out_without_a_list_is_a_difference():
    level, _ = statistics_level(GOLDEN, set(), GOLDEN_CANONICAL, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert [each.key for each in level.findings] == ["index 37, 2019-05"]


def test_a_list_cannot_explain_a_row_that_was_deleted():
    counted = count_legacy(GOLDEN, {"7", "8"}, time_zone=PARIS)

    assert counted["explained"].sum() == 1


def test_no_fact_at_all_is_an_error_and_never_a_pass():
    for rows in (facts(), facts(("7", "37", "20190502", None, "O"))):
        level, _ = statistics_level(rows, set(), canonical({}), time_zone=PARIS)

        assert level.state is LevelState.ERROR


def test_a_fact_of_the_new_system_only_is_a_difference():
    more = pd.concat([GOLDEN_CANONICAL, canonical({("12", "2020-01"): 1})])

    level, lines = statistics_level(GOLDEN, {"8"}, more, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert [line.place for line in lines if line.difference] == ["index 12, 2020-01"]


def test_an_hour_skipped_by_the_change_of_clock_is_explained_into_the_unknown_month():
    skipped = facts(
        ("1", "37", "20190331", "0230", "N"),
        ("2", "37", "20190331", "0330", "N"),
        ("3", "37", "20191027", "0230", "N"),  # told twice: it exists
    )
    found = canonical({("37", "2019-03"): 1, ("37", "unknown"): 1, ("37", "2019-10"): 1})

    level, lines = statistics_level(skipped, set(), found, time_zone=PARIS)

    assert level.state is LevelState.PASS
    assert {line.place: (line.legacy, line.explained, line.canonical) for line in lines} == {
        "index 37, 2019-03": (2, 1, 1),
        "index 37, 2019-10": (1, 0, 1),
        "index 37, unknown": (0, -1, 1),
    }


def test_a_field_in_quarantine_leaves_its_month_or_its_index():
    rows = facts(("1", "37", "20190501", "9999", "N"), ("2", "999", "20190501", None, "N"))
    found = canonical({("37", "unknown"): 1, ("none", "2019-05"): 1})

    with_list, _ = statistics_level(
        rows, set(), found, time_zone=PARIS, fields_left_out={("1", "h_fait"), ("2", "index_4001")}
    )
    without, _ = statistics_level(rows, set(), found, time_zone=PARIS)

    assert with_list.state is LevelState.PASS
    assert without.state is LevelState.FAIL


def test_totals_by_index_are_explained_only_when_each_month_is():
    _, exact = statistics_level(GOLDEN, {"8"}, GOLDEN_CANONICAL, time_zone=PARIS)
    _, wrong = statistics_level(GOLDEN, {"8"}, canonical({("37", "2019-05"): 5}), time_zone=PARIS)

    totals = {total.label.en: total for total in total_by_index(exact)}
    assert list(totals) == [
        "Index 37 of the état 4001",
        "Index 107 of the état 4001",
        "Facts without an index of the état 4001",
    ]
    assert (totals["Index 37 of the état 4001"].legacy, totals["Index 37 of the état 4001"].canonical) == (6, 5)
    assert totals["Index 37 of the état 4001"].explanation is not None
    assert all(total.explanation is None for total in total_by_index(wrong))


@pytest.mark.parametrize(
    ("zone", "instant", "month"),
    [
        (PARIS, "2019-04-30 22:30+00", "2019-05"),  # 1 May, 00:30 in summer
        (PARIS, "2018-12-31 23:30+00", "2019-01"),  # 1 January, 00:30 in winter
        (PARIS, "2019-03-31 22:00+00", "2019-04"),  # the night of the day the clock changed
        (PARIS, "2019-05-31 21:59+00", "2019-05"),
        ("Indian/Reunion", "2019-04-30 20:30+00", "2019-05"),
        ("America/Cayenne", "2019-05-01 02:30+00", "2019-04"),
    ],
)
def test_a_fact_is_counted_in_the_month_of_its_own_department(store, zone, instant, month):
    own(store, "LEGACY")
    incident, offense = uuid.uuid4(), uuid.uuid4()
    store.run(
        "insert into justice.incident (id, department_code, domain_code, origin, occurred_from)"
        " values (%s, '38', 'cases', 'LEGACY', %s)",
        (incident, instant),
        role="banyan_forward",
    )
    store.run(
        "insert into justice.offense (id, department_code, domain_code, origin, incident_id, statistical_index_code)"
        " values (%s, '38', 'cases', 'LEGACY', %s, 37)",
        (offense, incident),
        role="banyan_forward",
    )

    with store.transaction("banyan_steward") as connection:
        here = count_canonical(connection, "38", zone)
        elsewhere = count_canonical(connection, "75", zone)

    assert here["canonical"].to_dict() == {("37", month): 1}
    assert elsewhere.empty


@pytest.fixture(scope="module")
def estate(make_database, make_store) -> Loaded:
    """A small estate of 38, loaded, read again through its port."""
    return load_estate(make_database, make_store())


def test_a_real_load_agrees_index_by_index_and_month_by_month(estate):
    rows = read_facts(estate.port)
    with estate.store.transaction("banyan_steward") as connection:
        found = count_canonical(connection, "38", PARIS)

    level, lines = statistics_level(
        rows, estate.left_out["t_fait"], found, time_zone=PARIS, fields_left_out=estate.fields_left_out["t_fait"]
    )

    assert level.state is LevelState.PASS, level.sentence
    assert level.figures["canonical"] == estate.store.run("select count(*) from justice.offense")[0][0] > 100
    assert level.figures["legacy"] == level.figures["canonical"] + level.figures["explained"]
    assert 0 < level.figures["explained"] < len(rows)
    assert len(lines) > 50


def test_one_record_moved_by_a_month_is_found_in_a_real_load(estate):
    rows = read_facts(estate.port)
    with estate.store.engine("banyan_forward").connect() as connection:
        transaction = connection.begin()
        moved = connection.execute(
            sa.text(
                "update justice.incident set occurred_from = occurred_from - interval '2 months' where id ="
                " (select i.id from justice.incident i join justice.offense o on o.incident_id = i.id"
                " where i.occurred_from is not null order by i.id limit 1)"
            )
        )
        found = count_canonical(connection, "38", PARIS)
        transaction.rollback()

    level, lines = statistics_level(rows, estate.left_out["t_fait"], found, time_zone=PARIS)

    assert moved.rowcount == 1
    assert level.state is LevelState.FAIL
    assert sorted(line.difference for line in lines if line.difference) == [-1, 1]
    assert len(compare_statistics(count_legacy(rows, set(), time_zone=PARIS), found)) == len(lines)
