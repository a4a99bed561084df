"""There and back on a copy: both databases are copied, the copy is switched, worked in, rolled back and compared.

Nobody is closed out: the store is copied from one snapshot of a dump, the old side as its make allows. What it took is
written in the journal of the real closure, for the plan, the gauge and the gate.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from banyan.clock import monotonic
from banyan.config import LandingConfig, Project
from banyan.departments import Actor, Closure, Side, SourceRef
from banyan.errors import SwitchRefused
from banyan.records import KEY_SEPARATOR
from cutover.control import held
from cutover.duplicate import OldSide, copied_side
from cutover.execute import Order, StepReport
from cutover.journal import Word, note
from cutover.restored import read_again
from cutover.switching import SwitchReport, roll_back, switch
from store.canonical import CANONICAL
from store.install import prepare_database
from store.postgres import open_engine, transaction
from store.row_tables import DEGRADED_WRITE_BACK
from sync.assembly import Rig, open_rig
from sync.sweeping import follow_from, take_start
from sync.workspace import LegacyUrls, Workspace
from wire.cluster import Cluster, ClusterPlace, cluster_home
from wire.duplicate import copy_database

EDITS: Final = 1_000
_STORE: Final = "store"
_SETTINGS: Final = (
    "truncate mig.outbox",
    "update mig.slice set armed_boot = pg_postmaster_start_time()",
    "update mig.run set state = 'CANCELLED', closed_at = now(), reason = 'of the original' where state = 'OPEN'",
)


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """What going there and back took on a copy."""

    closure: str
    there: tuple[StepReport, ...]
    back: tuple[StepReport, ...]
    outage_ms: int
    back_ms: int
    edits: int
    rows: int
    listed: int  # legacy rows that the old system itself made different: each is on the list of degraded write-backs
    lost: int  # other legacy rows that are not byte for byte what they were
    copy_seconds: int


class CopyWorkspace(Workspace):
    """A project whose both sides are copies, the store in an embedded server."""

    is_copy = True

    def __init__(self, project: Project, server: Cluster, old_side: OldSide) -> None:
        super().__init__(project)
        self._server = server
        self._old_side = old_side

    def store_url(self, role: str) -> URL:
        """Give the URL of the copied store for a role."""
        return self._server.url(_STORE, role)

    def legacy_urls(self, source: SourceRef) -> LegacyUrls:
        """Give how each role reaches the copied legacy system."""
        del source
        return self._old_side.urls


def rehearse(rig: Rig, closure: Closure, *, actor: Actor, announce: Callable[[str], None] = print) -> RehearsalReport:
    """Switch a copy of a closure, touch records, roll back, compare every legacy row; what it took is noted."""
    rig.refuse_write_once(closure.name)
    if rig.slices(closure.name)[0].owner is not Side.LEGACY:
        raise SwitchRefused(
            f"{closure.name} belongs to the new system: going there and back is rehearsed before a switch. "
            "Nothing was copied",
            hint=f"banyan switch status {closure.name}",
        )
    began = monotonic()
    announce("copying both sides")
    with _copied(rig) as copy:
        announce("reading the copy")
        start = take_start(copy)
        read_again(copy, (closure,))
        follow_from(copy, start)  # of the other closures nothing is carried, nor asked, in a copy that is thrown away
        took = monotonic() - began
        _sign(copy, closure)
        before = _digests(copy, closure)
        order = Order(actor)
        announce("going there")
        there = switch(copy, closure, order)
        edits = _touch(copy, closure)
        announce(f"{edits} records touched; going back")
        back = roll_back(copy, closure, order)
        after = _digests(copy, closure)
        listed = _listed(copy)
    different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    report = RehearsalReport(
        closure=closure.name,
        there=there.steps,
        back=back.steps,
        outage_ms=there.outage_ms,
        back_ms=back.outage_ms,
        edits=edits,
        rows=len(before),
        listed=len(different & listed),
        lost=len(different - listed),
        copy_seconds=round(took),
    )
    _note(rig, closure, actor, report, there, back)
    return report


@contextmanager
def _copied(rig: Rig) -> Iterator[Rig]:
    """Copy both sides, with a project folder of their own; all of it is deleted afterwards."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="banyan-rehearsal-")))
        server = Cluster(ClusterPlace(cluster_home(folder, "rehearsal"))).start()
        opened.callback(server.destroy)
        old_side = opened.enter_context(copied_side(rig, server, folder=folder))
        copy_database(rig.workspace.create_store(), server, _STORE)
        _prepare(server)
        (folder / ".banyan").mkdir(exist_ok=True)
        (folder / ".banyan" / "digest.key").write_bytes(rig.workspace.digest_key)
        shutil.copytree(rig.workspace.rules_folder(rig.source), folder / "rules")
        workspace = CopyWorkspace(_project_of(rig, folder, old_side), server, old_side)
        opened.callback(workspace.close)
        copy = open_rig(workspace, rig.source)
        opened.callback(copy.close)
        _guard_again(copy, server)
        yield copy


def _project_of(rig: Rig, folder: Path, old_side: OldSide) -> Project:
    project = rig.workspace.project
    config = project.departments[rig.source.department_code]
    said = {"rules": "rules", **old_side.said}
    source = config.sources[rig.source.system_code].model_copy(update=said)
    department = config.model_copy(update={"sources": {rig.source.system_code: source}})
    departments = {rig.source.department_code: department}
    return replace(project, folder=folder, landing=LandingConfig(), departments=departments)


