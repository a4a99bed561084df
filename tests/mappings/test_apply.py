import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from banyan.canonical.model import TABLES
from banyan.errors import ConfigurationError, SourceDrifted
from mappings.engine import RoundTrip, Wanted, apply_forward
from mappings.fate_masks import KEY_AMBIGUOUS
from mappings.identity import reference_uuid5
from mappings.lanes import FEW_VALUES, Lane
from mappings.model import FieldRule, LensCall
from tests.mappings import reference
from tests.mappings.hand_rules import (
    BOOK,
    CONTEXT,
    OFFENCE,
    PERSON,
    SEAL,
    compiled,
    frame,
    people,
)
from tests.mappings.lens_bench import DIRTY
from wire.kinds import POLARS_TYPES


def dirty_frame(ruleset, height, seed=7):
    chance = random.Random(seed)
    frequent = ["O", "N", "M ", "F ", "19800203", "18991231", "TOTO"] * 3
    pools = {column: [*DIRTY, *frequent] for column in ruleset.columns}
    rows = [
        [str(number) if column in ruleset.key else chance.choice(pools[column]) for column in ruleset.columns]
        for number in range(height)
    ]
    return frame(ruleset, rows)


def map_people(*rows, context=CONTEXT):
    return apply_forward(compiled(PERSON), people(*rows), context)


def test_a_clean_row_gives_its_parts_with_their_exact_columns():
    mapped = map_people({})

    identity, phone = mapped.parts["identity"].row(0, named=True), mapped.parts["phone"].row(0, named=True)
    main_id = reference_uuid5("38.ORION", "person", "identity", key="1")
    assert (identity["surname"], identity["surname_use"]) == ("DURAND", "MARTIN")
    assert identity["birth_date"] == date(1980, 2, 3)
    assert (identity["id"], identity["domain_code"], identity["origin"]) == (main_id, "cases", "LEGACY")
    assert (phone["value_normalised"], phone["country_code"]) == ("+33612345678", "FRA")
    assert (phone["person_identity_id"], phone["contact_category_code"]) == (main_id, "OTHER")
    assert mapped.parts["vehicle"].is_empty()
    assert mapped.links.rows() == [(main_id, "phone", phone["id"])]


@pytest.mark.parametrize("ruleset", [PERSON, OFFENCE, SEAL], ids=lambda ruleset: ruleset.table)
@pytest.mark.parametrize("rows", [0, 40])
def test_part_frames_have_exact_canonical_types_whatever_the_rows(ruleset, rows):
    mapped = apply_forward(compiled(ruleset), dirty_frame(ruleset, rows), CONTEXT)

    for part in ruleset.parts:
        table = TABLES[part.table]
        for column, dtype in mapped.parts[part.name].schema.items():
            if column != "source_key":
                assert dtype == POLARS_TYPES[table.column(column).kind]
    assert mapped.crosswalk.schema == {
        "id": pl.Binary, "source_key": pl.String, "key_epoch": pl.Int16, "row_hash": pl.Binary, "residue": pl.Binary,
    }  # fmt: skip


@pytest.mark.parametrize("lane", [Lane.PLAIN, Lane.DISTINCT, Lane.FUSED])
@pytest.mark.parametrize("ruleset", [PERSON, OFFENCE, SEAL], ids=lambda ruleset: ruleset.table)
def test_the_engine_agrees_with_the_row_by_row_oracle_on_dirty_rows(ruleset, lane):
    rows = dirty_frame(ruleset, 300)
    context = replace(CONTEXT, filtered={"case": pl.Series(["0", "1430"])})

    mapped = apply_forward(compiled(ruleset, context), rows, context, lane=lane)

    expected = {
        "\x1f".join(row[c] for c in ruleset.key): (row, reference.apply_row(ruleset, BOOK, row, context))
        for row in rows.iter_rows(named=True)
    }
    by_fate = {fate: {k for k, (_, a) in expected.items() if a["fate"] == fate} for fate in FATES}
    assert set(mapped.deleted["source_key"]) == by_fate["DELETED"]
    assert dict(mapped.filtered.rows()) == {k: expected[k][1]["rule"] for k in by_fate["FILTERED"]}
    assert dict(mapped.rejected.rows()) == {k: expected[k][1]["cause"] for k in by_fate["QUARANTINED"]}
    assert set(mapped.crosswalk["source_key"]) == by_fate["LOADED"]
    check_loaded(ruleset, mapped, {key: expected[key] for key in by_fate["LOADED"]})


