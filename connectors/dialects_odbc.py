"""SQL for a database behind an ODBC driver, the same for every make but for what each make says in its own words.

A driver converts what it meets: a text is cut at a NUL or passed through a code page, a day becomes another one. So a
statement asks for nothing but texts of plain ASCII: numbers and days as the server writes them, texts and bytes as
hexadecimal digits, which no driver has a reason to touch.
"""

# ruff: noqa: S608 - the place where SQL is built from quoted identifiers

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.records import KEY_SEPARATOR, KeyRange


class Form(StrEnum):
    """How the text of a cell crosses the driver."""

    PLAIN = "plain"
    """As the server wrote it."""
    HEX = "hexadecimal"
    """The bytes of a text, in hexadecimal."""
    UTF16 = "hexadecimal of UTF-16"
    BYTES = "bytes"
    """Bytes that are no text, in hexadecimal; raw they are written behind a backslash and an x."""
    CLASSED = "classed"
    """SQLite: a letter for the class of the value, then its digits or its bytes in hexadecimal."""


@dataclass(frozen=True, slots=True)
class OdbcColumn:
    """One column as the driver describes it; the type in small letters, without its length."""

    name: str
    type_name: str
    size: int
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Projection:
    """An expression that gives the text of a column, and how that text is to be read."""

    expression: str
    form: Form = Form.PLAIN


@dataclass(frozen=True, slots=True)
class Make:
    """One make of database: what its driver calls it, how it quotes, and how it writes values as text.

    `project` gives None for a type that has no text known to be exact; `bind` gives the place of a key value as a value
    of the column's own type, and None for a type whose order is not that of its text.
    """

    name: str
    products: tuple[str, ...]
    project: Callable[[str, OdbcColumn], Projection | None] = field(repr=False)
    bind: Callable[[OdbcColumn], str | None] = field(repr=False)
    quotes: str = '""'
    skip: str = "offset {rows} rows fetch next 1 rows only"
    settings: tuple[str, ...] = ()
    is_verified: bool = True
    has_empty_keys: bool = False
    """Whether a column of a primary key may hold NULL."""
    schema_is_catalog: bool = False

    @property
    def note(self) -> str:
        """Say that this make was never compared with a server of its own; empty when it was."""
        return "" if self.is_verified else f"{self.name}: not verified against a server"

    def quoted(self, *names: str) -> str:
        """Quote the parts of a name."""
        opening, closing = self.quotes[0], self.quotes[1]
        return ".".join(f"{opening}{name.replace(closing, closing * 2)}{closing}" for name in names if name)


@dataclass(frozen=True, slots=True)
class OdbcQuery:
    """A statement with places for values, and the values: all of them texts."""

    query: str
    values: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class OdbcShape:
    """A legacy table as the driver describes it."""

    make: Make
    schema: str
    name: str
    columns: tuple[OdbcColumn, ...]
    key: tuple[str, ...]

    @property
    def identifier(self) -> str:
        """Quote the name of the table."""
        return self.make.quoted(self.schema, self.name)

    @property
    def is_ordered(self) -> bool:
        """Tell whether key ranges can be cut: each column of the key is compared as a value of its type."""
        return bool(self.key) and all(self.make.bind(self.column(name)) is not None for name in self.key)

    def column(self, name: str) -> OdbcColumn:
        """Give a column by name."""
        return next(column for column in self.columns if column.name == name)

    def projection(self, name: str) -> Projection:
        """Give the text of a column; refuses a type that has none known to be exact."""
        column = self.column(name)
        projection = self.make.project(f"t.{self.make.quoted(name)}", column)
        if projection is None:
            raise ConfigurationError(
                f"{self.name}.{name}: its type {column.type_name} has no text in {self.make.name} that is known to be "
                "exact; nothing was read",
                hint="ask for a view that gives this column as text, or leaves it out",
                table=self.name,
                column=name,
            )
        return projection

    def key_parts(self, key: str) -> list[str]:
        """Split the text of a key into its columns; refuse one that has another number of them."""
        parts = key.split(KEY_SEPARATOR) if len(self.key) > 1 else [key]
        if len(parts) != len(self.key):
            raise SourceDrifted(
                f"a key of {self.name} has {len(parts)} columns and the table {len(self.key)}; nothing was read",
                table=self.name,
            )
        return parts


