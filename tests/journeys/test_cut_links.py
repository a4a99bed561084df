"""The link to the old system is cut between any two deeds: one side at most writes, and all is well once it heals."""

from datetime import timedelta

import pytest
from projects import known_actor
from proxy import Link
from sqlalchemy.engine import make_url
from switches import NAME, ORION, SwitchWorld, TestWorkspace, order, switch_world

from banyan.clock import now
from banyan.config import load_project
from banyan.departments import Phase, SourceRef
from banyan.errors import BanyanError
from cutover.guard import guard_once
from cutover.switching import abort, roll_back, switch
from cutover.telephone import give_code
from sync.assembly import Rig, open_rig
from sync.workspace import LegacyUrls

pytestmark = [pytest.mark.server, pytest.mark.journey]
__all__ = ["known_actor", "switch_world"]

THERE = [
    *("CLOSE_LEGACY", "READ_DRAIN_POSITION", "COMMIT_POSITION", "DRAIN", "VERIFY_CHANGED"),
    *("COMMIT_VERIFIED", "SEAL_LEGACY", "FLIP"),
]
BACK = ["ROLL_BACK", "DRAIN_REVERSE", "VERIFY_REVERSE", "FLIP_BACK", "OPEN_LEGACY", "COMMIT_OPENED"]


class FarWorkspace(TestWorkspace):
    """The same project, whose old system is reached over a link."""

    link: Link

    def legacy_urls(self, source: SourceRef) -> LegacyUrls:
        near = super().legacy_urls(source)
        return LegacyUrls(*(far(url, self.link) for url in (near.reader, near.reverse, near.guard, near.admin,
                                                            near.application)))  # fmt: skip


def far(url: str, link: Link) -> str:
    return make_url(url).set(port=link.port).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def link(cluster):
    made = Link(cluster.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def far_rig(switch_world: SwitchWorld, link: Link) -> Rig:
    """A controller's rig behind the link; the test itself stands near and sees both sides."""
    workspace = FarWorkspace(load_project(switch_world.project.folder))
    workspace.link = link
    yield open_rig(workspace, ORION)
    workspace.close()


@pytest.fixture
def world(switch_world: SwitchWorld, link: Link) -> SwitchWorld:
    """The module's world, at rest under LEGACY, the link whole."""
    link.heal()
    if switch_world.phase is Phase.LIVE:
        roll_back(switch_world.rig, switch_world.closure, order())
    switch_world.catch_up()
    switch_world.sign()
    switch_world.officers(3)
    return switch_world


def cut_at(world, rig, link, deed, point):
    """Let a controller work until the link is cut under it."""

    def checkpoint(name):
        if name == f"before {point}":
            link.cut()

    try:
        deed(rig, rig.closure(NAME), order(checkpoint=checkpoint))
    except BanyanError as error:
        return error.exit_code
    return 0


def later(rig, world):
    return guard_once(rig, world.closure, now=now() + timedelta(hours=1))


def goes_there(world, rig, link, point):
    code = cut_at(world, rig, link, switch, point)
    during = world.who_writes()
    while_cut = later(rig, world)
    after_guard = world.who_writes()
    link.heal()
    rig.close()
    healed = later(rig, world)
    if world.phase is not Phase.LIVE:
        world.sign()
        switch(rig, world.closure, order())

    assert "BOTH" not in (during, after_guard)
    assert code in (0, 3, 4, 5)
    assert while_cut.doubts or world.phase is Phase.LIVE
    assert healed.is_sure
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


def comes_back(world, rig, link, point):
    switch(world.rig, world.closure, order())
    world.application(6)
    code = cut_at(world, rig, link, roll_back, point)
    during = world.who_writes()
    later(rig, world)
    after_guard = world.who_writes()
    link.heal()
    rig.close()
    later(rig, world)
    if world.phase is Phase.LIVE:
        roll_back(rig, world.closure, order())

    assert "BOTH" not in (during, after_guard)
    assert code in (0, 3, 4, 5)
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))
    assert world.reconcile().level.figures["differences"] == 0


def test_a_link_cut_before_the_seal_is_given_up_and_the_switch_succeeds_once_it_heals(world, far_rig, link):
    goes_there(world, far_rig, link, "SEAL_LEGACY")


def test_while_the_link_is_cut_after_a_way_back_a_code_opens_the_old_side(world, far_rig, link):
    switch(world.rig, world.closure, order())
    world.application(3)
    cut_at(world, far_rig, link, roll_back, "OPEN_LEGACY")
    shut = (world.phase, world.who_writes())
    given = give_code(far_rig, world.closure, actor=order().actor)
    answers = [world.ask_legacy(statement)[0][0] for statement in given.statements]
    opened = world.who_writes()
    world.officers(3)
    link.heal()
    far_rig.close()
    found = later(far_rig, world)

    assert shut == (Phase.R_OPENING, "NOBODY")
    assert "opened" in answers and opened == "LEGACY"
    assert (found.phase, found.is_sure) == (Phase.SYNCING, True)
    world.catch_up()
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))


@pytest.mark.torture
@pytest.mark.parametrize("point", THERE)
def test_a_switch_survives_a_cut_before_each_deed(world, far_rig, link, point):
    goes_there(world, far_rig, link, point)


@pytest.mark.torture
@pytest.mark.parametrize("point", BACK)
def test_a_way_back_survives_a_cut_before_each_deed(world, far_rig, link, point):
    comes_back(world, far_rig, link, point)


@pytest.mark.torture
@pytest.mark.parametrize("point", ["before SEAL_LEGACY", "before OPEN_LEGACY"])
def test_an_abort_over_a_link_that_is_cut_waits_for_it(world, far_rig, link, point):
    cut_at(world, far_rig, link, switch, point.removeprefix("before "))
    try:
        abort(far_rig, world.closure, order())
    except BanyanError as error:
        code = error.exit_code
    else:
        code = 0
    link.heal()
    far_rig.close()
    later(far_rig, world)

    assert code in (0, 3, 4)
    assert world.who_writes() in ("LEGACY", "CANONICAL")
