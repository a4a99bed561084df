import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from sqlites import LegacyFile, make_legacy

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental, LegacyPort, WriteBack
from banyan.records import KEY_SEPARATOR, Operation, Origin, Position
from connectors.database import DatabasePort

TABLES = ("dossier", "ligne", "code", "compte")


@pytest.fixture
def file(tmp_path) -> LegacyFile:
    return make_legacy(tmp_path)


@pytest.fixture
def port(file):
    made = file.port()
    made.install_capture(str(file.path), TABLES)
    return made


def told(port, since):
    return {(one.table, one.key, one.operation.value) for one in port.changes(since)}


def test_each_kind_of_statement_leaves_the_keys_it_touched(file, port):
    since = port.head()

    file.run(
        "insert into dossier (id, numero) values (1, 'a'), (2, 'b'), (3, 'c')",
        "update dossier set numero = 'd' where id = 2",
        "delete from dossier where id = 3",
        "insert into ligne values (1, 'A', 1, 'x')",
        "replace into ligne values (1, 'A', 1, 'y')",
        "insert into code values ('k', 'l') on conflict (code) do update set libelle = 'm'",
    )

    assert isinstance(port, LegacyPort)
    assert isinstance(port, DatabasePort)
    assert told(port, since) == {
        ("dossier", "1", "I"),
        ("dossier", "2", "U"),
        ("dossier", "3", "D"),
        ("ligne", KEY_SEPARATOR.join(("1", "A", "1")), "I"),
        ("code", "k", "I"),
    }


def test_a_changed_key_leaves_the_old_and_the_new_one_even_in_case_or_class_alone(file, port):
    file.run("insert into dossier (id) values (1)", "insert into code values ('a', 'x')")
    file.run("create table libre (k primary key)", "insert into libre values (5)")
    port.install_capture(str(file.path), (*TABLES, "libre"))
    port = file.port()
    since = port.head()

    file.run(
        "update dossier set id = 7 where id = 1", "update code set code = 'A'", "update libre set k = '5x' where k = 5"
    )

    assert told(port, since) == {
        ("dossier", "1", "D"), ("dossier", "7", "U"), ("code", "a", "D"), ("code", "A", "I"),
        ("libre", "5", "D"), ("libre", "5x", "I"),
    }  # fmt: skip


def test_a_row_that_a_replace_takes_away_by_another_index_is_told(file, port):
    file.run("insert into code values ('a', 'same'), ('b', 'other'), ('c', 'third')")
    since = port.head()

    file.run(
        "insert or replace into code values ('z', 'same')",
        "update or replace code set libelle = 'third' where code = 'b'",
    )

    assert file.run("select code from code order by 1") == [("b",), ("z",)]
    assert told(port, since) == {("code", "a", "D"), ("code", "z", "I"), ("code", "c", "D"), ("code", "b", "U")}


def test_many_changes_of_one_key_are_one_entry_and_a_rollback_leaves_nothing(file, port):
    since = port.head()

    file.run("insert into dossier (id) values (1)", "delete from dossier", "insert into dossier (id) values (1)")
    file.run("begin", "insert into dossier (id) values (2)", "rollback")

    assert told(port, since) == {("dossier", "1", "I")}
    assert port.changes(port.head()) == []


def test_a_writer_that_has_not_committed_is_told_once_it_has(file, port):
    since = port.head()
    with closing(file.connect()) as writer:
        writer.execute("begin immediate")
        writer.execute("insert into compte (nom) values ('x')")
        middle = port.head()
        assert told(port, since) == set()
        writer.execute("commit")

    assert told(port, middle) == {("compte", "1", "I")}


def test_the_union_of_the_batches_of_concurrent_writers_is_exactly_what_was_committed(file, port):
    def work(who):
        with closing(sqlite3.connect(file.path, isolation_level=None, timeout=30)) as base:
            for number in range(25):
                base.execute("insert into ligne values (?, 'w', ?, '')", (who, number))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    positions, found = [port.head()], set()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or len(positions) < 3:
        positions.append(port.head())
        found |= {one.key for one in port.changes(positions[-2], positions[-1])}
    for thread in threads:
        thread.join()
    found |= {one.key for one in port.changes(positions[-1])}

    assert found == {KEY_SEPARATOR.join((str(who), "w", str(number))) for who in range(4) for number in range(25)}


