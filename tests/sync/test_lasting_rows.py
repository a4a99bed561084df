"""The way back to a table that no transaction protects: whoever dies where, each row goes once and nobody is blamed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from dying_rows import DyingPort
from marels import make_marel
from switches import order

from banyan.clock import new_id
from banyan.departments import Phase
from banyan.errors import LeaseLost
from banyan.records import Origin
from cutover.switching import switch
from store.runs import RunKind
from sync.lane import STEPS, Step

pytestmark = [pytest.mark.mariadb, pytest.mark.server]

ROW = "select cast(rang as char), cast(mineur as char) from implications where id_implication = {key}"
TRIGGER = """create trigger tr_implication before update on implications for each row
  begin set new.mineur = 1; set new.modifie_le = '2001-02-03 04:05:06'; end"""


class Gone(Exception):
    """Whoever carries ends here, as if it had died."""


def go() -> None:
    raise Gone


@pytest.fixture(scope="module", params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def live(request, cluster, mariadb, tmp_path_factory):
    """MAREL's cases, owned by the new system; a trigger of the old one rewrites each row of `implications`."""
    folder = tmp_path_factory.mktemp("lasting") / "project"
    made = make_marel(cluster, mariadb, folder, capture=request.param, name=f"marel_lasting_{request.param}")
    made.name = "35.cases"
    made.marel.run(TRIGGER)
    made.load()
    made.sign()
    switch(made.rig, made.closure, order())
    assert made.phase is Phase.LIVE
    yield made
    made.close()


@pytest.fixture
def world(live):
    """The same, with nothing left to be carried and nothing listed."""
    while carry(live) is not None:
        pass
    live.ask_store("delete from mig.degraded_write_back")
    live.ask_store("update mig.run set state = 'CANCELLED' where state = 'OPEN'")
    return live


def carry(world, *, rows=None, checkpoint=None, rig=None):
    rig = rig or (world.rig if rows is None else replace(world.rig, port=DyingPort(world.rig.port, rows, go)))
    engine = rig.reverse_engine(**({"checkpoint": checkpoint} if checkpoint else {}))
    return engine.advance(rig.reverse(world.name), RunKind.REVERSE)


def as_people(world, statement, **bound):
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        connection.execute(sa.text(statement), bound)


def participations(world, count):
    """Records whose rows stand in `implications`, with their keys."""
    return world.ask_store(
        "select p.id, c.source_key from justice.participation p join mig.crosswalk c using (id)"
        " where c.source_table_no = :n and c.deleted_at is null order by c.source_key::bigint desc limit :many",
        n=world.rig.table_numbers["implications"],
        many=count,
    )


def edit(world, record, rank):
    as_people(world, "update justice.participation set role_sequence = :r, minor_at_facts = false where id = :i",
              r=rank, i=record)  # fmt: skip


def add(world, like, rank) -> UUID:
    born = UUID(bytes=new_id())
    as_people(
        world,
        "insert into justice.participation (id, department_code, domain_code, origin, case_file_id, person_identity_id,"
        " role_code, role_sequence) select :new, department_code, domain_code, 'TARGET', case_file_id,"
        " person_identity_id, role_code, :r from justice.participation where id = :like",
        new=born, r=rank, like=like,
    )  # fmt: skip
    return born


def note(world, record, text):
    """Edit the case of a participation: a row of a table with transactions in the same chunk."""
    as_people(world, "update justice.case_file set note_text = :t where id = (select case_file_id from"
              " justice.participation where id = :i)", t=text, i=record)  # fmt: skip


def row(world, key):
    return (world.marel.run(ROW.format(key=key)) or [None])[0]


def ranked(world, rank):
    return [key for (key,) in world.marel.run(f"select id_implication from implications where rang = {rank}")]


def listed(world):
    return world.ask_store("select kind, column_name from mig.degraded_write_back where state = 'OPEN' order by 1, 2")


def accounted(world, run_no):
    """What the ledger says of a run: read, loaded, unchanged, deleted, quarantined; it must add up."""
    (figures,) = world.ask_store(
        "select sum(read), sum(loaded), sum(unchanged), sum(deleted), sum(quarantined) from mig.conservation"
        " where run_no = :r", r=run_no,
    )  # fmt: skip
    read, *fates = (int(figure or 0) for figure in figures)
    assert read == sum(fates)
    return tuple(fates)


def noted(world):
    return world.ask_store("select count(*) from mig.write_ahead")[0][0]


