"""First copy and changes through each way of capture that installs nothing, from the project to equal sides."""

import pytest
from captured import make_captured
from projects import known_actor

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

CHANGES = (
    "update orion.t_personne set profession = 'PLOMBIER' where id_pers % 5 = 0",
    "update orion.t_tel set num_tel = '0612345678' where id_tel % 3 = 0",
    "insert into orion.t_tel (id_tel, id_pers, num_tel, type_tel) select 900000 + n, 1, '0612345678', 'M'"
    " from generate_series(1, 20) n",
)
DELETES = "delete from orion.t_tel where id_tel % 7 = 0"
MARKED = "update orion.t_tel set top_supp = 'O' where id_tel % 7 = 0"


@pytest.mark.parametrize("capture", ["row_version", pytest.param("snapshot", marks=pytest.mark.torture)])
def test_a_source_that_is_only_read_ends_with_both_sides_equal(cluster, tmp_path, capture, request):
    project = make_captured(cluster, tmp_path / "project", capture)
    request.addfinalizer(lambda: project.ask(project.legacy, "revoke pg_read_all_stats from banyan_reader"))
    project.ask(project.legacy, "grant pg_read_all_stats to banyan_reader")
    assert project.banyan("load", "38", "--json") == 0

    for change in (*CHANGES, DELETES if capture == "snapshot" else MARKED):
        project.ask(project.legacy, change)
    project.sync()

    assert project.differences() == {}
    assert project.ask(project.legacy, "select to_regclass('banyan.journal'), to_regclass('banyan.log_capture')") == [
        (None, None)
    ]
    assert project.ask(project.store, "select count(*) from mig.run where kind = 'CHANGES'") != [(0,)]
