"""A pass that keeps digests says the same as one that compares each record, finds every difference, and goes on."""

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import pytest
from judged import doubled, edited, judged, live_row, removed, subject_of, watermark_of
from stores import make_store, store_template

from banyan.canonical.columns import Kind
from banyan.errors import SourceDrifted
from banyan.findings import FindingKind, LevelState
from mappings.model import Tolerance, ToleranceKind
from store.records import record_kinds
from validation.judging import known_columns
from validation.rechecking import Patience
from validation.reconcile import reconcile

pytestmark = pytest.mark.server
__all__ = ["judged", "make_store", "store_template"]

ROWS = 150
"""Rows in a chunk: most tables of the world have several."""


def swept(world, watcher=lambda _: None, *, rows=ROWS, **told):
    subject = replace(subject_of(world), rows_per_chunk=rows)
    return reconcile(subject, watermark=told.pop("watermark", watermark_of(world)), watcher=watcher, **told)


def said(result):
    """All that a result says, but for the order in which differences were met."""
    figures = {name: value for name, value in result.level.figures.items() if name != "resumed_chunks"}
    findings = sorted((one.kind, one.table, one.key, one.column or "", one.cause) for one in result.level.findings)
    return result.level.state, figures, findings, result.columns, sorted(result.causes, key=repr)


def other(kind: Kind, value):
    """Another value of a kind, as near to it as can be."""
    match kind:
        case Kind.TEXT:
            return "x" if value is None else value + "x"
        case Kind.DATE:
            return date(1971, 2, 3) if value is None else value + timedelta(days=1)
        case Kind.INSTANT:
            return "1971-02-03 04:05:06.000001+00" if value is None else value + timedelta(microseconds=1)
        case Kind.NUMERIC:
            return Decimal("0.0001") if value is None else value + Decimal("0.0001")
        case Kind.BOOLEAN:
            return not value
        case Kind.UUID:
            return "00000000-0000-4000-8000-000000000000"
        case Kind.BYTES:
            return b"\x00" if value is None else value + b"\x00"
        case _:
            return 1 if value is None else value + 1


def test_a_pass_in_digests_says_what_a_pass_record_by_record_says(judged):
    steps = []

    result = swept(judged, steps.append)

    assert said(result) == said(reconcile(subject_of(judged), watermark=watermark_of(judged)))
    assert result.level.state is LevelState.PASS
    assert all(one.compared == one.equal > 0 for one in result.columns)
    works = list(dict.fromkeys(step.table for step in steps))
    assert {"t_personne", "justice.person_identity", "sifted person_identity"} <= set(works)
    assert all(step.chunks_done <= step.chunks for step in steps)
    assert all(one.rows <= two.rows for one, two in pairwise(steps) if one.table == two.table)
    assert any(step.chunks > 1 for step in steps if step.table.startswith("justice.")), "records are read in ranges"


def test_one_other_value_in_each_column_of_each_table_is_named(judged):
    expected = set()
    with ExitStack() as changes:
        for table in subject_of(judged).canonical_tables:
            kinds = record_kinds(table)
            columns = [name for name in known_columns(subject_of(judged), table) if name != "domain_code"]
            rows = judged.place.run(f"select id::text, {', '.join(columns)} from justice.{table} order by id")
            for number, column in enumerate(columns):
                row = rows[(7 * number) % len(rows)]
                value = other(kinds[column], row[1 + number])
                changes.enter_context(edited(judged, table, row[0], column, value))
                expected.add((table, row[0].replace("-", ""), column))

        result = swept(judged)
        each = reconcile(subject_of(judged), watermark=watermark_of(judged))

    found = {(table, row.hex(), column) for table, row, column in
             result.differences.select("canonical_table", "id", "column").iter_rows()}  # fmt: skip
    assert found == expected
    assert result.differences["source_key"].null_count() == 0, "each is told with the key of its row"
    assert len({record_kinds(table)[column] for table, _, column in found}) >= 6, "of as many kinds as there are"
    assert said(result) == said(each)


