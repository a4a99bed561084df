"""Makes of database whose projections are compared with a real server behind its ODBC driver, value by value."""

from connectors.dialects import ALL_ROWS, RAW_SETTINGS
from connectors.dialects_mariadb import ALL_ROWS as ALL_OF_MARIADB
from connectors.dialects_mariadb import BYTE_TYPES, TEXT_TYPES
from connectors.dialects_mariadb import INTEGER_TYPES as MARIADB_INTEGERS
from connectors.dialects_odbc import Form, Make, OdbcColumn, Projection

_PG_INTEGERS = frozenset(("int2", "int4", "int8", "smallint", "integer", "bigint", "serial", "bigserial", "oid"))
_PG_DAYS = frozenset(("date", "timestamp", "timestamptz", "time", "uuid"))
_PG_TEXTS = frozenset(("text", "varchar", "character varying"))
_SQLITE_TEXT = "cast(? as text)"  # bytes of another encoding can be bound to it too
_SQLITE_NUMBERS = ("int", "real", "floa", "doub", "num", "dec", "bool", "date")


def _project_postgresql(cell: str, column: OdbcColumn) -> Projection | None:
    """Numbers and days as `::text` writes them; all else through concat, which keeps the blanks of char(n)."""
    if column.type_name in _PG_INTEGERS or column.type_name in _PG_DAYS or column.type_name == "numeric":
        return Projection(f"cast({cell} as text)")
    written = f"encode(convert_to(concat({cell}), 'UTF8'), 'hex')"
    return Projection(f"case when cast({cell} as text) is not null then {written} end", Form.HEX)


def _bind_postgresql(column: OdbcColumn) -> str | None:
    kind = column.type_name
    if kind in _PG_INTEGERS or kind == "numeric":
        return "cast(? as numeric)"
    if kind in _PG_DAYS:
        return f"cast(? as {kind})"
    if kind in _PG_TEXTS:
        return "cast(? as text)"
    return "cast(? as bpchar)" if kind in ("char", "bpchar", "character") else None


def _project_mariadb(cell: str, column: OdbcColumn) -> Projection | None:
    match column.type_name.removesuffix(" unsigned"):
        case name if name in TEXT_TYPES or name in ("enum", "set", "json"):
            return Projection(f"hex(convert({cell} using utf8mb4))", Form.HEX)
        case name if name in BYTE_TYPES:
            return Projection(f"hex({cell})", Form.BYTES)
        case "bit":
            return Projection(f"cast(bin({cell} + 0) as char)")
        case "float":  # the short text where it is the same number, all digits where it is not
            short = f"cast({cell} as char)"
            return Projection(f"if(cast({short} as float) = {cell}, {short}, cast(cast({cell} as double) as char))")
        case _:
            return Projection(f"cast({cell} as char)")


def _bind_mariadb(column: OdbcColumn) -> str | None:
    kind = column.type_name.removesuffix(" unsigned")
    if kind in MARIADB_INTEGERS or kind == "year":
        return f"cast(? as {'unsigned' if column.type_name.endswith('unsigned') else 'signed'})"
    if kind == "decimal":
        return "cast(? as decimal(65,30))"
    if kind in ("date", "datetime", "time"):
        return f"cast(? as {kind}{'' if kind == 'date' else '(6)'})"
    return "?" if kind in TEXT_TYPES else None


def _project_sqlite(cell: str, _: OdbcColumn) -> Projection | None:
    return Projection(
        f"case typeof({cell}) when 'null' then null when 'integer' then 'i' || cast({cell} as text) "
        f"when 'real' then 'r' || printf('%!.17g', {cell}) else substr(typeof({cell}), 1, 1) || hex({cell}) end",
        Form.CLASSED,
    )


def _bind_sqlite(column: OdbcColumn) -> str | None:
    """A value compared with a column takes its affinity; without one, digits and a number are different things."""
    kind = column.type_name
    if any(part in kind for part in ("char", "clob", "text")):
        return _SQLITE_TEXT
    return _SQLITE_TEXT if any(part in kind for part in _SQLITE_NUMBERS) else None


POSTGRESQL = Make(
    "PostgreSQL",
    ("PostgreSQL",),
    _project_postgresql,
    _bind_postgresql,
    skip="offset {rows} limit 1",
    settings=tuple(f"set {name} = '{value}'" for name, value in (RAW_SETTINGS | ALL_ROWS).items()),
)
MARIADB = Make(
    "MariaDB",
    ("MariaDB",),
    _project_mariadb,
    _bind_mariadb,
    quotes="``",
    skip="limit 1 offset {rows}",
    settings=("set time_zone = '+00:00'", "set sql_mode = ''", ALL_OF_MARIADB),
    schema_is_catalog=True,
)
SQLITE = Make(
    "SQLite",
    ("SQLite",),
    _project_sqlite,
    _bind_sqlite,
    skip="limit 1 offset {rows}",
    has_empty_keys=True,
)
