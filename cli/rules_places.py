"""Which rules a command of `banyan map` is about: a folder that is given, the project's own, or the shipped ones."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import PROJECT_FILE
from banyan.departments import SourceRef
from banyan.errors import UsageError
from cli.places import current_project, project_folder

if TYPE_CHECKING:
    from banyan.departments import Closure
    from mappings.model import RuleBook

RulesDir = Annotated[
    Path | None,
    typer.Argument(help="Folder of rule files; without it those of the project, or else the shipped ORION rules."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
OfDepartment = Annotated[
    str, typer.Option("--department", "-d", help="Lay the deviations of this department over the rules, such as 31.")
]


def find_rules(given: Path | None, department: str = "") -> Path:
    """Give the folder of rules meant: the one given, the department's, the project's only one, or the shipped ones."""
    if given is not None:
        return given
    if not (project_folder() / PROJECT_FILE).exists():
        return Path(str(files("mappings"))) / "rules" / "orion"
    project = current_project()
    folders = {
        project.folder / source.rules
        for code, one in project.departments.items()
        for source in one.sources.values()
        if not department or code == department
    }
    if len(folders) != 1:
        known = ", ".join(sorted(str(folder) for folder in folders)) or "none"
        raise UsageError(f"the project has {len(folders)} folders of rules: {known}", hint="banyan map lint RULES_DIR")
    return folders.pop()


def read_rules(given: Path | None, department: str = "") -> "RuleBook":
    """Read the rules meant, as a department reads them; rules that are wrong are refused."""
    from mappings.ruleset import load_rulebook

    return load_rulebook(find_rules(given, department), department=department)


def read_closures(given: Path | None, department: str) -> "list[tuple[RuleBook, tuple[Closure, ...]]]":
    """Read the rules of each source of a department with what a switch of it moves together.

    Of a folder that is given, and of a department that is in no project, what the rules alone tie.
    """
    from mappings.closure import closure

    is_project = given is None and (project_folder() / PROJECT_FILE).exists()
    if not is_project or department not in current_project().departments:
        book = read_rules(given, department)
        return [(book, closure(book, department))]
    from sync.assembly import closures_of
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        systems = workspace.project.departments[department].sources
        books = [(source, workspace.book(source)) for source in (SourceRef(department, name) for name in systems)]
        return [(book, closures_of(workspace, source, book)) for source, book in books]
