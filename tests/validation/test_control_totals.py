"""Control totals of the trade: amounts to the cent and counts by year, the old system counted apart from every rule."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from judged import edited, judged, live_row, removed, subject_of, watermark_of
from sample_evidence import good_facts
from stores import make_store, store_template

from banyan.errors import RulesetError
from banyan.findings import LevelResult, LevelState
from cutover.totals import totals_of
from mappings.closure import closure as find_closures
from mappings.ruleset import load_rulebook
from validation.control_totals import Counted, LegacyRows, SideCount, compare, count_rows
from validation.counted import coverage_of, with_totals
from validation.declared_totals import AmountForm, DayForm, DeclaredTotal, load_totals
from validation.facts import Total
from validation.gate import examine
from validation.reasons import ReasonKind
from validation.text import Text

__all__ = ["judged", "make_store", "store_template"]

RULES = Path(__file__).parent.parent.parent / "mappings" / "rules"
COLUMNS = {"t_objet": ("id_objet", "valeur", "dt_objet", "top_supp")}
VALUE = DeclaredTotal(
    "value", Text("Valeur", "Value"), "steward", "t_objet", floor=1, canonical="", amount="valeur",
    amount_form=AmountForm.COMMA, without=(("top_supp", "O"),),
)  # fmt: skip
FACTS = DeclaredTotal(
    "facts", Text("Faits", "Offences"), "steward", "t_fait", floor=1, canonical="", day="dt", hour="h"
)
GOOD = """\
totals:
  - id: value_of_items
    fr: Valeur des objets
    en: Value of items
    owner: steward
    table: t_objet
    amount: {from: valeur, written: comma}
    year: {from: dt_objet, written: yyyymmdd}
    without: {top_supp: O}
    floor: 1
    canonical: select i.id, null as year, i.value_eur as amount from justice.item i where department_code = :department
