"""Open-work parity: what is alive today, name by name, on both sides; nothing may be missing and nothing too many.

Lost live work among moved history is what hurt most in failed migrations (domain study A.1, case 3). The lists of the
old system are made in pandas from raw text by the meaning its officers give the codes, those of the new one from its
records: no rule, lens or code map is used, so a rule that is wrong in the same way twice is found here. A row that a
named rule filtered is explained by that list; a row in quarantine is not: it is work nobody sees any more.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas as pd
import sqlalchemy as sa

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.ports import LegacyPort

_ROWS_PER_READ = 50_000
_NOWHERE = "?"
LEGACY_ONLY = "only the old system knows it"
CANONICAL_ONLY = "only the new system knows it"
COLUMNS: dict[str, tuple[str, ...]] = {
    "t_proc": ("id_proc", "num_proc", "statut", "top_supp"),
    "t_implic": ("id_implic", "id_proc", "qualite", "no_ordre", "top_supp"),
    "t_vehic": ("id_vehic", "id_proc", "immat", "statut_v", "top_supp"),
    "t_objet": ("id_objet", "id_proc", "num_serie", "statut_o", "top_supp"),
    "t_gav": ("id_gav", "id_implic", "dt_deb", "dt_fin", "top_supp"),
    "t_scelle": ("id_scelle", "id_proc", "no_scelle", "destin", "top_supp"),
}

Tables = Mapping[str, pd.DataFrame]
FilteredKeys = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class OpenList:
    """One list of live work: where it comes from on either side, and who is on it."""

    name: str
    tables: tuple[str, ...]
    """Legacy tables it is made of; the first holds its keys. A closure without that one is not concerned."""
    canonical_table: str
    legacy: Callable[[Tables], pd.DataFrame]
    """Columns key and name; `sql/open_work.sql` gives the same of the new system, under the name of the list."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One list compared: how many on each side, how many a named rule filtered, and what differs."""

    name: str
    legacy: int
    filtered: int
    canonical: int
    findings: tuple[Finding, ...]


def read_tables(port: LegacyPort, tables: Collection[str]) -> dict[str, pd.DataFrame]:
    """Read what the lists need of some legacy tables as raw text, without blanks around, soft deletes left out."""
    return {table: _read(port, table, COLUMNS[table]) for table in tables}


def read_cases(port: LegacyPort) -> pd.DataFrame:
    """Read the live cases of the old system as their units name them: key, number, unit, day of opening."""
    rows = _read(port, "t_proc", ("id_proc", "num_proc", "id_unite", "dt_ouv", "top_supp"))
    return rows[["id_proc", "num_proc", "id_unite", "dt_ouv"]]


def _read(port: LegacyPort, table: str, names: tuple[str, ...]) -> pd.DataFrame:
    frames = [
        port.read_range(table, keys).rows.select(names).to_pandas() for keys in port.plan_ranges(table, _ROWS_PER_READ)
    ]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(names))
    text = rows.apply(lambda column: column.astype("str").where(column.notna(), "").str.strip())
    return text[text["top_supp"] != "O"]


def concerned(tables: Collection[str]) -> tuple[OpenList, ...]:
    """Give the lists whose rows are of the legacy tables of a closure; what else they read may be of another one."""
    return tuple(each for each in LISTS if each.tables[0] in tables)


def compare_list(
    each: OpenList, legacy_tables: Tables, filtered: FilteredKeys, connection: sa.Connection, department_code: str
) -> Parity:
    """Compare one list by name; rows of the old system that a named rule filtered are explained, all others count."""
    # a case that is not loaded has no number in the new system: its children are listed without one on both sides
    known = {table: rows[~rows.iloc[:, 0].isin(list(filtered.get(table, ())))] for table, rows in legacy_tables.items()}
    everything = each.legacy(legacy_tables)
    legacy = each.legacy(known)
    rows = connection.execute(sa.text(_queries()[each.name]), {"department": department_code}).fetchall()
    canonical = pd.DataFrame([tuple(row) for row in rows], columns=["key", "name"]).astype("str")
    findings = (
        *_surplus(each, legacy, Counter(canonical["name"]), LEGACY_ONLY),
        *_surplus(each, canonical, Counter(legacy["name"]), CANONICAL_ONLY),
    )
    return Parity(each.name, len(everything), len(everything) - len(legacy), len(canonical), findings)


