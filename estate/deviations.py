"""What departments of ORION write otherwise: codes of their own, and what a border leaves in a base.

Each change of codes is declared in the overlay of the department's rules (`mappings/rules/orion/overlays`): the estate
and the rules say the same, from two sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from estate.catalogue import DefectKind, DefectSpecification
from estate.places import find_place
from estate.spoiling import DRAW, Spoiler, one_of
from estate.vocabulary import communes


class LocalDefect(DefectKind):
    """A kind of defect that only departments at a border have."""

    UMLAUT_TRANSCRIBED = DefectSpecification(7, "t_personne", "nom", 900, "umlaut written as AE, OE or UE")
    GERMAN_PHONE = DefectSpecification(31, "t_tel", "num_tel", 400, "number of the other side of the Rhine")
    GERMAN_PLATE = DefectSpecification(30, "t_vehic", "immat", 500, "plate of the other side of the Rhine")


@dataclass(frozen=True, slots=True)
class Deviation:
    """Codes of one column that a department writes otherwise, with the code table that lists them."""

    table: str
    column: str
    code_table: str
    width: int
    codes: Mapping[str, str] = field(repr=False)


_DEVIATIONS: dict[str, tuple[Deviation, ...]] = {
    "31": (  # two versions behind: roles in one letter, and C for a case that is going on
        Deviation(
            "t_implic", "qualite", "r_qualite", 3,
            {"MEC": "A", "VIC": "V", "TEM": "T", "PLA": "P", "DIS": "D", "CRE": "R"},
        ),
        Deviation("t_proc", "statut", "r_statut", 1, {"E": "C", "T": "T", "C": "F"}),
    ),
    "67": (Deviation("t_personne", "sexe", "r_sexe", 1, {"M": "H", "F": "F", "1": "1", "2": "2"}),),
}  # fmt: skip
_UMLAUTS = ["MUELLER", "SCHAEFER", "KOENIG", "BAECKER", "JAEGER", "GROESSEL", "HUEBER", "KRAEMER", "SCHROEDER"]


def plant_local(spoiler: Spoiler, department: str) -> None:
    """Plant what only this department has."""
    if department != "67":
        return
    spoiler.plant(
        LocalDefect.UMLAUT_TRANSCRIBED,
        {"nom": one_of(_UMLAUTS)},
        where=~pl.col("_paired") & ~pl.col("nom").str.contains(" EP. ", literal=True),
    )
    figures = (1_000_000 + DRAW % 9_000_000).cast(pl.String)
    spoiler.plant(
        LocalDefect.GERMAN_PHONE,
        {"num_tel": pl.when(DRAW % 2 == 0).then(pl.lit("+49 7851 ") + figures).otherwise(pl.lit("00497851") + figures)},
        where=pl.col("num_tel").str.len_chars() <= 14,
    )
    spoiler.plant(
        LocalDefect.GERMAN_PLATE,
        {
            "immat": one_of(["KEL-AB ", "OG-CD ", "FR-EF ", "RA-GH "]) + (100 + DRAW % 900).cast(pl.String),
            "pays": pl.lit("DEU"),
        },
    )


def write_locally(tables: dict[str, pl.DataFrame], department: str) -> dict[str, pl.DataFrame]:
    """Give stored tables with the codes of a department in place of the common ones; a code nobody knows stays."""
    written = dict(tables)
    for one in _DEVIATIONS.get(department, ()):
        stored = pl.col(one.column)
        local = stored.str.strip_chars_end(" ").replace(dict(one.codes))
        blank = stored.str.strip_chars(" ") == ""
        written[one.table] = written[one.table].with_columns(
            pl.when(blank).then(stored).otherwise(local.str.pad_end(one.width, " ")).alias(one.column)
        )
        written[one.code_table] = written[one.code_table].with_columns(pl.col("code").replace(dict(one.codes)))
    if department != "38":
        written |= {"r_tj": _courts(department), "r_commune": _communes(department)}
    return written


def deviations_of(department: str) -> tuple[Deviation, ...]:
    """Give the codes that a department writes otherwise."""
    return _DEVIATIONS.get(department, ())


def _courts(department: str) -> pl.DataFrame:
    courts = find_place(department).courts
    names = [name.replace("TJ ", "Tribunal judiciaire de ") for _, name in courts]
    return _lines([code for code, _ in courts], names)


def _communes(department: str) -> pl.DataFrame:
    known = communes(department)
    return _lines(known["code"].to_list(), known["name"].to_list())


def _lines(codes: list[str], labels: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"code": codes, "libelle": labels}).with_columns(
        dt_deb=pl.lit("19850101"), dt_fin=pl.lit("99999999")
    )
