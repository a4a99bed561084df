"""`banyan init`: a new migration project, empty or with a synthetic ORION of Isère to practise on."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import PROJECT_FILE, OperatingSystemActors, load_project
from banyan.errors import UsageError
from cli.tables import print_facts, print_json, print_line, print_next

if TYPE_CHECKING:
    from banyan.config import Project
    from sync.workspace import Workspace

ESTATE_DEPARTMENT = "38"
ESTATE_SYSTEM = "ORION"
ESTATE_STEWARD = "claire"
ESTATE_LEAD = "paul"
_LEGACY_ROLES = ("orion_app", "orion_batch", "banyan_reader", "banyan_reverse", "banyan_guard")

_HEAD = """\
# A migration project. Secrets are references: env:NAME or file:PATH, never the secret itself.
project: {name}
target: {{url: "embedded:target", database: banyan}}
# What was received is encrypted; without this key nobody reads it. Keep a copy of it in escrow, never in the cloud.
landing: {{kind: local, path: landing, key: "file:.banyan/landing.key"}}
"""
_EMPTY = (
    _HEAD
    + """\
people:            # who may act, in which roles: engineer, steward, lead, security, auditor
  {user}: [engineer]
departments: {{}}
#  "38":
#    name: Isère
#    time_zone: Europe/Paris
#    wave: 1
#    domains: [reference, vehicles, logbook, cases, documents, custody]
#    sources:
#      ORION:
#        medium: postgresql
#        url: env:ORION_READER_URL         # postgresql://banyan_reader:...@host:5432/orion
#        reverse_url: env:ORION_REVERSE_URL
#        fence_url: env:ORION_GUARD_URL
#        admin_url: env:ORION_ADMIN_URL    # only to install capture and fence
#        application_url: env:ORION_APP_URL  # an ordinary officer's account: the fence is proved by its refusal
#        schema: orion
#        rules: rules/orion
"""
)
_ESTATE = (
    _HEAD
    + """\
people:            # {steward} and {lead} are invented; BANYAN_ACTOR says who is at the keyboard
  {user}: [engineer]
  {steward}: [steward]
  {lead}: [lead]
departments:
  "{department}":
    name: {place}
    time_zone: Europe/Paris
    wave: 1
    domains: [reference, vehicles, logbook, cases, documents, custody]
    sources:
      {system}:
        medium: postgresql
        url: "embedded:legacy"
        schema: orion
        rules: rules/orion
"""
)
_TEMPLATES = ("empty", "estate")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is no project yet.")],
    template: Annotated[str, typer.Option("--template", help="empty, or estate: a synthetic ORION.")] = "empty",
    department: Annotated[
        str, typer.Option("--department", "-d", help="Of the estate: 38, 31 or 67, which have ORION.")
    ] = ESTATE_DEPARTMENT,
    size: Annotated[str, typer.Option("--size", help="Of the estate: XS, S, M or L.")] = "XS",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the estate: the same seed gives the same rows.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Write a new migration project; nothing that stands in the folder is replaced."""
    if template not in _TEMPLATES:
        raise UsageError(
            f"there is no template {template}; there are {' and '.join(_TEMPLATES)}; nothing was written",
            hint="banyan init DIR --template estate",
        )
    following = f"banyan -C {folder} doctor"
    if template == "estate":
        create_estate_project(folder, size, seed, department=department)
        following = f"banyan -C {folder} load {department}"
    else:
        create_empty_project(folder)
    facts = {"project": str(folder), "template": template, "file": str(folder / PROJECT_FILE)}
    if as_json:
        print_json({**facts, "next": following})
        return
    print_line(f"PROJECT  {folder.resolve().name}")
    print_facts(facts)
    print_next(following)


def create_empty_project(folder: Path) -> "Project":
    """Write a project without departments: `banyan.yaml` with an example in comments, `rules/`, and its key."""
    from store.keys import DEFAULT_KEY_FILE, create_key

    _refuse_project(folder)
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    create_key(folder / DEFAULT_KEY_FILE)
    (folder / PROJECT_FILE).write_text(_EMPTY.format(**_names(folder)), encoding="utf-8")
    return load_project(folder)


def create_estate_project(
    folder: Path, size: str = "XS", seed: int = 1, *, department: str = ESTATE_DEPARTMENT
) -> "Project":
    """Write a project of a department with an embedded target and an embedded legacy ORION, generated from a seed.

    The project file is written last: an init that was interrupted may be run again.
    """
    from estate.load import load
    from estate.orion import generate, parse_size
    from estate.places import Flavour, find_place
    from store.keys import DEFAULT_KEY_FILE, create_key
    from sync.workspace import LEGACY_DATABASE, opened
    from wire.cleanup import destroy_clusters

    _refuse_project(folder)
    parse_size(size)
    place = find_place(department)
    if place.flavour is not Flavour.ORION:
        raise UsageError(
            f"department {department} has {place.flavour}: only ORION runs on an embedded server; nothing was written",
            hint=f"banyan estate generate -d {department} URL, then name that database in banyan.yaml",
        )
    folder.mkdir(parents=True, exist_ok=True)
    destroy_clusters(folder)  # servers of an interrupted init; no project refers to them
    _copy_rules(folder / "rules" / "orion")
    create_key(folder / DEFAULT_KEY_FILE)
    draft = folder / f"{PROJECT_FILE}.draft"
    names = {**_names(folder), "department": department, "place": json.dumps(place.name, ensure_ascii=False)}
    draft.write_text(_ESTATE.format(**names), encoding="utf-8")
    with opened(load_project(draft)) as workspace:
        server = workspace.cluster("legacy")
        server.create_database(LEGACY_DATABASE)
        load(generate(size, seed, department), _admin_url(workspace, department))
        _set_passwords(workspace, department)
    draft.rename(folder / PROJECT_FILE)
    return load_project(folder)


def _refuse_project(folder: Path) -> None:
    if (folder / PROJECT_FILE).exists():
        raise UsageError(
            f"{folder} is a project already; nothing was written", hint=f"banyan -C {folder} doctor", folder=folder
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; nothing was written", hint="name a folder", folder=folder)


def _names(folder: Path) -> dict[str, str]:
    return {
        "name": json.dumps(folder.resolve().name, ensure_ascii=False),
        "user": json.dumps(OperatingSystemActors({}).current().name, ensure_ascii=False),
        "department": ESTATE_DEPARTMENT,
        "system": ESTATE_SYSTEM,
        "steward": ESTATE_STEWARD,
        "lead": ESTATE_LEAD,
    }


def _copy_rules(place: Path) -> None:
    """Put the shipped rules into the project, whose own they are from now on."""
    if not place.exists():
        shutil.copytree(Path(str(files("mappings"))) / "rules" / "orion", place)


def _admin_url(workspace: "Workspace", department: str) -> str:
    from banyan.departments import SourceRef

    return workspace.legacy_urls(SourceRef(department, ESTATE_SYSTEM)).admin


def _set_passwords(workspace: "Workspace", department: str) -> None:
    """Give the accounts of the synthetic ORION their passwords: the embedded servers let nobody in without one."""
    from estate.load import connect

    server = workspace.cluster("legacy")
    with connect(_admin_url(workspace, department)) as connection:
        for role in _LEGACY_ROLES:
            connection.pgconn.change_password(role.encode(), server.password(role).encode())
