"""Whether the facts agree with themselves: equations to the unit, lists as long as their numbers, levels as figured."""

from collections import Counter
from collections.abc import Iterator

from banyan.findings import LevelState
from banyan.records import RowCounts
from validation.facts import EvidenceFacts, TableConservation
from validation.profiles import Profile
from validation.reasons import Reason, ReasonKind
from validation.table_words import say_total
from validation.text import Language, Text, write_number


def find_broken_conservation(facts: EvidenceFacts) -> Iterator[Reason]:
    """Give a reason for each table whose rows or parts do not add up, or whose lists are not as long as the counts."""
    if not facts.rows.read:
        yield _reason(
            ReasonKind.EMPTY,
            "L1",
            "Aucune ligne n’a été comptée\u202f: rien n’est prouvé.",
            "No row was counted: nothing is proved.",
        )
    tables = Counter(line.table for line in facts.conservation)
    for table in sorted(table for table, times in tables.items() if times > 1):
        yield _unbalanced(table, "est comptée deux fois", "is counted twice")
    for line in facts.conservation:
        yield from _equations(line)
    yield from _lists(facts)


def find_unexplained_totals(facts: EvidenceFacts) -> Iterator[Reason]:
    """Give a reason for each total that proves nothing, or that differs without an explanation."""
    for total in (*facts.control_totals, *facts.record_counts, *facts.statistics):
        label = say_total(total.label)
        if total.problem is not None:
            yield _reason(
                ReasonKind.TOTAL,
                "",
                f"Total «\u202f{label.fr}\u202f»\u202f: {total.problem.fr}.",
                f"Total “{label.en}”: {total.problem.en}.",
            )
        elif total.difference and total.explanation is None:
            yield _reason(
                ReasonKind.TOTAL,
                "",
                f"Total «\u202f{label.fr}\u202f»\u202f: écart de"
                f" {write_number(total.difference, Language.FR)}, sans explication.",
                f"Total “{label.en}”: difference of"
                f" {write_number(total.difference, Language.EN)}, without an explanation.",
            )


def find_contradictions(profile: Profile, facts: EvidenceFacts) -> Iterator[Reason]:
    """Give a reason for each level that says PASS while its own figures say something else."""
    if _passed(facts, "L4"):
        yield from _columns(facts)
    if _passed(facts, "L3"):
        yield from _unfolded(facts)
    if _passed(facts, "L5"):
        yield from _questions(facts)
    if _passed(facts, "L6") and "L6" in profile.asked:
        yield from _round_trip(facts)


def _passed(facts: EvidenceFacts, name: str) -> bool:
    level = facts.level(name)
    return level is not None and level.state is LevelState.PASS


def _equations(line: TableConservation) -> Iterator[Reason]:
    if min(getattr(line.rows, name) for name in RowCounts.__slots__) < 0:
        yield _unbalanced(line.table, "porte un compte négatif", "has a negative count")
    if not line.rows.is_balanced:
        left = line.rows.read - line.rows.accounted
        yield _unbalanced(
            line.table,
            f"{write_number(left, Language.FR)} lignes lues moins lignes qui ont un sort",
            f"{write_number(left, Language.EN)} rows read minus rows that have a fate",
        )
    if not line.parts.is_balanced:
        kept = line.parts.inserted + line.parts.updated + line.parts.unchanged + line.parts.merged
        left = line.parts.emitted - kept
        yield _unbalanced(
            line.table,
            f"{write_number(left, Language.FR)} éléments produits moins éléments retrouvés",
            f"{write_number(left, Language.EN)} parts emitted minus parts found again",
        )


def _lists(facts: EvidenceFacts) -> Iterator[Reason]:
    filtered: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    for each in facts.filtered:
        filtered[each.table] += each.rows
    for waiting in facts.quarantined_rows:
        quarantined[waiting.table] += waiting.rows
    counted_filtered = Counter({line.table: line.rows.filtered for line in facts.conservation})
    counted_quarantined = Counter({line.table: line.rows.quarantined for line in facts.conservation})
    for table in sorted({*filtered, *counted_filtered}):
        if filtered[table] != counted_filtered[table]:
            yield _unbalanced(table, "les listes de lignes écartées n’ont pas la longueur du compte",
                              "the lists of filtered rows are not as long as their count")  # fmt: skip
    for table in sorted({*quarantined, *counted_quarantined}):
        if quarantined[table] != counted_quarantined[table]:
            yield _unbalanced(table, "les listes de quarantaine n’ont pas la longueur du compte",
                              "the lists in quarantine are not as long as their count")  # fmt: skip


