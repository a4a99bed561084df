"""How each defect shows in the stored tables: one sign per kind, written without the generator's own expressions."""

import polars as pl

from estate.catalogue import Defect
from estate.orion import Estate
from estate.vocabulary import codes_of, repealed_codes

TODAY = "20261101"
Tables = dict[str, pl.DataFrame]


def keys_with_sign(estate: Estate, defect: Defect) -> pl.Series:
    """Give the keys of all rows of the table that show the sign of a defect."""
    tables = {name: _trimmed(frame) for name, frame in estate.tables.items()}
    table = defect.value.table
    return tables[table].filter(_sign(defect, tables)).to_series(0)


def _trimmed(frame: pl.DataFrame) -> pl.DataFrame:
    kept = ("nom", "valeur", "tentative")
    return frame.with_columns(pl.exclude(kept).str.strip_chars_end(" "))


def _sign(defect: Defect, tables: Tables) -> pl.Expr:
    simple = _SIGNS.get(defect)
    if simple is not None:
        return simple
    involved, persons, cases = tables["t_implic"], tables["t_personne"], tables["t_proc"]
    live = involved.filter(pl.col("top_supp") == "N")
    with_case = involved.join(cases.select("id_proc", "dt_ouv", "confid"), on="id_proc", how="left")
    match defect:
        case Defect.FACT_AFTER_REPORT:
            opened = dict(cases.select("id_proc", "dt_ouv").iter_rows())
            return pl.col("dt_fait") > pl.col("id_proc").replace_strict(opened)
        case Defect.INVOLVEMENT_WITHOUT_PERSON:
            return ~pl.col("id_pers").is_in(persons["id_pers"].implode())
        case Defect.INVOLVEMENT_WITHOUT_CASE:
            return ~pl.col("id_proc").is_in(cases["id_proc"].implode())
        case Defect.CUSTODY_GAP:
            return pl.col("no_mvt").cast(int) > pl.len().over("id_scelle")
        case Defect.DELETED_BUT_REFERENCED:
            return (pl.col("top_supp") == "O") & pl.col("id_pers").is_in(live["id_pers"].implode())
        case Defect.ACQUITTED_STILL_SUSPECT:
            suspects = live.filter(pl.col("qualite") == "MEC")["id_implic"]
            return pl.col("code_suite").is_in(["ACQ", "REL", "NLI"]) & pl.col("id_implic").is_in(suspects.implode())
        case Defect.MINOR_WITHOUT_BIRTH_DATE:
            unknown = persons.filter(pl.col("ddn").is_null())["id_pers"]
            return (pl.col("mineur") == "O") & pl.col("id_pers").is_in(unknown.implode())
        case Defect.RESTRICTED_BY_ADDRESS:
            hidden = with_case.filter(pl.col("confid") == "X")["id_pers"].implode()
            shown = with_case.filter(pl.col("confid") == "")["id_pers"].implode()
            return pl.col("id_pers").is_in(hidden) & pl.col("id_pers").is_in(shown)
        case _:
            raise AssertionError(f"no sign is written for {defect.name}")


def _not_in(column: str, code_table: str) -> pl.Expr:
    return pl.col(column).is_not_null() & ~pl.col(column).is_in(codes_of(code_table) + repealed_codes(code_table))


