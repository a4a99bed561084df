"""SQL for MariaDB, built from identifiers quoted here; values are bound by the driver.

The raw form of a value is its text projection under pinned settings: characters as they are, everything else cast on
the server, bytes in hexadecimal behind a backslash and an x. No driver converts a date, a number or a bit on the way.
"""

# ruff: noqa: S608 - the place where SQL is built from quoted identifiers

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from banyan.errors import SourceDrifted
from banyan.ports import SourceColumn
from banyan.records import KEY_SEPARATOR, KeyRange
from connectors.dialects import statements
from connectors.dialects_mariadb_bytes import Bounds, Places, place_key, spell

TEXT_TYPES = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
INTEGER_TYPES = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint"))
BYTE_TYPES = frozenset(
    ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon",
     "multipoint", "multilinestring", "multipolygon", "geometrycollection")
)  # fmt: skip
ALL_ROWS = "set sql_select_limit = 18446744073709551615"
"""A server may be told to end every answer after so many rows; who reads is not told that it did."""
_ORDERED_TYPES = frozenset(
    (*TEXT_TYPES, *INTEGER_TYPES, "decimal", "date", "datetime", "time", "year", "timestamp", "binary", "varbinary",
     "bit", "uuid", "inet4", "inet6")
)  # fmt: skip
"""Types whose values are compared with a bound key in the order of their index; all others by the bytes of a text."""
_TRANSACTIONAL = frozenset(("innodb",))
_LASTING = frozenset(("myisam", "aria"))


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement with places for values, and the values."""

    query: str
    values: tuple[object, ...] = field(default=(), repr=False)

    def inlined(self) -> str:
        """Write the values into the statement as hexadecimal literals, for a reader that binds none."""
        return self.query % tuple(f"_utf8mb4 X'{str(value).encode().hex()}'" for value in self.values)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What the server says of the type of a column."""

    name: str
    declared: str
    encoding: str
    digits: int
    precision: int
    scale: int

    @property
    def is_unsigned(self) -> bool:
        """Tell whether the column holds no negative number."""
        return "unsigned" in self.declared

    @property
    def zero_filled(self) -> int:
        """Give the width a number is filled to with zeros; 0 when it is not."""
        if "zerofill" not in self.declared:
            return 0
        return int(self.declared.split("(")[1].split(")")[0].split(",")[0])

    @property
    def letters(self) -> str:
        """Name the character set of a column of texts; empty for any other type."""
        return self.encoding if self.name in TEXT_TYPES else ""

    @property
    def is_empty_by_error(self) -> bool:
        """Tell whether an empty text is the error value of an enum: it stands there and can never be written."""
        return self.name == "enum" and "" not in re.findall(r"'((?:[^']|'')*)'", self.declared)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key of one table that refers to another, with what happens to its rows when the other row goes or changes."""

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass(frozen=True, slots=True)
class MariaDBShape:
    """A legacy table as found: columns in their order, key columns, types and engine."""

    schema: str
    name: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    types: Mapping[str, ColumnType] = field(repr=False)
    engine: str

    @property
    def identifier(self) -> str:
        """Quote the name of the table."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def is_transactional(self) -> bool:
        """Tell whether a rollback takes rows back; MyISAM and its like keep them."""
        return self.engine.lower() in _TRANSACTIONAL

    @property
    def is_lasting(self) -> bool:
        """Tell whether each row stays as written, whatever becomes of a transaction, and outlasts a restart."""
        return self.engine.lower() in _LASTING

    @property
    def is_ordered(self) -> bool:
        """Tell whether key ranges can be cut: by the index, or where its order is not that of a text, by the text."""
        return bool(self.key)

    def key_parts(self, key: str) -> list[str]:
        """Split the text of a key into its columns; refuse one that has another number of them."""
        parts = key.split(KEY_SEPARATOR) if len(self.key) > 1 else [key]
        if len(parts) != len(self.key):
            raise SourceDrifted(
                f"a key of {self.name} has {len(parts)} columns and the table {len(self.key)}; nothing was read",
                table=self.name,
            )
        return parts


