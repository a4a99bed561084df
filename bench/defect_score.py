"""How well defects are found: precision and recall of each kind, against the ledger of the synthetic estate.

`python bench/defect_score.py PROJECT --size XS --seed 1` on a project made by `banyan init --template estate` whose
first copy is done. A defect of a row that a named rule kept out, or that the old system itself marks deleted, is not
asked for: nobody looks for it any more. Nor is one that needs another row which was kept out. What a detector finds and
the ledger calls by no kind that this detector is for counts against its precision: some of it is honest dirt of another
kind. A kind that nothing looks for by design says why, with no figure.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from banyan.config import load_project
from banyan.departments import SourceRef
from estate.orion import generate
from mappings.residue import unpack
from store.postgres import transaction
from sync.assembly import Rig, open_rig
from sync.workspace import Workspace, opened
from validation.level_two import run_rules
from validation.suites import load_suites

Row = tuple[str, str]
Tables = Mapping[str, pl.DataFrame]

DETECTORS: dict[str, tuple[str, ...]] = {
    "acquitted_still_suspect": ("rule participation.acquitted_is_no_suspect",),
    "amount_blank": ("residue t_objet.valeur",),
    "amount_written_otherwise": ("residue t_objet.valeur",),
    "birth_date_impossible": ("quarantine t_personne.ddn", "rule person_identity.birth_date_present"),
    "birth_date_partial": ("record person_identity.birth_date_precision_code",),
    "birth_date_unknown": ("rule person_identity.birth_date_present",),
    "custody_gap": ("rule custody_transfer.no_gap",),
    "deleted_but_referenced": ("rule participation.person_identity_id_exists",),
    "detention_ends_before_start": ("rule detention.ended_after_start",),
    "fact_after_report": ("rule incident.occurred_before_opening",),
    "future_birth_date": ("rule person_identity.born_in_the_past",),
    "future_transmission": ("rule case_file.transmitted_in_the_past",),
    "hour_of_clock_change": ("rule incident.hour_exists", "rule incident.hour_told_once"),
    "involvement_without_case": ("rule participation.case_file_id_exists",),
    "involvement_without_person": ("rule participation.person_identity_id_exists",),
    "minor_without_birth_date": ("rule participation.minor_has_birth_date",),
    "name_in_lower_case": ("rule person_identity.surname_in_capitals",),
    "name_with_stray_blanks": ("rule person_identity.surname_without_stray_blanks", "residue t_personne.nom"),
    "person_phone_two_in_one": ("rule contact_means.value_normalised_present",),
    "phone_doubtful": ("rule contact_means.value_normalised_present",),
    "phone_two_in_one": ("rule contact_means.value_normalised_present",),
    "plate_foreign": ("record vehicle.plate_system_code",),
    "plate_letter_for_digit": ("rule vehicle.siv_plate_form", "rule vehicle.plate_can_be_read"),
    "restricted_by_address": ("rule residence.restricted_address_is_not_shared",),
    "sex_as_digit": ("residue t_personne.sexe",),
    "street_with_line_feed": ("rule location.street_in_one_line",),
    "test_case": ("filter t_proc.test_case",),
    "test_person": ("filter t_personne.test_person", "filter t_personne.test_person_dupont"),
    "unknown_code_cadre": ("quarantine t_proc.cadre",),
    "unknown_code_cat_obj": ("quarantine t_objet.cat_obj",),
    "unknown_code_marque": ("quarantine t_vehic.marque",),
    "unknown_code_nation": ("quarantine t_personne.nation",),
    "unknown_code_suite": ("quarantine t_suite.code_suite",),
}
"""What looks for each kind of defect: an L2 rule, a cause of quarantine, a named filter, a text that only the residue
holds (a figure of L6), or the record itself, which says what it is not sure of."""

_LINKED = "identities are linked by people and never merged"
_AS_MEANT = "is read as it was meant; the raw text stands beside it"
_HISTORY = "a code is carried as recorded: it was valid then"
NOT_LOOKED_FOR: dict[str, str] = {
    "attachment_empty": "the size of a file is no column of the model",
    "birth_date_defaulted": "a first of January may be true",
    "change_without_stamp": "the stamp is not carried, and capture never trusts it",
    "duplicate_across_units": _LINKED,
    "duplicate_in_case": _LINKED,
    "null_for_blank": "nothing and a blank say the same",
    "past_retention": "terms are judged by offence and role before the copy, never by age alone",
    "person_plate_without_hyphens": _AS_MEANT,
    "phone_nine_digits": _AS_MEANT,
    "plate_without_hyphens": _AS_MEANT,
    "repealed_commune": _HISTORY,
    "repealed_offence": _HISTORY,
    "surname_typo": _LINKED,
    "use_name_as_birth_name": _LINKED,
}
"""Why nothing looks for a kind, by design."""

_QUARANTINE = sa.text(
    "select t.table_name, q.source_key, q.column_name from mig.quarantine q join mig.source_table t"
    " using (source_table_no) where q.state = 'OPEN' and q.department_code = :d"
)
_FILTERED = sa.text(
    "select t.table_name, f.source_key, f.rule from mig.filtered_row f join mig.source_table t"
    " using (source_table_no) where f.department_code = :d"
)
_OWNERS = sa.text(
    "select x.id::text, t.table_name, x.source_key from mig.crosswalk x join mig.source_table t using (source_table_no)"
    " where x.department_code = :d and x.deleted_at is null and x.id = any(cast(:ids as uuid[]))"
    " union select canonical_id::text, table_name, source_key from mig.lineage where department_code = :d"
    " and deleted_at is null and canonical_id = any(cast(:ids as uuid[]))"
)
_RESIDUE = sa.text(
    "select source_key, residue from mig.crosswalk where department_code = :d and source_table_no = :table"
    " and deleted_at is null and residue is not null"
)
_RECORDS = {
    "record person_identity.birth_date_precision_code": sa.text(
        "select id::text from justice.person_identity where department_code = :d"
        " and birth_date_precision_code in ('MONTH', 'YEAR')"
    ),
    "record vehicle.plate_system_code": sa.text(
        "select id::text from justice.vehicle where department_code = :d and plate_system_code = 'FOREIGN'"
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The defects of one kind: how many were planted, and the rows in which each one that is left shows."""

    planted: int
    rows: frozenset[Row]
    called: frozenset[Row]
    """Every row the ledger calls by this kind, whether it is left or not."""


