"""`banyan doctor`: what stands in the way, before it does; it changes nothing but starting an embedded server."""

import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import BanyanError
from cli.places import current_project
from cli.tables import print_json, print_line, thousands
from cli.words import Remark, Word

if TYPE_CHECKING:
    from banyan.config import Project

TOP_LEVEL = (
    "banyan", "wire", "connectors", "mappings", "store", "sync", "validation", "cutover", "dags", "cli", "estate",
)  # fmt: skip
DISTRIBUTION = "banyan-migration"
_DRIVERS = ("psycopg", "pgpq", "polars", "pyarrow", "dbfread", "python-calamine", "pyodbc")
_GIGABYTE = 1 << 30
_LEAST_FREE, _ENOUGH_FREE = 1, 5


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False) -> None:
    """Look at rights, clocks, disk, keys, drivers and names; exit 3 when one of them says NO."""
    remarks = examine()
    if as_json:
        print_json([asdict(remark) for remark in remarks])
    else:
        for remark in remarks:
            print_line(f"{remark.word.value:<5}  {remark.sentence}")
            if remark.following:
                print_line(f"       next  {remark.following}")
    if any(remark.word is Word.NO for remark in remarks):
        raise typer.Exit(3)


def examine() -> list[Remark]:
    """Look at the program, then at the project of this invocation; nothing is changed."""
    remarks = [examine_names(), examine_drivers()]
    try:
        project = current_project()
    except BanyanError as error:
        return [*remarks, Remark(Word.NO, error.message, error.hint)]
    from cli.examination import examine_project

    keys = (examine_key(project), examine_landing_key(project))
    return [*remarks, examine_disk(project), *keys, *examine_project(project)]


def examine_names() -> Remark:
    """Tell whether another distribution of this Python owns one of our top-level names."""
    owners = packages_distributions()
    strangers = {
        name: sorted(set(owners.get(name, ())) - {DISTRIBUTION})
        for name in TOP_LEVEL
        if set(owners.get(name, ())) - {DISTRIBUTION}
    }
    if not strangers:
        return Remark(Word.OK, f"names: no other distribution owns one of our {len(TOP_LEVEL)} packages")
    told = ", ".join(f"{name} ({', '.join(found)})" for name, found in strangers.items())
    first = next(iter(strangers.values()))[0]
    return Remark(Word.NO, f"names: another distribution owns {told}", f"pip uninstall {first}")


def examine_drivers() -> Remark:
    """Tell which drivers are installed, without loading them."""
    found, missing = [], []
    for name in _DRIVERS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Remark(Word.NO, f"drivers: {', '.join(missing)} missing", f"pip install {DISTRIBUTION}")
    return Remark(Word.OK, f"drivers: {', '.join(found)}")


def examine_disk(project: "Project") -> Remark:
    """Tell how much room is left on the disk of the project, and what the landing zone uses."""
    free = shutil.disk_usage(project.folder).free / _GIGABYTE
    used = 0.0
    if project.landing.kind == "local":
        landing = project.folder / project.landing.path
        used = sum(path.stat().st_size for path in landing.rglob("*") if path.is_file()) / _GIGABYTE
    sentence = f"disk {thousands(round(free))} GB free, landing {used:.1f} GB used"
    if free >= _ENOUGH_FREE:
        return Remark(Word.OK, sentence)
    return Remark(Word.NO if free < _LEAST_FREE else Word.WAIT, sentence, f"make room on the disk of {project.folder}")


def examine_key(project: "Project") -> Remark:
    """Tell whether the key of row digests can be read by its owner alone."""
    path: Path = project.state_folder / "digest.key"
    if not path.exists():
        return Remark(Word.OK, "digest key: none yet, it is made at the first copy")
    rights = path.stat().st_mode & 0o777
    if rights & 0o077:
        return Remark(Word.NO, f"digest key: others may open it (rights {rights:o})", f"chmod 600 {path}")
    return Remark(Word.OK, f"digest key: rights {rights:o}, outside the store")


def examine_landing_key(project: "Project") -> Remark:
    """Tell whether the key that protects what was received is there, and for its owner alone."""
    from store.keys import key_file

    try:
        path = key_file(project.landing, folder=project.folder)
    except BanyanError as error:
        return Remark(Word.NO, error.message, error.hint)
    if path is None:
        return Remark(Word.OK, "landing key: from the environment, outside the cloud account")
    if not path.exists():
        word = Word.NO if project.landing.key else Word.OK
        restore = f"restore {path} from its escrow" if project.landing.key else ""
        return Remark(word, "landing key: none yet" if word is Word.OK else "landing key: it is gone", restore)
    rights = path.stat().st_mode & 0o777
    if rights & 0o077:
        return Remark(Word.NO, f"landing key: others may open it (rights {rights:o})", f"chmod 600 {path}")
    return Remark(Word.OK, f"landing key: rights {rights:o}, outside the cloud account; a copy belongs in escrow")
