"""What differs between two scans: the same system a month ago, or the sibling in another department."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

_MONTH_DAYS: Final = 30.44
_LISTS: Final = ("triggers", "routines", "views", "writers")

Scan = Mapping[str, Any]


def compare_scans(before: Scan, here: Scan) -> list[dict[str, str]]:
    """List the differences from one scan to another: where, what. Counts and names, as the scans hold them."""
    told = [*_systems(before, here)]
    old, new = ({table["table"]: table for table in scan["tables"]} for scan in (before, here))
    told += [_line(name, "the table is not there any more") for name in sorted(set(old) - set(new))]
    told += [_line(name, f"a new table of {new[name]['rows']} rows") for name in sorted(set(new) - set(old))]
    months = _months(before, here)
    hidden = {*before.get("hidden", ()), *here.get("hidden", ())}
    for name in sorted(set(old) & set(new)):
        told += _tables(old[name], new[name], months, lists=[kind for kind in _LISTS if kind not in hidden])
    return told


def _systems(before: Scan, here: Scan) -> Iterator[dict[str, str]]:
    if before["encoding"] != here["encoding"]:
        yield _line("", f"the encoding of the base was {before['encoding'] or '?'} and is {here['encoding'] or '?'}")
    callers = [{(c["account"], c["program"]) for c in scan["callers"]} for scan in (before, here)]
    for word, found in (("new", callers[1] - callers[0]), ("not seen any more", callers[0] - callers[1])):
        for account, program in sorted(found):
            yield _line("", f"caller {account}{f' ({program})' if program else ''}: {word}")
    jobs = [{tuple(job) for job in scan["jobs"]} for scan in (before, here)]
    for word, scheduled in (("new", jobs[1] - jobs[0]), ("gone", jobs[0] - jobs[1])):
        for name, when in sorted(scheduled):
            yield _line("", f"job {name} ({when}): {word}")


def _tables(old: Scan, new: Scan, months: float | None, *, lists: Sequence[str]) -> Iterator[dict[str, str]]:
    name = new["table"]
    if old["rows"] != new["rows"]:
        grown = new["rows"] - old["rows"]
        pace = f", {grown / months:+.0f} a month" if months else ""
        yield _line(name, f"{old['rows']} rows, now {new['rows']} ({grown:+d}{pace})")
    if old["key"] != new["key"]:
        yield _line(name, f"the key was {old['key']} and is {new['key']}")
    for kind in lists:
        for word, found in (("new", set(new[kind]) - set(old[kind])), ("gone", set(old[kind]) - set(new[kind]))):
            for one in sorted(found):
                yield _line(name, f"{kind.removesuffix('s')} {one}: {word}")
    columns = [{column["name"]: column for column in table["columns"]} for table in (old, new)]
    for column in sorted(set(columns[0]) - set(columns[1])):
        yield _line(name, f"column {column}: gone")
    for column in sorted(set(columns[1]) - set(columns[0])):
        yield _line(name, f"column {column}: new, {columns[1][column]['type']}")
    for column in sorted(set(columns[0]) & set(columns[1])):
        yield from (
            _line(name, f"column {column}: {text}") for text in _columns(columns[0][column], columns[1][column])
        )


def _columns(old: Scan, new: Scan) -> Iterator[str]:
    if old["type"] != new["type"]:
        yield f"{old['type']}, now {new['type']}"
    for sign in sorted(set(old["encoding"]) ^ set(new["encoding"])):
        yield f"{sign}: {old['encoding'].get(sign, 0)} texts, now {new['encoding'].get(sign, 0)}"
    if old["codes"] and new["codes"]:
        for word, codes in (("new codes", set(new["codes"]) - set(old["codes"])),
                            ("codes not used any more", set(old["codes"]) - set(new["codes"]))):  # fmt: skip
            if codes:
                yield f"{word}: {', '.join(sorted(codes))}"
    if (old["filled"] == 0) != (new["filled"] == 0):
        yield "is filled now" if new["filled"] else "is not filled any more"


def _months(before: Scan, here: Scan) -> float | None:
    """Give the months between two scans of the same system; None for a sibling, or when they lie too near."""
    if before["source"] != here["source"]:
        return None
    days = (datetime.fromisoformat(here["made_at"]) - datetime.fromisoformat(before["made_at"])).total_seconds() / 86400
    return days / _MONTH_DAYS if days >= 1 else None


def _line(table: str, text: str) -> dict[str, str]:
    return {"table": table, "difference": text}
