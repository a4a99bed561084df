"""What BUREAU's rows mean, said a second time in pandas: no code of the mappings is used here, not even to read YAML.

A day is a number of days since 30 December 1899, an hour its fraction, local; a tick is 0 or -1, as Access says it.
"""

from zoneinfo import ZoneInfo

import pandas as pd

PARIS = ZoneInfo("Europe/Paris")
TICKS = {"0": "false", "-1": "true"}
CATEGORIES = {"Crime": "JUDICIAL", "Délit": "JUDICIAL", "Contravention": "JUDICIAL", "Mort": "DEATH",
              "Disparition": "MISSING"}  # fmt: skip
MAKES = {"Renaul": "RENAULT", "Peugeo": "PEUGEOT", "Citroe": "CITROEN"}
Parts = dict[str, pd.DataFrame]


def moments(column: pd.Series) -> pd.Series:
    """Give the local moments of numbers of days; a text that is no number is none."""
    number = pd.to_numeric(column, errors="coerce").astype("float64")
    return pd.to_datetime(number, unit="D", origin=pd.Timestamp("1899-12-30")).dt.round("s")


def days(column: pd.Series) -> pd.Series:
    return moments(column).dt.strftime("%Y-%m-%d")


def instants(column: pd.Series) -> pd.DataFrame:
    """Give instants in UTC; a whole number says a day and no hour."""
    local = moments(column)
    zoned = local.dt.tz_localize(PARIS, ambiguous=[True] * len(local), nonexistent="NaT").dt.tz_convert("UTC")
    precision = (local == local.dt.normalize()).map({True: "DAY", False: "MINUTE"}).where(zoned.notna())
    return pd.DataFrame({"instant": zoned.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "precision": precision})


def person(rows: pd.DataFrame, who: str) -> pd.DataFrame:
    """Give the people of one place of the row; without a name the place is empty."""
    name, born = rows[f"{who}_NOM"], days(rows[f"{who}_DDN"])
    found = pd.DataFrame({
        "surname": name.str.split(" EP. ", n=1).str[0], "surname_use": name.str.split(" EP. ", n=1).str[1],
        "given_names": rows[f"{who}_PRENOM"], "birth_date": born,
        "birth_date_precision_code": born.notna().map({True: "DAY"}),
        "sex_code": rows[f"{who}_SEXE"].map({"H": "M", "F": "F"}),
    })  # fmt: skip
    return found[name.notna()]


def role(rows: pd.DataFrame, who: str, said: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame({"case_file_id": "part/case", **said}, index=rows.index)[rows[f"{who}_NOM"].notna()]


def affairs(rows: pd.DataFrame) -> Parts:
    began = instants(rows.FAIT_LE)
    there, seen = rows.FAIT_LE.notna(), rows.LIEU.notna()
    plate = rows.VEH_IMMAT
    parts = {
        "case": pd.DataFrame({
            "case_number": rows.NUM_AFF, "case_number_normalised": rows.NUM_AFF.str.strip(),
            "case_category_code": rows.NATURE.map(CATEGORIES), "opened_on": days(rows.OUV_LE),
            "closed_on": days(rows.CLO_LE),
            "case_status_code": rows.ETAT.map({"en cours": "OPEN", "transmis": "TRANSMITTED", "clos": "CLOSED"}),
            "confidentiality_code": rows.CONFID.map({"0": "STANDARD", "-1": "CONFIDENTIAL"}), "note_text": rows.MEMO,
        }),
        "offense": pd.DataFrame({
            "case_file_id": "part/case", "incident_id": there.map({True: "part/incident"}),
            "natinf_code": rows.NATINF.where(rows.NATINF.str.fullmatch(r"\d{1,6}").fillna(value=False)),
            "statistical_index_code": rows.INDEX_4001, "offense_label": rows.FAIT_LIB,
            "attempt": rows.TENTATIVE.map(TICKS),
        })[rows.NATINF.notna()],
        "incident": pd.DataFrame({
            "case_file_id": "part/case", "occurred_from": began["instant"],
            "occurred_precision_code": began["precision"], "location_id": seen.map({True: "part/place"}),
        })[there],
        "place": pd.DataFrame({"city_name": rows.LIEU, "postal_code": rows.CP, "commune_code": rows.INSEE})[seen],
        "car": pd.DataFrame({
            "case_file_id": "part/case", "item_category_code": "VEHICLE", "item_status_code": "INVOLVED",
        }, index=rows.index)[plate.notna()],
        "vehicle": pd.DataFrame({
            "item_id": "part/car", "plate_raw": plate, "plate_normalised": plate, "make_code":
            rows.VEH_MARQUE.map(MAKES), "plate_system_code": plate.str.fullmatch(r"[A-Z]{2}-\d{3}-[A-Z]{2}").map(
                {True: "SIV"}),
        })[plate.notna()],
    }  # fmt: skip
    for number in ("1", "2", "3"):
        who, minor = f"MEC{number}", rows[f"MEC{number}_MINEUR"].map(TICKS)
        said = {"role_code": "SUSPECT", "role_sequence": number, "minor_at_facts": minor,
                "person_identity_id": f"part/suspect.{number}"}  # fmt: skip
        parts |= {f"suspect.{number}": person(rows, who), f"suspect_role.{number}": role(rows, who, said)}
    for number in ("1", "2"):
        who, filed = f"VIC{number}", rows[f"VIC{number}_PLAINTE"].map(TICKS)
        said = {"role_code": "VICTIM", "role_sequence": number, "complaint_filed": filed,
                "person_identity_id": f"part/victim.{number}"}  # fmt: skip
        parts |= {f"victim.{number}": person(rows, who), f"victim_role.{number}": role(rows, who, said)}
    return parts


def seals(rows: pd.DataFrame) -> Parts:
    sealed = instants(rows.SCELLE_LE)
    kinds = {"restitué": "RETURNED", "détruit": "DESTROYED", "confisqué": "CONFISCATED"}
    return {"seal": pd.DataFrame({
        "case_file_id": "AFFAIRES.case/" + rows.ID_AFF, "seal_number": rows.NUMERO, "description": rows.DESIGNATION,
        "sealed_at": sealed["instant"], "sealed_precision_code": sealed["precision"],
        "storage_location_text": rows.LIEU, "evidence_status_code": rows.DESTINATION.map(kinds),
    })}  # fmt: skip


TABLES = {"AFFAIRES": affairs, "SCELLES": seals}


def parts_of(table: str, rows: pd.DataFrame) -> Parts:
    """Give the canonical records of the rows of one table, by part."""
    return TABLES[table](rows)
