"""ORION of Haute-Garonne and Bas-Rhin: what they write otherwise is declared in overlays, and then understood."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import UsageError
from estate.catalogue import Defect
from estate.deviations import LocalDefect, deviations_of
from estate.flavours import defects_of, generate_estate
from estate.places import PLACES, Flavour, departments_of
from estate.schema import legacy_tables
from mappings.apply import apply_forward
from mappings.closure import load_order
from mappings.compile import compile_ruleset
from mappings.lint import lint
from mappings.outcomes import MapContext
from mappings.ruleset import load_rulebook

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
LOCAL = ("31", "67")
UNKNOWN = {
    ("t_proc", "cadre"), ("t_personne", "nation"), ("t_suite", "code_suite"), ("t_vehic", "marque"),
    ("t_objet", "cat_obj"),
}  # fmt: skip


def refused(book, estate) -> set[tuple[str, str]]:
    """Map every table and give the columns in which a code is not known."""
    filtered, found = {}, set()
    for table in load_order(book):
        place = PLACES[estate.department_code]
        context = MapContext(
            place.code, "ORION", place.time_zone, b"k" * 32, date(2026, 11, 1), filtered=dict(filtered)
        )
        mapped = apply_forward(compile_ruleset(book.rulesets[table], book, context), estate.tables[table], context)
        filtered[table] = mapped.filtered["source_key"]
        unknown = mapped.rejected_fields.filter(pl.col("cause").str.contains("code map"))
        rows = mapped.rejected.filter(pl.col("cause").str.contains("code map"))
        found |= {(table, column) for column in unknown["column"]}
        found |= {(table, cause.split(":")[0]) for cause in rows["cause"]}
    return found


@pytest.fixture(scope="module", params=LOCAL)
def estate(request):
    return generate_estate("S", 3, request.param)


def test_with_its_overlay_every_code_of_a_department_is_understood_but_the_planted_ones(estate):
    book = load_rulebook(ORION, department=estate.department_code)

    assert refused(book, estate) <= UNKNOWN


def test_without_its_overlay_what_a_department_writes_otherwise_is_refused(estate):
    missed = refused(load_rulebook(ORION), estate) - UNKNOWN

    expected = {(one.table, one.column) for one in deviations_of(estate.department_code)} | {("t_proc", "code_tj")}
    assert missed == expected


def test_each_deviation_has_an_owner_and_an_end_and_is_still_answered_for(estate):
    book = load_rulebook(ORION, department=estate.department_code)

    assert len(book.deviations) == len(deviations_of(estate.department_code)) + 1
    assert all(one.owner and one.until > date(2027, 1, 1) for one in book.deviations)
    assert lint(book, as_of=date(2026, 11, 1)) == []
    last = max(one.until for one in book.deviations) + timedelta(days=1)
    assert any("ended" in remark.message for remark in lint(book, as_of=last))


def test_one_letter_means_two_things_in_two_departments():
    here = load_rulebook(ORION, department="31").code_maps["CASE_STATUS"].entries["C"]
    there = load_rulebook(ORION).code_maps["CASE_STATUS"].entries["C"]

    assert (here, there) == ("OPEN", "CLOSED")


def test_the_tables_of_every_department_of_orion_are_those_of_the_ddl(estate):
    assert {name: tuple(frame.columns) for name, frame in estate.tables.items()} == {
        name: tuple(column.name for column in columns) for name, columns in legacy_tables().items()
    }
    widths = {(table, one.name): one for table, columns in legacy_tables().items() for one in columns}
    for one in deviations_of(estate.department_code):
        texts = estate.tables[one.table][one.column].drop_nulls().str.len_chars()
        assert set(texts) == {widths[one.table, one.column].width}


def test_every_kind_of_defect_of_a_department_is_in_its_ledger(estate):
    assert set(estate.defects["kind"]) == {one.kind for one in defects_of(estate.department_code)}


def test_the_border_leaves_its_own_defects_in_bas_rhin_alone():
    rhine, isere = generate_estate("XS", 3, "67"), generate_estate("XS", 3, "38")

    assert {one.kind for one in LocalDefect} <= set(rhine.defects["kind"])
    assert {one.kind for one in Defect} == set(isere.defects["kind"])
    plates = rhine.defects.filter(pl.col("kind") == LocalDefect.GERMAN_PLATE.kind)["key"]
    shown = rhine.tables["t_vehic"].filter(pl.col("id_vehic").is_in(plates.implode()))
    assert set(shown["pays"]) == {"DEU"}


def test_every_department_of_the_estate_has_one_flavour_and_its_own_communes():
    assert {flavour: departments_of(flavour) for flavour in Flavour} == {
        Flavour.ORION: ("31", "38", "67"), Flavour.MAREL: ("35", "49", "974"), Flavour.BUREAU: ("48",),
    }  # fmt: skip
    with pytest.raises(UsageError, match="has no system"):
        generate_estate("XS", 1, "2A")
