"""What ORION's rows mean, said a second time in pandas: no code of the mappings is used here, not even to read YAML.

Each function takes the raw texts of one table as a pandas frame and gives the canonical records by part. References are
told as `table.part/key`, parts of the same row as `part/NAME`.
"""

from zoneinfo import ZoneInfo

import pandas as pd

PARIS = ZoneInfo("Europe/Paris")
YES_NO = {"O": "true", "N": "false"}
ROLES = {"MEC": "SUSPECT", "VIC": "VICTIM", "TEM": "WITNESS", "PLA": "COMPLAINANT", "DIS": "MISSING",
         "CRE": "CIVILLY_LIABLE"}  # fmt: skip
CATEGORIES = {"CR": "JUDICIAL", "DE": "JUDICIAL", "CO": "JUDICIAL", "RJ": "JUDICIAL", "MO": "DEATH", "DI": "MISSING"}
FRAMEWORKS = {"FL": "FLAGRANCE", "PR": "PRELIMINARY", "CR": "COMMISSION_ROGATOIRE", "RC": "DEATH_INQUIRY",
              "DI": "MISSING_INQUIRY"}  # fmt: skip
STATUS = {"E": "OPEN", "T": "TRANSMITTED", "C": "CLOSED"}
DECISIONS = {"REL": "RELAXE", "ACQ": "ACQUITTAL", "NLI": "NON_LIEU", "CSS": "CLASSEMENT_SANS_SUITE",
             "CON": "CONVICTION", "REQ": "REQUALIFICATION"}  # fmt: skip
EFFECTS = {"REL": "ERASE", "ACQ": "ERASE", "NLI": "ANNOTATE", "CSS": "ANNOTATE", "CON": "NONE", "REQ": "RECTIFY"}
THINGS = {"TELEP": "PHONE", "BIJOU": "JEWEL", "ARGEN": "CASH", "ARME": "WEAPON", "STUP": "NARCOTIC",
          "INFOR": "COMPUTER", "CYCLE": "CYCLE", "OUTIL": "TOOL", "DOCUM": "DOCUMENT", "DIVER": "OTHER"}  # fmt: skip
FATES = {"VO": "STOLEN", "SA": "SEIZED", "TR": "FOUND", "RE": "RETURNED", "DE": "DESTROYED"}
CARS = {"VO": "STOLEN", "SA": "SEIZED", "TR": "FOUND", "IM": "INVOLVED"}
COLOURS = {"BLA": "WHITE", "NOI": "BLACK", "GRI": "GREY", "ROU": "RED", "BLE": "BLUE", "VER": "GREEN", "JAU": "YELLOW"}
MAKES = {"RENAUL": "RENAULT", "PEUGEO": "PEUGEOT", "CITROE": "CITROEN"}
PAPERS = {"PVAU": "PV_AUDITION", "PVCO": "PV_CONSTATATION", "PVSY": "PV_SYNTHESE", "PVPL": "PLAINTE",
          "PVPE": "PV_PERQUISITION", "REQU": "REQUISITION", "PHOT": "PHOTO_ALBUM",
          "CERT": "MEDICAL_CERTIFICATE"}  # fmt: skip
EVENTS = {"TAPA": "NOISE", "DIFF": "DISPUTE", "ACCI": "ACCIDENT", "ALAR": "ALARM", "PATR": "PATROL",
          "RENS": "INTELLIGENCE", "SECO": "RESCUE"}  # fmt: skip
