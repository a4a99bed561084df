from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import ConservationBroken
from mappings.engine import Lookups, apply_forward, compile_ruleset, write_back
from mappings.ruleset import load_rulebook
from tests.mappings.hand_rules import (
    CONTEXT,
    OFFENCE,
    PERSON,
    SEAL,
    compiled,
    current_parts,
    frame,
    lookups_of,
    people,
)
from tests.mappings.test_apply import dirty_frame

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"


class Journey:
    """Rows loaded, to be edited as the new system would and written back."""

    def __init__(self, ruleset, rows):
        self.plans, self.rows = compiled(ruleset), rows
        self.mapped = apply_forward(self.plans, rows, CONTEXT)
        self.parts = current_parts(self.plans, self.mapped)
        self.lookups = lookups_of(self.plans, self.mapped, rows)

    def edit(self, part, **values):
        self.parts[part] = self.parts[part].with_columns(
            pl.lit(value, dtype=self.parts[part].schema[name]).alias(name) for name, value in values.items()
        )
        return self

    def write(self):
        return write_back(self.plans, self.parts, self.mapped.crosswalk, self.lookups)

    def loaded_rows(self):
        keys = list(self.plans.ruleset.key)
        source = self.rows.with_columns(pl.concat_str(keys, separator="\x1f").alias("source_key"))
        kept = self.mapped.crosswalk.select("source_key").join(source, on="source_key", how="left")
        return kept.select(self.plans.written)

    def changed_columns(self):
        before, after = self.loaded_rows(), self.write().rows
        return {column for column in before.columns if not before[column].eq_missing(after[column]).all()}


def offences(*rows):
    return frame(
        OFFENCE, [["1", "7", "1", "VOL", "20190101", "1200", "O", None] if row is None else row for row in rows]
    )


def kinds(written):
    return [(row["column"], row["kind"]) for row in written.degraded.iter_rows(named=True)]


@pytest.mark.parametrize("ruleset", [PERSON, OFFENCE, SEAL], ids=lambda ruleset: ruleset.table)
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_nobody_touched_come_back_byte_for_byte(ruleset, seed):
    journey = Journey(ruleset, dirty_frame(ruleset, 400, seed))

    written = journey.write()

    assert written.rows.height > 20
    assert written.rows.equals(journey.loaded_rows())
    assert written.degraded.is_empty()
    assert written.identities.rows() == journey.mapped.crosswalk.select("id", "source_key").rows()


EDITS = [
    ("identity", {"surname": "LEGRAND"}, {"name"}),
    ("identity", {"surname_use": None}, {"name"}),
    ("identity", {"sex_code": "F"}, {"sex"}),
    ("identity", {"birth_date": date(1970, 5, 4), "birth_date_precision_code": "DAY"}, {"born"}),
    ("phone", {"value_raw": "0700000000", "value_normalised": "+33700000000"}, {"tel"}),
    ("vehicle", {"plate_raw": "AA-001-AA", "plate_normalised": "AA-001-AA"}, {"plate"}),
]  # fmt: skip


@pytest.mark.parametrize(("part", "values", "columns"), EDITS)
def test_an_edit_touches_only_the_columns_of_its_rule_and_is_read_back(part, values, columns):
    rows = people(*({"plate": "1234 AB 38", "name": name, "born": born} for name in ("DURAND", "durand ", "A EP. B")
                    for born in ("0", "19560300", "19800231")))  # fmt: skip
    journey = Journey(PERSON, rows).edit(part, **values)

    assert journey.changed_columns() == columns
    written = journey.write()
    again = apply_forward(journey.plans, journey.rows.update(written.rows, how="left", on="id"), CONTEXT)
    assert written.degraded.filter(pl.col("kind") != "DERIVED_EDIT").is_empty()
    for name, value in values.items():
        assert again.parts[part][name].to_list() == [value] * rows.height


def test_a_residue_is_dropped_once_the_value_it_stood_for_is_edited():
    journey = Journey(PERSON, people({"born": "19800231"}))

    assert journey.write().rows["born"].to_list() == ["19800231"]
    journey.edit("identity", birth_date=date(1980, 2, 28), birth_date_precision_code="DAY")
    assert journey.write().rows["born"].to_list() == ["19800228"]


