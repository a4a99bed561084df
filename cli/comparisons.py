"""`banyan recon`: compare every legacy row with its records, and name what differs."""

from typing import TYPE_CHECKING
from uuid import UUID

import typer

from banyan.errors import GateClosed
from banyan.findings import LevelState
from banyan.undecoded import show_key
from cli.judgements import AsJson, Closure, rig_of
from cli.places import current_project
from cli.tables import print_json, print_line, print_table

if TYPE_CHECKING:
    from validation.reconciliation import Reconciliation

recon_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Row reconciliation.")

_CAUSE = ("table", "column", "kind", "cause", "records")
_ROW = ("legacy table", "key", "table", "column", "cause")
_MOST_NAMED = 20
_NO = 3


@recon_app.command("run", epilog="Example: banyan recon run 38.cases")
def recon(closure: Closure, as_json: AsJson = False) -> None:
    """Re-read every legacy row, map it again and compare it with its records; exit 3 when one differs.

    After a death, the same command goes on from the chunk it had reached, and judges again what was touched since.
    """
    found = _reconcile(closure)
    causes = _causes_of(found)
    is_equal = found.level.state is LevelState.PASS
    if as_json:
        print_json({"state": found.level.state.value, **found.level.figures, "causes": causes})
        raise typer.Exit(0 if is_equal else _NO)
    _print_found(found, causes)
    if not is_equal:
        raise _refusal(closure, found, hint=f"banyan recon explain {closure}")


@recon_app.command("explain", epilog="Example: banyan recon explain 38.cases")
def explain(closure: Closure, as_json: AsJson = False) -> None:
    """Do the same and name each row that differs: its key, its columns and why; with --json, up to 100,000 of them.

    No value is shown: `banyan trace` shows one row, with a reason that is kept.
    """
    found = _reconcile(closure)
    causes, rows = _causes_of(found), _rows_of(found)
    is_equal = found.level.state is LevelState.PASS
    if as_json:
        named = [dict(zip(("legacy_table", *_ROW[1:]), (cell or None for cell in row), strict=True)) for row in rows]
        print_json({"state": found.level.state.value, **found.level.figures, "causes": causes, "named": named})
        raise typer.Exit(0 if is_equal else _NO)
    _print_found(found, causes)
    print_table("", _ROW, rows[:_MOST_NAMED])
    if len(rows) > _MOST_NAMED:
        print_line(f"{_MOST_NAMED} of {found.level.figures['differences']} differences shown; with --json, {len(rows)}")
    if not is_equal:
        raise _refusal(closure, found, hint=_next_look(closure, rows))


def _reconcile(closure: str) -> "Reconciliation":
    from cli.tellings import announce_on_stderr
    from cutover.judgement import subject_of
    from cutover.levels import kept_in, patience_of, tell_progress
    from sync.workspace import opened
    from validation.golden_level import with_golden
    from validation.reconcile import reconcile

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        subject = subject_of(rig, closure)
        found = reconcile(
            subject,
            watermark=rig.forward().watermark(),
            watcher=tell_progress(announce_on_stderr),
            patience=patience_of(subject),
            kept_in=kept_in(rig, closure),
        )
        return with_golden(found, subject)


def _causes_of(found: "Reconciliation") -> list[dict[str, object]]:
    lines = ((c.table, c.column, c.kind.value, c.cause, c.records) for c in found.causes)
    return [dict(zip(_CAUSE, line, strict=True)) for line in lines]


def _rows_of(found: "Reconciliation") -> list[tuple[str, str, str, str, str]]:
    """Give each difference by reference: a record that no legacy row means has its identifier for a key."""
    named = found.differences.select("legacy_table", "source_key", "id", "canonical_table", "column", "cause")
    return sorted(
        ("", str(UUID(bytes=record)), table, column or "", cause)
        if key is None
        else (legacy, show_key(key), table, column or "", cause)
        for legacy, key, record, table, column, cause in named.iter_rows()
    )


def _print_found(found: "Reconciliation", causes: list[dict[str, object]]) -> None:
    figures = found.level.figures
    print_line(f"{found.level.state.value}  {found.level.sentence}")
    if causes:
        print_table("", _CAUSE, [tuple(each.values()) for each in causes])
    print_line("L4 maps with the same code as the load: a rule wrong twice in the same way is not seen here")
    print_line(
        f"golden records: {figures['golden_records']} run, {figures['golden_held']} hold; banyan map test says more"
    )
    print_line(f"tolerances that rules declare: {figures['tolerances'] or 'none'}")


def _next_look(closure: str, rows: list[tuple[str, str, str, str, str]]) -> str:
    """Give the command that shows the first row that is known, or where to look when none is."""
    known = next(((legacy, key) for legacy, key, *_ in rows if legacy), None)
    if known is None:
        return f"banyan validate report {closure}" if rows else "banyan map test RULES_DIR"
    return f"banyan trace {known[0]} {closure.partition('.')[0]}:{known[1]} --reason TEXT"


def _refusal(closure: str, found: "Reconciliation", *, hint: str) -> GateClosed:
    count = sum(cause.records for cause in found.causes)
    return GateClosed(
        f"{closure}: {count} differences in {len(found.causes)} causes; nothing was changed",
        hint=hint,
    )