SETS = {
    "adresse": "ADDRESS_KIND", "cadre": "LEGAL_FRAMEWORK", "cat_obj": "ITEM_CATEGORY", "commune": "COMMUNE",
    "couleur": "COLOUR", "evenement": "EVENT", "flag": "FLAG", "grade": "RANK", "index_4001": "INDEX_4001",
    "marque": "MAKE", "natinf": "NATINF", "pays": "COUNTRY", "piece": "DOCUMENT_CATEGORY",
    "qualif": "JUDICIAL_CAPACITY", "qualite": "ROLE", "sexe": "SEX", "statut": "CASE_STATUS",
    "statut_o": "ITEM_STATUS", "statut_v": "VEHICLE_STATUS", "suite": "DISPOSITION", "tel": "PHONE_KIND",
    "tj": "COURT", "type_proc": "CASE_CATEGORY", "unite": "UNIT_CATEGORY",
}  # fmt: skip
Parts = dict[str, pd.DataFrame]


def text(column: pd.Series) -> pd.Series:
    """Take the padding of a CHAR column away; nothing left is nothing."""
    trimmed = column.str.rstrip(" ")
    return trimmed.where(trimmed != "")


def code(column: pd.Series, known: dict[str, str]) -> pd.Series:
    return text(column).map(known)


def refers(column: pd.Series, target: str) -> pd.Series:
    return column.map(lambda key: f"{target}/{key}" if isinstance(key, str) else None)


def days(column: pd.Series) -> pd.Series:
    """Give whole days, ISO 8601."""
    return pd.to_datetime(column, format="%Y%m%d", errors="coerce").dt.strftime("%Y-%m-%d")


def partial(column: pd.Series) -> pd.DataFrame:
    """Give days of which the month or the day may be zero, with their precision and text."""
    year, month, day = column.str[:4], column.str[4:6], column.str[6:]
    unknown = column.isin(["0", "00000000", "99999999"])
    only_year = (month == "00") & (day == "00") & ~unknown
    only_month = (day == "00") & (month != "00") & ~unknown
    filled = column.mask(only_year, year + "0101").mask(only_month, year + month + "01")
    value = days(filled.mask(unknown))
    precision = pd.Series("DAY", index=column.index).mask(only_year, "YEAR").mask(only_month, "MONTH")
    precision = precision.where(value.notna()).mask(unknown, "UNKNOWN")
    return pd.DataFrame(
        {"date": value, "precision": precision, "text": column.where(precision.isin(["YEAR", "MONTH"]))}
    )


def instants(day: pd.Series, hour: pd.Series | None = None) -> pd.DataFrame:
    """Give instants in UTC of local days and hours, the earlier one where an hour is told twice."""
    clock = pd.Series("", index=day.index) if hour is None else hour.fillna("").str.strip()
    timed = clock.str.fullmatch(r"\d{4}").fillna(value=False)
    local = pd.to_datetime(day + clock.where(timed, "0000"), format="%Y%m%d%H%M", errors="coerce")
    zoned = local.dt.tz_localize(PARIS, ambiguous=[True] * len(local), nonexistent="NaT").dt.tz_convert("UTC")
    precision = timed.map({True: "MINUTE", False: "DAY"}).where(zoned.notna()).mask(day.isin(["0"]), "UNKNOWN")
    return pd.DataFrame({"instant": zoned.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "precision": precision})


def whole(column: pd.Series) -> pd.Series:
    return column.where(column.str.fullmatch(r"-?\d+").fillna(value=False))


def units(rows: pd.DataFrame) -> Parts:
    kinds = {one: one for one in ("BTA", "COB", "BR", "PSIG", "CIE", "BPDJ", "BT")}
    return {"unit": pd.DataFrame({
        "unit_code": text(rows.code_unite), "unit_category_code": code(rows.type_unite, kinds),
        "name": rows.lib_unite, "commune_code": text(rows.code_commune),
        "valid_from": days(rows.dt_deb), "valid_to": days(rows.dt_fin),
    })}  # fmt: skip


def agents(rows: pd.DataFrame) -> Parts:
    return {"official": pd.DataFrame({
        "badge_number": text(rows.matricule), "rank_code": text(rows.grade),
        "unit_id": refers(rows.id_unite, "t_unite.unit"), "judicial_capacity_code": text(rows.qualif),
    })}  # fmt: skip