def find_signals(rig: Rig, department: str) -> tuple[dict[str, set[Row]], set[Row]]:
    """Give the legacy rows that each detector points at, and the rows that named rules kept out."""
    workspace: Workspace = rig.workspace
    signals: dict[str, set[Row]] = defaultdict(set)
    kept_out: set[Row] = set()
    rules = run_rules(workspace.store_url("banyan_judge"), department, load_suites()).rules
    with transaction(workspace.engine("banyan_judge")) as connection:
        for table, key, column in connection.execute(_QUARANTINE, {"d": department}):
            signals[f"quarantine {table}.{column}"].add((table, key))
        for table, key, rule in connection.execute(_FILTERED, {"d": department}):
            signals[f"filter {table}.{rule}"].add((table, key))
            kept_out.add((table, key))
        pointed = {f"rule {rule.rule_id}": list(rule.keys) for rule in rules}
        pointed |= {name: list(connection.scalars(query, {"d": department})) for name, query in _RECORDS.items()}
        for name, ids in pointed.items():
            for _, table, key in connection.execute(_OWNERS, {"d": department, "ids": ids}):
                signals[name].add((table, key))
        for table, ruleset in rig.book.rulesets.items():
            rows = connection.execute(_RESIDUE, {"d": department, "table": rig.table_numbers[table]}).all()
            cells = unpack(pl.Series([bytes(row[1]) for row in rows], dtype=pl.Binary), range(len(ruleset.columns)))
            for number, frame in cells.items():
                told = signals[f"residue {table}.{ruleset.columns[number]}"]
                told |= {(table, row[0]) for row, kept in zip(rows, frame["kept"], strict=True) if kept}
    return signals, kept_out


