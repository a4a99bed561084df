"""What people decide about a closure: who may write, whether it can go back, which copy stands, when it is over."""

from datetime import timedelta

import psycopg
import pytest
from projects import known_actor
from sqlalchemy.engine import make_url
from states import left_at
from switches import NAME, SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Actor, Phase, Side
from banyan.errors import SwitchRefused, UsageError
from banyan.ports import FenceMode
from cutover.completing import complete
from cutover.control import next_nonce
from cutover.declared import ROLLOUT_FILE
from cutover.gauge import find_alarm, read_way_back, say_gauge
from cutover.guard import guard_once
from cutover.plan import plan_switch
from cutover.reading import RigReader
from cutover.reconciling import reconcile_sides
from cutover.status import read_status
from cutover.switching import abort, roll_back, switch
from cutover.telephone import give_code
from cutover.watching import RENEWED_EVERY, remember_writers
from store.runs import RunKind

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]

LEAD = Actor("paul", "lead", "test")
STEWARD = Actor("claire", "steward", "test")
WRITERS = """\
writers:
  - {account: orion_app, tables: [38.ORION.*], owner: SIC 38, declared: 2026-03-02}
consumers:
  - {name: monthly statistics, tables: [38.ORION.t_proc], owner: SSMSI, declared: 2026-03-02}
"""


@pytest.fixture
def world(switch_world: SwitchWorld) -> SwitchWorld:
    """The module's world, owned by LEGACY, its present state signed, nothing declared."""
    (switch_world.project.folder / ROLLOUT_FILE).unlink(missing_ok=True)
    if switch_world.phase is Phase.LIVE:
        roll_back(switch_world.rig, switch_world.closure, order())
    switch_world.catch_up()
    switch_world.sign()
    return switch_world


@pytest.fixture
def live(world) -> SwitchWorld:
    """The same, switched."""
    switch(world.rig, world.closure, order())
    return world


def declare(world, text):
    (world.project.folder / ROLLOUT_FILE).write_text(text)


def obstacles(world, to=Side.CANONICAL):
    return {
        each.name: each.sentence
        for each in plan_switch(world.closure, to, RigReader(world.rig, world.closure)).obstacles
    }


def look(world, later=timedelta(0)):
    return guard_once(world.rig, world.closure, now=now() + later)


def both_decide(world, keep):
    first = reconcile_sides(world.rig, world.closure, keep, actor=LEAD)
    return first, reconcile_sides(world.rig, world.closure, keep, actor=STEWARD)


# who writes


def test_an_account_that_nobody_declared_and_that_may_write_is_in_the_way(world):
    declare(world, WRITERS.replace("orion_app", "somebody_else"))
    with psycopg.connect(plain(world.project.url(world.project.legacy, "orion_app"))):
        found = obstacles(world)

    assert found == {"writers": "orion_app writes in the old system, or may, and nobody has declared it"}


def test_a_declared_writer_is_in_nobodys_way_and_without_any_declaration_the_plan_says_so(world):
    with psycopg.connect(plain(world.project.url(world.project.legacy, "orion_app"))):
        silent = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure))
        declare(world, WRITERS)
        declared = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure))

    assert (silent.obstacles, declared.obstacles) == ((), ())
    assert any("rollout.yaml declares no writers" in remark for remark in silent.remarks)
    assert not any("declares no writers" in remark for remark in declared.remarks)


def test_a_batch_of_last_month_is_remembered_after_it_has_gone_and_forgotten_after_35_days(world):
    declare(world, WRITERS)
    world.ask_legacy("do $$ begin if not exists (select from pg_roles where rolname = 'night_batch') then"
                     " create role night_batch login; end if; end $$")  # fmt: skip
    world.ask_legacy("grant usage on schema orion to night_batch")
    world.ask_legacy("grant select, update on orion.t_proc to night_batch")
    with psycopg.connect(plain(world.project.url(world.project.legacy, "night_batch"))) as batch:
        batch.execute("update orion.t_proc set observ = observ where false")
        remember_writers(world.rig)
    gone = obstacles(world)
    world.ask_store(
        "update mig.seen_writer set last_seen_at = now() - interval '36 days' where account = 'night_batch'"
    )
    forgotten = obstacles(world)
    world.ask_legacy("drop owned by night_batch")

    assert gone == {"writers": "night_batch writes in the old system, or may, and nobody has declared it"}
    assert forgotten == {}
    assert not world.ask_store("select from mig.seen_writer where account like 'banyan%'")


