"""What is wrong with a MAREL: each kind of defect, how often, and which value it puts where."""

import polars as pl

from estate.catalogue import DefectKind, DefectSpecification
from estate.spoiling import DRAW, Spoiler, one_of


class MarelDefect(DefectKind):
    """A kind of defect of the MAREL estate."""

    NAMES_SWAPPED = DefectSpecification(4, "personnes", "nom", 120, "surname and given names in each other's place")
    NAME_DOUBLE_ENCODED = DefectSpecification(8, "personnes", "prenoms", 60, "accents encoded twice")
    NOTE_DOUBLE_ENCODED = DefectSpecification(8, "dossiers", "note", 60, "accents encoded twice")
    BIRTH_DATE_ZERO = DefectSpecification(12, "personnes", "naissance", 140, "0000-00-00")
    BIRTH_DATE_PARTIAL = DefectSpecification(12, "personnes", "naissance", 60, "YYYY-00-00 or YYYY-MM-00")
    BIRTH_DATE_DEFAULTED = DefectSpecification(13, "personnes", "naissance", 150, "first of January by default")
    FUTURE_TRANSMISSION = DefectSpecification(18, "dossiers", "transmis_le", 8, "sent to the prosecutor in the future")
    INVOLVEMENT_WITHOUT_PERSON = DefectSpecification(20, "implications", "id_personne", 40, "the person does not exist")
    INVOLVEMENT_WITHOUT_CASE = DefectSpecification(20, "implications", "id_dossier", 30, "the case does not exist")
    KEY_REUSED = DefectSpecification(24, "personnes", "id_personne", 4, "key given again after a restore")
    UNKNOWN_CATEGORY = DefectSpecification(27, "objets", "categorie", 45, "category that no list has")
    EMPTY_CHOICE = DefectSpecification(27, "vehicules", "etat", 45, "a choice the list refused, kept as nothing")
    PLATE_WITHOUT_HYPHENS = DefectSpecification(30, "vehicules", "immatriculation", 300, "blanks between the groups")
    PHONE_NINE_DIGITS = DefectSpecification(31, "personnes", "telephone", 200, "leading zero lost")
    CITY_ABBREVIATED = DefectSpecification(32, "adresses", "ville", 800, "ST or STE for SAINT or SAINTE")
    CHANGE_WITHOUT_STAMP = DefectSpecification(38, "dossiers", "modifie_le", 150, "closed by a batch without stamp")
    TEST_PERSON = DefectSpecification(41, "personnes", "nom", 15, "test record by its name")


def plant_marel(spoiler: Spoiler, department: str) -> None:
    """Plant every defect of the catalogue into clean tables."""
    _plant_people(spoiler)
    _plant_encodings(spoiler, department)
    _plant_cases(spoiler)
    _plant_belongings(spoiler)


def _plant_people(spoiler: Spoiler) -> None:
    name, born = pl.col("nom"), pl.col("naissance")
    spoiler.plant(MarelDefect.TEST_PERSON, {"nom": one_of(["TOTO", "DUPONT TEST"]), "prenoms": pl.lit("Test")})
    spoiler.plant(MarelDefect.NAMES_SWAPPED, {"nom": pl.col("prenoms"), "prenoms": name})
    spoiler.plant(MarelDefect.BIRTH_DATE_ZERO, {"naissance": pl.lit("0000-00-00")})
    spoiler.plant(
        MarelDefect.BIRTH_DATE_PARTIAL,
        {"naissance": born.str.slice(0, 4) + pl.when(DRAW % 2 == 0).then(pl.lit("-00-00")).otherwise(
            born.str.slice(4, 3) + "-00"
        )},
    )  # fmt: skip
    spoiler.plant(MarelDefect.BIRTH_DATE_DEFAULTED, {"naissance": born.str.slice(0, 4) + "-01-01"})
    number = pl.col("telephone")
    spoiler.plant(
        MarelDefect.PHONE_NINE_DIGITS, {"telephone": number.str.slice(1)}, where=number.str.contains(r"^0\d{9}$")
    )
    _plant_reused_keys(spoiler)
    nobody = (100 + DRAW % 900).cast(pl.String)  # keys below 1001 were never given out
    for defect in (MarelDefect.INVOLVEMENT_WITHOUT_PERSON, MarelDefect.INVOLVEMENT_WITHOUT_CASE):
        column = defect.specification.column
        other = "id_dossier" if column == "id_personne" else "id_personne"
        spoiler.plant(defect, {column: nobody, other: pl.col(other)})


