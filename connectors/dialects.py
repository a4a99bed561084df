"""SQL for each dialect, built from quoted identifiers; the only place of the connectors where SQL is put together.

PostgreSQL: the raw form of a value is what COPY writes for the bare column, that is the output function of its type
under pinned settings. `column::text` is not used for reading: it strips the padding of char(n).
"""

import hashlib
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
_SAFE_KEY_TYPES = ("numeric", "bigint", "integer", "smallint", "text", "character varying", "bpchar", "uuid")
RAW_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
"""Settings under which the text of a value is the same on every server."""
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


def capture_function_body(shape: TableShape) -> str:
    """Write the body of the trigger function that journals the keys of one table."""
    new, old = (key_text(shape, alias).as_string() for alias in ("n", "o"))
    table = shape.identifier.as_string()
    named = sql.Literal(shape.name).as_string()
    into = "insert into banyan.journal (table_name, op, key, origin)"
    return f"""
declare
  who constant text := case when session_user = 'banyan_reverse' then 'ROUTE' else 'PERSON' end;
begin
  if tg_op = 'INSERT' then
    {into} select {named}, 'I', {new}, who from new_rows n;
  elsif tg_op = 'DELETE' then
    {into} select {named}, 'D', {old}, who from old_rows o;
  elsif tg_op = 'UPDATE' then
    -- a changed key leaves both: the old one is gone, the new one has come
    {into}
      select {named}, case when b.k is null then 'D' when a.k is null then 'I' else 'U' end, coalesce(a.k, b.k), who
      from (select {old} as k from old_rows o) a full join (select {new} as k from new_rows n) b on a.k = b.k;
  elsif current_setting('transaction_isolation') = 'read committed' then
    -- the table is locked and this statement sees every committed row: the list is complete
    {into} select {named}, 'D', {old}, who from {table} o;
  else
    {into} values ({named}, 'T', '', who);  -- an older snapshot may not see all: a mark, never a partial list
  end if;
  return null;
end """


def capture_statements(shape: TableShape) -> list[str]:
    """Write the statements that install the capture of one table; running them again changes nothing."""
    function = f"banyan.{_quoted(capture_function(shape.name))}"
    table = shape.identifier.as_string()
    pins = [f"set {name} = {sql.Literal(value).as_string()}" for name, value in RAW_SETTINGS.items()]
    if all(shape.casts[name] in _SAFE_KEY_TYPES for name in shape.key):
        pins = []
    body = capture_function_body(shape)
    lines = [
        f"create or replace function {function}() returns trigger language plpgsql security definer\n"
        f"{' '.join(['set search_path = pg_catalog, pg_temp', *pins])} as $banyan${body}$banyan$",
        f"revoke all on function {function}() from public",
    ]
    for event, referencing in (
        ("insert", "referencing new table as new_rows"),
        ("update", "referencing old table as old_rows new table as new_rows"),
        ("delete", "referencing old table as old_rows"),
        ("truncate", ""),
    ):
        moment = "before" if event == "truncate" else "after"
        lines.append(
            f"create or replace trigger zz_banyan_{event} {moment} {event} on {table} {referencing} "
            f"for each statement execute function {function}()"
        )
        lines.append(f"alter table {table} enable always trigger zz_banyan_{event}")
    schema_name, table_name = (sql.Literal(text).as_string() for text in (shape.schema, shape.name))
    lines.append(
        "insert into banyan.captured (table_name, schema_name, table_oid, function_oid, digest)\n"
        f"select {table_name}, {schema_name}, {sql.Literal(table).as_string()}::regclass::oid, p.oid, md5(p.prosrc)\n"
        f"from pg_proc p where p.oid = {sql.Literal(function + '()').as_string()}::regprocedure\n"
        "on conflict (table_name) do update set schema_name = excluded.schema_name, table_oid = excluded.table_oid, "
        "function_oid = excluded.function_oid, digest = excluded.digest"
    )
    return lines


def uncapture_statements(schema: str, table: str) -> list[str]:
    """Write the statements that remove the capture of one table."""
    named = sql.Identifier(schema, table).as_string()
    lines = [
        f"drop trigger if exists zz_banyan_{event} on {named}" for event in ("insert", "update", "delete", "truncate")
    ]
    return [
        *lines,
        f"drop function if exists banyan.{_quoted(capture_function(table))}()",
        f"delete from banyan.captured where table_name = {sql.Literal(table).as_string()}",
    ]


def capture_function(table: str) -> str:
    """Name the trigger function of a table, within the 63 bytes of an identifier."""
    name = f"capture_{table}"
    return name if len(name.encode()) <= 63 else f"capture_{hashlib.sha256(table.encode()).hexdigest()[:16]}"


def fence_statements(schema: str, closure: str, table: str) -> list[str]:
    """Write the statements that put one table behind the fence of its closure."""
    named = sql.Identifier(schema, table).as_string()
    name, schema_name, table_name = (sql.Literal(text).as_string() for text in (closure, schema, table))
    return [
        f"create or replace trigger aa_banyan before insert or update or delete or truncate on {named}\n"
        f"for each statement execute function banyan.check_fence({name})",
        f"alter table {named} enable always trigger aa_banyan",
        "insert into banyan.fenced (closure, schema_name, table_name, table_oid)\n"
        f"values ({name}, {schema_name}, {table_name}, {sql.Literal(named).as_string()}::regclass::oid)\n"
        "on conflict (schema_name, table_name) do update set table_oid = excluded.table_oid",
        f"grant select, insert, update, delete on {named} to banyan_reverse",
    ]


def unfence_statements(schema: str, table: str) -> list[str]:
    """Write the statements that take one table out of the fence."""
    named = sql.Identifier(schema, table).as_string()
    return [
        f"drop trigger if exists aa_banyan on {named}",
        f"revoke insert, update, delete on {named} from banyan_reverse",
    ]


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()


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
