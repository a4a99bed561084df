"""The suites of a project, as a judgement asks for them: found in its folder, refused before anything is judged."""

import pytest

from banyan.config import load_project
from cli.judgements import rig_of
from cutover.judgement import rules_of
from sync.workspace import opened

pytestmark = pytest.mark.server

OWN = """\
suite: case_file
table: case_file
weigh:
  - {id: case_file.case_number_normalised_present, severity: BLOCK, owner: claire, reason: "letter 12 of 3 March"}
"""


@pytest.fixture
def suites(loaded_project):
    """The folder of suites of the department, empty again afterwards."""
    folder = loaded_project.folder / "suites" / "38"
    folder.mkdir(parents=True)
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def digest_of(project) -> str:
    with opened(load_project(project.folder)) as workspace:
        return rules_of(rig_of(workspace, "38.cases"), "38.cases")


def test_a_suite_of_the_project_is_among_the_rules_a_closure_is_judged_by(loaded_project, suites):
    before = digest_of(loaded_project)
    (suites / "case_file.yaml").write_text(OWN, encoding="utf-8")
    after = digest_of(loaded_project)
    (suites / "case_file.yaml").unlink()

    assert before != after
    assert digest_of(loaded_project) == before


def test_a_suite_that_says_something_wrong_is_refused_before_anything_is_judged(loaded_project, suites, capsys):
    (suites / "case_file.yaml").write_text(OWN.replace("normalised", "normalized"), encoding="utf-8")

    code = loaded_project.banyan("validate", "run", "38.cases")

    told = capsys.readouterr().err
    assert code == 2
    assert "suites/38/case_file.yaml:4:" in told
    assert "L0" not in told
    assert not (loaded_project.folder / "evidence").exists()
