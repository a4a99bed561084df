"""A switch, a rollback and an abort on real stores: what is refused, what is given up, what is uncertain."""

import threading
import time
from dataclasses import replace

import psycopg
import pytest
from projects import known_actor
from sqlalchemy.engine import make_url
from states import left_at
from switches import NAME, PATIENT, SwitchWorld, order, switch_world

from banyan.departments import Phase, Side
from banyan.errors import SourceUnavailable, StoreFenced, SwitchRefused, SwitchUncertain
from banyan.ports import FenceMode
from cutover.control import next_nonce, read_control
from cutover.execute import Controller
from cutover.plan import StepName, plan_switch
from cutover.preconditions.condition import Moment
from cutover.preconditions.way_back import _find_canary, was_tried
from cutover.reading import RigReader
from cutover.status import Writer, read_status
from cutover.steps import is_done
from cutover.switching import abort, change_owner, roll_back, switch
from store.journal import verify_journal
from store.postgres import transaction

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


@pytest.fixture
def world(switch_world: SwitchWorld) -> SwitchWorld:
    """The module's world, owned by LEGACY, its present state signed."""
    if switch_world.row.owner is Side.CANONICAL or switch_world.phase is Phase.R_OPENING:
        roll_back(switch_world.rig, switch_world.closure, order())
    if switch_world.phase not in (Phase.SYNCING, Phase.READY):
        abort(switch_world.rig, switch_world.closure, order())
    switch_world.catch_up()
    switch_world.sign()
    return switch_world


@pytest.fixture
def live(world) -> SwitchWorld:
    """The same, switched."""
    switch(world.rig, world.closure, order())
    return world


def doing(point, deed):
    """Do something in the middle of somebody else's switch, once."""
    done = []

    def checkpoint(name):
        if name == point and not done:
            done.append(name)
            deed()

    return checkpoint


def as_officer(world):
    url = make_url(world.project.url(world.project.legacy, "orion_app")).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False))


def test_a_plan_touches_nothing(world):
    before = (world.row, world.fence, world.journal())

    plan = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure))

    assert plan.obstacles == ()
    assert (world.row, world.fence, world.journal()) == before


def as_it_was_typed_before_the_trigger(world, name, key):
    for deed in ("disable trigger tr_nom", "enable trigger tr_nom"):
        world.ask_legacy(f"alter table orion.t_personne {deed}")
        if deed.startswith("disable"):
            world.ask_legacy(f"update orion.t_personne set nom = {name} where id_pers = :k", k=int(key))


def test_a_row_that_comes_back_stamped_as_the_rules_declare_leaves_the_way_back_open(world):
    scene = RigReader(world.rig, world.closure).scene(Moment.SWITCH)
    people = replace(scene, closure=replace(world.closure, tables=("t_personne",)))
    ruleset = world.rig.book.rulesets["t_personne"]
    silent = replace(ruleset, side_effects={})
    book = replace(world.rig.book, rulesets={**world.rig.book.rulesets, "t_personne": silent})
    _, key = _find_canary(people)
    as_it_was_typed_before_the_trigger(world, "lower(nom)", key)

    with_effects = was_tried(people)
    without = was_tried(replace(people, rig=replace(world.rig, book=book)))
    as_it_was_typed_before_the_trigger(world, "upper(nom)", key)

    assert set(ruleset.side_effects) >= {"nom", "dt_maj"}
    assert with_effects is None
    assert without is not None and without.sentence == "a row of t_personne written back is not the same row"