def test_rows_are_edited_added_and_removed_and_the_old_systems_echo_is_not_a_persons(world):
    (changed, one), (removed, two), (like, _) = participations(world, 3)
    since = world.rig.port.head()
    edit(world, changed, 901)
    add(world, like, 902)
    as_people(world, "delete from justice.participation where id = :i", i=removed)

    done = carry(world)

    born = ranked(world, 902)
    told = {change.key: change.origin for change in world.rig.port.changes(since) if change.table == "implications"}
    assert row(world, one) == ("901", "1")
    assert row(world, two) is None
    assert len(born) == 1
    assert told == dict.fromkeys([one, two, str(born[0])], Origin.ROUTE)
    assert accounted(world, done.run_no) == (2, 0, 1, 0)
    assert set(listed(world)) <= {("REWRITTEN", "minor_at_facts"), ("NO_PLACE", None)}
    assert noted(world) == 0
    assert carry(world) is None


def points():
    """Every named step, and after so many rows that stay: none of them is noted anywhere else than before."""
    everyday = {Step.MAPPED, Step.WRITTEN}
    for step in STEPS:
        yield pytest.param(step, None, id=step.value, marks=() if step in everyday else pytest.mark.torture)
    for rows in (0, 1, 2):
        yield pytest.param(None, rows, id=f"{rows} rows", marks=pytest.mark.torture if rows == 0 else ())


def die_here(world, step, rows):
    """Carry until the point, and end there as an error would."""

    def die(here):
        if here is step:
            go()

    with pytest.raises(Gone):
        carry(world, rows=rows, checkpoint=die)


def die_as_a_process(world, step, rows):
    """Carry in a process of its own, which kills itself at the point."""
    child = Path(__file__).parent / "dying_rows.py"
    path = os.pathsep.join([str(child.parent.parent), *sys.path])
    told = {"folder": str(world.rig.workspace.project.folder), "name": world.name, "rows": rows,
            "step": step.value if step else None}  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(child)], input=json.dumps(told) + "\n", capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.parametrize("die", [die_here, pytest.param(die_as_a_process, marks=pytest.mark.torture)])
@pytest.mark.parametrize(("step", "rows"), list(points()))
def test_whoever_dies_where_each_row_goes_once_and_no_row_of_ours_is_a_strangers(world, step, rows, die):
    (changed, one), (other, two), (removed, three), (like, _) = participations(world, 4)
    last = world.marel.run("select coalesce(max(rang), 0) from implications")[0][0]
    before = world.marel.run("select count(*), count(distinct id_implication) from implications")[0]
    edit(world, changed, last + 1)
    edit(world, other, last + 2)
    note(world, changed, f"note {last}")
    add(world, like, last + 3)
    as_people(world, "delete from justice.participation where id = :i", i=removed)

    die(world, step, rows)
    edit(world, other, last + 4)  # and again, before anybody takes it up
    done = carry(world)
    while carry(world) is not None:
        pass

    assert row(world, one) == (str(last + 1), "1")
    assert row(world, two) == (str(last + 4), "1")
    assert row(world, three) is None
    assert len(ranked(world, last + 3)) == 1
    assert world.marel.run("select count(*), count(distinct id_implication) from implications")[0] == before
    assert world.marel.run(f"select count(*) from dossiers where note = 'note {last}'") == [(1,)]
    assert [kind for kind, _ in listed(world) if kind in ("CONFLICT", "OVERWRITTEN", "REFUSED")] == []
    fates = accounted(world, done.run_no)
    assert (sum(fates), fates[3]) == (5 if step is not Step.COMMITTED else 6, 0)
    assert fates[0] == 4 + (step is Step.COMMITTED)
    assert noted(world) == 0


def test_what_a_dead_attempt_inserted_goes_again_when_people_removed_its_record_meanwhile(world):
    ((like, _),) = participations(world, 1)
    count = world.marel.run("select count(*) from implications")
    born = add(world, like, 9_700)

    with pytest.raises(Gone):
        carry(world, rows=0)
    between = ranked(world, 9_700)
    as_people(world, "delete from justice.participation where id = :i", i=born)
    carry(world)

    assert len(between) == 1
    assert ranked(world, 9_700) == []
    assert world.marel.run("select count(*) from implications") == count
    assert (noted(world), carry(world)) == (0, None)


