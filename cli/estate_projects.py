"""A project to practise on: departments of the synthetic estate, each on what its legacy system runs on.

ORION and the store stand on embedded PostgreSQL servers, MAREL on an embedded MariaDB when its programs are on the
machine, the files of brigades in a folder of the project.
"""

import json
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from banyan.config import PROJECT_FILE, load_project
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, UsageError
from estate.places import Flavour, Place, find_place

if TYPE_CHECKING:
    from banyan.config import Project
    from estate.orion import Estate
    from sync.workspace import Workspace

ESTATE_DEPARTMENT = "38"
ESTATE_STEWARD = "claire"
ESTATE_LEAD = "paul"
BRIGADES_FOLDER = "brigades"
_BRIGADES = 2
_MAREL_SCHEMA = "marel"
_ORION_ACCOUNTS = ("orion_app", "orion_batch", "banyan_reader", "banyan_reverse", "banyan_guard")
_PEOPLE = """\
people:            # {steward} and {lead} are invented; BANYAN_ACTOR says who is at the keyboard
  {user}: [engineer]
  {steward}: [steward]
  {lead}: [lead]
departments:
"""
_DEPARTMENT = """\
  "{code}":
    name: {name}
    time_zone: {time_zone}
    wave: {wave}
    domains: [{domains}]
    sources:
      {system}:
        medium: {medium}
        url: "embedded:{server}"
{more}        rules: rules/{rules}
"""
_DOMAINS = {
    Flavour.ORION: "reference, vehicles, logbook, cases, documents, custody",
    Flavour.MAREL: "reference, vehicles, cases",
    Flavour.BUREAU: "vehicles, cases, custody",
}
_MEDIA = {
    Flavour.ORION: ("postgresql", "legacy"),
    Flavour.MAREL: ("mariadb", "marel"),
    Flavour.BUREAU: ("sqlite", BRIGADES_FOLDER),
}


def create_estate_project(
    folder: Path, size: str = "XS", seed: int = 1, *, departments: Sequence[str] = (ESTATE_DEPARTMENT,)
) -> "Project":
    """Write a project of departments of the synthetic estate, generated from a seed, with an embedded store.

    The project file is written last: an init that was interrupted may be run again.
    """
    from cli.projects import head_of, refuse_project
    from estate.flavours import generate_estate
    from estate.orion import parse_size
    from store.keys import DEFAULT_KEY_FILE, create_key
    from sync.workspace import opened
    from wire.cleanup import destroy_clusters

    refuse_project(folder)
    parse_size(size)
    places = [find_place(code) for code in departments]
    _refuse_together(places)
    folder.mkdir(parents=True, exist_ok=True)
    destroy_clusters(folder)  # servers of an interrupted init; no project refers to them
    shutil.rmtree(folder / BRIGADES_FOLDER, ignore_errors=True)
    for place in places:
        _copy_rules(folder / "rules", place.flavour.value.lower())
    create_key(folder / DEFAULT_KEY_FILE)
    made = {place: generate_estate(size_of(place, size), seed, place.code) for place in places}
    told = head_of(folder) + _PEOPLE.format(**_names(folder))
    told += "".join(_department(place, made[place], wave=wave) for wave, place in enumerate(places, 1))
    draft = folder / f"{PROJECT_FILE}.draft"
    draft.write_text(told, encoding="utf-8")
    with opened(load_project(draft)) as workspace:
        for place in places:
            _install(workspace, place, made[place])
    draft.rename(folder / PROJECT_FILE)
    return load_project(folder)


def size_of(place: Place, size: str) -> str:
    """Give the size in which a department is drawn: of the smallest estate, few brigades would hold a case at all."""
    return "S" if place.flavour is Flavour.BUREAU and size.upper() == "XS" else size


