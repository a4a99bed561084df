"""Open-work parity: what is alive today, name by name, on both sides; nothing may be missing and nothing too many.

Lost live work among moved history is what hurt most in failed migrations (domain study A.1, case 3). The lists of the
old system are made in pandas from raw text by the meaning its officers give the codes, those of the new one from its
records: no rule, lens or code map is used, so a rule that is wrong in the same way twice is found here. A row that a
named rule filtered is explained by that list; a row in quarantine is not: it is work nobody sees any more.

While both sides live a name may stand on one side only because its row is on its way: it is neither right nor wrong
until the new system has come as far, and counted as moving until then.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import pandas as pd
import sqlalchemy as sa

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.ports import LegacyPort
from mappings.several_files import table_in
from validation.declared_behaviour import BEHAVIOUR_FILE, LISTS, Behaviour, OpenList, RawRows
from validation.raw_rows import KEY, columns_of, follow, leads_to, read_tables, select

LEGACY_ONLY = "only the old system knows it"
CANONICAL_ONLY = "only the new system knows it"

Keys = Mapping[str, Collection[str]]
"""Legacy keys, by table; the table of one of several files under its own name."""
Identities = Callable[[str, Collection[str]], Collection[str]]
"""From keys of a legacy table to the identifiers of all records that their rows emit."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One list as the old system holds it now: with those a named rule filtered, without them, and the way to names."""

    each: OpenList
    everything: int
    rows: pd.DataFrame = field(repr=False)
    """Columns key, name, and file."""
    led: Callable[[Keys], frozenset[tuple[str, str]]] = field(repr=False)
    """Which rows, as file and key, lead to one of some keys, or are one of them."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One list compared: how many on each side, how many a named rule filtered, what differs, and what moves."""

    name: str
    legacy: int
    filtered: int
    canonical: int
    findings: tuple[Finding, ...]
    moving: frozenset[str] = frozenset()
    """Keys and identifiers that stand on one side only, whose row is on its way."""
    is_nowhere: bool = False
    """Whether the old system declares that it cannot hold such a list."""


def list_legacy(
    port: LegacyPort, behaviour: Behaviour, each: OpenList, filtered: Keys, *, in_files: Sequence[str] = ("",)
) -> Listed:
    """Make one list of the old system from raw text; `filtered` are the rows that a named rule keeps out."""
    read = {
        file: read_tables(port, behaviour, columns_of(behaviour, each.rows, each.named_by), file=file)
        for file in in_files
    }
    parts, everything = [], 0
    for file, tables in read.items():
        everything += len(select(tables, each.rows))
        # a case that is not loaded has no number in the new system: its children are listed without one on both sides
        known = {name: _without(rows, filtered.get(_place(file, name), ())) for name, rows in tables.items()}
        rows = select(known, each.rows)
        names = [follow(rows, known, behaviour.way(each.rows.table, column), _own(column)) for column in each.named_by]
        parts.append(pd.DataFrame({"key": rows[KEY], "name": _joined(names), "file": file}))

    def led(keys: Keys) -> frozenset[tuple[str, str]]:
        found = set()
        for file, tables in read.items():
            here = {name: keys.get(_place(file, name), ()) for name in behaviour.tables}
            rows = tables[each.rows.table]
            ways = [behaviour.way(each.rows.table, column) for column in each.named_by]
            reached = [rows[leads_to(rows, tables, way, here)][KEY] for way in ways]
            found |= {(file, str(key)) for key in (*here[each.rows.table], *(key for keys in reached for key in keys))}
        return frozenset(found)

    return Listed(each, everything, pd.concat(parts, ignore_index=True), led)


def nothing_listed(name: str) -> Listed:
    """Give the list of an old system that declares it cannot hold one: nobody is on it."""
    none = pd.DataFrame({"key": [], "name": [], "file": []}, dtype="str")
    return Listed(OpenList(name, RawRows(""), ()), 0, none, lambda _: frozenset())


def read_canonical(connection: sa.Connection, name: str, department_code: str) -> pd.DataFrame:
    """Read who is on a list of the new system: columns key and name."""
    rows = connection.execute(sa.text(_queries()[name]), {"department": department_code}).fetchall()
    return pd.DataFrame([tuple(row) for row in rows], columns=["key", "name"]).astype("str")


