"""The cutover on real stores of every make: traces that break a mutant, tables made anew, rows that are refused."""

import pytest
from brigades import make_brigade
from marels import make_marel
from officers import find_keys, officers_of, read_row, write_record
from projects import known_actor
from replay import PERSON, Gone, Replay
from switches import build_switch_world, order

from banyan.clock import now
from banyan.departments import Phase, Side
from banyan.errors import SwitchRefused
from banyan.ports import FenceMode
from cutover.guard import guard_once
from cutover.mutants import MUTANTS, find_mutant
from cutover.switching import abort, roll_back, switch
from cutover.telephone import give_code
from store.runs import RunKind

pytestmark = pytest.mark.server
__all__ = ["known_actor"]

MARKS = {"postgresql": (), "mariadb": (pytest.mark.mariadb,), "sqlite": ()}
# a copy that comes back from a backup is played in test_restored_copies, test_restored_old_sides and test_deciding
RESTORED = {"NOISOLATE", "NODETECT", "NOLATCH", "LAGWIT", "DRAINAPART"}
TRACES = [mutant.name for mutant in MUTANTS if mutant.killed_by and mutant.name not in RESTORED]
DAILY = {
    "postgresql": ("NOTOKEN", "RECLOSE", "DOWNGRADE"),
    "mariadb": ("RECLOSE",),
    "sqlite": ("RECLOSE",),
}


def marks_of(store, name):
    return MARKS[store] if name in DAILY[store] else (*MARKS[store], pytest.mark.torture)


@pytest.fixture(scope="module")
def worlds(request, cluster, tmp_path_factory):
    """One world a store, made when it is first asked for."""
    made = {}

    def find(store):
        if store not in made:
            folder = tmp_path_factory.mktemp(store) / "project"
            match store:
                case "postgresql":
                    made[store] = build_switch_world(cluster, folder)
                case "mariadb":
                    server = request.getfixturevalue("mariadb")
                    made[store] = make_marel(cluster, server, folder, capture="journal", name="traces_marel")
                    made[store].load()
                case _:
                    made[store] = make_brigade(cluster, folder, fence="triggers", name="traces_brigade")
                    made[store].load()
        return made[store]

    yield find
    for world in made.values():
        world.close()


@pytest.fixture
def world(worlds, store):
    """The world of a store, at rest under LEGACY."""
    found = worlds(store)
    found.come_to_rest(order())
    return found


@pytest.mark.parametrize(
    ("store", "name"),
    [pytest.param(store, name, marks=marks_of(store, name)) for store in MARKS for name in TRACES],
)
def test_the_trace_of_a_wrong_decision_ends_well_with_the_programs_own(world, name):
    replay = Replay(world)
    replay.play(find_mutant(name))
    who, stands = world.who_writes(), replay.stands()
    if world.phase in (Phase.FENCING, Phase.DRAINING, Phase.VERIFYING, Phase.SEALING, Phase.ABORTING):
        abort(world.rig, world.closure, order())
    if world.phase is Phase.R_OPENING:
        guard_once(world.rig, world.closure, now=now())

    assert who != "BOTH"
    assert stands == replay.acknowledged
    assert replay.acknowledged or replay.refused
    assert world.who_writes() == ("CANONICAL" if world.row.owner is Side.CANONICAL else "LEGACY") or world.phase in (
        Phase.R_DRAINING,
        Phase.R_VERIFYING,
    )


def on_every_store(*, daily):
    """Run a test on every store: on these every day, on the others when there is time."""
    marks = {store: more if store in daily else (*more, pytest.mark.torture) for store, more in MARKS.items()}
    return pytest.mark.parametrize("store", [pytest.param(store, marks=marks[store]) for store in MARKS])


def refused_of(world):
    """Give the keys of rows listed as refused, each with its reason."""
    return world.ask_store("select source_key, cause from mig.degraded_write_back where kind = 'REFUSED' and"
                           " state = 'OPEN' and canonical_table = :t", t=officers_of(world).cell.record)  # fmt: skip


def install_again(world):
    """Do what an engineer does once the reason is known: capture and fence again; they keep their state."""
    admin = world.rig.workspace.legacy_urls(world.rig.source).admin
    world.rig.database.install_capture(admin, world.closure.tables)
    world.rig.guarded.install_fence(admin, world.name, world.closure.tables)


def looked(world):
    return guard_once(world.rig, world.closure, now=now()).doubts


