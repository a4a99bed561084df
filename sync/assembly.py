"""A legacy system of a project, put together: port, rules, lanes and engines, ready for the loop."""

import time
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from banyan.config import FILE_MEDIA, OperatingSystemActors
from banyan.departments import Closure, Phase, Side, SourceRef
from banyan.errors import ConfigurationError, StoreFenced, SwitchRefused, SwitchUncertain, UsageError
from banyan.ports import LegacyPort
from connectors.database import DatabaseFence, DatabasePort, Guarded
from connectors.fence_code import code_key
from connectors.one_way import OneWayPort
from connectors.postgresql import open_postgresql
from connectors.ways import Way
from mappings.closure import closure, find_cut, refuse_part, say_tie
from mappings.model import RuleBook
from mappings.retention_sources import load_retention_sources
from store.decisions import find_decisions
from store.install import Registration, SourceSystem, add_department, install
from store.journal import verify_journal
from store.postgres import open_engine, transaction
from store.slices import SliceRow, arm, read_closure
from store.tables import SLICE, SOURCE_TABLE
from sync.captures import capture_of, mariadb_capture_of
from sync.decided import lay_over
from sync.engine import SyncEngine, Watcher, watch_nothing
from sync.forward import ForwardLane
from sync.gaps import forget_unfollowable, note_unfollowed
from sync.lane import Checkpoint, pass_by
from sync.one_way import open_both_ways, open_one_way
from sync.real_files import find_after_load, open_files
from sync.reverse import ReverseGuard, ReverseLane
from sync.setting import Setting
from sync.throttle import Throttle
from sync.ways import find_left_way, know_first_fence, refuse_while_moving
from sync.workspace import Workspace

CARRIED_BACK = (Phase.LIVE, Phase.R_DRAINING)
"""The phases in which what people do in the new system is carried back."""
_RENEWAL_SECONDS = 0.5
_BEFORE_LOADING = (Phase.REGISTERED.value, Phase.ASSESSED.value, Phase.MAPPED.value)


