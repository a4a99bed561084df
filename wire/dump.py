"""A raw dump of a table by a reader that shares no code with the connectors: one line a row, in key order, key first.

`psql` for PostgreSQL, the client `mariadb` for MariaDB; of a SQLite file each cell with its class and its bytes.
"""

import os
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from banyan.errors import SourceUnavailable
from wire.cluster import wheel_installation
from wire.mariadb import find_mariadb_client


def dump_table(url: str, table: Sequence[str], key: str, path: Path) -> int:
    """Write a table as COPY text, ordered by its key, key first; gives the number of rows."""
    address = make_url(url)
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table)
    column = '"' + key.replace('"', '""') + '"'
    # both names are quoted as identifiers; nothing else of the statement varies
    statement = f"copy (select {column} as banyan_key, t.* from {name} t order by {column}) to stdout"  # noqa: S608
    environment = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PGHOST": address.host or "127.0.0.1",
        "PGPORT": str(address.port or 5432),
        "PGUSER": address.username or "",
        "PGPASSWORD": str(address.password or ""),
        "PGDATABASE": address.database or "",
        "PGCLIENTENCODING": "UTF8",
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        done = subprocess.run(
            [str(wheel_installation() / "bin" / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement],
            env=environment,
            stdout=file,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode != 0:
        raise SourceUnavailable(f"psql could not dump {name}; the dump in {path} is not used")
    with path.open("rb") as file:
        return sum(1 for _ in file)


def dump_mariadb_table(url: str, table: str, key: str, path: Path) -> int:
    """Write a table as the bytes of its cells, ordered by its key, key first; gives the number of rows."""
    address = make_url(url)
    asked = "select column_name from information_schema.columns where table_schema = database() and table_name = "
    names = _ask_mariadb(address, f"{asked}'{table}' order by ordinal_position").decode().split()
    cells = ", ".join(f"hex(`{name}`)" for name in names)
    # the names are those that the server gave; nothing else of the statement varies
    rows = _ask_mariadb(address, f"select `{key}`, {cells} from `{table}` order by `{key}`")  # noqa: S608
    _write(path, rows)
    return rows.count(b"\n")


def dump_sqlite_table(file: Path, table: str, key: str, path: Path) -> int:
    """Write a table as the class and bytes of its cells, ordered by its key, key first; gives the number of rows."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as base:
        names = [name for (name,) in base.execute("select name from pragma_table_info(?)", (table,))]
        cells = ", ".join(f'typeof("{name}") || hex(cast("{name}" as blob))' for name in names)
        # the names are those that the file gave; nothing else of the statement varies
        rows = base.execute(f'select "{key}", {cells} from "{table}" order by "{key}"').fetchall()  # noqa: S608
    _write(path, b"".join("\t".join(map(str, row)).encode() + b"\n" for row in rows))
    return len(rows)


def _ask_mariadb(address: URL, statement: str) -> bytes:
    client = find_mariadb_client()
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MYSQL_PWD": str(address.password or "")}
    done = subprocess.run(
        [
            str(client), "--no-defaults", "--protocol=tcp", f"--host={address.host}", f"--port={address.port}",
            f"--user={address.username}", "--batch", "--skip-column-names", "--execute", statement,
            str(address.database),
        ],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SourceUnavailable("the client mariadb could not dump a table; the dump is not used")
    return done.stdout


def _write(path: Path, rows: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(rows)


def read_dump(path: Path) -> dict[bytes, bytes]:
    """Read a dump as the bytes of each row by its key."""
    rows = {}
    with path.open("rb") as file:
        for line in file:
            key, _, rest = line.rstrip(b"\n").partition(b"\t")
            rows[key] = rest
    return rows