def behind_the_fence(world, statement):
    """Write as root, who takes every trigger off the table and puts them back."""
    marel = world.marel
    triggers = marel.run("select trigger_name from information_schema.triggers where trigger_schema = database()"
                         " and event_object_table = 'implications' and event_manipulation = 'UPDATE'")  # fmt: skip
    texts = [marel.run(f"show create trigger {name}")[0][2] for (name,) in triggers]
    marel.run(*(f"drop trigger {name}" for (name,) in triggers), statement, *texts)


@pytest.mark.parametrize(("is_interrupted", "rank"), [(False, 78), (True, 79)], ids=["at once", "after a death"])
def test_what_root_wrote_behind_the_fence_is_found_and_can_be_read(world, is_interrupted, rank):
    ((record, key),) = participations(world, 1)
    behind_the_fence(
        world, f"update implications set rang = 77, plainte_le = '2003-04-05' where id_implication = {key}"
    )
    edit(world, record, rank)

    if is_interrupted:
        with pytest.raises(Gone):
            carry(world, rows=0)
        assert row(world, key)[0] == str(rank)
    done = carry(world)

    found = set(listed(world))
    parcels = [
        parcel.name
        for parcel in world.rig.workspace.landing.list_parcels(f"35/MAREL/implications/reverse-{done.run_no:08d}")
        if parcel.name.endswith("before")
    ]
    read = [world.rig.workspace.landing.read_parcel(name) for name in parcels]
    assert row(world, key)[0] == str(rank)
    assert {("CONFLICT", "role_sequence"), ("OVERWRITTEN", "complaint_filed_on")} <= found
    assert [frame["rang"].to_list() for frame in read] == [["77"]] * (1 + is_interrupted)
    assert accounted(world, done.run_no) == (1, 0, 0, 0)


def test_one_that_was_overtaken_while_it_slept_writes_no_row_that_would_stay(world):
    ((record, key),) = participations(world, 1)
    edit(world, record, 801)
    between = []

    def overtake(step):
        if step is Step.MAPPED and not between:
            for table in ("run", "chunk"):
                world.ask_store(f"update mig.{table} set lease_until = now() - interval '1 second'"
                                " where state in ('OPEN', 'LEASED')")  # fmt: skip
            edit(world, record, 802)
            between.append(None)
            second = replace(world.rig)
            second.reverse_engine().advance(second.reverse(world.name), RunKind.REVERSE)
            between[0] = row(world, key)[0]

    with pytest.raises(LeaseLost):
        carry(world, checkpoint=overtake)
    while carry(world) is not None:
        pass

    assert between == ["802"]
    assert row(world, key)[0] == "802"
    assert noted(world) == 0


def test_rows_that_the_old_system_refuses_stop_no_other_and_those_it_refuses_too_late_are_told_apart(world):
    (good, one), (bad, two), (late, three) = participations(world, 3)
    world.marel.run(
        "alter table implications add constraint ck_rang check (rang <> 666)",
        "create trigger tr_apres after update on implications for each row begin if new.rang = 667 then"
        " signal sqlstate '45000' set message_text = 'SECRET'; end if; end",
    )
    admin = world.rig.workspace.legacy_urls(world.rig.source).admin
    world.rig.database.install_capture(admin, world.closure.tables)
    world.rig.guarded.install_fence(admin, world.name, world.closure.tables)
    stood = row(world, two)
    try:
        for record, rank in ((good, 665), (bad, 666), (late, 667)):
            edit(world, record, rank)

        done = carry(world)
    finally:
        world.marel.run("alter table implications drop constraint ck_rang", "drop trigger tr_apres")
        world.rig.database.install_capture(admin, world.closure.tables)
        world.rig.guarded.install_fence(admin, world.name, world.closure.tables)

    said = world.ask_store("select kind, source_key, cause from mig.degraded_write_back where state = 'OPEN'"
                           " and column_name is null and canonical_table = 'participation'")  # fmt: skip
    assert [row(world, key)[0] for key in (one, three)] == ["665", "667"]
    assert row(world, two) == stood
    assert sorted(said) == [
        ("REFUSED", two, "the old system refuses this row, by ck_rang (4025)"),
        ("REWRITTEN", three, "the old system refuses this row, by its type or a trigger (1644), after it was written:"
         " it stands"),
    ]  # fmt: skip
    assert accounted(world, done.run_no) == (2, 0, 0, 1)
    edit(world, bad, 668)
    carry(world)
    assert row(world, two)[0] == "668"
    assert [kind for kind, _ in listed(world) if kind in ("CONFLICT", "OVERWRITTEN", "REFUSED")] == []
