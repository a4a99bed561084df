"""Which value each defect of ORION puts where."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from estate.cases import LAST_DAY, RETENTION_DAY
from estate.catalogue import Defect
from estate.drawing import yyyymmdd
from estate.people import People
from estate.spoiling import DRAW, Spoiler, one_of
from estate.vocabulary import repealed_codes

_RETENTION_DAY = yyyymmdd(np.array([RETENTION_DAY]))[0]
_RECENT_DAY = "20150000"
_EP = " EP. "
SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://x.invalid","x")'
_MARKS = "\x1b[2J\u202etxt"
"""Clears a terminal, and turns what follows it around."""


def _text(name: str) -> pl.Expr:
    return pl.col(name)


def _form(number: int, of: int) -> pl.Expr:
    return DRAW % of == number


def _day(days: pl.Expr) -> pl.Expr:
    return days.cast(pl.Int32).cast(pl.Date).dt.strftime("%Y%m%d")


def plant_all(spoiler: Spoiler, people: People) -> None:
    """Plant every defect of the catalogue into clean tables."""
    _plant_identities(spoiler, people)
    _plant_birth_dates(spoiler)
    _plant_cases(spoiler)
    _plant_involvements(spoiler)
    _plant_person_fields(spoiler)
    _plant_contacts(spoiler, people)
    _plant_belongings(spoiler)


def _plant_identities(spoiler: Spoiler, people: People) -> None:
    copies = spoiler.tables["t_personne"].filter(pl.col("_kind") > 0)
    source = pl.col("_source")
    spoiler.record(Defect.DUPLICATE_IN_CASE, copies.filter(pl.col("_kind") == 1), source)
    spoiler.record(Defect.DUPLICATE_ACROSS_UNITS, copies.filter(pl.col("_kind") == 2), source)
    name, is_copy = _text("nom"), pl.col("_kind") > 0
    married = name.str.contains(_EP, literal=True)
    use_name = name.str.split(_EP).list.last()
    spoiled = spoiler.plant(Defect.USE_NAME_AS_BIRTH_NAME, {"nom": use_name}, where=is_copy & married, related=source)
    spoiler.claim_keys("t_personne", ["nom"], spoiled["_source"])
    swapped = name.str.slice(0, 2) + name.str.slice(3, 1) + name.str.slice(2, 1) + name.str.slice(4)
    can_swap = name.str.contains(r"^[A-Z]{5,}$") & (name.str.slice(2, 1) != name.str.slice(3, 1))
    spoiled = spoiler.plant(Defect.SURNAME_TYPO, {"nom": swapped}, where=is_copy & can_swap, related=source)
    spoiler.claim_keys("t_personne", ["nom"], spoiled["_source"])
    spoiler.plant(
        Defect.TEST_PERSON,
        {"nom": one_of(["TOTO", "DUPONT TEST"]), "prenom": pl.lit("TEST")},
        where=~pl.col("_paired"),
    )
    stray = (
        pl.when(_form(0, 3)).then(pl.lit(" ") + name)
        .when(_form(1, 3)).then(name + "  ")
        .otherwise(name.str.slice(0, 2) + "  " + name.str.slice(2))
    )  # fmt: skip
    spoiler.plant(Defect.NAME_WITH_STRAY_BLANKS, {"nom": stray}, where=name.str.len_chars() <= 36)
    lower = pl.when(_form(0, 2)).then(name.str.to_lowercase()).otherwise(name.str.to_titlecase())
    spoiler.plant(Defect.NAME_IN_LOWER_CASE, {"nom": lower})


def _plant_birth_dates(spoiler: Spoiler) -> None:
    born = _text("ddn")
    year, month = born.str.slice(0, 4), born.str.slice(4, 2)
    _plant_minors(spoiler)
    replacements: Mapping[Defect, pl.Expr] = {
        Defect.BIRTH_DATE_UNKNOWN: one_of(["0", "99999999"]),
        Defect.BIRTH_DATE_PARTIAL: pl.when(_form(0, 2)).then(year + "0000").otherwise(year + month + "00"),
        Defect.BIRTH_DATE_DEFAULTED: year + "0101",
        Defect.BIRTH_DATE_IMPOSSIBLE: year + one_of(["0231", "1315", "0431"]),
    }
    for defect, value in replacements.items():
        spoiler.plant(defect, {"ddn": value})
    spoiler.plant(
        Defect.FUTURE_BIRTH_DATE,
        {"ddn": (born.cast(pl.Int64) + 1_400_000).cast(pl.String)},
        where=~born.str.ends_with("0229"),
    )


def _plant_minors(spoiler: Spoiler) -> None:
    """The defect is told by the involvement but made in the person: the date of birth is taken away."""
    minor = (pl.col("mineur") == "O") & pl.col("_first") & ~pl.col("_twice")
    chosen = spoiler.plant(
        Defect.MINOR_WITHOUT_BIRTH_DATE,
        {"mineur": pl.col("mineur"), "id_pers": pl.col("id_pers")},
        where=minor,
        related=pl.col("id_pers"),
    )
    persons = spoiler.tables["t_personne"]
    without = pl.when(pl.col("id_pers").is_in(chosen["id_pers"].implode())).then(None).otherwise("ddn")
    spoiler.tables["t_personne"] = persons.with_columns(ddn=without)
    spoiler.claim_keys("t_personne", ["ddn"], chosen["id_pers"])


def _plant_cases(spoiler: Spoiler) -> None:
    cases = spoiler.tables["t_proc"]
    spoiler.record(Defect.PAST_RETENTION, cases.filter(pl.col("dt_ouv") < _RETENTION_DAY))
    opened, closed, sent = _text("dt_ouv"), _text("dt_clo"), _text("dt_trans")
    iso = opened.str.slice(0, 4) + "-" + opened.str.slice(4, 2) + "-" + opened.str.slice(6, 2)
    spoiler.plant(
        Defect.CHANGE_WITHOUT_STAMP,
        {"dt_maj": iso + " 09:12:00"},
        where=(pl.col("statut") == "C") & (closed > opened),
    )
    spoiler.plant(
        Defect.FUTURE_TRANSMISSION,
        {"dt_trans": (sent.cast(pl.Int64) + 600_000).cast(pl.String)},
        where=sent != "0",
    )
    lives = (pl.col("top_supp") == "N") & (opened > _RECENT_DAY)
    spoiler.plant(Defect.HOSTILE_NOTE, {"observ": pl.lit(SCRIPT + FORMULA + _MARKS)}, where=lives)
    spoiler.plant(Defect.TEST_CASE, {"num_proc": pl.lit("99999") + _text("num_proc").str.slice(5)})
    spoiler.plant(Defect.UNKNOWN_CODE_CADRE, {"cadre": one_of(["ZZ", "X", "99"])})
    reported = pl.col("_opened")
    spoiler.plant(
        Defect.FACT_AFTER_REPORT,
        {"dt_fait": _day(reported + 1 + DRAW % 40), "dt_fait_fin": pl.col("dt_fait_fin")},
        where=pl.col("dt_fait_fin").is_null() & (reported < LAST_DAY - 60),
    )
    before = reported.cast(pl.Int32).cast(pl.Date).dt.year() - 1
    spring, autumn = pl.date(before, 3, 31), pl.date(before, 10, 31)
    nights = [(day - pl.duration(days=day.dt.weekday() % 7)).dt.strftime("%Y%m%d") for day in (spring, autumn)]
    spoiler.plant(
        Defect.HOUR_OF_CLOCK_CHANGE,
        {
            "dt_fait": pl.when(_form(0, 2)).then(nights[0]).otherwise(nights[1]),
            "h_fait": pl.lit("0230"),
            "dt_fait_fin": pl.col("dt_fait_fin"),
        },
        where=pl.col("dt_fait_fin").is_null() & (before >= 1997),
    )
    spoiler.plant(Defect.REPEALED_OFFENCE, {"natinf": one_of(repealed_codes("natinf"))})
    spoiler.plant(Defect.NULL_FOR_BLANK, {"tentative": pl.lit(None, dtype=pl.String)}, where=pl.col("tentative") == " ")


def _plant_involvements(spoiler: Spoiler) -> None:
    live = spoiler.tables["t_implic"].filter(pl.col("top_supp") == "N")
    kept = pl.col("id_implic").is_in(live["id_implic"].implode())
    suspects = live.filter(pl.col("qualite") == "MEC")["id_implic"]
    chosen = spoiler.plant(
        Defect.ACQUITTED_STILL_SUSPECT,
        {"code_suite": one_of(["ACQ", "REL"])},
        where=pl.col("id_implic").is_in(suspects.implode()),
        related=pl.col("id_implic"),
    )
    spoiler.claim_keys("t_implic", ["id_pers", "id_proc"], chosen["id_implic"])
    spoiler.plant(Defect.UNKNOWN_CODE_SUITE, {"code_suite": one_of(["ZZZ", "X9"])})
    referenced = live.filter(pl.col("_first"))["id_pers"]
    deleted = spoiler.plant(
        Defect.DELETED_BUT_REFERENCED,
        {"top_supp": pl.lit("O")},
        where=pl.col("id_pers").is_in(referenced.implode()) & (pl.col("top_supp") == "N"),
    )
    tied = spoiler.tables["t_implic"].filter(pl.col("id_pers").is_in(deleted["id_pers"].implode()))
    spoiler.claim_keys("t_implic", ["id_pers", "id_proc"], tied["id_implic"])
    nobody = (100 + DRAW % 900).cast(pl.String)  # keys below 1001 were never given out
    single = kept & ~pl.col("_twice")
    for defect in (Defect.INVOLVEMENT_WITHOUT_PERSON, Defect.INVOLVEMENT_WITHOUT_CASE):
        column = defect.value.column
        other = "id_proc" if column == "id_pers" else "id_pers"
        spoiler.plant(defect, {column: nobody, other: pl.col(other)}, where=single)


def _plant_person_fields(spoiler: Spoiler) -> None:
    spoiler.plant(
        Defect.SEX_AS_DIGIT,
        {"sexe": pl.when(pl.col("sexe") == "M").then(pl.lit("1")).otherwise(pl.lit("2"))},
        where=pl.col("sexe").is_in(["M", "F"]),
    )
    spoiler.plant(Defect.UNKNOWN_CODE_NATION, {"nation": one_of(["ZZZ", "INC", "XYZ"])})
    spoiler.plant(
        Defect.PERSON_PLATE_WITHOUT_HYPHENS,
        {"immat": _text("immat").str.replace_all("-", " ")},
        where=_text("immat").str.contains("-"),
    )
    spoiler.plant(
        Defect.PERSON_PHONE_TWO_IN_ONE,
        {"tel": _text("tel") + " / " + _fiction_number()},
        where=_text("tel").str.contains(r"^0\d{9}$"),
    )


def _fiction_number() -> pl.Expr:
    return pl.lit("063998") + (DRAW % 10_000).cast(pl.String).str.zfill(4)


def _plant_contacts(spoiler: Spoiler, people: People) -> None:
    shared = pl.col("id_adr").is_in(people.restricted_addresses.implode())
    spoiler.record(Defect.RESTRICTED_BY_ADDRESS, spoiler.tables["t_adresse"].filter(shared), pl.col("id_pers"))
    number = _text("num_tel")
    plain = number.str.contains(r"^0\d{9}$")
    spoiler.plant(Defect.PHONE_NINE_DIGITS, {"num_tel": number.str.slice(1)}, where=plain)
    spoiler.plant(Defect.PHONE_DOUBTFUL, {"num_tel": number + "?"})
    spoiler.plant(
        Defect.PHONE_TWO_IN_ONE, {"num_tel": number + " / " + _fiction_number()}, where=number.str.len_chars() <= 14
    )
    street = _text("nom_voie")
    broken = pl.when(_form(0, 2)).then(street.str.replace(" ", "\n")).otherwise(street.str.replace(" ", "\t"))
    spoiler.plant(Defect.STREET_WITH_LINE_FEED, {"nom_voie": broken})
    spoiler.plant(Defect.REPEALED_COMMUNE, {"code_commune": one_of(repealed_codes("commune"))})


def _plant_belongings(spoiler: Spoiler) -> None:
    plate = _text("immat")
    siv = plate.str.contains(r"^[A-Z]{2}-\d{3}-[A-Z]{2}$")
    spoiler.plant(
        Defect.PLATE_WITHOUT_HYPHENS,
        {"immat": pl.when(_form(0, 2)).then(plate.str.replace_all("-", " ")).otherwise(plate.str.replace_all("-", ""))},
        where=siv,
    )
    digits = plate.str.slice(3, 3).str.replace_all("0", "O").str.replace_all("1", "I")
    spoiler.plant(
        Defect.PLATE_LETTER_FOR_DIGIT,
        {"immat": plate.str.slice(0, 3) + digits + plate.str.slice(6)},
        where=siv & plate.str.slice(3, 3).str.contains("[01]"),
    )
    figure = (1000 + DRAW % 9000).cast(pl.String)
    foreign = (
        pl.when(_form(0, 3)).then(pl.lit("M-AB ") + figure)
        .when(_form(1, 3)).then(pl.lit("GE ") + figure + "56")
        .otherwise(figure + " BCD")
    )  # fmt: skip
    country = pl.when(_form(0, 3)).then(pl.lit("DEU")).when(_form(1, 3)).then(pl.lit("CHE")).otherwise(pl.lit("ESP"))
    spoiler.plant(Defect.PLATE_FOREIGN, {"immat": foreign, "pays": country})
    spoiler.plant(Defect.UNKNOWN_CODE_MARQUE, {"marque": one_of(["ZZZZZZ", "INCONN"])})
    spoiler.plant(Defect.HOSTILE_TEXT, {"descr": pl.lit(FORMULA + SCRIPT + _MARKS)}, where=pl.col("top_supp") == "N")
    spoiler.plant(Defect.UNKNOWN_CODE_CAT_OBJ, {"cat_obj": one_of(["ZZZZZ", "9"])})
    value = _text("valeur")
    otherwise = (
        pl.when(_form(0, 3)).then(value.str.replace_all(" ", "") + " ")
        .when(_form(1, 3)).then(pl.lit("  ") + value)
        .otherwise(value.str.replace_all(" ", "").str.replace(",", "."))
    )  # fmt: skip
    spoiler.plant(Defect.AMOUNT_WRITTEN_OTHERWISE, {"valeur": otherwise}, where=value.str.len_chars() <= 10)
    spoiler.plant(Defect.AMOUNT_BLANK, {"valeur": pl.lit("   ")}, where=value.is_not_null())
    spoiler.plant(Defect.ATTACHMENT_EMPTY, {"taille": pl.lit("0")})
    spoiler.plant(
        Defect.CUSTODY_GAP,
        {"no_mvt": (pl.col("no_mvt").cast(pl.Int64) + 1).cast(pl.String)},
        where=pl.col("_last_of_chain"),
        related=pl.col("id_scelle"),
    )
    spoiler.plant(Defect.DETENTION_ENDS_BEFORE_START, {"dt_fin": _day(pl.col("_began") - 1 - DRAW % 3)})
