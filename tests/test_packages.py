"""The page of packages says what is so: each door imports its package, nobody goes round it, each test is there."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from cli.doctor import TOP_LEVEL

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "packages.md"
COLUMNS = ["package", "what it is used for here", "door", "exercised by"]
PACKAGES = (
    "sqlalchemy", "pyodbc", "alembic", "apache-airflow", "great-expectations", "pandas", "boto3", "typer", "pytest",
)  # fmt: skip
IMPORTED_AS = {"apache-airflow": "airflow", "great-expectations": "great_expectations"}
ONE_DOOR = {
    "pyodbc": "connectors/sql.py",
    "boto3": "store/landing.py",
    "great-expectations": "validation/expectations.py",
    "pandas": "validation/",
    "apache-airflow": "dags/",
    "typer": "cli/",
}
"""The doors that are not up to the page."""


@dataclass(frozen=True)
class Entry:
    """One line of the page."""

    package: str
    purpose: str
    door_cell: str
    test: str

    @property
    def imported_as(self) -> str:
        return IMPORTED_AS.get(self.package, self.package)

    @property
    def door(self) -> str:
        return str(re.findall(r"`([^`]+)`", self.door_cell)[0])

    @property
    def limit(self) -> str | None:
        """Give the one place that may import the package, or None when the page sets no limit."""
        if self.door_cell.endswith("only there"):
            return self.door
        found = re.search(r"only in `([^`]+/)`$", self.door_cell)
        return str(found[1]) if found else None


def read_page(text: str) -> list[Entry]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header == COLUMNS
    assert set("".join(rule)) == {"-"}
    return [Entry(package, purpose, door, test.strip("`")) for package, purpose, door, test in rows]


def imports_of(source: str) -> Iterator[str]:
    """Name what a module imports: anywhere in it, inside functions and by name at run time too."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.split(".")[0]


@cache
def all_imports_of(path: Path) -> frozenset[str]:
    return frozenset(imports_of(path.read_text(encoding="utf-8")))


def importers_of(name: str) -> list[str]:
    """Name the modules of the package folders that import a library."""
    return [
        path.relative_to(ROOT).as_posix()
        for folder in TOP_LEVEL
        for path in sorted((ROOT / folder).rglob("*.py"))
        if name in all_imports_of(path)
    ]


ENTRIES = {entry.package: entry for entry in read_page(PAGE.read_text(encoding="utf-8"))}


def test_each_of_the_nine_is_on_the_page_once():
    assert [entry.package for entry in read_page(PAGE.read_text(encoding="utf-8"))] == list(PACKAGES)
    assert all(len(entry.purpose.split()) >= 5 for entry in ENTRIES.values())


@pytest.mark.parametrize("package", PACKAGES)
def test_the_project_asks_for_the_package(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]

    assert package in {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in asked}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_door_of_the_page_imports_the_package(package):
    entry = ENTRIES[package]

    assert entry.imported_as in imports_of((ROOT / entry.door).read_text(encoding="utf-8"))
    assert entry.limit is None or entry.door.startswith(entry.limit)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_test_of_the_page_is_there_and_tests(package):
    path = ROOT / ENTRIES[package].test
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]

    assert path.name.startswith("test_") and path.is_relative_to(ROOT / "tests")
    assert any(isinstance(node, ast.Assert) for test in tests for node in ast.walk(test))


@pytest.mark.parametrize("package", [package for package in PACKAGES if package != "sqlalchemy"])
def test_nobody_goes_round_the_door(package):
    entry = ENTRIES[package]

    assert entry.limit == ONE_DOOR.get(package, entry.limit) and entry.limit is not None
    assert [place for place in importers_of(entry.imported_as) if not place.startswith(entry.limit)] == []


def test_an_import_is_seen_wherever_it_stands():
    source = (
        "import a.b\n"
        "def f():\n    from c.d import e\n"
        "if x:\n    import importlib\n    importlib.import_module('g.h')\n"
        "from . import i\n"
    )

    assert set(imports_of(source)) == {"a", "c", "g", "importlib"}
