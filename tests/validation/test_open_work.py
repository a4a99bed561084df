"""Open-work parity on a real load: every list equal by name, and each way it can break is named."""

from contextlib import contextmanager

import pandas as pd
import pytest
from judged import edited, judged, removed, subject_of
from raw_ports import RawPort
from stores import make_store, store_template
from worlds import RULES

from banyan.findings import FindingKind, LevelState
from mappings.ruleset import load_rulebook
from store.postgres import transaction
from validation.behaviour_documents import load_behaviour
from validation.declared_behaviour import LISTS, required_lists
from validation.open_work import (
    CANONICAL_ONLY,
    LEGACY_ONLY,
    compare_list,
    list_legacy,
    open_work_level,
    read_canonical,
)

__all__ = ["judged", "make_store", "store_template"]

pytestmark = pytest.mark.server


BOOK = load_rulebook(RULES)
ORION = load_behaviour(RULES, {table: ruleset.columns for table, ruleset in BOOK.rulesets.items()})


def filtered(world):
    rows = world.place.run(
        "select t.table_name, f.source_key from mig.filtered_row f join mig.source_table t using (source_table_no)"
    )
    found: dict[str, list[str]] = {}
    for table, key in rows:
        found.setdefault(table, []).append(key)
    return found


def parity(world):
    tables = subject_of(world).tables
    out = filtered(world)
    found = []
    with transaction(world.place.engine("banyan_judge")) as connection:
        for each in ORION.lists:
            if each.rows.table in tables:
                listed = list_legacy(world.port, ORION, each, out)
                found.append(compare_list(listed, read_canonical(connection, each.list_name, "38")))
    return found


def names(each, port):
    return list_legacy(port, ORION, ORION.find_list(each), {}).rows[["key", "name"]].values.tolist()


def test_every_list_of_live_work_is_equal_by_name(judged):
    lists = parity(judged)
    level = open_work_level(lists)

    assert {each.name for each in lists} >= {"open_cases", "missing_persons", "stolen_vehicles", "stolen_items"}
    assert level.state is LevelState.PASS, level.sentence
    assert level.figures["open_cases_canonical"] > 0
    assert level.figures["stolen_vehicles_canonical"] > 0
    assert level.figures["stolen_items_canonical"] > 0
    assert level.figures["missing_persons_canonical"] > 0
    for each in lists:
        assert each.canonical == each.legacy - each.filtered


def test_an_open_case_that_the_new_system_lost_is_named_by_its_legacy_key(judged):
    key, row = judged.place.run(
        "select c.source_key, c.id::text from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.case_status_code = 'OPEN' order by 1 limit 1"
    )[0]
    with removed(judged, "case_file", row):
        found = open_work_level(parity(judged))

    assert found.state is LevelState.FAIL
    named = [each for each in found.findings if each.cause == f"open cases: {LEGACY_ONLY}"]
    assert [(each.kind, each.table, each.key) for each in named] == [(FindingKind.OPEN_WORK_DIFFERS, "case_file", key)]


def test_a_closed_case_that_the_new_system_holds_open_is_named(judged):
    row = judged.place.run("select id::text from justice.case_file where case_status_code = 'CLOSED' limit 1")[0][0]
    with edited(judged, "case_file", row, "case_status_code", "OPEN"):
        found = open_work_level(parity(judged))

    assert [(each.key, each.cause) for each in found.findings] == [(row, f"open cases: {CANONICAL_ONLY}")]


@contextmanager
def a_vehicle_of_its_own(world, item_id):
    """A vehicle that the new system added to an item, and the old system does not know; taken away afterwards."""
    vehicle_id = world.place.run(
        "insert into justice.vehicle (id, department_code, domain_code, origin, item_id, plate_raw)"
        " values (gen_random_uuid(), '38', 'vehicles', 'TARGET', %s, 'AA-229-AA') returning id::text",
        (item_id,),
        role="banyan_forward",
    )[0][0]
    yield vehicle_id
    world.place.run("delete from justice.vehicle where id = %s", (vehicle_id,), role="banyan_forward")


@contextmanager
def listed_as_not_writable_back(world, vehicle_id, *, column=None):
    """Enter an open degraded write-back of a vehicle, whole or of one column; take it back afterwards."""
    world.place.run(
        "insert into mig.degraded_write_back (department_code, source_table_no, main_id, canonical_table, column_name,"
        " kind, cause, state) values ('38', %s, %s, 'vehicle', %s, 'NO_ROW', 'no place for it', 'OPEN')",
        (world.numbers["t_vehic"], vehicle_id, column),
    )
    yield
    world.place.run("delete from mig.degraded_write_back where main_id = %s", (vehicle_id,))


