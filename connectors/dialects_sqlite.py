"""SQL for a SQLite file: the triggers of journal and fence, and rows found and written by their key.

A statement is put together from quoted names; values are bound. A text of ours that stands in a trigger is a literal.
"""

# ruff: noqa: S608 - the place where SQL is built from quoted identifiers

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from banyan.errors import SourceDrifted
from banyan.records import KEY_SEPARATOR
from connectors.dialects import statements
from connectors.sqlite_connection import FENCED

KEY_COLUMNS = 8
"""The journal has places for keys of so many columns."""
EVENTS = ("insert", "update", "delete")
_CLOCK = "(julianday('now') - 2440587.5) * 86400.0"
_WHO = "CASE WHEN EXISTS (SELECT 1 FROM banyan_admitted) THEN 'ROUTE' ELSE 'PERSON' END"


class Affinity(Enum):
    """What a column makes of a value that is stored in it."""

    INTEGER = "integer"
    TEXT = "text"
    NONE = "none"
    REAL = "real"
    NUMERIC = "numeric"


@dataclass(frozen=True, slots=True)
class SqliteShape:
    """A table as the file describes it; `unique` are further indexes whose rows a REPLACE takes away unseen."""

    name: str
    columns: tuple[str, ...]
    declared: dict[str, str] = field(repr=False)
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    definition: str = field(repr=False)

    @property
    def is_journalled(self) -> bool:
        """Tell whether its keys fit into the journal."""
        return 0 < len(self.key) <= KEY_COLUMNS

    @property
    def has_rowid(self) -> bool:
        """Tell whether its rows have numbers of their own."""
        return "withoutrowid" not in "".join(self.definition.split()).lower()

    @property
    def is_counted(self) -> bool:
        """Tell whether its keys are numbers that the file gives."""
        return len(self.key) == 1 and self.has_rowid and self.declared[self.key[0]].strip().lower() == "integer"

    @property
    def counts_onward(self) -> bool:
        """Tell whether a number once given is never given again."""
        return "autoincrement" in self.definition.lower()

    def affinity(self, column: str) -> Affinity:
        """Give what a column makes of a value, by the words of its declared type."""
        kind = self.declared[column].lower()
        if "int" in kind:
            return Affinity.INTEGER
        if any(part in kind for part in ("char", "clob", "text")):
            return Affinity.TEXT
        if "blob" in kind or not kind:
            return Affinity.NONE
        return Affinity.REAL if any(part in kind for part in ("real", "floa", "doub")) else Affinity.NUMERIC

    def key_parts(self, key: str) -> list[str]:
        """Split the text of a key into its columns; refuse one that has another number of them."""
        parts = key.split(KEY_SEPARATOR) if len(self.key) > 1 else [key]
        if len(parts) != len(self.key):
            raise SourceDrifted(
                f"a key of {self.name} has {len(parts)} columns and the table {len(self.key)}; nothing was read",
                table=self.name,
            )
        return parts


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger of ours, as the file keeps its text."""

    name: str
    table: str
    text: str = field(repr=False)


def quoted(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Write a text of ours into a statement that cannot be given values."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """Give one fixed statement of the SQLite connector."""
    return statements("sqlite")[name]


def drop_trigger(name: str) -> str:
    """Write the statement that takes a trigger away."""
    return f"DROP TRIGGER IF EXISTS {quoted(name)}"


def drop_table(name: str) -> str:
    """Write the statement that takes one of our tables away."""
    return f"DROP TABLE IF EXISTS {quoted(name)}"


def journal_triggers(shape: SqliteShape) -> list[Trigger]:
    """Write the triggers that note the key of every row written, and of rows that a REPLACE takes away."""
    insert = _entries(shape, [("I", "new", "")])
    delete = _entries(shape, [("D", "old", "")])
    same = " AND ".join(
        f"old.{quoted(k)} IS new.{quoted(k)} COLLATE BINARY AND typeof(old.{quoted(k)}) = typeof(new.{quoted(k)})"
        for k in shape.key
    )
    moved = f" WHERE NOT ({same})"
    update = _entries(shape, [("U", "new", f" WHERE {same}"), ("D", "old", moved), ("I", "new", moved)])
    written = [
        _trigger("journal", "insert", "AFTER INSERT", shape.name, insert),
        _trigger("journal", "update", "AFTER UPDATE", shape.name, update),
        _trigger("journal", "delete", "AFTER DELETE", shape.name, delete),
    ]
    if shape.unique:
        others = f"NOT ({_is_old(shape)}) AND "
        written += [
            _trigger("journal", "replace", "BEFORE INSERT", shape.name, _replaced(shape, "")),
            _trigger("journal", "displace", "BEFORE UPDATE", shape.name, _replaced(shape, others)),
        ]
    return written


def fence_triggers(closure: str, tables: Sequence[str]) -> list[Trigger]:
    """Write the triggers that ask the fence before each row of the tables of a closure."""
    refused = (
        f"SELECT RAISE(ABORT, {literal(FENCED)}) WHERE NOT EXISTS (\n"
        f"  SELECT 1 FROM banyan_fence f WHERE f.closure = {literal(closure)} AND (\n"
        "    EXISTS (SELECT 1 FROM banyan_admitted a WHERE a.closure = f.closure AND a.token = f.token"
        " AND a.nonce = f.nonce)\n"
        f"    OR f.mode = 'OPEN' OR (f.mode = 'CLOSED' AND {_CLOCK} >= f.lease_until)));"
    )
    return [_trigger("fence", event, f"BEFORE {event.upper()}", table, refused) for table in tables for event in EVENTS]


def explain_view(view: str) -> str:
    """Ask how SQLite would read a view; it reads no row."""
    return f"EXPLAIN SELECT * FROM {quoted(view)}"


def count_rows(shape: SqliteShape) -> str:
    """Count the rows of a table."""
    return f"SELECT count(*) FROM {quoted(shape.name)}"


def highest_key(shape: SqliteShape) -> str:
    """Give the highest number that stands in a table."""
    return f"SELECT coalesce(max({quoted(shape.key[0])}), 0) FROM {quoted(shape.name)}"


def select_where(shape: SqliteShape, places: Sequence[str]) -> str:
    """Select whole rows by the values of their key; what only compares equal must be sorted out by its text."""
    cells = ", ".join(quoted(name) for name in shape.columns)
    return f"SELECT {cells} FROM {quoted(shape.name)} WHERE {_where(shape, places)}"


def update_where(shape: SqliteShape, assigned: Sequence[tuple[str, str]], places: Sequence[str]) -> str:
    """Write the update of one row: columns with the places of their values."""
    written = ", ".join(f"{quoted(column)} = {place}" for column, place in assigned)
    return f"UPDATE {quoted(shape.name)} SET {written} WHERE {_where(shape, places)}"


def insert_row(shape: SqliteShape, assigned: Sequence[tuple[str, str]]) -> str:
    """Write the insert of one row: columns with the places of their values."""
    columns = ", ".join(quoted(column) for column, _ in assigned)
    return f"INSERT INTO {quoted(shape.name)} ({columns}) VALUES ({', '.join(place for _, place in assigned)})"


def delete_where(shape: SqliteShape, places: Sequence[str]) -> str:
    """Write the delete of one row."""
    return f"DELETE FROM {quoted(shape.name)} WHERE {_where(shape, places)}"


def touch_one(shape: SqliteShape) -> str:
    """Write one row as it is: a trigger fires for rows only."""
    column = next((name for name in shape.columns if name not in shape.key), shape.columns[0])
    own = ("rowid",) if shape.has_rowid else tuple(quoted(name) for name in shape.key)
    cells = ", ".join(own)
    which = f"({cells}) = (SELECT {cells} FROM {quoted(shape.name)} LIMIT 1)"
    return f"UPDATE {quoted(shape.name)} SET {quoted(column)} = {quoted(column)} WHERE {which}"


def _where(shape: SqliteShape, places: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(name)} IS {place}" for name, place in zip(shape.key, places, strict=True))


def _trigger(kind: str, word: str, when: str, table: str, body: str) -> Trigger:
    name = f"banyan_{kind}_{word}_{table}"
    return Trigger(name, table, f"CREATE TRIGGER {quoted(name)} {when} ON {quoted(table)} BEGIN\n{body}\nEND")


def _entries(shape: SqliteShape, written: Sequence[tuple[str, str, str]]) -> str:
    return "\n".join(f"{_into(shape)}{_entry(shape, op, row)}{where};" for op, row, where in written)


def _into(shape: SqliteShape) -> str:
    keys = ", ".join(f"k{place}" for place in range(1, len(shape.key) + 1))
    return f"INSERT INTO banyan_journal (table_name, op, origin, {keys}) "


def _entry(shape: SqliteShape, operation: str, row: str) -> str:
    keys = ", ".join(f"{row}.{quoted(name)}" for name in shape.key)
    return f"SELECT {literal(shape.name)}, '{operation}', {_WHO}, {keys}"


def _replaced(shape: SqliteShape, others: str) -> str:
    lines = []
    for index in shape.unique:
        equal = " AND ".join(f"t.{quoted(name)} = new.{quoted(name)}" for name in index)
        lines.append(f"{_into(shape)}{_entry(shape, 'D', 't')} FROM {quoted(shape.name)} t WHERE {others}{equal};")
    return "\n".join(lines)


def _is_old(shape: SqliteShape) -> str:
    return " AND ".join(f"t.{quoted(name)} IS old.{quoted(name)}" for name in shape.key)
