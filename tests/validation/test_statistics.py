"""Statistics parity: golden rows counted by hand, and a real estate that agrees with its records."""

import uuid

import pandas as pd
import polars as pl
import pytest
import sqlalchemy as sa
from loaded import Loaded, load_estate
from raw_ports import RawPort
from stores import make_store, own, store, store_template
from worlds import RULES

from banyan.findings import FindingKind, LevelState
from mappings.ruleset import load_rulebook
from validation.behaviour_documents import load_behaviour
from validation.declared_behaviour import RawDay
from validation.declared_totals import DayForm
from validation.raw_rows import instants
from validation.statistics import (
    RawFacts,
    compare_statistics,
    count_canonical,
    count_legacy,
    read_canonical_facts,
    read_facts,
    total_by_index,
    total_by_unit,
)
from validation.statistics import statistics_level as level_of

__all__ = ["make_store", "store", "store_template"]

pytestmark = pytest.mark.server
PARIS = "Europe/Paris"


COLUMNS = {table: ruleset.columns for table, ruleset in load_rulebook(RULES).rulesets.items()}
ORION = load_behaviour(RULES, COLUMNS)
MENDE, ANGERS = "UN01", "UN02"
UNITS = {"id_unite": ["1", "2"], "code_unite": ["UN01    ", "UN02"]}
CASES = {"id_proc": ["10", "20", "30"], "id_unite": ["1", "2", "9"], "top_supp": ["N", "N", "N"]}


def facts(*rows: tuple[str | None, ...]) -> RawFacts:
    """Facts as ORION holds them: key, index, day, hour, deleted, and the case where it is not the first one."""
    names = ("id_fait", "index_4001", "dt_fait", "h_fait", "top_supp", "id_proc")
    cells = list(zip(*((*row, "10")[:6] for row in rows), strict=True)) or [[]] * 6
    table = {name: pl.Series(column, dtype=pl.String) for name, column in zip(names, cells, strict=True)}
    return read_facts(RawPort(t_fait=table, t_proc=CASES, t_unite=UNITS), ORION, ORION.statistics)


