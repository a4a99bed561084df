"""The people of an old side in a trace, on each store: what they write, how it is refused, how a lease ends."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pymysql
from brigades import BrigadeWorld
from marels import MarelWorld
from sides import Sides
from sqlalchemy.engine import make_url
from switches import SwitchWorld

from connectors.mariadb_connection import ask
from store.postgres import transaction


@dataclass(frozen=True)
class Cell:
    """What people write in a trace: a legacy column, and the canonical one that says the same."""

    table: str
    key: str
    column: str
    record: str
    field: str


class Officers(Protocol):
    """The people of one old side."""

    cell: Cell
    refusals: tuple[type[Exception], ...]
    """What they are told when a write of theirs is refused."""
    is_one_writer: bool
    """Nobody can be asked anything while one of them writes."""

    def begin(self, key: str, value: str) -> Any:
        """Write in a transaction of its own; gives the connection, which commits or closes."""
        ...

    def end_lease(self) -> None:
        """Let the lease of a closed fence run out."""
        ...

    def run(self, statement: str) -> list[tuple]:
        """Run a statement as the one who may do anything there; gives its rows."""
        ...

    def make_anew(self) -> None:
        """Drop the table of the cell and make it again with the same rows, and none of our triggers."""
        ...

    def refuse(self, *, again: bool) -> dict[str, str]:
        """Let the old system refuse values in the cell, or no more; gives each with the reason it gives."""
        ...


class OrionOfficers:
    """Officers in a PostgreSQL."""

    cell = Cell("t_proc", "id_proc", "observ", "case_file", "note_text")
    refusals: tuple[type[Exception], ...] = (psycopg.Error,)
    is_one_writer = False

    def __init__(self, world: SwitchWorld) -> None:
        self._world = world

    def begin(self, key: str, value: str) -> psycopg.Connection:
        url = make_url(self._world.project.url(self._world.project.legacy, "orion_app")).set(drivername="postgresql")
        client = psycopg.connect(url.render_as_string(hide_password=False))
        try:
            client.execute("update orion.t_proc set observ = %s where id_proc = %s", (value, int(key)))
        except psycopg.Error:
            client.close()
            raise
        return client

    def end_lease(self) -> None:
        self.run("update banyan.fence set lease_until = clock_timestamp() - interval '1 s'"
                 f" where mode = 'CLOSED' and closure = '{self._world.name}'")  # fmt: skip

    def run(self, statement: str) -> list[tuple]:
        return self._world.ask_legacy(statement.replace("{schema}", "orion."))

    def make_anew(self) -> None:
        self.run("create table orion.t_new (like orion.t_proc including all)")
        self.run("insert into orion.t_new select * from orion.t_proc")
        self.run("drop table orion.t_proc")
        self.run("alter table orion.t_new rename to t_proc")
        self.run("grant select, insert, update, delete on orion.t_proc to orion_app")
        self.run("grant select on orion.t_proc to banyan_reader")

    def refuse(self, *, again: bool) -> dict[str, str]:
        if again:
            self.run("alter table orion.t_proc add constraint ck_observ check (observ not like 'INTERDIT%')")
        else:
            self.run("alter table orion.t_proc drop constraint ck_observ")
        return {"INTERDIT": "ck_observ (23514)"}


class MarelOfficers:
    """Officers in a MariaDB."""

    cell = Cell("objets", "id_objet", "serie", "item", "serial_number")
    refusals: tuple[type[Exception], ...] = (pymysql.MySQLError,)
    is_one_writer = False

    def __init__(self, world: MarelWorld) -> None:
        self._world = world

    def begin(self, key: str, value: str) -> pymysql.connections.Connection:
        client = self._world.marel.connect("marel_app", autocommit=False)
        try:
            ask(client, "update objets set serie = %s where id_objet = %s", (value, int(key)))
        except pymysql.MySQLError:
            client.close()
            raise
        return client

    def end_lease(self) -> None:
        self.run(f"update banyan_{self._world.marel.schema}.fence set lease_until = '2000-01-01'"
                 f" where mode = 'CLOSED' and closure = '{self._world.name}'")  # fmt: skip

    def run(self, statement: str) -> list[tuple]:
        return self._world.marel.run(statement.replace("{schema}", ""))

    def make_anew(self) -> None:
        text = self.run("show create table objets")[0][1]
        self._world.marel.run(
            "set foreign_key_checks = 0", "create table copie as select * from objets", "drop table objets", text,
            "insert into objets select * from copie", "drop table copie",
        )  # fmt: skip

    def refuse(self, *, again: bool) -> dict[str, str]:
        """By a constraint, by a trigger, and by the width of a column that the rules take for wider."""
        if again:
            self._world.marel.run(
                "alter table objets add constraint ck_serie check (serie <> 'INTERDIT')",
                "alter table objets modify serie varchar(28)",
                "create trigger tr_serie before update on objets for each row begin if new.serie = 'JAMAIS' then"
                " signal sqlstate '45000' set message_text = 'JAMAIS'; end if; end",
            )
        else:
            self._world.marel.run(
                "alter table objets drop constraint ck_serie", "alter table objets modify serie varchar(30)",
                "drop trigger tr_serie",
            )  # fmt: skip
        return {
            "INTERDIT": "ck_serie (4025)",
            "JAMAIS": "its type or a trigger (1644)",
            "L" * 29: "serie (1406)",
        }


class BrigadeOfficers:
    """Programs that have the file of a brigade open: one of them writes at a time."""

    cell = Cell("AFFAIRES", "ID", "MEMO", "case_file", "note_text")
    refusals: tuple[type[Exception], ...] = (sqlite3.Error,)
    is_one_writer = True

    def __init__(self, world: BrigadeWorld) -> None:
        self._world = world

    def begin(self, key: str, value: str) -> sqlite3.Connection:
        client = sqlite3.connect(self._world.path, isolation_level=None, timeout=1)
        try:
            client.execute("begin immediate")
            client.execute("update AFFAIRES set MEMO = ? where ID = ?", (value, int(key)))
        except sqlite3.Error:
            client.close()
            raise
        return client

    def end_lease(self) -> None:
        self.run(f"update banyan_fence set lease_until = 1.0 where mode = 'CLOSED' and closure = '{self._world.name}'")

    def run(self, statement: str) -> list[tuple]:
        with closing(sqlite3.connect(self._world.path, timeout=10)) as base, base:
            return base.execute(statement.replace("{schema}", "")).fetchall()

    def make_anew(self) -> None:
        text = self.run("select sql from sqlite_master where name = 'AFFAIRES'")[0][0]
        for statement in ("create table copie as select * from AFFAIRES", "drop table AFFAIRES", text,
                          "insert into AFFAIRES select * from copie", "drop table copie"):  # fmt: skip
            self.run(statement)

    def refuse(self, *, again: bool) -> dict[str, str]:
        self.run("create trigger tr_memo before update on AFFAIRES when new.MEMO = 'INTERDIT'"
                 " begin select raise(abort, 'INTERDIT'); end" if again else "drop trigger tr_memo")  # fmt: skip
        return {"INTERDIT": "its type or a trigger (SQLITE_CONSTRAINT_TRIGGER)"}


def find_keys(world: Sides, count: int) -> list[str]:
    """Give the last legacy keys that a record stands for; never the first ones, of which a probe touches one."""
    number = world.rig.table_numbers[officers_of(world).cell.table]
    rows = world.ask_store("select source_key from mig.crosswalk where source_table_no = :n and deleted_at is null"
                           " order by source_key::bigint desc limit :count", n=number, count=count)  # fmt: skip
    return [key for (key,) in rows]


def find_record(world: Sides, key: str) -> UUID:
    """Give the record of a legacy key."""
    number = world.rig.table_numbers[officers_of(world).cell.table]
    query = "select id from mig.crosswalk where source_table_no = :n and source_key = :k"
    return world.ask_store(query, n=number, k=key)[0][0]


def write_record(world: Sides, key: str, value: str) -> None:
    """Write as the new application."""
    cell = officers_of(world).cell
    with transaction(world.rig.workspace.engine("banyan_app")) as connection:
        done = connection.exec_driver_sql(
            f"update justice.{cell.record} set {cell.field} = %s where department_code = %s and id = %s",
            (value, world.closure.department_code, find_record(world, key)),
        )
        assert done.rowcount == 1


def read_record(world: Sides, key: str) -> str | None:
    """Read what the new system says."""
    cell = officers_of(world).cell
    query = f"select {cell.field} from justice.{cell.record} where id = :i"
    return world.ask_store(query, i=find_record(world, key))[0][0]


def read_row(world: Sides, key: str) -> str | None:
    """Read what the old system says."""
    people = officers_of(world)
    cell = people.cell
    said = people.run(f"select {cell.column} from {{schema}}{cell.table} where {cell.key} = {key}")[0][0]
    return said if said is None else said.rstrip()


def officers_of(world: Sides) -> Officers:
    """Give the people of a world's old side."""
    match world:
        case SwitchWorld():
            return OrionOfficers(world)
        case MarelWorld():
            return MarelOfficers(world)
        case BrigadeWorld():
            return BrigadeOfficers(world)
    raise AssertionError(f"nobody works in {type(world).__name__}")