"""


def counted(rows: dict[str, list], total: DeclaredTotal = VALUE) -> LegacyRows:
    frame, bad = count_rows(pd.DataFrame(rows), total, time_zone="Europe/Paris")
    return LegacyRows(frame, frozenset(bad))


def years(days: list, hours: list | None = None, *, form: DayForm = DayForm.COMPACT) -> list[str]:
    total = replace(FACTS, day_form=form, hour="" if hours is None else "h")
    rows = {"_key": [str(at) for at in range(len(days))], "dt": days, "h": hours or [None] * len(days)}
    return counted(rows, total).rows["year"].tolist()


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "totals").mkdir(exist_ok=True)
    (tmp_path / "totals" / "items.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def sides(old: list[tuple[str, str | None]], new: str, **more: object) -> Total:
    """Compare amounts of the old system with one of the store, rows of the old system named by their key."""
    rows = counted({"_key": [key for key, _ in old], "valeur": [raw for _, raw in old], "top_supp": ["N"] * len(old)})
    gone = more.pop("left_out", ())
    there = {"": Counted(len(old), Decimal(new))}
    kept = {"": Counted(len(old) - len(gone), Decimal(str(more.pop("kept", new))))}
    (line,) = compare(VALUE, rows.counted(gone), SideCount(there, kept), unread=rows.count_unread(gone))
    return line


def refused_for(total: Total) -> list[str]:
    facts = good_facts(control_totals=(total,))
    return [each.sentence.en for each in examine(facts.profile, facts) if each.kind is ReasonKind.TOTAL]


def test_amounts_are_added_exactly_where_floats_would_drift_and_no_sum_overflows():
    rows = {
        "_key": ["1", "2", "3", "4"],
        "valeur": ["0,1", "0,2", "99 999 999 999 999,99", None],
        "top_supp": ["N"] * 4,
    }
    rows["top_supp"] = ["N"] * 4
    many = {"_key": [str(n) for n in range(30)], "valeur": ["99999999999999,9999"] * 30, "top_supp": ["N"] * 30}

    assert counted(rows).counted(()).whole == {"": Counted(4, Decimal("100000000000000.29"))}
    assert counted(many).counted(()).whole == {"": Counted(30, Decimal("2999999999999999.9970"))}


def test_a_deleted_row_does_not_count_and_an_amount_that_nobody_can_read_is_named_as_a_problem():
    rows = counted({"_key": ["1", "2", "3"], "valeur": ["10,00", "5,00", "env. 20"], "top_supp": ["N", "O", "N"]})

    assert rows.counted(()).whole == {"": Counted(2, Decimal(10))}
    assert (rows.count_unread(()), rows.count_unread({"3"})) == (1, 0)
    assert sides([("1", "10,00"), ("3", "env. 20")], "10").problem.en == "amounts that nobody can read: 1"


def test_years_are_read_from_each_way_of_writing_a_day():
    assert years(["20190331", "20190000", "0", "99999999", None, "00000000", "19800231"]) == [
        "2019", "2019", "", "", "", "", "1980",
    ]  # fmt: skip
    assert years(["2019-03-31", "2019-12-31 23:59:59", "0000-00-00", "", None], form=DayForm.ISO) == [
        "2019", "2019", "", "", "",
    ]  # fmt: skip
    assert years(["43555", "43555.75", "-1", "x", None], form=DayForm.OLE) == ["2019", "2019", "1899", "", ""]


def test_an_hour_that_the_change_of_clock_skipped_has_no_year_as_it_has_no_instant():
    assert years(["20190331", "20190331", "20190330"], ["0230", "0330", "0230"]) == ["", "2019", "2019"]
    assert years(["2019-03-31 02:30:00"], form=DayForm.ISO) == [""]


def test_a_cent_that_is_missing_is_a_difference_without_an_explanation():
    line = sides([("1", "1 234,50"), ("2", "0,01")], "1234.50")

    assert (line.legacy, line.canonical, line.difference) == (Decimal("1234.51"), Decimal("1234.50"), Decimal("-0.01"))
    assert (line.explanation, line.problem) == (None, None)
    assert refused_for(line) == ["Total “Value”: difference of −0.01, without an explanation."]


def test_a_count_of_records_is_named_as_the_page_names_it():
    facts = good_facts(record_counts=(Total(Text.same("offense"), 151, 150),))

    told = [each.sentence for each in examine(facts.profile, facts) if each.kind is ReasonKind.TOTAL]

    assert [each.en for each in told] == ["Total “Offences”: difference of −1, without an explanation."]
    assert "«\u202fInfractions\u202f»" in told[0].fr


def test_rows_that_a_list_explains_are_left_out_of_both_sides_and_said():
    line = sides([("1", "10,00"), ("2", "5,00")], "10", left_out=["2"], kept="10")

    assert (line.legacy, line.canonical, line.problem) == (Decimal("15.00"), Decimal("10.00"), None)
    assert line.explanation.en == "1 row filtered, in quarantine, moving or not written back"


def test_whole_figures_that_agree_by_chance_do_not_hide_that_the_compared_rows_differ():
    line = sides([("1", "10,00"), ("2", "5,00")], "15", left_out=["2"], kept="15")

    assert line.difference == 0
    assert line.problem.en == "without the rows of lists: 10.00 against 15.00"
    assert refused_for(line) == ["Total “Value”: without the rows of lists: 10.00 against 15.00."]


def test_an_old_system_with_fewer_rows_than_declared_proves_nothing():
    line = sides([], "0")

    assert line.problem.en == "the old system counts fewer rows than 1: nothing is proved"


def test_each_year_has_its_own_line_so_that_two_that_cancel_out_are_seen():
    total = replace(FACTS, hour="", without=())
    rows = counted({"_key": ["1", "2"], "dt": ["20190101", "20200101"]}, total)
    moved = {"2019": Counted(2)}

    every, *by_year = compare(total, rows.counted(()), SideCount(moved, moved))

    assert (every.legacy, every.canonical, every.difference) == (2, 2, 0)
    assert [(line.label.en, line.difference) for line in by_year] == [("Offences, 2020", -1), ("Offences, 2019", 1)]


@pytest.mark.parametrize(
    ("right", "wrong", "place", "said"),
    [
        ("table: t_objet", "table: t_objets", "6:12", "no rule reads t_objets"),
        ("from: valeur", "from: valeurs", "7:20", "table t_objet has no column valeurs"),
        ("from: dt_objet", "from: dt_obj", "8:18", "table t_objet has no column dt_obj"),
        ("{top_supp: O}", "{top_sup: O}", "9:15", "table t_objet has no column top_sup"),
        ("written: comma", "written: comma, rounded: up", "7:44", "unknown key rounded"),
        ("where department_code = :department", "", "11:16", "does not name the department"),
        ("justice.item i", "mig.chunk i", "11:16", "may not contain mig."),
        ("justice.item i", "justice.items i", "11:16", "asks no canonical table"),
    ],
)
def test_a_wrong_declaration_is_refused_at_its_place(tmp_path, right, wrong, place, said):
    with pytest.raises(RulesetError) as refused:
        load_totals(written(tmp_path, GOOD.replace(right, wrong)), COLUMNS)

    assert f"items.yaml:{place}: " in str(refused.value)
    assert said in str(refused.value)


def test_a_total_that_counts_something_else_has_another_digest(tmp_path):
    (one,) = load_totals(written(tmp_path, GOOD), COLUMNS).totals
    (other,) = load_totals(written(tmp_path, GOOD.replace("top_supp: O", "top_supp: X")), COLUMNS).totals
    (reworded,) = load_totals(written(tmp_path, GOOD.replace("Valeur des objets", "Valeur")), COLUMNS).totals

    assert one.digest == reworded.digest != other.digest


@pytest.mark.parametrize(("system", "tables"), [
    ("orion", {"t_fait", "t_proc", "t_objet", "t_gav", "t_scelle", "t_mainc", "t_piece", "t_unite"}),
    ("marel", {"infractions", "dossiers", "objets"}),
    ("bureau", {"AFFAIRES", "SCELLES"}),
])  # fmt: skip
def test_the_shipped_systems_declare_totals_of_the_trade(system, tables):
    book = load_rulebook(RULES / system)

    declared = load_totals(RULES / system, {table: ruleset.columns for table, ruleset in book.rulesets.items()})
    coverages = [
        coverage_of(declared, closure.tables, {p.table for t in closure.tables for p in book.rulesets[t].parts})
        for closure in find_closures(book, "38")
    ]

    assert {total.table for total in declared.totals} == tables
    assert [each.held for each in coverages if not each.is_answered] == []
    assert any(each.held for each in coverages)


NONE = """none:
  item: {fr: Aucune valeur n’y est notée., en: No value is written there.}
