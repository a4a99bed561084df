"""A small legacy SQLite file by hand: types that nobody enforces, a composite key, a unique index, a trigger."""

import ctypes
import ctypes.util
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from connectors.sqlite_database import SqliteDatabase, open_sqlite_database
from connectors.sqlite_door import Kind
from connectors.sqlite_fence import SqliteFence, install_sqlite_fence, open_sqlite_fence
from connectors.sqlite_window import SqliteWindow

CLOSURE = "48.cases"
SCHEMA = """
create table dossier (id integer primary key, numero text, libelle text, montant numeric, libre, octets blob,
  note text collate nocase, top_supp text default 'N', dt_maj text);
create table ligne (id integer, code text, rang integer, texte text, primary key (id, code, rang)) without rowid;
create table code (code text primary key, libelle text unique);
create table compte (id integer primary key autoincrement, nom text);
create table vrac (quoi text);
create trigger tr_maj after update on dossier when new.dt_maj is old.dt_maj begin
  update dossier set dt_maj = '2026-01-02', libelle = upper(libelle) where id = new.id; end;
"""
TRIGGERS_OFF = 1003
"""SQLITE_DBCONFIG_ENABLE_TRIGGER"""


@dataclass(frozen=True)
class LegacyFile:
    """One legacy file of a test, and programs that work in it."""

    path: Path

    def connect(self, *, timeout: float = 0.0) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=timeout)

    def run(self, *statements: str):
        with closing(self.connect(timeout=5.0)) as base:
            rows = [base.execute(statement).fetchall() for statement in statements]
        return rows[-1]

    def run_with_triggers_off(self, statement: str) -> None:
        """Write as a program that switches every trigger off through the C interface."""
        sqlite = ctypes.CDLL(ctypes.util.find_library("sqlite3") or "libsqlite3.so.0")
        base = ctypes.c_void_p()
        assert sqlite.sqlite3_open(str(self.path).encode(), ctypes.byref(base)) == 0
        assert sqlite.sqlite3_db_config(base, TRIGGERS_OFF, ctypes.c_int(0), None) == 0
        assert sqlite.sqlite3_exec(base, statement.encode(), None, None, None) == 0
        sqlite.sqlite3_close(base)

    def port(self, fence: Kind = "triggers", encoding: str = "utf-8") -> SqliteDatabase:
        return open_sqlite_database(self.path, fence, encoding=encoding)

    def install_fence(self, *tables: str, closure: str = CLOSURE, kind: Kind = "triggers") -> UUID:
        return install_sqlite_fence(self.path, closure, kind, tables or ("dossier", "ligne"))

    def fence(self, kind: Kind = "triggers", *, timeout_seconds: float = 2.0) -> SqliteFence | SqliteWindow:
        return open_sqlite_fence(self.path, CLOSURE, kind, timeout_seconds=timeout_seconds)


def make_legacy(folder: Path) -> LegacyFile:
    """Make a legacy file with the tables of the small world."""
    made = LegacyFile(folder / "brigade.db")
    with closing(made.connect()) as base:
        base.executescript(SCHEMA)
    return made
