"""What MAREL's rows mean, said a second time in pandas: no code of the mappings is used here, not even to read YAML.

Each function takes the raw texts of one table as a pandas frame and gives the canonical records by part. References are
told as `table.part/key`, parts of the same row as `part/NAME`.
"""

from zoneinfo import ZoneInfo

import pandas as pd

REUNION = ZoneInfo("Indian/Reunion")
YES_NO = {"1": "true", "0": "false"}
ROLES = {"auteur": "SUSPECT", "victime": "VICTIM", "temoin": "WITNESS", "plaignant": "COMPLAINANT",
         "disparu": "MISSING", "civilement responsable": "CIVILLY_LIABLE"}  # fmt: skip
CATEGORIES = {"crime": "JUDICIAL", "delit": "JUDICIAL", "contravention": "JUDICIAL", "mort": "DEATH",
              "disparition": "MISSING"}  # fmt: skip
FRAMEWORKS = {"flagrance": "FLAGRANCE", "preliminaire": "PRELIMINARY", "commission rogatoire": "COMMISSION_ROGATOIRE",
              "recherche des causes": "DEATH_INQUIRY"}  # fmt: skip
DECISIONS = {"relaxe": "RELAXE", "acquittement": "ACQUITTAL", "non-lieu": "NON_LIEU",
             "classement": "CLASSEMENT_SANS_SUITE", "condamnation": "CONVICTION",
             "requalification": "REQUALIFICATION"}  # fmt: skip
EFFECTS = {"relaxe": "ERASE", "acquittement": "ERASE", "non-lieu": "ANNOTATE", "classement": "ANNOTATE",
           "condamnation": "NONE", "requalification": "RECTIFY"}  # fmt: skip
THINGS = {"telephone": "PHONE", "bijou": "JEWEL", "argent": "CASH", "arme": "WEAPON", "stupefiant": "NARCOTIC",
          "informatique": "COMPUTER", "cycle": "CYCLE", "outil": "TOOL", "document": "DOCUMENT",
          "divers": "OTHER"}  # fmt: skip
FATES = {"vole": "STOLEN", "saisi": "SEIZED", "retrouve": "FOUND", "restitue": "RETURNED", "detruit": "DESTROYED"}
CARS = {"vole": "STOLEN", "saisi": "SEIZED", "retrouve": "FOUND", "implique": "INVOLVED"}
COLOURS = {"blanc": "WHITE", "noir": "BLACK", "gris": "GREY", "rouge": "RED", "bleu": "BLUE", "vert": "GREEN",
           "jaune": "YELLOW"}  # fmt: skip
MAKES = {"Renault": "RENAULT", "Peugeot": "PEUGEOT", "Citroën": "CITROEN", "Mercedes": "MERCEDES-BENZ"}
COUNTRIES = {"FR": "FRA", "IT": "ITA", "PT": "PRT", "DZ": "DZA", "MA": "MAR", "TN": "TUN", "TR": "TUR", "RO": "ROU"}
NOBODY = "0000-00-00"
Parts = dict[str, pd.DataFrame]


def refers(column: pd.Series, target: str) -> pd.Series:
    return column.map(lambda key: f"{target}/{key}" if isinstance(key, str) else None)


def days(column: pd.Series) -> pd.Series:
    """Give whole days; the day of zeros is none."""
    return pd.to_datetime(column, format="%Y-%m-%d", errors="coerce").dt.strftime("%Y-%m-%d")


def partial(column: pd.Series) -> pd.DataFrame:
    """Give days of which the month or the day may be zero, with their precision, and their text."""
    year, month, day = column.str[:4], column.str[5:7], column.str[8:]
    only_year = (month == "00") & (day == "00") & (year != "0000")
    only_month = (day == "00") & (month != "00")
    value = days(column.mask(only_year, year + "-01-01").mask(only_month, year + "-" + month + "-01"))
    precision = pd.Series("DAY", index=column.index).mask(only_year, "YEAR").mask(only_month, "MONTH")
    precision = precision.where(value.notna()).mask(column == NOBODY, "UNKNOWN")
    return pd.DataFrame({"date": value, "precision": precision, "text": column.where(precision != "DAY")})


