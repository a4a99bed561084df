"""How well defects are found: precision and recall of each kind, against the ledger of the synthetic estate.

`python bench/defect_score.py [--department 38]... [--size XS] [--seed 1]` makes a project of each department in a
temporary folder, copies it and scores it: without a department, an ORION, a MAREL (where MariaDB is installed) and a
BUREAU with the files of all its brigades. `--project FOLDER` scores a project whose first copy is done. A defect of a
row that a named rule kept out, or that the old system itself marks deleted, is not asked for: nobody looks for it any
more. Nor is one that needs another row which was kept out. What a detector finds and the ledger calls by no kind that
this detector is for counts against its precision: some of it is honest dirt of another kind. A kind that nothing looks
for by design says why, with no figure.
"""

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from defect_detectors import LOOKED, Looked

from banyan.config import load_project
from banyan.departments import SourceRef
from cli.estate_projects import create_estate_project, size_of
from cli.main import run
from estate.bureau import brigades_of
from estate.flavours import generate_estate
from estate.orion import Estate
from estate.places import Flavour, find_place
from mappings.residue import unpack
from mappings.several_files import split_table
from store.postgres import transaction
from sync.assembly import Rig, open_rig
from sync.workspace import Workspace, opened
from validation.level_two import run_rules
from validation.suites import load_suites
from wire.cleanup import destroy_clusters
from wire.mariadb import find_mariadb

Row = tuple[str, str]
Tables = Mapping[str, pl.DataFrame]

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


def row_of(table: str, key: str) -> Row:
    """Name a row as the ledger does: of a system in several files, by the file and its key in the file."""
    file, name = split_table(table)
    return name, f"{file}:{key}" if file else key


def find_signals(rig: Rig, department: str) -> tuple[dict[str, set[Row]], set[Row]]:
    """Give the legacy rows that each detector points at, and the rows that named rules kept out."""
    workspace: Workspace = rig.workspace
    signals: dict[str, set[Row]] = defaultdict(set)
    kept_out: set[Row] = set()
    rules = run_rules(workspace.store_url("banyan_judge"), department, load_suites()).rules
    with transaction(workspace.engine("banyan_judge")) as connection:
        for table, key, column in connection.execute(_QUARANTINE, {"d": department}):
            row = row_of(table, key)
            signals[f"quarantine {row[0]}.{column}"].add(row)
        for table, key, rule in connection.execute(_FILTERED, {"d": department}):
            row = row_of(table, key)
            signals[f"filter {row[0]}.{rule}"].add(row)
            kept_out.add(row)
        pointed = {f"rule {rule.rule_id}": list(rule.keys) for rule in rules}
        pointed |= {name: list(connection.scalars(query, {"d": department})) for name, query in _RECORDS.items()}
        for name, ids in pointed.items():
            for _, table, key in connection.execute(_OWNERS, {"d": department, "ids": ids}):
                signals[name].add(row_of(table, key))
        for table, ruleset in rig.book.rulesets.items():
            rows = connection.execute(_RESIDUE, {"d": department, "table": rig.table_numbers[table]}).all()
            cells = unpack(pl.Series([bytes(row[1]) for row in rows], dtype=pl.Binary), range(len(ruleset.columns)))
            for number, frame in cells.items():
                told = signals[f"residue {split_table(table)[1]}.{ruleset.columns[number]}"]
                told |= {row_of(table, row[0]) for row, kept in zip(rows, frame["kept"], strict=True) if kept}
    return signals, kept_out


def find_asked(
    defects: pl.DataFrame, tables: Tables, kept_out: set[Row], *, looked: Looked = LOOKED[Flavour.ORION]
) -> dict[str, Asked]:
    """Say for each kind in which rows its defects show, and which of them are left to be found."""
    gone = kept_out | {row_of(table, key) for table, rows in tables.items() for key in _deleted(rows)}
    ledger: dict[str, list[tuple[str, str, str | None]]] = defaultdict(list)
    for kind, table, key, related in defects.select("kind", "table", "key", "related_key").iter_rows():
        ledger[kind].append((table, key, related))
    asked = {}
    for kind, entries in sorted(ledger.items()):
        by_filter = any(name.startswith("filter") for name in looked.detectors.get(kind, ()))
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


