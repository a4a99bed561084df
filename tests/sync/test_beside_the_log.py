"""A table that neither log nor journal can follow, beside tables that they follow: compared row by row in every run."""

import json

import pytest
from marels import MAREL, MarelWorkspace, MarelWorld, make_marel
from projects import known_actor, run
from switches import order

from banyan.config import load_project
from banyan.departments import Phase
from cutover.switching import roll_back, switch
from sync.assembly import prepare
from sync.captures import find_unfollowed

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server]

TREE = (
    "update objets set quantite = null",
    "alter table objets modify column quantite int unsigned",
    "alter table objets add constraint fk_itself foreign key (quantite) references objets (id_objet) on delete cascade",
)


def open_again(world: MarelWorld) -> MarelWorld:
    """Open the project as the next command would: what the catalogue says today."""
    folder = world.rig.workspace.project.folder
    world.close()
    return MarelWorld(prepare(MarelWorkspace(load_project(folder)), MAREL), world.marel, world.way)


@pytest.fixture(params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def world(request, cluster, mariadb, tmp_path):
    name = f"marel_{tmp_path.name.strip('0123456789')[-24:]}_{request.param}"
    made = make_marel(cluster, mariadb, tmp_path / "project", capture=request.param, name=name)
    made.marel.run(*TREE)
    return open_again(made)


def ids(world: MarelWorld, count: int) -> list[int]:
    return [number for (number,) in world.marel.run(f"select id_objet from objets order by id_objet limit {count}")]


def write_unseen(world: MarelWorld) -> int:
    """Let a tree of three grow and fall in one statement, and people write in both kinds of tables; gives the root."""
    root, child, leaf, other = ids(world, 4)
    world.marel.run(
        f"update objets set quantite = {root} where id_objet = {child}",
        f"update objets set quantite = {child} where id_objet = {leaf}",
    )
    assert carry(world) == 0
    world.marel.run(
        f"delete from objets where id_objet = {root}",
        f"update objets set serie = 'VUE' where id_objet = {other}",
        "update vehicules set modele = 'VU' order by id_vehicule limit 1",
    )
    assert world.marel.run(f"select count(*) from objets where id_objet in ({root}, {child}, {leaf})") == [(0,)]
    return root


def carry(world: MarelWorld) -> int:
    return run(["-C", str(world.rig.workspace.project.folder), "sync", "run", "35"])


def told(world: MarelWorld, capfd, *arguments: str):
    capfd.readouterr()
    run(["-C", str(world.rig.workspace.project.folder), *arguments])
    return capfd.readouterr().out


def test_a_tree_that_falls_inside_the_engine_is_carried_and_a_table_that_is_none_any_more_is_read_whole(world, capfd):
    world.load()
    before = world.rig.port.count("objets")

    write_unseen(world)
    assert carry(world) == 0

    assert (world.is_equal(), world.rig.port.count("objets")) == (("PASS", 0), before - 3)
    told_of = json.loads(told(world, capfd, "source", "capabilities", "35", "--json"))
    found = {one["table"]: one["changes by"] for one in told_of}
    assert (found["objets"], found["vehicules"]) == ("snapshot_diff", world.way)
    assert [
        "every row of it is compared in each run" in one["note"] for one in told_of if one["table"] == "objets"
    ] == [True]
    assert find_unfollowed(world.rig.port, world.rig.workspace.source_config(MAREL), tuple(found)) == []
    runs = world.ask_store("select count(*) from mig.run")
    assert carry(world) == 0
    assert world.ask_store("select count(*) from mig.run") == runs

    write_unseen(world)
    world.marel.run("alter table objets drop foreign key fk_itself")
    assert carry(world) == 0

    ended = open_again(world)
    assert ended.is_equal() == ("PASS", 0)
    assert ended.rig.port.capabilities("objets").incremental.value == ended.way
    ended.close()


@pytest.mark.torture
def test_a_table_that_refers_to_itself_from_now_on_is_read_whole_once(world):
    world.marel.run("alter table objets drop foreign key fk_itself")
    followed = open_again(world)
    followed.load()
    followed.marel.run(TREE[2])
    root, child = ids(followed, 2)
    followed.marel.run(
        f"update objets set quantite = {root} where id_objet = {child}", f"delete from objets where id_objet = {root}"
    )

    if followed.way == "journal":  # the table was made anew, and its triggers with it: that is never passed over
        assert carry(followed) == 3
        assert run(["-C", str(followed.rig.workspace.project.folder), "load", "35"]) == 0
    assert carry(followed) == 0

    began = open_again(followed)
    assert began.is_equal() == ("PASS", 0)
    assert began.rig.port.capabilities("objets").incremental.value == "snapshot_diff"
    began.close()


@pytest.mark.torture
def test_a_closure_with_a_tree_is_switched_after_a_last_look_and_taken_back(world):
    world.load()
    world.sign()
    write_unseen(world)

    switch(world.rig, world.closure, order())

    assert (world.phase, world.is_equal()) == (Phase.LIVE, ("PASS", 0))
    world.people_of_the_new_system()
    roll_back(world.rig, world.closure, order())
    assert (world.phase, world.is_equal()) == (Phase.SYNCING, ("PASS", 0))
    write_unseen(world)
    assert carry(world) == 0
    assert world.is_equal() == ("PASS", 0)
    world.close()