def test_an_instant_that_never_comes_is_another_one(judged):
    table, column = "incident", "occurred_from"
    row_id = judged.place.run(f"select id::text from justice.{table} where {column} is not null order by id limit 1")[
        0
    ][0]

    with edited(judged, table, row_id, column, "infinity"):
        result = swept(judged)

    assert [(one.table, one.column) for one in result.level.findings] == [(table, column)]


def test_what_is_lost_extra_doubled_or_in_another_domain_is_named_as_when_records_are_compared(judged):
    _, lost = live_row(judged, "t_personne", 5)
    _, copied = live_row(judged, "t_objet", 3)
    _, moved = live_row(judged, "t_proc", 4)
    one, two = (live_row(judged, "t_fait", number) for number in (2, 9))
    adopt = "insert into mig.adopted_key (department_code, source_table_no, source_key, id) values ('38', %s, %s, %s)"
    judged.place.run(adopt, (judged.numbers["t_fait"], one[0], two[1]))
    suite, row_id = live_row(judged, "t_suite")
    judged.place.run(
        "insert into mig.crosswalk select gen_random_uuid(), department_code, source_table_no, source_key, key_epoch,"
        " row_hash, residue, rule_id, run_no, deleted_at from mig.crosswalk where id = %s",
        (row_id,),
    )
    try:
        with (
            removed(judged, "person_identity", lost),
            doubled(judged, "item", copied) as extra,
            edited(judged, "case_file", moved, "domain_code", "reference"),
        ):
            result = swept(judged)
            each = reconcile(subject_of(judged), watermark=watermark_of(judged))
    finally:
        judged.place.run("delete from mig.adopted_key")
        judged.place.run("delete from mig.crosswalk where source_key = %s and id <> %s and source_table_no = %s",
                         (suite, row_id, judged.numbers["t_suite"]))  # fmt: skip

    assert said(result) == said(each)
    told = {(one.kind, one.table, one.key, one.column) for one in result.level.findings}
    assert (FindingKind.MISSING_IN_LEGACY, "item", extra.replace("-", ""), None) in told
    assert (FindingKind.DUPLICATED, "disposition", suite, None) in told
    assert any(kind is FindingKind.MISSING_IN_CANONICAL and table == "person_identity" for kind, table, _, _ in told)
    assert any(kind is FindingKind.DUPLICATED and table == "offense" for kind, table, _, _ in told)
    assert any(table == "case_file" and column == "domain_code" for _, table, _, column in told)


def test_a_value_that_is_the_same_within_a_tolerance_is_counted_as_such(judged):
    ruleset = judged.book.rulesets["t_fait"]
    fields = {
        part.name: tuple(
            replace(field, tolerance=Tolerance(ToleranceKind.MINUTE)) if field.to[0] == "occurred_from" else field
            for field in part.fields
        )
        for part in ruleset.parts
    }
    ruleset = replace(ruleset, parts=tuple(replace(part, fields=fields[part.name]) for part in ruleset.parts))
    book = replace(judged.book, rulesets={**judged.book.rulesets, "t_fait": ruleset})
    instant, before = judged.place.run(
        "select id::text, occurred_from from justice.incident where occurred_from is not null order by id limit 1"
    )[0]

    with edited(judged, "incident", instant, "occurred_from", before + timedelta(seconds=40)):
        subject = replace(subject_of(judged), book=book, rows_per_chunk=ROWS)
        result = reconcile(subject, watermark=watermark_of(judged))

    assert (result.level.state, result.level.figures["tolerated"], result.level.findings) == (LevelState.PASS, 1, ())
    assert all(one.compared == one.equal for one in result.columns)