def test_a_position_of_another_file_or_of_nothing_is_refused(file, port, tmp_path):
    position = port.head()
    (tmp_path / "other").mkdir()
    other = make_legacy(tmp_path / "other")
    other.port().install_capture(str(other.path), TABLES)

    with pytest.raises(SourceDrifted, match="another incarnation"):
        other.port().changes(position)
    with pytest.raises(SourceDrifted, match="cannot be read"):
        port.changes(Position("nonsense"))


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_file_restored_in_place_is_refused_though_its_numbers_go_on(file, port, tmp_path, goes_on):
    file.run("insert into dossier (id) values (1)")
    shutil.copyfile(file.path, tmp_path / "backup")
    file.run("insert into dossier (id) values (2)")
    position = port.head()

    shutil.copyfile(tmp_path / "backup", file.path)  # in place: the file keeps its number on the disk
    if goes_on:
        file.run("insert into dossier (id) values (8), (9)")

    with pytest.raises(SourceDrifted, match="restored from a backup"):
        file.port().changes(position)


def test_pruning_removes_what_was_read_and_refuses_older_questions(file, port):
    first = port.head()
    file.run("insert into dossier (id) values (1), (2), (3)")
    middle = port.head()
    file.run("insert into dossier (id) values (4)")

    removed = port.prune(middle)

    assert removed == 2
    assert told(port, middle) == {("dossier", "4", "I")}
    with pytest.raises(SourceDrifted, match="pruned"):
        port.changes(first)


@pytest.mark.parametrize(
    "sabotage",
    [
        "drop trigger banyan_journal_insert_dossier",
        "drop trigger banyan_journal_replace_code",
        "alter table code rename to codes",
        "drop table dossier",
        "create unique index u on dossier (numero)",
    ],
)
def test_a_journal_that_was_tampered_with_is_loud_until_installed_again(file, port, sabotage):
    position = port.head()
    file.run(sabotage)

    with pytest.raises(SourceDrifted, match="was removed or changed"):
        file.port().changes(position)

    if "unique" in sabotage or "trigger" in sabotage:
        file.port().install_capture(str(file.path), TABLES)
        assert file.port().changes(position) == []


def test_a_trigger_whose_text_was_changed_is_not_taken_for_ours(file, port):
    position = port.head()
    file.run(
        "drop trigger banyan_journal_delete_dossier",
        "create trigger banyan_journal_delete_dossier after delete on dossier begin select 1; end",
    )

    assert file.port().capabilities("dossier").incremental is Incremental.NONE
    with pytest.raises(SourceDrifted, match="dossier"):
        port.changes(position)


def test_the_plan_shows_every_statement_and_changes_nothing(file):
    before = file.path.read_bytes()
    plan = file.port().plan_capture(("dossier", "code"))

    assert file.path.read_bytes() == before
    with closing(file.connect()) as base:
        for line in plan:
            base.execute(line)
    assert file.port().plan_capture(("dossier", "code"))[-1].startswith("CREATE TABLE IF NOT EXISTS")
    assert {file.port().capabilities(table).incremental for table in ("dossier", "code")} == {Incremental.JOURNAL}


def test_removing_the_journal_leaves_nothing_of_it(file, port):
    position = port.head()
    port.remove_capture(str(file.path), ("code",))
    assert port.capabilities("code").incremental is Incremental.NONE
    assert port.capabilities("dossier").incremental is Incremental.JOURNAL

    port.remove_capture(str(file.path))

    assert file.run("select name from sqlite_master where name like 'banyan_journal%'") == []
    assert port.tables() == ["code", "compte", "dossier", "ligne", "vrac"]
    with pytest.raises((ConfigurationError, SourceDrifted)):
        port.changes(position)


def test_a_table_without_key_is_never_followed_and_says_so(file, port):
    can = port.capabilities("vrac")

    assert (can.incremental, can.write_back) == (Incremental.NONE, WriteBack.NONE)
    with pytest.raises(SourceDrifted, match="no primary key"):
        port.install_capture(str(file.path), ("vrac",))


def test_the_last_number_of_a_person_is_not_disturbed_by_the_journal(file, port):
    since = port.head()
    with closing(file.connect()) as base:
        first = base.execute("insert into compte (nom) values ('x')").lastrowid
        second = base.execute("insert into compte (nom) values ('y')").lastrowid

    assert (first, second) == (1, 2)
    assert {(one.operation, one.origin) for one in port.changes(since)} == {(Operation.INSERT, Origin.PERSON)}
