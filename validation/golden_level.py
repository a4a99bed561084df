"""Golden records beside L4: what it cannot see, a rule that is wrong twice in the same way, they can.

L4 maps with the same code as the load. A golden record says by hand what a rule must make of an invented row, there and
back: each judgement runs those of its tables anew, and one that does not hold fails L4 like a record that differs.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from mappings.golden import GOLDEN_FOLDER, GoldenRun, run_golden
from mappings.model import RuleBook
from mappings.ruleset import load_rulebook
from mappings.several_files import split_table
from validation.reconciliation import CauseGroup, Reconciliation
from validation.subject import Subject

BROKEN = "golden record does not hold"
_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Asked:
    """The same rules and the same golden records give the same answer: it is asked once in a process."""

    rules: str
    records: str
    folder: Path
    tables: tuple[str, ...]
    book: RuleBook = field(compare=False, repr=False)


def run_golden_of(subject: Subject) -> GoldenRun:
    """Run the golden records of the tables that are judged against the rules of their system.

    They say what the system's rules do; what a department says otherwise stands in its overlay, outside them.
    """
    if subject.rules is None:
        return GoldenRun((), (), _tables(subject))
    book = load_rulebook(subject.rules)
    digest = sha256()
    for path in sorted((subject.rules / GOLDEN_FOLDER).glob("*.yaml")):
        digest.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    return _run(_Asked(book.digest, digest.hexdigest(), subject.rules, _tables(subject), book))


def with_golden(found: Reconciliation, subject: Subject) -> Reconciliation:
    """Run the golden records and put what does not hold into L4: it fails; a file that cannot be read is an ERROR."""
    run = run_golden_of(subject)
    broken = [one for one in run.results if not one.holds]
    level = replace(
        found.level,
        state=_state(found.level, run),
        sentence=f"{found.level.sentence}; {_sentence(subject, run)}",
        figures={
            **found.level.figures,
            "blocking": int(found.level.figures["blocking"]) + len(broken),
            "golden_records": len(run.results),
            "golden_held": len(run.results) - len(broken),
            "golden_tables": len({one.table for one in run.results}),
            "golden_unreadable": len(run.diagnostics),
        },
        findings=(
            *found.level.findings,
            *(
                Finding(FindingKind.GOLDEN_BROKEN, Severity.BLOCK, one.table, one.name, cause=f"{BROKEN}: {one.name}")
                for one in broken
            ),
        ),
    )
    causes = [CauseGroup(one.table, None, FindingKind.GOLDEN_BROKEN, f"{BROKEN}: {one.name}", 1) for one in broken]
    return replace(found, level=level, causes=(*found.causes, *causes))


@lru_cache(maxsize=_KEPT)
def _run(asked: _Asked) -> GoldenRun:
    return run_golden(asked.book, asked.folder, tables=asked.tables)


def _tables(subject: Subject) -> tuple[str, ...]:
    """Name the tables that are judged as the rules name them; a table of several files is one."""
    return tuple(sorted({split_table(table)[1] for table in subject.tables}))


def _state(level: LevelResult, run: GoldenRun) -> LevelState:
    if run.diagnostics or level.state is LevelState.ERROR:
        return LevelState.ERROR
    return level.state if run.holds else LevelState.FAIL


def _sentence(subject: Subject, run: GoldenRun) -> str:
    tables = _tables(subject)
    said = "no golden record stands beside the rules"
    if run.results:
        held = sum(one.holds for one in run.results)
        golden = len(tables) - len(run.without)
        said = f"{len(run.results)} golden records of {golden} of {len(tables)} tables were run, {held} hold"
    if run.diagnostics:
        first = run.diagnostics[0]
        place = f"{Path(first.file).name}:{first.line}:{first.column}"
        said += f", {len(run.diagnostics)} places cannot be read, the first {place}: {first.message}"
    elif run.results and run.without:
        said += f", none of {', '.join(run.without)}"
    deviating = sorted({one.subject for one in subject.book.deviations})
    if deviating:
        said += f"; they do not say what department {subject.department.code} says otherwise: {', '.join(deviating)}"
    return f"{said}; statistics and open work are counted a second time in pandas, without these rules (L5)"
