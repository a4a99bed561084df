"""Break it and see it found: faults seeded in a demo project through its own accounts, and put right again."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from banyan.departments import Closure, Side
from banyan.errors import UsageError
from cutover.judgement import judge_closure
from estate.faults import SEATS, Fault, FaultKind, exchange_codes, seed_fault, undo_fault
from mappings.closure import canonical_slices
from store.buckets import read_folded
from store.postgres import transaction
from sync.assembly import Rig
from sync.workspace import Workspace
from validation.rules_worker import RuleWorker

_EMBEDDED = "embedded:"
_TODAY = "_today"


def refuse_real(rig: Rig) -> None:
    """Refuse a project that is not synthetic: its old system and its store must both be embedded servers of it."""
    source = rig.workspace.source_config(rig.source)
    if not (source.url.startswith(_EMBEDDED) and rig.workspace.project.target.url.startswith(_EMBEDDED)):
        raise UsageError(
            "only a demo project can be broken: its old system and its store are embedded servers; nothing was touched",
            hint="banyan init DIR --template estate",
        )


def break_it(rig: Rig, closure: str, kind: FaultKind) -> Fault:
    """Seed one fault in the records of a closure; one at a time. A backup is restored by `restore_backup`."""
    refuse_real(rig)
    kept, found = _free_place(rig), rig.closure(closure)
    tables = canonical_slices(rig.book, found)
    if rig.slices(found.name)[0].owner is not Side.LEGACY:
        raise UsageError(f"the new system owns {found.name}: faults are those of a copy; nothing was touched")
    if kind is FaultKind.ROGUE_UPDATE:
        _refuse_unfolded(rig, found, tables)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        fault = seed_fault(connection, kind, found, tables=tables)
        if fault is None:
            carriers = ", ".join(dict.fromkeys(seat.table for seat in SEATS[kind]))
            raise UsageError(
                f"no record of {found.name} can carry {kind.value}, which is seeded in {carriers}; nothing was touched",
                hint=f"banyan map closure {found.department_code}",
            )
        if kind is FaultKind.WRONG_CODE_MAP and not exchange_codes(_code_maps(rig)):
            raise UsageError("the code map of this project is not the shipped one; nothing was touched")
        kept.write_text(fault.as_text(), encoding="utf-8")
    return fault


def _free_place(rig: Rig) -> Path:
    """Give where the fault is kept until it is put right; refuse a second one."""
    kept = rig.workspace.project.state_folder / "break.json"
    if kept.exists():
        seeded = Fault.from_text(kept.read_text(encoding="utf-8"))
        raise UsageError(
            f"{seeded.kind.value} is seeded already in {seeded.closure}; nothing was touched",
            hint=f"banyan break repair {seeded.closure}",
        )
    return kept


def _refuse_unfolded(rig: Rig, found: Closure, tables: Sequence[str]) -> None:
    """Refuse what only the fold of a sound judgement can tell, where there is none yet."""
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        folded = read_folded(connection, found.department_code, tables)
    if not folded:
        raise UsageError(
            f"{found.name} was not judged yet: nobody would tell who wrote; nothing was touched",
            hint=f"banyan validate run {found.name}",
        )


def restore_backup(rig: Rig, closure: str) -> Fault:
    """Judge the closure once more, then put the store of before in its place, as a careless restore does."""
    refuse_real(rig)
    kept, workspace = _free_place(rig), rig.workspace
    store = workspace.project.target.database
    _on_server(workspace, [sql.SQL("create database {} template {}").format(_name(store + "_backup"), _name(store))])
    with RuleWorker() as worker:
        judge_closure(rig, closure, worker=worker)
    _exchange(workspace, store, away=store + _TODAY, instead=store + "_backup")
    fault = Fault(FaultKind.RESTORED_BACKUP, closure, "evidence", ())
    kept.write_text(fault.as_text(), encoding="utf-8")
    return fault


def repair(rig: Rig) -> Fault:
    """Put right what was broken in the closures of this legacy system, exactly; gives what it was."""
    refuse_real(rig)
    kept = rig.workspace.project.state_folder / "break.json"
    if not kept.exists():
        raise UsageError("nothing is broken here; nothing was touched")
    fault = Fault.from_text(kept.read_text(encoding="utf-8"))
    if fault.closure not in {found.name for found in rig.closures}:
        raise UsageError(
            f"what is broken is {fault.closure}, not this; nothing was touched",
            hint=f"banyan break repair {fault.closure}",
        )
    if fault.kind is FaultKind.RESTORED_BACKUP:
        store = rig.workspace.project.target.database
        _exchange(rig.workspace, store, away=store + "_backup", instead=store + _TODAY)
        _on_server(rig.workspace, [sql.SQL("drop database {}").format(_name(store + "_backup"))])
    else:
        with transaction(rig.workspace.engine("banyan_forward")) as connection:
            undo_fault(connection, fault)
        if fault.kind is FaultKind.WRONG_CODE_MAP:
            exchange_codes(_code_maps(rig), is_undone=True)
    kept.unlink()
    return fault


def _code_maps(rig: Rig) -> Path:
    path = rig.workspace.rules_folder(rig.source) / "code_maps.yaml"
    if rig.workspace.project.folder not in path.parents:
        raise UsageError("the rules are not the project's own; nothing was touched", hint="copy them into rules/")
    return path


def _name(database: str) -> sql.Identifier:
    return sql.Identifier(database)


def _exchange(workspace: Workspace, store: str, *, away: str, instead: str) -> None:
    _on_server(
        workspace,
        [
            sql.SQL("alter database {} rename to {}").format(_name(store), _name(away)),
            sql.SQL("alter database {} rename to {}").format(_name(instead), _name(store)),
        ],
    )


def _on_server(workspace: Workspace, statements: list[sql.Composed]) -> None:
    """Run statements about whole databases, with nobody connected to the store."""
    workspace.close()
    cluster = workspace.cluster(workspace.project.target.url.removeprefix(_EMBEDDED))
    url = cluster.url("postgres")
    with psycopg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            (workspace.project.target.database,),
        )
        for statement in statements:
            connection.execute(statement)