@dataclass(frozen=True, slots=True)
class Rig:
    """One legacy system with everything that moves its rows, either way."""

    workspace: Workspace = field(repr=False)
    source: SourceRef
    port: LegacyPort = field(repr=False)
    book: RuleBook = field(repr=False)
    closures: tuple[Closure, ...]
    table_numbers: dict[str, int] = field(repr=False)
    _watched: dict[str, DatabaseFence] = field(default_factory=dict, init=False, repr=False)

    @property
    def is_write_once(self) -> bool:
        """Tell whether the legacy system is a set of files that nobody writes again."""
        return self.workspace.source_config(self.source).write_once

    @property
    def is_one_way(self) -> bool:
        """Tell whether the legacy system is only read: nothing can be written back to it, and nothing fenced."""
        return self.workspace.source_config(self.source).is_one_way

    def refuse_write_once(self, name: str) -> None:
        """Refuse to move a closure that is only read: no way back, and nothing that keeps people out."""
        if self.is_one_way:
            config = self.workspace.source_config(self.source)
            raise SwitchRefused(
                f"{name} is read one way from {config.medium}: nothing is written back to it, and no fence can stop a "
                "writer. Nothing was touched",
                hint=f"banyan recon run {name}",
                closure=name,
            )
        if self.is_write_once:
            config = self.workspace.source_config(self.source)
            raise SwitchRefused(
                f"{name} is read from files that are written once ({config.medium}): nothing is written back to them, "
                "and no fence can stop a writer. Nothing was touched",
                hint=f"banyan recon run {name}",
                closure=name,
            )

    def setting(self, role: str) -> Setting:
        """Give what a lane works with, as a role of the store."""
        return Setting(
            department=self.workspace.project.department(self.source.department_code),
            source=self.source,
            port=self.port,
            engine=self.workspace.engine(role),
            book=self.book,
            table_numbers=self.table_numbers,
            digest_key=self.workspace.digest_key,
            retention=load_retention_sources(self.workspace.rules_folder(self.source), self.book),
            drift=self.workspace.source_config(self.source).drift,
            capture=self.workspace.source_config(self.source).capture,
        )

    def forward(self, *, is_any_way: bool = False) -> ForwardLane:
        """Give the lane to the canonical store; from a Position of any way of capture, for who changes it."""
        setting = self.setting("banyan_forward")
        return ForwardLane(replace(setting, capture="") if is_any_way else setting, self.workspace.landing)

    def forward_engine(
        self,
        *,
        watcher: Watcher = watch_nothing,
        checkpoint: Checkpoint = pass_by,
        throttle: Throttle | None = None,
    ) -> SyncEngine:
        """Give the loop that runs the forward lane; a switch runs it without throttle, while nobody can write."""
        engine = self.workspace.engine("banyan_forward")
        return SyncEngine(engine, watcher=watcher, checkpoint=checkpoint, throttle=throttle)

    def throttle(self) -> Throttle:
        """Give the pace at which the legacy system is read beside its people."""
        department = self.workspace.project.department(self.source.department_code)
        return Throttle(self.workspace.engine("banyan_forward"), self.source, department, self.port)

    def reverse(self, name: str) -> ReverseLane:
        """Give the lane back to the legacy system, for one closure."""
        found = self.closure(name)
        self._refuse_files("there is no way back to them")

        def guard() -> ReverseGuard:
            row = self.slices(found.name)[0]
            if row.phase not in CARRIED_BACK or not row.is_armed:
                raise StoreFenced(
                    f"{found.name} is {row.phase.value}: nothing is carried back in this phase; nothing was written",
                    hint=f"banyan switch status {found.name}",
                )
            state = self._watched_fence(found.name).read()
            if state.nonce != row.nonce:  # renewed a moment ago: the fence turns first, its row follows
                time.sleep(_RENEWAL_SECONDS)
                row = self.slices(found.name)[0]
            if state.nonce != row.nonce or state.token > row.epoch:
                raise SwitchUncertain(
                    f"the fence of {found.name} is not the one banyan knows; nothing was written", hint="banyan guard"
                )
            return ReverseGuard(found.name, state.token, row.nonce)

        return ReverseLane(self.setting("banyan_reverse"), self.workspace.landing, guard, found)

    def reverse_engine(self, *, checkpoint: Checkpoint = pass_by) -> SyncEngine:
        """Give the loop that runs a reverse lane."""
        return SyncEngine(self.workspace.engine("banyan_reverse"), checkpoint=checkpoint)

    def closure(self, name: str) -> Closure:
        """Give a closure by name, or by one of its domains (`38.cases`)."""
        for found in self.closures:
            if name == found.name or name in [f"{found.department_code}.{domain}" for domain in found.domains]:
                return found
        code, _, domains = name.partition(".")
        if code == self.source.department_code:
            refuse_part(self.closures, code, domains.split("+"), untouched="nothing was touched")
        known = ", ".join(found.name for found in self.closures)
        raise UsageError(f"there is no closure {name}; {self.source.department_code} has {known}")

    def slices(self, name: str) -> tuple[SliceRow, ...]:
        """Read the slices of a closure."""
        with transaction(self.workspace.engine("banyan_guard")) as connection:
            return read_closure(connection, name)

    def fence(self, name: str) -> DatabaseFence:
        """Give the legacy fence of a closure."""
        self._refuse_files("they have no fence")
        urls = self.workspace.legacy_urls(self.source)
        return self.guarded.open_fence(urls.guard, name, probe_url=urls.application)

    @property
    def guarded(self) -> Guarded:
        """Give the schema of the legacy database in which fences stand, with the make of its server."""
        config = self.workspace.source_config(self.source)
        return Guarded(config.medium, config.schema_name, config.fence, config.files)

    def fenced_tables(self, name: str) -> tuple[str, ...]:
        """Name the legacy tables that the fence of a closure guards."""
        return self.closure(name).tables

    @property
    def database(self) -> DatabasePort:
        """Give the port of a legacy database, with what only a database can do."""
        self._refuse_files("nothing is installed there")
        if not isinstance(self.port, DatabasePort):
            raise UsageError(
                f"{self.source} is no database: files are read, and nothing more; nothing was changed",
                hint=f"banyan source capabilities {self.source}",
            )
        return self.port

    def close(self) -> None:
        """Close the connections to the legacy system; files are never held open."""
        if isinstance(self.port, DatabasePort | OneWayPort):
            self.port.close()
        for fence in self._watched.values():
            fence.disconnect()

    def _watched_fence(self, name: str) -> DatabaseFence:
        """Give the fence that each transaction back asks first; its connection is kept."""
        if name not in self._watched:
            self._watched[name] = self.fence(name)
        return self._watched[name]

    def _refuse_files(self, why: str) -> None:
        if self.is_write_once or self.is_one_way:
            what = "a set of files that are written once" if self.is_write_once else "only read"
            raise UsageError(
                f"{self.source} is {what}: {why}; nothing was changed",
                hint=f"banyan source capabilities {self.source}",
            )


