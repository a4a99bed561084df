"""BUREAU of one department, from a seed: a SQLite file a brigade, a wide table, keys that begin at 1 in every file.

A base made in the office by somebody who has retired since: up to three suspects and two victims stand side by side in
the row of a case, days are OLE numbers, yes is -1, and a number column takes whatever is typed.
"""

from datetime import date

import polars as pl

from banyan.errors import UsageError
from estate.belongings import draw_objects, draw_seals, draw_vehicles
from estate.bureau_planting import plant_bureau
from estate.cases import Cases, draw_cases, draw_facts
from estate.drawing import Seed
from estate.orion import Estate, parse_size
from estate.people import People, draw_people
from estate.places import Flavour, find_place
from estate.spoiling import Spoiler
from estate.vocabulary import communes

SUSPECTS, VICTIMS = 3, 2
_OLE_BEGIN = date(1899, 12, 30)
_NATURES = {"CR": "Crime", "DE": "Délit", "CO": "Contravention", "RJ": "Délit", "MO": "Mort", "DI": "Disparition"}
_STATES = {"E": "en cours", "T": "transmis", "C": "clos"}
_ENDS = {"RES": "restitué", "DES": "détruit", "CON": "confisqué"}
_SUSPECT = ("NOM", "PRENOM", "DDN", "SEXE", "MINEUR")
_VICTIM = ("NOM", "PRENOM", "DDN", "SEXE", "PLAINTE")
AFFAIRES = (
    "ID", "NUM_AFF", "OUV_LE", "CLO_LE", "NATURE", "ETAT", "LIEU", "CP", "INSEE", "FAIT_LE", "NATINF", "INDEX_4001",
    "FAIT_LIB", "TENTATIVE",
    *(f"MEC{place}_{name}" for place in range(1, SUSPECTS + 1) for name in _SUSPECT),
    *(f"VIC{place}_{name}" for place in range(1, VICTIMS + 1) for name in _VICTIM),
    "VEH_IMMAT", "VEH_MARQUE", "CONFID", "MEMO",
)  # fmt: skip
SCELLES = ("ID", "ID_AFF", "NUMERO", "DESIGNATION", "SCELLE_LE", "LIEU", "DESTINATION")
TABLES = {"AFFAIRES": AFFAIRES, "SCELLES": SCELLES}


def generate_bureau(size: str, seed: int, department: str = "48") -> Estate:
    """Draw the files of all brigades of a department; a table is named `<brigade>/<table>`.

    The same size, seed and department give the same values everywhere.
    """
    place = find_place(department)
    if place.flavour is not Flavour.BUREAU:
        raise UsageError(f"department {department} has no BUREAU; it has {place.flavour}; nothing was generated")
    count = round(place.cases_in_ten_years / parse_size(size).value)
    of = Seed(seed, department)
    cases = draw_cases(of, count)
    facts = draw_facts(of, cases, round(count * 1.15))[0]
    people = draw_people(of, cases, round(count * 1.9), round(count * 1.6), count)
    seals, _ = draw_seals(of, cases, draw_objects(of, cases, round(count * 0.6)), max(4, round(count * 0.12)))
    rows = _rows(cases, department).join(_first_fact(facts), on="id_proc", how="left", maintain_order="left")
    for role, letter, most in ((("MEC",), "MEC", SUSPECTS), (("VIC", "PLA"), "VIC", VICTIMS)):
        for number in range(1, most + 1):
            persons = _standing(people, role, number, f"{letter}{number}_")
            rows = rows.join(persons, on="id_proc", how="left", maintain_order="left")
    cars = _first_car(draw_vehicles(of, cases, round(count * 0.18)))
    rows = rows.join(cars, on="id_proc", how="left", maintain_order="left")
    clean = {"AFFAIRES": _keyed(rows), "SCELLES": _sealed(seals, rows)}
    spoiler = Spoiler(of, clean, lambda _: "_key")
    plant_bureau(spoiler)
    tables = {
        f"{brigade}/{name}": frame.select(pl.col(column).cast(pl.String) for column in TABLES[name])
        for name, whole in spoiler.tables.items()
        for (brigade,), frame in whole.sort("_file", "_row").partition_by("_file", as_dict=True).items()
    }
    for brigade in {name.split("/")[0] for name in tables}:
        for name, columns in TABLES.items():
            tables.setdefault(f"{brigade}/{name}", pl.DataFrame(schema=dict.fromkeys(columns, pl.String)))
    return Estate(department, dict(sorted(tables.items())), spoiler.ledger())


def brigades_of(estate: Estate) -> tuple[str, ...]:
    """Give the brigades of an estate: one file each."""
    return tuple(dict.fromkeys(name.split("/")[0] for name in estate.tables))


def _ole(column: str) -> pl.Expr:
    """Write the eight digits of a day as a whole number of days since 1899-12-30; no day is nothing."""
    digits = pl.col(column)
    known = pl.when(~digits.is_in(["0", "99999999"])).then(digits)
    return (known.str.to_date("%Y%m%d", strict=False) - pl.lit(_OLE_BEGIN)).dt.total_days().cast(pl.String)


