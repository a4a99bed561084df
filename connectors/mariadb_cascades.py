"""Where rows of a MariaDB go when another row goes: foreign keys act inside the engine, unseen by triggers and log.

What a cascade will do is written down by a trigger on the parent, before it happens, from the keys of the catalogue.
"""

# ruff: noqa: S608 - trigger bodies from quoted identifiers

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.dialects_mariadb import ForeignKey, MariaDBShape, home_of, key_text, literal, quoted

CASCADE = "CASCADE"
_ACTS = (CASCADE, "SET NULL", "SET DEFAULT")


@dataclass(frozen=True, slots=True)
class Cascade:
    """One way in which a deed on a parent reaches the rows of a table."""

    parent: str
    path: tuple[ForeignKey, ...]
    is_update: bool

    @property
    def child(self) -> str:
        """Give the table whose rows are reached."""
        return self.path[-1].table


@dataclass(frozen=True, slots=True)
class Cascades:
    """Every cascade that reaches one of the tables meant, and the tables reached in a way that cannot be followed."""

    followed: tuple[Cascade, ...] = ()
    lost: frozenset[str] = frozenset()

    @property
    def parents(self) -> frozenset[str]:
        """Give the tables from which a cascade starts."""
        return frozenset(cascade.parent for cascade in self.followed)

    def reaching(self, table: str) -> list[Cascade]:
        """Give the cascades that reach a table."""
        return [cascade for cascade in self.followed if cascade.child == table]


def find_cascades(keys: Sequence[ForeignKey], tables: Sequence[str]) -> Cascades:
    """Follow the foreign keys of a schema from every parent to the tables meant."""
    wanted = frozenset(tables)
    found: list[Cascade] = []
    lost: set[str] = set()
    for first in keys:
        if first.on_update in _ACTS:
            found.append(Cascade(first.parent, (first,), is_update=True))
            # a key that changes with its parent and is itself referred to reaches further than we follow
            lost |= {
                key.table
                for key in keys
                if key.parent == first.table and key.on_update in _ACTS and set(key.parent_columns) & set(first.columns)
            }
            if first.table == first.parent:
                lost.add(first.table)
        if first.on_delete in _ACTS:
            _follow(keys, (first,), found, lost)
    lost = _with_their_children(keys, lost)
    return Cascades(tuple(c for c in found if c.child in wanted), frozenset(lost & wanted))


def _with_their_children(keys: Sequence[ForeignKey], lost: set[str]) -> set[str]:
    """Add what the engine reaches from rows that nobody sees it take: no trigger and no log tells of those either."""
    acting = [key for key in keys if key.on_delete in _ACTS or key.on_update in _ACTS]
    while more := {key.table for key in acting if key.parent in lost} - lost:
        lost |= more
    return lost


def _follow(keys: Sequence[ForeignKey], path: tuple[ForeignKey, ...], found: list[Cascade], lost: set[str]) -> None:
    passed = [path[0].parent, *(key.table for key in path)]
    found.append(Cascade(path[0].parent, path, is_update=False))
    if passed[-1] in passed[:-1]:  # a table that refers to itself: the depth is not in the catalogue
        lost.add(passed[-1])
        return
    if path[-1].on_delete != CASCADE:
        return
    for key in keys:
        if key.parent == path[-1].table and key.on_delete in _ACTS:
            _follow(keys, (*path, key), found, lost)


def origin_text(schema: str) -> str:
    """Say who writes: the reverse applier inside its admitted transaction is a route, everybody else a person."""
    return (
        f"if(exists(select 1 from {quoted(home_of(schema))}.admitted a where a.connection_id = connection_id()), "
        "'ROUTE', 'PERSON')"
    )


def cascade_body(cascades: Sequence[Cascade], shapes: Mapping[str, MariaDBShape], schema: str) -> str:
    """Write the body of the trigger on a parent that writes down the keys its cascades will reach."""
    into = f"insert into {quoted(home_of(schema))}.journal (table_name, op, entry_key, origin)"
    who = origin_text(schema)
    lines = []
    for cascade in cascades:
        shape, last = shapes[cascade.child], cascade.path[-1]
        source = _joined(cascade, schema)
        name = literal(cascade.child)
        if not cascade.is_update:
            operation = "D" if last.on_delete == CASCADE else "U"
            lines.append(f"{into} select {name}, '{operation}', {key_text(shape, 't')}, {who} {source};")
            continue
        same = " and ".join(f"old.{quoted(column)} <=> new.{quoted(column)}" for column in last.parent_columns)
        pairs = dict(zip(last.columns, last.parent_columns, strict=True))
        moved = {name: f"new.{quoted(pairs[name])}" for name in shape.key if name in pairs}
        lines.append(f"if not ({same}) then")
        operation = "D" if moved else "U"
        lines.append(f"{into} select {name}, '{operation}', {key_text(shape, 't')}, {who} {source};")
        if moved and last.on_update == CASCADE:
            lines.append(f"{into} select {name}, 'I', {key_text(shape, 't', moved)}, {who} {source};")
        lines.append("end if;")
    return "\n".join(["begin", *lines, "end"])


def _joined(cascade: Cascade, schema: str) -> str:
    """Write from which rows the keys are taken: the reached table, joined upwards to the row of the parent."""
    path = cascade.path
    home = quoted(schema)
    text = f"from {home}.{quoted(cascade.child)} t"
    alias = "t"
    for depth in range(len(path) - 1, 0, -1):
        above = f"c{depth}"
        on = " and ".join(
            f"{alias}.{quoted(mine)} = {above}.{quoted(theirs)}"
            for mine, theirs in zip(path[depth].columns, path[depth].parent_columns, strict=True)
        )
        text += f" join {home}.{quoted(path[depth].parent)} {above} on {on}"
        alias = above
    where = " and ".join(
        f"{alias}.{quoted(mine)} = old.{quoted(theirs)}"
        for mine, theirs in zip(path[0].columns, path[0].parent_columns, strict=True)
    )
    return f"{text} where {where}"