def instants(column: pd.Series) -> pd.DataFrame:
    """Give instants in UTC of local seconds of La Réunion, where no hour is told twice."""
    local = pd.to_datetime(column, format="%Y-%m-%d %H:%M:%S", errors="coerce")
    zoned = local.dt.tz_localize(REUNION).dt.tz_convert("UTC")
    exact = (local.dt.second > 0).map({True: "SECOND", False: "MINUTE"}).where(zoned.notna())
    return pd.DataFrame({"instant": zoned.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "precision": exact})


def once(column: pd.Series) -> pd.Series:
    """Undo accents that were encoded twice: UTF-8 taken for Windows text."""

    def repaired(text: object) -> object:
        if not isinstance(text, str):
            return None
        try:
            return text.encode("cp1252").decode("utf-8")
        except UnicodeError:
            return text

    return column.map(repaired)


def brigades(rows: pd.DataFrame) -> Parts:
    return {"unit": pd.DataFrame({
        "unit_code": rows.code, "name": rows.libelle, "commune_code": rows.insee,
        "valid_from": days(rows.ouverte_le), "valid_to": days(rows.fermee_le),
    })}  # fmt: skip


def users(rows: pd.DataFrame) -> Parts:
    return {"official": pd.DataFrame({
        "badge_number": rows.matricule, "rank_code": rows.grade, "unit_id": refers(rows.id_brigade, "brigades.unit"),
        "judicial_capacity_code": rows.habilitation,
    })}  # fmt: skip


def cases(rows: pd.DataFrame) -> Parts:
    opened = partial(rows.ouvert_le)
    return {"case": pd.DataFrame({
        "case_number": rows.numero, "case_number_normalised": rows.numero.str.strip(),
        "unit_id": refers(rows.id_brigade, "brigades.unit"),
        "lead_official_id": refers(rows.id_utilisateur, "utilisateurs.official"),
        "case_category_code": rows.nature.map(CATEGORIES), "legal_framework_code": rows.cadre.map(FRAMEWORKS),
        "opened_on": opened["date"], "opened_on_precision_code": opened["precision"],
        "closed_on": days(rows.clos_le), "transmitted_on": days(rows.transmis_le), "court_code": rows.tribunal,
        "prosecutor_number": rows.parquet,
        "case_status_code": rows.etat.map({"A": "OPEN", "T": "TRANSMITTED", "C": "CLOSED"}),
        "confidentiality_code": rows.confidentiel.map({"0": "STANDARD", "1": "CONFIDENTIAL"}),
        "note_text": once(rows.note),
    })}  # fmt: skip


def offences(rows: pd.DataFrame) -> Parts:
    began, ended = instants(rows.debut), instants(rows.fin)
    case = refers(rows.id_dossier, "dossiers.case")
    return {
        "offense": pd.DataFrame({
            "case_file_id": case, "incident_id": "part/incident", "natinf_code": rows.natinf,
            "statistical_index_code": rows.index4001, "offense_label": rows.libelle,
            "attempt": rows.tentative.map(YES_NO),
            "clearance_code": rows.elucidee.map({"oui": "CLEARED", "non": "NOT_CLEARED"}),
            "cleared_on": days(rows.elucidee_le),
        }),
        "incident": pd.DataFrame({
            "case_file_id": case, "occurred_from": began["instant"], "occurred_precision_code": began["precision"],
            "occurred_to": ended["instant"],
        }),
    }  # fmt: skip