def test_a_vehicle_of_the_new_system_alone_counts_unless_it_is_listed_as_not_writable_back(judged):
    key, item_id = judged.place.run(
        "select c.source_key, i.id::text from justice.item i join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and i.item_status_code = 'STOLEN' order by i.id limit 1",
        (judged.numbers["t_objet"],),
    )[0]
    with a_vehicle_of_its_own(judged, item_id) as vehicle_id:
        unlisted = open_work_level(parity(judged))
        with listed_as_not_writable_back(judged, vehicle_id, column="plate_raw"):
            in_part = open_work_level(parity(judged))
        with listed_as_not_writable_back(judged, vehicle_id):
            listed = open_work_level(parity(judged))

    named = {(f"stolen vehicles: {CANONICAL_ONLY}", item_id), (f"stolen items: {LEGACY_ONLY}", key)}
    assert (unlisted.state, {(each.cause, each.key) for each in unlisted.findings}) == (LevelState.FAIL, named)
    assert in_part.findings == unlisted.findings, "a listed column excuses no vehicle"
    assert (listed.state, listed.findings) == (LevelState.PASS, ())


def test_two_cases_of_one_number_are_two_cases():
    port = RawPort(
        t_proc={"id_proc": ["1", "2"], "num_proc": ["7/2020", "7/2020"], "statut": ["E", "E"], "top_supp": ["N", None]}
    )

    assert names("open_cases", port) == [["1", "7/2020"], ["2", "7/2020"]]


def test_the_lists_that_are_asked_follow_from_the_canonical_tables_that_are_filled():
    assert required_lists(["enforcement_unit", "enforcement_official"]) == ()
    assert required_lists(["case_file"]) == ("open_cases",)
    assert required_lists(["custody_transfer", "detention", "evidence"]) == ("in_custody", "live_seals")
    assert {each.list_name for each in ORION.lists} == set(LISTS)


def test_a_person_in_custody_and_a_seal_that_is_kept_are_read_from_raw_text():
    port = RawPort(
        t_proc={"id_proc": ["1"], "num_proc": ["7/2020  "], "statut": ["C"], "top_supp": ["N"]},
        t_implic={"id_implic": ["5"], "id_proc": ["1"], "qualite": ["MEC"], "no_ordre": ["2"], "top_supp": ["N"]},
        t_gav={
            "id_gav": ["8", "9", "10"],
            "id_implic": ["5", "5", "77"],
            "dt_fin": ["20200102", "0", None],
            "top_supp": ["N", "N", "N"],
        },
        t_scelle={
            "id_scelle": ["3", "4", "6"],
            "id_proc": ["1", "1", "1"],
            "no_scelle": ["1", "2", "9"],
            "destin": [None, "DES", "  "],
            "top_supp": ["N", "N", "O"],
        },
    )

    # who is held for a case nobody finds is held all the same
    assert names("in_custody", port) == [["9", "7/2020 · 2"], ["10", "? · ?"]]
    assert names("live_seals", port) == [["3", "7/2020 · 1"]]


def test_a_department_that_writes_other_codes_declares_them():
    columns = {table: ruleset.columns for table, ruleset in BOOK.rulesets.items()}
    there = load_behaviour(RULES, columns, department="31")

    assert there.find_list("open_cases").rows.where == {"statut": ("E", "C")}
    assert there.find_list("missing_persons").rows.where == {"qualite": ("DIS", "D")}
    assert ORION.find_list("open_cases").rows.where == {"statut": ("E",)}
    assert there.digest == ORION.digest


def test_of_two_rows_of_one_name_the_one_that_moves_is_taken_to_be_the_one_that_is_not_there_yet():
    rows = {"id_proc": ["1", "2"], "num_proc": ["7/2020", "7/2020"], "statut": ["E", "E"], "top_supp": ["N", "N"]}
    listed = list_legacy(RawPort(t_proc=rows), ORION, ORION.find_list("open_cases"), {})
    there = pd.DataFrame({"key": ["a"], "name": ["7/2020"]})

    resting = compare_list(listed, there)
    moving = compare_list(listed, there, moved=lambda: {"t_proc": {"1"}})

    assert [each.key for each in resting.findings] == ["2"]
    assert (moving.findings, moving.moving) == ((), frozenset({"1"}))
    assert open_work_level([moving]).figures["moving"] == 1