def test_a_run_that_was_never_finished_is_a_leftover_with_its_command(world):
    world.ask_store(
        "insert into mig.run (department_code, system_code, to_side, kind, state, owner, attempt, lease_until)"
        " values ('38', 'ORION', 'CANONICAL', 'CHANGES', 'OPEN', 'nobody', 1, now() - interval '1 minute')"
    )
    found = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure)).obstacles
    world.ask_store("update mig.run set state = 'CANCELLED' where owner = 'nobody'")

    assert [(each.name, each.next_command) for each in found] == [("leftovers", "banyan sync run 38")]
    assert "of an earlier attempt was never finished" in found[0].sentence


# the way back


def test_the_gauge_says_whether_until_when_how_long_and_what_waits(live):
    live.application(12)
    gauge = read_way_back(live.rig, live.closure)
    said = say_gauge(gauge)

    assert gauge.estimated_seconds >= 1
    assert gauge.is_possible and gauge.waiting > 0 and gauge.blocking == 0
    assert gauge.until is not None and 89 <= (gauge.until - now()).days <= 90
    assert said.startswith(f"yes, until {gauge.until:%Y-%m-%d}, about 1 min; {gauge.waiting} records wait")
    assert find_alarm(gauge) == ""
    assert read_status(live.rig, live.closure).way_back == said


def test_a_way_back_that_nobody_walks_is_an_alarm_at_the_guard_and_on_the_screen(live):
    live.application(4)
    live.ask_store("update mig.run set closed_at = closed_at - interval '2 days' where kind = 'REVERSE'")
    live.ask_store("alter table mig.journal disable trigger all")
    live.ask_store("update mig.journal set at = at - interval '2 days' where kind = 'FLIPPED'")
    live.ask_store("alter table mig.journal enable always trigger aa_banyan_kept")
    live.ask_store("alter table mig.journal enable always trigger aa_banyan_seal")

    alarm = find_alarm(read_way_back(live.rig, live.closure))
    found, status = look(live), read_status(live.rig, live.closure)
    lane = live.rig.reverse(NAME)
    live.rig.reverse_engine().advance(lane, RunKind.REVERSE)

    assert "the way back is dead" in alarm and "min" in alarm
    assert (alarm in found.doubts, status.alarms) == (True, (alarm,))
    assert look(live).doubts == ()


def test_an_unsealed_old_side_blocks_the_way_back_and_every_waiting_record(live):
    live.application(3)
    live.ask_legacy("update banyan.fence set mode = 'OPEN' where closure = :c", c=NAME)
    gauge = read_way_back(live.rig, live.closure)
    live.ask_legacy("update banyan.fence set mode = 'SEALED' where closure = :c", c=NAME)

    assert (gauge.is_possible, gauge.blocked_by) == (False, ("the old system is not sealed",))
    assert gauge.blocking == gauge.waiting > 0
    assert say_gauge(gauge) == "NO: the old system is not sealed"


# the telephone


def test_a_code_opens_the_old_side_after_an_abort_and_is_used_up_by_the_next_switch(world):
    left_at(world, "before FLIP")
    with pytest.raises(SwitchRefused, match="nothing is opened by telephone before an abort"):
        give_code(world.rig, world.closure, actor=LEAD)
    left_at(world, "before OPEN_LEGACY", abort)
    shut = world.who_writes()

    given = give_code(world.rig, world.closure, actor=LEAD)
    answers = [world.ask_legacy(statement)[0][0] for statement in given.statements]
    opened = world.who_writes()
    finished = look(world, timedelta(minutes=5))
    world.sign()
    switch(world.rig, world.closure, order())
    again = [world.ask_legacy(statement)[0][0] for statement in given.statements]

    assert (shut, opened) == ("NOBODY", "LEGACY")
    assert sorted(answers) == ["opened", "refused: this is no code of this closure"]
    assert (finished.phase, finished.is_sure) == (Phase.SYNCING, True)
    assert all(answer.startswith("refused") for answer in again)
    assert world.who_writes() == "CANONICAL"
    assert [facts for kind, *_, facts in world.journal() if kind == "PHONED"] == [{"token": given.token}]


