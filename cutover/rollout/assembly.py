"""All that a calendar is computed from: the document, the departments of the project, their closures by their rules."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from banyan.departments import Domain, SourceRef
from banyan.errors import ConfigurationError, UsageError
from cutover.declared import read_declarations
from cutover.rollout.check import share_a_slice
from cutover.rollout.document import Rollout, RolloutDepartment, RolloutDocument, read_rollout
from cutover.rollout.plan import RolloutPlan
from sync.assembly import closures_of
from sync.workspace import Workspace

_ORDER = {domain.value: place for place, domain in enumerate(Domain)}


def assemble_rollout(workspace: Workspace, *, rows_per_hour: int = 0) -> Rollout:
    """Read `rollout.yaml` and the rules of the departments it names; opens no server.

    `rows_per_hour` is a measured rate of loading; 0 leaves the declared one.
    """
    project = workspace.project
    document, places = read_rollout(project.folder)
    departments = {
        code: _department(workspace, document, code, wave.number)
        for wave in document.waves
        for code in wave.departments
    }
    days = read_declarations(project.folder).way_back_days
    rollout = Rollout(document, departments, days, rows_per_hour, places)
    _refuse_unknown_names(rollout)
    return rollout


def move_wave(rollout: Rollout, number: int, days: int, before: RolloutPlan) -> Rollout:
    """Give the rollout with one wave moved by some days, counted from where the plan has it begin."""
    begins = [one.first for one in before.rehearsals if one.wave == number]
    if not begins:
        known = ", ".join(str(wave.number) for wave in rollout.document.waves)
        raise UsageError(f"there is no wave {number}; the rollout has {known}")
    waves = tuple(
        wave.model_copy(update={"not_before": min(begins) + timedelta(days=days)}) if wave.number == number else wave
        for wave in rollout.document.waves
    )
    return replace(rollout, document=rollout.document.model_copy(update={"waves": waves}))


def _department(workspace: Workspace, document: RolloutDocument, code: str, wave: int) -> RolloutDepartment:
    declared = document.departments.get(code)
    if code in workspace.project.departments:
        config = workspace.project.departments[code]
        ties = _ties_by_rules(workspace, code)
        computed = _names(code, [name.partition(".")[2].split("+") for name in ties])
        if declared is not None and declared.closures and _names(code, declared.closures) != computed:
            shared = sorted({table for tables in ties.values() for table in tables})
            why = f" ({', '.join(shared)} is read by more than one domain)" if shared else ""
            raise ConfigurationError(
                f"rollout.yaml says that {code} moves as {', '.join(_names(code, declared.closures))}, its rules say "
                f"{', '.join(computed)}{why}; nothing was planned",
                hint=f"take the closures of {code} out of rollout.yaml: they follow from the rules",
            )
        rows = declared.rows if declared else 0
        return RolloutDepartment(code, config.name, config.time_zone, wave, computed, rows, ties)
    if declared is None or not declared.closures:
        raise ConfigurationError(
            f"department {code} of wave {wave} is neither in banyan.yaml nor described in rollout.yaml; "
            "nothing was planned",
            hint=f"describe it under rollout.departments: name, time_zone, rows, closures of {code}",
        )
    names = _names(code, declared.closures)
    return RolloutDepartment(code, declared.name, declared.time_zone, wave, names, declared.rows)


def _ties_by_rules(workspace: Workspace, code: str) -> dict[str, tuple[str, ...]]:
    """Give the closures of a department, read from its rules, each with the legacy tables that tie its domains."""
    ties: dict[str, tuple[str, ...]] = {}
    for system in workspace.project.departments[code].sources:
        source = SourceRef(code, system)
        for found in closures_of(workspace, source, workspace.book(source)):
            ties[found.name] = (*ties.get(found.name, ()), *found.shared_tables)
    return ties


def _names(code: str, sets: Iterable[Iterable[str]]) -> tuple[str, ...]:
    groups = sorted((sorted(set(map(str, domains))) for domains in sets), key=_place_of)
    return tuple(f"{code}.{'+'.join(group)}" for group in groups)


def _place_of(group: list[str]) -> tuple[int, ...]:
    """A closure goes when the last of its domains may: reference first, detention and evidence last."""
    return tuple(sorted((_ORDER[domain] for domain in group), reverse=True))


def _refuse_unknown_names(rollout: Rollout) -> None:
    known = {name: one for one in rollout.departments.values() for name in one.closures}
    mentioned: Mapping[str, tuple[str, ...]] = rollout.document.after
    for closure_name, befores in mentioned.items():
        for name in (closure_name, *befores):
            whole = next((one for one in known if name not in known and share_a_slice(one, name)), None)
            if whole is not None:
                raise ConfigurationError(
                    f"rollout.after names {name}, which is not a closure; {known[whole].say_whole(whole).en}; "
                    "nothing was planned",
                    hint=f"write {whole}; banyan map closure {known[whole].code}",
                )
            if name not in known:
                raise ConfigurationError(
                    f"rollout.after names {name}, which no wave holds; nothing was planned",
                    hint="banyan rollout show lists the closures",
                )