@on_every_store(daily=("postgresql",))
def test_a_table_dropped_and_made_again_while_sealed_lets_nobody_write_unseen(world):
    switch(world.rig, world.closure, order())
    people = officers_of(world)
    cell, (key, other) = people.cell, find_keys(world, 2)
    people.make_anew()
    client = people.begin(key, "behind the fence")
    client.commit()
    client.close()

    state, writable, defects = world.look_at_fence()
    doubts = looked(world)
    with pytest.raises(SwitchRefused, match="1 thing in the way"):
        roll_back(world.rig, world.closure, order())
    write_record(world, key, "by the owner")
    write_record(world, other, "by the owner too")
    refused_back = (world.phase, world.row.owner)
    install_again(world)
    mended = (looked(world), world.who_writes())
    world.rig.reverse_engine().advance(world.rig.reverse(world.name), RunKind.REVERSE)
    listed = world.ask_store(
        "select source_key, kind from mig.degraded_write_back where state = 'OPEN'"
        " and column_name = :c and source_key = any(:k)",
        c=cell.field,
        k=[key, other],
    )
    roll_back(world.rig, world.closure, order())

    assert (state.mode, writable) == (FenceMode.SEALED, (cell.table,))
    assert {defect.table for defect in defects} == {cell.table}
    assert f"the old side lets people write in {cell.table} while the new system owns" in doubts
    assert refused_back == (Phase.LIVE, Side.CANONICAL)
    assert mended == ((), "CANONICAL")
    assert [read_row(world, each) for each in (key, other)] == ["by the owner", "by the owner too"]
    assert listed == [(key, "CONFLICT")]
    assert world.who_writes() == "LEGACY"


@on_every_store(daily=("sqlite",))
def test_a_table_made_again_between_the_proof_of_the_fence_and_the_flip_stops_the_switch(world, store):
    people, (key,) = officers_of(world), find_keys(world, 1)

    def behind(point):
        if point == "before SEAL_LEGACY":
            people.make_anew()
            client = people.begin(key, "in the last moment")
            client.commit()
            client.close()

    with pytest.raises(SwitchRefused, match=f"does not refuse a write on {people.cell.table}"):
        switch(world.rig, world.closure, order(checkpoint=behind))
    given_up = (world.phase, world.row.owner, world.fence.mode)
    doubts = looked(world)
    install_again(world)
    mended = (looked(world), world.who_writes())
    world.catch_up()
    missed = world.reconcile().level.figures["different"]

    assert given_up == (Phase.SYNCING, Side.LEGACY, FenceMode.OPEN)
    assert read_row(world, key) == "in the last moment"
    assert any(people.cell.table in doubt for doubt in doubts)
    assert mended == ((), "LEGACY")
    assert missed == (0 if store == "sqlite" else 1)  # no trigger told of it: a look finds it, or the judge does


def leave(point):
    """Let a controller die at a point."""

    def stop(name):
        if name == point:
            raise Gone

    return order(checkpoint=stop)


@pytest.mark.parametrize("store", [pytest.param("mariadb", marks=pytest.mark.mariadb)])  # others: test_deciding
def test_the_statement_read_over_the_telephone_opens_an_old_side_that_an_abort_left_shut(world):
    with pytest.raises(Gone):
        switch(world.rig, world.closure, leave("before FLIP"))
    with pytest.raises(Gone):
        abort(world.rig, world.closure, leave("before OPEN_LEGACY"))
    shut = world.who_writes()

    given = give_code(world.rig, world.closure, actor=PERSON)
    answers = [officers_of(world).run(statement)[0][0] for statement in given.statements]

    assert (shut, world.who_writes()) == ("NOBODY", "LEGACY")
    assert sorted(answers) == ["opened", "refused: this is no code of this closure"]


@on_every_store(daily=("mariadb", "sqlite"))
def test_rows_that_the_old_side_refuses_block_no_other_and_are_listed_until_it_takes_them(world):
    people = officers_of(world)
    reasons = people.refuse(again=True)
    install_again(world)
    world.catch_up()
    world.sign()
    switch(world.rig, world.closure, order())
    keys = find_keys(world, len(reasons) + 5)
    wanted = dict(zip(keys, [*reasons, *(f"GOOD {number}" for number in range(5))], strict=True))
    stood = {key: read_row(world, key) for key in keys}
    for key, value in wanted.items():
        write_record(world, key, value)

    done = world.rig.reverse_engine().advance(world.rig.reverse(world.name), RunKind.REVERSE).total.rows
    after = {key: read_row(world, key) for key in keys}
    listed = dict(refused_of(world))
    alarm = [doubt for doubt in looked(world) if "refuses" in doubt]
    left = world.rig.reverse(world.name).queue()
    people.refuse(again=False)
    install_again(world)
    for key, value in wanted.items():
        write_record(world, key, value)  # the next edit sends it again
    world.rig.reverse_engine().advance(world.rig.reverse(world.name), RunKind.REVERSE)

    refused = keys[: len(reasons)]
    assert (done.loaded, done.quarantined, left) == (5, len(reasons), 0)
    assert after == wanted | {key: stood[key] for key in refused}
    assert listed == {
        key: f"the old system refuses this row, by {reason}"
        for key, reason in zip(refused, reasons.values(), strict=True)
    }
    assert [doubt.split(":")[0] for doubt in alarm] == [f"the old system refuses {len(reasons)} rows"]
    assert {key: read_row(world, key) for key in keys} == wanted
    assert (refused_of(world), looked(world)) == ([], ())