def quoted(name: str) -> str:
    """Quote an identifier; one with a percent sign never comes here, since statements are formatted with values."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Write a text of our own configuration or catalogue into a stored statement, as hexadecimal."""
    return f"_utf8mb4 X'{text.encode().hex()}'"


def home_of(schema: str) -> str:
    """Name the database of banyan's own objects beside a legacy database: out of the reach of its accounts."""
    name = f"banyan_{schema}"
    return name if len(name) <= 64 else f"banyan_{hashlib.sha256(schema.encode()).hexdigest()[:16]}"


def shipped(file: str, schema: str) -> dict[str, str]:
    """Give the named statements of a file, for the database of banyan beside a schema."""
    places = {"{home}": quoted(home_of(schema)), "{schema}": quoted(schema), "{schema_text}": literal(schema)}
    places |= {f"{{{role}}}": f"banyan_{role}@'%'" for role in ("reader", "reverse", "guard")}
    found = {}
    for name, text in statements(file).items():
        for place, filled in places.items():
            text = text.replace(place, filled)
        found[name] = text
    return found


def named(name: str, schema: str) -> str:
    """Give one small statement of the MariaDB connector."""
    return shipped("mariadb", schema)[name]


def project(shape: MariaDBShape, column: str, alias: str) -> str:
    """Project a column to its raw text."""
    kind = shape.types[column]
    cell = f"{alias}.{quoted(column)}"
    match kind.name:
        case name if name in TEXT_TYPES:
            return spell(cell, kind.encoding)
        case name if name in BYTE_TYPES:
            return f"concat(_utf8mb4 X'5c78', lower(hex({cell})))"
        case "bit":
            return f"cast(bin({cell} + 0) as char)"
        case "float":  # the short text where it is the same number, all digits where it is not
            short = f"cast({cell} as char)"
            return f"if(cast({short} as float) = {cell}, {short}, cast(cast({cell} as double) as char))"
        case _:
            return f"cast({cell} as char)"


def select_range(shape: MariaDBShape, keys: KeyRange) -> Bound:
    """Select the rows above `low` up to `high`."""
    where, values = range_condition(shape, keys)
    return Bound(f"select {_projected(shape)} from {shape.identifier} t where {where}", values)


def select_texts(shape: MariaDBShape, columns: Sequence[str], at_most: int) -> Bound:
    """Select the different texts that stand together in some columns, told apart by their bytes, not by a collation."""
    cells = [project(shape, column, "t") for column in columns]
    told = ", ".join(f"min({cell})" for cell in cells)
    grouped = ", ".join(f"cast({cell} as binary)" for cell in cells)
    query = f"select {told} from {shape.identifier} t group by {grouped} limit {at_most:d}"
    return Bound(query)


def select_keys(shape: MariaDBShape, keys: Sequence[str]) -> Bound:
    """Select the rows of the keys given; a key that only compares equal must be sorted out by its text."""
    where, values = key_condition(shape, keys, "t")
    return Bound(f"select {_projected(shape)} from {shape.identifier} t where {where}", values)


def select_key_texts(shape: MariaDBShape, keys: KeyRange) -> Bound:
    """Select the keys of the rows above `low` up to `high`, as text."""
    where, values = range_condition(shape, keys)
    return Bound(f"select {key_text(shape, 't')} from {shape.identifier} t where {where}", values)


def select_step(shape: MariaDBShape, keys: KeyRange, rows: int) -> Bound:
    """Select the key that is `rows` rows after the low end of a range: the next boundary, read from the index alone."""
    where, values = range_condition(shape, keys)
    order = ", ".join(term for term, _ in _key_terms(shape, "t"))
    query = f"select {key_text(shape, 't')} from {shape.identifier} t where {where} order by {order} limit 1 offset %s"
    return Bound(query, (*values, rows - 1))


def key_text(shape: MariaDBShape, alias: str, replaced: Mapping[str, str] | None = None) -> str:
    """Project the key as text; a replaced column is written as the expression given."""
    parts = [
        project(shape, name, alias) if name not in (replaced or {}) else f"cast({(replaced or {})[name]} as char)"
        for name in shape.key
    ]
    return parts[0] if len(parts) == 1 else f"concat_ws(_utf8mb4 X'1f', {', '.join(parts)})"


