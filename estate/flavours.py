"""The estate of any department: drawn, installed and played by the kind of legacy system the department has."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from banyan.errors import UsageError
from estate.bureau import generate_bureau
from estate.bureau_planting import BureauDefect
from estate.catalogue import Defect, DefectKind
from estate.deviations import LocalDefect
from estate.live import LiveCounts, LiveEvent, Pace, live
from estate.marel import generate_marel
from estate.marel_planting import MarelDefect
from estate.orion import Estate, generate
from estate.places import Flavour, find_place


def generate_estate(size: str, seed: int, department: str) -> Estate:
    """Draw the legacy system of a department; the same size, seed and department give the same bytes everywhere."""
    flavour = find_place(department).flavour
    match flavour:
        case Flavour.ORION:
            return generate(size, seed, department)
        case Flavour.MAREL:
            return generate_marel(size, seed, department)
        case Flavour.BUREAU:
            return generate_bureau(size, seed, department)
    assert_never(flavour)


def defects_of(department: str) -> tuple[DefectKind, ...]:
    """Give the kinds of defect that a department's system has, by their number in the catalogue."""
    flavour = find_place(department).flavour
    kinds: tuple[DefectKind, ...]
    match flavour:
        case Flavour.ORION:
            kinds = (*Defect, *LocalDefect) if department == "67" else tuple(Defect)
        case Flavour.MAREL:
            kinds = tuple(MarelDefect)
        case Flavour.BUREAU:
            kinds = tuple(BureauDefect)
        case _:
            assert_never(flavour)
    return tuple(sorted(kinds, key=lambda one: one.specification.number))


def install_estate(made: Estate, url: str) -> None:
    """Install an estate in an empty database of the make that its flavour runs on."""
    flavour = find_place(made.department_code).flavour
    match flavour:
        case Flavour.ORION:
            from estate.load import load

            load(made, url)
        case Flavour.MAREL:
            from estate.marel_load import load_marel  # its driver is an extra of the installation

            load_marel(made, url)
        case Flavour.BUREAU:
            raise UsageError(
                "BUREAU is a set of files, one a brigade: it has no database; nothing was written",
                hint=f"banyan estate generate --department {made.department_code} --out DIR",
            )
        case _:
            assert_never(flavour)


def write_estate(made: Estate, folder: Path) -> None:
    """Write an estate into a folder: the files of brigades, or one CSV a table (an empty cell is null)."""
    if find_place(made.department_code).flavour is Flavour.BUREAU:
        from estate.bureau_load import write_bureau

        write_bureau(made, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in made.tables.items():
        frame.write_csv(folder / f"{name}.csv")


def play(url: str, pace: Pace, department: str, *, on_event: Callable[[LiveEvent], None]) -> LiveCounts:
    """Play the officers of a department in its legacy system; refusals by a fence are counted."""
    flavour = find_place(department).flavour
    match flavour:
        case Flavour.ORION:
            return live(url, pace, on_event=on_event)
        case Flavour.MAREL:
            from estate.marel_live import live_marel

            return live_marel(url, pace, department=department, on_event=on_event)
        case Flavour.BUREAU:
            from estate.bureau_live import live_bureau

            return live_bureau(_brigade_files(Path(url)), pace, on_event=on_event)
    assert_never(flavour)


def _brigade_files(place: Path) -> tuple[Path, ...]:
    """Name the files of brigades in a folder, or the one file that is named itself."""
    found = (place,) if place.suffix == ".db" else tuple(sorted(place.glob("[!.]*.db")))
    if not found:
        raise UsageError(
            f"{place} is no file of a brigade, nor a folder with some; nothing was done",
            hint="banyan estate generate --department 48 --out DIR, then: banyan estate live DIR -d 48",
        )
    return found
