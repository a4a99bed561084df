"""The tables of MAREL as their DDL declares them: names and column order."""

import re
from functools import cache

from estate.schema import read_sql

_TABLE = re.compile(r"create table (?P<table>\w+) \((?P<body>.*?)\n\) engine=(?P<engine>\w+)", re.DOTALL)
_COLUMN = re.compile(
    r"^  (?P<name>\w+) (?:int|smallint|tinyint|varchar|char|enum|date|datetime|text|blob|decimal)\b", re.M
)


@cache
def marel_tables() -> dict[str, tuple[str, ...]]:
    """Give every table of MAREL with its columns in the order of the DDL; the first one is the key."""
    return {
        table["table"]: tuple(column["name"] for column in _COLUMN.finditer(table["body"]))
        for table in _TABLE.finditer(read_sql("marel"))
    }


@cache
def untransacted_tables() -> tuple[str, ...]:
    """Give the tables that no transaction protects: those of MyISAM."""
    return tuple(table["table"] for table in _TABLE.finditer(read_sql("marel")) if table["engine"] == "MyISAM")


def marel_key(table: str) -> str:
    """Give the key column of a table: always the first one."""
    return marel_tables()[table][0]