def cases(rows: pd.DataFrame) -> Parts:
    opened = partial(rows.dt_ouv)
    number = rows.num_proc.str.strip().str.replace(r"^0+(?=\d)", "", regex=True)
    return {"case": pd.DataFrame({
        "case_number": rows.num_proc, "case_number_normalised": number,
        "unit_id": refers(rows.id_unite, "t_unite.unit"), "lead_official_id": refers(rows.id_agent, "t_agent.official"),
        "case_category_code": code(rows.type_proc, CATEGORIES), "legal_framework_code": code(rows.cadre, FRAMEWORKS),
        "opened_on": opened["date"], "opened_on_precision_code": opened["precision"],
        "closed_on": days(rows.dt_clo), "transmitted_on": days(rows.dt_trans), "court_code": text(rows.code_tj),
        "prosecutor_number": rows.num_parquet, "case_status_code": code(rows.statut, STATUS),
        "confidentiality_code": rows.confid.map({" ": "STANDARD", "": "STANDARD", "X": "CONFIDENTIAL"}),
        "note_text": rows.observ,
    })}  # fmt: skip


def offences(rows: pd.DataFrame) -> Parts:
    began, ended = instants(rows.dt_fait, rows.h_fait), instants(rows.dt_fait_fin)
    case = refers(rows.id_proc, "t_proc.case")
    return {
        "offense": pd.DataFrame({
            "case_file_id": case, "incident_id": "part/incident", "natinf_code": text(rows.natinf),
            "statistical_index_code": whole(rows.index_4001), "offense_label": rows.lib_fait,
            "attempt": code(rows.tentative, YES_NO),
            "clearance_code": code(rows.elucide, {"O": "CLEARED", "N": "NOT_CLEARED"}),
            "cleared_on": days(rows.dt_eluc),
        }),
        "incident": pd.DataFrame({
            "case_file_id": case, "occurred_from": began["instant"], "occurred_precision_code": began["precision"],
            "occurred_to": ended["instant"],
        }),
    }  # fmt: skip


def persons(rows: pd.DataFrame) -> Parts:
    born = partial(rows.ddn)
    names = rows.nom.str.split(" EP. ", n=1)
    digits = rows.tel.str.replace(r"\D", "", regex=True)
    french = digits.str.fullmatch(r"0[1-5]\d{8}").fillna(value=False)
    phone = pd.DataFrame({
        "person_identity_id": "part/identity", "contact_category_code": "OTHER", "value_raw": rows.tel,
        "value_normalised": ("+33" + digits.str[1:]).where(french), "country_code": french.map({True: "FRA"}),
    })  # fmt: skip
    countries = {one: one for one in ("FRA", "ITA", "PRT", "DEU", "BEL", "CHE")}
    return {
        "identity": pd.DataFrame({
            "surname": names.str[0], "surname_use": names.str[1], "given_names": rows.prenom,
            "sex_code": code(rows.sexe, {"M": "M", "F": "F", "1": "M", "2": "F"}),
            "birth_date": born["date"], "birth_date_precision_code": born["precision"], "birth_date_text": born["text"],
            "birth_place_text": rows.lieu_naiss, "birth_commune_code": text(rows.code_naiss),
            "nationality_code": code(rows.nation, countries), "occupation_text": rows.profession,
        }),
        "phone": phone[rows.tel.notna() & (rows.tel.str.strip() != "")],
    }  # fmt: skip


def involvements(rows: pd.DataFrame) -> Parts:
    return {"participation": pd.DataFrame({
        "case_file_id": refers(rows.id_proc, "t_proc.case"),
        "person_identity_id": refers(rows.id_pers, "t_personne.identity"),
        "role_code": code(rows.qualite, ROLES), "role_sequence": whole(rows.no_ordre),
        "minor_at_facts": code(rows.mineur, YES_NO), "complaint_filed": code(rows.plainte, YES_NO),
        "complaint_filed_on": days(rows.dt_plainte),
    })}  # fmt: skip


