"""A legacy MariaDB from its first copy to the switch and back again, through the same doors as any other."""

import time
from uuid import UUID

import pytest
import sqlalchemy as sa
from marels import make_marel
from switches import order

from banyan.clock import new_id
from banyan.departments import Actor, Phase
from banyan.ports import FenceMode
from cutover.switching import roll_back, switch
from estate.live import Pace
from estate.marel_live import live_marel
from store.runs import RunKind
from sync.movement import carry_changes

pytestmark = [pytest.mark.mariadb, pytest.mark.server, pytest.mark.journey]


# a journal is followed, switched and taken back every day in tests/cutover/test_replayed_traces.py
@pytest.fixture(params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def world(request, cluster, mariadb, tmp_path):
    world = make_marel(cluster, mariadb, tmp_path / "project", capture=request.param, name=f"marel_{request.param}")
    yield world
    world.close()


@pytest.fixture(params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def overseas(request, cluster, mariadb, tmp_path):
    """The department of three figures, whose cases hold a table without transactions."""
    name = f"marel_974_{request.param}"
    world = make_marel(cluster, mariadb, tmp_path / "974", capture=request.param, name=name, department="974")
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


def people_of_the_cases(world):
    """Edit, add and remove participations, which lie in a table without transactions, and edit their cases."""
    rows = "justice.participation where department_code = '974' and domain_code = 'cases'"
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        ids = list(connection.scalars(sa.text(f"select id from {rows} order by id limit 20")))
        connection.execute(
            sa.text("update justice.participation set role_sequence = 9, row_version = row_version + 1"
                    " where department_code = '974' and id = any(:ids)"), {"ids": ids[:12]},
        )  # fmt: skip
        connection.execute(
            sa.text("update justice.case_file set note_text = 'NOUVEAU' where department_code = '974' and id in"
                    " (select case_file_id from justice.participation where id = any(:ids))"), {"ids": ids[12:15]},
        )  # fmt: skip
        for like in ids[:4]:
            connection.execute(
                sa.text("insert into justice.participation (id, department_code, domain_code, origin, case_file_id,"
                        " person_identity_id, role_code, role_sequence) select :new, department_code, domain_code,"
                        " 'TARGET', case_file_id, person_identity_id, role_code, 99 from justice.participation"
                        " where id = :like"), {"new": UUID(bytes=new_id()), "like": like},
            )  # fmt: skip
        connection.execute(sa.text("delete from justice.participation where id = any(:ids)"), {"ids": ids[17:]})


def test_cases_whose_participations_no_transaction_protects_go_there_and_back(overseas):
    world = overseas
    world.name = "974.cases"
    marel = world.marel
    world.load()
    done = live_marel(marel.url("marel_app"), Pace(rate_per_second=500, count=60, seed=4), department="974")
    world.catch_up()
    assert done.refused == 0
    assert world.is_equal() == ("PASS", 0)

    world.sign()
    switch(world.rig, world.closure, order())
    assert world.phase is Phase.LIVE
    state, open_tables, defects = world.look_at_fence()
    assert (state.mode, open_tables, defects) == (FenceMode.SEALED, (), [])
    count = marel.run("select count(*) from implications")[0][0]
    untouched = "select id_implication, qualite, id_dossier, id_personne, plainte_le, modifie_le from implications"
    before = dict((row[0], row) for row in marel.run(untouched))
    people_of_the_cases(world)

    roll_back(world.rig, world.closure, order())

    assert world.phase is Phase.SYNCING
    state, open_tables, defects = world.look_at_fence()
    assert (state.mode, set(open_tables), defects) == (FenceMode.OPEN, set(world.closure.tables), [])
    assert marel.run("select count(*), count(distinct id_implication) from implications") == [(count + 1, count + 1)]
    assert marel.run("select count(*) from implications where rang = 99") == [(4,)]
    assert marel.run("select count(*) from implications where rang = 9")[0][0] >= 12
    after = dict((row[0], row) for row in marel.run(f"{untouched} where rang not in (9, 99) or rang is null"))
    assert {key: before[key] for key in after} == after
    assert world.ask_store("select count(*) from mig.write_ahead") == [(0,)]
    assert world.is_equal() == ("PASS", 0)

    again = live_marel(marel.url("marel_app"), Pace(rate_per_second=500, count=40, seed=5), department="974")
    world.catch_up()
    assert again.refused == 0
    assert world.is_equal() == ("PASS", 0)


@pytest.mark.parametrize("overseas", ["journal"], indirect=True)
def test_what_people_wrote_last_in_a_table_without_transactions_is_not_told_again_once_the_new_side_owns_it(overseas):
    """The journal tells such rows a second time; by then somebody may have edited them in the new application."""
    world = overseas
    world.name = "974.cases"
    world.load()
    world.sign()
    rows = [number for (number,) in world.marel.run("select id_implication from implications order by 1 limit 5")]
    listed = ", ".join(map(str, rows))
    world.marel.run(f"update implications set rang = 77 where id_implication in ({listed})", account="marel_app")
    switch(world.rig, world.closure, order())
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        edited = connection.execute(
            sa.text("update justice.participation set role_sequence = 88, row_version = row_version + 1"
                    " where department_code = '974' and role_sequence = 77")
        ).rowcount  # fmt: skip
    time.sleep(1.5)

    carried = carry_changes(world.rig, Actor("eva", "engineer", "test"))

    assert edited == len(rows)
    assert [one.kind for one in carried] == [RunKind.REVERSE]
    assert world.marel.run(f"select distinct rang from implications where id_implication in ({listed})") == [(88,)]
