"""L6: the way back gives the bytes of the legacy rows, and an edit of each field comes back or is listed."""

from dataclasses import replace

import polars as pl
import pytest
from judged import edited, judged, live_row, removed, subject_of, watermark_of
from stores import make_store, store_template

from banyan.findings import FindingKind, LevelState
from banyan.records import KeyRange
from mappings.model import CodeMap
from store.postgres import raw, transaction
from validation.put_get import try_fields
from validation.round_trip import check_round_trip
from validation.stored_rows import read_stored
from validation.subject import kept_columns, key_of, look_up

pytestmark = pytest.mark.server
__all__ = ["judged", "make_store", "store_template"]


def vehicles_of(world):
    """The smaller of the two domains: three legacy tables."""
    return replace(subject_of(world), domains=("vehicles",))


def found(result):
    return [(one.kind, one.table, one.key, one.column, one.cause) for one in result.level.findings]


def bench_of(world, table):
    """What a trial needs: compiled rules, stored rows, raw rows, context."""
    subject = subject_of(world)
    compiled = subject.compiled(table)
    rows = kept_columns(compiled, world.port.read_range(table, KeyRange(None, None)).rows)
    rows = rows.with_columns(key_of(compiled.ruleset, rows))
    with transaction(subject.engine) as connection:
        stored = read_stored(raw(connection), subject, compiled, rows)
        context = look_up(raw(connection), subject, compiled, rows.drop("source_key"))
    return compiled, stored, rows.join(stored.crosswalk, on="source_key", how="semi"), context


def test_every_live_row_comes_back_and_every_field_takes_an_edit(judged):
    result = check_round_trip(subject_of(judged))

    live = judged.place.run(
        "select count(*) from mig.crosswalk join mig.source_table using (source_table_no)"
        " where deleted_at is null and table_name not in ('t_unite', 't_agent')"
    )[0][0]
    figures = result.figures
    assert (result.level.state, result.level.findings) == (LevelState.PASS, ())
    assert (figures.rows, figures.rows_identical, result.moving, result.explained) == (live, live, 0, 0)
    assert 0 < figures.exact_without_residue < live
    assert 0 < figures.residue_only_fields < figures.fields
    fields = sum(len(part.fields) for table in subject_of(judged).tables for part in judged.book.rulesets[table].parts)
    assert result.put_get == f"{fields} of {fields} fields"
    assert result.fields_touched_ok
    assert all(trial.tried == trial.held + trial.listed and trial.tried for trial in result.fields)
    listed = {(one.table, one.column) for one in result.degraded}
    assert ("disposition", "file_effect_code") in listed
    assert ("incident", "case_file_id") in listed


def test_a_record_changed_behind_our_back_does_not_come_back(judged):
    key, row_id = judged.place.run(
        "select c.source_key, i.id::text from justice.item i join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and i.description is not null limit 1",
        (judged.numbers["t_objet"],),
    )[0]

    with edited(judged, "item", row_id, "description", "SOMETHING ELSE"):
        result = check_round_trip(vehicles_of(judged))

    assert found(result) == [(FindingKind.NOT_REVERSIBLE, "t_objet", key, "descr", "the way back gives another text")]
    assert (result.level.state, result.figures.rows - result.figures.rows_identical) == (LevelState.FAIL, 1)


def test_a_lost_record_a_lost_residue_and_a_row_that_is_gone_are_each_named(judged):
    lost, row_id = live_row(judged, "t_objet")
    thinned, other_id = live_row(judged, "t_vehic")
    gone, gone_id = live_row(judged, "t_vehic", 1)
    residue = judged.place.run("select residue from mig.crosswalk where id = %s", (other_id,))[0][0]
    judged.place.run("update mig.crosswalk set residue = null where id = %s", (other_id,))
    judged.place.run("update mig.crosswalk set source_key = 'nobody' where id = %s", (gone_id,))

    with removed(judged, "item", row_id):
        result = check_round_trip(vehicles_of(judged))

    judged.place.run("update mig.crosswalk set residue = %s where id = %s", (residue, other_id))
    judged.place.run("update mig.crosswalk set source_key = %s where id = %s", (gone, gone_id))
    rows = {(table, key, cause) for _, table, key, _, cause in found(result)}
    assert rows == {
        ("t_objet", lost, "the row has no record to come back from"),
        ("t_vehic", thinned, "the way back gives another text"),
        ("t_vehic", "nobody", "the legacy row is gone"),
    }
    assert {column for _, _, key, column, _ in found(result) if key == thinned} >= {"top_supp"}


def test_an_edit_that_reads_back_as_something_else_is_not_passed_over(judged):
    compiled, stored, rows, context = bench_of(judged, "t_personne")
    maps = dict(judged.book.code_maps)
    sexes = maps["SEX"].entries
    swapped = dict(zip(sexes, [*list(sexes.values())[1:], next(iter(sexes.values()))], strict=True))
    other_book = replace(judged.book, code_maps=maps | {"SEX": CodeMap("SEX", swapped)})

    trials = list(try_fields(compiled, other_book, stored, rows=rows, context=context))

    sex = next(trial for trial in trials if trial.columns == ("sex_code",))
    assert not sex.is_sound
    assert len(sex.failed) > 0


def test_an_edit_that_changes_another_legacy_column_is_told(judged):
    compiled, stored, rows, context = bench_of(judged, "t_objet")
    key = rows.filter(pl.col("num_serie").is_not_null())["source_key"][0]
    strange = rows.with_columns(
        pl.when(pl.col("source_key") == key).then(pl.lit("999")).otherwise("num_serie").alias("num_serie")
    )

    trials = list(try_fields(compiled, judged.book, stored, rows=strange, context=context))

    description = next(trial for trial in trials if trial.columns == ("description",))
    serial = next(trial for trial in trials if trial.columns == ("serial_number",))
    assert description.touched == {"num_serie": (key,)}
    assert serial.touched == {}


def test_a_row_that_people_changed_after_the_watermark_is_moving(judged):
    key, _ = live_row(judged, "t_objet", 3)
    judged.on_legacy("update orion.t_objet set descr = 'NEW WORDS' where id_objet = %s", (key,))

    live = check_round_trip(vehicles_of(judged))
    judged.forward_engine().advance(judged.forward())
    carried = check_round_trip(vehicles_of(judged))

    assert (live.level.state, live.moving, live.level.findings) == (LevelState.PASS, 1, ())
    assert live.figures.rows == live.figures.rows_identical
    assert (carried.level.state, carried.moving, carried.level.findings) == (LevelState.PASS, 0, ())
    assert carried.figures.rows == live.figures.rows + 1
    assert watermark_of(judged) is not None