def test_a_code_is_good_for_one_closure_and_one_token_only(world):
    left_at(world, "before FLIP")
    left_at(world, "before OPEN_LEGACY", abort)
    given = give_code(world.rig, world.closure, actor=LEAD)
    token, _, digits = given.or_code.partition(".")
    wrong = [f"{int(token) + 1}.{digits}", f"{token}.{digits[:-1]}{'0' if digits[-1] != '0' else '1'}", digits, ""]

    answers = [world.ask_legacy("select banyan.open_by_code(:c, :code)", c=NAME, code=code)[0][0] for code in wrong]
    other = world.ask_legacy("select banyan.open_by_code('38.reference', :code)", code=given.or_code)[0][0]
    shut = world.who_writes()
    abort(world.rig, world.closure, order())

    assert {*answers, other} == {"refused: this is no code of this closure"}
    assert (shut, world.who_writes()) == ("NOBODY", "LEGACY")


# the nonce


def test_the_nonce_is_renewed_each_hour_in_live_and_the_way_back_goes_on(live):
    before = live.row.nonce
    early, late = look(live), look(live, RENEWED_EVERY + timedelta(minutes=1))
    renewed = (live.row.nonce, live.fence.nonce)
    live.application(5)
    roll_back(live.rig, live.closure, order())

    assert (early.deeds, late.deeds) == ((), ("renewed the nonce of the old side",))
    assert renewed == (next_nonce(before), next_nonce(before))
    assert live.who_writes() == "LEGACY"


def test_a_guard_that_dies_in_the_middle_of_a_renewal_finishes_it_at_its_next_look(live):
    nonce = live.row.nonce
    live.ask_legacy("update banyan.fence set nonce = :n where closure = :c", n=next_nonce(nonce), c=NAME)

    found = look(live)

    assert found.deeds == ("finished the renewal of the nonce",)
    assert (live.row.nonce, live.fence.nonce) == (next_nonce(nonce), next_nonce(nonce))
    assert found.is_sure


def test_an_old_side_that_owns_and_stands_shut_is_opened(world):
    world.ask_legacy("update banyan.fence set mode = 'SEALED' where closure = :c", c=NAME)

    found = look(world)

    assert found.deeds == ("opened the old side, which owns and stood shut",)
    assert world.who_writes() == "LEGACY"


# which copy stands


def come_back_from_a_backup(world, mode="OPEN"):
    """What a restored old system looks like: rows of another day, a fence of another day, a nonce nobody knows."""
    world.ask_legacy("update banyan.fence set nonce = gen_random_uuid(), mode = :m, token = 1, lease_until = null"
                     " where closure = :c", m=mode, c=NAME)  # fmt: skip


def test_a_restored_old_side_is_sealed_at_once_and_written_again_when_two_have_decided(live):
    live.application(20)
    come_back_from_a_backup(live)
    live.officers(6)
    live.ask_legacy("delete from orion.t_tel where id_tel in (select id_tel from orion.t_tel limit 3)")
    shut = look(live)
    again = look(live)

    first, second = both_decide(live, Side.CANONICAL)
    after = look(live)

    assert shut.deeds == ("sealed the old side, which had come back open from a backup",)
    assert not shut.is_sure and not again.is_sure and again.deeds == ()
    assert (first.is_done, second.is_done, second.phase) == (False, True, Phase.LIVE)
    assert second.rows > 1000 and second.strangers > 0
    assert (after.doubts, live.who_writes()) == ((), "CANONICAL")
    assert (live.fence.mode, live.fence.nonce) == (FenceMode.SEALED, live.row.nonce)
    assert live.reconcile().level.figures["differences"] == 0
    live.application(5)
    roll_back(live.rig, live.closure, order())
    assert live.who_writes() == "LEGACY"


def test_a_restored_old_side_that_owns_is_read_again_when_two_have_decided(world):
    world.ask_legacy("update orion.t_objet set descr = 'OF ANOTHER DAY' where id_objet in"
                     " (select id_objet from orion.t_objet where top_supp = 'N' limit 5)")  # fmt: skip
    come_back_from_a_backup(world)
    unsure = look(world)

    first, second = both_decide(world, Side.LEGACY)
    world.catch_up()

    assert not unsure.is_sure
    assert (first.is_done, second.is_done, second.phase) == (False, True, Phase.SYNCING)
    assert (world.who_writes(), look(world).doubts) == ("LEGACY", ())
    assert world.reconcile().level.figures["differences"] == 0
    world.sign()
    switch(world.rig, world.closure, order())
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


def stopped(world):
    """Bring a closure to HALT: the store comes up and the old side has seen a token it never gave."""
    world.ask_legacy("update banyan.fence set token = token + 40 where closure = :c", c=NAME)
    world.ask_store("update mig.slice set armed_boot = null where closure = :c", c=NAME)
    look(world)
    assert (world.phase, world.who_writes()) == (Phase.HALT, "NOBODY")


