"""What is wrong with the files of brigades: each kind of defect, how often, and which value it puts where."""

import polars as pl

from estate.catalogue import DefectKind, DefectSpecification
from estate.spoiling import DRAW, Spoiler, one_of


class BureauDefect(DefectKind):
    """A kind of defect of the BUREAU estate."""

    NAMES_SWAPPED = DefectSpecification(4, "AFFAIRES", "MEC1_NOM", 120, "surname and given names swapped")
    IMPOSSIBLE_DATE = DefectSpecification(14, "AFFAIRES", "MEC1_DDN", 50, "a day that never was, typed as text")
    DAY_AND_MONTH_INVERTED = DefectSpecification(15, "AFFAIRES", "VIC1_DDN", 100, "day and month in each other's place")
    SEAL_WITHOUT_CASE = DefectSpecification(21, "SCELLES", "ID_AFF", 30, "the case does not exist")
    SEAL_NUMBER_TWICE = DefectSpecification(23, "SCELLES", "NUMERO", 12, "the same number twice in a case")
    KEY_COLLISION = DefectSpecification(25, "AFFAIRES", "ID", 10_000, "the same key in the files of two brigades")
    UNKNOWN_NATURE = DefectSpecification(27, "AFFAIRES", "NATURE", 45, "a kind of case that no list has")
    PLATE_WITHOUT_HYPHENS = DefectSpecification(30, "AFFAIRES", "VEH_IMMAT", 300, "blanks between the groups")
    SUSPECT_IN_MEMO = DefectSpecification(33, "AFFAIRES", "MEMO", 90, "a fourth suspect written in the memo")
    TEXT_IN_NUMBER = DefectSpecification(49, "AFFAIRES", "NATINF", 60, "a remark in a column of numbers")


def plant_bureau(spoiler: Spoiler) -> None:
    """Plant every defect of the catalogue into clean tables."""
    rows = spoiler.tables["AFFAIRES"]
    spoiler.record(BureauDefect.KEY_COLLISION, rows.filter(pl.len().over("ID") > 1))
    suspect, born = pl.col("MEC1_NOM"), pl.col("MEC1_DDN")
    spoiler.plant(
        BureauDefect.NAMES_SWAPPED,
        {"MEC1_NOM": pl.col("MEC1_PRENOM"), "MEC1_PRENOM": suspect},
        where=suspect.is_not_null(),
    )
    spoiler.plant(
        BureauDefect.IMPOSSIBLE_DATE,
        {"MEC1_DDN": one_of(["31/02/1980", "00/13/1975", "31/04/1991"])},
        where=born.is_not_null(),
    )
    _plant_inverted(spoiler)
    nobody = (90_000 + DRAW % 9000).cast(pl.String)
    spoiler.plant(BureauDefect.SEAL_WITHOUT_CASE, {"ID_AFF": nobody, "NUMERO": pl.col("NUMERO")})
    _plant_seal_twice(spoiler)
    spoiler.plant(BureauDefect.UNKNOWN_NATURE, {"NATURE": one_of(["Divers", "?"])})
    plate = pl.col("VEH_IMMAT")
    spoiler.plant(
        BureauDefect.PLATE_WITHOUT_HYPHENS,
        {"VEH_IMMAT": plate.str.replace_all("-", " ")},
        where=plate.str.contains("-"),
    )
    memo = pl.col("MEMO").fill_null("")
    spoiler.plant(
        BureauDefect.SUSPECT_IN_MEMO,
        {"MEMO": (memo + " 4e MEC : " + one_of(["MARTIN Paul", "PETIT Jean", "ROUX Anne"])).str.strip_chars_start(" ")},
    )
    spoiler.plant(BureauDefect.TEXT_IN_NUMBER, {"NATINF": pl.col("NATINF").fill_null("") + one_of([" ?", " bis", "/"])})


def _plant_inverted(spoiler: Spoiler) -> None:
    begin = pl.date(1899, 12, 30)
    born = begin + pl.duration(days=pl.col("VIC1_DDN").cast(pl.Int64, strict=False))
    day, month = born.dt.day(), born.dt.month()
    inverted = (pl.date(born.dt.year(), pl.when(day <= 12).then(day).otherwise(1), month) - begin).dt.total_days()
    spoiler.plant(
        BureauDefect.DAY_AND_MONTH_INVERTED,
        {"VIC1_DDN": inverted.cast(pl.String)},
        where=pl.col("VIC1_DDN").is_not_null() & (day <= 12) & (day != month),
    )


def _plant_seal_twice(spoiler: Spoiler) -> None:
    """Give a seal the case and the number of another one of the same file."""
    seals = spoiler.tables["SCELLES"]
    spoiler.tables["SCELLES"] = seals.with_columns(
        _case=pl.col("ID_AFF").shift(1).over("_file"), _number=pl.col("NUMERO").shift(1).over("_file")
    )
    spoiler.plant(
        BureauDefect.SEAL_NUMBER_TWICE,
        {"ID_AFF": pl.col("_case"), "NUMERO": pl.col("_number")},
        where=pl.col("_case").is_not_null(),
    )
