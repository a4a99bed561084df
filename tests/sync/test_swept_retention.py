"""All rows read again, though nobody changed them: who is past the term stays out, who is kept again returns."""

import pytest
from captured import make_captured
from projects import known_actor

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

EXPIRED = "select source_table_no, source_key from mig.retention_term where is_expired order by 1, 2"
KEPT_OUT = "select source_table_no, source_key from mig.filtered_row order by 1, 2"
PAST = """
select t.source_key, t.person_key, t.case_key from mig.retention_term t
where t.is_expired and t.case_key is not null and exists (
  select from mig.retention_term p where p.source_key = t.person_key and p.case_key is null and p.is_expired)
order by length(t.source_key), t.source_key limit 1
"""


def test_a_sweep_brings_back_nobody_but_who_may_be_kept_again(cluster, tmp_path, capfd):
    project = make_captured(cluster, tmp_path / "project", "journal")
    assert project.banyan("load", "38", "--json") == 0
    before = (project.ask(project.store, EXPIRED), project.ask(project.store, KEPT_OUT))
    ((_, person, case),) = project.ask(project.store, PAST)

    assert project.banyan("sync", "sweep", "38", "--json") == 0
    after = (project.ask(project.store, EXPIRED), project.ask(project.store, KEPT_OUT))

    assert len(before[0]) > 100
    assert after == before

    project.ask(project.legacy, "alter table orion.t_proc disable trigger all")
    project.ask(project.legacy, f"update orion.t_proc set statut = 'E' where id_proc = {case}")
    capfd.readouterr()
    assert project.banyan("load", "38", "--json") == 0

    left = set(project.ask(project.store, EXPIRED))
    back = set(before[0]) - left
    persons = {
        key for (key,) in project.ask(project.store, "select distinct person_key from mig.retention_term"
                                      f" where case_key = '{case}' and not is_expired")
    }  # fmt: skip
    theirs = project.ask(
        project.store, "select source_table_no, source_key from mig.retention_term where person_key = any(:keys)",
        keys=sorted(persons),
    )  # fmt: skip
    assert person in persons
    assert back
    assert back <= set(theirs)
    assert (len(left), project.differences()) == (len(before[0]) - len(back), {})