def select_range(shape: OdbcShape, keys: KeyRange) -> OdbcQuery:
    """Select the texts of the rows above `low` up to `high`."""
    where, values = range_condition(shape, keys)
    names = [column.name for column in shape.columns]
    return OdbcQuery(f"select {_projected(shape, names)} from {shape.identifier} t{where}", values)


def select_keys(shape: OdbcShape, keys: Sequence[str]) -> OdbcQuery:
    """Select the rows of the keys given; a key that only compares equal must be sorted out by its text."""
    where, values = _equals(shape, keys)
    names = [column.name for column in shape.columns]
    return OdbcQuery(f"select {_projected(shape, names)} from {shape.identifier} t{where}", values)


def select_bare(shape: OdbcShape, keys: KeyRange | Sequence[str]) -> OdbcQuery:
    """Select rows as values of their own, for a reader that converts nothing: a key range, or keys."""
    if isinstance(keys, KeyRange):
        where, values = range_condition(shape, keys)
    else:
        where, values = _equals(shape, keys)
    return OdbcQuery(f"select {_bare(shape, [c.name for c in shape.columns])} from {shape.identifier} t{where}", values)


def select_bare_step(shape: OdbcShape, keys: KeyRange, rows: int) -> OdbcQuery:
    """Select the key that is `rows` rows after the low end of a range, as values of their own."""
    where, values = range_condition(shape, keys)
    key = _bare(shape, shape.key)
    skip = shape.make.skip.format(rows=rows - 1)
    return OdbcQuery(f"select {key} from {shape.identifier} t{where} order by {key} {skip}", values)


def select_step(shape: OdbcShape, keys: KeyRange, rows: int) -> OdbcQuery:
    """Select the key that is `rows` rows after the low end of a range: the next boundary of a plan."""
    where, values = range_condition(shape, keys)
    order = ", ".join(f"t.{shape.make.quoted(name)}" for name in shape.key)
    skip = shape.make.skip.format(rows=rows - 1)
    query = f"select {_projected(shape, shape.key)} from {shape.identifier} t{where} order by {order} {skip}"
    return OdbcQuery(query, values)


def count_rows(shape: OdbcShape) -> OdbcQuery:
    """Count the rows of a table."""
    return OdbcQuery(f"select count(*) from {shape.identifier}")


def range_condition(shape: OdbcShape, keys: KeyRange) -> tuple[str, tuple[str, ...]]:
    """Compare the key column by column, in the order of the server; `where` and its values.

    Where a key may be empty, a comparison without an answer counts as below: each row is in exactly one range.
    """
    conditions: list[str] = []
    values: list[str] = []
    for last, strictly, unknown, bound in ((">", ">", 0, keys.low), ("<=", "<", 1, keys.high)):
        if bound is None:
            continue
        parts = shape.key_parts(bound)
        terms = [(f"t.{shape.make.quoted(name)}", _place(shape, name)) for name in shape.key]
        alternatives = []
        for depth, (term, place) in enumerate(terms):
            operator = last if depth == len(terms) - 1 else strictly
            equal = [f"{earlier} = {its}" for earlier, its in terms[:depth]]
            alternatives.append(" and ".join([*equal, f"{term} {operator} {place}"]))
            values += parts[: depth + 1]
        compared = f"({' or '.join(alternatives)})"
        conditions.append(f"coalesce({compared}, {unknown})" if shape.make.has_empty_keys else compared)
    return (f" where {' and '.join(conditions)}" if conditions else ""), tuple(values)


def _equals(shape: OdbcShape, keys: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    parts = [shape.key_parts(key) for key in dict.fromkeys(keys)]
    equal = " and ".join(f"t.{shape.make.quoted(name)} = {_place(shape, name)}" for name in shape.key)
    where = " or ".join([f"({equal})"] * len(parts)) or "1 = 0"
    return f" where {where}", tuple(part for one in parts for part in one)


def _bare(shape: OdbcShape, names: Sequence[str]) -> str:
    return ", ".join(f"t.{shape.make.quoted(name)}" for name in names)


def _projected(shape: OdbcShape, names: Sequence[str]) -> str:
    # a driver may look an alias up in the table and convert what it finds under that name: these stand in none
    return ", ".join(f"{shape.projection(name).expression} as banyan_{place}" for place, name in enumerate(names))


def _place(shape: OdbcShape, name: str) -> str:
    return shape.make.bind(shape.column(name)) or "?"
