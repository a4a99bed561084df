"""MAREL of one department, from a seed: a base of 2009 on MariaDB, in local time, with its zero dates and reused keys.

The people and cases are drawn as those of ORION are; what is MAREL's own is how they are written down.
"""

from collections.abc import Mapping

import polars as pl

from banyan.errors import UsageError
from estate.belongings import draw_dispositions, draw_objects, draw_vehicles
from estate.cases import Cases, draw_cases, draw_facts
from estate.drawing import Seed
from estate.marel_planting import plant_marel
from estate.marel_schema import marel_key, marel_tables
from estate.orion import Estate, parse_size
from estate.people import People, draw_people
from estate.places import Flavour, find_place
from estate.spoiling import Spoiler

ZERO_DAY = "0000-00-00"
ZERO_INSTANT = "0000-00-00 00:00:00"
_NATURES = {"CR": "crime", "DE": "delit", "CO": "contravention", "RJ": "delit", "MO": "mort", "DI": "disparition"}
_FRAMEWORKS = {"FL": "flagrance", "PR": "preliminaire", "CR": "commission rogatoire", "RC": "recherche des causes"}
_ROLES = {"MEC": "auteur", "VIC": "victime", "TEM": "temoin", "PLA": "plaignant", "DIS": "disparu",
          "CRE": "civilement responsable"}  # fmt: skip
_DECISIONS = {"REL": "relaxe", "ACQ": "acquittement", "NLI": "non-lieu", "CSS": "classement", "CON": "condamnation",
              "REQ": "requalification"}  # fmt: skip
_COUNTRIES = {"FRA": "FR", "ITA": "IT", "PRT": "PT", "DZA": "DZ", "MAR": "MA", "TUN": "TN", "TUR": "TR", "ROU": "RO"}
_CATEGORIES = {"TELEP": "telephone", "BIJOU": "bijou", "ARGEN": "argent", "ARME": "arme", "STUP": "stupefiant",
               "INFOR": "informatique", "CYCLE": "cycle", "OUTIL": "outil", "DOCUM": "document",
               "DIVER": "divers"}  # fmt: skip
_THINGS = {"VO": "vole", "SA": "saisi", "TR": "retrouve", "RE": "restitue", "DE": "detruit", "IM": "implique"}
_MAKES = {"RENAUL": "Renault", "PEUGEO": "Peugeot", "CITROE": "Citroën", "VOLKSW": "Volkswagen", "FORD": "Ford",
          "TOYOTA": "Toyota", "FIAT": "Fiat", "OPEL": "Opel", "BMW": "BMW", "MERCED": "Mercedes", "DACIA": "Dacia",
          "AUDI": "Audi", "YAMAHA": "Yamaha", "PIAGGI": "Piaggio"}  # fmt: skip
_COLOURS = {"BLA": "blanc", "NOI": "noir", "GRI": "gris", "ROU": "rouge", "BLE": "bleu", "VER": "vert",
            "JAU": "jaune"}  # fmt: skip


def generate_marel(size: str, seed: int, department: str) -> Estate:
    """Draw the MAREL of a department; the same size, seed and department give the same bytes everywhere."""
    place = find_place(department)
    if place.flavour is not Flavour.MAREL:
        raise UsageError(f"department {department} has no MAREL; it has {place.flavour}; nothing was generated")
    count = round(place.cases_in_ten_years / parse_size(size).value)
    of = Seed(seed, department)
    cases = draw_cases(of, count)
    facts = draw_facts(of, cases, round(count * 1.15))
    people = draw_people(of, cases, round(count * 1.9), round(count * 1.6), round(count * 0.1) + 10)
    involved = people.involvements
    dispositions, _ = draw_dispositions(of, cases, people.suspect_rows, involved, facts, round(count * 0.35))
    clean = {
        "brigades": _units(cases),
        "utilisateurs": _users(cases),
        "dossiers": _cases(cases, department),
        "infractions": _facts(facts[0]),
        "personnes": _persons(people),
        "implications": _involvements(involved),
        "suites": _dispositions(dispositions),
        "adresses": _addresses(people.addresses),
        "vehicules": _vehicles(draw_vehicles(of, cases, round(count * 0.18))),
        "objets": _objects(draw_objects(of, cases, round(count * 0.6))[0]),
    }
    spoiler = Spoiler(of, _without_removed(clean), marel_key)
    plant_marel(spoiler, department)
    tables = {
        name: spoiler.tables[name].select(pl.col(column).cast(pl.String) for column in columns)
        for name, columns in marel_tables().items()
    }
    return Estate(department, tables, spoiler.ledger())