def test_a_switch_moves_the_owner_seals_the_old_side_and_measures_the_outage(world):
    epoch, nonce = world.row.epoch, world.row.nonce
    world.officers(10)

    report = change_owner(world.rig, "38.cases", Side.CANONICAL, actor=order().actor)

    row, fence = world.row, world.fence
    assert (row.owner, row.phase, row.epoch, row.deadline) == (Side.CANONICAL, Phase.LIVE, epoch + 2, None)
    assert (fence.mode, fence.token, fence.nonce) == (FenceMode.SEALED, epoch + 1, row.nonce)
    assert row.nonce == next_nonce(nonce)
    assert [step.name.value for step in report.steps] == ["close", "drain", "verify", "seal", "flip", "open"]
    assert 0 < report.outage_ms < 10_000
    assert world.who_writes() == "CANONICAL"
    kinds = {kind: facts for kind, _, _, _, facts in world.journal()}
    assert kinds["SWITCHED"]["outage_ms"] == report.outage_ms
    assert kinds["STARTED"]["plan"] == report.plan_digest
    assert kinds["FLIPPED"]["evidence_id"] == row.evidence_id
    with transaction(world.rig.workspace.engine("banyan_guard")) as connection:
        assert verify_journal(connection).is_whole


@pytest.mark.parametrize("to", list(Side))
def test_each_step_asks_the_world_whether_it_is_done(world, to):
    if to is Side.LEGACY:
        switch(world.rig, world.closure, order())
        world.application(20)
    plan = plan_switch(world.closure, to, RigReader(world.rig, world.closure))
    before = [is_done(step, world.rig, world.closure) for step in plan.steps if step.name is not StepName.SETTLE]

    change_owner(world.rig, NAME, to, actor=order().actor)

    assert not any(before)
    assert all(is_done(step, world.rig, world.closure) for step in plan.steps)


def test_what_officers_wrote_until_the_close_is_in_the_new_system(world):
    seen = []
    late = doing("before START", lambda: world.officers(15))

    switch(world.rig, world.closure, order(checkpoint=late, watcher=seen.append))

    assert world.lost_or_doubled() == (0, 0, 0)
    assert world.reconcile().level.figures["differences"] == 0


def test_a_rollback_gives_the_old_system_everything_and_it_writes_again(live):
    live.application(40)

    report = roll_back(live.rig, live.closure, order())

    assert (report.owner, live.phase, live.fence.mode) == (Side.LEGACY, Phase.SYNCING, FenceMode.OPEN)
    assert [step.name.value for step in report.steps] == ["close", "drain", "verify", "flip", "open", "settle"]
    assert report.outage_ms > 0
    assert live.who_writes() == "LEGACY"
    assert live.lost_or_doubled() == (0, 0, 0)
    assert live.reconcile().level.figures["differences"] == 0


def test_after_a_rollback_the_values_of_the_old_system_stand_and_what_has_no_place_stays_listed(live):
    ids = live.ask_store("select id from justice.participation order by id limit 1")
    live.ask_store("delete from mig.degraded_write_back where false")
    engine = live.rig.workspace.engine("banyan_app")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "update justice.participation set role_code = 'EXPERT' where department_code = '38' and id = %s", ids[0]
        )
        connection.exec_driver_sql(
            "insert into justice.vehicle (id, department_code, domain_code, origin)"
            " values (gen_random_uuid(), '38', 'vehicles', 'TARGET')"
        )

    roll_back(live.rig, live.closure, order())

    ((role,),) = live.ask_store("select role_code from justice.participation where id = :id", id=ids[0][0])
    listed = live.ask_store(
        "select canonical_table, source_key is null, state from mig.degraded_write_back where main_id = :id"
        " or (canonical_table = 'vehicle' and source_key is null)",
        id=ids[0][0],
    )
    assert role != "EXPERT"
    assert ("participation", False, "SETTLED") in listed
    assert ("vehicle", True, "OPEN") in listed


@pytest.mark.parametrize(
    ("roles", "verdict", "named"),
    [(("steward",), "GO", "is not signed"), (("steward", "lead"), "NO-GO", "says NO-GO")],
)
def test_without_two_signatures_on_a_go_nothing_is_touched(world, roles, verdict, named):
    world.sign(*roles, verdict=verdict)
    before = (world.phase, world.fence)

    with pytest.raises(SwitchRefused) as refused:
        switch(world.rig, world.closure, order())

    assert named in refused.value.facts["reasons"][0]
    assert refused.value.exit_code == 3
    assert (world.phase, world.fence) == before
    assert world.who_writes() == "LEGACY"


