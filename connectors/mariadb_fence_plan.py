"""What the fence of a legacy MariaDB consists of: planned as text, installed, removed."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID, uuid4

from banyan.errors import ConfigurationError, SwitchRefused
from banyan.ports import FenceMode
from connectors.dialects_mariadb import ForeignKey, home_of, literal, named, quoted, shipped
from connectors.mariadb_cascades import find_cascades
from connectors.mariadb_connection import MariaDBConnections, ask
from connectors.mariadb_objects import (
    FENCE,
    Trigger,
    administrator,
    plan_base,
    plan_removal,
    plan_trigger,
    run,
    trigger_name,
)
from connectors.mariadb_shapes import find_sequences, read_foreign_keys, read_shape

EVENTS: Final = ("insert", "update", "delete")


def fence_triggers(closure: str, schema: str, tables: Sequence[str], *, lasting: Collection[str] = ()) -> list[Trigger]:
    """Write the triggers that ask the fence before each row of the tables of a closure.

    Those of tables without transactions (`lasting`) refuse after a second what would wait behind an effect.
    """
    return [
        Trigger(
            trigger_name(f"aa_banyan_{event}", table),
            table,
            f"before {event}",
            _question(closure, schema, is_lasting=table in lasting),
            FENCE,
            closure,
        )
        for table in tables
        for event in EVENTS
    ]


def parent_triggers(closure: str, schema: str, tables: Sequence[str], keys: Sequence[ForeignKey]) -> list[Trigger]:
    """Write the triggers on tables outside the closure from which a cascade reaches it: triggers see no cascade."""
    found = []
    cascades = find_cascades(keys, tables)
    for parent in sorted(cascades.parents - set(tables)):
        mine = [cascade for cascade in cascades.followed if cascade.parent == parent]
        if any(not cascade.is_update for cascade in mine):
            found.append(("delete", parent, _question(closure, schema)))
        columns = sorted({name for c in mine if c.is_update for name in c.path[0].parent_columns})
        if columns:
            same = " and ".join(f"old.{quoted(name)} <=> new.{quoted(name)}" for name in columns)
            found.append(("update", parent, f"if not ({same}) then {_question(closure, schema)}; end if"))
    return [
        Trigger(
            trigger_name(f"ab_banyan_{event}", parent, f"_{closure}"), parent, f"before {event}", body, FENCE, closure,
            is_member=False,
        )
        for event, parent, body in found
    ]  # fmt: skip


def plan_fence(
    closure: str,
    tables: Sequence[str],
    *,
    schema: str,
    keys: Sequence[ForeignKey],
    lasting: Collection[str] = (),
    counters: Collection[str] = (),
) -> list[str]:
    """Write the statements that install the fence of a closure; runs none of them. `lasting`: as of its triggers.

    From `counters`, sequences of the database, the applier takes the keys of rows that are born in the new system.
    """
    home = quoted(home_of(schema))
    triggers = [
        *fence_triggers(closure, schema, tables, lasting=lasting),
        *parent_triggers(closure, schema, tables, keys),
    ]
    listed = [f"{quoted(schema)}.{quoted(table)}" for table in tables]
    return [
        *plan_base(schema),
        *shipped("mariadb_fence", schema).values(),
        f"insert ignore into {home}.fence (closure, nonce) values ({literal(closure)}, '{uuid4()}')",  # noqa: S608
        *(line for trigger in triggers for line in plan_trigger(schema, trigger)),
        *(f"grant select, insert, update, delete on {table} to banyan_reverse@'%'" for table in listed),
        *(f"grant select, insert on {quoted(schema)}.{quoted(one)} to banyan_reverse@'%'" for one in counters),
    ]


def install_fence(admin_url: str, closure: str, tables: Sequence[str], *, schema: str) -> UUID:
    """Install the fence, open; installed again it keeps its state. Gives its nonce.

    DDL commits alone here: an installation that was interrupted is completed by running it again. A trigger waits for
    running transactions of its table (5 s): install days before the switch.
    """
    catalogue = MariaDBConnections(admin_url)
    try:
        keys = read_foreign_keys(catalogue, schema)
        lasting = [table for table in tables if read_shape(catalogue, schema, table).is_lasting]
        counters = find_sequences(catalogue, schema, tables)
    finally:
        catalogue.close()
    with administrator(admin_url, f"installing the fence of {closure}") as connection:
        values = {"closure": closure, "tables": tuple(tables)}
        run(connection, plan_base(schema))
        strangers = ask(connection, named("fence_strangers", schema), values)
        if strangers:
            raise ConfigurationError(
                f"{', '.join(name for name, _ in strangers)} already belongs to the closure {strangers[0][1]}; "
                "nothing was installed",
                hint="banyan map closure",
            )
        run(connection, plan_fence(closure, tables, schema=schema, keys=keys, lasting=lasting, counters=counters))
        rows = ask(connection, named("lock_fence", schema), values)
    return UUID(rows[0][1])


def keep_code_key(admin_url: str, closure: str, key: bytes, *, schema: str) -> None:
    """Leave with the fence the key of its telephone codes; nobody but the owner of the fence can read it."""
    with administrator(admin_url, f"leaving the key of the codes of {closure}") as connection:
        ask(connection, named("keep_code_key", schema), {"closure": closure, "key": key})


def remove_fence(admin_url: str, closure: str, *, schema: str) -> None:
    """Take the triggers and the row of a closure away, only while its fence is open."""
    with administrator(admin_url, f"removing the fence of {closure}") as connection:
        values = {"closure": closure}
        rows = ask(connection, named("lock_fence", schema), values)
        if rows and rows[0][0] != FenceMode.OPEN:
            raise SwitchRefused(
                f"the fence of {closure} is {rows[0][0]}: removing it would let writers in; nothing was removed",
                hint="banyan switch status",
            )
        names = [name for (name,) in ask(connection, named("fence_triggers", schema), values)]
        run(connection, plan_removal(schema, names))
        ask(connection, named("forget_code", schema), values)
        ask(connection, named("forget_fence", schema), values)


def _question(closure: str, schema: str, *, is_lasting: bool = False) -> str:
    routine = "check_fence_soon" if is_lasting else "check_fence"
    return f"call {quoted(home_of(schema))}.{routine}({literal(closure)})"