def _without_removed(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Take away what MAREL removed for good: a case takes what hangs on it along, a person its addresses."""
    kept = {
        name: frame.filter(~pl.col("_gone")) if "_gone" in frame.columns else frame for name, frame in tables.items()
    }
    for child, parent in (
        ("infractions", "dossiers"), ("vehicules", "dossiers"), ("objets", "dossiers"), ("adresses", "personnes"),
        ("implications", "dossiers"), ("implications", "personnes"), ("suites", "implications"),
        ("suites", "infractions"),
    ):  # fmt: skip
        key = marel_key(parent)
        kept[child] = kept[child].filter(pl.col(key).is_in(kept[parent][key].implode()))
    return kept


def _day(column: str) -> pl.Expr:
    """Write the eight digits of a day as MariaDB does; no day is a zero date."""
    digits = pl.col(column)
    iso = digits.str.slice(0, 4) + "-" + digits.str.slice(4, 2) + "-" + digits.str.slice(6, 2)
    return pl.when(digits.is_null() | digits.is_in(["0", "99999999"])).then(pl.lit(ZERO_DAY)).otherwise(iso)


def _coded(column: str, codes: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).str.strip_chars_end(" ").replace_strict(dict(codes), default=None, return_dtype=pl.String)


def _units(cases: Cases) -> pl.DataFrame:
    return cases.units.select(
        id_brigade="id_unite", code="code_unite", libelle="lib_unite", insee="code_commune", ouverte_le=_day("dt_deb"),
        fermee_le=_day("dt_fin"), modifie_le="dt_maj",
    )  # fmt: skip


def _users(cases: Cases) -> pl.DataFrame:
    return cases.agents.select(
        id_utilisateur="id_agent", matricule="matricule", grade="grade", id_brigade="id_unite", habilitation="qualif",
        modifie_le="dt_maj",
    )  # fmt: skip


def _cases(cases: Cases, department: str) -> pl.DataFrame:
    states = {"E": "A", "T": "T", "C": "C"}
    number = pl.col("num_proc")
    return cases.frame.select(
        id_dossier="id_proc", numero=number.str.slice(6, 4) + "-" + number.str.slice(0, 5).str.zfill(6),
        id_brigade="id_unite", id_utilisateur="id_agent", nature=_coded("type_proc", _NATURES),
        cadre=_coded("cadre", _FRAMEWORKS), ouvert_le=_day("dt_ouv"), clos_le=_day("dt_clo"),
        transmis_le=_day("dt_trans"), tribunal="code_tj", parquet="num_parquet", etat=_coded("statut", states),
        confidentiel=pl.when(pl.col("confid") == "X").then(pl.lit("1")).otherwise(pl.lit("0")), note="observ",
        # what PHP left: the boxes that were ticked on the screen
        options=pl.when(pl.col("flag3").is_null()).then(pl.lit(r"\x613a303a7b7d")).otherwise(
            pl.lit(r"\x613a313a7b733a353a22636f636865223b623a313b7d")
        ),
        # two characters for every department: those of an overseas one do not fit
        departement=pl.lit(department[:2]), modifie_le="dt_maj", _gone=pl.Series(cases.deleted), _opened="dt_ouv",
    )  # fmt: skip


def _facts(frame: pl.DataFrame) -> pl.DataFrame:
    hour = pl.col("h_fait").str.strip_chars(" ")
    clock = pl.when(hour == "").then(pl.lit("00:00:00")).otherwise(
        hour.str.slice(0, 2) + ":" + hour.str.slice(2, 2) + ":00"
    )  # fmt: skip
    ended = (
        pl.when(pl.col("dt_fait_fin").is_null()).then(pl.lit(ZERO_INSTANT)).otherwise(_day("dt_fait_fin") + " 00:00:00")
    )
    return frame.select(
        id_infraction="id_fait", id_dossier="id_proc", natinf="natinf", index4001="index_4001",
        libelle=pl.col("lib_fait").str.to_titlecase(), debut=_day("dt_fait") + " " + clock, fin=ended,
        tentative=_coded("tentative", {"O": "1", "N": "0"}), elucidee=_coded("elucide", {"O": "oui", "N": "non"}),
        elucidee_le=_day("dt_eluc"), modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip


def _persons(people: People) -> pl.DataFrame:
    names = pl.col("nom").str.split_exact(" EP. ", 1)
    return people.persons.select(
        id_personne="id_pers", nom=names.struct.field("field_0"), nom_usage=names.struct.field("field_1"),
        prenoms=pl.col("prenom").str.to_titlecase(), sexe=_coded("sexe", {"M": "M", "F": "F"}), naissance=_day("ddn"),
        naissance_ville=pl.col("lieu_naiss").str.to_titlecase(), naissance_insee="code_naiss",
        nationalite=_coded("nation", _COUNTRIES), profession=pl.col("profession").str.to_lowercase(), telephone="tel",
        religion=pl.when(pl.col("religion").is_not_null()).then(pl.lit("oui")),
        cree_le=pl.col("dt_maj").str.slice(0, 10), modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip


def _involvements(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        id_implication="id_implic", id_dossier="id_proc", id_personne="id_pers", qualite=_coded("qualite", _ROLES),
        rang="no_ordre", mineur=_coded("mineur", {"O": "1", "N": "0"}), plainte_le=_day("dt_plainte"),
        modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip


def _dispositions(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        id_suite="id_suite", id_implication="id_implic", id_infraction="id_fait",
        decision=_coded("code_suite", _DECISIONS), decidee_le=_day("dt_suite"), autorite="autorite",
        modifie_le="dt_maj",
    )  # fmt: skip


def _addresses(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        id_adresse="id_adr", id_personne="id_pers", numero="num_voie", voie=pl.col("nom_voie").str.to_lowercase(),
        cp="cp", ville=pl.col("ville").str.to_titlecase(), insee="code_commune",
        genre=_coded("type_adr", {"D": "domicile", "T": "travail", "V": "secondaire"}), depuis=_day("dt_adr"),
        modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip


def _vehicles(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        id_vehicule="id_vehic", id_dossier="id_proc", immatriculation="immat", pays=_coded("pays", _COUNTRIES),
        chassis="vin", marque=_coded("marque", _MAKES), modele="modele", couleur=_coded("couleur", _COLOURS),
        etat=_coded("statut_v", _THINGS), modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip


def _objects(frame: pl.DataFrame) -> pl.DataFrame:
    euros = pl.col("valeur").str.replace_all(" ", "").str.replace(",", ".")
    return frame.select(
        id_objet="id_objet", id_dossier="id_proc", categorie=_coded("cat_obj", _CATEGORIES),
        etat=_coded("statut_o", _THINGS), description=pl.col("descr").str.to_lowercase(), serie="num_serie",
        quantite="qte", valeur=euros, modifie_le="dt_maj", _gone=pl.col("top_supp") == "O",
    )  # fmt: skip
