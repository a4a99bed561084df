"""Every key of a table: what stands in it today, told apart from what is known of it. Only keys leave the server."""

from collections.abc import Iterator, Set

from banyan.records import ChangedKey, KeyRange, Operation, Origin
from connectors.dialects_mariadb import MariaDBShape, select_key_texts, select_step
from connectors.mariadb_connection import Connection, ask

_ROWS_A_RANGE = 50_000


def read_keys(connection: Connection, shape: MariaDBShape) -> Iterator[str]:
    """Read the keys of a table in short statements; no snapshot is held from one to the next."""
    low: str | None = None
    while True:
        step = select_step(shape, KeyRange(low, None), _ROWS_A_RANGE) if shape.is_ordered else None
        found = ask(connection, step.query, step.values) if step is not None else []
        high = str(found[0][0]) if found else None
        asked = select_key_texts(shape, KeyRange(low, high))
        yield from (str(key) for (key,) in ask(connection, asked.query, asked.values))
        if high is None:
            return
        low = high


def compare_keys(table: str, known: Set[str], there: Iterator[str]) -> list[ChangedKey]:
    """List every key that stands in a table or is known of it, each once, as changed by people."""
    found: dict[str, Operation] = {}
    for key in there:
        found[key] = Operation.UPDATE if key in known else Operation.INSERT
    gone = [key for key in known if key not in found]
    return [
        *(ChangedKey(table, key, operation, Origin.PERSON) for key, operation in found.items()),
        *(ChangedKey(table, key, Operation.DELETE, Origin.PERSON) for key in sorted(gone)),
    ]
