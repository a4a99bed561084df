"""A table whose changes nobody finds is loud: in its capabilities, in the status, and before a switch."""

import pytest
from marels import MAREL, make_marel
from projects import known_actor

from banyan.departments import Side
from cli.status import read_status
from cli.words import Word
from cutover.plan import plan_switch
from cutover.reading import RigReader
from sync.assembly import open_rig

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server]


def test_a_table_that_lost_its_key_stops_status_and_plan(cluster, mariadb, tmp_path, known_actor):
    world = make_marel(cluster, mariadb, tmp_path / "project", capture="journal", name="loud")
    world.load()
    sound = read_status(world.rig.workspace, "35").word
    world.marel.run("alter table implications modify id_implication int unsigned not null, drop primary key")
    rig = open_rig(world.rig.workspace, MAREL)  # a port reads the shape of a table once
    closure = next(found for found in rig.closures if "implications" in found.tables)

    note = rig.port.capabilities("implications").note
    status = read_status(world.rig.workspace, "35")
    obstacles = plan_switch(closure, Side.CANONICAL, RigReader(rig, closure)).obstacles
    rig.close()
    world.close()

    assert sound is not Word.NO
    assert note == "its changes are not found by journal"
    assert (status.word, "implications" in status.sentence) == (Word.NO, True)
    assert [each.name for each in obstacles if "implications" in each.sentence and each.name == "followed"] == [
        "followed"
    ]
