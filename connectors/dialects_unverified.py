"""Makes of database whose projections were compared with no server: their text is tested, what it answers is not.

Written from the manuals of each maker; `source capabilities` says so beside every table. Before such a source is
trusted, its traps are put into one table of a test server and read: docs/sources.md.
"""

from connectors.dialects_makes import MARIADB
from connectors.dialects_mariadb import BYTE_TYPES, INTEGER_TYPES, TEXT_TYPES
from connectors.dialects_odbc import Form, Make, OdbcColumn, Projection

_MYSQL_TYPES = frozenset(
    (*TEXT_TYPES, *BYTE_TYPES, *INTEGER_TYPES, "integer", "decimal", "float", "double", "bit", "date", "datetime",
     "timestamp", "time", "year", "enum", "set", "json")
)  # fmt: skip
_POINT = "'NLS_NUMERIC_CHARACTERS=''.,'''"


def _project_sqlserver(cell: str, column: OdbcColumn) -> Projection | None:
    match column.type_name.removesuffix(" identity"):
        case "tinyint" | "smallint" | "int" | "bigint" | "bit":
            return Projection(f"convert(varchar(20), {cell})")
        case "decimal" | "numeric":
            return Projection(f"convert(varchar(41), {cell})")
        case "money" | "smallmoney":  # style 2: all four decimals
            return Projection(f"convert(varchar(41), {cell}, 2)")
        case "float" | "real":  # style 3: 17 digits, which is the number itself
            return Projection(f"convert(varchar(30), {cell}, 3)")
        case "date":
            return Projection(f"convert(varchar(10), {cell}, 23)")
        case "datetime" | "smalldatetime" | "datetime2" | "datetimeoffset" | "time":
            return Projection(f"convert(varchar(34), {cell}, 121)")
        case "uniqueidentifier":
            return Projection(f"convert(varchar(36), {cell})")
        case "char" | "varchar" | "text" | "nchar" | "nvarchar" | "ntext" | "xml" | "sysname":
            wide = f"convert(varbinary(max), convert(nvarchar(max), {cell}))"
            return Projection(f"convert(varchar(max), {wide}, 2)", Form.UTF16)
        case "binary" | "varbinary" | "image" | "timestamp" | "rowversion":
            return Projection(f"convert(varchar(max), convert(varbinary(max), {cell}), 2)", Form.BYTES)
    return None


def _bind_sqlserver(column: OdbcColumn) -> str | None:
    match column.type_name.removesuffix(" identity"):
        case "tinyint" | "smallint" | "int" | "bigint":
            return "convert(bigint, ?)"
        case "decimal" | "numeric":
            return f"convert(decimal(38, {min(max(38 - column.size, 0), 12)}), ?)"
        case "char" | "varchar" | "nchar" | "nvarchar":
            return "?"
    return None


def _project_oracle(cell: str, column: OdbcColumn) -> Projection | None:
    """Texts come as the driver gives them: a text and its bytes cannot be longer than 2,000 in a statement."""
    match column.type_name:
        case "number" | "integer" | "decimal" | "float" | "binary_float" | "binary_double":
            return Projection(f"to_char({cell}, 'TM9', {_POINT})")
        case "date":
            return Projection(f"ltrim(to_char({cell}, 'SYYYY-MM-DD HH24:MI:SS'))")
        case kind if kind.startswith("timestamp"):
            zone = " TZH:TZM" if "with time zone" in kind else ""
            return Projection(f"ltrim(to_char({cell}, 'SYYYY-MM-DD HH24:MI:SS.FF9{zone}'))")
        case "char" | "varchar2" | "nchar" | "nvarchar2" | "clob" | "nclob":
            return Projection(cell)
        case "raw":
            return Projection(f"rawtohex({cell})", Form.BYTES)
    return None


def _bind_oracle(column: OdbcColumn) -> str | None:
    match column.type_name:
        case "number" | "integer" | "decimal":
            return "cast(? as number)"  # a comma as decimal point is an error of the server, never another number
        case "varchar2" | "nvarchar2":
            return "?"
    return None


def _project_db2(cell: str, column: OdbcColumn) -> Projection | None:
    match column.type_name:
        case "smallint" | "integer" | "bigint" | "decimal" | "numeric" | "decfloat":
            return Projection(f"cast({cell} as varchar(42))")
        case "real" | "double" | "float":
            return Projection(f"cast({cell} as varchar(30))")
        case "date":
            return Projection(f"char({cell}, iso)")
        case "time":
            return Projection(f"char({cell}, jis)")
        case "timestamp":
            return Projection(f"cast({cell} as varchar(32))")
        case "char for bit data" | "varchar for bit data" | "binary" | "varbinary":
            return Projection(f"hex({cell})", Form.BYTES)
        case "char" | "varchar" | "long varchar" | "graphic" | "vargraphic" | "clob":
            return Projection(cell)
    return None


def _bind_db2(column: OdbcColumn) -> str | None:
    match column.type_name:
        case "smallint" | "integer" | "bigint":
            return "cast(? as bigint)"
        case "decimal" | "numeric":
            return "cast(? as decfloat(34))"
        case "char" | "varchar":
            return f"cast(? as varchar({max(column.size, 1)}))"
    return None


def _project_firebird(cell: str, column: OdbcColumn) -> Projection | None:
    match column.type_name:
        case "smallint" | "integer" | "bigint" | "int128" | "numeric" | "decimal" | "decfloat" | "boolean":
            return Projection(f"cast({cell} as varchar(45))")
        case "float" | "double precision" | "date" | "time" | "timestamp":
            return Projection(f"cast({cell} as varchar(40))")
        case "char" | "varchar":
            return Projection(cell)
        case "blob sub_type text" | "blob sub_type 1":  # a longer one is refused by the server, never cut
            return Projection(f"cast({cell} as varchar(8191))")
    return None


def _bind_firebird(column: OdbcColumn) -> str | None:
    match column.type_name:
        case "smallint" | "integer" | "bigint":
            return "cast(? as bigint)"
        case "numeric" | "decimal":
            return "cast(? as numeric(18, 4))"
        case "char" | "varchar":
            return f"cast(? as varchar({max(column.size, 1)}))"
    return None


def _project_mysql(cell: str, column: OdbcColumn) -> Projection | None:
    """As MariaDB writes it; float becomes a number again by a cast that MySQL has since 8.0.17."""
    bare = column.type_name.removesuffix(" unsigned")
    return MARIADB.project(cell, column) if bare in _MYSQL_TYPES else None


SQLSERVER = Make(
    "SQL Server", ("Microsoft SQL Server",), _project_sqlserver, _bind_sqlserver, quotes="[]", is_verified=False
)
ORACLE = Make("Oracle", ("Oracle",), _project_oracle, _bind_oracle, is_verified=False)
DB2 = Make("Db2", ("DB2",), _project_db2, _bind_db2, is_verified=False)
FIREBIRD = Make("Firebird", ("Firebird", "InterBase"), _project_firebird, _bind_firebird, is_verified=False)
MYSQL = Make(
    "MySQL",
    ("MySQL",),
    _project_mysql,
    MARIADB.bind,
    quotes=MARIADB.quotes,
    skip=MARIADB.skip,
    settings=MARIADB.settings,
    is_verified=False,
    schema_is_catalog=True,
)
