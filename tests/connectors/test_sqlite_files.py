"""Several files of one legacy system, whose keys are the same: read, followed, fenced and written back file by file."""

import os
import sqlite3
from uuid import UUID, uuid4

import polars as pl
import pytest
from sqlites import CLOSURE, LegacyFile

from banyan.errors import SourceDrifted, StoreFenced, UsageError
from banyan.ports import FenceKind, FenceMode
from banyan.records import KeyRange, Operation, Origin
from connectors.database import Guarded, paths_in
from connectors.sqlite_files import open_sqlite_files

FILES = ("480001.db", "480010.db")
FIRST, SECOND = "480001/dossier", "480010/dossier"
SCHEMA = "create table dossier (id integer primary key, numero text, libelle text)"
ROUTE = "48.cases back"


@pytest.fixture
def brigades(tmp_path):
    """Make two files in which the keys 1, 2 and 3 stand for other cases."""
    made = {name.partition(".")[0]: LegacyFile(tmp_path / name) for name in FILES}
    for name, file in made.items():
        rows = ", ".join(f"({key}, '{name}-{key}', 'vu')" for key in (1, 2, 3))
        file.run(SCHEMA, f"insert into dossier values {rows}")
    return made


def open_port(folder, fence="closed_window"):
    return open_sqlite_files(paths_in(str(folder), FILES), fence)


def install(folder, fence="closed_window") -> UUID:
    open_port(folder, fence).install_capture(str(folder), [FIRST, SECOND])
    return Guarded("sqlite", "", fence, FILES).install_fence(str(folder), CLOSURE, [FIRST, SECOND])


def open_door(folder, fence="closed_window"):
    return Guarded("sqlite", "", fence, FILES).open_fence(str(folder), CLOSURE, probe_url="")


