"""Installing and removing the reading of the log on a legacy PostgreSQL: a publication of keys, and a slot.

The slot is guarded: a server that would keep its log without bound for us is refused. Everything is shown first.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from banyan.clock import monotonic
from banyan.errors import ConfigurationError, SourceUnavailable
from connectors.dialects import TableShape, statements
from connectors.dialects_triggers import keep_children
from connectors.postgresql_connection import Connection, PostgreSQLConnections
from connectors.postgresql_log_keys import ROUTE_TABLE

_LISTS_COLUMNS = 150000  # a publication of some columns only: no other value leaves the server
_RELEASE_SECONDS = 10
_ONCE = ("schema", "capture", "children", "position", "rights_1", "rights_2", "rights_3", "rights_children", "rights_4")


def log_statement(name: str) -> sql.SQL:
    """Give one small statement of the reading of the log."""
    return sql.SQL(statements("postgresql_log")[name])  # type: ignore[arg-type]  # our own file, not a literal


@dataclass(frozen=True, slots=True)
class SlotState:
    """The slot as the server has it."""

    is_active: bool
    wal_status: str
    plugin: str
    confirmed: int


def slot_name(database: str, schema: str) -> str:
    """Name the slot and the publication of a schema: slots belong to the whole server, so it names the database."""
    plain = f"banyan_{database}_{schema}"
    name = re.sub(r"[^a-z0-9_]", "_", plain.lower())
    if name == plain and len(name) <= 63:
        return name
    return f"{name[:50]}_{hashlib.sha256(plain.encode()).hexdigest()[:12]}"


def plan_log(shapes: Sequence[TableShape], slot: str, *, lists_columns: bool) -> list[str]:
    """Write the statements that install the reading of the log, in order; the last one is run on its own."""
    once = statements("postgresql_log")
    name = sql.Literal(slot).as_string()
    return [
        *(once[step] for step in _ONCE),
        once["capture_row"].replace("%(slot)s", name),
        *(keep_children(shape) for shape in shapes if shape.children),
        _publication(shapes, slot, "create publication {} for table {} with (publish = 'insert, update, delete, "
                     "truncate', publish_via_partition_root = true)", lists_columns=lists_columns),
        once["create_slot"].replace("%(slot)s", name),
    ]  # fmt: skip


def undo_log(slot: str) -> list[str]:
    """Write the statements that remove the reading of the log."""
    return [
        statements("postgresql_log")["drop_slot"].replace("%(slot)s", sql.Literal(slot).as_string()),
        sql.SQL("drop publication if exists {}").format(sql.Identifier(slot)).as_string(),
        statements("postgresql_log")["drop_capture"],
        "alter role banyan_reader with noreplication",
    ]


def install_log(admin_url: str, shapes: Sequence[TableShape], slot: str) -> None:
    """Install publication and slot; what is installed and sound stays, a lost slot begins a new incarnation."""
    admin = PostgreSQLConnections(admin_url)
    try:
        with admin.session("installing the reading of the log") as connection:
            lists_columns = _check_server(connection) >= _LISTS_COLUMNS
            _check_identities(connection, shapes, lists_columns=lists_columns)
            found = read_slot(connection, slot)
            known = _is_known(connection)
            if found is not None and (found.wal_status == "lost" or not known):
                _drop_slot(connection, slot)
                found = None
            with connection.transaction():
                connection.execute("set local lock_timeout = '5s'")
                for step in _ONCE:
                    connection.execute(log_statement(step))
                if found is None:
                    connection.execute(log_statement("capture_row"), {"slot": slot})
                _publish(connection, shapes, slot, lists_columns=lists_columns)
                for shape in shapes:
                    if shape.children:  # one that comes or goes takes rows with it, of which no log tells
                        connection.execute(sql.SQL(keep_children(shape)))  # type: ignore[arg-type]  # of the dialect
            if found is None:
                _create_slot(connection, slot)
    finally:
        admin.close()


def remove_log(admin_url: str, slot: str, schema: str, tables: Sequence[str] | None) -> None:
    """Remove some tables from the publication, or everything with the last one: slot, publication, identity."""
    admin = PostgreSQLConnections(admin_url)
    try:
        with admin.session("removing the reading of the log") as connection:
            published = {table for place, table in read_published(connection, slot) if place == schema}
            leaving = published if tables is None else published.intersection(tables)
            if leaving != published:  # the slot goes with the last table
                for table in sorted(leaving):
                    line = sql.SQL("alter publication {} drop table {}")
                    connection.execute(line.format(sql.Identifier(slot), sql.Identifier(schema, table)))
                return
            _drop_slot(connection, slot)
            connection.execute(sql.SQL("drop publication if exists {}").format(sql.Identifier(slot)))
            connection.execute(log_statement("drop_capture"))
    finally:
        admin.close()


def read_slot(connection: Connection, slot: str) -> SlotState | None:
    """Read the slot; None when there is none of this name in this database."""
    row = connection.execute(log_statement("slot"), {"slot": slot}).fetchone()
    return SlotState(*row) if row is not None else None


def read_published(connection: Connection, slot: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Read which tables and columns are published."""
    rows = connection.execute(log_statement("published"), {"slot": slot}).fetchall()
    return {(schema, table): tuple(columns or ()) for schema, table, columns in rows}


def has_its_children(connection: Connection, schema: str, table: str) -> bool:
    """Tell whether the partitions of a table are those that it had when its log was first read."""
    asked = {"schema": schema, "table": table}
    (present,) = connection.execute(log_statement("present_children"), asked).fetchone() or ([],)
    if connection.execute(log_statement("has_children_table")).fetchone() != (True,):
        return not present
    known = connection.execute(log_statement("known_children"), asked).fetchone()
    return set(present) == set(known[0] if known else ())