def decisions(rows: pd.DataFrame) -> Parts:
    return {"disposition": pd.DataFrame({
        "participation_id": refers(rows.id_implic, "t_implic.participation"),
        "offense_id": refers(rows.id_fait, "t_fait.offense"), "disposition_code": code(rows.code_suite, DECISIONS),
        "file_effect_code": code(rows.code_suite, EFFECTS), "decided_on": days(rows.dt_suite),
        "authority_text": rows.autorite,
    })}  # fmt: skip


def addresses(rows: pd.DataFrame) -> Parts:
    return {
        "location": pd.DataFrame({
            "address_number": rows.num_voie, "street_name": rows.nom_voie, "postal_code": text(rows.cp),
            "city_name": rows.ville, "commune_code": text(rows.code_commune),
        }),
        "residence": pd.DataFrame({
            "person_identity_id": refers(rows.id_pers, "t_personne.identity"), "location_id": "part/location",
            "residence_category_code": code(rows.type_adr, {"D": "HOME", "T": "WORK", "V": "HOLIDAY"}),
            "as_of": days(rows.dt_adr),
        }),
    }  # fmt: skip


def telephones(rows: pd.DataFrame) -> Parts:
    digits = rows.num_tel.str.replace(r"[ .]", "", regex=True)
    french = digits.str.fullmatch(r"0[1-5]\d{8}").fillna(value=False)
    return {"phone": pd.DataFrame({
        "person_identity_id": refers(rows.id_pers, "t_personne.identity"), "value_raw": rows.num_tel,
        "value_normalised": ("+33" + digits.str[1:]).where(french), "country_code": french.map({True: "FRA"}),
        "contact_category_code": code(rows.type_tel, {"P": "MOBILE", "F": "LANDLINE", "M": "WORK"}),
    })}  # fmt: skip


def vehicles(rows: pd.DataFrame) -> Parts:
    siv = rows.immat.str.fullmatch(r"[A-HJ-NP-TV-Z]{2}-\d{3}-[A-HJ-NP-TV-Z]{2}").fillna(value=False)
    return {
        "item": pd.DataFrame({
            "item_category_code": "VEHICLE", "case_file_id": refers(rows.id_proc, "t_proc.case"),
            "item_status_code": code(rows.statut_v, CARS),
        }),
        "vehicle": pd.DataFrame({
            "item_id": "part/item", "plate_raw": rows.immat,
            "plate_normalised": rows.immat.where(siv, rows.immat.str.replace(" ", "")),
            "plate_system_code": siv.map({True: "SIV", False: "FOREIGN"}), "plate_country_code": text(rows.pays),
            "vin": rows.vin, "make_code": code(rows.marque, MAKES), "model_text": rows.modele,
            "colour_code": code(rows.couleur, COLOURS),
        }),
    }  # fmt: skip


def things(rows: pd.DataFrame) -> Parts:
    amount = rows.valeur.str.replace(" ", "").str.replace(",", ".")
    return {"item": pd.DataFrame({
        "case_file_id": refers(rows.id_proc, "t_proc.case"), "item_category_code": code(rows.cat_obj, THINGS),
        "item_status_code": code(rows.statut_o, FATES), "description": rows.descr, "serial_number": rows.num_serie,
        "quantity": whole(rows.qte), "value_eur": amount.str.replace(r"\.?0+$", "", regex=True),
    })}  # fmt: skip


def documents(rows: pd.DataFrame) -> Parts:
    drawn = instants(rows.dt_piece)
    return {"document": pd.DataFrame({
        "case_file_id": refers(rows.id_proc, "t_proc.case"), "document_number": rows.no_piece,
        "document_category_code": code(rows.type_piece, PAPERS), "title": rows.titre,
        "drawn_up_at": drawn["instant"], "drawn_up_precision_code": drawn["precision"],
        "author_id": refers(rows.id_agent, "t_agent.official"),
    })}  # fmt: skip