def find_asked(defects: pl.DataFrame, tables: Tables, kept_out: set[Row]) -> dict[str, Asked]:
    """Say for each kind in which rows its defects show, and which of them are left to be found."""
    gone = kept_out | {(table, key) for table, rows in tables.items() for key in _deleted(rows)}
    ledger: dict[str, list[tuple[str, str, str | None]]] = defaultdict(list)
    for kind, table, key, related in defects.select("kind", "table", "key", "related_key").iter_rows():
        ledger[kind].append((table, key, related))
    asked = {}
    for kind, entries in sorted(ledger.items()):
        by_filter = any(name.startswith("filter") for name in DETECTORS.get(kind, ()))
        shown = {entry: _shows_in(kind, entry, tables) for entry in entries}
        left = {
            row
            for (table, key, related), rows in shown.items()
            for row in rows
            if by_filter or not gone & {row, *_rests_on(kind, (table, key, related), tables)}
        }
        every = frozenset(row for rows in shown.values() for row in rows)
        asked[kind] = Asked(len(entries), frozenset(left), every)
    return asked


def _deleted(rows: pl.DataFrame) -> Iterable[str]:
    if "top_supp" not in rows.columns:
        return ()
    return rows.filter(pl.col("top_supp") == "O").to_series(0).to_list()


def _shows_in(kind: str, entry: tuple[str, str, str | None], tables: Tables) -> set[Row]:
    """Give the rows in which a planted defect shows: its own, or those that it spoils."""
    table, key, related = entry
    if kind == "acquitted_still_suspect":
        return {("t_implic", related or "")}
    if kind == "deleted_but_referenced":
        return {("t_implic", one) for one in _keys(tables["t_implic"], "id_pers", key)}
    return {(table, key)}


def _rests_on(kind: str, entry: tuple[str, str, str | None], tables: Tables) -> set[Row]:
    """Give the other rows without which a defect is none."""
    table, key, related = entry
    if kind == "acquitted_still_suspect":
        return {(table, key)}
    if kind == "restricted_by_address":
        roles = tables["t_implic"].filter(pl.col("id_pers") == related)
        cases = {("t_proc", one) for one in roles["id_proc"].to_list()}
        return {("t_implic", one) for one in roles["id_implic"].to_list()} | cases
    return set()


def _keys(rows: pl.DataFrame, column: str, value: str) -> list[str]:
    return rows.filter(pl.col(column) == value).to_series(0).to_list()


def score(asked: Mapping[str, Asked], signals: Mapping[str, set[Row]]) -> list[tuple[str, ...]]:
    """Give a line for each kind: planted, asked, found, pointed at, recall, precision, and what looks for it."""
    called: dict[str, set[Row]] = defaultdict(set)
    for kind, one in asked.items():
        for name in DETECTORS.get(kind, ()):
            called[name] |= one.called
    lines: list[tuple[str, ...]] = []
    for kind, one in asked.items():
        counts = (kind, str(one.planted), str(len(one.rows)))
        detectors = DETECTORS.get(kind)
        if detectors is None:
            why = NOT_LOOKED_FOR.get(kind)
            lines.append((*counts, "", "", "", "", f"by design not: {why}" if why else "NOBODY LOOKS FOR IT"))
            continue
        tables = {table for table, _ in one.called}
        pointed = {(name, row) for name in detectors for row in signals.get(name, ()) if row[0] in tables}
        right = sum(row in called[name] for name, row in pointed)
        found = one.rows & {row for _, row in pointed}
        recall = f"{100 * len(found) / len(one.rows):.0f} %" if one.rows else "none left"
        precision = f"{100 * right / len(pointed):.0f} %" if pointed else "-"
        lines.append((*counts, str(len(found)), str(len(pointed)), recall, precision, ", ".join(detectors)))
    return lines


def main() -> None:
    """Print the table of one project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--size", default="XS")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    estate = generate(chosen.size, chosen.seed)
    with opened(load_project(chosen.project)) as workspace:
        signals, kept_out = find_signals(open_rig(workspace, SourceRef("38", "ORION")), "38")
    header = ("defect", "planted", "asked", "found", "pointed", "recall", "precision", "what looks for it")
    for line in (header, *score(find_asked(estate.defects, estate.tables, kept_out), signals)):
        sys.stdout.write(f"{line[0]:30}" + "".join(f"{cell:>10}" for cell in line[1:7]) + f"  {line[7]}\n")


if __name__ == "__main__":
    main()
