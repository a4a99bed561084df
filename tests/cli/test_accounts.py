"""What `sync status` says of the last run of each route, and a route that stands still because lists say otherwise."""

import json

import pytest

from banyan.config import load_project
from banyan.departments import Side, SourceRef
from banyan.errors import ConservationBroken
from store.ledger import LedgerReader
from store.postgres import transaction
from sync.assembly import Rig, open_rig, prepare
from sync.lane import Step
from sync.movement import actor_of, first_copy
from sync.workspace import opened

pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")


def told(project, capfd, *arguments):
    capfd.readouterr()
    assert project.banyan(*arguments, "--json") == 0
    return json.loads(capfd.readouterr().out)


def test_the_last_run_of_a_route_is_told_with_both_equations_table_by_table(loaded_project, capfd):
    (status,) = told(loaded_project, capfd, "sync", "status", "38")
    (run,) = told(loaded_project, capfd, "load", "38")["runs"]
    capfd.readouterr()
    assert loaded_project.banyan("sync", "status", "38") == 0
    by_table = capfd.readouterr().out
    assert loaded_project.banyan("sync", "status") == 0
    together = capfd.readouterr().out

    (account,) = status["accounts"]
    tables = {one["table"]: one["counts"] for one in account["tables"]}
    assert (account["route"], account["kind"], account["state"]) == ("38.ORION -> CANONICAL", "LOAD", "DONE")
    assert tables == run["tables"]
    assert sum(counts["rows"]["read"] for counts in tables.values()) == 3377
    for counts in tables.values():
        rows, parts = counts["rows"], counts["parts"]
        assert rows["read"] == sum(count for name, count in rows.items() if name != "read")
        assert parts["emitted"] == parts["inserted"] + parts["updated"] + parts["unchanged"] + parts["merged"]
        assert parts["split"] == parts["emitted"] - rows["loaded"] - rows["unchanged"]
    assert sum(counts["parts"]["split"] for counts in tables.values()) > 0
    assert all(one["is_balanced"] for one in account["tables"])
    emitted = tables["t_personne"]["parts"]["emitted"]
    (line,) = [line for line in by_table.splitlines() if " t_personne " in line]
    assert f"{tables['t_personne']['rows']['read']} read = " in line
    assert f"{emitted} emitted = " in line
    assert "3 377 read = " in together
    assert " t_personne " not in together


def test_links_of_the_store_are_the_parts_beyond_the_first(loaded_project, capfd):
    (status,) = told(loaded_project, capfd, "sync", "status", "38")

    split = {one["table"]: one["counts"]["parts"]["split"] for one in status["accounts"][0]["tables"]}
    links = loaded_project.ask(
        loaded_project.store,
        "select table_name, count(l.part) from mig.crosswalk c join mig.source_table using (source_table_no)"
        " left join mig.record_link l using (id) where c.run_no = 1 group by 1",
    )
    assert {table: count for table, count in split.items() if count} == {table: n for table, n in links if n}


def lose_a_row_of_the_list(project, rig: Rig, table: str):
    """Give what is called at each step of a chunk: once rows of a table are in, one of them goes behind our back."""
    gone = []

    def lose(step: Step) -> None:
        if step is not Step.COMMITTED or gone:
            return
        gone.extend(
            project.ask(
                project.store,
                "delete from mig.crosswalk where id = (select id from mig.crosswalk where source_table_no ="
                f" {rig.table_numbers[table]} and deleted_at is null limit 1) returning source_key",
            )
        )

    return lose


def test_a_copy_whose_figures_are_not_those_of_its_lists_holds_its_route_until_a_person_has_looked(
    fresh_project, capfd
):
    with opened(load_project(fresh_project.folder)) as workspace:
        rig = prepare(workspace, ORION)
        with pytest.raises(ConservationBroken) as broken:
            first_copy(rig, actor_of(workspace), checkpoint=lose_a_row_of_the_list(fresh_project, rig, "t_unite"))
        watermark = open_rig(workspace, ORION).forward().watermark()
        with transaction(workspace.engine("banyan_auditor")) as connection:
            open_run = LedgerReader(connection).find_open_run(ORION, Side.CANONICAL)
    loaded = fresh_project.ask(
        fresh_project.store, "select loaded from mig.conservation where run_no = 1 and table_name = 't_unite'"
    )[0][0]

    (status,) = told(fresh_project, capfd, "sync", "status")
    assert fresh_project.banyan("load", "38") == 3
    refused = capfd.readouterr().err
    (cancelled,) = told(fresh_project, capfd, "sync", "cancel", "38", "--reason", "row put back")["cancelled"]
    (again,) = told(fresh_project, capfd, "load", "38")["runs"]

    said = f"t_unite: {loaded} loaded, {loaded - 1} in the list"
    assert said in broken.value.message
    assert (watermark, open_run) == (None, None)
    assert (status["word"], said in status["sentence"]) == ("NO", True)
    assert 'banyan sync cancel 38 --reason "TEXT"' in status["following"]
    assert (status["accounts"][0]["state"], said in status["accounts"][0]["reason"]) == ("FAILED", True)
    assert "stands still since run 1 (LOAD)" in refused
    assert cancelled["run_no"] == 1
    state, reason = fresh_project.ask(fresh_project.store, "select state, reason from mig.run where run_no = 1")[0]
    assert (state, reason.startswith("row put back (held: "), said in reason) == ("CANCELLED", True, True)
    assert (again["is_balanced"], again["tables"]["t_unite"]["rows"]["loaded"]) == (True, 1)


def test_a_chunk_of_changes_whose_rows_are_not_listed_writes_nothing_and_holds_its_route(loaded_project, capfd):
    change = "update orion.t_objet set descr = 'AUTRE' where id_objet = (select max(id_objet) from orion.t_objet)"
    loaded_project.ask(loaded_project.legacy, change)
    loaded_project.ask(
        loaded_project.store,
        "create function pg_temp_lose() returns trigger language plpgsql security definer as $$ begin"
        " delete from mig.crosswalk where id = new.id; return null; end $$",
    )
    loaded_project.ask(
        loaded_project.store,
        "create trigger zz_lose after update on mig.crosswalk for each row execute function pg_temp_lose()",
    )
    try:
        assert loaded_project.banyan("sync", "run", "38") == 3
        broken = capfd.readouterr().err
        assert loaded_project.banyan("sync", "run", "38") == 3
        refused = capfd.readouterr().err
    finally:
        loaded_project.ask(loaded_project.store, "drop function pg_temp_lose() cascade")
    assert loaded_project.banyan("sync", "cancel", "38", "--reason", "trigger removed") == 0
    (run,) = told(loaded_project, capfd, "sync", "run", "38")["runs"]

    assert "1 loaded, 0 in the list; nothing of this chunk was written" in broken
    assert "stands still since run 2 (CHANGES)" in refused
    assert run["total"]["rows"] | {"loaded": 0} == run["total"]["rows"] | {"loaded": 0, "read": 1}
    assert run["total"]["rows"]["loaded"] == 1


def test_the_planner_knows_how_long_the_lists_of_a_first_copy_are(loaded_project):
    lists = ("crosswalk_38", "filtered_row", "quarantine", "retention_term")
    planned = dict(
        loaded_project.ask(
            loaded_project.store, f"select relname, reltuples::bigint from pg_class where relname in {lists}"
        )
    )
    counted = {
        name: loaded_project.ask(loaded_project.store, f"select count(*) from mig.{name}")[0][0] for name in lists
    }

    assert planned == counted
    assert counted["filtered_row"] > 0
