"""The sample compared to the paper: drawn into two files of the project, filled in by a steward, read back at each run.

`samples/CLOSURE.json` is what was drawn, with its seed and rules; `samples/CLOSURE.csv` is the list to fill in.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from banyan.errors import SourceUnreadable, UsageError
from cutover.behaving import behaviour_of, files_of
from mappings.several_files import table_in
from store.postgres import transaction
from store.row_tables import FILTERED_ROW
from validation import canonical_json
from validation.declared_behaviour import BEHAVIOUR_FILE, CASES, Behaviour, PaperCases, RawRows
from validation.raw_rows import KEY, columns_of, follow, read_tables, years
from validation.sampling import (
    Candidate,
    LotRequest,
    Sample,
    SampleResult,
    draw_sample,
    read_answers,
    size_needed,
    write_list,
)
from validation.subject import Subject


@dataclass(frozen=True, slots=True)
class Drawn:
    """A list to fill in: where it is, how many cases it holds, and of how many."""

    path: Path
    size: int
    population: int


def draw_to_paper(subject: Subject, folder: Path, *, closure: str, lot: LotRequest, rules_digest: str) -> Drawn:
    """Draw cases by lot and write the list to fill in. A list already drawn is never replaced."""
    if CASES not in subject.canonical_tables:
        raise UsageError(f"{closure} holds no case to compare to the paper; nothing was drawn")
    described, listed = _paths(folder, closure)
    if described.exists() or listed.exists():
        raise UsageError(
            f"{listed.name} was drawn already; nothing was drawn", hint=f"finish it, or move {listed} away"
        )
    candidates = _candidates(subject)
    if not candidates:
        raise UsageError(f"{closure} has no loaded case; nothing was drawn", hint="banyan load")
    size = lot.size or size_needed(len(candidates), most_per_million=lot.most_per_million)
    sample = draw_sample(candidates, size, seed=lot.seed, closure=closure, rules_digest=rules_digest)
    listed.parent.mkdir(exist_ok=True)
    described.write_bytes(canonical_json.encode(sample))
    listed.write_text(write_list(sample), encoding="utf-8")
    return Drawn(listed, len(sample.drawn), sample.population)


def read_sample(folder: Path, closure: str) -> SampleResult | None:
    """Read what was drawn and answered; None when nothing was drawn. A damaged list is refused, not skipped."""
    described, listed = _paths(folder, closure)
    if not described.exists():
        return None
    try:
        sample = canonical_json.from_plain(Sample, json.loads(described.read_text(encoding="ascii")))
        return read_answers(sample, listed.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, ValueError) and not isinstance(error, UnicodeError) else "unreadable"
        raise SourceUnreadable(
            f"the sample in {listed.name} is not the one that was drawn: {why}; nothing was judged",
            hint=f"correct {listed}, or move both files of the sample away and draw again",
        ) from error


def _paths(folder: Path, closure: str) -> tuple[Path, Path]:
    return folder / "samples" / f"{closure}.json", folder / "samples" / f"{closure}.csv"


def _candidates(subject: Subject) -> list[Candidate]:
    behaviour = behaviour_of(subject)
    if behaviour is None or behaviour.cases is None:
        name = "" if subject.rules is None else subject.rules.name
        raise UsageError(
            f"nobody declared what a case is in {subject.source.system_code}; nothing was drawn",
            hint=f"declare it under cases in rules/{name}/{BEHAVIOUR_FILE}",
        )
    return [
        candidate
        for file in files_of(subject, behaviour.cases.table)
        for candidate in _candidates_in(subject, behaviour, behaviour.cases, file)
    ]


def _candidates_in(subject: Subject, behaviour: Behaviour, cases: PaperCases, file: str) -> list[Candidate]:
    table = table_in(file, cases.table) if file else cases.table
    place = FILTERED_ROW.c
    wanted = sa.select(place.source_key).where(
        place.department_code == subject.department.code, place.source_table_no == subject.table_numbers[table]
    )
    with transaction(subject.engine) as connection:
        filtered = set(connection.scalars(wanted))
    named = (cases.number, *cases.opened.columns, *filter(None, (cases.unit,)))
    columns = columns_of(behaviour, RawRows(cases.table), named)
    tables = read_tables(subject.port, behaviour, columns, file=file)
    rows = tables[cases.table]
    if cases.unit is None:
        units = [file] * len(rows)
    else:
        units = list(follow(rows, tables, behaviour.way(cases.table, cases.unit), cases.unit.rpartition(".")[2]))
    return [
        Candidate(table, str(key), str(number), str(unit), str(year))
        for key, number, unit, year in zip(rows[KEY], rows[cases.number], units, years(rows, cases.opened), strict=True)
        if str(key) not in filtered
    ]