def canonical(counts: dict[tuple[str, ...], int]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([(*line, MENDE)[:3] for line in counts], names=["index", "month", "unit"])
    return pd.DataFrame({"canonical": list(counts.values())}, index=index)


def gone(*keys: str) -> dict:
    return {"t_fait": {key: {None} for key in keys}}


def statistics_level(rows, left_out, found, *, time_zone):
    lines = tuple(compare_statistics(count_legacy(rows, left_out, time_zone=time_zone), found))
    return level_of(lines), lines


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


def test_golden_facts_are_counted_by_index_and_month_and_unit():
    counted = count_legacy(GOLDEN, gone("8"), time_zone=PARIS)

    assert counted.to_dict("index") == {
        ("107", "2019-04", MENDE): {"legacy": 1, "explained": 0},
        ("37", "2019-05", MENDE): {"legacy": 3, "explained": 1},
        ("37", "unknown", MENDE): {"legacy": 3, "explained": 0},
        ("none", "2019-06", MENDE): {"legacy": 1, "explained": 0},
    }


def test_equal_statistics_pass_with_their_figures():
    level, lines = statistics_level(GOLDEN, gone("8"), GOLDEN_CANONICAL, time_zone=PARIS)

    assert level.state is LevelState.PASS
    assert level.level == "L5"
    assert level.figures == {
        "part": "statistics", "lines": 4, "different": 0, "legacy": 8, "explained": 1, "canonical": 7, "moving": 0,
    }  # fmt: skip
    assert [line.difference for line in lines] == [0, 0, 0, 0]


def test_a_planted_difference_is_named_by_index_month_and_unit():
    moved = canonical(
        {
            ("37", "2019-05"): 1,
            ("37", "2019-04"): 1,
            ("37", "unknown"): 3,
            ("none", "2019-06"): 1,
            ("107", "2019-04"): 1,
        }
    )

    level, lines = statistics_level(GOLDEN, gone("8"), moved, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert {line.place: line.difference for line in lines if line.difference} == {
        "index 37, 2019-04, unit UN01": -1,
        "index 37, 2019-05, unit UN01": 1,
    }
    assert [(each.kind, each.key) for each in level.findings] == [
        (FindingKind.STATISTIC_DIFFERS, "index 37, 2019-04, unit UN01"),
        (FindingKind.STATISTIC_DIFFERS, "index 37, 2019-05, unit UN01"),
    ]
    assert "index 37, 2019-04, unit UN01; index 37, 2019-05, unit UN01" in level.sentence


def test_units_that_changed_places_are_found_though_every_month_is_the_same():
    rows = facts(
        ("1", "37", "20190501", None, "N", "10"),
        ("2", "37", "20190502", None, "N", "10"),
        ("3", "37", "20190503", None, "N", "20"),
    )
    right = canonical({("37", "2019-05", MENDE): 2, ("37", "2019-05", ANGERS): 1})
    swapped = canonical({("37", "2019-05", MENDE): 1, ("37", "2019-05", ANGERS): 2})

    equal, lines = statistics_level(rows, {}, right, time_zone=PARIS)
    level, wrong = statistics_level(rows, {}, swapped, time_zone=PARIS)

    assert (equal.state, level.state) == (LevelState.PASS, LevelState.FAIL)
    assert {line.place: line.difference for line in wrong} == {
        "index 37, 2019-05, unit UN01": 1,
        "index 37, 2019-05, unit UN02": -1,
    }
    assert [(each.label.en, each.legacy, each.canonical) for each in total_by_unit(lines)] == [
        ("Facts of unit UN01", 2, 2), ("Facts of unit UN02", 1, 1)
    ]  # fmt: skip
    assert [each.difference for each in total_by_unit(wrong)] == [-1, 1]


@pytest.mark.parametrize(
    "held",
    [
        {"t_fait": {"1": {"id_proc"}}},  # the way to the case waits
        {"t_proc": {"10": {None}}},  # the case itself
        {"t_proc": {"10": {"id_unite"}}},  # the way to its unit
        {"t_unite": {"1": {"code_unite"}}},  # the code of the unit
    ],
)
def test_a_fact_whose_way_to_its_unit_waits_leaves_its_unit_and_nothing_else(held):
    rows = facts(("1", "37", "20190501", None, "N", "10"), ("2", "37", "20190501", None, "N", "20"))
    found = canonical({("37", "2019-05", "?"): 1, ("37", "2019-05", ANGERS): 1})

    with_list, lines = statistics_level(rows, held, found, time_zone=PARIS)
    without, _ = statistics_level(rows, {}, found, time_zone=PARIS)

    assert with_list.state is LevelState.PASS
    assert {line.unit: (line.legacy, line.explained, line.canonical) for line in lines} == {
        "?": (0, -1, 1), MENDE: (1, 1, 0), ANGERS: (1, 0, 1)
    }  # fmt: skip
    assert without.state is LevelState.FAIL


def test_a_case_of_a_unit_nobody_knows_and_a_fact_of_no_case_have_no_unit_on_either_side():
    rows = facts(("1", "37", "20190501", None, "N", "30"), ("2", "37", "20190501", None, "N", "77"))

    level, _ = statistics_level(rows, {}, canonical({("37", "2019-05", "?"): 2}), time_zone=PARIS)

    assert level.state is LevelState.PASS


def test_a_row_left_out_without_a_list_is_a_difference():
    level, _ = statistics_level(GOLDEN, {}, GOLDEN_CANONICAL, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert [each.key for each in level.findings] == ["index 37, 2019-05, unit UN01"]


def test_a_list_cannot_explain_a_row_that_was_deleted():
    counted = count_legacy(GOLDEN, gone("7", "8"), time_zone=PARIS)

    assert counted["explained"].sum() == 1


def test_no_fact_at_all_is_an_error_and_never_a_pass():
    for rows in (facts(), facts(("7", "37", "20190502", None, "O"))):
        level, _ = statistics_level(rows, {}, canonical({("1", "2019-01"): 0}), time_zone=PARIS)

        assert level.state is LevelState.ERROR


def test_a_fact_of_the_new_system_only_is_a_difference():
    more = pd.concat([GOLDEN_CANONICAL, canonical({("12", "2020-01"): 1})])

    level, lines = statistics_level(GOLDEN, gone("8"), more, time_zone=PARIS)

    assert level.state is LevelState.FAIL
    assert [line.place for line in lines if line.difference] == ["index 12, 2020-01, unit UN01"]


def test_an_hour_skipped_by_the_change_of_clock_is_explained_into_the_unknown_month():
    skipped = facts(
        ("1", "37", "20190331", "0230", "N"),
        ("2", "37", "20190331", "0330", "N"),
        ("3", "37", "20191027", "0230", "N"),  # told twice: it exists
    )
    found = canonical({("37", "2019-03"): 1, ("37", "unknown"): 1, ("37", "2019-10"): 1})

    level, lines = statistics_level(skipped, {}, found, time_zone=PARIS)

    assert level.state is LevelState.PASS
    assert {line.place: (line.legacy, line.explained, line.canonical) for line in lines} == {
        "index 37, 2019-03, unit UN01": (2, 1, 1),
        "index 37, 2019-10, unit UN01": (1, 0, 1),
        "index 37, unknown, unit UN01": (0, -1, 1),
    }


def test_a_field_in_quarantine_leaves_its_month_or_its_index():
    rows = facts(("1", "37", "20190501", "9999", "N"), ("2", "999", "20190501", None, "N"))
    found = canonical({("37", "unknown"): 1, ("none", "2019-05"): 1})
    held = {"t_fait": {"1": {"h_fait"}, "2": {"index_4001"}}}

    with_list, _ = statistics_level(rows, held, found, time_zone=PARIS)
    without, _ = statistics_level(rows, {}, found, time_zone=PARIS)

    assert with_list.state is LevelState.PASS
    assert without.state is LevelState.FAIL


def test_days_are_read_as_each_system_writes_them():
    iso = pd.DataFrame({"at": ["2019-05-01 00:30:00", "2019-05-01", "0000-00-00 00:00:00", "1999-02-30 10:00:00", ""]})
    ole = pd.DataFrame({"at": ["43586", "43586.5", "43586.999999", "36.6°", "-1.25", "9999999", ""]})

    told_iso = instants(iso, RawDay("at", DayForm.ISO)).map(str, na_action=None).tolist()
    told_ole = instants(ole, RawDay("at", DayForm.OLE)).map(str, na_action=None).tolist()

    assert told_iso == ["2019-05-01 00:30:00", "2019-05-01 00:00:00", "NaT", "NaT", "NaT"]
    assert told_ole == [
        "2019-05-01 00:00:00", "2019-05-01 12:00:00", "2019-05-02 00:00:00", "NaT", "1899-12-29 06:00:00", "NaT", "NaT"
    ]  # fmt: skip


def test_totals_by_index_are_explained_only_when_each_month_is():
    _, exact = statistics_level(GOLDEN, gone("8"), GOLDEN_CANONICAL, time_zone=PARIS)
    _, wrong = statistics_level(GOLDEN, gone("8"), canonical({("37", "2019-05"): 5}), time_zone=PARIS)

    totals = {total.label.en: total for total in total_by_index(exact)}
    assert list(totals) == [
        "Index 37 of the état 4001",
        "Index 107 of the état 4001",
        "Facts without an index of the état 4001",
    ]
    assert (totals["Index 37 of the état 4001"].legacy, totals["Index 37 of the état 4001"].canonical) == (6, 5)
    assert totals["Index 37 of the état 4001"].explanation is not None
    assert all(total.explanation is None for total in total_by_index(wrong))
    lost = {("37", "2019-05"): 1, ("107", "2020-01"): 1}
    _, less = statistics_level(GOLDEN, gone("8"), canonical(lost), time_zone=PARIS)
    told = {total.label.en: total.problem and total.problem.en for total in total_by_index(less)}
    assert told["Index 37 of the état 4001"] == "without the facts of lists: 5 against 1"


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
        here = read_canonical_facts(connection, "38", zone)
        elsewhere = read_canonical_facts(connection, "75", zone)

    assert count_canonical(here, with_unit=True)["canonical"].to_dict() == {("37", month, "?"): 1}
    assert elsewhere.empty


@pytest.fixture(scope="module")
def estate(make_database, make_store) -> Loaded:
    """A small estate of 38, loaded, read again through its port."""
    return load_estate(make_database, make_store())


def left_out(estate):
    held = {table: {key: {None} for key in keys} for table, keys in estate.left_out.items()}
    for table, fields in estate.fields_left_out.items():
        for key, column in fields:
            held[table].setdefault(key, set()).add(column)
    return held


def counted(connection):
    return count_canonical(read_canonical_facts(connection, "38", PARIS), with_unit=True)


def test_a_real_load_agrees_index_by_index_month_by_month_and_unit_by_unit(estate):
    rows = read_facts(estate.port, ORION, ORION.statistics)
    with estate.store.transaction("banyan_steward") as connection:
        found = counted(connection)

    level, lines = statistics_level(rows, left_out(estate), found, time_zone=PARIS)

    assert level.state is LevelState.PASS, level.sentence
    assert level.figures["canonical"] == estate.store.run("select count(*) from justice.offense")[0][0] > 100
    assert level.figures["legacy"] == level.figures["canonical"] + level.figures["explained"]
    assert 0 < level.figures["explained"] < len(rows.rows)
    assert len(lines) > 50
    assert len({line.unit for line in lines} - {"?"}) > 1


MOVED = (
    "update justice.incident set occurred_from = occurred_from - interval '2 months' where id ="
    " (select i.id from justice.incident i join justice.offense o on o.incident_id = i.id"
    " where i.occurred_from is not null order by i.id limit 1)"
)
HANDED_OVER = (
    "update justice.case_file c set unit_id = (select u.id from justice.enforcement_unit u where u.id <> c.unit_id"
    " and u.unit_code is not null order by u.id limit 1) where c.id = (select o.case_file_id from justice.offense o"
    " join justice.case_file f on f.id = o.case_file_id join justice.enforcement_unit u on u.id = f.unit_id"
    " group by 1 having count(*) = 1 order by 1 limit 1)"
)


@pytest.mark.parametrize("change", [MOVED, HANDED_OVER])
def test_one_record_moved_by_a_month_or_to_another_unit_is_found_in_a_real_load(estate, change):
    rows = read_facts(estate.port, ORION, ORION.statistics)
    with estate.store.engine("banyan_forward").connect() as connection:
        transaction = connection.begin()
        moved = connection.execute(sa.text(change))
        found = counted(connection)
        transaction.rollback()

    level, lines = statistics_level(rows, left_out(estate), found, time_zone=PARIS)

    assert moved.rowcount == 1
    assert level.state is LevelState.FAIL
    assert sorted(line.difference for line in lines if line.difference) == [-1, 1]