_DIGITS = r"^\d{8}$"
_SIGNS: dict[Defect, pl.Expr] = {
    Defect.BIRTH_DATE_UNKNOWN: pl.col("ddn").is_in(["0", "99999999"]),
    Defect.BIRTH_DATE_PARTIAL: pl.col("ddn").str.contains(r"^\d{6}00$"),
    Defect.BIRTH_DATE_DEFAULTED: pl.col("ddn").str.contains(r"^\d{4}0101$"),
    Defect.BIRTH_DATE_IMPOSSIBLE: (
        pl.col("ddn").str.contains(r"^[12]\d{5}(0[1-9]|[1-3]\d)$")
        & pl.col("ddn").str.to_date("%Y%m%d", strict=False).is_null()
    ),
    Defect.FUTURE_BIRTH_DATE: (pl.col("ddn") > TODAY) & (pl.col("ddn") != "99999999"),
    Defect.FUTURE_TRANSMISSION: pl.col("dt_trans") > TODAY,
    Defect.DETENTION_ENDS_BEFORE_START: pl.col("dt_fin") < pl.col("dt_deb"),
    Defect.HOUR_OF_CLOCK_CHANGE: (
        pl.col("h_fait").str.starts_with("02")
        & pl.col("dt_fait").str.contains(r"^\d{4}(03|10)(2[5-9]|3[01])$")
        & (pl.col("dt_fait").str.to_date("%Y%m%d").dt.weekday() == 7)
    ),
    Defect.UNKNOWN_CODE_CADRE: _not_in("cadre", "cadre"),
    Defect.UNKNOWN_CODE_NATION: _not_in("nation", "pays"),
    Defect.UNKNOWN_CODE_SUITE: _not_in("code_suite", "suite"),
    Defect.UNKNOWN_CODE_MARQUE: _not_in("marque", "marque"),
    Defect.UNKNOWN_CODE_CAT_OBJ: _not_in("cat_obj", "cat_obj"),
    Defect.REPEALED_OFFENCE: pl.col("natinf").is_in(repealed_codes("natinf")),
    Defect.REPEALED_COMMUNE: pl.col("code_commune").is_in(repealed_codes("commune")),
    Defect.PLATE_WITHOUT_HYPHENS: pl.col("immat").str.contains(r"^[A-Z]{2} ?\d{3} ?[A-Z]{2}$"),
    Defect.PLATE_LETTER_FOR_DIGIT: (
        pl.col("immat").str.contains(r"^[A-Z]{2}-[\dOI]{3}-[A-Z]{2}$") & pl.col("immat").str.contains(r"-.*[OI].*-")
    ),
    Defect.PLATE_FOREIGN: pl.col("pays") != "FRA",
    Defect.PERSON_PLATE_WITHOUT_HYPHENS: pl.col("immat").str.contains(r"^[A-Z]{2} \d{3} [A-Z]{2}$"),
    Defect.PHONE_NINE_DIGITS: pl.col("num_tel").str.contains(r"^\d{9}$"),
    Defect.PHONE_DOUBTFUL: pl.col("num_tel").str.ends_with("?"),
    Defect.PHONE_TWO_IN_ONE: pl.col("num_tel").str.contains("/"),
    Defect.PERSON_PHONE_TWO_IN_ONE: pl.col("tel").str.contains("/"),
    Defect.NAME_WITH_STRAY_BLANKS: pl.col("nom").str.contains(r"^ |  | $"),
    Defect.STREET_WITH_LINE_FEED: pl.col("nom_voie").str.contains(r"[\n\t]"),
    Defect.CHANGE_WITHOUT_STAMP: (pl.col("dt_clo") != "0")
    & (pl.col("dt_maj").str.slice(0, 10).str.replace_all("-", "") < pl.col("dt_clo")),
    Defect.PAST_RETENTION: pl.col("dt_ouv") < "20041101",
    Defect.TEST_PERSON: pl.col("nom").is_in(["TOTO", "DUPONT TEST"]),
    Defect.TEST_CASE: pl.col("num_proc").str.starts_with("99999"),
    Defect.ATTACHMENT_EMPTY: pl.col("taille") == "0",
    Defect.SEX_AS_DIGIT: pl.col("sexe").is_in(["1", "2"]),
    Defect.AMOUNT_WRITTEN_OTHERWISE: (
        ~pl.col("valeur").str.contains(r"^\d{1,3}( \d{3})*,\d\d$") & (pl.col("valeur") != "   ")
    ),
    Defect.AMOUNT_BLANK: pl.col("valeur") == "   ",
    Defect.NULL_FOR_BLANK: pl.col("tentative").is_null(),
    Defect.HOSTILE_TEXT: pl.col("descr").str.starts_with('=HYPERLINK("'),
    Defect.HOSTILE_NOTE: pl.col("observ").str.starts_with("<script>"),
    Defect.NAME_IN_LOWER_CASE: pl.col("nom").str.contains("[a-z]"),
}
