"""Control totals of the other flavours: MAREL on MariaDB, and BUREAU whose keys stand in each of several files."""

import pytest
from brigades import make_brigades
from marels import make_marel

from cutover.judgement import subject_of
from cutover.totals import totals_of

pytestmark = pytest.mark.server


def totals_and_wrong(world):
    """Give the lines of the closure with the cases, and those that differ without an explanation or prove nothing."""
    rig = world.rig
    name = next(found.name for found in rig.closures if "cases" in found.domains)
    lines = totals_of(subject_of(rig, name), rig.forward().watermark())
    wrong = [line for line in lines if line.problem or (line.difference and line.explanation is None)]
    return {line.label.en: line for line in lines}, wrong


@pytest.mark.mariadb
def test_a_marel_that_was_copied_has_the_totals_of_its_old_system(cluster, mariadb, tmp_path):
    world = make_marel(cluster, mariadb, tmp_path / "project", capture="journal", name="totals_marel")
    world.load()

    found, wrong = totals_and_wrong(world)
    world.close()

    assert wrong == []
    assert found["Offences, by year"].legacy > 0
    assert found["Cases opened, by year"].canonical > 0


def test_the_files_of_two_brigades_are_counted_together_though_they_share_their_keys(cluster, tmp_path):
    world = make_brigades(cluster, tmp_path / "project", fence="triggers", name="totals_brigades")
    world.load()

    found, wrong = totals_and_wrong(world)
    ((records,),) = world.ask_store("select count(*) from justice.case_file where department_code = '48'")
    world.close()

    assert wrong == []
    assert found["Cases opened, by year"].canonical == records
    assert found["Cases opened, by year"].legacy >= records > 0
