"""What the catalogue of a legacy MariaDB says: shapes of tables, foreign keys, counters."""

import warnings
from collections.abc import Mapping, Sequence

from sqlalchemy import inspect
from sqlalchemy.exc import SAWarning

from banyan.errors import SourceDrifted, SourceUnreadable
from banyan.ports import SourceColumn
from connectors.dialects_mariadb import ColumnType, ForeignKey, MariaDBShape, named, quoted
from connectors.mariadb_connection import MariaDBConnections, ask


def read_shape(reader: MariaDBConnections, schema: str, table: str) -> MariaDBShape:
    """Read the columns, key, types and engine of a table; refuses one that is not there."""
    with reader.session("reading the columns", table=table) as connection:
        found = ask(connection, named("columns", schema), {"schema": schema, "table": table})
    if not found:
        raise SourceDrifted(
            f"there is no table {schema}.{table} at {reader.place}; nothing was read",
            hint="banyan source scan",
            table=table,
        )
    odd = [name for name in (table, *(row[0] for row in found)) if "%" in name]
    if odd:
        raise SourceUnreadable(
            f"{schema}.{table} has a percent sign in a name; nothing was read",
            hint="ask for a view without it",
            table=table,
        )
    types: Mapping[str, ColumnType] = {
        row[0]: ColumnType(row[1].lower(), row[2].lower(), row[3], int(row[4]), int(row[5]), int(row[6]))
        for row in found
    }
    columns = tuple(SourceColumn(row[0], row[2].lower(), row[7] == "YES") for row in found)
    return MariaDBShape(schema, table, columns, _read_key(reader, schema, table), types, str(found[0][8]))


def read_foreign_keys(reader: MariaDBConnections, schema: str) -> tuple[ForeignKey, ...]:
    """Read the foreign keys of a database from the definitions of its tables, which the right to read shows."""
    found = []
    with reader.explained("reading the foreign keys"), warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # types that the reflection does not know are none of its business
        inspector = inspect(reader.engine)
        for table in inspector.get_table_names(schema=schema):
            for key in inspector.get_foreign_keys(table, schema=schema):
                if key["referred_schema"] not in (None, schema):
                    continue
                options = key.get("options", {})
                found.append(
                    ForeignKey(
                        table,
                        tuple(key["constrained_columns"]),
                        key["referred_table"],
                        tuple(key["referred_columns"]),
                        str(options.get("ondelete", "RESTRICT")).upper(),
                        str(options.get("onupdate", "RESTRICT")).upper(),
                    )
                )
    return tuple(found)


def read_reaching_keys(guard: MariaDBConnections, schema: str) -> tuple[ForeignKey, ...]:
    """Read the foreign keys of a database through banyan's own routine: the guard may read no table of it."""
    with guard.session("reading the foreign keys") as connection:
        rows = ask(connection, named("foreign_keys", schema))
    grouped: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for row in rows:
        grouped.setdefault((row[1], row[0]), []).append(row)
    return tuple(
        ForeignKey(table, tuple(r[2] for r in same), same[0][3], tuple(r[4] for r in same), same[0][5], same[0][6])
        for (table, _), same in grouped.items()
    )


def find_sequences(catalogue: MariaDBConnections, schema: str, tables: Sequence[str]) -> list[str]:
    """Give the sequences that count keys of tables, `seq_person` for `t_person`, as far as this account sees them."""
    names = tuple(f"seq_{table.removeprefix('t_')}" for table in tables)
    with catalogue.session("reading the sequences") as connection:
        return [name for (name,) in ask(connection, named("sequences", schema), {"schema": schema, "names": names})]


def reserve(writer: MariaDBConnections, schema: str, counter: str, count: int) -> list[str]:
    """Take keys from a sequence, or from the AUTO_INCREMENT of a table, which advances before any is used."""
    rest = counter.removeprefix("seq_")
    values = {"schema": schema, "names": (counter, f"t_{rest}", rest)}
    with writer.session("reserving keys", table=counter) as connection:
        found = {name: (kind, counts) for name, kind, counts in ask(connection, named("counters", schema), values)}
        place = next((name for name in values["names"] if name in found and any(found[name])), "")
        if not place:
            raise SourceDrifted(
                f"{schema}.{counter} is no sequence that this account may use, and no table counts its keys by it; "
                "no key was taken",
                hint="banyan source grants --level R4 grants it where it stands; else the table needs AUTO_INCREMENT",
                table=counter,
            )
        if found[place][0]:
            taken = f"select nextval({quoted(schema)}.{quoted(place)})"
            return [str(ask(connection, taken)[0][0]) for _ in range(count)]
        first = int(ask(connection, named("reserve", schema), {"table": place, "count": count})[0][0])
    return [str(key) for key in range(first, first + count)]


def _read_key(reader: MariaDBConnections, schema: str, table: str) -> tuple[str, ...]:
    """Give the primary key, or the first unique index whose columns are never empty: what the engine itself takes."""
    with reader.session("reading the key", table=table) as connection:
        rows = ask(connection, named("unique_indexes", schema), {"schema": schema, "table": table})
    indexes: dict[str, list[tuple[str, bool]]] = {}
    for index, column, is_whole in rows:  # the primary key first
        indexes.setdefault(index, []).append((column, bool(is_whole)))
    for columns in indexes.values():
        if all(is_whole for _, is_whole in columns):
            return tuple(column for column, _ in columns)
    return ()