def test_a_record_that_changes_between_the_two_readings_is_looked_at_and_told_as_it_is_then(judged):
    _, row_id = live_row(judged, "t_personne", 11)
    key, stays = live_row(judged, "t_personne", 12)
    with ExitStack() as changes, ExitStack() as kept:

        def meanwhile(step):
            if step.table == "justice.case_file" and step.chunks_done == 1:  # the rows were read, these records not
                changes.enter_context(edited(judged, "person_identity", row_id, "sex_code", "X"))
                kept.enter_context(edited(judged, "person_identity", stays, "sex_code", "X"))
            if step.table == "justice.person_identity" and step.chunks_done == step.chunks:
                changes.close()

        result = swept(judged, meanwhile)

    assert [(one.kind, one.key, one.column) for one in result.level.findings] == [
        (FindingKind.DIFFERS, key, "sex_code")
    ]
    people = next(one for one in result.columns if (one.table, one.column) == ("person_identity", "sex_code"))
    assert (people.compared - people.equal, people.different) == (1, 1)


def test_a_row_that_is_deleted_between_the_readings_moves_and_nothing_is_told_of_it_twice(judged):
    key, row_id = live_row(judged, "t_tel", 3)
    columns = [row[0] for row in judged.on_legacy(
        "select column_name from information_schema.columns where table_schema = 'orion' and table_name = 't_tel'"
    )]  # fmt: skip
    listed = ", ".join(columns)
    before = judged.on_legacy(f"select {listed} from orion.t_tel where id_tel = %s", (key,))[0]

    def meanwhile(step):
        if step.table == "justice.case_file" and step.chunks_done == 1:
            judged.on_legacy("delete from orion.t_tel where id_tel = %s", (key,))

    with edited(judged, "contact_means", row_id, "value_raw", "changed too"):
        live = swept(judged, meanwhile)
        judged.on_legacy(f"insert into orion.t_tel ({listed}) values ({', '.join(['%s'] * len(columns))})", before)

    assert (live.level.findings, live.moving) == ((), 1)
    judged.forward_engine().advance(judged.forward())
    assert swept(judged).level.state is LevelState.PASS


def killed(world, kept_in: Path, last: str) -> list[str]:
    """Run a pass in another process, kill it at the end of a step, and give the steps it had done."""
    asked = {
        "legacy": world.legacy_url("banyan_reader"),
        "store": world.place.url("banyan_judge").render_as_string(hide_password=False),
        "numbers": world.numbers,
        "watermark": watermark_of(world),
        "last": last,
        "rows_per_chunk": ROWS,
        "kept_in": str(kept_in),
    }
    steps = []
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "dying_pass.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        while not steps or steps[-1] != last:
            steps.append(process.stdout.readline().strip())
            assert steps[-1], "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return steps


def gone_on(world, kept_in: Path):
    steps = []
    result = reconcile(
        replace(subject_of(world, role="banyan_judge"), rows_per_chunk=ROWS),
        watermark=watermark_of(world),
        watcher=lambda step: steps.append(f"{step.table} {step.chunks_done}"),
        patience=Patience(lambda: watermark_of(world), rounds=4, wait_seconds=3.0),
        kept_in=kept_in,
    )
    return result, steps


@pytest.mark.parametrize(
    "last",
    [
        pytest.param("t_personne 2", id="rows", marks=pytest.mark.torture),
        pytest.param("justice.case_file 1", id="records"),
        pytest.param("sifted person_identity 1", id="sifted", marks=pytest.mark.torture),
    ],
)
def test_a_pass_that_is_killed_in_any_of_its_works_reads_nothing_twice_and_says_the_same(judged, tmp_path, last):
    _, early = live_row(judged, "t_proc", 1)
    _, late = live_row(judged, "t_tel", 1)
    with (
        edited(judged, "case_file", early, "note_text", "another"),
        edited(judged, "contact_means", late, "value_raw", "another"),
    ):
        whole = reconcile(subject_of(judged), watermark=watermark_of(judged))
        before = killed(judged, tmp_path / "pass", last)
        sealed = [path.read_bytes() for path in (tmp_path / "pass").glob("*.keys")]

        result, after = gone_on(judged, tmp_path / "pass")

    done = [step.rsplit(" ", 1) for step in before + after]
    for work in {work for work, _ in done}:
        numbers = [int(number) for each, number in done if each == work]
        assert numbers == list(range(1, len(numbers) + 1)), f"each step of {work} is done once, by either attempt"
    assert f"{before[-1]}" not in after
    assert said(result) == said(whole)
    assert result.level.figures["different"] == 2
    assert result.level.figures["resumed_chunks"] == len([step for step in before if not step.startswith("sifted")])
    assert sealed and not any(live_row(judged, "t_personne")[0].encode() in one for one in sealed)
    assert [path.name for path in (tmp_path / "pass").iterdir()] == ["lock"], "nothing is left of a pass that ended"