def seals(rows: pd.DataFrame) -> Parts:
    sealed = instants(rows.dt_scelle)
    return {"seal": pd.DataFrame({
        "case_file_id": refers(rows.id_proc, "t_proc.case"), "item_id": refers(rows.id_objet, "t_objet.item"),
        "seal_number": rows.no_scelle, "description": rows.descr, "sealed_at": sealed["instant"],
        "sealed_precision_code": sealed["precision"], "storage_location_text": rows.lieu,
        "evidence_status_code": code(rows.destin, {"RES": "RETURNED", "DES": "DESTROYED", "CON": "CONFISCATED"}),
    })}  # fmt: skip


def movements(rows: pd.DataFrame) -> Parts:
    moved = instants(rows.dt_mvt, rows.h_mvt)
    return {"transfer": pd.DataFrame({
        "evidence_id": refers(rows.id_scelle, "t_scelle.seal"), "sequence_number": whole(rows.no_mvt),
        "transferred_at": moved["instant"], "transferred_precision_code": moved["precision"],
        "from_holder": rows.lieu_de, "to_holder": rows.lieu_vers,
        "official_id": refers(rows.id_agent, "t_agent.official"),
    })}  # fmt: skip


def custodies(rows: pd.DataFrame) -> Parts:
    began, ended = instants(rows.dt_deb, rows.h_deb), instants(rows.dt_fin, rows.h_fin)
    return {"detention": pd.DataFrame({
        "detention_category_code": "GAV", "participation_id": refers(rows.id_implic, "t_implic.participation"),
        "started_at": began["instant"], "started_precision_code": began["precision"], "ended_at": ended["instant"],
        "ended_precision_code": ended["precision"], "extended": code(rows.prolong, YES_NO),
        "rights_notified_text": text(rows.h_droits), "reason_text": rows.motif,
    })}  # fmt: skip


def logbook(rows: pd.DataFrame) -> Parts:
    happened, commune = instants(rows.dt_evt, rows.h_evt), text(rows.code_commune)
    return {
        "entry": pd.DataFrame({
            "case_file_id": refers(rows.id_proc, "t_proc.case"), "incident_category_code": code(rows.type_evt, EVENTS),
            "occurred_from": happened["instant"], "occurred_precision_code": happened["precision"],
            "location_id": commune.notna().map({True: "part/place"}),
            "reporting_unit_id": refers(rows.id_unite, "t_unite.unit"),
            "reporting_official_id": refers(rows.id_agent, "t_agent.official"), "summary": rows.texte,
        }),
        "place": pd.DataFrame({"location_category_code": "EVENT", "commune_code": commune})[commune.notna()],
    }  # fmt: skip


def code_lines(rows: pd.DataFrame, code_set: str) -> Parts:
    return {"code": pd.DataFrame({
        "code_set_code": code_set, "code": rows.code, "label": rows.libelle,
        "valid_from": days(rows.dt_deb), "valid_to": days(rows.dt_fin),
    })}  # fmt: skip


TABLES = {
    "t_unite": units, "t_agent": agents, "t_proc": cases, "t_fait": offences, "t_personne": persons,
    "t_implic": involvements, "t_suite": decisions, "t_adresse": addresses, "t_tel": telephones, "t_vehic": vehicles,
    "t_objet": things, "t_piece": documents, "t_scelle": seals, "t_mvt_scelle": movements, "t_gav": custodies,
    "t_mainc": logbook,
}  # fmt: skip


def parts_of(table: str, rows: pd.DataFrame) -> Parts:
    """Give the canonical records of the rows of one table, by part."""
    if table.startswith("r_"):
        return code_lines(rows, SETS[table.removeprefix("r_")])
    return TABLES[table](rows)
