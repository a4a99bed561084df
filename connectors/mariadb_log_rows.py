"""Which cells of the rows in a binary log are the key, and what else a row tells: who wrote it, what a cascade took."""

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

from banyan.errors import SourceDrifted
from banyan.records import KEY_SEPARATOR
from connectors.dialects_mariadb import INTEGER_TYPES, ColumnType, MariaDBShape, home_of
from connectors.mariadb_capture import Entry, Watched
from wire.binlog import Rows
from wire.binlog_cells import Cell, Reading, TableMap

_CODECS: Final = {
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "latin1": "latin1", "ascii": "ascii", "cp1250": "cp1250",
    "cp1251": "cp1251", "cp850": "cp850", "cp852": "cp852", "latin2": "iso8859-2",
    "latin5": "iso8859-9", "latin7": "iso8859-13",
}  # fmt: skip
_LOGGED_KINDS: Final = {
    Reading.SIGNED: (1, 2, 3, 8, 9), Reading.UNSIGNED: (1, 2, 3, 8, 9), Reading.DECIMAL: (246,),
    Reading.TEXT: (15, 253, 254), Reading.DATE: (10, 14), Reading.DATETIME: (18,), Reading.YEAR: (13,),
}  # fmt: skip
_ENTRY: Final = (Cell(2, Reading.TEXT), Cell(3, Reading.TEXT), Cell(4, Reading.TEXT), Cell(5, Reading.UNSIGNED))
_BY_PERSON: Final = "1"  # the first word of the enumeration of origins


def reading_of(kind: ColumnType) -> tuple[Reading, str] | None:
    """Tell how a column of a key is read from the log, and its codec; None when its text would be a guess."""
    match kind.name:
        case name if name in INTEGER_TYPES:
            return (Reading.UNSIGNED if kind.is_unsigned else Reading.SIGNED), ""
        case "decimal" if not kind.zero_filled:
            return Reading.DECIMAL, ""
        case "char" | "varchar" if kind.encoding in _CODECS:
            codecs.lookup(_CODECS[kind.encoding])
            return Reading.TEXT, _CODECS[kind.encoding]
        case "date":
            return Reading.DATE, ""
        case "datetime":
            return Reading.DATETIME, ""
        case "year":
            return Reading.YEAR, ""
        case _:
            return None


def is_loggable(shape: MariaDBShape) -> bool:
    """Tell whether the key of a table can be read from the log, to the letter."""
    return bool(shape.key) and all(reading_of(shape.types[name]) for name in shape.key)


class TableAltered(SourceDrifted):
    """The log describes other columns of a table than the catalogue does today."""