def create_stage(shape: MariaDBShape, stage: str, columns: Sequence[str]) -> str:
    """Create the staging table of a write-back: the types of the legacy columns, gone with the session."""
    listed = ", ".join(f"t.{quoted(name)}" for name in columns)
    return f"create temporary table {stage} engine = innodb as select {listed} from {shape.identifier} t where false"


def fill_stage(shape: MariaDBShape, stage: str, columns: Sequence[str], rows: int) -> str:
    """Insert raw texts into the staging table, as values of its types."""
    cells = ", ".join(typed_value(shape.types[name]) for name in columns)
    listed = ", ".join(map(quoted, columns))
    return f"insert into {stage} ({listed}) values {', '.join([f'({cells})'] * rows)}"


def insert_stage(shape: MariaDBShape, stage: str, columns: Sequence[str]) -> str:
    """Insert the staged rows whose key is not there yet."""
    listed = ", ".join(map(quoted, columns))
    values = ", ".join(f"s.{quoted(name)}" for name in columns)
    return (
        f"insert into {shape.identifier} ({listed}) select {values} from {stage} s "
        f"where not exists (select 1 from {shape.identifier} t where {same_key(shape)})"
    )


def update_stage(shape: MariaDBShape, stage: str, columns: Sequence[str]) -> str | None:
    """Update the rows whose key is there, only where a value differs; None when only the key was given."""
    others = [name for name in columns if name not in shape.key]
    if not others:
        return None
    sets = ", ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in others)
    differs = row_differs(shape, columns)
    return f"update {shape.identifier} t join {stage} s on {same_key(shape)} set {sets} where {differs}"


def delete_keys(shape: MariaDBShape, keys: Sequence[str]) -> Bound:
    """Delete rows by the exact text of their key."""
    where, values = _exact_keys(shape, keys, shape.identifier)  # an alias here would need a default database
    return Bound(f"delete from {shape.identifier} where {where}", values)


def mark_keys(shape: MariaDBShape, keys: Sequence[str], assign: Mapping[str, str | None]) -> Bound:
    """Mark rows deleted by assigning columns, only where a value differs."""
    where, values = _exact_keys(shape, keys, "t")
    sets = ", ".join(f"t.{quoted(name)} = {typed_value(shape.types[name])}" for name in assign)
    differs = " or ".join(f"not ({_bytes(project(shape, name, 't'))} <=> binary %s)" for name in assign)
    query = f"update {shape.identifier} t set {sets} where {where} and ({differs})"
    return Bound(query, (*assign.values(), *values, *assign.values()))


def touch_one(shape: MariaDBShape, column: str) -> str:
    """Write one row as it is: fires the triggers of an update and changes nothing."""
    return f"update {shape.identifier} t set t.{quoted(column)} = t.{quoted(column)} limit 1"


def bind_key(kind: ColumnType) -> str:
    """Give the place of a key value, as a value of the column's own type, so that its index serves."""
    match kind.name:
        case name if name in INTEGER_TYPES or name == "year":
            return f"cast(%s as {'unsigned' if kind.is_unsigned else 'signed'})"
        case "decimal":
            return f"cast(%s as decimal({kind.precision},{kind.scale}))"
        case "date":
            return "cast(%s as date)"
        case "datetime" | "timestamp":
            return f"cast(%s as datetime({kind.digits}))"
        case "time":
            return f"cast(%s as time({kind.digits}))"
        case name if name in BYTE_TYPES:
            return "unhex(substr(%s, 3))"
        case "bit":
            return "cast(conv(%s, 2, 10) as unsigned)"
        case _:
            return "%s"


def typed_value(kind: ColumnType) -> str:
    """Give the place of a raw text, as a value of the column's own type."""
    match kind.name:
        case name if name in BYTE_TYPES:
            return "unhex(substr(%s, 3))"
        case "bit":
            return "cast(conv(%s, 2, 10) as unsigned)"
        case _:
            return "%s"


