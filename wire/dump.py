"""A raw dump of a table by a reader that shares no code with the connectors: `psql`, one line a row, in key order."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import make_url

from banyan.errors import SourceUnavailable
from wire.cluster import wheel_installation


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


def read_dump(path: Path) -> dict[bytes, bytes]:
    """Read a dump as the bytes of each row by its key."""
    rows = {}
    with path.open("rb") as file:
        for line in file:
            key, _, rest = line.rstrip(b"\n").partition(b"\t")
            rows[key] = rest
    return rows