def test_a_fence_that_somebody_switched_off_is_seen_before_anything_is_closed(world):
    world.ask_legacy("alter table orion.t_tel disable trigger aa_banyan")

    with pytest.raises(SwitchRefused) as refused:
        switch(world.rig, world.closure, order())
    world.ask_legacy("alter table orion.t_tel enable always trigger aa_banyan")

    assert "t_tel: the trigger is disabled" in refused.value.facts["reasons"][0]
    assert world.who_writes() == "LEGACY"


def test_a_table_without_its_fence_at_the_close_gives_the_switch_up_and_reopens(world):
    off = doing("before CLOSE_LEGACY", lambda: world.ask_legacy("alter table orion.t_tel disable trigger aa_banyan"))

    with pytest.raises(SwitchRefused, match=r"does not refuse a write on t_tel.*The old system is open again"):
        switch(world.rig, world.closure, order(checkpoint=off))
    world.ask_legacy("alter table orion.t_tel enable always trigger aa_banyan")

    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_a_difference_inside_the_fence_gives_the_switch_up_and_names_its_cause(world):
    world.officers(12)

    def spoil():
        ((key,),) = world.ask_legacy(
            "update orion.t_proc set observ = 'abc' where id_proc = (select min(id_proc) from orion.t_proc"
            " where top_supp = 'N' and dt_ouv > 20240101) returning id_proc::text"
        )
        world.catch_up()
        engine = world.rig.workspace.engine("banyan_forward")
        with engine.begin() as connection:
            done = connection.exec_driver_sql(
                "update justice.case_file set note_text = 'spoiled' where department_code = '38' and id = (select id"
                " from mig.crosswalk where source_key = %s and source_table_no = %s)",
                (key, world.rig.table_numbers["t_proc"]),
            )
            assert done.rowcount == 1

    with pytest.raises(SwitchRefused) as refused:
        switch(world.rig, world.closure, order(checkpoint=doing("before START", spoil)))

    assert "1 differences in" in refused.value.message
    assert refused.value.facts["reasons"] == ["case_file.note_text: other value (1)"]
    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")
    world.ask_legacy("update orion.t_proc set observ = 'abcd' where observ = 'abc'")


def test_a_writer_in_flight_is_waited_for_and_its_row_arrives(world):
    with as_officer(world) as officer:
        officer.execute("update orion.t_objet set descr = 'IN FLIGHT' where id_objet = (select max(id_objet) from"
                        " orion.t_objet where top_supp = 'N')")  # fmt: skip
        timer = threading.Timer(1.0, officer.commit)
        timer.start()
        report = switch(world.rig, world.closure, order())
        timer.join()

    assert report.owner is Side.CANONICAL
    assert world.reconcile().level.figures["differences"] == 0


def test_a_writer_that_never_ends_gives_the_switch_up_and_people_go_on_writing(world):
    with as_officer(world) as officer:
        officer.execute("update orion.t_objet set descr = 'FOR EVER' where id_objet = (select max(id_objet) from"
                        " orion.t_objet where top_supp = 'N')")  # fmt: skip
        with pytest.raises(SourceUnavailable, match="has not acknowledged its opening") as given_up:
            switch(world.rig, world.closure, order())
        meanwhile = (world.phase, world.who_writes())
        officer.rollback()

    assert given_up.value.hint == "banyan guard --once"
    assert meanwhile == (Phase.ABORTING, "LEGACY")
    with pytest.raises(SwitchRefused, match="a lock was not given in time"):
        switch(world.rig, world.closure, order())
    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_ctrl_c_before_the_flip_aborts_and_reopens(world):
    asked = threading.Event()

    with pytest.raises(SwitchRefused, match=r"it was stopped.*The old system is open again"):
        switch(
            world.rig,
            world.closure,
            order(checkpoint=doing("before VERIFY_CHANGED", asked.set), is_stopped=asked.is_set),
        )

    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_ctrl_c_after_the_flip_only_stops_looking(world):
    asked = threading.Event()

    report = switch(world.rig, world.closure, order(checkpoint=doing("after FLIP", asked.set), is_stopped=asked.is_set))

    assert (report.owner, world.who_writes()) == (Side.CANONICAL, "CANONICAL")


