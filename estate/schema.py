"""The tables of ORION as their DDL declares them: names, column order, widths."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_TABLE = re.compile(r"create table orion\.(?P<table>\w+) \((?P<body>.*?)\n\);", re.DOTALL)
_COLUMN = re.compile(r"^  (?P<name>\w+) (?P<kind>char|varchar|numeric|timestamp)\((?P<width>\d+)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LegacyColumn:
    """One column of the legacy DDL."""

    name: str
    kind: str
    width: int

    @property
    def is_padded(self) -> bool:
        """Tell whether the server pads values with blanks."""
        return self.kind == "char"


def read_sql(name: str) -> str:
    """Read one of the .sql files of the estate."""
    return files("estate").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


@cache
def legacy_tables() -> dict[str, tuple[LegacyColumn, ...]]:
    """Give every table of ORION with its columns in the order of the DDL."""
    return {
        table["table"]: tuple(
            LegacyColumn(column["name"], column["kind"], int(column["width"]))
            for column in _COLUMN.finditer(table["body"])
        )
        for table in _TABLE.finditer(read_sql("tables"))
    }


def key_column(table: str) -> str:
    """Give the key column of a T_ table: always the first one."""
    return legacy_tables()[table][0].name


def sequence_of(table: str) -> str:
    """Give the sequence the application takes the keys of a T_ table from."""
    return f"seq_{table.removeprefix('t_')}"
