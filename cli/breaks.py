"""`banyan break`: in a demo project only, seed a fault and watch it being found; then put it right."""

from typing import TYPE_CHECKING

import typer

from cli.judgements import AsJson, Closure, rig_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next

if TYPE_CHECKING:
    from estate.faults import Fault

_FAULTS = {
    "lost-row": "Remove a record that its legacy row still means.",
    "doubled-row": "Copy a record under a new identifier.",
    "swapped-column": "Exchange two columns of a record, such as the names of a person.",
    "truncated-text": "Cut a text short.",
    "shifted-zone": "Move hours by one, as a mistaken zone does.",
    "wrong-code-map": "Exchange two meanings of a code map, and the records with it: wrong twice in the same way.",
    "rogue-update": "Change a record behind the back of the applier.",
    "restored-backup": "Put an older backup of the store in its place.",
}
break_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Faults seeded in a demo project, to be found by name."
)


def _command(kind: str, meaning: str) -> None:
    def seed(closure: Closure, as_json: AsJson = False) -> None:
        from cutover.breaking import break_it, restore_backup
        from estate.faults import LEVEL, FaultKind
        from sync.workspace import opened

        wanted = FaultKind(kind)
        with opened(current_project()) as workspace:
            rig = rig_of(workspace, closure)
            name = rig.closure(closure).name
            is_restored = wanted is FaultKind.RESTORED_BACKUP
            fault = restore_backup(rig, name) if is_restored else break_it(rig, name, wanted)
        _tell(fault, closure, found_by=LEVEL[wanted], as_json=as_json)

    seed.__doc__ = f"{meaning} Demo projects only; `banyan break repair` undoes it."
    break_app.command(kind, epilog=f"Example: banyan break {kind} 38.cases")(seed)


for _kind, _meaning in _FAULTS.items():
    _command(_kind, _meaning)


@break_app.command("repair", epilog="Example: banyan break repair 38.cases")
def repair(closure: Closure, as_json: AsJson = False) -> None:
    """Put right what was broken, exactly as it was."""
    from cutover import breaking
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        fault = breaking.repair(rig_of(workspace, closure))
    told = {"repaired": fault.kind.value, "table": fault.table, "records": len(fault.before)}
    if as_json:
        print_json(told)
        return
    print_line(f"REPAIRED  {fault.kind.value}")
    print_next(f"banyan validate run {closure}")


def _tell(fault: "Fault", closure: str, *, found_by: str, as_json: bool) -> None:
    told = {
        "broken": fault.kind.value,
        "table": fault.table,
        "records": list(fault.ids[:20]),
        "count": len(fault.ids),
        "found_by": found_by,
    }
    if as_json:
        print_json(told)
        return
    print_line(f"BROKEN  {fault.kind.value}: {len(fault.ids)} records of {fault.table}")
    print_facts({"first": fault.ids[0] if fault.ids else "the whole store", "should be found by": found_by})
    print_next(f"banyan validate run {closure}    then: banyan break repair {closure}")