def score(
    asked: Mapping[str, Asked], signals: Mapping[str, set[Row]], *, looked: Looked = LOOKED[Flavour.ORION]
) -> list[tuple[str, ...]]:
    """Give a line for each kind: planted, asked, found, pointed at, recall, precision, and what looks for it."""
    called: dict[str, set[Row]] = defaultdict(set)
    for kind, one in asked.items():
        for name in looked.detectors.get(kind, ()):
            called[name] |= one.called
    lines: list[tuple[str, ...]] = []
    for kind, one in asked.items():
        counts = (kind, str(one.planted), str(len(one.rows)))
        detectors = looked.detectors.get(kind)
        if detectors is None:
            why = looked.not_looked_for.get(kind)
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


def score_project(folder: Path, estate: Estate) -> list[tuple[str, ...]]:
    """Score the one legacy system of a department in a project; of files of brigades, those that the project lists."""
    place = find_place(estate.department_code)
    looked = LOOKED[place.flavour]
    with opened(load_project(folder)) as workspace:
        rig = open_rig(workspace, SourceRef(place.code, place.flavour.value))
        signals, kept_out = find_signals(rig, place.code)
        followed = {split_table(table)[0] for table in rig.book.rulesets}
    defects = estate.defects
    if place.flavour is Flavour.BUREAU:
        defects = defects.filter(pl.col("key").str.split(":").list.first().is_in(sorted(followed)))
    return score(find_asked(defects, estate.tables, kept_out, looked=looked), signals, looked=looked)


@contextmanager
def copied_project(estate: Estate, size: str, seed: int) -> Iterator[Path]:
    """Make a project of one department with every file it has, copy it, and take it away again."""
    code = estate.department_code
    with tempfile.TemporaryDirectory(prefix="banyan-score-") as place:
        folder = Path(place) / "project"
        try:
            create_estate_project(folder, size, seed, departments=(code,))
            if find_place(code).flavour is Flavour.BUREAU:
                every = ", ".join(f'"{brigade}.db"' for brigade in brigades_of(estate))
                described = (folder / "banyan.yaml").read_text(encoding="utf-8")
                described = re.sub(r"files: \[[^]]*\]", f"files: [{every}]", described)
                (folder / "banyan.yaml").write_text(described, encoding="utf-8")
            if run(["-C", str(folder), "load", code]):
                raise RuntimeError(f"{code} was not copied")
            yield folder
        finally:
            destroy_clusters(folder)


def print_score(estate: Estate, lines: Iterable[tuple[str, ...]]) -> None:
    """Print the table of one department."""
    sys.stdout.write(f"{estate.department_code} {find_place(estate.department_code).flavour}\n")
    header = ("defect", "planted", "asked", "found", "pointed", "recall", "precision", "what looks for it")
    for line in (header, *lines):
        sys.stdout.write(f"{line[0]:30}" + "".join(f"{cell:>10}" for cell in line[1:7]) + f"  {line[7]}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table of each department that was named, or of one of each legacy system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="a project whose first copy is done, of one department named")
    parser.add_argument("--department", action="append", help="38, 35, 48 when none is named")
    parser.add_argument("--size", default="XS")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    for code in chosen.department or ("38", "35", "48"):
        place = find_place(code)
        if place.flavour is Flavour.MAREL and find_mariadb() is None:
            sys.stdout.write(f"{code} MAREL: NOT RUN, MariaDB is not installed\n")
            continue
        estate = generate_estate(size_of(place, chosen.size), chosen.seed, code)
        if chosen.project is not None:
            print_score(estate, score_project(chosen.project, estate))
            continue
        with copied_project(estate, chosen.size, chosen.seed) as folder:
            print_score(estate, score_project(folder, estate))


if __name__ == "__main__":
    main()