def _ole_instant(day: str, hour: str) -> pl.Expr:
    """Write a day and an hour as a number of days with its part, as a spreadsheet shows it; a day alone is whole."""
    clock = pl.col(hour).str.strip_chars(" ")
    minutes = clock.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + clock.str.slice(2).cast(pl.Int64, strict=False)
    whole = (pl.col(day).str.to_date("%Y%m%d", strict=False) - pl.lit(_OLE_BEGIN)).dt.total_days()
    part = whole.cast(pl.Float64) + minutes.cast(pl.Float64) / 1440
    return pl.when(minutes.fill_null(0) > 0).then(part.cast(pl.String)).otherwise(whole.cast(pl.String))


def _rows(cases: Cases, department: str) -> pl.DataFrame:
    units = cases.units.select(id_unite="id_unite", _file="code_unite", INSEE="code_commune")
    seats = communes(department).select(INSEE="code", CP="postcode", LIEU="name")
    number = pl.col("num_proc")
    return (
        cases.frame.with_columns(_row=pl.int_range(pl.len()))
        .join(units, on="id_unite", how="left", maintain_order="left")
        .join(seats, on="INSEE", how="left", maintain_order="left")
        .select(
            "id_proc", "_file", "_row", "INSEE", "CP",
            LIEU=pl.col("LIEU").str.to_titlecase(),
            NUM_AFF=number.str.slice(0, 5).str.strip_chars_start("0") + "/" + number.str.slice(8, 2),
            OUV_LE=_ole("dt_ouv"), CLO_LE=_ole("dt_clo"),
            NATURE=pl.col("type_proc").replace_strict(_NATURES, default=None),
            ETAT=pl.col("statut").replace_strict(_STATES, default=None),
            CONFID=pl.when(pl.col("confid") == "X").then(pl.lit("-1")).otherwise(pl.lit("0")), MEMO="observ",
        )
    )  # fmt: skip


def _keyed(rows: pl.DataFrame) -> pl.DataFrame:
    """Number the rows of each file from 1: the same keys stand in every file."""
    numbered = rows.with_columns(ID=pl.int_range(1, pl.len() + 1).over("_file").cast(pl.String))
    return numbered.with_columns(_key=pl.col("_file") + ":" + pl.col("ID"))


def _first_fact(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.unique("id_proc", keep="first", maintain_order=True).select(
        "id_proc", NATINF="natinf", INDEX_4001="index_4001", FAIT_LIB=pl.col("lib_fait").str.to_titlecase(),
        FAIT_LE=_ole_instant("dt_fait", "h_fait"),
        TENTATIVE=pl.col("tentative").replace_strict({"O": "-1", "N": "0"}, default=None),
    )  # fmt: skip


def _standing(people: People, roles: tuple[str, ...], number: int, letter: str) -> pl.DataFrame:
    """Give who stands in one place of the row of each case."""
    there = people.involvements.filter(pl.col("qualite").is_in(roles) & (pl.col("top_supp") == "N"))
    place = there.with_columns(_place=pl.int_range(1, pl.len() + 1).over("id_proc")).filter(pl.col("_place") == number)
    persons = people.persons.select(
        "id_pers", NOM="nom", PRENOM=pl.col("prenom").str.to_titlecase(), DDN=_ole("ddn"),
        SEXE=pl.col("sexe").replace_strict({"M": "H", "F": "F"}, default=None),
    )  # fmt: skip
    yes = {"O": "-1", "N": "0"}
    own = {"MINEUR": "mineur"} if letter.startswith("MEC") else {"PLAINTE": "plainte"}
    told = place.select(
        "id_proc",
        "id_pers",
        *(pl.col(column).replace_strict(yes, default=None).alias(name) for name, column in own.items()),
    )
    named = told.join(persons, on="id_pers", how="inner", maintain_order="left").drop("id_pers")
    return named.rename({name: f"{letter}{name}" for name in named.columns if name != "id_proc"})


def _first_car(cars: pl.DataFrame) -> pl.DataFrame:
    return cars.unique("id_proc", keep="first", maintain_order=True).select(
        "id_proc", VEH_IMMAT="immat", VEH_MARQUE=pl.col("marque").str.to_titlecase()
    )


def _sealed(seals: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    cases = _keyed(rows).select("id_proc", "_file", "_row", ID_AFF="ID")
    frame = seals.join(cases, on="id_proc", how="inner", maintain_order="left").select(
        "_file", "_row", "ID_AFF", NUMERO="no_scelle", DESIGNATION=pl.col("descr").str.to_lowercase(),
        SCELLE_LE=_ole("dt_scelle"), LIEU=pl.col("lieu").str.to_lowercase(),
        DESTINATION=pl.col("destin").replace_strict(_ENDS, default=None),
    )  # fmt: skip
    return _keyed(frame)
