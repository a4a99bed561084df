"""Golden records in a judgement: those of its tables are run, and one that does not hold fails L4 by name."""

import shutil
from dataclasses import replace

import pytest
import yaml
from judged import judged, subject_of
from stores import make_store, store_template
from worlds import RULES, loaded, world

from banyan.findings import FindingKind, LevelState, Severity
from mappings.model import Deviation
from validation.cause_words import say_cause
from validation.golden_level import with_golden
from validation.reconcile import reconcile
from validation.reconciliation import CauseGroup
from validation.text import Language
from validation.wording import measured

pytestmark = pytest.mark.server
__all__ = ["judged", "loaded", "make_store", "store_template", "world"]


@pytest.fixture(scope="module")
def found(judged):
    """What L4 finds in a faithful store, before any golden record is run."""
    return reconcile(subject_of(judged), watermark=None)


@pytest.fixture
def rules(tmp_path):
    """The rules of ORION in a place of their own."""
    return shutil.copytree(RULES, tmp_path / "orion")


def counted(tables):
    """Count the golden records of some tables with PyYAML alone."""
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in (RULES / "golden").glob("*.yaml")]
    return {one["golden"]: len(one["records"]) for one in documents if one["golden"] in tables}


def test_the_golden_records_of_the_judged_tables_are_run_and_told(judged, found):
    subject = replace(subject_of(judged), rules=RULES)

    level = with_golden(found, subject).level

    records = counted(subject.tables)
    total = sum(records.values())
    assert total >= len(records) == len(subject.tables) == 9
    assert (level.state, level.findings) == (LevelState.PASS, ())
    assert [level.figures[f"golden_{name}"] for name in ("records", "held", "tables", "unreadable")] == [
        total, total, 9, 0
    ]  # fmt: skip
    assert f"{total} golden records of 9 of 9 tables were run, {total} hold" in level.sentence
    assert "counted a second time in pandas" in level.sentence
    assert measured(level, Language.EN).endswith(f"golden records: {total} run, {total} hold")


def test_a_rule_that_is_wrong_twice_in_the_same_way_fails_the_level_by_the_name_of_the_golden_record(
    judged, found, rules
):
    maps = rules / "code_maps.yaml"
    text = maps.read_text("utf-8")
    assert "MEC: SUSPECT, VIC: VICTIM" in text
    maps.write_text(text.replace("MEC: SUSPECT, VIC: VICTIM", "MEC: VICTIM, VIC: SUSPECT", 1), encoding="utf-8")
    subject = replace(subject_of(judged), rules=rules)

    result = with_golden(found, subject)

    broken = [(one.kind, one.severity, one.table, one.cause) for one in result.level.findings]
    assert found.level.state is LevelState.PASS
    assert result.level.state is LevelState.FAIL
    assert {(kind, severity, table) for kind, severity, table, _ in broken} == {
        (FindingKind.GOLDEN_BROKEN, Severity.BLOCK, "t_implic")
    }
    names = {one["name"] for one in yaml.safe_load((RULES / "golden" / "t_implic.yaml").read_text("utf-8"))["records"]}
    causes = {cause for *_, cause in broken}
    assert causes
    assert {cause.removeprefix("golden record does not hold: ") for cause in causes} <= names
    assert len(broken) == result.level.figures["blocking"]
    assert result.level.figures["golden_held"] == result.level.figures["golden_records"] - len(broken)
    assert set(result.causes) == {CauseGroup("t_implic", None, FindingKind.GOLDEN_BROKEN, cause, 1) for cause in causes}
    assert all(say_cause(cause).fr.startswith("fiche étalon non tenue") for cause in causes)


def test_a_golden_file_that_cannot_be_read_is_an_error_and_not_a_pass(judged, found, rules):
    broken = rules / "golden" / "t_tel.yaml"
    broken.write_text(broken.read_text("utf-8") + "sentence: of nobody\n", encoding="utf-8")

    level = with_golden(found, replace(subject_of(judged), rules=rules)).level

    assert level.state is LevelState.ERROR
    assert level.figures["golden_unreadable"] == 1
    assert "the first t_tel.yaml:" in level.sentence
    assert str(rules) not in level.sentence


def test_without_golden_records_the_level_says_so_and_stands_on_its_own(judged, found, rules):
    shutil.rmtree(rules / "golden")

    bare = with_golden(found, subject_of(judged)).level
    empty = with_golden(found, replace(subject_of(judged), rules=rules)).level

    assert bare.state is empty.state is LevelState.PASS
    assert "no golden record stands beside the rules" in bare.sentence
    assert bare.sentence == empty.sentence
    assert (empty.figures["golden_records"], empty.figures["golden_tables"]) == (0, 0)


def test_what_a_department_says_otherwise_is_named_as_not_said_by_golden_records(judged, found):
    subject = replace(subject_of(judged), rules=RULES)
    one = Deviation("ROLE", ("MEC",), "somebody", until=yaml.safe_load("2030-01-01"), reason="written otherwise")

    level = with_golden(found, replace(subject, book=replace(subject.book, deviations=(one,)))).level

    assert level.state is LevelState.PASS
    assert "they do not say what department 38 says otherwise: ROLE" in level.sentence
