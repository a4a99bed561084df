"""SQL for the triggers of a legacy PostgreSQL: those that journal keys, and those that stop writers.

A table has its own on each partition and on each table that inherits from it: a statement that names one of them fires
no trigger of the table above.
"""

# ruff: noqa: S608 - built from quoted identifiers and literals

import hashlib
from collections.abc import Iterator, Sequence

from psycopg import sql

from connectors.dialects import RAW_SETTINGS, TableShape, key_text

_SAFE_KEY_TYPES = ("numeric", "bigint", "integer", "smallint", "text", "character varying", "bpchar", "uuid")


def capture_function_body(shape: TableShape) -> str:
    """Write the body of the trigger function that journals the keys of one table."""
    new, old = (key_text(shape, alias).as_string() for alias in ("n", "o"))
    table = shape.identifier.as_string()
    named = sql.Literal(shape.name).as_string()
    into = "insert into banyan.journal (table_name, op, key, origin)"
    there = " where o.tableoid = tg_relid" if shape.children else ""  # each of them tells its own rows
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
    {into} select {named}, 'D', {old}, who from {table} o{there};
  else
    {into} values ({named}, 'T', '', who);  -- an older snapshot may not see all: a mark, never a partial list
  end if;
  return null;
end """


def capture_statements(shape: TableShape) -> list[str]:
    """Write the statements that install the capture of one table; running them again changes nothing."""
    function = f"banyan.{_quoted(capture_function(shape.name))}"
    table = shape.identifier.as_string()
    children = [sql.Identifier(*child).as_string() for child in shape.children]
    pins = [f"set {name} = {sql.Literal(value).as_string()}" for name, value in RAW_SETTINGS.items()]
    if all(shape.casts[name] in _SAFE_KEY_TYPES for name in shape.key):
        pins = []
    body = capture_function_body(shape)
    lines = [
        f"create or replace function {function}() returns trigger language plpgsql security definer\n"
        f"{' '.join(['set search_path = pg_catalog, pg_temp', *pins])} as $banyan${body}$banyan$",
        f"revoke all on function {function}() from public",
    ]
    lines += [line for named in (table, *children) for line in _capture_triggers(named, function)]
    schema_name, table_name = (sql.Literal(text).as_string() for text in (shape.schema, shape.name))
    lines.append(
        "insert into banyan.captured (table_name, schema_name, table_oid, function_oid, digest, children)\n"
        f"select {table_name}, {schema_name}, {sql.Literal(table).as_string()}::regclass::oid, p.oid, md5(p.prosrc), "
        f"{oids_of(shape)}\n"
        f"from pg_proc p where p.oid = {sql.Literal(function + '()').as_string()}::regprocedure\n"
        "on conflict (table_name) do update set schema_name = excluded.schema_name, table_oid = excluded.table_oid, "
        "function_oid = excluded.function_oid, digest = excluded.digest, children = excluded.children"
    )
    return lines


def _capture_triggers(table: str, function: str) -> Iterator[str]:
    for event, referencing in (
        ("insert", "referencing new table as new_rows"),
        ("update", "referencing old table as old_rows new table as new_rows"),
        ("delete", "referencing old table as old_rows"),
        ("truncate", ""),
    ):
        moment = "before" if event == "truncate" else "after"
        yield (
            f"create or replace trigger zz_banyan_{event} {moment} {event} on {table} {referencing} "
            f"for each statement execute function {function}()"
        )
        yield f"alter table {table} enable always trigger zz_banyan_{event}"


def oids_of(shape: TableShape) -> str:
    """Write the list of the children of a table, by which one that comes or goes later is known."""
    named = [sql.Literal(sql.Identifier(*child).as_string()).as_string() for child in shape.children]
    return f"array[{', '.join(f'{name}::regclass::oid' for name in named)}]::oid[]"


def keep_children(shape: TableShape) -> str:
    """Write the statement that keeps the children of a table whose log is read."""
    return (
        f"insert into banyan.log_children values ({sql.Literal(shape.name).as_string()}, {oids_of(shape)}) "
        "on conflict (table_name) do update set children = excluded.children"
    )


def uncapture_statements(schema: str, table: str) -> list[str]:
    """Write the statements that remove the capture of one table."""
    named = sql.Identifier(schema, table).as_string()
    lines = [
        f"drop trigger if exists zz_banyan_{event} on {named}" for event in ("insert", "update", "delete", "truncate")
    ]
    return [
        *lines,
        f"drop function if exists banyan.{_quoted(capture_function(table))}() cascade",  # triggers of its children
        f"delete from banyan.captured where table_name = {sql.Literal(table).as_string()}",
    ]


def capture_function(table: str) -> str:
    """Name the trigger function of a table, within the 63 bytes of an identifier."""
    name = f"capture_{table}"
    return name if len(name.encode()) <= 63 else f"capture_{hashlib.sha256(table.encode()).hexdigest()[:16]}"


def fence_statements(schema: str, closure: str, table: str, children: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Write the statements that put one table, with all that hold rows of it, behind the fence of its closure."""
    named = sql.Identifier(schema, table).as_string()
    name, schema_name, table_name = (sql.Literal(text).as_string() for text in (closure, schema, table))
    each = [sql.Identifier(*one).as_string() for one in ((schema, table), *children)]
    return [
        *(line for one in each for line in _fence_trigger(one, name)),
        "insert into banyan.fenced (closure, schema_name, table_name, table_oid)\n"
        f"values ({name}, {schema_name}, {table_name}, {sql.Literal(named).as_string()}::regclass::oid)\n"
        "on conflict (schema_name, table_name) do update set table_oid = excluded.table_oid",
        f"grant select, insert, update, delete on {named} to banyan_reverse",
    ]


def _fence_trigger(table: str, closure: str) -> Iterator[str]:
    yield (
        f"create or replace trigger aa_banyan before insert or update or delete or truncate on {table}\n"
        f"for each statement execute function banyan.check_fence({closure})"
    )
    yield f"alter table {table} enable always trigger aa_banyan"


def unfence_statements(schema: str, table: str, children: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Write the statements that take one table, with all that hold rows of it, out of the fence."""
    named = sql.Identifier(schema, table).as_string()
    each = [sql.Identifier(*one).as_string() for one in ((schema, table), *children)]
    return [
        *(f"drop trigger if exists aa_banyan on {one}" for one in each),
        f"revoke insert, update, delete on {named} from banyan_reverse",
    ]


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()
