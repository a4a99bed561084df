"""The file of one brigade, read through ODBC and straight from its bytes: the same rows, cell for cell.

Such a file has one wide table, filled by hand for twenty years: a block of columns for each suspect and victim, dates
as days since 30 December 1899, -1 and 0 for yes and no, and anything typed into columns that were meant for numbers.
"""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from connectors.odbc import open_odbc
from connectors.one_way import OneWayPort
from connectors.sqlite import STORAGE, SqliteTable, open_sqlite

pytestmark = [pytest.mark.journey, pytest.mark.odbc]

Cell = str | int | float | None
Row = tuple[Cell, ...]

TABLE, KEY, AFFAIRS, BATCH = "AFFAIRES", "N_AFFAIRE", 120, 37
OLE_DAY_ZERO = datetime(1899, 12, 30)
SUSPECT = ("NOM", "PRENOM", "DDN", "AGE", "MINEUR", "TEL")
VICTIM = ("NOM", "PRENOM", "DDN", "PLAINTE")
PEOPLE = {"MEC1": SUSPECT, "MEC2": SUSPECT, "MEC3": SUSPECT, "VIC1": VICTIM, "VIC2": VICTIM}
DECLARED = {
    "NOM": "VARCHAR(40)", "PRENOM": "VARCHAR(40)", "DDN": "DATE", "AGE": "INTEGER", "MINEUR": "BOOLEAN",
    "TEL": "VARCHAR(20)", "PLAINTE": "BOOLEAN",
}  # fmt: skip
COLUMNS = {
    KEY: "INTEGER PRIMARY KEY", "NUM PV": "VARCHAR(12)", "DT_FAITS": "DATE", "DT_SAISIE": "DATETIME",
    "CLOS": "BOOLEAN", "PREJUDICE": "NUMERIC", "MEMO": "TEXT",
} | {f"{who}_{what}": DECLARED[what] for who, columns in PEOPLE.items() for what in columns}  # fmt: skip
NUMBERS = [name for name, kind in COLUMNS.items() if kind in ("DATE", "DATETIME", "BOOLEAN", "NUMERIC", "INTEGER")]
TEXTS = [name for name in COLUMNS if name not in (KEY, *NUMBERS)]


@dataclass(frozen=True)
class BrigadeFile:
    """One file and what was typed into it."""

    path: Path
    rows: list[Row]

    def native(self) -> SqliteTable:
        return open_sqlite(self.path, TABLE, "utf-8")

    def odbc(self) -> OneWayPort:
        return open_odbc(f"DRIVER=SQLite3;Database={self.path};", "")

    def column(self, name: str) -> list[Cell]:
        return [row[list(COLUMNS).index(name)] for row in self.rows]


def read(table: SqliteTable | OneWayPort, **more) -> pl.DataFrame:
    if isinstance(table, OneWayPort):
        return pl.concat(table.read_range(TABLE, keys).rows for keys in table.plan_ranges(TABLE, BATCH))
    return pl.concat(table.read(BATCH, **more))


def raw_text(cell: Cell) -> str | None:
    """Say what a cell is as raw text; said here once more, so that two readers cannot be wrong together."""
    match cell:
        case float():
            return repr(cell)
        case int():
            return str(cell)
        case _:
            return cell