def test_a_name_too_long_for_the_old_system_is_listed_and_its_residue_kept():
    journey = Journey(PERSON, people({"name": "durand  "})).edit("identity", surname="X" * 21)

    written = journey.write()

    assert written.rows["name"].to_list() == ["durand  "]
    main_id = journey.mapped.crosswalk["id"][0]
    assert written.degraded.rows() == [
        ("1", main_id, "person_identity", "surname", "TOO_LONG", "longer than 20 characters", "name")
    ]


def test_what_cannot_be_written_keeps_the_previous_text_when_it_is_known():
    journey = Journey(PERSON, people({})).edit("identity", sex_code="X")

    assert journey.write().rows["sex"].to_list() == [None]
    journey.lookups = replace(journey.lookups, previous=journey.rows)
    written = journey.write()
    assert written.rows["sex"].to_list() == ["M "]
    assert kinds(written) == [("sex_code", "UNKNOWN_CODE")]


def test_an_edit_of_a_derived_value_alone_is_degraded():
    journey = Journey(PERSON, people({})).edit("phone", value_normalised="+33799999999")

    written = journey.write()

    assert written.rows.equals(journey.loaded_rows())
    assert kinds(written) == [("value_normalised", "DERIVED_EDIT")]


def test_a_removed_part_blanks_its_columns_and_an_absent_one_keeps_its_blanks():
    journey = Journey(PERSON, people({"plate": "    "}, {"tel": "06?"}))
    journey.parts["phone"] = journey.parts["phone"].clear()

    written = journey.write()

    assert written.rows["tel"].to_list() == [None, None]
    assert written.rows["plate"].to_list() == ["    ", None]
    assert written.degraded.is_empty()


def test_a_removed_part_takes_its_residue_away_and_is_listed_when_the_row_always_has_it():
    journey = Journey(OFFENCE, offences(["1", "7", "1", "VOL", "19800231", "    ", "O", None]))
    journey.parts["incident"] = journey.parts["incident"].clear()

    written = journey.write()

    assert written.rows.select("day", "hour").rows() == [(None, None)]
    causes = written.degraded.select("canonical_table", "kind", "cause").rows()
    assert ("incident", "NO_PLACE", "the legacy row always has this part") in causes


def test_a_part_added_in_the_new_system_fills_its_columns():
    journey = Journey(PERSON, people({"plate": "  "}))
    main_id = journey.mapped.crosswalk["id"][0]
    vehicle = {"id": b"v" * 16, "main_id": main_id, "person_identity_id": main_id, "plate_raw": "AA-001-AA"}
    schema = journey.parts["vehicle"].schema
    journey.parts["vehicle"] = pl.DataFrame(
        [{name: vehicle.get(name) for name in schema} | {"plate_normalised": "AA-001-AA"}], schema=schema
    )

    written = journey.write()

    assert written.rows["plate"].to_list() == ["AA-001-AA"]
    assert written.degraded.is_empty()


def test_a_part_that_the_legacy_row_cannot_show_is_degraded():
    journey = Journey(PERSON, people({})).edit("phone", value_raw=None, value_normalised=None, country_code=None)

    written = journey.write()

    assert kinds(written) == [("", "NO_PLACE")]
    assert written.degraded["cause"].to_list() == ["the legacy row does not show that the part is there"]


def test_rows_born_in_the_new_system_are_written_whole():
    journey = Journey(OFFENCE, offences(None))
    journey.mapped = replace(journey.mapped, crosswalk=journey.mapped.crosswalk.clear())

    written = journey.write()

    assert written.rows.rows() == [(None, "7", "1", "VOL", "20190101", "1200", "O", None)]
    assert written.identities["source_key"].to_list() == [None]
    assert written.degraded.is_empty()


def test_a_reference_to_a_row_without_a_legacy_key_is_degraded():
    journey = (
        Journey(OFFENCE, offences(None))
        .edit("offence", case_file_id=b"z" * 16)
        .edit("incident", case_file_id=b"z" * 16)
    )

    written = journey.write()

    assert written.rows["case_id"].to_list() == [None]
    assert ("case_file_id", "UNKNOWN_REFERENCE") in kinds(written)