def test_columns_that_say_few_many_or_only_distinct_values_are_mapped_like_the_plain_way():
    rows = dirty_frame(PERSON, 12_000).with_row_index("row").with_columns(
        pl.format("NOM {} EP. AUTRE", pl.col("row") % (FEW_VALUES + 500)).alias("name"),  # many, and they repeat
        pl.format("{}-AB-{}", pl.col("row") // 1_000, pl.col("row")).alias("plate"),  # each once
    ).drop("row")  # fmt: skip
    assert rows["sex"].n_unique() < FEW_VALUES < rows["name"].n_unique() < rows.height / 2

    mapped = apply_forward(compiled(PERSON), rows, CONTEXT)

    plain = apply_forward(compiled(PERSON), rows, CONTEXT, lane=Lane.PLAIN)
    assert mapped.parts.keys() == plain.parts.keys()
    assert all(mapped.parts[name].equals(plain.parts[name]) for name in plain.parts)
    for name in ("crosswalk", "links", "deleted", "filtered", "rejected", "rejected_fields", "warned_fields"):
        assert getattr(mapped, name).equals(getattr(plain, name))
    assert mapped.round_trip == plain.round_trip
    assert mapped.rejected_fields.height > 1_000


FATES = ("LOADED", "DELETED", "FILTERED", "QUARANTINED")


def check_loaded(ruleset, mapped, expected):
    for entry in mapped.crosswalk.iter_rows(named=True):
        row, answer = expected[entry["source_key"]]
        assert entry["residue"] == reference.pack(ruleset, answer["kept"])
        assert entry["row_hash"] == reference.row_hash(ruleset, row, CONTEXT.digest_key)
        assert entry["id"] == answer["parts"][ruleset.main.name]["id"]
    for part in ruleset.parts:
        emitted = {record["source_key"]: record for record in mapped.parts[part.name].iter_rows(named=True)}
        assert set(emitted) == {key for key, (_, answer) in expected.items() if part.name in answer["parts"]}
        for key, record in emitted.items():
            record.pop("source_key")
            wanted = {"department_code": "38", "origin": "LEGACY"} | expected[key][1]["parts"][part.name]
            assert record == {name: as_kind(part.table, name, value) for name, value in wanted.items()}
    listed = {
        name: sorted((k, *noted) for k, (_, answer) in expected.items() for noted in answer[name])
        for name in ("rejected", "warned")
    }
    assert sorted(mapped.rejected_fields.rows()) == listed["rejected"]
    assert sorted(mapped.warned_fields.rows()) == listed["warned"]


def as_kind(table, column, value):
    is_amount = TABLES[table].column(column).kind.value.startswith("numeric")
    return Decimal(value) if is_amount and value is not None else value


def test_each_row_has_exactly_one_fate():
    rows = dirty_frame(PERSON, 400)

    mapped = apply_forward(compiled(PERSON), rows, CONTEXT)

    fates = [mapped.crosswalk, mapped.deleted, mapped.filtered, mapped.rejected]
    keys = [key for fate in fates for key in fate["source_key"]]
    assert sorted(keys) == sorted(rows["id"])
    assert all(fate.height for fate in fates[:3])


def test_a_bad_field_is_quarantined_and_its_row_is_loaded_without_it():
    mapped = map_people({"born": "19800231"})

    assert mapped.parts["identity"]["birth_date"].to_list() == [None]
    assert mapped.rejected_fields.rows() == [("1", "born", "not a day of the calendar", "19800231")]
    assert mapped.rejected.is_empty()
    assert mapped.crosswalk["residue"].to_list()[0].startswith(b"03T000819800231")


def test_a_field_of_severity_row_rejects_its_row_with_a_cause_that_holds_no_value():
    rows = frame(OFFENCE, [["1", "7", "1", "VOL", "20190101", "1200", "?", None]])

    mapped = apply_forward(compiled(OFFENCE), rows, CONTEXT)

    assert mapped.rejected.rows() == [("1", "attempt: neither yes nor no nor blank")]
    assert all(part.is_empty() for part in mapped.parts.values())
    assert mapped.crosswalk.is_empty() and mapped.rejected_fields.is_empty()


def test_a_field_of_severity_warn_is_counted_apart():
    rows = frame(OFFENCE, [["1", "7", "99999", "VOL", "20190101", "1200", "O", None]])

    mapped = apply_forward(compiled(OFFENCE), rows, CONTEXT)

    assert mapped.rejected_fields.is_empty()
    assert mapped.warned_fields.rows() == [("1", "index", "outside the range of the canonical column", "99999")]


def test_hours_that_the_clock_skipped_or_told_twice_are_events_and_residue():
    rows = frame(
        OFFENCE,
        [["1", "7", "1", "VOL", "20190331", "0230", "O", None], ["2", "7", "1", "VOL", "20191027", "0230", "O", None]],
    )

    mapped = apply_forward(compiled(OFFENCE), rows, CONTEXT)

    assert mapped.parts["incident"]["occurred_from"].to_list() == [None, datetime(2019, 10, 27, 0, 30, tzinfo=UTC)]
    assert [cause for _, _, cause, _ in mapped.warned_fields.rows()] == [
        "an hour that the change of clock skipped",
        "an hour that the change of clock told twice; the earlier instant was taken",
    ]
    assert [residue[:7] for residue in mapped.crosswalk["residue"]] == [b"04T0008", b"04T0008"]


def test_a_dropped_column_is_nowhere_and_may_be_absent():
    with_it, without = people({"religion": "A"}), people({"religion": "B"}).drop("religion")

    first, second = (apply_forward(compiled(PERSON), rows, CONTEXT).crosswalk for rows in (with_it, without))

    assert first.equals(second)


def test_columns_that_the_rule_does_not_describe_stop_the_batch():
    rows = people({})

    with pytest.raises(SourceDrifted) as drift:
        apply_forward(compiled(PERSON), rows.drop("name").with_columns(pl.lit("x").alias("extra")), CONTEXT)

    assert (drift.value.facts["missing"], drift.value.facts["unknown"]) == (["name"], ["extra"])


def test_a_missing_or_repeated_key_is_rejected():
    rows = people({}, {"id": "1"}, {"id": None})

    mapped = apply_forward(compiled(PERSON), rows, CONTEXT)

    assert mapped.crosswalk["source_key"].to_list() == ["1"]
    assert mapped.rejected.rows() == [("1", "the key stands twice in the batch"), (None, "the key is missing")]


def test_two_keys_of_two_columns_that_would_be_written_alike_are_both_rejected():
    parted, joined = ("1\x1f2", "3"), ("1", "2\x1f3")
    rows = frame(SEAL, [[*key, "1 234,50", "7", "1"] for key in (("1\x1f", ""), parted, joined, ("1", "2"))])

    mapped = apply_forward(compiled(SEAL), rows, CONTEXT)

    assert mapped.crosswalk["source_key"].to_list() == ["1\x1f2"]
    assert mapped.rejected.rows() == [
        ("1\x1f\x1f", KEY_AMBIGUOUS), ("1\x1f2\x1f3", KEY_AMBIGUOUS), ("1\x1f2\x1f3", KEY_AMBIGUOUS),
    ]  # fmt: skip


def test_children_of_filtered_parents_follow_them():
    rows = frame(OFFENCE, [[str(n), case, "1", "VOL", "0", None, "O", None] for n, case in enumerate("78")])

    mapped = apply_forward(compiled(OFFENCE), rows, replace(CONTEXT, filtered={"case": pl.Series(["8"])}))

    assert mapped.filtered.rows() == [("1", "case_filtered")]
    assert mapped.crosswalk["source_key"].to_list() == ["0"]


def test_adopted_identifiers_override_computed_ones_in_rows_and_references():
    adopted = pl.DataFrame(
        {"table": ["offence", "case"], "key": ["1", "7"], "id": [b"a" * 16, b"c" * 16]},
        schema_overrides={"id": pl.Binary},
    )
    rows = frame(OFFENCE, [["1", "7", "1", "VOL", "0", None, "O", None]])

    mapped = apply_forward(compiled(OFFENCE), rows, replace(CONTEXT, adopted=adopted))

    assert mapped.crosswalk["id"].to_list() == [b"a" * 16]
    assert mapped.parts["offence"]["case_file_id"].to_list() == [b"c" * 16]
    computed = reference_uuid5("38.ORION", "offence", "incident", key="1")
    assert mapped.parts["offence"]["incident_id"].to_list() == [computed]


def test_a_key_used_again_by_the_old_system_gets_another_identity():
    epochs = pl.DataFrame({"table": ["person"], "key": ["1"], "epoch": [1]})

    mapped = map_people({}, {}, context=replace(CONTEXT, epochs=epochs))

    assert mapped.crosswalk["key_epoch"].to_list() == [1, 0]
    assert mapped.crosswalk["id"][0] == reference_uuid5("38.ORION", "person", "identity", key="1", epoch=1)


def test_the_round_trip_figures_tell_residue_apart():
    mapped = map_people({"gone": None, "tel_kind": None}, {"name": "durand  ", "gone": None, "tel_kind": None})

    figures = mapped.round_trip
    assert (figures.rows, figures.exact_without_residue) == (2, 1)
    assert (figures.fields, figures.residue_fields, figures.residue_bytes) == (16, 1, 15)


def test_no_value_is_shown_by_the_repr_of_an_outcome():
    mapped = map_people({"name": "ZYXWVUT"})

    assert "ZYXWVUT" not in repr(mapped)
    assert "ZYXWVUT" not in repr(compiled(PERSON))


def test_a_rule_that_asks_more_than_a_lens_yields_is_refused_before_any_row():
    wrong = FieldRule(("surname", "surname_use"), ("name",), LensCall("text.trimmed"))
    part = replace(PERSON.main, fields=(wrong,))

    with pytest.raises(ConfigurationError, match="asks more of the lens"):
        compiled(replace(PERSON, parts=(part,)))


@pytest.mark.parametrize("ruleset", [PERSON, OFFENCE, SEAL], ids=lambda ruleset: ruleset.table)
def test_records_asked_for_alone_are_those_of_the_whole_without_residue_and_digests(ruleset):
    rows = dirty_frame(ruleset, 400)

    whole = apply_forward(compiled(ruleset), rows, CONTEXT)
    alone = apply_forward(compiled(ruleset), rows, CONTEXT, wanted=Wanted.RECORDS)

    kept = ["id", "source_key", "key_epoch"]
    assert {name: part.rows() for name, part in alone.parts.items()} == {n: p.rows() for n, p in whole.parts.items()}
    assert alone.crosswalk.select(kept).equals(whole.crosswalk.select(kept))
    assert alone.crosswalk.schema == whole.crosswalk.schema
    assert alone.crosswalk.select("row_hash", "residue").null_count().row(0) == (alone.crosswalk.height,) * 2
    assert alone.round_trip == RoundTrip(0, 0, 0, 0, 0)
    for fate in ("links", "deleted", "filtered", "rejected", "rejected_fields", "warned_fields"):
        assert getattr(alone, fate).equals(getattr(whole, fate)), fate