"""


def test_a_closure_of_facts_or_amounts_has_a_total_or_a_reason_or_has_not_answered(tmp_path):
    declared = load_totals(written(tmp_path, GOOD), COLUMNS)
    nowhere = load_totals(written(tmp_path, NONE), COLUMNS)
    level = LevelResult("L5", LevelState.PASS, "equal.", {"parts": "open_work+statistics"})

    told = {
        name: with_totals(level, coverage_of(said, tables, canonical))
        for name, said, tables, canonical in (
            ("counted", declared, ("t_objet",), ("item", "case_file")),
            ("of another closure", declared, ("t_fait",), ("offense", "incident")),
            ("nothing to count", nowhere, ("t_tel",), ("contact_means",)),
            ("declared as none", nowhere, ("t_objet",), ("item",)),
            ("declared in part", nowhere, ("t_objet", "t_proc"), ("item", "case_file")),
        )
    }

    assert {name: found.figures["parts"] for name, found in told.items()} == {
        "counted": "open_work+statistics+totals",
        "of another closure": "open_work+statistics",
        "nothing to count": "open_work+statistics+totals",
        "declared as none": "open_work+statistics+totals",
        "declared in part": "open_work+statistics",
    }
    assert told["of another closure"].sentence == (
        "equal; no control total is declared for incident, offense:"
        " declare one in totals/*.yaml beside the rules, or `none` with the reason"
    )
    assert told["declared as none"].sentence == (
        "equal; no control total can be counted, as declared with the reason: item"
    )
    assert {found.state for found in told.values()} == {LevelState.PASS}


def test_a_reason_for_a_table_that_has_no_totals_is_refused_at_its_place(tmp_path):
    with pytest.raises(RulesetError) as refused:
        load_totals(written(tmp_path, NONE.replace("item", "items")), COLUMNS)

    assert "items.yaml:2:3: no control total is asked of items" in str(refused.value)


@pytest.fixture
def subject(judged, tmp_path):
    declared = (RULES / "orion" / "totals" / "cases.yaml").read_text(encoding="utf-8")
    return replace(subject_of(judged), rules=written(tmp_path, declared))


def by_label(totals) -> dict[str, Total]:
    return {total.label.en: total for total in totals}


def wrong(totals) -> dict[str, tuple]:
    return {
        total.label.en: (total.difference, total.problem and total.problem.en)
        for total in totals
        if total.problem or (total.difference and total.explanation is None)
    }


@pytest.mark.server
def test_a_closure_that_was_loaded_has_the_totals_of_its_old_system(judged, subject):
    totals = totals_of(subject, watermark_of(judged))
    found = by_label(totals)
    amounts = judged.on_legacy("select valeur from orion.t_objet where coalesce(top_supp, 'N') <> 'O'")
    plain = [raw.replace(" ", "").replace(",", ".") for (raw,) in amounts if raw and raw.strip()]

    assert wrong(totals) == {}
    assert found["Declared value of items, in euros"].legacy == sum(map(Decimal, plain))
    assert found["Offences, by year"].legacy == sum(
        total.legacy for label, total in found.items() if label.startswith("Offences, by year, ")
    )
    assert found["Offences, by year"].canonical > 0


@pytest.mark.server
def test_a_cent_changed_behind_everybody_is_found_in_the_amounts(judged, subject):
    ((item,),) = judged.place.run("select id::text from justice.item where value_eur > 1 order by id limit 1")
    before = by_label(totals_of(subject, watermark_of(judged)))["Declared value of items, in euros"].difference
    ((value,),) = judged.place.run("select value_eur from justice.item where id = %s", (item,))

    with edited(judged, "item", item, "value_eur", value + Decimal("0.01")):
        line = by_label(totals_of(subject, watermark_of(judged)))["Declared value of items, in euros"]

    assert line.difference - before == Decimal("0.01")
    assert list(wrong([line])) == ["Declared value of items, in euros"]


@pytest.mark.server
def test_an_offence_lost_is_found_in_its_year(judged, subject):
    _, lost = live_row(judged, "t_fait")
    ((year,),) = judged.place.run(
        "select coalesce(to_char(i.occurred_from at time zone 'Europe/Paris', 'YYYY'), '') from justice.offense o"
        " left join justice.incident i on i.id = o.incident_id where o.id = %s", (lost,),
    )  # fmt: skip

    with removed(judged, "offense", lost):
        found = wrong(totals_of(subject, watermark_of(judged)))

    assert set(found) == {"Offences, by year", f"Offences, by year, {year or 'year unknown'}"}


@pytest.mark.server
def test_a_row_that_people_change_while_both_sides_live_is_left_out_and_no_false_difference(judged, subject):
    key, _ = live_row(judged, "t_fait", 1)
    watermark = watermark_of(judged)
    ((day,),) = judged.on_legacy("select dt_fait from orion.t_fait where id_fait = %s", (key,))
    statement = "update orion.t_fait set dt_fait = %s where id_fait = %s"

    judged.on_legacy(statement, (19660101, key))
    moving = totals_of(subject, watermark)
    judged.on_legacy(statement, (day, key))

    assert wrong(moving) == {}
    told = by_label(moving)["Offences, by year, 1966"].explanation
    assert told.en == "1 row filtered, in quarantine, moving or not written back"
