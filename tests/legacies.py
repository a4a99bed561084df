"""A small legacy database by hand: every type that lies when it is read carelessly, and a composite key."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
from sqlalchemy.engine import URL, make_url

from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.postgresql_fence import PostgreSQLFence, install_fence, open_postgresql_fence
from wire.cluster import Cluster

ROLES = ("orion_app", "banyan_reader", "banyan_reverse", "banyan_guard")
CLOSURE = "38.cases"
SCHEMA = """
create schema orion;
create table orion.t_dossier (
  id_dossier numeric(10) primary key, numero char(12), libelle varchar(40), montant numeric(12, 2), libre numeric,
  ouvert date, saisi timestamp(0), note text, top_supp char(1) default 'N', dt_maj timestamp(0));
create table orion.t_ligne (id_dossier numeric(10), code char(4), rang smallint, texte varchar(20),
  primary key (id_dossier, code, rang));
create table orion.t_code (code varchar(10) primary key, libelle varchar(40));
create table orion.t_vrac (quoi text);
create sequence orion.seq_dossier start 501;
create function orion.f_maj() returns trigger language plpgsql as $$
begin new.dt_maj := timestamp '2026-01-02 03:04:05'; new.libelle := upper(new.libelle); return new; end $$;
create trigger tr_maj before update on orion.t_dossier for each row execute function orion.f_maj();
grant usage on schema orion to orion_app, banyan_reader, banyan_reverse, banyan_guard;
grant select, insert, update, delete, truncate on all tables in schema orion to orion_app;
grant usage on all sequences in schema orion to orion_app;
grant select on all tables in schema orion to banyan_reader;
"""


@dataclass(frozen=True)
class LegacyDatabase:
    """One legacy database of a test: its address, and connections as any role."""

    address: URL

    def url(self, role: str = "postgres") -> str:
        return self.address.set(username=role).render_as_string(hide_password=False)

    def connect(self, role: str = "postgres", *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(
            host=self.address.host,
            port=self.address.port,
            user=role,
            dbname=self.address.database,
            autocommit=autocommit,
        )

    def run(self, statement: str, parameters=None, *, role: str = "postgres"):
        with self.connect(role) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    def cut_when_waiting(self, role: str, *, seconds: float = 60) -> None:
        """Wait until an account stands behind a lock here, and end its connections, as a cut cable would."""
        mine = f"usename = '{role}' and datname = current_database()"
        until = time.monotonic() + seconds
        while not self.run(f"select 1 from pg_stat_activity where {mine} and wait_event_type = 'Lock'"):
            assert time.monotonic() < until, f"{role} never waited"
            time.sleep(0.02)
        self.run(f"select pg_terminate_backend(pid) from pg_stat_activity where {mine}")

    @contextmanager
    def port(self) -> Iterator[PostgreSQLPort]:
        port = open_postgresql(self.url("banyan_reader"), "orion", reverse_url=self.url("banyan_reverse"))
        yield port
        port.close()

    @contextmanager
    def fence(self, closure: str = CLOSURE, timeout_seconds: float = 5.0) -> Iterator[PostgreSQLFence]:
        fence = open_postgresql_fence(
            self.url("banyan_guard"),
            closure,
            schema="orion",
            probe_url=self.url("orion_app"),
            timeout_seconds=timeout_seconds,
        )
        yield fence
        fence.disconnect()

    def install_fence(self, *tables: str, closure: str = CLOSURE) -> UUID:
        return install_fence(self.url(), closure, tables or ("t_dossier", "t_ligne"), schema="orion")


def make_legacy(server: Cluster, name: str) -> LegacyDatabase:
    """Make this legacy database on any server, with its accounts."""
    url = make_url(server.url("postgres").render_as_string(hide_password=False))
    LegacyDatabase(url).run(f"create database {name} template template0")
    place = LegacyDatabase(url.set(database=name))
    for role in ROLES:
        place.run(f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$")
    place.run(SCHEMA)
    return place
