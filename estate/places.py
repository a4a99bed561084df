"""The departments of the synthetic estate: which system each of them has, how much is in it, what is local there."""

from dataclasses import dataclass
from enum import StrEnum

from banyan.errors import UsageError


class Flavour(StrEnum):
    """A kind of legacy system."""

    ORION = "ORION"
    MAREL = "MAREL"
    BUREAU = "BUREAU"


@dataclass(frozen=True, slots=True)
class Place:
    """One department of the estate: inhabitants of the zone x 40 cases a year per thousand, ten years held."""

    code: str
    name: str
    flavour: Flavour
    cases_in_ten_years: int
    time_zone: str
    courts: tuple[tuple[str, str], ...]
    """Code and name of each court, the most frequent first."""
    neighbours: tuple[str, ...]
    """Departments whose old plates are seen here."""


_PARIS = "Europe/Paris"
_PLACES = (
    Place(
        "31", "Haute-Garonne", Flavour.ORION, 261_600, _PARIS,
        (("TOUL", "TJ TOULOUSE"), ("SGAU", "TJ SAINT-GAUDENS")), ("81", "32", "09", "82", "11", "65", "75"),
    ),
    Place(
        "35", "Ille-et-Vilaine", Flavour.MAREL, 272_000, _PARIS,
        (("RENN", "TJ RENNES"), ("STMA", "TJ SAINT-MALO")), ("22", "56", "44", "53", "50", "49", "75"),
    ),
    Place(
        "38", "Isère", Flavour.ORION, 318_400, _PARIS,
        (("GREN", "TJ GRENOBLE"), ("VIEN", "TJ VIENNE"), ("BOUR", "TJ BOURGOIN-JALLIEU")),
        ("69", "73", "26", "01", "42", "2A", "75"),
    ),
    Place(
        "48", "Lozère", Flavour.BUREAU, 25_200, _PARIS,
        (("MEND", "TJ MENDE"),), ("12", "30", "43", "07", "15", "34", "75"),
    ),
    Place(
        "49", "Maine-et-Loire", Flavour.MAREL, 172_800, _PARIS,
        (("ANGE", "TJ ANGERS"), ("SAUM", "TJ SAUMUR")), ("44", "85", "79", "72", "53", "37", "75"),
    ),
    Place(
        "67", "Bas-Rhin", Flavour.ORION, 248_400, _PARIS,
        (("STRA", "TJ STRASBOURG"), ("SAVE", "TJ SAVERNE")), ("68", "57", "88", "54", "90", "70", "75"),
    ),
    Place(
        "974", "La Réunion", Flavour.MAREL, 124_400, "Indian/Reunion",
        (("SDEN", "TJ SAINT-DENIS"), ("SPIE", "TJ SAINT-PIERRE")), ("75", "13", "69", "33", "31", "59", "93"),
    ),
)  # fmt: skip
PLACES = {place.code: place for place in _PLACES}


def find_place(department: str) -> Place:
    """Give a department of the estate; refuses one that has no synthetic system."""
    if department not in PLACES:
        raise UsageError(
            f"department {department!r} has no system in the synthetic estate; nothing was generated",
            hint=f"use one of {', '.join(PLACES)}",
        )
    return PLACES[department]


def departments_of(flavour: Flavour) -> tuple[str, ...]:
    """Give the departments that have a kind of system."""
    return tuple(code for code, place in PLACES.items() if place.flavour is flavour)