class Clerk:
    """Types synthetic affairs; the same seed types the same."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def row(self, number: int) -> Row:
        dice = self._dice
        cells: list[Cell] = [
            number,
            f"{number:05d}/{dice.randint(2001, 2024)}",
            self.day(2001, 2024, "courant mai"),
            self.minute(),
            self.yes_or_no("oui"),
            self.mostly(
                dice.choice([dice.randint(10, 9_000), dice.randint(10, 9_000) + dice.randint(1, 7) / 8]),
                "1 200 F",
                "env. 300 €",
            ),
            self.mostly("Vu sur place. « Rien à signaler »", "x" * 5_000, 'deux\r\nlignes; \'et "plus"'),
        ]
        for columns in PEOPLE.values():
            nobody = dice.random() < 0.4
            cells += [dice.choice([None, ""]) if nobody else self.about(what) for what in columns]
        return tuple(cells)

    def about(self, what: str) -> Cell:
        match what:
            case "NOM":
                return self.mostly("".join(self._dice.choices(["ZÉ", "BRO", "VALK", "ŒU", "MIR"], k=3)), "  ", "D'ÂM")
            case "PRENOM":
                return self.mostly("".join(self._dice.choices(["Lo", "ïa", "né", "mi"], k=2)), "INCONNU", "?")
            case "DDN":
                return self.day(1930, 2015, "vers 1960")
            case "AGE":
                return self.mostly(self._dice.randint(10, 90), "trentaine", "40 ans")
            case "TEL":
                return self.mostly(f"0{self._dice.randint(100_000_000, 999_999_999)}", "06.xx", "liste rouge")
            case _:
                return self.yes_or_no("NSP")

    def mostly(self, usual: Cell, *others: Cell) -> Cell:
        return self._dice.choices([usual, None, "", *others], [70, 9, 9, *[6] * len(others)])[0]

    def yes_or_no(self, other: str) -> Cell:
        return self.mostly(self._dice.choice([-1, 0]), other)

    def day(self, first: int, last: int, other: str) -> Cell:
        start, end = (date(year, 1, 1).toordinal() for year in (first, last))
        days = self._dice.randint(start, end) - OLE_DAY_ZERO.toordinal()
        return self.mostly(days, "31/02/2011", other)

    def minute(self) -> Cell:
        return self.mostly(self._dice.randint(37_000, 45_000) + self._dice.randint(1, 1439) / 1440, "12h30")


def fill(path: Path, seed: int) -> BrigadeFile:
    clerk = Clerk(seed)
    rows = [clerk.row(number) for number in range(1, AFFAIRS + 1)]
    with closing(sqlite3.connect(path)) as base, base:
        declared = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        base.execute(f"CREATE TABLE {TABLE} ({declared})")
        base.executemany(f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    return BrigadeFile(path, rows)


@pytest.fixture(scope="module")
def brigade(tmp_path_factory) -> BrigadeFile:
    return fill(tmp_path_factory.mktemp("brigade") / "BUREAU_48_03.db", seed=48)


def test_both_ways_give_every_cell_as_it_was_typed(brigade):
    native, odbc = brigade.native(), brigade.odbc()

    straight, driven = read(native, recno=True), read(odbc)

    typed = [tuple(map(raw_text, row)) for row in brigade.rows]
    assert straight.columns == [*driven.columns, "_recno"] == [*COLUMNS, "_recno"]
    assert straight.drop("_recno").rows() == typed
    assert driven.rows() == typed
    assert native.count_declared == odbc.count(TABLE) == AFFAIRS


def test_an_empty_text_and_an_unknown_value_are_told_apart_in_every_column(brigade):
    wanted = {name: Counter(cell for cell in brigade.column(name) if cell in ("", None)) for name in COLUMNS}

    for rows in (read(brigade.native()), read(brigade.odbc())):
        found = {name: Counter(cell for cell in rows[name] if cell in ("", None)) for name in COLUMNS}
        assert found == wanted

    assert all(wanted[name][""] and wanted[name][None] for name in COLUMNS if name not in (KEY, "NUM PV"))


def test_a_text_typed_into_a_column_of_numbers_is_kept_and_known_as_a_text(brigade):
    storage = read(brigade.native(), storage=True)[STORAGE].to_list()
    driven = read(brigade.odbc())

    for name in NUMBERS:
        place, cells = list(COLUMNS).index(name), brigade.column(name)
        letters = {str: "t", int: "i", float: "r", type(None): "n"}
        assert [row[place] for row in storage] == [letters[type(cell)] for cell in cells]
        assert [text for text, cell in zip(driven[name], cells, strict=True) if isinstance(cell, str)] == [
            cell for cell in cells if isinstance(cell, str)
        ]
    assert {name for name in NUMBERS if "t" in {row[list(COLUMNS).index(name)] for row in storage}} == set(NUMBERS) - {
        KEY
    }


def test_days_minutes_and_yes_or_no_mean_the_same_through_both(brigade):
    for rows in (read(brigade.native()), read(brigade.odbc())):
        closed = Counter(cell for cell in rows["CLOS"] if cell in ("-1", "0"))
        entered = [cell for cell in brigade.column("DT_SAISIE") if isinstance(cell, float)]
        minutes = [OLE_DAY_ZERO + timedelta(days=float(cell)) for cell in rows["DT_SAISIE"] if is_number(cell)]
        days = [OLE_DAY_ZERO + timedelta(days=int(cell)) for cell in rows["DT_FAITS"] if is_number(cell)]

        assert closed == Counter(str(cell) for cell in brigade.column("CLOS") if cell in (-1, 0))
        assert minutes == [OLE_DAY_ZERO + timedelta(days=cell) for cell in entered]
        assert min(days).year >= 2001 and max(days).year <= 2024
        assert len(days) == sum(isinstance(cell, int) for cell in brigade.column("DT_FAITS"))


def is_number(cell: str | None) -> bool:
    return bool(cell) and cell.replace(".", "", 1).isdigit()


def test_one_unknown_that_becomes_an_empty_text_is_one_changed_cell_through_both(tmp_path):
    brigade = fill(tmp_path / "BUREAU_48_04.db", seed=4)
    number = brigade.column("MEC1_NOM").index(None) + 1
    before = [read(table).rows() for table in (brigade.native(), brigade.odbc())]

    with closing(sqlite3.connect(brigade.path)) as base, base:
        base.execute(f"UPDATE {TABLE} SET MEC1_NOM = '' WHERE {KEY} = ?", (number,))
    after = [read(table).rows() for table in (brigade.native(), brigade.odbc())]

    for old, new in zip(before, after, strict=True):
        changed = [
            (row, column, a, b)
            for row, (left, right) in enumerate(zip(old, new, strict=True), 1)
            for column, a, b in zip(COLUMNS, left, right, strict=True)
            if a != b
        ]
        assert changed == [(number, "MEC1_NOM", None, "")]


def test_two_brigades_number_their_affairs_alike_and_are_not_mixed_up(brigade, tmp_path):
    other = fill(tmp_path / "BUREAU_48_05.db", seed=5)

    here, there = read(brigade.odbc()), read(other.odbc())

    assert here[KEY].to_list() == there[KEY].to_list()
    assert there.rows() == read(other.native()).rows()
    assert here.drop(KEY).rows() != there.drop(KEY).rows()