def test_an_orphan_reference_comes_back_when_the_previous_row_is_known():
    journey = Journey(OFFENCE, offences(None))
    journey.lookups = Lookups(previous=journey.rows)

    written = journey.write()

    assert written.rows.equals(journey.loaded_rows())
    assert written.degraded.is_empty()


def test_what_no_legacy_column_can_say_is_degraded_and_named():
    journey = (
        Journey(OFFENCE, offences(None)).edit("incident", case_file_id=b"z" * 16).edit("offence", incident_id=b"y" * 16)
    )

    written = journey.write()

    assert written.rows.equals(journey.loaded_rows())
    assert kinds(written) == [("incident_id", "NO_PLACE"), ("case_file_id", "NO_PLACE")]


def test_a_constant_or_an_attachment_edited_has_no_place():
    journey = Journey(PERSON, people({})).edit("phone", contact_category_code="MOBILE", person_identity_id=b"z" * 16)

    assert sorted(kinds(journey.write())) == [("contact_category_code", "NO_PLACE"), ("person_identity_id", "NO_PLACE")]


def test_seconds_that_the_old_hour_cannot_hold_are_written_to_the_minute_and_listed():
    instant = datetime(2020, 6, 1, 10, 20, 30, tzinfo=UTC)
    journey = Journey(OFFENCE, offences(None)).edit("incident", occurred_from=instant)

    written = journey.write()

    assert written.rows.select("day", "hour").rows() == [("20200601", "1220")]
    assert kinds(written) == [("occurred_from", "NO_PLACE")]


def test_of_two_columns_of_a_field_the_one_that_says_the_same_keeps_its_text():
    journey = Journey(OFFENCE, offences(["1", "7", "1", "VOL", "20190101", None, "O", None]))
    journey.edit("incident", occurred_from=datetime(2020, 5, 31, 22, tzinfo=UTC))

    assert journey.write().rows.select("day", "hour").rows() == [("20200601", None)]


def test_a_composite_key_is_written_in_its_columns():
    rows = frame(SEAL, [["7", "2", "1 234,50", "7", "1"]])

    written = Journey(SEAL, rows).write()

    assert written.rows.rows() == [("7", "2", "1 234,50", "7", "1")]


def test_two_records_that_claim_one_legacy_row_stop_the_write_back():
    journey = Journey(PERSON, people({}))
    journey.parts["phone"] = pl.concat([journey.parts["phone"]] * 2)

    with pytest.raises(ConservationBroken, match="2 rows of phone"):
        journey.write()


@pytest.mark.parametrize("table", sorted(path.stem for path in ORION.glob("t_*.yaml")))
def test_the_shipped_rules_bring_dirty_rows_back_byte_for_byte(table):
    book = load_rulebook(ORION)
    ruleset = book.rulesets[table]
    rows = dirty_frame(ruleset, 60).with_columns(pl.lit("MEC").alias("qualite") if "qualite" in ruleset.columns else [])
    plans = compile_ruleset(ruleset, book, CONTEXT)

    mapped = apply_forward(plans, rows, CONTEXT)
    written = write_back(plans, current_parts(plans, mapped), mapped.crosswalk, lookups_of(plans, mapped, rows))

    loaded = rows.join(
        mapped.crosswalk.select(pl.col("source_key").alias(ruleset.key[0])), on=ruleset.key[0], how="semi"
    )
    assert mapped.crosswalk.height > 10
    assert written.rows.equals(loaded.select(plans.written))
    assert written.degraded.is_empty()


@pytest.mark.parametrize("ruleset", [PERSON, OFFENCE, SEAL], ids=lambda ruleset: ruleset.table)
def test_nothing_to_write_back_is_an_empty_frame_with_all_columns(ruleset):
    journey = Journey(ruleset, frame(ruleset, []))

    written = journey.write()

    assert written.rows.columns == list(journey.plans.written)
    assert (written.rows.height, written.degraded.height) == (0, 0)
