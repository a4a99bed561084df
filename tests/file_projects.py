"""An example project over write-once files, in a fresh store: opened, loaded, and read back from the canonical side."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from psycopg import sql
from sqlalchemy.engine import make_url
from stores import StorePlace, own

from banyan.canonical.columns import Kind
from banyan.config import PROJECT_FILE, Project, load_project
from banyan.departments import Department, SourceRef
from cli.main import run
from connectors.write_once import WriteOncePort
from mappings.closure import closure
from mappings.engine import Lookups, WrittenBack, write_back
from mappings.model import RuleBook, Ruleset
from mappings.ruleset import load_rulebook
from store.install import Registration, SourceSystem, add_department, install
from store.landing import open_landing
from store.postgres import Isolation, open_engine, raw
from sync.engine import RunResult, SyncEngine
from sync.forward import ForwardLane
from sync.real_files import load_files, open_files
from sync.scope import ScopeFinder
from sync.setting import Setting
from wire.copy import copy_out

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class FileProject:
    """An example, its store, and its one legacy system of one table."""

    project: Project
    place: StorePlace
    source: SourceRef
    book: RuleBook
    numbers: dict[str, int]

    @property
    def ruleset(self) -> Ruleset:
        return next(iter(self.book.rulesets.values()))

    @property
    def department(self) -> Department:
        return self.project.department(self.source.department_code)

    def open_port(self) -> WriteOncePort:
        return open_files(self.project, self.source, tuple(self.book.rulesets))

    def lane(self, port: WriteOncePort | None = None) -> ForwardLane:
        setting = Setting(
            department=self.department,
            source=self.source,
            port=port or self.open_port(),
            engine=self.place.engine("banyan_forward"),
            book=self.book,
            table_numbers=self.numbers,
            digest_key=b"k" * 32,
        )
        return ForwardLane(setting, open_landing(self.project.landing, folder=self.project.folder))

    def load(self, *, rows_per_chunk: int = 50_000, port: WriteOncePort | None = None) -> RunResult:
        return load_files(
            SyncEngine(self.place.engine("banyan_forward")), self.lane(port), rows_per_chunk=rows_per_chunk
        )

    def figure(self, query: str) -> int:
        return self.place.run(query)[0][0]

    def write_back(self) -> WrittenBack:
        """Write every loaded row back from its canonical records and residue, by the way that a reverse run takes."""
        code, ruleset = self.department.code, self.ruleset
        with self.place.transaction(isolation=Isolation.REPEATABLE_READ) as connection:
            every = sql.SQL("select id::text from {}").format(sql.Identifier("justice", ruleset.main.table))
            mains = pl.concat(list(copy_out(raw(connection), every, {"id": Kind.UUID})))
            mains = mains.select(pl.lit(ruleset.main.table).alias("relation"), "id")
            scope = ScopeFinder(raw(connection), code, self.book, self.numbers).find(mains)
        assert scope.without_place.is_empty()
        rows = scope.tables[ruleset.table]
        return write_back(self.lane().setting.compiled(ruleset.table), rows.parts, rows.crosswalk, Lookups())


def in_file_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(pl.col("$recno").cast(pl.Int64))


def open_example(name: str, folder: Path, make_database) -> FileProject:
    """Copy an example's project into a folder and register its department in a fresh store; nothing is loaded yet."""
    return register(copy_example(name, folder), make_database)


def register(folder: Path, make_database) -> FileProject:
    """Register the one department of a project in a fresh store, its slices ready to be written forward."""
    project = load_project(folder)
    [(code, department)] = project.departments.items()
    [system] = department.sources
    source = SourceRef(code, system)
    config = project.source(source)
    book = load_rulebook(project.folder / config.rules)
    place = StorePlace(make_url(make_database()))
    install(place.url())
    systems = (SourceSystem(system, config.medium, config.encoding, tuple(book.rulesets)),)
    add_department(
        open_engine(place.url(), pool_size=0), Registration(project.department(code), systems, closure(book, code))
    )
    own(place, "LEGACY")
    numbers = {table: place.table_no(table) for table in book.rulesets}
    return FileProject(project, place, source, book, numbers)


@dataclass(frozen=True)
class CommandLineProject:
    """A project over write-once files whose store is a database of the throwaway server, worked by commands."""

    folder: Path
    place: StorePlace

    def banyan(self, *arguments: str) -> int:
        """Run a command inside this process; give its exit code."""
        return run(["-C", str(self.folder), *arguments])

    def figure(self, query: str) -> int:
        return self.place.run(query)[0][0]


def on_command_line(folder: Path, make_database) -> CommandLineProject:
    """Point a project's target at a fresh database; nothing is installed there yet."""
    url = make_database()
    file = folder / PROJECT_FILE
    file.write_text(f'{file.read_text()}target: {{url: "{url}"}}\n')
    return CommandLineProject(folder, StorePlace(make_url(url)))


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example's project: its store and its landing zone never come to lie in the repository."""
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns(".banyan", "landing")))
