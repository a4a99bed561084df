"""How well defects are found: precision and recall of each kind, against the ledger of the synthetic estate.

`python bench/defect_score.py PROJECT --size XS --seed 1` on a project made by `banyan init --template estate` whose
first copy is done. A defect of a row that a named rule kept out is not asked for: nobody looks for it any more. What
a detector finds that the ledger does not call that defect counts against its precision: some of it is honest dirt of
another kind. Kinds that nothing looks for are listed as such, with no figure.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa

from banyan.config import load_project
from banyan.departments import SourceRef
from estate.orion import generate
from store.postgres import transaction
from sync.assembly import open_rig
from sync.workspace import Workspace, opened
from validation.level_two import run_rules
from validation.suites import load_suites

Row = tuple[str, str]
DETECTORS: dict[str, tuple[str, ...]] = {
    "acquitted_still_suspect": ("rule participation.acquitted_is_no_suspect",),
    "birth_date_impossible": ("quarantine t_personne.ddn",),
    "custody_gap": ("rule custody_transfer.no_gap",),
    "detention_ends_before_start": ("rule detention.ended_after_start",),
    "fact_after_report": ("rule incident.occurred_before_opening",),
    "future_birth_date": ("rule person_identity.birth_date_in_range",),
    "future_transmission": ("rule case_file.transmitted_in_the_past",),
    "hour_of_clock_change": ("quarantine t_fait.h_fait", "quarantine t_fait.dt_fait"),
    "involvement_without_case": ("rule participation.case_file_id_exists",),
    "involvement_without_person": ("rule participation.person_identity_id_exists",),
    "minor_without_birth_date": ("rule participation.minor_has_birth_date",),
    "name_in_lower_case": ("rule person_identity.surname_in_capitals",),
    "name_with_stray_blanks": ("rule person_identity.surname_without_stray_blanks",),
    "plate_letter_for_digit": ("rule vehicle.siv_plate_form", "rule vehicle.plate_can_be_read"),
    "restricted_by_address": ("rule residence.restricted_address_is_not_shared",),
    "test_case": ("filter t_proc.test_case",),
    "test_person": ("filter t_personne.test_person",),
    "unknown_code_cadre": ("quarantine t_proc.cadre",),
    "unknown_code_cat_obj": ("quarantine t_objet.cat_obj",),
    "unknown_code_marque": ("quarantine t_vehic.marque",),
    "unknown_code_nation": ("quarantine t_personne.nation",),
    "unknown_code_suite": ("quarantine t_suite.code_suite",),
}
"""What looks for each kind of defect; a kind that is absent is looked for by nothing yet."""
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


def find_signals(workspace: Workspace, department: str) -> tuple[dict[str, set[Row]], set[Row]]:
    """Give the legacy rows that each detector points at, and the rows that named rules kept out."""
    signals: dict[str, set[Row]] = defaultdict(set)
    kept_out: set[Row] = set()
    url = workspace.store_url("banyan_judge")
    rules = run_rules(url, department, load_suites()).rules
    with transaction(workspace.engine("banyan_judge")) as connection:
        for table, key, column in connection.execute(_QUARANTINE, {"d": department}):
            signals[f"quarantine {table}.{column}"].add((table, key))
        for table, key, rule in connection.execute(_FILTERED, {"d": department}):
            signals[f"filter {table}.{rule}"].add((table, key))
            kept_out.add((table, key))
        for rule in rules:
            for _, table, key in connection.execute(_OWNERS, {"d": department, "ids": list(rule.keys)}):
                signals[f"rule {rule.rule_id}"].add((table, key))
    return signals, kept_out


def score(planted: dict[str, set[Row]], signals: dict[str, set[Row]], kept_out: set[Row]) -> list[tuple[str, ...]]:
    """Give a line for each kind of defect: planted, kept out, asked, found, pointed at, recall, precision."""
    lines: list[tuple[str, ...]] = []
    for kind, rows in sorted(planted.items()):
        detectors = DETECTORS.get(kind)
        by_filter = detectors is not None and detectors[0].startswith("filter")
        asked = rows if by_filter else rows - kept_out
        out = str(len(rows) - len(asked))
        if detectors is None:
            lines.append((kind, str(len(rows)), out, str(len(asked)), "", "", "nothing looks for it", ""))
            continue
        tables = {table for table, _ in rows}
        pointed = {row for name in detectors for row in signals.get(name, ()) if row[0] in tables}
        found = asked & pointed
        recall = f"{100 * len(found) / len(asked):.0f} %" if asked else "none left"
        precision = f"{100 * len(found) / len(pointed):.0f} %" if pointed else "nothing found"
        lines.append(
            (kind, str(len(rows)), out, str(len(asked)), str(len(found)), str(len(pointed)), recall, precision)
        )
    return lines


def main() -> None:
    """Print the table of one project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--size", default="XS")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    planted: dict[str, set[Row]] = defaultdict(set)
    for kind, table, key in generate(chosen.size, chosen.seed).defects.select("kind", "table", "key").iter_rows():
        planted[kind].add((table, key))
    with opened(load_project(chosen.project)) as workspace:
        open_rig(workspace, SourceRef("38", "ORION"))
        signals, kept_out = find_signals(workspace, "38")
    header = ("defect", "planted", "kept out", "asked", "found", "pointed at", "recall", "precision")
    for line in (header, *score(planted, signals, kept_out)):
        sys.stdout.write(
            f"{line[0]:30}"
            + "".join(f"{cell:>11}" for cell in line[1:6])
            + "".join(f"{cell:>22}" for cell in line[6:])
            + "\n"
        )


if __name__ == "__main__":
    main()