def persons(rows: pd.DataFrame) -> Parts:
    born = partial(rows.naissance)
    digits = rows.telephone.str.replace(r"\D", "", regex=True)
    french = digits.str.fullmatch(r"0[1-9]\d{8}").fillna(value=False)
    phone = pd.DataFrame({
        "person_identity_id": "part/identity", "contact_category_code": "OTHER", "value_raw": rows.telephone,
        "value_normalised": ("+33" + digits.str[1:]).where(french), "country_code": french.map({True: "FRA"}),
    })  # fmt: skip
    return {
        "identity": pd.DataFrame({
            "surname": rows.nom, "surname_use": rows.nom_usage, "given_names": once(rows.prenoms),
            "sex_code": rows.sexe, "birth_date": born["date"], "birth_date_precision_code": born["precision"],
            "birth_date_text": born["text"], "birth_place_text": rows.naissance_ville,
            "birth_commune_code": rows.naissance_insee, "nationality_code": rows.nationalite.map(COUNTRIES),
            "occupation_text": rows.profession,
        }),
        "phone": phone[rows.telephone.notna()],
    }  # fmt: skip


def involvements(rows: pd.DataFrame) -> Parts:
    return {"participation": pd.DataFrame({
        "case_file_id": refers(rows.id_dossier, "dossiers.case"),
        "person_identity_id": refers(rows.id_personne, "personnes.identity"),
        "role_code": rows.qualite.map(ROLES), "role_sequence": rows.rang, "minor_at_facts": rows.mineur.map(YES_NO),
        "complaint_filed_on": days(rows.plainte_le),
    })}  # fmt: skip


def decisions(rows: pd.DataFrame) -> Parts:
    return {"disposition": pd.DataFrame({
        "participation_id": refers(rows.id_implication, "implications.participation"),
        "offense_id": refers(rows.id_infraction, "infractions.offense"),
        "disposition_code": rows.decision.map(DECISIONS), "file_effect_code": rows.decision.map(EFFECTS),
        "decided_on": days(rows.decidee_le), "authority_text": rows.autorite,
    })}  # fmt: skip


def addresses(rows: pd.DataFrame) -> Parts:
    return {
        "location": pd.DataFrame({
            "address_number": rows.numero, "street_name": rows.voie, "postal_code": rows.cp, "city_name": rows.ville,
            "commune_code": rows.insee,
        }),
        "residence": pd.DataFrame({
            "person_identity_id": refers(rows.id_personne, "personnes.identity"), "location_id": "part/location",
            "residence_category_code": rows.genre.map({"domicile": "HOME", "travail": "WORK", "secondaire": "HOLIDAY"}),
            "as_of": days(rows.depuis),
        }),
    }  # fmt: skip


def vehicles(rows: pd.DataFrame) -> Parts:
    siv = rows.immatriculation.str.fullmatch(r"[A-HJ-NP-TV-Z]{2}-\d{3}-[A-HJ-NP-TV-Z]{2}").fillna(value=False)
    return {
        "item": pd.DataFrame({
            "item_category_code": "VEHICLE", "case_file_id": refers(rows.id_dossier, "dossiers.case"),
            "item_status_code": rows.etat.map(CARS),
        }),
        "vehicle": pd.DataFrame({
            "item_id": "part/item", "plate_raw": rows.immatriculation,
            "plate_normalised": rows.immatriculation.where(siv), "plate_system_code": siv.map({True: "SIV"}),
            "plate_country_code": rows.pays.map(COUNTRIES), "vin": rows.chassis, "make_code": rows.marque.map(MAKES),
            "model_text": rows.modele, "colour_code": rows.couleur.map(COLOURS),
        }),
    }  # fmt: skip


def things(rows: pd.DataFrame) -> Parts:
    return {"item": pd.DataFrame({
        "case_file_id": refers(rows.id_dossier, "dossiers.case"), "item_category_code": rows.categorie.map(THINGS),
        "item_status_code": rows.etat.map(FATES), "description": rows.description, "serial_number": rows.serie,
        "quantity": rows.quantite, "value_eur": rows.valeur.str.replace(r"\.?0+$", "", regex=True),
    })}  # fmt: skip


TABLES = {
    "brigades": brigades, "utilisateurs": users, "dossiers": cases, "infractions": offences, "personnes": persons,
    "implications": involvements, "suites": decisions, "adresses": addresses, "vehicules": vehicles, "objets": things,
}  # fmt: skip


def parts_of(table: str, rows: pd.DataFrame) -> Parts:
    """Give the canonical records of the rows of one table, by part."""
    return TABLES[table](rows)