def _refuse_together(places: Sequence[Place]) -> None:
    """Refuse two departments that would share a server, and a MariaDB that is not on this machine."""
    from wire.mariadb import find_mariadb

    flavours = [place.flavour for place in places]
    doubled = next((one for one in flavours if flavours.count(one) > 1), None)
    if doubled is not None:
        raise UsageError(
            f"two departments of {doubled} do not fit into one synthetic project; nothing was written",
            hint="name one department of each legacy system: 38, 974, 48",
        )
    if Flavour.MAREL in flavours and find_mariadb() is None:
        raise ConfigurationError(
            "MAREL runs on MariaDB, which is not installed on this machine; nothing was written",
            hint="apt install mariadb-server",
        )


def _names(folder: Path) -> dict[str, str]:
    from cli.projects import names_of

    return {**names_of(folder), "steward": ESTATE_STEWARD, "lead": ESTATE_LEAD}


def _department(place: Place, made: "Estate", *, wave: int) -> str:
    medium, server = _MEDIA[place.flavour]
    return _DEPARTMENT.format(
        code=place.code,
        name=json.dumps(place.name, ensure_ascii=False),
        time_zone=place.time_zone,
        wave=wave,
        domains=_DOMAINS[place.flavour],
        system=place.flavour.value,
        medium=medium,
        server=server,
        more="".join(f"        {line}\n" for line in _more(place.flavour, made)),
        rules=place.flavour.value.lower(),
    )


def _more(flavour: Flavour, made: "Estate") -> list[str]:
    match flavour:
        case Flavour.ORION:
            return ["schema: orion"]
        case Flavour.MAREL:
            return [f"schema: {_MAREL_SCHEMA}"]
        case Flavour.BUREAU:
            names = ", ".join(f'"{brigade}.db"' for brigade in _busiest(made))
            return ["fence: closed_window", f"files: [{names}]  # a file a brigade; the same keys stand in all of them"]
    assert_never(flavour)


def _busiest(made: "Estate") -> list[str]:
    """Name the brigades that the project begins with: those with most cases; the others follow when they are listed."""
    from estate.bureau import brigades_of

    cases = {brigade: made.tables[f"{brigade}/AFFAIRES"].height for brigade in brigades_of(made)}
    return sorted(sorted(cases, key=lambda brigade: -cases[brigade])[:_BRIGADES])


def _copy_rules(folder: Path, rules: str) -> None:
    """Put the shipped rules into the project, whose own they are from now on."""
    if not (folder / rules).exists():
        shutil.copytree(Path(str(files("mappings"))) / "rules" / rules, folder / rules)


def _install(workspace: "Workspace", place: Place, made: "Estate") -> None:
    """Put the estate where its department keeps it."""
    source = SourceRef(place.code, place.flavour.value)
    match place.flavour:
        case Flavour.ORION:
            _install_orion(workspace, source, made)
        case Flavour.MAREL:
            _install_marel(workspace, source, made)
        case Flavour.BUREAU:
            from estate.bureau_load import write_bureau

            write_bureau(made, workspace.project.folder / BRIGADES_FOLDER)
        case _:
            assert_never(place.flavour)


def _install_orion(workspace: "Workspace", source: SourceRef, made: "Estate") -> None:
    """Load ORION and give its accounts their passwords: the embedded servers let nobody in without one."""
    from estate.load import connect, load
    from sync.workspace import LEGACY_DATABASE

    server = workspace.cluster(_MEDIA[Flavour.ORION][1])
    server.create_database(LEGACY_DATABASE)
    load(made, workspace.legacy_urls(source).admin)
    with connect(workspace.legacy_urls(source).admin) as connection:
        for role in _ORION_ACCOUNTS:
            connection.pgconn.change_password(role.encode(), server.password(role).encode())


def _install_marel(workspace: "Workspace", source: SourceRef, made: "Estate") -> None:
    """Load MAREL and give its accounts their passwords."""
    from estate.marel_load import ACCOUNTS as MAREL_ACCOUNTS
    from estate.marel_load import create_database, load_marel, set_password

    server = workspace.mariadb(_MEDIA[Flavour.MAREL][1])
    root = server.url().render_as_string(hide_password=False)
    create_database(root, _MAREL_SCHEMA)
    load_marel(made, workspace.legacy_urls(source).admin)
    for account in MAREL_ACCOUNTS:
        set_password(root, account, server.password(account))
