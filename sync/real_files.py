"""Legacy systems handed over as write-once files: opened from the project, and loaded only while they are the same.

A source says where its files are, as a path below the folder that BANYAN_REAL_DATA names (else below the project): one
file, a folder of files, or a zip of them, which is unpacked beside the project's state. A table is the file of the same
name. A delimited text says its separator (`calls.csv?separator=;`), a workbook its sheet (`calls.xlsx?sheet=CALLS`).
What no single row can say, one statement may compute after the load: `after_load` under the source.
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from banyan.canonical.model import TABLES
from banyan.config import Project, SourceConfig, read_secret, real_files_folder
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.delimited import DelimitedFormat
from connectors.write_once import DbfFile, SheetFile, TextFile, WriteOnceFile, WriteOncePort, open_write_once
from mappings.model import RuleBook
from store.ledger import LedgerReader
from store.postgres import transaction
from sync.engine import RunResult, SyncEngine
from sync.forward import ROWS_PER_CHUNK, ForwardLane

_OPTIONS = {"dbf": frozenset[str](), "csv": frozenset(("separator",)), "xlsx": frozenset(("sheet",))}
_BESIDE = {".dbf": (".dbt", ".fpt"), ".csv": (), ".xlsx": ()}


def open_files(project: Project, source: SourceRef, tables: Sequence[str]) -> WriteOncePort:
    """Open the files of these tables; a zip is unpacked first. A cut file or one that is not there is refused."""
    config = project.source(source)
    options = _OPTIONS.get(config.medium)
    if options is None or not config.write_once:
        raise ConfigurationError(
            f"{source} is not declared as files that are written once; nothing was opened",
            hint="write_once: true and medium: dbf, csv or xlsx under the source, if nobody writes these files",
        )
    place, _, query = read_secret(config.url).partition("?")
    said = dict(parse_qsl(query))
    if set(said) != options:
        raise ConfigurationError(
            f"{source} must say {sorted(options) or 'nothing'} after its path, and says {sorted(said)}; nothing was "
            "opened",
            hint="write the url as PATH, PATH?separator=; or PATH?sheet=NAME",
        )
    path = _locate(project, place)
    suffix = f".{config.medium}"
    found = _find(_unpacked(path, suffix, project.state_folder / "files"), suffix)
    missing = sorted(set(tables) - set(found))
    if missing:
        raise SourceUnavailable(
            f"{source} has no file for {', '.join(missing)}; nothing was read",
            hint="set BANYAN_REAL_DATA to the folder of the files, or correct the url of the source",
        )
    return open_write_once({table: _declared(found[table], config, said) for table in tables})


def load_files(engine: SyncEngine, lane: ForwardLane, *, rows_per_chunk: int = ROWS_PER_CHUNK) -> RunResult:
    """Copy every record, or again the same files, which changes nothing.

    Refused before anything is written: files that are not those of the first copy, finished or left open, because a
    record number would name another row; and columns that are not those of the rules.
    """
    setting = lane.setting
    for table, ruleset in setting.book.rulesets.items():
        columns = [column.name for column in setting.port.columns(table)]
        if set(columns) != set(ruleset.columns):
            raise SourceDrifted(
                f"{table} does not have the columns that {ruleset.rule_id} describes; nothing was read",
                hint="banyan map coverage",
                missing=[name for name in ruleset.columns if name not in columns],
                unknown=[name for name in columns if name not in ruleset.columns],
            )
    with transaction(setting.engine) as connection:
        left_open = LedgerReader(connection).find_open_run(lane.route.source, lane.route.to)
    for known in (lane.watermark(), None if left_open is None else left_open.until_position):
        if known is not None:
            setting.port.changes(known)  # refuses the Position of other files than these
    return engine.load(lane, lambda: lane.plan_load(rows_per_chunk=rows_per_chunk), rules_digest=setting.book.digest)


def find_after_load(project: Project, source: SourceRef, book: RuleBook) -> Path | None:
    """Find the statement that a source declares to follow its load.

    Refused: a file that is not in the project, and columns that do not exist or that a rule fills.
    """
    declared = project.source(source).after_load
    if declared is None:
        return None
    script = (project.folder / declared.statement).resolve()
    if not script.is_relative_to(project.folder) or not script.is_file():
        raise ConfigurationError(
            f"after_load of {source} is {declared.statement}, and the project has no such file; nothing was loaded",
            hint=f"write one statement in {project.folder / declared.statement}, or leave after_load out",
        )
    parts = [part for ruleset in book.rulesets.values() for part in ruleset.parts]
    filled = {(part.table, column) for part in parts for rule in part.fields for column in rule.to}
    for table, columns in declared.writes.items():
        known = TABLES[table].column_names if table in TABLES else ()
        for column in columns:
            if column not in known or (table, column) in filled:
                problem = "a rule fills it" if column in known else "there is no such column"
                raise ConfigurationError(
                    f"after_load of {source} cannot write {table}.{column}: {problem}; nothing was loaded",
                    hint="banyan map coverage",
                )
    return script


def apply_after_load(engine: Engine, script: Path, department_code: str) -> int:
    """Run the one statement that a source declares to follow its load, with :department bound; gives rows changed.

    It runs under the fence like the load itself, and must change nothing when it runs again.
    """
    statement = sa.text(script.read_text(encoding="utf-8"))
    with transaction(engine) as connection:
        try:
            return connection.execute(statement, {"department": department_code}).rowcount
        except sa.exc.ProgrammingError as error:
            raise ConfigurationError(
                f"{script.name} was refused by the store ({getattr(error.orig, 'sqlstate', '')}); nothing of it was "
                "written, what was loaded stays",
                hint=f"correct {script}, then run the same load again",
            ) from error


def _locate(project: Project, place: str) -> Path:
    """Give the path of the files; refuses to look for them in a place that nobody named."""
    folder = real_files_folder()
    path = (folder or project.folder) / place
    if folder is None and not path.exists() and not Path(place).is_absolute():
        raise ConfigurationError(
            f"the environment has no BANYAN_REAL_DATA, and there is no {place} below the project; nothing was read",
            hint="export BANYAN_REAL_DATA=FOLDER, the folder that holds the files",
        )
    return path


def _unpacked(path: Path, suffix: str, state: Path) -> Path:
    """Give the path itself, or the folder that a zip was unpacked to; a zip is unpacked once, whole or not at all."""
    if not path.exists():
        raise SourceUnavailable(
            f"there is no {path.name}; nothing was read",
            hint="set BANYAN_REAL_DATA to the folder of the files, or correct the url of the source",
            file=path.name,
        )
    if path.suffix.lower() != ".zip":
        return path
    status = path.stat()
    unpacked = state / f"{path.stem}-{status.st_size}-{status.st_mtime_ns}"
    if unpacked.is_dir():
        return unpacked
    state.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=state))
    try:
        _unpack(path, fresh, (suffix, *_BESIDE[suffix]))
        os.rename(fresh, unpacked)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return unpacked


def _unpack(path: Path, folder: Path, suffixes: tuple[str, ...]) -> None:
    """Unpack the files of these kinds, each under its bare name, with the checks that the format has."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).suffix.lower() in suffixes:
                    with archive.open(name) as packed, open(folder / Path(name).name, "xb") as file:
                        shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise SourceUnreadable(
            f"{path.name} is no whole zip that can be unpacked here: it is cut, damaged or locked; nothing was read",
            hint="take the file again from where it came, and compare its SHA-256",
            file=path.name,
        ) from error
    except FileExistsError as error:
        raise SourceUnreadable(
            f"{path.name} holds two files of one name: which one is the table cannot be told; nothing was read",
            hint="unpack it, and name the one file in the url of the source",
            file=path.name,
        ) from error


def _find(path: Path, suffix: str) -> dict[str, Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.stem: file for file in files if file.suffix.lower() == suffix}


def _declared(path: Path, config: SourceConfig, said: Mapping[str, str]) -> WriteOnceFile:
    match config.medium:
        case "dbf":
            return DbfFile(path, config.encoding)
        case "csv":
            return TextFile(path, DelimitedFormat(config.encoding, said["separator"]))
        case _:
            return SheetFile(path, said["sheet"])