def test_halt_is_left_by_two_persons_who_keep_the_new_side(live):
    live.application(10)
    stopped(live)
    with pytest.raises(UsageError, match="it takes a lead and a steward"):
        reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=Actor("eva", "engineer", "test"))
    alone = [reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=LEAD).is_done for _ in range(2)]
    same_person = reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=Actor("paul", "steward", "test"))

    done = reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=STEWARD)

    assert (alone, same_person.is_done, done.is_done) == ([False, False], False, True)
    assert (done.phase, done.owner, live.who_writes()) == (Phase.LIVE, Side.CANONICAL, "CANONICAL")
    assert look(live).is_sure
    assert live.reconcile().level.figures["differences"] == 0


def test_halt_is_left_by_two_persons_who_keep_the_old_side(live):
    stopped(live)
    epoch = live.row.epoch

    _, done = both_decide(live, Side.LEGACY)

    assert (done.is_done, done.phase, done.owner) == (True, Phase.SYNCING, Side.LEGACY)
    assert live.row.epoch > epoch
    assert (live.who_writes(), look(live).doubts) == ("LEGACY", ())
    assert live.reconcile().level.figures["differences"] == 0


def test_two_words_about_different_states_are_not_an_agreement(live):
    stopped(live)
    reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=LEAD)
    live.ask_legacy("update banyan.fence set token = token + 1 where closure = :c", c=NAME)
    about_another = reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=STEWARD)
    other_side = reconcile_sides(live.rig, live.closure, Side.LEGACY, actor=LEAD)
    still = live.phase
    done = reconcile_sides(live.rig, live.closure, Side.CANONICAL, actor=LEAD)

    assert (about_another.is_done, other_side.is_done, still) == (False, False, Phase.HALT)
    assert (done.is_done, done.phase) == (True, Phase.LIVE)


def test_where_both_sides_are_known_there_is_nothing_to_decide(world):
    for keep in Side:
        with pytest.raises(SwitchRefused, match="there is nothing to decide"):
            reconcile_sides(world.rig, world.closure, keep, actor=LEAD)


# the end


def test_the_way_back_is_not_given_up_while_somebody_reads_the_old_system_or_records_wait(live):
    declare(live, WRITERS)
    live.application(5)

    with pytest.raises(SwitchRefused) as refused:
        complete(live.rig, live.closure, actor=LEAD)

    reasons = " / ".join(refused.value.facts["reasons"])
    assert "1 still read the old system: monthly statistics (SSMSI)" in reasons
    assert "wait to be carried back" in reasons
    assert "was made for the profile switch, not for complete" in reasons
    assert live.phase is Phase.LIVE


# the last one: nothing comes after it
def test_two_persons_give_the_way_back_up_and_the_scaffolding_goes(live):
    declare(live, WRITERS.replace("2026-03-02}\n", "2026-03-02, moved: 2026-11-01}\n").replace(
        "owner: SIC 38, declared: 2026-03-02, moved: 2026-11-01", "owner: SIC 38, declared: 2026-03-02"))  # fmt: skip
    live.application(5)
    live.rig.reverse_engine().advance(live.rig.reverse(NAME), RunKind.REVERSE)
    evidence = live.sign(profile="complete")

    first = complete(live.rig, live.closure, actor=LEAD)
    alone = (live.phase, len(captured(live)))
    done = complete(live.rig, live.closure, actor=STEWARD)

    assert (first.is_done, alone[0]) == (False, Phase.LIVE)
    assert (done.is_done, done.phase, live.phase) == (True, Phase.RETIRED, Phase.RETIRED)
    assert live.row.evidence_id == evidence
    assert not set(captured(live)) & set(live.closure.tables) and alone[1] > len(captured(live)) > 0
    assert (live.who_writes(), live.fence.mode) == ("CANONICAL", FenceMode.SEALED)
    with pytest.raises(SwitchRefused) as refused:
        roll_back(live.rig, live.closure, order())
    assert "was given up for good (RETIRED)" in refused.value.facts["reasons"][0]
    assert complete(live.rig, live.closure, actor=LEAD).is_done
    lane = live.rig.forward()
    assert live.rig.forward_engine().advance(lane) is None  # the other closures are followed as before
    assert look(live).is_sure


def captured(world):
    return [name for (name,) in world.ask_legacy("select table_name from banyan.captured")]


def plain(url):
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
