"""L4: each seeded fault is found, named with table, key and column, and nothing else is."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from judged import doubled, edited, judged, live_row, removed, subject_of, watermark_of
from stores import make_store, store_template
from worlds import loaded, world

from banyan.canonical.columns import Kind
from banyan.findings import FindingKind, LevelState
from mappings.model import Tolerance, ToleranceKind
from store.postgres import raw, transaction
from store.records import read_records, record_kinds
from store.runs import RunKind
from validation.differences import compare_part
from validation.identifiers import IdBuckets
from validation.reconcile import reconcile
from validation.reconciliation import EXPLAINED
from validation.stored_records import read_compared

pytestmark = pytest.mark.server
__all__ = ["judged", "loaded", "make_store", "store_template", "world"]


def found(result):
    return [(one.kind, one.table, one.key, one.column, one.cause) for one in result.level.findings]


def value_of(world, table, row_id, column):
    return world.place.run(f"select {column} from justice.{table} where id = %s", (row_id,))[0][0]


def row_with(world, legacy_table, table, column, condition):
    """Key, id and value of a live row whose canonical column meets a condition."""
    return world.place.run(
        f"select c.source_key, r.id::text, r.{column} from justice.{table} r join mig.crosswalk c using (id)"
        f" where c.source_table_no = %s and {condition} order by r.id limit 1",
        (world.numbers[legacy_table],),
    )[0]


@contextmanager
def listed_as_degraded(world, legacy_table, key, row_id, table, column):
    """Enter an open degraded write-back as the reverse applier does; settle it afterwards."""
    world.place.run(
        "insert into mig.degraded_write_back (department_code, source_table_no, source_key, main_id, canonical_table,"
        " column_name, kind, cause, state) values ('38', %s, %s, %s, %s, %s, 'TOO_LONG', 'too long', 'OPEN')",
        (world.numbers[legacy_table], key, row_id, table, column),
        role="banyan_reverse",
    )
    yield
    world.place.run("update mig.degraded_write_back set state = 'SETTLED'", role="banyan_reverse")


@pytest.mark.parametrize("most", [7, 5_000], ids=["at once", "through COPY"])
def test_records_are_compared_with_the_very_values_that_anyone_else_reads(judged, most):
    subject, seen = subject_of(judged), set()
    with transaction(subject.engine) as connection:
        for table in subject.canonical_tables:
            ids = judged.place.run(f"select id from justice.{table} order by id limit {most}")
            wanted = pl.Series("id", [row[0].bytes for row in ids], dtype=pl.Binary)
            names = [name for name in record_kinds(table) if name != "id"]
            told = read_records(raw(connection), table, "38", wanted).sort("id")
            seen |= {record_kinds(table)[name] for name in names if told[name].null_count() < told.height}

            ruled = read_compared(raw(connection), table, "38", ids=wanted, ruled=names, unruled=[]).sort("id")
            marks = read_compared(raw(connection), table, "38", ids=wanted, ruled=[], unruled=names).sort("id")

            assert ruled.select(told.columns).equals(told)
            assert marks.select(pl.col(names).is_null()).equals(told.select(pl.col(names).is_null()))
    assert {Kind.DATE, Kind.UUID, Kind.INSTANT, Kind.TEXT} <= seen


def test_a_faithful_store_passes_with_every_column_equal(judged):
    steps = []

    result = reconcile(subject_of(judged), watermark=watermark_of(judged), watcher=steps.append)

    assert (result.level.state, result.level.findings, result.moving, result.explained) == (LevelState.PASS, (), 0, 0)
    assert result.rows == sum(
        judged.on_legacy(f"select count(*) from orion.{table}")[0][0] for table in subject_of(judged).tables
    )
    compared = {(one.table, one.column): one for one in result.columns}
    people = judged.place.run("select count(*) from justice.person_identity")[0][0]
    assert compared["person_identity", "surname"].compared == people
    assert compared["item", "item_status_code"].rule == "T_OBJET@1, T_VEHIC@1"
    assert all(one.compared == one.equal and not one.different for one in result.columns)
    assert [step.chunks_done for step in steps] == [1] * 9


def test_a_tolerance_that_a_rule_declares_holds_as_far_as_it_says_and_is_told(judged):
    ruleset = judged.book.rulesets["t_fait"]
    fields = {
        part.name: tuple(
            replace(field, tolerance=Tolerance(ToleranceKind.MINUTE)) if field.to[0] == "occurred_from" else field
            for field in part.fields
        )
        for part in ruleset.parts
    }
    ruleset = replace(ruleset, parts=tuple(replace(part, fields=fields[part.name]) for part in ruleset.parts))
    subject = subject_of(judged)
    subject = replace(subject, book=replace(judged.book, rulesets={**judged.book.rulesets, "t_fait": ruleset}))
    key, _, instant = row_with(judged, "t_fait", "offense", "incident_id", "r.incident_id is not null")
    before = value_of(judged, "incident", instant, "occurred_from")

    with edited(judged, "incident", instant, "occurred_from", before + timedelta(seconds=40)):
        tolerant = reconcile(subject, watermark=watermark_of(judged))
        strict = reconcile(subject_of(judged), watermark=watermark_of(judged))
    with edited(judged, "incident", instant, "occurred_from", before + timedelta(seconds=60)):
        beyond = reconcile(subject, watermark=watermark_of(judged))

    assert (tolerant.level.state, tolerant.level.figures["tolerated"]) == (LevelState.PASS, 1)
    assert tolerant.level.figures["tolerances"] == "incident.occurred_from minute"
    assert "incident.occurred_from minute: 1 values are the same only within them" in tolerant.level.sentence
    differs = [(FindingKind.DIFFERS, "incident", key, "occurred_from", "instant differs")]
    assert found(strict) == found(beyond) == differs


def test_the_limit_is_told_beside_it(judged):
    result = reconcile(subject_of(judged), watermark=watermark_of(judged))

    assert result.level.sentence.endswith(
        "; mapped by the same code as the load, so that a rule wrong twice in the same way is not seen"
    )


def test_a_record_lost_in_the_store_is_named(judged):
    key, row_id = live_row(judged, "t_tel")

    with removed(judged, "contact_means", row_id):
        result = reconcile(subject_of(judged), watermark=watermark_of(judged))

    assert found(result) == [(FindingKind.MISSING_IN_CANONICAL, "contact_means", key, None, "no record in canonical")]
    assert result.level.state is LevelState.FAIL


def test_a_record_that_no_row_emits_is_named_by_its_id(judged):
    _, row_id = live_row(judged, "t_objet")

    with doubled(judged, "item", row_id) as new:
        result = reconcile(subject_of(judged), watermark=watermark_of(judged))

    assert found(result) == [
        (FindingKind.MISSING_IN_LEGACY, "item", new.replace("-", ""), None, "no legacy row is known")
    ]


def test_two_crosswalk_rows_for_one_legacy_key_are_named(judged):
    key, row_id = live_row(judged, "t_suite")
    judged.place.run(
        "insert into mig.crosswalk select gen_random_uuid(), department_code, source_table_no, source_key, key_epoch,"
        " row_hash, residue, rule_id, run_no, deleted_at from mig.crosswalk where id = %s",
        (row_id,),
    )

    result = reconcile(subject_of(judged), watermark=watermark_of(judged))

    judged.place.run("delete from mig.crosswalk where source_key = %s and id <> %s and source_table_no = %s",
                     (key, row_id, judged.numbers["t_suite"]))  # fmt: skip
    assert found(result) == [(FindingKind.DUPLICATED, "disposition", key, None, "two records claim one legacy row")]


@pytest.mark.parametrize(
    ("legacy_table", "table", "column", "condition", "change", "cause"),
    [
        ("t_personne", "person_identity", "given_names", "given_names ~ '^[A-Z]{3}'", str.lower, "case differs"),
        ("t_personne", "person_identity", "given_names", "length(given_names) > 4", lambda v: v[:2], "cut"),
        ("t_personne", "person_identity", "surname", "surname is not null", lambda v: v + " ", "blank differs"),
        ("t_personne", "person_identity", "occupation_text", "occupation_text is null", lambda _: "X",
         "value where none is expected"),
        ("t_adresse", "location", "street_name", "street_name is not null", lambda _: None, "null in canonical"),
        ("t_adresse", "location", "city_name", "city_name is not null", lambda _: "?", "other value"),
        ("t_proc", "case_file", "opened_on", "opened_on is not null", lambda _: "1901-01-01", "date differs"),
        ("t_fait", "offense", "case_file_id", "true", lambda _: "00000000-0000-4000-8000-000000000000",
         "reference differs"),
        ("t_tel", "contact_means", "domain_code", "true", lambda _: "vehicles", "other value"),
        ("t_proc", "case_file", "parent_case_id", "true", lambda _: "00000000-0000-4000-8000-000000000000",
         "value where no rule writes"),
    ],
)  # fmt: skip
def test_one_changed_column_is_named_with_its_cause(judged, legacy_table, table, column, condition, change, cause):
    key, row_id, before = row_with(judged, legacy_table, table, column, condition)

    with edited(judged, table, row_id, column, change(before)):
        result = reconcile(subject_of(judged), watermark=None, keys_by_table={legacy_table: [key]})

    assert found(result) == [(FindingKind.DIFFERS, table, key, column, cause)]
    assert [(one.table, one.column) for one in result.columns if one.different] in ([(table, column)], [])


@pytest.mark.parametrize(
    ("expected", "found_value", "cause"),
    [
        ("Crémieu", "Cremieu", "accents lost"),
        ("Crémieu", "Crèmieu", "accents differ"),
        ("Crémieu", "CRÉMIEU", "case differs"),
        ("LA  TOUR", "LA TOUR", "blank differs"),
        ("GRENOBLE", "GREN", "cut"),
        ("GRENOBLE", "", "cut"),
        ("GRENOBLE", None, "null in canonical"),
        (None, "", "value where none is expected"),
        ("GRENOBLE", "VOIRON", "other value"),
    ],
)
def test_the_cause_of_a_different_text_is_told_from_both_values(expected, found_value, cause):
    text = {"schema_overrides": {"city_name": pl.String}}
    row = {"source_key": ["1"], "main_id": [b"m" * 16], "id": [b"i" * 16]}
    rejected = pl.DataFrame(schema={"source_key": pl.String, "column": pl.String})

    done = compare_part(
        "location",
        pl.DataFrame(row | {"city_name": [expected]}, **text),
        pl.DataFrame({"id": row["id"], "city_name": [found_value]}, **text),
        ruled=["city_name"],
        rejected=rejected,
    )

    assert done.differences["cause"].to_list() == [cause]


def test_a_refused_field_that_has_a_value_is_found(judged):
    key, row_id = judged.place.run(
        "select q.source_key, c.id::text from mig.quarantine q join mig.crosswalk c using (source_table_no, source_key)"
        " where q.state = 'OPEN' and q.column_name = 'ddn' and q.source_table_no = %s limit 1",
        (judged.numbers["t_personne"],),
    )[0]

    with edited(judged, "person_identity", row_id, "birth_date", "1980-01-01"):
        result = reconcile(subject_of(judged), watermark=None, keys_by_table={"t_personne": [key]})

    assert [(column, cause) for _, _, _, column, cause in found(result)] == [
        ("birth_date", "a rejected field has a value")
    ]


def test_a_filtered_row_must_not_be_in_the_store(judged):
    key = judged.place.run(
        "select source_key from mig.filtered_row where source_table_no = %s limit 1", (judged.numbers["t_proc"],)
    )[0][0]
    row_id = judged.place.run("select gen_random_uuid()")[0][0]
    judged.place.run(
        "insert into mig.adopted_key (department_code, source_table_no, source_key, id) values ('38', %s, %s, %s)",
        (judged.numbers["t_proc"], key, row_id),
    )
    insert = "insert into justice.case_file (id, department_code, domain_code, origin) values (%s, '38', 'cases', %s)"
    judged.place.run(insert, (row_id, "LEGACY"), role="banyan_forward")

    result = reconcile(subject_of(judged), watermark=None, keys_by_table={"t_proc": [key]})

    judged.place.run("delete from justice.case_file where id = %s", (row_id,), role="banyan_forward")
    judged.place.run("delete from mig.adopted_key")
    assert found(result) == [(FindingKind.MISSING_IN_LEGACY, "case_file", key, None, "its legacy row is filtered")]


def test_a_listed_degraded_write_back_explains_its_field_and_nothing_else(judged):
    key, row_id = live_row(judged, "t_personne")
    before = value_of(judged, "person_identity", row_id, "occupation_text")

    with (
        listed_as_degraded(judged, "t_personne", key, row_id, "person_identity", "occupation_text"),
        edited(judged, "person_identity", row_id, "occupation_text", f"{before} elsewhere"),
    ):
        explained = reconcile(subject_of(judged), watermark=None, keys_by_table={"t_personne": [key]})
        with edited(judged, "person_identity", row_id, "sex_code", "X"):
            both = reconcile(subject_of(judged), watermark=None, keys_by_table={"t_personne": [key]})

    assert (explained.level.state, explained.explained) == (LevelState.PASS, 1)
    assert [(one.column, one.cause) for one in explained.causes] == [("occupation_text", EXPLAINED)]
    assert [column for _, _, _, column, _ in found(both)] == ["sex_code"]


def test_a_row_that_people_changed_after_the_watermark_is_moving_and_else_different(loaded):
    before = watermark_of(loaded)
    moved, _ = live_row(loaded, "t_vehic")
    gone, _ = live_row(loaded, "t_suite")
    loaded.on_legacy("update orion.t_vehic set modele = 'MODEL OF A TEST' where id_vehic = %s", (moved,))
    loaded.on_legacy("delete from orion.t_suite where id_suite = %s", (gone,))

    live = reconcile(subject_of(loaded), watermark=before)
    frozen = reconcile(subject_of(loaded), watermark=loaded.port.head())
    of_keys = reconcile(subject_of(loaded), watermark=None, keys_by_table={"t_suite": [gone], "t_vehic": []})
    loaded.forward_engine().advance(loaded.forward())
    carried = reconcile(subject_of(loaded), watermark=watermark_of(loaded))

    assert (live.level.state, live.moving, live.level.findings) == (LevelState.PASS, 2, ())
    assert {(kind, table, key, column) for kind, table, key, column, _ in found(frozen)} == {
        (FindingKind.DIFFERS, "vehicle", moved, "model_text"),
        (FindingKind.MISSING_IN_LEGACY, "disposition", gone, None),
    }
    assert [(key, cause) for _, _, key, _, cause in found(of_keys)] == [(gone, "its legacy row is gone")]
    assert (carried.level.state, carried.moving, carried.level.findings) == (LevelState.PASS, 0, ())


def test_records_born_in_the_target_are_found_again_in_the_legacy_rows_they_became(loaded):
    loaded.switch_by_hand()
    person = loaded.as_app(
        "insert into justice.person_identity (id, department_code, domain_code, origin, surname, given_names)"
        " values (gen_random_uuid(), '38', 'cases', 'TARGET', 'BERTHIER', 'ANNE') returning id"
    )[0][0]
    before = reconcile(subject_of(loaded), watermark=watermark_of(loaded))
    loaded.reverse_engine().advance(loaded.reverse(), RunKind.REVERSE)

    after = reconcile(subject_of(loaded), watermark=watermark_of(loaded))

    assert [(kind, key) for kind, _, key, _, _ in found(before)] == [(FindingKind.MISSING_IN_LEGACY, person.hex)]
    assert (after.level.state, after.level.findings) == (LevelState.PASS, ())


def test_without_a_row_to_compare_nothing_is_proved(judged):
    result = reconcile(subject_of(judged), watermark=None, keys_by_table={})

    assert result.level.state is LevelState.NOT_RUN


def test_no_key_is_shown_by_a_repr(judged):
    key, row_id = live_row(judged, "t_tel")

    with edited(judged, "contact_means", row_id, "value_raw", "987654321"):
        result = reconcile(subject_of(judged), watermark=None, keys_by_table={"t_tel": [key]})

    assert len(result.level.findings) == 1
    assert "987654321" not in repr(result)
    assert f"'{key}'" not in repr(result)


def test_identifiers_are_told_apart_whatever_their_bucket(tmp_path):
    seen = IdBuckets(tmp_path)
    ids = [number.to_bytes(16, "big") for number in range(1000)]
    seen.add("left", pl.Series(ids[:700], dtype=pl.Binary))
    seen.add("right", pl.Series(ids[10:], dtype=pl.Binary))

    alone = [one for ids in seen.missing_from("left", "right") for one in ids]

    assert sorted(alone) == ids[:10]