def compare_list(
    listed: Listed,
    canonical: pd.DataFrame,
    *,
    moved: Callable[[], Keys] = dict,
    identities: Identities = lambda table, keys: (),
    unsaid: Callable[[Collection[str]], Collection[str]] | None = None,
) -> Parity:
    """Compare one list by name; `moved` is asked only where something differs, once both sides were read.

    `unsaid` tells, of a list the old system cannot hold, which records stand in the list of what cannot be written
    back: these are known, and accounted for there.
    """
    old, new = Counter(listed.rows["name"]), Counter(canonical["name"])
    moving_rows: frozenset[tuple[str, str]] = frozenset()
    moving_ids: set[str] = set()
    if old != new:
        moving_rows = listed.led(moved())
        for file in sorted({file for file, _ in moving_rows}):
            keys = sorted(key for of, key in moving_rows if of == file)
            moving_ids.update(identities(_place(file, listed.each.rows.table), keys))
    rows = [(name, file, key) for key, name, file in listed.rows[["key", "name", "file"]].itertuples(index=False)]
    records = [(name, "", key) for key, name in canonical[["key", "name"]].itertuples(index=False)]
    here = [_named(file, key) for file, key in _surplus(rows, new, moving_rows)]
    there = [key for _, key in _surplus(records, old, frozenset(("", key) for key in moving_ids))]
    on_its_way = {_named(file, key) for file, key in moving_rows}
    if unsaid is not None and there:
        told = set(unsaid(there))
        there = [key for key in there if key not in told]
    findings = (
        *(_finding(listed.each, key, LEGACY_ONLY) for key in here if key not in on_its_way),
        *(_finding(listed.each, key, CANONICAL_ONLY) for key in there if key not in moving_ids),
    )
    moving = frozenset((on_its_way & set(here)) | (moving_ids & set(there)))
    filtered = listed.everything - len(rows)
    name = listed.each.list_name
    is_nowhere = unsaid is not None
    return Parity(name, listed.everything, filtered, len(canonical), findings, moving, is_nowhere)


def open_work_level(parities: Collection[Parity], *, undeclared: Collection[str] = (), rules: str = "") -> LevelResult:
    """Judge the open-work part of L5: every list equal by name, or the names that differ.

    A list that is asked and not declared is an ERROR that says where to declare it: it was not compared.
    """
    findings = tuple(finding for each in parities for finding in each.findings)
    different = [each for each in parities if each.findings]
    figures: dict[str, int | str | bool] = {
        "part": "open_work",
        "lists": len(parities),
        "different": len(findings),
        "moving": sum(len(each.moving) for each in parities),
        "undeclared": len(undeclared),
    }
    for each in parities:
        figures |= {f"{each.name}_legacy": each.legacy, f"{each.name}_filtered": each.filtered}
        figures[f"{each.name}_canonical"] = each.canonical
    if undeclared:
        said = (
            f"open work: not declared: {', '.join(undeclared)}; declare it in {rules or 'the rules'}/{BEHAVIOUR_FILE}"
        )
        return LevelResult("L5", LevelState.ERROR, said, figures, findings)
    if different:
        said = "; ".join(f"{each.name}: {len(each.findings)} names differ" for each in different)
        return LevelResult("L5", LevelState.FAIL, f"open work: {said}", figures, findings)
    said = ", ".join(f"{each.canonical} {_words(each.name)}" for each in parities if not each.is_nowhere)
    nowhere = ", ".join(_words(each.name) for each in parities if each.is_nowhere)
    said = " ".join(filter(None, (said, nowhere and f"(the old system has no list of {nowhere})")))
    return LevelResult("L5", LevelState.PASS, f"open work equal by name: {said}", figures)


@cache
def _queries() -> dict[str, str]:
    text = files("validation").joinpath("sql", "open_work.sql").read_text(encoding="utf-8")
    named = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): query.strip().removesuffix(";") for name, _, query in named}


def _surplus(
    here: Iterable[tuple[str, str, str]], there: Counter[str], moving: Collection[tuple[str, str]]
) -> Iterable[tuple[str, str]]:
    """Give the rows, as file and key, whose name stands here more often than there.

    Of several rows of one name those that move are named first: the others may well be the ones that are there.
    """
    left = Counter(there)
    for name, _, key, file in sorted((name, (file, key) in moving, key, file) for name, file, key in here):
        if left[name]:
            left[name] -= 1
        else:
            yield file, key


def _finding(each: OpenList, key: str, cause: str) -> Finding:
    why = f"{_words(each.list_name)}: {cause}"
    table = LISTS[each.list_name]
    return Finding(FindingKind.OPEN_WORK_DIFFERS, Severity.BLOCK, table, key, cause=why)


def _without(rows: pd.DataFrame, keys: Collection[str]) -> pd.DataFrame:
    return rows[~rows[KEY].isin(list(keys))]


def _joined(names: Sequence[pd.Series]) -> pd.Series:
    first, *more = (each.astype("str") for each in names)
    for other in more:
        first = first + " · " + other
    return first


def _place(file: str, table: str) -> str:
    return table_in(file, table) if file else table


def _named(file: str, key: str) -> str:
    return f"{file}/{key}" if file else key


def _own(column: str) -> str:
    return column.rpartition(".")[2]


def _words(name: str) -> str:
    return name.replace("_", " ")