def shut(door, nonce, *, token=2):
    """Close, wait and seal as a switch does."""
    assert door.close(token, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted
    assert door.wait_in_flight(5)
    assert door.seal(token, nonce_old=nonce).accepted


def test_a_range_of_one_file_is_cut_by_its_own_keys(brigades, tmp_path):
    brigades["480010"].run("insert into dossier (id) values (7), (9)")
    port = open_port(tmp_path)

    assert [port.find_cut(FIRST, KeyRange(None, None), rows) for rows in (1, 3, 4)] == ["1", "3", None]
    assert port.find_cut(SECOND, KeyRange("2", None), 2) == "7"
    assert port.find_cut(SECOND, KeyRange("2", "7"), 2) is None


def test_the_same_key_stands_for_another_row_in_each_file(brigades, tmp_path):
    port = open_port(tmp_path)

    read = {table: port.read_range(table, KeyRange(None, None)).rows for table in port.tables()}

    assert list(read) == [FIRST, SECOND]
    assert [rows["id"].to_list() for rows in read.values()] == [["1", "2", "3"]] * 2
    assert [rows["numero"][0] for rows in read.values()] == ["480001-1", "480010-1"]
    assert port.read_keys(SECOND, ["2"]).rows["numero"].to_list() == ["480010-2"]
    assert (port.count(FIRST), port.key_columns(SECOND)) == (3, ("id",))


def test_a_table_without_its_file_is_refused_and_told_how_it_is_named(brigades, tmp_path):
    with pytest.raises(UsageError, match="'dossier' is no table of these files; nothing was read") as refused:
        open_port(tmp_path).count("dossier")

    assert "480001/AFFAIRES" in refused.value.hint


def test_a_change_is_one_of_its_file(brigades, tmp_path):
    install(tmp_path)
    port = open_port(tmp_path)
    before = port.head()

    brigades["480010"].run("update dossier set libelle = 'clos' where id = 2", "delete from dossier where id = 3")
    brigades["480001"].run("insert into dossier (numero) values ('nouveau')")

    assert {(one.table, one.key, one.operation, one.origin) for one in port.changes(before)} == {
        (SECOND, "2", Operation.UPDATE, Origin.PERSON),
        (SECOND, "3", Operation.DELETE, Origin.PERSON),
        (FIRST, "4", Operation.INSERT, Origin.PERSON),
    }
    assert port.changes(port.head()) == []


def test_what_changes_while_a_table_is_read_is_seen_between_its_two_positions(brigades, tmp_path):
    install(tmp_path)
    port = open_port(tmp_path)

    batch = port.read_range(FIRST, KeyRange(None, None))
    brigades["480010"].run("update dossier set libelle = 'clos' where id = 1")

    assert port.changes(batch.low, batch.high) == []
    assert [(one.table, one.key) for one in port.changes(batch.high)] == [(SECOND, "1")]


def test_a_position_of_other_files_and_a_file_put_in_the_place_of_one_are_refused_by_name(brigades, tmp_path):
    install(tmp_path)
    before = open_port(tmp_path).head()

    alone = open_sqlite_files(paths_in(str(tmp_path), FILES[:1]), "closed_window")
    with pytest.raises(SourceDrifted, match=r"other files than banyan.yaml does \(480010\)"):
        alone.changes(before)
    restored = tmp_path / "restored.db"
    restored.write_bytes(brigades["480010"].path.read_bytes())
    os.replace(restored, brigades["480010"].path)
    with pytest.raises(SourceDrifted, match="480010: the Position belongs to another incarnation of this file"):
        open_port(tmp_path).changes(before)


@pytest.mark.parametrize("fence", ["triggers", "closed_window"])
def test_all_files_are_shut_and_opened_together_under_one_nonce(brigades, tmp_path, fence):
    nonce = install(tmp_path, fence)
    door = open_door(tmp_path, fence)
    assert install(tmp_path, fence) == nonce
    assert set(door.find_open([FIRST, SECOND])) == {FIRST, SECOND}

    shut(door, nonce)

    state = door.read()
    assert (state.mode, state.token, state.nonce) == (FenceMode.SEALED, 2, nonce)
    assert (door.find_open([FIRST, SECOND]), door.check_installed([FIRST, SECOND])) == ((), [])
    kind = FenceKind.CLOSED_WINDOW if fence == "closed_window" else FenceKind.ONLINE
    assert {open_port(tmp_path, fence).capabilities(table).fence.kind for table in (FIRST, SECOND)} == {kind}
    for file in brigades.values():
        with pytest.raises(sqlite3.Error):
            file.run("update dossier set libelle = 'trop tard'")
    assert door.open(3, nonce_old=nonce).accepted
    assert door.read().mode is FenceMode.OPEN
    for file in brigades.values():
        file.run("update dossier set libelle = 'de retour'")


def test_a_position_taken_before_the_window_closed_is_understood_while_it_is_shut(brigades, tmp_path):
    nonce = install(tmp_path)
    before = open_port(tmp_path).head()

    shut(open_door(tmp_path), nonce)

    assert open_port(tmp_path).changes(before) == []


def test_one_file_put_back_by_hand_opens_the_fence_and_is_named(brigades, tmp_path):
    nonce = install(tmp_path)
    door = open_door(tmp_path)
    shut(door, nonce)

    path = brigades["480010"].path
    path.rmdir()
    os.rename(path.parent / f".banyan-closed-{path.name}" / path.name, path)

    assert door.read().mode is FenceMode.OPEN
    assert door.find_open([FIRST, SECOND]) == (SECOND,)


def test_an_effect_that_one_file_refuses_is_refused_and_the_next_token_opens_all(brigades, tmp_path):
    nonce = install(tmp_path)
    door = open_door(tmp_path)
    brigades["480010"].run("update banyan_fence set token = 9")

    answer = door.close(2, lease_seconds=60, nonce_old=nonce, nonce_new=nonce)

    assert (answer.accepted, answer.reason) == (False, "old token")
    assert door.read().mode is FenceMode.OPEN
    assert door.open(10, nonce_old=nonce).accepted
    assert set(door.find_open([FIRST, SECOND])) == {FIRST, SECOND}


def test_a_file_restored_from_before_is_doubted_and_named(brigades, tmp_path):
    nonce, other = install(tmp_path), uuid4()
    door = open_door(tmp_path)
    brigades["480010"].run(f"update banyan_fence set nonce = '{other}'")

    assert door.read().nonce in (nonce, other)
    (defect,) = door.check_installed([FIRST, SECOND])
    assert defect.problem == "the fence of 480010 belongs to another incarnation than the first file's"
    refused = door.close(2, lease_seconds=60, nonce_old=nonce, nonce_new=nonce)
    assert (refused.accepted, refused.reason) == (False, "another incarnation")


def test_each_row_is_written_back_into_its_own_file(brigades, tmp_path):
    nonce = install(tmp_path)
    shut(open_door(tmp_path), nonce)
    port = open_port(tmp_path)
    before = port.head()

    with port.reverse_session(CLOSURE, 2, nonce=nonce) as session:
        written = session.upsert(SECOND, pl.DataFrame({"id": ["2"], "libelle": ["repris"]}))
        assert session.delete(FIRST, ["3"]) == 1
        assert session.read_back(SECOND, ["2"])["libelle"].to_list() == ["repris"]
        session.set_position(ROUTE, before)

    assert (written.inserted, written.updated) == (0, 1)
    assert port.read_range(FIRST, KeyRange(None, None)).rows["libelle"].to_list() == ["vu", "vu"]
    assert port.read_range(SECOND, KeyRange(None, None)).rows["libelle"].to_list() == ["vu", "repris", "vu"]
    assert open_port(tmp_path).reverse_position(ROUTE) == before
    assert {(one.table, one.key, one.origin) for one in port.changes(before)} == {
        (SECOND, "2", Origin.ROUTE), (FIRST, "3", Origin.ROUTE),
    }  # fmt: skip


def test_what_fails_half_way_leaves_the_old_position_and_is_done_again(brigades, tmp_path):
    nonce = install(tmp_path)
    shut(open_door(tmp_path), nonce)
    port = open_port(tmp_path)
    rows = pl.DataFrame({"id": ["1"], "libelle": ["repris"]})

    with pytest.raises(RuntimeError), port.reverse_session(CLOSURE, 2, nonce=nonce) as session:
        session.upsert(SECOND, rows)
        session.set_position(ROUTE, port.incarnation())
        raise RuntimeError
    assert port.reverse_position(ROUTE) is None
    assert port.read_keys(SECOND, ["1"]).rows["libelle"].to_list() == ["vu"]

    for _ in range(2):
        with port.reverse_session(CLOSURE, 2, nonce=nonce) as session:
            written = session.upsert(SECOND, rows)
            session.set_position(ROUTE, port.head())
    assert (written.updated, written.untouched) == (0, 1)


def test_a_file_whose_fence_is_open_admits_nobody_though_the_first_is_shut(brigades, tmp_path):
    nonce = install(tmp_path)
    door = open_door(tmp_path)
    shut(door, nonce)
    path = brigades["480010"].path
    path.rmdir()
    os.rename(path.parent / f".banyan-closed-{path.name}" / path.name, path)
    port = open_port(tmp_path)

    with (
        pytest.raises(StoreFenced, match="the fence is open"),
        port.reverse_session(CLOSURE, 2, nonce=nonce) as session,
    ):
        session.upsert(FIRST, pl.DataFrame({"id": ["1"], "libelle": ["repris"]}))
        session.upsert(SECOND, pl.DataFrame({"id": ["1"], "libelle": ["repris"]}))

    assert port.read_keys(FIRST, ["1"]).rows["libelle"].to_list() == ["vu"]


def test_numbers_are_reserved_in_the_file_they_are_for(brigades, tmp_path):
    install(tmp_path)
    brigades["480010"].run("delete from dossier where id > 1")

    assert open_port(tmp_path).reserve_keys(f"seq_{FIRST}", 2) == ["4", "5"]
    assert open_port(tmp_path).reserve_keys(f"seq_{SECOND}", 2) == ["2", "3"]
