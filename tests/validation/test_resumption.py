"""A reconciliation that is killed goes on from the chunk it reached, and hides nothing that happened meanwhile."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from judged import edited, judged, live_row, removed, subject_of, watermark_of
from stores import make_store, store_template

from banyan.findings import FindingKind, LevelState
from validation.rechecking import Patience
from validation.reconcile import reconcile

__all__ = ["judged", "make_store", "store_template"]

CHUNKS = 5
PATIENT = {"rounds": 4, "wait_seconds": 3.0}


def killed(world, kept_in: Path) -> list[str]:
    """Run a pass in another process, kill it as it stands after some chunks, and give the tables it had judged."""
    asked = {
        "legacy": world.legacy_url("banyan_reader"),
        "store": world.place.url("banyan_judge").render_as_string(hide_password=False),
        "numbers": world.numbers,
        "watermark": watermark_of(world),
        "chunks": CHUNKS,
        "kept_in": str(kept_in),
    }
    script = Path(__file__).parent / "dying_pass.py"
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        tables = [process.stdout.readline().strip() for _ in range(CHUNKS)]
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return tables


def go_on(world, kept_in: Path, subject=None):
    steps = []
    result = reconcile(
        subject or subject_of(world, role="banyan_judge"),
        watermark=watermark_of(world),
        watcher=steps.append,
        patience=Patience(lambda: watermark_of(world), **PATIENT),
        kept_in=kept_in,
    )
    return result, [step.table for step in steps]


def whole(world):
    return reconcile(subject_of(world, role="banyan_judge"), watermark=watermark_of(world))


def counted(result):
    return result.rows, result.columns, result.causes


@pytest.fixture(scope="module")
def died(judged, tmp_path_factory):
    """A pass of the shared world that was killed; each test gets a copy of what it left."""
    folder = tmp_path_factory.mktemp("kept") / "pass"
    return folder, killed(judged, folder)


@pytest.fixture
def left(died, tmp_path):
    folder, _ = died
    copy = tmp_path / "pass"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.mark.server
def test_a_killed_pass_goes_on_from_the_chunk_it_reached_and_says_the_same(judged, died, left):
    tables = subject_of(judged).tables

    result, steps = go_on(judged, left)

    assert died[1] == list(tables[:CHUNKS])
    assert steps == list(tables[CHUNKS:]), "what was judged before the kill is not judged again"
    assert result.level.figures["resumed_chunks"] == CHUNKS
    assert f"{CHUNKS} chunks were judged by an earlier attempt" in result.level.sentence
    assert result.level.state is LevelState.PASS
    assert counted(result) == counted(whole(judged))
    assert [path.name for path in left.iterdir()] == ["lock"], "nothing is left of a pass that ended"


@pytest.mark.server
def test_a_record_written_to_after_its_chunk_was_judged_is_found(judged, left):
    key, row = live_row(judged, "t_personne")

    with edited(judged, "person_identity", row, "occupation_text", "AUTRE CHOSE"):
        result, steps = go_on(judged, left)

    assert len(steps) == len(subject_of(judged).tables) - CHUNKS
    assert [(one.kind, one.key, one.column) for one in result.level.findings] == [
        (FindingKind.DIFFERS, key, "occupation_text")
    ]
    assert (result.level.figures["different"], result.moving) == (1, 0)


@pytest.mark.server
def test_a_record_removed_after_its_chunk_was_judged_is_found(judged, left):
    key, row = live_row(judged, "t_personne", 3)

    with removed(judged, "person_identity", row):
        result, _ = go_on(judged, left)

    assert (FindingKind.MISSING_IN_CANONICAL, key) in [(one.kind, one.key) for one in result.level.findings]
    assert result.level.state is LevelState.FAIL


@pytest.mark.server
def test_a_pass_about_other_rules_begins_anew(judged, left):
    subject = subject_of(judged, role="banyan_judge")
    table = subject.tables[0]
    rulesets = dict(subject.book.rulesets) | {table: replace(subject.book.rulesets[table], digest="another")}

    result, steps = go_on(judged, left, replace(subject, book=replace(subject.book, rulesets=rulesets)))

    assert steps == list(subject.tables)
    assert result.level.figures["resumed_chunks"] == 0


@pytest.mark.server
def test_a_pass_whose_identifiers_are_cut_begins_anew(judged, left):
    longest = max(left.glob("legacy-*"), key=lambda path: path.stat().st_size)
    longest.write_bytes(longest.read_bytes()[:-1])

    result, steps = go_on(judged, left)

    assert (len(steps), result.level.figures["resumed_chunks"]) == (len(subject_of(judged).tables), 0)
    assert result.level.state is LevelState.PASS


@pytest.mark.server
def test_two_passes_in_one_place_do_not_meet(judged, tmp_path):
    seen = []

    def meanwhile(_):
        if not seen:
            seen.append(go_on(judged, tmp_path / "pass"))

    first = reconcile(
        subject_of(judged, role="banyan_judge"),
        watermark=watermark_of(judged),
        watcher=meanwhile,
        kept_in=tmp_path / "pass",
    )

    assert counted(first) == counted(seen[0][0])
    assert seen[0][1] == list(subject_of(judged).tables), "the second keeps nothing and begins at the first table"
