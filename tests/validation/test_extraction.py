"""L0: every chunk done, every parcel as it was written, every row of it counted."""

import json
import math
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from judged import judged, subject_of
from stores import make_store, store_template
from worlds import ISERE, ORION, build_world

from banyan.config import SourceConfig
from banyan.findings import FindingKind, LevelState
from banyan.undecoded import read_text
from store.landing import LandingZone
from sync.throttle import Throttle
from validation.extraction import STATES, check_extraction, find_gap
from validation.wording import Language, measured

pytestmark = pytest.mark.server
__all__ = ["judged", "make_store", "store_template"]
GAP = "the ranges of the last load leave a gap, or hold keys twice"


@contextmanager
def chunk_says(world, column, value, cast=""):
    """Make the ledger say something else of the chunk of t_tel, then what it said."""
    before = world.place.run(f"select {column} from mig.chunk where table_name = 't_tel'")[0][0]
    before = json.dumps(before) if isinstance(before, dict) else before
    statement = f"update mig.chunk set {column} = %s{cast} where table_name = 't_tel'"
    world.place.run(statement, (value,))
    yield
    world.place.run(statement, (before,))


def found(level):
    return [(finding.kind, finding.table, finding.key, finding.cause) for finding in level.findings]


def parcel_file(landing: LandingZone, table: str) -> Path:
    """The bytes of the parcel of a table, as the local landing zone keeps them."""
    (path,) = (path for path in landing.objects.root.rglob("*.parquet") if f"/{table}/" in str(path))
    return path


def test_a_first_copy_is_read_back_whole(judged):
    rows = sum(judged.on_legacy(f"select count(*) from orion.{table}")[0][0] for table in subject_of(judged).tables)

    level = check_extraction(subject_of(judged), judged.landing)

    assert (level.state, level.findings) == (LevelState.PASS, ())
    assert (level.figures["tables"], level.figures["rows"], level.figures["decode_errors"]) == (9, rows, 0)


def test_a_damaged_parcel_is_named(judged):
    path = parcel_file(judged.landing, "t_tel")
    kept = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(kept[:100] + b"?" + kept[101:])

    level = check_extraction(subject_of(judged), judged.landing)

    path.write_bytes(kept)
    ((kind, table, key, cause),) = found(level)
    assert (level.state, kind, table, level.figures["decode_errors"]) == (
        LevelState.FAIL,
        FindingKind.UNREADABLE,
        "t_tel",
        1,
    )
    assert key.startswith("run 1 chunk ")
    assert "digest" in cause


def test_a_parcel_that_is_gone_is_named(judged):
    path = parcel_file(judged.landing, "t_suite")
    kept = path.read_bytes()
    path.unlink()

    level = check_extraction(subject_of(judged), judged.landing)

    path.write_bytes(kept)
    assert [(table, "bytes are gone" in cause) for _, table, _, cause in found(level)] == [("t_suite", True)]


def test_a_chunk_that_is_not_done_is_named(judged):
    with chunk_says(judged, "state", "PLANNED"):
        level = check_extraction(subject_of(judged), judged.landing)

    assert [(table, cause) for _, table, _, cause in found(level)] == [("t_tel", "the chunk is PLANNED, not DONE")]


def test_a_row_counted_and_not_landed_is_told_with_both_numbers(judged):
    counts = judged.place.run("select counts from mig.chunk where table_name = 't_tel'")[0][0]
    read = counts["rows"]["read"]
    counts["rows"] |= {"read": read + 1, "loaded": counts["rows"]["loaded"] + 1}

    with chunk_says(judged, "counts", json.dumps(counts), "::jsonb"):
        level = check_extraction(subject_of(judged), judged.landing)

    assert [(table, cause) for _, table, _, cause in found(level)] == [
        ("t_tel", f"{read + 1} rows counted as read, {read} in the parcel and in flight")
    ]


def test_ranges_that_do_not_hold_every_key_are_found(judged):
    with chunk_says(judged, "low_key", "5"):
        level = check_extraction(subject_of(judged), judged.landing)

    assert [(table, cause) for _, table, _, cause in found(level)] == [
        ("t_tel", "the ranges of the last load do not hold every key")
    ]
    assert measured(level, Language.FR).endswith("; défauts de ce qui a été lu\u202f: 1")
    assert "problems" not in check_extraction(subject_of(judged), judged.landing).figures


