"""SQL for each dialect, built from quoted identifiers; the only place of the connectors where SQL is put together.

PostgreSQL: the raw form of a value is what COPY writes for the bare column, that is the output function of its type
under pinned settings. `column::text` is not used for reading: it strips the padding of char(n).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import sql

from banyan.errors import SourceDrifted
from banyan.ports import SourceColumn
from banyan.records import KEY_SEPARATOR, KeyRange
from banyan.undecoded import find_bytes, read_text

Bound = tuple[sql.Composed, list[object]]
"""A statement and the values to bind."""

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
RAW_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "standard_conforming_strings": "on",
}
"""Settings under which the text of a value is the same on every server, and that of our statements."""
ALL_ROWS = {"row_security": "off"}
"""A query of which a policy of the table would hide rows is an error, and not an answer without them."""


@cache
def statements(file: str) -> Mapping[str, str]:
    """Read the named statements of a file of `connectors/sql`, in their order."""
    text = (Path(__file__).parent / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    pieces = _NAME.split(text)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def statement(name: str) -> sql.SQL:
    """Give one small statement of the PostgreSQL connector."""
    return sql.SQL(statements("postgresql")[name])  # type: ignore[arg-type]  # our own file, not a literal


@dataclass(frozen=True, slots=True)
class TableShape:
    """A legacy table as found: columns in their order, key columns, and the type each text is cast to."""

    schema: str
    name: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    casts: Mapping[str, str]
    bytewise: frozenset[str] = frozenset()
    children: tuple[tuple[str, str], ...] = ()
    """Partitions and tables that inherit from it, at any depth, by schema and name: its rows stand there too."""
    is_partitioned: bool = False

    @property
    def is_inherited(self) -> bool:
        """Tell whether other tables hold rows of this one, and no index knows the keys of all."""
        return bool(self.children) and not self.is_partitioned

    @property
    def identifier(self) -> sql.Identifier:
        """Quote the name of the table."""
        return sql.Identifier(self.schema, self.name)

    def cast(self, column: str) -> sql.SQL:
        """Give the type of a column without its length, so that an overlong value is refused and not cut."""
        return sql.SQL(self.casts[column])  # type: ignore[arg-type]  # written by the server's own format_type

    def key_parts(self, key: str) -> list[str]:
        """Split the text of a key into its columns; refuse one that has another number of them."""
        parts = key.split(KEY_SEPARATOR) if len(self.key) > 1 else [key]
        if len(parts) != len(self.key):
            raise SourceDrifted(
                f"a key of {self.name} has {len(parts)} columns and the table {len(self.key)}; nothing was read",
                table=self.name,
            )
        return parts


def told_key(shape: TableShape, joined: str) -> str:
    """Give the text of a key whose columns the server joined: bytes of one that are no text are carried apart."""
    raw = find_bytes(joined) if len(shape.key) > 1 else None
    if raw is None:
        return joined
    return KEY_SEPARATOR.join(read_text(part, "utf-8") for part in raw.split(KEY_SEPARATOR.encode()))


def copy_columns(shape: TableShape) -> sql.Composed:
    """List the bare columns of a table, as COPY shall write them."""
    return sql.SQL(", ").join(sql.Identifier("t", column.name) for column in shape.columns)


def select_range(shape: TableShape, keys: KeyRange) -> Bound:
    """Select the rows above `low` up to `high`."""
    where, values = _range_condition(shape, keys)
    query = sql.SQL("select {} from {} t where {}").format(copy_columns(shape), shape.identifier, where)
    return query, values


def select_keys(shape: TableShape, keys: Sequence[str]) -> Bound:
    """Select the rows of the keys given."""
    listed, values = _key_list(shape, keys)
    query = sql.SQL("select {} from {} t join {} on {}").format(
        copy_columns(shape), shape.identifier, listed, _same_key(shape, "t", "k")
    )
    return query, values


def select_step(shape: TableShape, keys: KeyRange, rows: int) -> Bound:
    """Select the key that is `rows` rows after the low end of a range: the next boundary of a plan.

    The key becomes text outside, once: inside, the server would write that of every row it steps over.
    """
    where, values = _range_condition(shape, keys)
    order = sql.SQL(", ").join(_key_terms(shape, "t"))
    named = sql.SQL(", ").join(sql.Identifier("t", name) for name in shape.key)
    query = sql.SQL("select {} from (select {} from {} t where {} order by {} offset %s limit 1) t").format(
        key_text(shape, "t"), named, shape.identifier, where, order
    )
    return query, [*values, rows - 1]


def select_hashes(shape: TableShape, keys: KeyRange) -> Bound:
    """Select the key of each row of a range with a hash of all its columns, as text; of its bytes without encoding."""
    where, values = _range_condition(shape, keys)
    query = sql.SQL(
        "select {}, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(t::text, "
        "case pg_catalog.getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)), 'hex') "
        "from {} t where {}"
    ).format(key_text(shape, "t"), shape.identifier, where)
    return query, values


def select_texts(shape: TableShape, columns: Sequence[str], at_most: int) -> Bound:
    """Select the different texts that stand together in some columns; two texts of one value (1.0 and 1.00) are two."""
    cells = [sql.Identifier("t", name) for name in columns]
    grouped = [sql.SQL('{}, {}::text collate "C"').format(cell, cell) for cell in cells]
    query = sql.SQL("select {} from {} t group by {} limit %s").format(
        sql.SQL(", ").join(cells), shape.identifier, sql.SQL(", ").join(grouped)
    )
    return query, [at_most]


def count_rows(shape: TableShape) -> sql.Composed:
    """Count the rows of a table."""
    return sql.SQL("select count(*) from {}").format(shape.identifier)


def key_text(shape: TableShape, alias: str) -> sql.Composed:
    """Project the key as text, padding kept (concat uses the output function, a cast would strip blanks)."""
    return sql.SQL("concat_ws(chr(31), {})").format(
        sql.SQL(", ").join(sql.Identifier(alias, name) for name in shape.key)
    )


def create_stage(stage: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
    """Create the staging table of a write-back: text columns that vanish with the transaction."""
    listed = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in columns)
    return sql.SQL("create temp table {} ({}) on commit drop").format(stage, listed)


def upsert_stage(shape: TableShape, stage: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
    """Insert or update from a staging table, only rows that differ; answers the numbers inserted and updated."""
    others = [name for name in columns if name not in shape.key]
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    values = sql.SQL(", ").join(_typed(shape, "s", name) for name in columns)
    keys = sql.SQL(", ").join(map(sql.Identifier, shape.key))
    action: sql.Composable = sql.SQL("nothing")
    if others:
        action = sql.SQL("update set {} where {}").format(
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others),
            sql.SQL(" or ").join(_differs(name) for name in others),
        )
    return sql.SQL(
        "with existing as (select {t_keys} from {table} t join {stage} s on {on_stage}), "
        "written as (insert into {table} as t ({listed}) overriding system value select {values} from {stage} s "
        "on conflict ({keys}) do {action} returning {t_keys}) "
        "select count(*) filter (where e.{first} is null), count(*) filter (where e.{first} is not null) "
        "from written w left join existing e on {on_existing}"
    ).format(
        t_keys=sql.SQL(", ").join(sql.Identifier("t", name) for name in shape.key),
        table=shape.identifier,
        stage=stage,
        on_stage=sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), _typed(shape, "s", name)) for name in shape.key
        ),
        listed=listed,
        values=values,
        keys=keys,
        action=action,
        first=sql.Identifier(shape.key[0]),
        on_existing=_same_key(shape, "w", "e"),
    )


def delete_keys(shape: TableShape, keys: Sequence[str]) -> Bound:
    """Delete rows by key."""
    listed, values = _key_list(shape, keys)
    query = sql.SQL("delete from {} t using {} where {}").format(shape.identifier, listed, _same_key(shape, "t", "k"))
    return query, values


def mark_keys(shape: TableShape, keys: Sequence[str], assign: Mapping[str, str | None]) -> Bound:
    """Mark rows deleted by assigning columns, only where a value differs."""
    listed, key_values = _key_list(shape, keys)
    sets = [sql.SQL("{} = %s::{}").format(sql.Identifier(name), shape.cast(name)) for name in assign]
    differs = [
        sql.SQL('{}::text collate "C" is distinct from %s::{}::text').format(
            sql.Identifier("t", name), shape.cast(name)
        )
        for name in assign
    ]
    query = sql.SQL("update {} t set {} from {} where {} and ({})").format(
        shape.identifier,
        sql.SQL(", ").join(sets),
        listed,
        _same_key(shape, "t", "k"),
        sql.SQL(" or ").join(differs),
    )
    return query, [*assign.values(), *key_values, *assign.values()]


def touch_nothing(schema: str, table: str, column: str) -> sql.Composed:
    """Update no row: fires a statement trigger and changes nothing."""
    return sql.SQL("update {0} set {1} = {1} where false").format(sql.Identifier(schema, table), sql.Identifier(column))


def _key_terms(shape: TableShape, alias: str) -> list[sql.Composable]:
    return [
        sql.SQL('{} collate "C"').format(sql.Identifier(alias, name))
        if name in shape.bytewise
        else sql.Identifier(alias, name)
        for name in shape.key
    ]


def _range_condition(shape: TableShape, keys: KeyRange) -> Bound:
    if not shape.key:
        return _place_condition(keys)
    terms = sql.SQL(", ").join(_key_terms(shape, "t"))
    casts = sql.SQL(", ").join(sql.SQL("%s::{}").format(shape.cast(name)) for name in shape.key)
    conditions: list[sql.Composable] = []
    values: list[object] = []
    for operator, bound in ((sql.SQL(">"), keys.low), (sql.SQL("<="), keys.high)):
        if bound is not None:
            conditions.append(sql.SQL("({}) {} ({})").format(terms, operator, casts))
            values += shape.key_parts(bound)
    return sql.SQL(" and ").join(conditions or [sql.SQL("true")]), values


def _place_condition(keys: KeyRange) -> Bound:
    """Cut a table without a key by the place of its rows on disk, a range of pages each."""
    bounds = [(sql.SQL("t.ctid > %s::tid"), keys.low), (sql.SQL("t.ctid <= %s::tid"), keys.high)]
    kept = [(condition, bound) for condition, bound in bounds if bound is not None]
    where = sql.SQL(" and ").join([condition for condition, _ in kept] or [sql.SQL("true")])
    return where, [bound for _, bound in kept]


def _key_list(shape: TableShape, keys: Sequence[str]) -> Bound:
    columns = [list(parts) for parts in zip(*(shape.key_parts(key) for key in dict.fromkeys(keys)), strict=True)]
    arrays = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(shape.cast(name)) for name in shape.key)
    names = sql.SQL(", ").join(map(sql.Identifier, shape.key))
    return sql.SQL("unnest({}) as k ({})").format(arrays, names), list(columns) or [[] for _ in shape.key]


def _same_key(shape: TableShape, left: str, right: str) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in shape.key
    )


def _typed(shape: TableShape, alias: str, column: str) -> sql.Composed:
    return sql.SQL("{}::{}").format(sql.Identifier(alias, column), shape.cast(column))


def _differs(column: str) -> sql.Composed:
    return sql.SQL('{}::text collate "C" is distinct from {}::text collate "C"').format(
        sql.Identifier("t", column), sql.Identifier("excluded", column)
    )
