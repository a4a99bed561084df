"""`banyan protocol`: the cutover protocol, checked exhaustively. Needs no project, no server, no file."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.clock import monotonic
from banyan.errors import UsageError
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cutover.explorer import Moment
    from cutover.mutants import Mutant

protocol_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
Name = Annotated[str | None, typer.Option("--mutant", help="Show how one wrong decision breaks, line by line.")]
Full = Annotated[bool, typer.Option("--full", help="The larger worlds too: some minutes, and about 1 GB of memory.")]


@protocol_app.callback()
def _protocol() -> None:
    """Check the cutover protocol: the rules the program runs, in every order of events of a small world."""


@protocol_app.command("check", epilog="Example: banyan protocol check --mutant RECLOSE")
def check_protocol(mutant: Name = None, as_json: AsJson = False, full: Full = False) -> None:
    """Explore the protocol: the rules must hold, and each wrong decision must break. Exit 3 when one does not."""
    if mutant is not None:
        _check_mutant(mutant, as_json=as_json)
        return
    from cutover.explorer import BASES, explore
    from cutover.mutants import MUTANTS

    bases = [base for base in BASES if full or base.is_fast]
    rows: list[dict[str, object]] = []
    for base in bases:
        _say_progress(base.name)
        began = monotonic()
        found = explore(base.bounds)
        rows.append(
            {
                "kind": "base",
                "name": base.name,
                "states": found.states,
                "result": "holds" if found.violation is None else found.violation.value,
                "trace": len(found.trace),
                "seconds": monotonic() - began,
                "as_expected": base.is_proved_by(found),
            }
        )
    for each in MUTANTS:
        _say_progress(each.name)
        rows.append(_mutant_row(each, compared=full or each.is_stopped_by_verification))
    _say_progress("")
    is_good = all(row["as_expected"] for row in rows)
    if as_json:
        print_json({"as_expected": is_good, "explorations": rows})
    else:
        _print_rows(rows, is_good=is_good)
    if not is_good:
        raise typer.Exit(3)


def _mutant_row(mutant: "Mutant", *, compared: bool) -> dict[str, object]:
    from cutover.explorer import explore

    began = monotonic()
    found = explore(mutant.bounds, mutant.rules)
    row: dict[str, object] = {
        "kind": "mutant",
        "name": mutant.name,
        "meaning": mutant.meaning,
        "states": found.states,
        "result": "holds" if found.violation is None else found.violation.value,
        "trace": len(found.trace),
        "compared": None,
        "as_expected": mutant.is_killed_by(found),
    }
    if compared:
        checked = explore(mutant.bounds_compared, mutant.rules)
        row["compared"] = "stopped" if checked.violation is None else checked.violation.value
        row["as_expected"] = mutant.is_killed_by(found) and mutant.is_right_when_compared(checked)
    row["seconds"] = monotonic() - began
    return row


def _print_rows(rows: list[dict[str, object]], *, is_good: bool) -> None:
    bases = [row for row in rows if row["kind"] == "base"]
    mutants = [row for row in rows if row["kind"] == "mutant"]
    print_table(
        "The program's own rules",
        ("world", "states", "result", "s", "as expected"),
        [[row[name] for name in ("name", "states", "result", "seconds", "as_expected")] for row in bases],
    )
    print_line()
    print_table(
        "One decision replaced (nothing compared inside the fence)",
        ("mutant", "states", "broken by", "trace", "when compared", "s", "as expected"),
        [
            [row[name] for name in ("name", "states", "result", "trace", "compared", "seconds", "as_expected")]
            for row in mutants
        ],
    )
    print_line()
    odd = sum(not row["as_expected"] for row in rows)
    print_line("OK   the protocol holds, and each wrong decision is seen" if is_good else f"NO   {odd} not as expected")
    print_next("banyan protocol check --mutant RECLOSE")


def _check_mutant(name: str, *, as_json: bool) -> None:
    from cutover.explorer import explore
    from cutover.mutants import MUTANTS, find_mutant

    mutant = find_mutant(name)
    if mutant is None:
        known = ", ".join(each.name for each in MUTANTS)
        raise UsageError(
            f"there is no mutant {name}; there are {known}. Nothing was explored.",
            hint="banyan protocol check --mutant RECLOSE",
        )
    found = explore(mutant.bounds, mutant.rules)
    is_good = mutant.is_killed_by(found)
    lines = [_line(moment) for moment in found.trace]
    result = "holds" if found.violation is None else found.violation.value
    if as_json:
        print_json(
            {
                "mutant": mutant.name,
                "meaning": mutant.meaning,
                "bounds": asdict(mutant.bounds),
                "states": found.states,
                "result": result,
                "as_expected": is_good,
                "trace": lines,
            }
        )
    else:
        print_line(f"{mutant.name}: {mutant.meaning}")
        if lines:
            columns = ("number", "what", "phase", "owner", "epoch", "fence", "token")
            print_table("", columns, [[line[column] for column in columns] for line in lines])
        print_line(f"{'OK' if is_good else 'NO'}   {result} after {found.states} states, {len(lines)} steps")
    if not is_good:
        raise typer.Exit(3)


def _line(moment: "Moment") -> dict[str, object]:
    from cutover.door import Mode
    from cutover.protocol import phase_of, side_of

    control, fence = moment.after.control, moment.after.fence
    is_over = fence.mode == Mode.CLOSED and fence.lease_until == 0
    return {
        "number": moment.number,
        "what": moment.what,
        "phase": phase_of(control.phase).value,
        "owner": side_of(control.owner).value,
        "epoch": control.epoch,
        "fence": "EXPIRED" if is_over else Mode(fence.mode).name,
        "token": fence.token,
    }


def _say_progress(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K  {name}" if name else "\r\x1b[K")
        sys.stderr.flush()