def open_work_level(parities: Collection[Parity]) -> LevelResult:
    """Judge the open-work part of L5: every list equal by name, or the names that differ."""
    findings = tuple(finding for each in parities for finding in each.findings)
    different = [each for each in parities if each.findings]
    figures: dict[str, int | str | bool] = {"part": "open_work", "lists": len(parities), "different": len(findings)}
    for each in parities:
        figures |= {f"{each.name}_legacy": each.legacy, f"{each.name}_filtered": each.filtered}
        figures[f"{each.name}_canonical"] = each.canonical
    if different:
        said = "; ".join(f"{each.name}: {len(each.findings)} names differ" for each in different)
        return LevelResult("L5", LevelState.FAIL, f"open work: {said}", figures, findings)
    said = ", ".join(f"{each.canonical} {each.name.replace('_', ' ')}" for each in parities)
    return LevelResult("L5", LevelState.PASS, f"open work equal by name: {said}", figures)


@cache
def _queries() -> dict[str, str]:
    text = files("validation").joinpath("sql", "open_work.sql").read_text(encoding="utf-8")
    named = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): query.strip().removesuffix(";") for name, _, query in named}


def _surplus(each: OpenList, here: pd.DataFrame, there: Counter[str], cause: str) -> list[Finding]:
    left = Counter(there)
    findings = []
    for key, name in here.sort_values(["name", "key"])[["key", "name"]].itertuples(index=False):
        if left[name]:
            left[name] -= 1
        else:
            why = f"{each.name.replace('_', ' ')}: {cause}"
            findings.append(
                Finding(FindingKind.OPEN_WORK_DIFFERS, Severity.BLOCK, each.canonical_table, str(key), cause=why)
            )
    return findings


def _with_case(rows: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    cases = tables["t_proc"][["id_proc", "num_proc"]]
    joined = rows.merge(cases, on="id_proc", how="left")
    return joined.assign(num_proc=joined["num_proc"].fillna("").replace("", _NOWHERE))


def _listed(rows: pd.DataFrame, key: str, *names: str) -> pd.DataFrame:
    name = rows[names[0]].astype("str")
    for other in names[1:]:
        name = name + " · " + rows[other].astype("str")
    return pd.DataFrame({"key": rows[key].astype("str"), "name": name.astype("str")})


def _open_cases(tables: Tables) -> pd.DataFrame:
    cases = tables["t_proc"]
    return _listed(cases[cases["statut"] == "E"], "id_proc", "num_proc")


def _missing(tables: Tables) -> pd.DataFrame:
    involved = tables["t_implic"]
    return _listed(_with_case(involved[involved["qualite"] == "DIS"], tables), "id_implic", "num_proc", "no_ordre")


def _stolen_vehicles(tables: Tables) -> pd.DataFrame:
    vehicles = tables["t_vehic"]
    return _listed(_with_case(vehicles[vehicles["statut_v"] == "VO"], tables), "id_vehic", "num_proc", "immat")


def _stolen_items(tables: Tables) -> pd.DataFrame:
    items = tables["t_objet"]
    return _listed(_with_case(items[items["statut_o"] == "VO"], tables), "id_objet", "num_proc", "num_serie")


def _in_custody(tables: Tables) -> pd.DataFrame:
    detained = tables["t_gav"]
    involved = tables["t_implic"][["id_implic", "id_proc", "no_ordre"]]
    now = detained[detained["dt_fin"].isin(["", "0"])].merge(involved, on="id_implic", how="left")
    return _listed(_with_case(now.fillna(_NOWHERE), tables), "id_gav", "num_proc", "no_ordre")


def _live_seals(tables: Tables) -> pd.DataFrame:
    seals = tables["t_scelle"]
    return _listed(_with_case(seals[seals["destin"] == ""], tables), "id_scelle", "num_proc", "no_scelle")


LISTS: tuple[OpenList, ...] = (
    OpenList("open_cases", ("t_proc",), "case_file", _open_cases),
    OpenList("missing_persons", ("t_implic", "t_proc"), "participation", _missing),
    OpenList("stolen_vehicles", ("t_vehic", "t_proc"), "vehicle", _stolen_vehicles),
    OpenList("stolen_items", ("t_objet", "t_proc"), "item", _stolen_items),
    OpenList("in_custody", ("t_gav", "t_implic", "t_proc"), "detention", _in_custody),
    OpenList("live_seals", ("t_scelle", "t_proc"), "evidence", _live_seals),
)
