"""A small legacy MariaDB by hand: a composite key, cascades, a table without transactions."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import pymysql

from connectors.mariadb import MariaDBPort, open_mariadb
from connectors.mariadb_connection import ask
from connectors.mariadb_fence import MariaDBFence, open_mariadb_fence
from connectors.mariadb_fence_plan import install_fence
from wire.mariadb import MariaDBServer

ACCOUNTS = ("marel_app", "banyan_reader", "banyan_reverse", "banyan_guard")
CLOSURE = "38.cases"
_numbers = itertools.count(1)
SCHEMA = (
    """create table dossier (id int unsigned auto_increment primary key, numero char(12), libelle varchar(40)
       character set latin1, montant decimal(12,2), ouvert date, saisi datetime, note text,
       top_supp char(1) default 'N', dt_maj datetime null)""",
    """create table ligne (id int unsigned, code char(4), rang smallint, texte varchar(20),
       primary key (id, code, rang))""",
    "create table code (code varchar(10) primary key, libelle varchar(40))",
    "create table vrac (quoi text)",
    "create table vieux (id int primary key, texte varchar(20)) engine = myisam",
    """create table personne (id int primary key, nom varchar(30), chef int null,
       constraint fk_dossier foreign key (chef) references chef (id) on delete cascade on update cascade)""",
)
CHEF = "create table chef (id int primary key, nom varchar(30))"
TRIGGER = """create trigger tr_maj before update on dossier for each row
  begin set new.dt_maj = '2026-01-02 03:04:05'; set new.libelle = upper(new.libelle); end"""


@dataclass(frozen=True)
class LegacyMariaDB:
    """One legacy database of a test: its server, and connections as any account."""

    server: MariaDBServer
    schema: str

    def url(self, account: str = "root") -> str:
        return self.server.url(self.schema, account).render_as_string(hide_password=False)

    def connect(self, account: str = "root", *, autocommit: bool = True) -> pymysql.connections.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.server.port, user=account, database=self.schema, charset="utf8mb4",
            autocommit=autocommit,
        )  # fmt: skip

    def run(self, *statements: str, account: str = "root"):
        with self.connect(account) as connection:
            rows = [ask(connection, statement) for statement in statements]
        return list(rows[-1])

    @contextmanager
    def port(self, way: str = "journal", tables=None) -> Iterator[MariaDBPort]:
        port = open_mariadb(
            self.url("banyan_reader"), self.schema, reverse_url=self.url("banyan_reverse"), way=way, tables=tables
        )
        yield port
        port.close()

    @contextmanager
    def fence(self, closure: str = CLOSURE, timeout_seconds: float = 5.0) -> Iterator[MariaDBFence]:
        fence = open_mariadb_fence(
            self.url("banyan_guard"),
            closure,
            schema=self.schema,
            probe_url=self.url("marel_app"),
            timeout_seconds=timeout_seconds,
        )
        yield fence
        fence.disconnect()

    def drop(self) -> None:
        self.run(f"drop database {self.schema}", f"drop database if exists banyan_{self.schema}")

    def install_fence(self, *tables: str, closure: str = CLOSURE) -> UUID:
        return install_fence(self.url(), closure, tables or ("dossier", "ligne"), schema=self.schema)


def make_legacy(server: MariaDBServer, *statements: str) -> LegacyMariaDB:
    """Make a legacy database with its accounts; the tables of the small world unless others are given."""
    place = LegacyMariaDB(server, f"marel_{next(_numbers)}")
    with pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True) as root:
        ask(root, f"create database {place.schema} character set utf8mb4")
        for account in ACCOUNTS:
            ask(root, f"create user if not exists {account}@'%'")
        ask(root, f"grant select, insert, update, delete on {place.schema}.* to marel_app@'%'")
        ask(root, f"grant select on {place.schema}.* to banyan_reader@'%'")
        ask(root, "grant replication slave, binlog monitor on *.* to banyan_reader@'%'")
    place.run(*(statements or (CHEF, *SCHEMA, TRIGGER)))
    return place