class RowReader:
    """Reads the keys of watched tables out of rows of the log."""

    def __init__(self, watched: Watched, *, is_guarded: bool, may_sweep: bool = False) -> None:
        self.swept: set[str] = set()
        self._may_sweep = may_sweep
        self._watched = watched
        self._home = home_of(watched.schema)
        self._is_guarded = is_guarded
        self._cells: dict[tuple[str, tuple[str, ...]], tuple[Cell, ...]] = {}
        self._parents = watched.cascades.followed

    @property
    def names(self) -> frozenset[str]:
        """Give the names of the watched tables, of those that are gone and of the parents of cascades."""
        return frozenset((*self._watched.shapes, *self._watched.gone, *self._watched.cascades.parents))

    @property
    def keyed(self) -> frozenset[str]:
        """Give the names of the watched tables whose rows have keys."""
        return frozenset(name for name, shape in self._watched.shapes.items() if shape.key)

    def sweep(self, tables: Iterable[str], because: SourceDrifted) -> None:
        """Leave these tables to a sweep of all their keys, since the log does not name their rows; or refuse."""
        wanted = frozenset(tables)
        if not self._may_sweep or not wanted <= self.keyed:
            raise because
        self.swept |= wanted

    def meant(self, tables: Iterable[str]) -> frozenset[str]:
        """Give those whose rows are asked for: the parent of a cascade alone is not; one that is gone is."""
        return frozenset(tables) & (frozenset(self._watched.shapes) | frozenset(self._watched.gone))

    def reached_from(self, tables: Iterable[str]) -> frozenset[str]:
        """Give the watched tables whose rows a deed on one of these tables may reach by foreign keys."""
        parents = frozenset(tables)
        return frozenset(one.child for one in self._parents if one.parent in parents) | (
            self._watched.cascades.lost & parents
        )

    def is_admission(self, rows: Rows) -> bool:
        """Tell whether these rows are a mark of the reverse applier: of its transaction, or of a row that no rollback
        takes back, which the log holds before that transaction and apart from it.
        """
        return rows.table.schema == self._home and rows.table.table in ("admitted", "passed")

    def entries(self, rows: Rows) -> Iterator[Entry]:
        """Give what rows tell of watched tables; nothing for others."""
        if rows.table.schema == self._home:
            if rows.table.table == "journal" and rows.operation == "I":
                yield from self._cascaded(rows)
            return
        if rows.table.schema != self._watched.schema:
            return
        self._refuse_cascade(rows)
        shape = self._watched.shapes.get(rows.table.table)
        if shape is None or shape.name in self.swept or not is_loggable(shape):
            return
        try:
            found = list(rows.cells(self._key_cells(shape, rows.table)))
        except UnicodeDecodeError:  # the cell is another one than the catalogue says
            self.sweep((shape.name,), self._changed(shape.name))
            return
        except TableAltered as altered:
            self.sweep((shape.name,), altered)
            return
        for images in found:
            keys = [KEY_SEPARATOR.join(part or "" for part in image) for image in images]
            if rows.operation == "U" and keys[0] != keys[1]:  # a changed key leaves both
                yield Entry(shape.name, keys[0], "D", by_person=True)
                yield Entry(shape.name, keys[1], "I", by_person=True)
            else:
                yield Entry(shape.name, keys[-1], rows.operation, by_person=True)

    def _cascaded(self, rows: Rows) -> Iterator[Entry]:
        for ((table, operation, key, origin),) in rows.cells(_ENTRY):
            if table in self._watched.shapes:
                yield Entry(str(table), str(key), str(operation), origin == _BY_PERSON)

    def _key_cells(self, shape: MariaDBShape, table: TableMap) -> tuple[Cell, ...]:
        place = (shape.name, table.names)
        if place not in self._cells:
            self._cells[place] = tuple(self._cell(shape, table, name) for name in shape.key)
        return self._cells[place]

    def _cell(self, shape: MariaDBShape, table: TableMap, name: str) -> Cell:
        here = tuple(column.name for column in shape.columns)
        names = table.names or here
        reading = reading_of(shape.types[name])
        if reading is None or name not in names or len(table.types) != len(names):
            raise self._changed(shape.name)
        ordinal = names.index(name)
        if table.types[ordinal] not in _LOGGED_KINDS[reading[0]]:
            raise self._changed(shape.name)
        return Cell(ordinal, reading[0], reading[1], shape.types[name].zero_filled)

    def _refuse_cascade(self, rows: Rows) -> None:
        """Refuse a deed on a parent whose cascade reaches watched rows that nothing has written down."""
        if self._is_guarded or rows.operation == "I":
            return
        for cascade in self._parents:
            if cascade.parent != rows.table.table or cascade.is_update != (rows.operation == "U"):
                continue
            if cascade.is_update and not self._refers_to_changed(rows, cascade.path[0].parent_columns):
                continue
            unseen = SourceDrifted(
                f"a change of {cascade.parent} reached rows of {cascade.child} by a foreign key, which the log does "
                "not hold; no change was read",
                hint="install the capture, which writes such rows down: banyan load",
                table=cascade.child,
            )
            self.sweep((cascade.child,), unseen)

    def _refers_to_changed(self, rows: Rows, columns: tuple[str, ...]) -> bool:
        shape = self._watched.shapes.get(rows.table.table)
        if shape is None or any(reading_of(shape.types[name]) is None for name in columns):
            return True  # it cannot be told: taken for changed
        try:
            cells = tuple(self._cell(shape, rows.table, name) for name in columns)
        except TableAltered:
            return True
        return any(before != after for before, after in rows.cells(cells))

    def _changed(self, table: str) -> TableAltered:
        return TableAltered(
            f"the log describes other columns of {table} than the catalogue: it was altered; no change was read",
            hint="banyan source scan",
            table=table,
        )
