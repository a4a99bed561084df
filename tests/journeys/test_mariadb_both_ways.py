"""A legacy MariaDB from its first copy to the switch and back again, through the same doors as any other."""

import pytest
from marels import make_marel
from switches import order

from banyan.departments import Phase
from banyan.ports import FenceMode
from cutover.switching import roll_back, switch
from estate.live import Pace
from estate.marel_live import live_marel

pytestmark = [pytest.mark.mariadb, pytest.mark.server, pytest.mark.journey]


# a journal is followed, switched and taken back every day in tests/cutover/test_replayed_traces.py
@pytest.fixture(params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def world(request, cluster, mariadb, tmp_path):
    world = make_marel(cluster, mariadb, tmp_path / "project", capture=request.param, name=f"marel_{request.param}")
    yield world
    world.close()


def test_a_legacy_mariadb_is_copied_followed_switched_and_taken_back(world):
    world.load()
    done = live_marel(world.marel.url("marel_app"), Pace(rate_per_second=500, count=60, seed=4))
    world.catch_up()
    assert done.refused == 0
    assert world.is_equal() == ("PASS", 0)
    assert {world.rig.port.capabilities(table).incremental.value for table in world.closure.tables} == {world.way}

    world.sign()
    switch(world.rig, world.closure, order())
    assert world.phase is Phase.LIVE
    state, open_tables, defects = world.look_at_fence()
    assert (state.mode, open_tables, defects) == (FenceMode.SEALED, (), [])

    before = world.marel.run("select count(*), max(id_objet) from objets")[0]
    world.people_of_the_new_system()
    roll_back(world.rig, world.closure, order())
    assert world.phase is Phase.SYNCING
    state, open_tables, defects = world.look_at_fence()
    assert (state.mode, set(open_tables), defects) == (FenceMode.OPEN, set(world.closure.tables), [])
    assert world.marel.run("select count(*) from objets where serie = 'NOUVEAU'") == [(5,)]
    born = world.marel.run("select id_objet from objets where description = 'né ici'")
    assert [number > before[1] for (number,) in born] == [True]
    assert world.marel.run("select count(*) from objets") == [(before[0],)]
    assert world.is_equal() == ("PASS", 0)

    live_marel(world.marel.url("marel_app"), Pace(rate_per_second=500, count=20, seed=5))
    world.catch_up()
    assert world.is_equal() == ("PASS", 0)
