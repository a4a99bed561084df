"""A decision that erases, known at the source and not applied there, is a finding of L2: counted, shown, unnamed."""

from dataclasses import replace

import pytest
from judged import judged, subject_of
from stores import make_store, store_template
from worlds import RULES

from banyan.findings import FindingKind, LevelResult, LevelState, Severity
from validation.facts import pseudonymous
from validation.text import Language
from validation.unapplied import find_unapplied, with_unapplied
from validation.wording import measured

__all__ = ["judged", "make_store", "store_template"]
pytestmark = pytest.mark.server
RULES_HOLD = LevelResult("L2", LevelState.PASS, "22 rules", {"declared": 22, "loaded": 22, "evaluated": 22})
SUSPECTS = (
    "select i.id_implic from orion.t_implic i where i.top_supp is distinct from 'O' and trim(i.qualite) = 'MEC'"
    " and not exists (select from orion.t_suite s where s.id_implic = i.id_implic) order by 1 limit 2"
)


@pytest.fixture
def decided(judged):
    """A suspect and a decision that erases, not applied to it; gives the key of the decision."""
    key = 900_000_001
    implied = judged.on_legacy(SUSPECTS, role="banyan_reader")[0][0]
    columns = "id_suite, id_implic, code_suite"
    judged.on_legacy(f"insert into orion.t_suite ({columns}) values (%s, %s, 'ACQ')", (key, implied))
    yield str(key)
    judged.on_legacy("delete from orion.t_suite where id_suite = %s", (key,))


def found_in(world):
    return find_unapplied(replace(subject_of(world), rules=RULES))


def test_a_decision_that_was_not_applied_is_found_by_its_own_kind(judged, decided):
    found = found_in(judged)

    assert decided in {one.key for one in found}
    assert {one.kind for one in found} == {FindingKind.DISPOSITION_NOT_APPLIED}
    assert {one.table for one in found} == {"t_suite"}
    assert {one.severity for one in found} == {Severity.QUARANTINE}


def test_a_decision_that_was_applied_is_none(judged, decided):
    before = len(found_in(judged))
    judged.on_legacy("update orion.t_suite set top_supp = 'O' where id_suite = %s", (decided,))

    assert len(found_in(judged)) == before - 1


def test_the_level_counts_them_says_so_in_both_languages_and_does_not_fail(judged, decided):
    found = found_in(judged)

    level = with_unapplied(RULES_HOLD, found)

    assert level.state is LevelState.PASS
    assert level.figures["dispositions_not_applied"] == len(found)
    assert measured(level, Language.EN).endswith(
        f"evaluated; decisions that erase, known and not applied in the old system: {len(found)}"
    )
    assert "décisions d’effacement connues et non appliquées" in measured(level, Language.FR)


def test_the_evidence_names_them_by_pseudonym_only(judged, decided):
    _, lines = pseudonymous([with_unapplied(RULES_HOLD, found_in(judged))], b"k" * 32)

    assert {line.kind for line in lines} == {FindingKind.DISPOSITION_NOT_APPLIED}
    assert decided not in {line.pseudonym for line in lines}


def test_another_closure_and_rules_without_decisions_are_not_asked(judged):
    assert find_unapplied(subject_of(judged)) is None
    assert find_unapplied(replace(subject_of(judged), rules=RULES, domains=("reference",))) is None
    assert with_unapplied(RULES_HOLD, None) == RULES_HOLD