def open_port(
    workspace: Workspace, source: SourceRef, *, only_told: bool = False, way: Way | None = None
) -> LegacyPort:
    """Open a legacy system for reading: a database at its first question, files with their bytes checked.

    With `only_told`, changes that only looks at every row find are those of the last look: nothing is looked at anew.
    A database can be opened with another way of capture than the project says.
    """
    config = workspace.source_config(source)
    if config.medium == "postgresql":
        urls = workspace.legacy_urls(source)
        capture = capture_of(workspace, source, only_told=only_told, way=way)
        return open_postgresql(urls.reader, config.schema_name, reverse_url=urls.reverse, capture=capture)
    if config.medium == "mariadb":
        from connectors.mariadb import open_mariadb  # its driver is an extra of the installation

        urls = workspace.legacy_urls(source)
        tables = tuple(workspace.book(source).rulesets)
        way_of = mariadb_capture_of(workspace, source, only_told=only_told, way=way)
        return open_mariadb(urls.reader, config.schema_name, reverse_url=urls.reverse, way=way_of, tables=tables)
    if config.medium in FILE_MEDIA:
        return open_files(workspace.project, source, tuple(workspace.book(source).rulesets))
    if config.fence:
        return open_both_ways(workspace, source, only_told=only_told)
    if config.is_one_way:
        return open_one_way(workspace, source, only_told=only_told)
    raise ConfigurationError(f"there is no port for the medium {config.medium}; nothing was read")


def open_to_look(workspace: Workspace, source: SourceRef) -> LegacyPort:
    """Open a legacy system to scan it: nothing need be installed there, and no store need exist."""
    config = workspace.source_config(source)
    urls = workspace.legacy_urls(source)
    match config.medium:
        case "postgresql":
            return open_postgresql(urls.reader, config.schema_name)
        case "mariadb":
            from connectors.mariadb import open_mariadb  # its driver is an extra of the installation

            return open_mariadb(urls.reader, config.schema_name)
        case "sqlite" if config.fence:
            return open_both_ways(workspace, source, is_followed=False)
        case "sqlite" | "odbc":
            return open_one_way(workspace, source, is_followed=False)
    return open_port(workspace, source)


def closures_of(workspace: Workspace, source: SourceRef, book: RuleBook) -> tuple[Closure, ...]:
    """Give what moves together: what the rules tie; behind a closed window, which moves a whole file, all."""
    found = closure(book, source.department_code)
    if workspace.source_config(source).fence != "closed_window" or len(found) < 2:
        return found
    domains = tuple(sorted({name for one in found for name in one.domains}))
    tables = tuple(sorted({name for one in found for name in one.tables}))
    shared = tuple(sorted({name for one in found for name in one.shared_tables}))
    return (Closure(source.department_code, domains, tables, shared),)


def open_rig(workspace: Workspace, source: SourceRef, *, only_told: bool = False) -> Rig:
    """Open a legacy system whose department is registered in the store; `only_told` as for its port."""
    return _assemble(workspace, source, open_port(workspace, source, only_told=only_told))


def _assemble(workspace: Workspace, source: SourceRef, port: LegacyPort) -> Rig:
    with transaction(workspace.engine("banyan_forward")) as connection:
        decided = [one.what for one in find_decisions(connection, source)]
        rows = connection.execute(
            sa.select(SOURCE_TABLE.c.table_name, SOURCE_TABLE.c.source_table_no).where(
                SOURCE_TABLE.c.department_code == source.department_code,
                SOURCE_TABLE.c.system_code == source.system_code,
            )
        )
        numbers = {name: int(number) for name, number in rows}
    if not numbers:
        raise ConfigurationError(
            f"{source} is not registered in the canonical store yet; nothing was read",
            hint=f"banyan load {source.department_code}",
        )
    book = lay_over(workspace, source, decided)
    closures = closures_of(workspace, source, book)
    refuse_cut(workspace, source, closures)
    return Rig(workspace, source, port, book, closures, numbers)