def _check_server(connection: Connection) -> int:
    row = connection.execute(log_statement("server")).fetchone()
    assert row is not None
    version, level, kept, is_standby, most_slots, slots = row
    if is_standby:
        raise ConfigurationError(
            "this server is a standby: its log is read on the primary; nothing was installed",
            hint="name the primary in banyan.yaml",
        )
    wrong = []
    if level != "logical":
        wrong.append("wal_level = logical (needs a restart)")
    if kept == "-1":  # without it a reader that is away fills the disk of the legacy server
        wrong.append("max_slot_wal_keep_size = '10GB' (a size its disk can spare; needs a reload)")
    if slots >= most_slots:
        wrong.append(f"max_replication_slots = {most_slots + 4} (needs a restart)")
    if wrong:
        raise ConfigurationError(
            f"the log of this server cannot be read yet; nothing was installed. It needs: {'; '.join(wrong)}",
            hint="let its administrator set this in postgresql.conf, or set `capture: journal` in banyan.yaml",
        )
    return int(version)


def _check_identities(connection: Connection, shapes: Sequence[TableShape], *, lists_columns: bool) -> None:
    """Refuse tables whose application could not update any more once they are published, or whose key is not told."""
    bound = {"schema": shapes[0].schema if shapes else "", "tables": [shape.name for shape in shapes]}
    found = {name: rest for name, *rest in connection.execute(log_statement("identities"), bound).fetchall()}
    for shape in shapes:
        if shape.is_inherited:
            raise ConfigurationError(
                f"tables inherit from {shape.schema}.{shape.name}: one that is made later would not be in the log; "
                "nothing was installed",
                hint="set `capture: journal` or `capture: snapshot` in banyan.yaml",
                table=shape.name,
            )
        identity, told = found.get(shape.name, ("n", None))
        if identity == "f" and not lists_columns:
            continue
        if identity == "n" or identity == "f" or not set(shape.key) <= set(told or ()):
            raise ConfigurationError(
                f"{shape.schema}.{shape.name} does not tell its primary key in the log (replica identity {identity}): "
                "published like this, its own application could not write any more; nothing was installed",
                hint=f"alter table {shape.identifier.as_string()} replica identity default, or `capture: journal`",
                table=shape.name,
            )


def _publish(connection: Connection, shapes: Sequence[TableShape], slot: str, *, lists_columns: bool) -> None:
    known = connection.execute(log_statement("publication"), {"slot": slot}).fetchone()
    if known is None:
        form = (
            "create publication {} for table {} with (publish = 'insert, update, delete, truncate', "
            "publish_via_partition_root = true)"
        )
        connection.execute(_composed(shapes, slot, form, lists_columns=lists_columns))
        return
    if known != (True,):
        raise ConfigurationError(
            f"a publication {slot} exists and does not publish every kind of change; nothing was installed",
            hint="let its owner drop it",
        )
    published = read_published(connection, slot)
    missing = [shape for shape in shapes if (shape.schema, shape.name) not in published]
    if missing:
        for shape in missing:  # whoever has written there before would commit unpublished, after it was read again
            connection.execute(
                sql.SQL("lock table {} in share row exclusive mode").format(sql.Identifier(shape.schema, shape.name))
            )
        form = "alter publication {} add table {}"
        connection.execute(_composed(missing, slot, form, lists_columns=lists_columns, with_route=False))


def _publication(shapes: Sequence[TableShape], slot: str, form: str, *, lists_columns: bool) -> str:
    return _composed(shapes, slot, form, lists_columns=lists_columns).as_string()


def _composed(
    shapes: Sequence[TableShape], slot: str, form: str, *, lists_columns: bool, with_route: bool = True
) -> sql.Composed:
    listed: list[sql.Composable] = []
    for shape in shapes:
        columns = sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, shape.key)))
        listed.append(shape.identifier + columns if lists_columns else shape.identifier)
    if with_route:
        route = sql.Identifier(*ROUTE_TABLE)
        listed.append(route + sql.SQL(" (route)") if lists_columns else route)
    return sql.SQL(form).format(sql.Identifier(slot), sql.SQL(", ").join(listed))  # type: ignore[arg-type]


def _is_known(connection: Connection) -> bool:
    return connection.execute(log_statement("is_installed")).fetchone() == (True,)


def _create_slot(connection: Connection, slot: str) -> None:
    """Create the slot; the server waits for every transaction that runs now, a minute at most."""
    try:
        connection.execute(log_statement("wait_for_slot"))
        connection.execute(log_statement("create_slot"), {"slot": slot})
    except psycopg.errors.QueryCanceled:
        raise SourceUnavailable(
            "a transaction of the legacy system has been open for a minute: the log cannot be read from before its "
            "end; the publication stands, no slot was made",
            hint="run the same command again when the long job has ended",
        ) from None
    finally:
        connection.execute(log_statement("wait_without_end"))


def _drop_slot(connection: Connection, slot: str) -> None:
    """Drop the slot; a reader of ours that is about to let go is waited for."""
    until = monotonic() + _RELEASE_SECONDS
    while True:
        try:
            connection.execute(log_statement("drop_slot"), {"slot": slot})
        except psycopg.errors.ObjectInUse:
            if monotonic() > until:
                raise SourceUnavailable(
                    f"another process reads the slot {slot}; it was not dropped", hint="stop it, then run this again"
                ) from None
            time.sleep(0.2)
        else:
            return
