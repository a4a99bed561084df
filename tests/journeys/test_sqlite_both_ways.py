"""The file of a brigade from its first copy to the switch, back again, and there once more: behind either fence."""

import itertools
import sqlite3
from uuid import UUID

import pytest
import sqlalchemy as sa
from brigades import make_brigade
from switches import order

from banyan.clock import new_id
from banyan.departments import Phase
from banyan.ports import FenceMode
from cutover.switching import roll_back, switch

pytestmark = [pytest.mark.server, pytest.mark.journey]
_numbers = itertools.count(1)


@pytest.fixture(params=["triggers", pytest.param("closed_window", marks=pytest.mark.torture)])
def world(request, cluster, tmp_path):
    name = f"bureau_store_{next(_numbers)}"
    made = make_brigade(cluster, tmp_path / "project", fence=request.param, name=name)
    yield made
    made.close()


def fence_of(world):
    state, open_tables, defects = world.look_at_fence()
    return state.mode, set(open_tables), defects


def test_the_file_of_a_brigade_is_copied_followed_switched_taken_back_and_switched_again(world):
    world.load()
    world.officers(
        "update AFFAIRES set ETAT = 'clos', MEC1_NOM = 'Martin' where ID in (1, 2)",
        "insert into AFFAIRES (NUM_AFF, NATURE, ETAT, CONFID, MEMO) values ('77/26', 'Délit', 'en cours', 0, 'vu')",
        "delete from AFFAIRES where ID = 3",
    )
    world.file.run_with_triggers_off("update AFFAIRES set MEMO = 'sans déclencheur' where ID = 5")
    assert world.catch_up() == 1
    assert world.is_equal() == ("PASS", 0)
    assert world.ask_store("select count(*) from justice.case_file where note_text = 'sans déclencheur'") == [(1,)]
    assert world.catch_up() == 0

    world.sign()
    switch(world.rig, world.closure, order())
    assert world.phase is Phase.LIVE
    assert fence_of(world) == (FenceMode.SEALED, set(), [])
    with pytest.raises(sqlite3.Error):
        world.officers("update AFFAIRES set MEMO = 'trop tard'")

    before = world.dump()
    worked_on = ["1", "2", "4", "5", "6", "7"]
    world.people_of_the_new_system(100, worked_on)
    roll_back(world.rig, world.closure, order())
    after = world.dump()

    assert world.phase is Phase.SYNCING
    assert fence_of(world) == (FenceMode.OPEN, set(world.closure.tables), [])
    born = set(after) - set(before)
    assert (len(born), set(before) - set(after)) == (1, set())
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {("AFFAIRES", key) for key in worked_on}  # every other row: class and bytes of every cell
    assert len(changed) >= 5
    assert len(set(before) - changed) >= 10
    assert world.is_equal() == ("PASS", 0)
    assert world.catch_up() == 0  # what the way back wrote comes back to nobody

    world.officers("update AFFAIRES set MEMO = 'de retour' where ID = 1")
    assert world.catch_up() == 1
    world.sign()
    switch(world.rig, world.closure, order())

    assert world.phase is Phase.LIVE
    assert world.is_equal() == ("PASS", 0)
    numbers = [world.rig.table_numbers[table] for table in world.closure.tables]
    assert world.ask_store(
        "select source_table_no, source_key from mig.crosswalk where source_table_no = any(:n) and deleted_at is null"
        " group by 1, 2 having count(*) > 1", n=numbers) == []  # fmt: skip
    assert world.ask_store("select count(*) from justice.case_file where case_number like '900/26%'") == [(1,)]


def drive_up(world, case, plate):
    """Enter a vehicle and its item with a case, as the new application does; gives both."""
    item, vehicle = UUID(bytes=new_id()), UUID(bytes=new_id())
    (row,) = world.records("case_file", [case])
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        connection.execute(
            sa.text("insert into justice.item (id, department_code, domain_code, origin, case_file_id,"
                    " item_category_code, item_status_code) values (:item, '48', 'vehicles', 'TARGET', :case,"
                    " 'VEHICLE', 'INVOLVED')"), {"item": item, "case": row})  # fmt: skip
        connection.execute(
            sa.text("insert into justice.vehicle (id, department_code, domain_code, origin, item_id, plate_raw)"
                    " values (:vehicle, '48', 'vehicles', 'TARGET', :item, :plate)"),
            {"vehicle": vehicle, "item": item, "plate": plate})  # fmt: skip
    return item, vehicle


def test_a_vehicle_born_in_the_new_system_stands_in_the_row_of_its_case_and_a_second_one_is_listed(world):
    world.load()
    ((without,),) = world.file.run("select ID from AFFAIRES where coalesce(VEH_IMMAT, '') = '' order by ID limit 1")
    ((with_one,),) = world.file.run("select min(ID) from AFFAIRES where VEH_IMMAT <> ''")
    before = world.dump()
    world.sign()
    switch(world.rig, world.closure, order())

    item, vehicle = drive_up(world, str(without), "AB-123-CD")
    others = drive_up(world, str(with_one), "EF-456-GH")
    roll_back(world.rig, world.closure, order())

    after = world.dump()
    assert {key for key in after if after[key] != before.get(key)} == {("AFFAIRES", str(without))}
    assert world.file.run(f"select VEH_IMMAT from AFFAIRES where ID = {without}") == [("AB-123-CD",)]
    listed = "select main_id from mig.degraded_write_back where kind = 'NO_PLACE'"
    assert {one for (one,) in world.ask_store(listed)} >= set(others)
    assert world.is_equal() == ("PASS", 0)
    assert world.catch_up() == 0

    world.officers(f"update AFFAIRES set VEH_IMMAT = 'AB-124-CD' where ID = {without}")
    assert world.catch_up() == 1
    assert world.ask_store("select item_id, plate_raw from justice.vehicle where id = :id", id=vehicle) == [
        (item, "AB-124-CD")
    ]
