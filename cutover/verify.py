"""The comparison inside the fence: rows that changed, mapped again and compared with what the other side holds.

Nothing moves while it runs, so that no difference is excused by a change under way; only the list of degraded
write-backs explains one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from banyan.departments import Closure
from banyan.findings import LevelState
from banyan.records import ChangedKey, Position
from cutover.judgement import subject_of
from store.outbox import changes_since
from store.postgres import Isolation, raw, transaction
from store.records import find_crosswalk, find_owners
from sync.assembly import Rig
from validation.reconcile import reconcile
from validation.stored import find_degraded, find_standing


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found: rows compared, differences, and their causes without any value."""

    rows: int
    differences: int
    explained: int
    causes: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Tell whether both sides say the same, but for what is listed."""
        return self.differences == 0


def compare_changed(rig: Rig, closure: Closure, *, since: Position) -> Compared:
    """Compare the legacy rows of a closure that changed since a Position with their records."""
    return _compare(rig, closure, _keys(closure, rig.port.changes(since)))


def compare_ahead(rig: Rig, closure: Closure, *, since: Position) -> Position | None:
    """Compare what changed since a Position while people work; gives up to where nothing is left to compare, or None.

    Rows that a person changes meanwhile are moving: they lie behind the Position given, and are compared in the fence.
    """
    watermark = rig.forward().watermark()
    if watermark is None:
        return None
    keys = _keys(closure, rig.port.changes(since))
    return watermark if _compare(rig, closure, keys, watermark=watermark).is_equal else None


def compare_carried_back(rig: Rig, closure: Closure, *, legacy_since: Position, outbox_since: Position) -> Compared:
    """Compare what changed since the flip, on either side: each record is what its legacy row says, or is listed."""
    keys = _keys(closure, rig.port.changes(legacy_since))
    touched, homeless = _find_touched(rig, closure, outbox_since)
    for table, found in touched.items():
        keys.setdefault(table, []).extend(found)
    compared = _compare(rig, closure, keys)
    if not homeless:
        return compared
    cause = f"records that the old system does not hold and that are not listed: {homeless}"
    return Compared(
        compared.rows + homeless, compared.differences + homeless, compared.explained, (*compared.causes, cause)
    )


def _keys(closure: Closure, changes: Iterable[ChangedKey]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in changes:
        if change.table in closure.tables:
            found.setdefault(change.table, []).append(change.key)
    return found


def _compare(
    rig: Rig, closure: Closure, keys: Mapping[str, list[str]], *, watermark: Position | None = None
) -> Compared:
    if not any(keys.values()):
        return Compared(0, 0, 0, ())
    result = reconcile(subject_of(rig, closure.name), watermark=watermark, keys_by_table=keys)
    differences = int(result.level.figures["differences"])
    if result.level.state is not LevelState.PASS:
        differences = max(differences, 1)  # what did not pass is different, whatever was counted
    causes = tuple(
        f"{group.table}{'.' + group.column if group.column else ''}: {group.cause} ({group.records})"
        for group in result.causes
        if not group.cause.startswith("explained")
    )
    compared = sum(len(set(some)) for some in keys.values())
    return Compared(compared, differences, result.explained, causes)


def _find_touched(rig: Rig, closure: Closure, since: Position) -> tuple[dict[str, list[str]], int]:
    """Find the legacy keys of the records people touched, and count those that stand without row and without entry."""
    code = rig.source.department_code
    engine = rig.workspace.engine("banyan_reverse")
    with transaction(engine, isolation=Isolation.REPEATABLE_READ) as connection:
        changed = changes_since(connection, since, department_code=code, domains=closure.domains).keys
        owners = find_owners(raw(connection), code, changed["id"].unique())
        mains = pl.concat([changed["id"], owners["id"]]).unique()
        rows = find_crosswalk(raw(connection), code, mains)
    names = {number: name for name, number in rig.table_numbers.items()}
    keys: dict[str, list[str]] = {}
    for number, key in rows.select("source_table_no", "source_key").iter_rows():
        if names.get(number) in closure.tables:
            keys.setdefault(names[number], []).append(key)
    placed = pl.concat([rows["id"], owners["canonical_id"]])
    alone = changed.filter(~pl.col("id").is_in(placed.implode()))
    return keys, _count_unlisted(rig, closure, alone)


def _count_unlisted(rig: Rig, closure: Closure, alone: pl.DataFrame) -> int:
    if alone.is_empty():
        return 0
    code = rig.source.department_code
    unlisted = 0
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        listed = find_degraded(raw(connection), subject_of(rig, closure.name), alone["id"].unique())["main_id"]
        for (table,), group in alone.group_by("relation", maintain_order=True):
            standing = find_standing(raw(connection), str(table), code, group["id"].unique())["id"]
            unlisted += standing.filter(~standing.is_in(listed.implode())).len()
    return unlisted
