"""A legacy system of a project, put together: port, rules, lanes and engines, ready for the loop."""

from dataclasses import dataclass, field

import sqlalchemy as sa

from banyan.departments import Closure, Phase, Side, SourceRef
from banyan.errors import ConfigurationError, SwitchUncertain, UsageError
from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.postgresql_fence import PostgreSQLFence, install_fence, open_postgresql_fence
from mappings.closure import closure
from mappings.model import RuleBook
from store.install import Registration, SourceSystem, add_department, install
from store.postgres import open_engine, transaction
from store.slices import SliceRow, read_closure
from store.tables import SLICE, SOURCE_TABLE
from sync.engine import SyncEngine, Watcher, watch_nothing
from sync.forward import ForwardLane
from sync.lane import Checkpoint, pass_by
from sync.reverse import ReverseGuard, ReverseLane
from sync.setting import Setting
from sync.workspace import Workspace

_BEFORE_LOADING = (Phase.REGISTERED.value, Phase.ASSESSED.value, Phase.MAPPED.value)


@dataclass(frozen=True, slots=True)
class Rig:
    """One legacy system with everything that moves its rows, either way."""

    workspace: Workspace = field(repr=False)
    source: SourceRef
    port: PostgreSQLPort = field(repr=False)
    book: RuleBook = field(repr=False)
    closures: tuple[Closure, ...]
    table_numbers: dict[str, int] = field(repr=False)

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
        )

    def forward(self) -> ForwardLane:
        """Give the lane to the canonical store."""
        return ForwardLane(self.setting("banyan_forward"), self.workspace.landing)

    def forward_engine(self, *, watcher: Watcher = watch_nothing, checkpoint: Checkpoint = pass_by) -> SyncEngine:
        """Give the loop that runs the forward lane."""
        return SyncEngine(self.workspace.engine("banyan_forward"), watcher=watcher, checkpoint=checkpoint)

    def reverse(self, name: str) -> ReverseLane:
        """Give the lane back to the legacy system, for one closure."""
        found = self.closure(name)

        def guard() -> ReverseGuard:
            row = self.slices(name)[0]
            state = self.fence(name).read()
            if state.nonce != row.nonce:
                raise SwitchUncertain(
                    f"the fence of {name} is of another incarnation than the one banyan knows; nothing was written",
                    hint="banyan guard",
                )
            return ReverseGuard(name, state.token, row.nonce)

        return ReverseLane(self.setting("banyan_reverse"), self.workspace.landing, guard, found)

    def reverse_engine(self, *, checkpoint: Checkpoint = pass_by) -> SyncEngine:
        """Give the loop that runs a reverse lane."""
        return SyncEngine(self.workspace.engine("banyan_reverse"), checkpoint=checkpoint)

    def closure(self, name: str) -> Closure:
        """Give a closure by name, or by one of its domains (`38.cases`)."""
        for found in self.closures:
            if name == found.name or name in [f"{found.department_code}.{domain}" for domain in found.domains]:
                return found
        known = ", ".join(found.name for found in self.closures)
        raise UsageError(f"there is no closure {name}; {self.source.department_code} has {known}")

    def slices(self, name: str) -> tuple[SliceRow, ...]:
        """Read the slices of a closure."""
        with transaction(self.workspace.engine("banyan_guard")) as connection:
            return read_closure(connection, name)

    def fence(self, name: str) -> PostgreSQLFence:
        """Give the legacy fence of a closure."""
        urls = self.workspace.legacy_urls(self.source)
        schema = self.workspace.source_config(self.source).schema_name
        return open_postgresql_fence(urls.guard, name, schema=schema, probe_url=urls.application)

    def fenced_tables(self, name: str) -> tuple[str, ...]:
        """Name the legacy tables that the fence of a closure guards."""
        return self.closure(name).tables


def open_rig(workspace: Workspace, source: SourceRef) -> Rig:
    """Open a legacy system whose department is registered in the store."""
    config = workspace.source_config(source)
    if config.medium != "postgresql":
        raise ConfigurationError(
            f"{source} is {config.medium}: banyan reads such files, but carries only postgresql both ways",
            hint="banyan source capabilities " + source.department_code,
        )
    urls = workspace.legacy_urls(source)
    book = workspace.book(source)
    port = open_postgresql(urls.reader, config.schema_name, reverse_url=urls.reverse)
    with transaction(workspace.engine("banyan_forward")) as connection:
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
    return Rig(workspace, source, port, book, closure(book, source.department_code), numbers)


def prepare(workspace: Workspace, source: SourceRef) -> Rig:
    """Install or migrate the store, register the department, install capture and fences; may run again at any time."""
    book = workspace.book(source)
    config = workspace.source_config(source)
    closures = closure(book, source.department_code)
    superuser = workspace.create_store()
    install(superuser, workspace.store_passwords())
    registration = Registration(
        workspace.project.department(source.department_code),
        (SourceSystem(source.system_code, config.medium, config.encoding, tuple(book.rulesets)),),
        closures,
    )
    add_department(open_engine(superuser, pool_size=0), registration)
    rig = open_rig(workspace, source)
    urls = workspace.legacy_urls(source)
    rig.port.install_capture(urls.admin, tuple(book.rulesets))
    for found in closures:
        nonce = install_fence(urls.admin, found.name, found.tables, schema=config.schema_name)
        with transaction(workspace.engine("banyan_guard")) as connection:
            connection.execute(
                sa.update(SLICE)
                .where(SLICE.c.closure == found.name, SLICE.c.phase.in_(_BEFORE_LOADING))  # later it is evidence
                .values(nonce=nonce)
            )
    return rig


def owner_of(rows: tuple[SliceRow, ...]) -> Side:
    """Give the one owner of a closure."""
    return rows[0].owner


def phase_of(rows: tuple[SliceRow, ...]) -> Phase:
    """Give the one phase of a closure."""
    return rows[0].phase