def test_what_happened_to_records_that_were_read_before_a_kill_is_found(judged, tmp_path):
    lost_key, lost = live_row(judged, "t_personne", 3)
    key, row_id = live_row(judged, "t_personne", 4)
    _, copied = live_row(judged, "t_objet")
    killed(judged, tmp_path / "pass", "sifted person_identity 1")

    with (
        removed(judged, "person_identity", lost),
        edited(judged, "person_identity", row_id, "occupation_text", "AUTRE CHOSE"),
        doubled(judged, "item", copied) as extra,
    ):
        result, _ = gone_on(judged, tmp_path / "pass")

    assert {(one.kind, one.table, one.key, one.column) for one in result.level.findings} == {
        (FindingKind.MISSING_IN_CANONICAL, "person_identity", lost_key, None),
        (FindingKind.DIFFERS, "person_identity", key, "occupation_text"),
        (FindingKind.MISSING_IN_LEGACY, "item", extra.replace("-", ""), None),
    }


@pytest.fixture(scope="module")
def died(judged, tmp_path_factory):
    """What a pass left that was killed while it read rows."""
    folder = tmp_path_factory.mktemp("kept") / "pass"
    killed(judged, folder, "t_personne 2")
    return folder


@pytest.mark.parametrize("ending", ["digests", "keys"])
def test_a_pass_whose_files_are_gone_begins_anew(judged, died, tmp_path, ending):
    left = copytree(died, tmp_path / "pass")
    next(left.glob(f"*.{ending}")).unlink()

    result, steps = gone_on(judged, left)

    assert (result.level.state, result.level.figures["resumed_chunks"]) == (LevelState.PASS, 0)
    assert steps[0].endswith(" 1")


class Noting:
    """A legacy system that notes which columns are asked for, and may have lost one since its rule was written."""

    def __init__(self, port, *, lost=()):
        self.port, self.lost, self.asked = port, lost, {}

    def __getattr__(self, name):
        return getattr(self.port, name)

    def columns(self, table):
        return [column for column in self.port.columns(table) if column.name not in self.lost]

    def read_range(self, table, keys):
        batch = self.port.read_range(table, keys)
        return replace(batch, rows=batch.rows.drop(self.lost, strict=False))

    def read_columns(self, table, keys, columns):
        self.asked[table] = set(columns)
        return self.port.read_columns(table, keys, columns)


def test_a_pass_reads_the_columns_that_records_follow_from_and_says_the_same(judged):
    port, watermark = Noting(judged.port), watermark_of(judged)

    found = reconcile(replace(subject_of(judged), port=port, rows_per_chunk=ROWS), watermark=watermark)

    assert said(found) == said(swept(judged))
    assert set(judged.book.rulesets["t_proc"].columns) - port.asked["t_proc"] == {"flag3", "dt_maj"}


def test_a_column_that_the_legacy_system_lost_stops_a_pass_even_when_no_record_follows_from_it(judged):
    subject = replace(subject_of(judged), port=Noting(judged.port, lost=("flag3",)), rows_per_chunk=ROWS)

    with pytest.raises(SourceDrifted) as drifted:
        reconcile(subject, watermark=watermark_of(judged))

    assert drifted.value.facts["missing"] == ["flag3"]
