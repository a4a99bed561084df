"""Changes found where nothing may be installed: by the last writer of each row, and by comparing every row."""

import json
from dataclasses import dataclass

import pytest
from stores import make_store, store_template

from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental
from banyan.records import Operation, Position
from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.row_version import open_row_version
from connectors.snapshot_diff import open_snapshot_diff
from store.row_marks import StoreRowMarks

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
SOURCE = SourceRef("38", "ORION")


@dataclass
class Read:
    """A legacy database that is only read."""

    legacy: object
    place: object
    port: PostgreSQLPort

    def keys(self, since, until=None):
        return sorted(change.key for change in self.port.changes(since, until))

    def seen(self, since, until=None):
        return sorted((change.key, change.operation) for change in self.port.changes(since, until))


@pytest.fixture
def shown(legacy):
    """Let the reading account see how long transactions are open, as an administrator may grant it."""
    legacy.run("grant pg_read_all_stats to banyan_reader")
    yield legacy
    legacy.run("revoke pg_read_all_stats from banyan_reader")


@pytest.fixture(params=["", "dt_maj"])
def stamped(request, shown):
    shown.run("insert into orion.t_dossier (id_dossier, dt_maj) select n, '2001-01-01' from generate_series(1, 9) n")
    shown.run(
        "create or replace function orion.f_maj() returns trigger language plpgsql as"
        " 'begin new.dt_maj := localtimestamp(0); return new; end'"
    )
    way = open_row_version(("t_dossier",), request.param)
    port = open_postgresql(shown.url("banyan_reader"), "orion", capture=way)
    yield Read(shown, None, port)
    port.close()


def test_inserts_and_updates_are_found_once_and_nothing_was_installed(stamped):
    since = stamped.port.head()
    stamped.legacy.run("update orion.t_dossier set note = 'y' where id_dossier in (2, 3)")
    stamped.legacy.run("insert into orion.t_dossier (id_dossier) values (10)")
    until = stamped.port.head()
    stamped.legacy.run("update orion.t_dossier set dt_maj = clock_timestamp() where id_dossier = 4")

    assert stamped.port.capabilities("t_dossier").incremental is Incremental.WATERMARK
    assert not stamped.port.capabilities("t_dossier").deletes_visible
    assert stamped.legacy.run("select to_regnamespace('banyan')") == [(None,)]
    assert stamped.keys(since, until) == ["10", "2", "3"]
    assert stamped.legacy.run("update orion.t_dossier set top_supp = 'O' where id_dossier = 5") == []
    assert stamped.keys(stamped.port.head()) == []


def test_a_row_stamped_before_a_look_and_committed_after_it_is_found_by_the_next_one(stamped):
    with stamped.legacy.connect(autocommit=False) as late:
        late.execute("update orion.t_dossier set note = 'late' where id_dossier = 1")
        since = stamped.port.head()
        stamped.legacy.run("update orion.t_dossier set note = 'quick' where id_dossier = 2")
        until = stamped.port.head()
        before = stamped.keys(since, until)
        late.commit()

    assert before == ["2"]
    assert stamped.keys(until) == ["1"]


def test_an_overlap_that_cannot_be_proved_is_refused(stamped):
    stamped.legacy.run("revoke pg_read_all_stats from banyan_reader")
    with stamped.legacy.connect(autocommit=False) as hidden:
        hidden.execute("select 1")
        with pytest.raises(ConfigurationError, match="no overlap can be proved"):
            stamped.port.head()


def test_a_database_behind_its_position_is_refused_by_rows_too(stamped):
    ahead = json.loads(stamped.port.head()) | {"snapshot": "900000000:900000000:"}

    with pytest.raises(SourceDrifted, match="another incarnation"):
        stamped.port.changes(Position(json.dumps(ahead)))


@pytest.fixture
def compared(legacy, make_store):
    legacy.run("insert into orion.t_dossier (id_dossier) select n from generate_series(1, 9) n")
    place = make_store()
    place.run(
        "insert into mig.source_table (department_code, system_code, table_name) values ('38', 'ORION', 't_dossier')"
    )
    marks = StoreRowMarks(lambda: place.engine("banyan_forward"), SOURCE)
    way = open_snapshot_diff(("t_dossier",), marks, key=b"k" * 32)
    port = open_postgresql(legacy.url("banyan_reader"), "orion", capture=way)
    yield Read(legacy, place, port)
    port.close()


def test_deletes_and_changes_without_any_stamp_are_found_by_comparing(compared):
    since = compared.port.head()
    compared.legacy.run("alter table orion.t_dossier disable trigger all")
    compared.legacy.run("update orion.t_dossier set note = 'y' where id_dossier in (2, 3)")
    compared.legacy.run("delete from orion.t_dossier where id_dossier = 4")
    compared.legacy.run("update orion.t_dossier set id_dossier = 50 where id_dossier = 5")
    until = compared.port.head()
    compared.legacy.run("delete from orion.t_dossier where id_dossier = 6")

    first, second = compared.seen(since, until), compared.seen(until)

    assert first == sorted([("2", CHANGED), ("3", CHANGED), ("4", GONE), ("5", GONE), ("50", NEW)])
    assert second == [("6", GONE)]
    assert compared.seen(since, until) == first
    assert compared.seen(compared.port.head()) == []
    assert compared.legacy.run("select to_regnamespace('banyan')") == [(None,)]


def test_the_hashes_kept_are_keyed_and_no_value_is(compared):
    compared.port.head()

    plain = compared.legacy.run(
        "select sha256(convert_to(t::text, 'UTF8')) from orion.t_dossier t where id_dossier = 1"
    )
    kept = compared.place.run("select row_hash from mig.row_mark where source_key = '1'")

    assert len(kept[0][0]) == 16
    assert kept[0][0] != plain[0][0][:16]


def test_a_look_that_fails_leaves_marks_and_findings_as_they_were(compared):
    since = compared.port.head()
    compared.legacy.run("delete from orion.t_dossier where id_dossier = 1")
    compared.place.run("alter table mig.row_mark add constraint none check (source_key <> '99') not valid")
    compared.legacy.run("insert into orion.t_dossier (id_dossier) values (99)")
    with pytest.raises(Exception, match="refused a statement"):
        compared.port.head()
    compared.place.run("alter table mig.row_mark drop constraint none")

    assert compared.seen(since) == [("1", GONE), ("99", NEW)]


def test_marks_of_another_history_are_not_trusted(compared, make_database):
    since = compared.port.head()
    compared.port.close()
    copy = make_database(template=compared.legacy.address.database)
    marks = StoreRowMarks(lambda: compared.place.engine("banyan_forward"), SOURCE)
    way = open_snapshot_diff(("t_dossier",), marks, key=b"k" * 32)
    other = open_postgresql(copy.replace("postgres@", "banyan_reader@"), "orion", capture=way)

    with pytest.raises(SourceDrifted, match="another incarnation"):
        other.changes(since)
    other.close()
