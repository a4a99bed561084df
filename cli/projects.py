"""`banyan init`: a new migration project, empty or with a department of the synthetic estate to practise on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import PROJECT_FILE, OperatingSystemActors, load_project
from banyan.errors import UsageError
from cli.tables import print_facts, print_json, print_line, print_next

if TYPE_CHECKING:
    from banyan.config import Project


_HEAD = """\
# A migration project. Secrets are references: env:NAME, file:PATH or airflow:CONN_ID, never the secret itself.
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
_TEMPLATES = ("empty", "estate")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is no project yet.")],
    template: Annotated[str, typer.Option("--template", help="empty, or estate: a synthetic department.")] = "empty",
    department: Annotated[
        str,
        typer.Option(
            "--department", "-d", help="Of the estate: 38, 31, 67 (ORION), 48 (BUREAU), or 974, 49, 35 (MAREL)."
        ),
    ] = "38",
    size: Annotated[str, typer.Option("--size", help="Of the estate: XS, S, M or L.")] = "XS",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the estate: the same seed gives the same rows.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Write a new migration project; nothing that stands in the folder is replaced."""
    from cli.estate_projects import create_estate_project

    if template not in _TEMPLATES:
        raise UsageError(
            f"there is no template {template}; there are {' and '.join(_TEMPLATES)}; nothing was written",
            hint="banyan init DIR --template estate",
        )
    following = f"banyan -C {folder} doctor"
    if template == "estate":
        create_estate_project(folder, size, seed, departments=(department,))
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

    refuse_project(folder)
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    create_key(folder / DEFAULT_KEY_FILE)
    (folder / PROJECT_FILE).write_text(_EMPTY.format(**names_of(folder)), encoding="utf-8")
    return load_project(folder)


def head_of(folder: Path) -> str:
    """Give the beginning of a project file: its name, its store, its landing zone."""
    return _HEAD.format(**names_of(folder))


def refuse_project(folder: Path) -> None:
    """Refuse a folder that is a project already, or no folder."""
    if (folder / PROJECT_FILE).exists():
        raise UsageError(
            f"{folder} is a project already; nothing was written", hint=f"banyan -C {folder} doctor", folder=folder
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; nothing was written", hint="name a folder", folder=folder)


def names_of(folder: Path) -> dict[str, str]:
    """Give what a project file says of its folder and of who makes it."""
    return {
        "name": json.dumps(folder.resolve().name, ensure_ascii=False),
        "user": json.dumps(OperatingSystemActors({}).current().name, ensure_ascii=False),
    }
