"""`sync_38` run to its end by Airflow, beside people who work, sources that fail and a clock that is lost."""

import polars as pl
import pytest

from banyan.errors import ConfigurationError
from banyan.records import KeyRange
from estate.schema import legacy_tables
from mappings.closure import load_order
from mappings.engine import apply_forward
from store.postgres import raw, transaction
from store.records import read_records
from sync.assembly import Rig
from sync.incremental import Permission
from sync.setting import look_up

pytestmark = [pytest.mark.server, pytest.mark.airflow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TABLES_OF_THE_LAST_RUN = "select table_name from mig.chunk where run_no = (select max(run_no) from mig.run)"
TASKS = {"ORION.plan", "ORION.carry", "ORION.finish", "ORION.carry_back"}  # what the gates tell Airflow to skip
NOTHING_BACK = {"gate_back": ["success"], "carry_back": ["skipped"]}  # the old system owns


def records_by_legacy(rig: Rig) -> dict[str, list[pl.DataFrame]]:
    """Give what the legacy rows mean now, by canonical table."""
    setting = rig.setting("banyan_forward")
    found: dict[str, list[pl.DataFrame]] = {}
    for table in load_order(rig.book):
        ruleset = rig.book.rulesets[table]
        kept = [column for column in ruleset.columns if column not in ruleset.drop]
        rows = rig.port.read_range(table, KeyRange(None, None)).rows.select(kept)
        with transaction(setting.engine) as connection:
            context = look_up(raw(connection), setting, ruleset, rows)
        mapped = apply_forward(setting.compiled(table), rows, context)
        for part in ruleset.parts:
            found.setdefault(part.table, []).append(mapped.parts[part.name].drop("source_key"))
    return found


def assert_canonical_equals_legacy(place) -> None:
    """Compare every record with the legacy row it stands for: none lost, none doubled, none stale."""
    with place.rig() as rig:
        for table, frames in records_by_legacy(rig).items():
            ids = pl.concat([frame["id"] for frame in frames])
            stored = place.run_store(f"select id from justice.{table}")
            assert len(stored) == ids.n_unique(), table
            for frame in frames:
                with transaction(rig.workspace.engine("banyan_forward")) as connection:
                    records = read_records(raw(connection), table, "38", frame["id"])
                same = records.select(frame.columns).sort("id").equals(frame.sort("id"))
                assert same, table


def leaves(value) -> list[object]:
    if isinstance(value, dict):
        return [leaf for below in value.values() for leaf in leaves(below)]
    if isinstance(value, list):
        return [leaf for below in value for leaf in leaves(below)]
    return [value]


def surnames(place, keys: set[str]) -> set[str]:
    rows = place.run_legacy("select trim(nom) from orion.t_personne where id_pers::text = any(%s)", (sorted(keys),))
    return {name for (name,) in rows if name and len(name) > 3}


def test_a_sync_carries_what_people_changed_and_nothing_twice(airflow, under_way):
    before, runs = under_way.watermark(), len(under_way.runs())
    touched = under_way.people_work(60, seed=3)

    first = airflow.run("sync_38")
    after = under_way.watermark()
    second = airflow.run("sync_38")

    assert touched["t_personne"]
    assert first.state == "success"
    assert set(airflow.states(first)["carry"]) == {"success"}
    carried = [table for (table,) in under_way.run_store(TABLES_OF_THE_LAST_RUN)]
    assert set(touched) <= set(carried)  # and what fell with a person that was removed
    assert len(touched) <= len(airflow.states(first)["carry"]) <= len(carried)
    assert after != before
    assert_canonical_equals_legacy(under_way)
    assert second.state == "success"
    assert airflow.states(second) == {
        "gate": ["success"], "plan": ["success"], "carry": ["skipped"], "finish": ["skipped"], **NOTHING_BACK
    }  # fmt: skip
    assert under_way.watermark() == after
    assert "OPEN" not in {state for _, _, state in under_way.runs()}
    assert len(under_way.runs()) == runs + 1


def test_only_references_and_counts_stand_in_the_metadata_of_airflow(airflow, under_way):
    touched = under_way.people_edit("t_unite", "t_personne")
    names = surnames(under_way, touched["t_personne"])

    airflow.run("sync_38")

    assert names
    text = airflow.everything()
    assert "t_personne" in text
    assert [name for name in names if name in text] == []
    left = [leaf for value in airflow.exchanged() for leaf in leaves(value)]
    assert {type(leaf) for leaf in left} <= {bool, int, str}
    assert set(touched) <= {leaf for leaf in left if isinstance(leaf, str)} <= TASKS | set(legacy_tables())


def test_a_chunk_that_cannot_be_read_fails_the_run_and_leaves_the_watermark(airflow, under_way):
    before = under_way.watermark()
    under_way.people_edit("t_proc", "t_personne", "t_implic")
    under_way.run_legacy("revoke select on orion.t_personne from banyan_reader")
    failures = []

    failed = airflow.run("sync_38", failures)
    left = under_way.watermark()
    under_way.run_legacy("grant select on orion.t_personne to banyan_reader")
    resumed = airflow.run("sync_38")

    assert failed.state == "failed"
    assert {type(failure) for failure in failures} == {ConfigurationError}
    assert "the account lacks a right" in failures[0].message
    assert set(airflow.tries(failed, "ORION.carry")) == {1}
    assert left == before
    assert resumed.state == "success"
    assert under_way.watermark() != before
    assert "OPEN" not in {state for _, _, state in under_way.runs()}
    assert_canonical_equals_legacy(under_way)


def test_losing_the_metadata_of_airflow_in_the_middle_of_a_run_loses_nothing(airflow, under_way):
    under_way.people_edit("t_proc", "t_implic")
    under_way.run_legacy("revoke select on orion.t_implic from banyan_reader")
    half_way = airflow.run("sync_38")
    open_run = under_way.runs()[-1]
    done = under_way.run_store(f"select count(*) from mig.chunk where run_no = {open_run[0]} and state = 'DONE'")[0][0]
    under_way.people_edit("t_proc", "t_tel")

    airflow.lose()
    airflow.create()
    under_way.run_legacy("grant select on orion.t_implic to banyan_reader")
    resumed = airflow.run("sync_38")
    following = airflow.run("sync_38")

    assert half_way.state == "failed"
    assert done > 0
    assert open_run[2] == "OPEN"
    assert resumed.state == "success"
    assert (open_run[0], "CHANGES", "DONE") in under_way.runs()
    assert following.state == "success"
    assert "OPEN" not in {state for _, _, state in under_way.runs()}
    assert_canonical_equals_legacy(under_way)


def test_the_gate_skips_a_department_that_is_being_switched_and_says_why(airflow, under_way):
    under_way.people_edit("t_proc")
    runs = under_way.runs()
    under_way.run_store("update mig.slice set phase = 'DRAINING' where domain_code <> 'reference'")

    run = airflow.run("sync_38")
    permission = under_way.permission()

    under_way.run_store("update mig.slice set phase = 'SYNCING'")
    assert run.state == "success"
    assert airflow.states(run) == {
        "gate": ["success"], "plan": ["skipped"], "carry": ["skipped"], "finish": ["skipped"], **NOTHING_BACK
    }  # fmt: skip
    assert permission == Permission(is_granted=False, reason="38.cases+vehicles is DRAINING")
    assert under_way.runs() == runs


def test_a_sync_that_carried_renews_the_asset_and_the_validation_it_starts_leaves_evidence(airflow, under_way):
    under_way.people_edit("t_proc")
    renewed = airflow.renewals("banyan://synced/38")

    synced = airflow.run("sync_38")
    idle = airflow.run("sync_38")
    validated = airflow.run("validate_38")

    assert (synced.state, idle.state, validated.state) == ("success", "success", "success")
    assert airflow.renewals("banyan://synced/38") == renewed + 1
    evidence = under_way.run_store("select evidence_id, closure, profile from mig.evidence order by made_at")
    assert [(closure, profile) for _, closure, profile in evidence] == [
        (f"38.{name}", "switch") for name in ("cases+vehicles", "custody", "documents", "logbook", "reference")
    ]
    told = ",".join(evidence_id for evidence_id, _, _ in evidence)
    assert told in [value for value in airflow.exchanged() if isinstance(value, str)]
    assert all((under_way.folder / "evidence" / evidence_id).is_dir() for evidence_id, _, _ in evidence)