def _plant_reused_keys(spoiler: Spoiler) -> None:
    """A base put back from a backup gave keys out again: the person is another, what referred to it does not know."""
    persons = spoiler.tables["personnes"]
    donors = persons.select("nom", "prenoms", "naissance").reverse()
    with_donor = persons.with_columns(_nom=donors["nom"], _prenoms=donors["prenoms"], _naissance=donors["naissance"])
    spoiler.tables["personnes"] = with_donor
    spoiler.plant(
        MarelDefect.KEY_REUSED,
        {
            "nom": pl.col("_nom"), "prenoms": pl.col("_prenoms"), "naissance": pl.col("_naissance"),
            "cree_le": pl.lit("2026-10-31"), "modifie_le": pl.lit(None, dtype=pl.String),
        },
        where=(pl.col("nom") != pl.col("_nom")) & (pl.col("naissance") != pl.col("_naissance"))
        & (pl.col("prenoms") != pl.col("_prenoms")),
    )  # fmt: skip


def _twice(column: str) -> pl.Expr:
    """Encode a text twice: UTF-8 that was read as Windows-1252 and written again."""
    return pl.col(column).map_elements(
        lambda text: text.encode().decode("cp1252", errors="strict"), return_dtype=pl.String
    )


def _plant_encodings(spoiler: Spoiler, department: str) -> None:
    """Encode again what has accents; one department had a year of it."""
    accented = "[éèêëçîïôû]"  # of these each byte is a letter of Windows-1252
    for defect in (MarelDefect.NAME_DOUBLE_ENCODED, MarelDefect.NOTE_DOUBLE_ENCODED):
        column = defect.specification.column
        frame = spoiler.tables[defect.specification.table]
        text = pl.col(column)
        only = text.str.replace_all(r"[\x20-\x7e]", "").str.contains(f"^{accented}*$") & text.str.contains(accented)
        share = 0.4 if department == "35" else 0.05
        if column == "prenoms":
            frame = frame.with_columns(text.str.replace("^Helene", "Hélène").str.replace("^Francois", "François")
                                       .str.replace("^Andre", "André").str.replace("^Jerome", "Jérôme"))  # fmt: skip
            spoiler.tables[defect.specification.table] = frame
        rows = frame.select(only.fill_null(value=False)).to_series()
        chosen = rows & pl.Series(spoiler.seed.stream(f"{defect.name} rows").random(frame.height) < share)
        spoiler.plant_all(defect, {column: _twice(column)}, rows=chosen)


def _plant_cases(spoiler: Spoiler) -> None:
    sent = pl.col("transmis_le")
    spoiler.plant(
        MarelDefect.FUTURE_TRANSMISSION,
        {"transmis_le": pl.lit("2086") + sent.str.slice(4)},
        where=(sent != "0000-00-00") & ~sent.str.ends_with("-02-29"),
    )
    spoiler.plant(
        MarelDefect.CHANGE_WITHOUT_STAMP,
        {"modifie_le": pl.col("ouvert_le") + " 09:12:00"},
        where=(pl.col("etat") == "C") & (pl.col("clos_le") > pl.col("ouvert_le")),
    )


def _plant_belongings(spoiler: Spoiler) -> None:
    plate, city = pl.col("immatriculation"), pl.col("ville")
    spoiler.plant(MarelDefect.UNKNOWN_CATEGORY, {"categorie": one_of(["tronc", "zzz"])})
    spoiler.plant(MarelDefect.EMPTY_CHOICE, {"etat": pl.lit("")})
    spoiler.plant(
        MarelDefect.PLATE_WITHOUT_HYPHENS,
        {"immatriculation": plate.str.replace_all("-", " ")},
        where=plate.str.contains("-"),
    )
    spoiler.plant(
        MarelDefect.CITY_ABBREVIATED,
        {"ville": city.str.replace("^Saint-", "St ").str.replace("^Sainte-", "Ste ")},
        where=city.str.contains("^Sainte?-"),
    )