def prepare(workspace: Workspace, source: SourceRef) -> Rig:
    """Install or migrate the store, register the department, install capture and fences; may run again at any time.

    Files that are written once have neither: a cut file or one that is not there is refused before a store is made.
    """
    book = workspace.book(source)
    config = workspace.source_config(source)
    closures = closures_of(workspace, source, book)
    refuse_cut(workspace, source, closures)
    port = open_port(workspace, source)
    find_after_load(workspace.project, source, book)
    superuser = workspace.create_store()
    install(superuser, workspace.store_passwords())
    registration = Registration(
        workspace.project.department(source.department_code),
        (SourceSystem(source.system_code, config.medium, config.encoding, tuple(book.rulesets)),),
        closures,
    )
    add_department(open_engine(superuser, pool_size=0), registration)
    rig = _assemble(workspace, source, port)
    _leave_way(rig)
    if isinstance(port, DatabasePort) and not rig.is_one_way:
        _install_guards(rig, port)
    else:
        _arm(rig)
    return rig


def refuse_cut(workspace: Workspace, source: SourceRef, closures: tuple[Closure, ...]) -> None:
    """Refuse a department whose `domains` name a part of a closure: its rules, and nothing else, say what moves."""
    code = source.department_code
    cut = find_cut(closures, [domain.value for domain in workspace.project.departments[code].domains])
    if cut is not None:
        raise ConfigurationError(
            f"banyan.yaml lists a part of {cut.name} under domains of {code}; {say_tie(cut)}; nothing was changed",
            hint=f"list {', '.join(cut.domains)} there, all or none; banyan map closure {code}",
            closure=cut.name,
            shared=cut.shared_tables,
        )


def _arm(rig: Rig) -> None:
    """Arm the slices of files after a start of the store: no other side can have gone on in between."""
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        for found in rig.closures:
            if all(row.is_armed for row in read_closure(connection, found.name)):
                continue
            if not verify_journal(connection).is_whole:
                raise SwitchUncertain(
                    f"{found.name} stays closed: the store has started and its journal is not whole; nothing was armed",
                    hint="banyan log verify",
                )
            arm(connection, found.name, actor=OperatingSystemActors(rig.workspace.project.people).current())


def _leave_way(rig: Rig) -> None:
    """Take what the way of capture until now had installed out of a legacy database, when the project says another.

    Nothing is missed meanwhile: every row is read again before the new way is followed. Where no account may take it
    away, the text that undoes its rung does.
    """
    way = find_left_way(rig)
    if way is None:
        return
    refuse_while_moving(rig, way)
    if way not in ("journal", "log") or rig.is_one_way:
        return
    old = open_port(rig.workspace, rig.source, way=way)
    if isinstance(old, DatabasePort):
        try:
            old.remove_capture(rig.workspace.legacy_urls(rig.source).admin)
        finally:
            old.close()


def _install_guards(rig: Rig, port: DatabasePort) -> None:
    """Install capture and fences in a legacy database, and remember the nonce of each fence."""
    urls = rig.workspace.legacy_urls(rig.source)
    loose = note_unfollowed(rig)
    port.install_capture(urls.admin, tuple(rig.book.rulesets))
    forget_unfollowable(rig, loose)
    for found in rig.closures:
        nonce = rig.guarded.install_fence(urls.admin, found.name, found.tables)
        rig.guarded.keep_code_key(urls.admin, found.name, code_key(rig.workspace.digest_key, found.name))
        with transaction(rig.workspace.engine("banyan_guard")) as connection:
            connection.execute(
                sa.update(SLICE)
                .where(SLICE.c.closure == found.name, SLICE.c.phase.in_(_BEFORE_LOADING))  # later it is evidence
                .values(nonce=nonce)
            )
        know_first_fence(rig, found, nonce, OperatingSystemActors(rig.workspace.project.people).current())


def owner_of(rows: tuple[SliceRow, ...]) -> Side:
    """Give the one owner of a closure."""
    return rows[0].owner


def phase_of(rows: tuple[SliceRow, ...]) -> Phase:
    """Give the one phase of a closure."""
    return rows[0].phase