def _projected(shape: MariaDBShape) -> str:
    return ", ".join(f"{project(shape, c.name, 't')} as {quoted(c.name)}" for c in shape.columns)


def range_condition(shape: MariaDBShape, keys: KeyRange) -> tuple[str, tuple[object, ...]]:
    """Write the condition of the rows above `low` up to `high`, and its values."""
    conditions: list[str] = []
    values: list[object] = []
    for strictly, loosely, bound in ((">", ">=", keys.low), ("<", "<=", keys.high)):
        if bound is None:
            continue
        last = ">" if strictly == ">" else "<="
        terms, bounds = _placed(shape, _key_terms(shape, "t"), bound)
        # a row comparison cannot use the index: its first column stands alone before the expanded form
        conditions.append(f"{terms[0][0]} {loosely} {terms[0][1]}")
        values += bounds[0]
        alternatives = []
        for depth in range(len(terms)):
            operator = last if depth == len(terms) - 1 else strictly
            equal = [f"{term} = {place}" for term, place in terms[:depth]]
            alternatives.append(" and ".join([*equal, f"{terms[depth][0]} {operator} {terms[depth][1]}"]))
            values += [value for one in bounds[: depth + 1] for value in one]
        conditions.append(f"({' or '.join(alternatives)})")
    return " and ".join(conditions) or "true", tuple(values)


def _key_terms(shape: MariaDBShape, alias: str) -> list[tuple[str, str]]:
    """Give, for each column of the key, what is compared and the place of its value.

    A float is not the number that its text says, an enum stands in the order of its list: these compare by their text.
    """
    return [
        (f"{alias}.{quoted(name)}", bind_key(shape.types[name]))
        if shape.types[name].name in _ORDERED_TYPES
        else (_bytes(project(shape, name, alias)), "binary %s")
        for name in shape.key
    ]


def _placed(shape: MariaDBShape, places: Places, key: str) -> tuple[Places, list[Bounds]]:
    return place_key([shape.types[name].letters for name in shape.key], places, shape.key_parts(key))


def key_condition(shape: MariaDBShape, keys: Sequence[str], alias: str) -> tuple[str, tuple[object, ...]]:
    """Write the condition of the rows of some keys, as the index finds them, and its values."""
    places = _key_terms(shape, alias)
    listed = [_placed(shape, places, key) for key in dict.fromkeys(keys)]
    if not listed:
        return "false", ()
    values = tuple(value for _, bounds in listed for one in bounds for value in one)
    if len(shape.key) == 1:
        return f"{listed[0][0][0][0]} in ({', '.join(terms[0][1] for terms, _ in listed)})", values
    equal = (" and ".join(f"{term} = {place}" for term, place in terms) for terms, _ in listed)
    return f"({' or '.join(f'({one})' for one in equal)})", values


def _exact_keys(shape: MariaDBShape, keys: Sequence[str], alias: str) -> tuple[str, tuple[object, ...]]:
    where, values = key_condition(shape, keys, alias)
    texts = tuple(dict.fromkeys(keys))
    places = ", ".join(["binary %s"] * len(texts))
    return f"{where} and {_bytes(key_text(shape, alias))} in ({places})", (*values, *texts)


def same_key(shape: MariaDBShape) -> str:
    """Join a staged row `s` with the row `t` of its key."""
    return " and ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in shape.key)


def row_differs(shape: MariaDBShape, columns: Sequence[str]) -> str:
    """Tell whether a staged row `s` says another value than the row `t`; empty when only the key was staged."""
    return " or ".join(_differs(shape, name) for name in columns if name not in shape.key)


def _differs(shape: MariaDBShape, column: str) -> str:
    if shape.types[column].name == "timestamp":  # the text of an instant is ambiguous for an hour in autumn
        return f"not (unix_timestamp(t.{quoted(column)}) <=> unix_timestamp(s.{quoted(column)}))"
    return f"not ({_bytes(project(shape, column, 't'))} <=> {_bytes(project(shape, column, 's'))})"


def _bytes(text: str) -> str:
    """Give the UTF-8 bytes of a text: compared by what it is, not by what a collation takes for equal."""
    return f"binary convert({text} using utf8mb4)"