def test_ranges_that_were_cut_while_they_were_carried_hold_every_key(make_database, make_store, tmp_path):
    world = build_world(make_database, make_store, tmp_path)
    throttle = Throttle(world.place.engine("banyan_forward"), ORION, ISERE, world.port)
    for _ in range(5):
        throttle.learn("t_personne", throttle.rows("t_personne"), 10_000.0)  # a slow server: as few rows as may be
    lane = world.forward()
    world.forward_engine(throttle=throttle).load(lane, lambda: lane.plan_load(rows_per_chunk=250), rules_digest="")

    level = check_extraction(subject_of(world), world.landing)

    numbers = "select chunk_no from mig.chunk where table_name = 't_personne' order by {} nulls first"
    assert world.place.run(numbers.format("low_key::bigint")) != world.place.run(numbers.format("chunk_no"))
    assert (level.state, level.findings) == (LevelState.PASS, ())


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ([], "the last load has not read this table"),
        ([(None, None)], ""),
        ([(None, "5"), ("9", None), ("5", "9")], ""),
        ([(None, "5"), ("9", None)], GAP),
        ([(None, "5"), ("5", None), ("5", None)], GAP),
        ([(None, "5"), ("5", None), ("7", "9")], GAP),
        ([(None, "5"), ("5", "7"), ("7", "5"), ("9", None)], GAP),
        ([("5", None)], "the ranges of the last load do not hold every key"),
        ([(None, "5"), ("5", "9")], "the ranges of the last load do not hold every key"),
    ],
)
def test_ranges_hold_every_key_once_in_whatever_order_they_were_made(ranges, problem):
    assert find_gap(ranges) == problem


def test_changes_after_the_first_copy_are_judged_with_it(judged):
    first, second = (key for (key,) in judged.on_legacy("select id_tel from orion.t_tel order by 1 limit 2"))
    judged.on_legacy("delete from orion.t_tel where id_tel = %s", (first,))
    judged.on_legacy("update orion.t_tel set top_supp = 'O' where id_tel = %s", (second,))
    judged.forward_engine().advance(judged.forward())

    level = check_extraction(subject_of(judged), judged.landing)

    assert (level.state, level.findings, level.figures["runs"]) == (LevelState.PASS, (), 2)


def test_cells_that_are_no_text_are_counted_and_told_by_column(judged):
    (key,) = judged.on_legacy("select id_tel from orion.t_tel where top_supp is distinct from 'O' order by 1 offset 5")[
        0
    ]
    judged.on_legacy("update orion.t_tel set num_tel = %s where id_tel = %s", (read_text(b"04\xff", "utf-8"), key))
    before = check_extraction(subject_of(judged), judged.landing, medium="sqlite")
    judged.forward_engine().advance(judged.forward())

    level = check_extraction(subject_of(judged), judged.landing, medium="sqlite")

    assert (before.figures["undecoded_cells"], before.figures["undecoded_per_million"]) == (0, 0)
    assert level.figures["undecoded_cells"] == 1
    assert level.figures["undecoded_per_million"] == math.ceil(1_000_000 / level.figures["cells"])
    assert "; 1 cells are no text of the encoding declared: t_tel.num_tel 1; " in level.sentence


@pytest.mark.parametrize(
    ("medium", "parts", "said"),
    [("postgresql", "counts+trailers", "a database states no totals of itself"),
     ("csv", "counts+trailers", "this kind of file states no totals of itself"),
     ("dbf", "counts+trailers", "the header of each file counts its records, and none is read that counts others"),
     ("mainframe", "counts", "totals that mainframe may state of itself are not compared")],
)  # fmt: skip
def test_what_a_source_states_of_itself_is_answered_by_its_medium_or_not_at_all(judged, medium, parts, said):
    level = check_extraction(subject_of(judged), judged.landing, medium=medium)

    assert level.figures["parts"] == parts
    assert level.sentence.endswith(f"; {said}")


def test_every_medium_that_a_project_may_declare_says_what_it_states_of_itself():
    media = get_args(SourceConfig.model_fields["medium"].annotation)

    assert {medium for medium in media if medium not in STATES} == set()


def test_nothing_is_proved_before_a_first_copy(judged, make_store):
    empty = replace(subject_of(judged), engine=make_store().engine("banyan_forward"))

    assert check_extraction(empty, judged.landing).state is LevelState.NOT_RUN