def test_ctrl_c_during_a_rollback_reopens_the_new_side(live):
    asked = threading.Event()

    with pytest.raises(SwitchRefused, match="The new system is open again"):
        roll_back(
            live.rig,
            live.closure,
            order(checkpoint=doing("before VERIFY_REVERSE", asked.set), is_stopped=asked.is_set),
        )

    assert (live.phase, live.who_writes()) == (Phase.LIVE, "CANONICAL")


def test_ctrl_c_after_the_seal_still_aborts_and_reopens(world):
    asked = threading.Event()

    with pytest.raises(SwitchRefused, match="The old system is open again"):
        switch(
            world.rig, world.closure, order(checkpoint=doing("after SEAL_LEGACY", asked.set), is_stopped=asked.is_set)
        )

    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_past_its_deadline_a_controller_gives_up_by_itself(world):
    late = doing("after START", lambda: world.ask_store("update mig.slice set deadline = now() - interval '1 second'"))

    with pytest.raises(SwitchRefused, match="the time given to it was over"):
        switch(world.rig, world.closure, order(checkpoint=late))

    assert (world.phase, world.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_a_switch_expected_to_be_given_up_is_not_begun(world):
    short = replace(PATIENT, budget_seconds=0.001)

    with pytest.raises(SwitchRefused) as refused:
        switch(world.rig, world.closure, order(limits=short))

    assert refused.value.facts["reasons"][0].startswith("outage     nobody could write for about")
    assert refused.value.hint == f"banyan switch rehearse {NAME}"
    assert world.who_writes() == "LEGACY"


@pytest.mark.parametrize("point", ["before DRAIN_REVERSE", "before VERIFY_REVERSE"])
def test_while_a_rollback_drains_and_compares_no_application_writes_although_canonical_owns(live, point):
    left_at(live, point, roll_back)

    assert live.row.owner is Side.CANONICAL
    assert live.who_writes() == "NOBODY"
    with pytest.raises(StoreFenced), transaction(live.rig.workspace.engine("banyan_app")) as connection:
        connection.exec_driver_sql("update justice.case_file set note_text = note_text where department_code = '38'")
    abort(live.rig, live.closure, order())
    assert live.who_writes() == "CANONICAL"


@pytest.mark.parametrize("point", ["before READ_DRAIN_POSITION", "before DRAIN", "before SEAL_LEGACY", "before FLIP"])
def test_an_abort_is_legal_until_the_flip_and_its_epoch_rises_before_the_opening(world, point):
    left_at(world, point)
    epoch = world.row.epoch

    control = abort(world.rig, world.closure, order())

    assert (control.phase, control.row.epoch) == (Phase.SYNCING, epoch + 1)
    assert (world.fence.mode, world.fence.token) == (FenceMode.OPEN, epoch + 1)
    assert world.row.nonce == world.fence.nonce
    assert world.who_writes() == "LEGACY"


def test_after_the_flip_there_is_no_abort(live):
    with pytest.raises(SwitchRefused, match="nothing to abort") as refused:
        abort(live.rig, live.closure, order())

    assert "rollback" in refused.value.hint
    assert live.who_writes() == "CANONICAL"


def test_two_controllers_on_the_same_row_flip_once(world):
    left_at(world, "before DRAIN")
    flips = len([entry for entry in world.journal() if entry[0] == "FLIPPED"])
    together = threading.Barrier(2, timeout=30)
    controllers = [Controller(world.rig, world.closure, order()) for _ in range(2)]
    ended = []

    def work(controller):
        together.wait()
        ended.append(controller.drive().phase)

    threads = [threading.Thread(target=work, args=(each,)) for each in controllers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in controllers:
        each.disconnect()

    assert ended == [Phase.LIVE, Phase.LIVE]
    assert len([entry for entry in world.journal() if entry[0] == "FLIPPED"]) == flips + 1
    assert world.who_writes() == "CANONICAL"


def test_a_second_command_beside_a_healthy_one_is_turned_away(world):
    turned_away = []

    def second():
        with pytest.raises(SwitchRefused, match="another controller is moving"):
            switch(world.rig, world.closure, order())
        turned_away.append(True)

    switch(world.rig, world.closure, order(checkpoint=doing("before DRAIN", second)))

    assert turned_away == [True]
    assert world.who_writes() == "CANONICAL"


def test_a_command_waits_while_the_server_still_ends_the_session_of_a_dead_controller(world):
    left_at(world, "before DRAIN")
    store = world.project.url(world.project.store).replace("+psycopg", "")
    dying = psycopg.connect(store, autocommit=True)
    lock = "select pg_try_advisory_lock(hashtextextended('banyan.switch.' || %s, 0))"
    assert dying.execute(lock, (world.closure.name,)).fetchone() == (True,)
    threading.Timer(0.5, dying.close).start()

    switch(world.rig, world.closure, order())

    assert dying.closed
    assert world.who_writes() == "CANONICAL"


def block_then_cut(world, database, statement):
    """Hold a row, and end every connection of the controller to a database once it waits for it, as a cut cable would.

    The row is let go of when all have ended: the controller's statement never takes place behind its back.
    """
    holder = psycopg.connect(world.project.url(database).replace("+psycopg", ""))
    holder.execute(statement)
    mine = " from pg_stat_activity where usename = 'banyan_guard' and datname = :name"

    def cut():
        until = time.monotonic() + 60
        waiting = f"select count(*) {mine} and wait_event_type = 'Lock'"
        while world.project.ask("postgres", waiting, name=database) == [(0,)] and time.monotonic() < until:
            time.sleep(0.02)
        world.project.ask("postgres", f"select count(pg_terminate_backend(pid, 10000)) {mine}", name=database)
        holder.close()

    threading.Thread(target=cut).start()


def test_a_seal_whose_answer_is_lost_is_uncertain_and_never_tried_again(world):
    """The effect waits behind a lock while its connection is ended: the machine cannot know whether it took place."""
    tried = []

    def block_and_cut():
        tried.append(world.fence.mode)
        block_then_cut(world, world.project.legacy, "select 1 from banyan.fence for update")

    with pytest.raises(SwitchUncertain) as uncertain:
        switch(world.rig, world.closure, order(checkpoint=doing("before SEAL_LEGACY", block_and_cut)))

    assert uncertain.value.exit_code == 5
    assert tried == [FenceMode.CLOSED]
    assert world.phase is Phase.SEALING
    assert world.journal()[-1][0] == "UNCERTAIN"
    status = read_status(world.rig, world.closure)
    assert (status.writer, status.doubts, status.next_command) == (Writer.NOBODY, (), f"banyan switch run {NAME}")
    assert switch(world.rig, world.closure, order()).owner is Side.CANONICAL


def test_a_flip_whose_commit_is_lost_is_uncertain_and_the_row_tells_afterwards(world):
    def block_and_cut():
        block_then_cut(world, world.project.store, "select 1 from mig.slice for update")

    with pytest.raises(SwitchUncertain, match="Nothing will be retried"):
        switch(world.rig, world.closure, order(checkpoint=doing("before FLIP", block_and_cut)))

    assert world.phase is Phase.SEALING
    assert world.who_writes() == "NOBODY"
    assert switch(world.rig, world.closure, order()).owner is Side.CANONICAL


def test_an_old_side_that_refuses_the_opening_is_uncertain_and_stays_shut(world):
    left_at(world, "before SEAL_LEGACY")
    world.ask_legacy("update banyan.fence set nonce = gen_random_uuid() where closure = :c", c=NAME)

    with pytest.raises(SwitchUncertain, match="refused to open"):
        abort(world.rig, world.closure, order())

    assert world.phase is Phase.ABORTING
    assert any("not the one banyan knows" in doubt for doubt in read_status(world.rig, world.closure).doubts)
    world.ask_legacy("update banyan.fence set nonce = :n where closure = :c", n=world.row.nonce, c=NAME)
    assert abort(world.rig, world.closure, order()).phase is Phase.SYNCING


def test_rows_that_differ_after_the_way_back_reopen_the_new_side(live):
    live.application(10)

    def spoil():
        live.ask_legacy("alter table orion.t_proc disable trigger aa_banyan")
        live.ask_legacy("update orion.t_proc set observ = 'spoiled' where id_proc = (select max(id_proc)"
                        " from orion.t_proc where top_supp = 'N' and dt_ouv > 20240101)")  # fmt: skip
        live.ask_legacy("alter table orion.t_proc enable always trigger aa_banyan")

    with pytest.raises(SwitchRefused, match="The new system is open again") as refused:
        roll_back(live.rig, live.closure, order(checkpoint=doing("before VERIFY_REVERSE", spoil)))

    assert "case_file.note_text" in refused.value.facts["reasons"][0]
    assert (live.phase, live.who_writes()) == (Phase.LIVE, "CANONICAL")
    engine = live.rig.workspace.engine("banyan_app")
    with engine.begin() as connection:  # the new system says it again, and the way back carries it
        connection.exec_driver_sql("update justice.case_file set note_text = 'said again' where department_code = '38'"
                                   " and id in (select id from justice.case_file)")  # fmt: skip
    roll_back(live.rig, live.closure, order())
    assert live.reconcile().level.figures["differences"] == 0


def test_a_way_back_is_walked_although_the_old_side_refuses_a_row_whose_old_values_then_stand(live):
    live.ask_legacy(
        "alter table orion.t_proc add constraint no_such_note check (rtrim(observ) <> 'INTERDIT') not valid"
    )
    ((case, key),) = live.ask_store(
        "select f.id, source_key from justice.case_file f join mig.crosswalk c on c.id = f.id where deleted_at is null"
        " and source_table_no = :n order by source_key limit 1", n=live.rig.table_numbers["t_proc"],
    )  # fmt: skip
    (before,) = live.ask_legacy("select observ from orion.t_proc where id_proc = :k", k=int(key))
    with live.rig.workspace.engine("banyan_app").begin() as connection:
        connection.exec_driver_sql("update justice.case_file set note_text = 'INTERDIT' where id = %s", (case,))

    roll_back(live.rig, live.closure, order())

    assert live.who_writes() == "LEGACY"
    assert live.ask_legacy("select observ from orion.t_proc where id_proc = :k", k=int(key)) == [before]
    assert live.ask_store("select kind from mig.degraded_write_back where main_id = :i", i=case)[0] == ("REFUSED",)
    assert live.reconcile().level.figures["differences"] == 0
    live.ask_legacy("alter table orion.t_proc drop constraint no_such_note")


def test_a_store_that_is_not_armed_moves_nothing(world):
    world.ask_store("update mig.slice set armed_boot = null")

    with pytest.raises(SwitchRefused) as refused:
        switch(world.rig, world.closure, order())
    world.ask_store("update mig.slice set armed_boot = pg_postmaster_start_time()")

    assert "was not yet compared" in refused.value.facts["reasons"][0]
    assert read_control(world.rig.workspace.engine("banyan_guard"), NAME).phase in (Phase.SYNCING, Phase.READY)