def _prepare(server: Cluster) -> None:
    """Make the copied store a world of its own: nothing waits, nothing runs, armed for this server."""
    with transaction(open_engine(server.url(_STORE), pool_size=0)) as connection:
        prepare_database(connection)
        for statement in _SETTINGS:
            connection.execute(sa.text(statement))


def _guard_again(copy: Rig, server: Cluster) -> None:
    """Install capture and fences anew: a copied table is another object than the one they were installed on."""
    admin = copy.workspace.legacy_urls(copy.source).admin
    copy.database.remove_capture(admin)
    copy.database.install_capture(admin, tuple(copy.book.rulesets))
    for found in copy.closures:
        nonce = copy.guarded.install_fence(admin, found.name, found.tables)
        with transaction(open_engine(server.url(_STORE), pool_size=0)) as connection:
            known = {"nonce": nonce, "closure": found.name}
            connection.execute(sa.text("update mig.slice set nonce = :nonce where closure = :closure"), known)


def _sign(copy: Rig, closure: Closure) -> None:
    """Give the copy's store evidence of the present moment: a rehearsal proves no equality, and opens nothing else.

    No bundle and no signature stand behind it, and none is asked for on a copy.
    """
    evidence = hashlib.sha256(f"rehearsal {closure.name}".encode()).hexdigest()
    bound: dict[str, object] = {
        "id": evidence,
        "department": closure.department_code,
        "closure": closure.name,
        "position": copy.port.head(),
        "rules": copy.book.digest,
    }
    with transaction(open_engine(copy.workspace.store_url("postgres"), pool_size=0)) as connection:
        connection.execute(
            sa.text(
                "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons,"
                " legacy_position, rules_digest)"
                " values (:id, :department, :closure, 'switch', 'GO', '[]', :position, :rules)"
            ),
            bound,
        )
        for role in ("steward", "lead"):
            connection.execute(
                sa.text(
                    "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
                    " values (:id, :actor, :role, 'rehearsal', 'ACCEPTED', 'nobody signed this')"
                ),
                {"id": evidence, "actor": f"rehearsal {role}", "role": role},
            )


def _touch(copy: Rig, closure: Closure) -> int:
    """Touch records as the application would, without changing what they say: the old system must stay as it was."""
    tables = sorted(
        {
            part.table
            for table in closure.tables
            for part in copy.book.rulesets[table].parts
            if part.domain.value in closure.domains
        }
    )
    touched = 0
    with transaction(copy.workspace.engine("banyan_app")) as connection:
        for number, name in enumerate(tables):
            share = (EDITS - touched) // (len(tables) - number)
            record = CANONICAL[name]
            some = (
                sa.select(record.c.id)
                .where(record.c.department_code == closure.department_code, record.c.domain_code.in_(closure.domains))
                .limit(share)
            )
            done = connection.execute(
                sa.update(record)
                .where(record.c.department_code == closure.department_code, record.c.id.in_(some))
                .values(updated_at=sa.func.clock_timestamp())
            )
            touched += done.rowcount
    return touched


def _digests(copy: Rig, closure: Closure) -> Mapping[tuple[str, str], bytes]:
    """Digest every legacy row of the closure, as its raw text."""
    found: dict[tuple[str, str], bytes] = {}
    for table in closure.tables:
        names = copy.book.rulesets[table].key
        for keys in copy.port.plan_ranges(table, 20_000):
            rows = copy.port.read_range(table, keys).rows
            for row in rows.iter_rows(named=True):
                key = KEY_SEPARATOR.join(str(row[name]) for name in names)
                found[table, key] = hashlib.sha256(repr(sorted(row.items())).encode()).digest()
    return found


def _listed(copy: Rig) -> set[tuple[str, str]]:
    """Give the legacy rows on the list of degraded write-backs, settled ones included."""
    names = {number: name for name, number in copy.table_numbers.items()}
    listed = DEGRADED_WRITE_BACK.c
    with transaction(copy.workspace.engine("banyan_reverse")) as connection:
        rows = connection.execute(
            sa.select(listed.source_table_no, listed.source_key).where(
                listed.department_code == copy.source.department_code, listed.source_key.is_not(None)
            )
        )
        return {(names[row.source_table_no], row.source_key) for row in rows}


def _note(
    rig: Rig, closure: Closure, actor: Actor, report: RehearsalReport, there: SwitchReport, back: SwitchReport
) -> None:
    facts: dict[str, str | int | bool | None] = {
        "outage_ms": report.outage_ms,
        "back_ms": report.back_ms,
        "edits": report.edits,
        "lost": report.lost,
        "listed": report.listed,
        "rows": report.rows,
        "link_us": there.link_us,
    }
    for name, done in (("there", there), ("back", back)):
        facts |= {f"{name}_{step.name.value}": step.milliseconds for step in done.steps}
    with (
        transaction(rig.workspace.engine("banyan_guard")) as connection,
        held(connection, closure.name) as control,
    ):
        note(connection, Word.REHEARSED, control.row, actor=actor, facts=facts)
