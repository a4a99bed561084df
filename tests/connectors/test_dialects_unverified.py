"""SQL for makes that no test server speaks for: the text is compared with a golden one, what it answers is not known.

A golden text is changed by hand, after reading the maker's manual: it is the only check these makes have.
"""

from pathlib import Path

import pytest

from banyan.errors import ConfigurationError
from banyan.records import KeyRange
from connectors.dialects_makes import MARIADB, POSTGRESQL, SQLITE
from connectors.dialects_odbc import (
    Make,
    OdbcColumn,
    OdbcShape,
    count_rows,
    select_keys,
    select_range,
    select_step,
)
from connectors.dialects_unverified import DB2, FIREBIRD, MYSQL, ORACLE, SQLSERVER
from connectors.sql import MAKES, find_make

GOLDEN = Path(__file__).parent / "golden_dialects"
TYPES = {
    SQLSERVER: ("int identity", "nvarchar", "bit", "decimal", "money", "float", "date", "datetime2", "datetimeoffset",
                "uniqueidentifier", "xml", "varbinary", "timestamp"),
    ORACLE: ("number", "varchar2", "date", "timestamp", "timestamp with time zone", "binary_double", "clob", "raw"),
    DB2: ("integer", "varchar", "decimal", "double", "date", "time", "timestamp", "char for bit data", "clob"),
    FIREBIRD: ("integer", "varchar", "numeric", "double precision", "date", "timestamp", "blob sub_type text",
               "boolean"),
    MYSQL: ("int unsigned", "varchar", "char", "decimal", "float", "double", "bit", "date", "datetime", "timestamp",
            "time", "year", "longtext", "longblob", "json"),
}  # fmt: skip


def shape_of(make: Make) -> OdbcShape:
    """A table with every type, whose key is a number and a text; its names need their quotes."""
    columns = tuple(
        OdbcColumn(f'{kind.split()[0]} "{place}]', kind, 10, is_nullable=False)
        for place, kind in enumerate(TYPES[make])
    )
    return OdbcShape(make, "ORION", "T PROC", columns, (columns[0].name, columns[1].name))


def written(make: Make) -> str:
    shape = shape_of(make)
    statements = (
        select_range(shape, KeyRange("5\x1fa", "90\x1fz")),
        select_step(shape, KeyRange("5\x1fa", None), 1000),
        select_keys(shape, ["5\x1fa", "6\x1fb"]),
        count_rows(shape),
    )
    return "\n\n".join(f"{one.query}\n-- {list(one.values)}" for one in statements) + "\n"


@pytest.mark.parametrize("make", TYPES, ids=lambda make: make.name)
def test_the_statements_of_a_make_are_the_golden_ones(make):
    assert written(make) == (GOLDEN / f"{make.name.lower().replace(' ', '')}.sql").read_text()


@pytest.mark.parametrize("make", MAKES, ids=lambda make: make.name)
def test_a_make_without_a_server_says_so_beside_every_table(make):
    assert make.note == ("" if make in (POSTGRESQL, MARIADB, SQLITE) else f"{make.name}: not verified against a server")


@pytest.mark.parametrize("make", TYPES, ids=lambda make: make.name)
def test_a_type_without_an_exact_text_is_refused_and_never_guessed(make):
    shape = OdbcShape(make, "ORION", "T", (OdbcColumn("ID", "sql_variant", 0, is_nullable=True),), ())

    with pytest.raises(ConfigurationError, match="its type sql_variant has no text"):
        select_range(shape, KeyRange(None, None))
    assert not shape.is_ordered


def test_a_mysql_is_no_verified_mariadb():
    assert (find_make("MySQL").note, find_make("MariaDB").note) == ("MySQL: not verified against a server", "")
    with pytest.raises(ConfigurationError, match="speaks of Informix"):
        find_make("Informix")