def _unfolded(facts: EvidenceFacts) -> Iterator[Reason]:
    """Refuse a tripwire that had nothing to compare with when L4 did not judge every record instead."""
    tripwire, reconciled = facts.level("L3"), facts.level("L4")
    is_whole = reconciled is not None and reconciled.figures.get("incomplete") == 0
    if tripwire is not None and tripwire.figures.get("first_fold") is not False and not is_whole:
        yield _reason(
            ReasonKind.EMPTY,
            "L3",
            "L3 n’avait rien à quoi comparer, et L4 n’a pas jugé toutes les fiches.",
            "L3 had nothing to compare with, and L4 did not judge every record.",
        )


def _columns(facts: EvidenceFacts) -> Iterator[Reason]:
    if not sum(column.compared for column in facts.columns):
        yield _reason(
            ReasonKind.EMPTY,
            "L4",
            "L4 se dit conforme et n’a rien comparé.",
            "L4 says PASS and compared nothing.",
        )
    for column in facts.columns:
        name = f"{column.table}.{column.column}"
        if column.different or column.compared != column.equal + column.different:
            yield _reason(
                ReasonKind.CONTRADICTION,
                "L4",
                f"L4 se dit conforme, mais {name} compte"
                f" {write_number(column.compared - column.equal, Language.FR)} valeurs qui ne sont pas égales.",
                f"L4 says PASS, but {name} counts"
                f" {write_number(column.compared - column.equal, Language.EN)} values that are not equal.",
            )


def _questions(facts: EvidenceFacts) -> Iterator[Reason]:
    """Refuse a level that says PASS beside questions that differ, were not answered, or are not all listed."""
    level = facts.level("L5")
    counted = level.figures.get("replay_questions", 0) if level else 0
    if counted != len(facts.questions):
        yield _reason(
            ReasonKind.CONTRADICTION,
            "L5",
            "L5 se dit conforme et ne liste pas toutes les recherches rejouées.",
            "L5 says PASS and does not list every query that was replayed.",
        )
    for asked in facts.questions:
        if asked.different or not asked.is_answered:
            yield _reason(
                ReasonKind.CONTRADICTION,
                "L5",
                f"L5 se dit conforme, mais la recherche {asked.name} n’a pas les mêmes réponses.",
                f"L5 says PASS, but query {asked.name} has not the same answers.",
            )


def _round_trip(facts: EvidenceFacts) -> Iterator[Reason]:
    figures = facts.round_trip
    if figures is None or not figures.rows:
        yield _reason(
            ReasonKind.EMPTY,
            "L6",
            "L6 se dit conforme et n’a rien remis dans l’ancien système.",
            "L6 says PASS and wrote nothing back.",
        )
        return
    if figures.rows_identical != figures.rows:
        yield _reason(
            ReasonKind.CONTRADICTION,
            "L6",
            f"L6 se dit conforme, mais {write_number(figures.rows - figures.rows_identical, Language.FR)}"
            " lignes ne reviennent pas identiques.",
            f"L6 says PASS, but {write_number(figures.rows - figures.rows_identical, Language.EN)}"
            " rows do not come back identical.",
        )
    if not figures.put_get.is_complete:
        yield _reason(
            ReasonKind.CONTRADICTION,
            "L6",
            "L6 se dit conforme, mais des modifications ne reviennent ni exactes ni listées.",
            "L6 says PASS, but edits come back neither exact nor listed.",
        )
    if not figures.fields_touched_ok.is_complete:
        yield _reason(
            ReasonKind.CONTRADICTION,
            "L6",
            "L6 se dit conforme, mais des modifications touchent des champs que leur règle ne déclare pas.",
            "L6 says PASS, but edits touch fields their rule does not declare.",
        )


def _unbalanced(table: str, fr: str, en: str) -> Reason:
    return _reason(
        ReasonKind.UNBALANCED, "L1", f"Conservation de {table}\u202f: {fr}.", f"Conservation of {table}: {en}."
    )


def _reason(kind: ReasonKind, level: str, fr: str, en: str) -> Reason:
    return Reason(kind, level, Text(fr, en))
