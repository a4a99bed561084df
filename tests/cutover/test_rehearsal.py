"""There and back on a copy: the original is not touched, and its plan knows what to expect."""

import tempfile

import pytest
from brigades import make_brigade, make_brigades
from marels import make_marel
from projects import known_actor
from switches import NAME, switch_world

from banyan.departments import Actor, Side
from banyan.errors import SourceUnreadable
from cutover.gauge import read_way_back, say_rehearsal
from cutover.plan import Plan, plan_switch
from cutover.reading import RigReader
from cutover.rehearsal import rehearse

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


def test_a_rehearsal_goes_there_and_back_on_a_copy_and_is_the_forecast_of_the_next_plan(switch_world):
    world, said = switch_world, []
    world.sign()
    before = (world.row, world.fence, world.ask_legacy("select count(*), max(observ) from orion.t_proc"))

    report = rehearse(world.rig, world.closure, actor=Actor("eva", "engineer", "test"), announce=said.append)

    assert (world.row, world.fence, world.ask_legacy("select count(*), max(observ) from orion.t_proc")) == before
    assert (report.closure, report.lost) == (NAME, 0)
    assert report.edits > 500 and report.rows > 1000
    assert [step.name.value for step in report.back] == ["close", "drain", "verify", "flip", "open", "settle"]
    assert said[0] == "copying both sides"
    gauge = read_way_back(world.rig, world.closure)
    assert gauge.rehearsal is not None and gauge.rehearsal.edits == report.edits
    assert say_rehearsal(gauge).startswith(f"rehearsed 0 days ago: {report.edits} edits, 0 lost")
    there = assert_is_the_forecast(world, report)
    assert not any("rehearsed" in remark for remark in there.remarks)


def assert_is_the_forecast(world, report) -> Plan:
    """What the rehearsal took is expected next time, as over the link to the original."""
    reader = RigReader(world.rig, world.closure)
    ways = {Side.CANONICAL: (report.there, report.outage_ms), Side.LEGACY: (report.back, report.back_ms)}
    for to, (steps, took) in ways.items():
        plan, past = plan_switch(world.closure, to, reader), reader.past(to)
        assert (past.outage_ms, past.step_ms) == (took, {step.name.value: step.milliseconds for step in steps})
        assert plan.expected_outage_ms == past.over(plan.link_us) > 0
        assert abs(plan.expected_outage_ms - took) < 1000, "both stand on one machine"
    return plan_switch(world.closure, Side.CANONICAL, reader)


def beside(marel):
    """Every database of the server, and every right that names one."""
    return marel.run("select schema_name from information_schema.schemata order by 1") + marel.run(
        "select user, host, db, '' from mysql.db union select user, host, db, table_name from mysql.tables_priv"
        " union select user, host, db, routine_name from mysql.procs_priv order by 1, 2, 3, 4"
    )


ROWS = "select count(*), max(modifie_le), sum(crc32(concat_ws('|', id_objet, serie, description))) from objets"
UNPROTECTED = "select count(*), max(modifie_le), sum(crc32(concat_ws('|', id_implication, rang))) from implications"


@pytest.mark.torture
@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("capture", "domain", "rows"),
    [("journal", "vehicles", ROWS), ("log", "vehicles", ROWS), ("log", "cases", UNPROTECTED)],
)
def test_a_mariadb_is_rehearsed_in_a_database_beside_it_which_is_gone_afterwards(
    cluster, mariadb, tmp_path, capture, domain, rows
):
    name = f"rehearsed_{capture}_{domain}"
    world = make_marel(cluster, mariadb, tmp_path / "project", capture=capture, name=name)
    world.name = f"35.{domain}"
    world.load()
    world.sign()
    before = (world.row, world.fence, world.marel.run(rows), beside(world.marel))

    report = rehearse(world.rig, world.closure, actor=Actor("eva", "engineer", "test"), announce=lambda _: None)

    assert (world.row, world.fence, world.marel.run(rows), beside(world.marel)) == before
    assert (report.lost, report.rows) == (0, sum(world.rig.port.count(table) for table in world.closure.tables))
    assert report.edits > 100
    assert_is_the_forecast(world, report)
    world.close()


@pytest.mark.torture
@pytest.mark.parametrize("fence", ["triggers", "closed_window"])
def test_the_file_of_a_brigade_is_rehearsed_in_a_copy_and_not_touched(cluster, tmp_path, fence):
    world = make_brigade(cluster, tmp_path / "project", fence=fence, name=f"rehearsed_{fence}")
    world.load()
    world.sign()
    before = (world.row, world.fence, world.dump(), world.path.read_bytes())

    report = rehearse(world.rig, world.closure, actor=Actor("eva", "engineer", "test"), announce=lambda _: None)

    assert (world.row, world.fence, world.dump(), world.path.read_bytes()) == before
    assert (report.lost, report.rows) == (0, sum(world.rig.port.count(table) for table in world.closure.tables))
    assert report.edits > 10
    assert_is_the_forecast(world, report)
    world.close()


@pytest.fixture
def folder_of_copies(tmp_path, monkeypatch):
    """A folder of its own for what is made in passing."""
    found = tmp_path / "copies"
    found.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(found))
    return found


@pytest.mark.parametrize("fence", ["triggers", pytest.param("closed_window", marks=pytest.mark.torture)])
def test_the_files_of_two_brigades_are_rehearsed_in_copies_and_not_touched(cluster, tmp_path, folder_of_copies, fence):
    world = make_brigades(cluster, tmp_path / "project", fence=fence, name=f"rehearsed_brigades_{fence}")
    world.load()
    world.sign()
    before, seen = (world.row, world.fence, world.files()), []

    def look(_: str) -> None:
        seen.append(sorted(path.name for path in folder_of_copies.glob("banyan-rehearsal-*/legacy/*.db")))

    report = rehearse(world.rig, world.closure, actor=Actor("eva", "engineer", "test"), announce=look)

    assert (world.row, world.fence, world.files()) == before
    assert seen[:2] == [[], [path.name for path in world.paths]], "those that are listed, and no other one"
    rows = {table: world.rig.port.count(table) for table in world.closure.tables}
    assert (report.lost, report.rows) == (0, sum(rows.values()))
    assert {table.partition("/")[0] for table, count in rows.items() if count} == {path.stem for path in world.paths}
    assert report.edits > 10
    reader = RigReader(world.rig, world.closure)
    there = plan_switch(world.closure, Side.CANONICAL, reader)
    assert (reader.past(Side.CANONICAL).outage_ms, there.expected_outage_ms > 0) == (report.outage_ms, True)
    assert not any("rehearsed" in remark for remark in there.remarks)
    assert list(folder_of_copies.iterdir()) == []
    world.close()


@pytest.mark.parametrize("last", ["reading the copy", pytest.param("going back", marks=pytest.mark.torture)])
def test_a_rehearsal_that_ends_early_leaves_no_copy_and_touches_no_file(cluster, tmp_path, folder_of_copies, last):
    world = make_brigades(cluster, tmp_path / "project", fence="closed_window", name=f"rehearsed_until_{last[:5]}")
    world.load()
    world.sign()
    before, actor = (world.row, world.fence, world.files()), Actor("eva", "engineer", "test")

    def stop(said: str) -> None:
        if said.endswith(last):
            assert list(folder_of_copies.glob("banyan-rehearsal-*/legacy/*.db"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(world.rig, world.closure, actor=actor, announce=stop)

    assert (world.row, world.fence, world.files()) == before
    assert list(folder_of_copies.iterdir()) == []

    whole = world.paths[1].read_bytes()
    world.paths[1].write_bytes(b"no such file" * 400)
    with pytest.raises(SourceUnreadable, match=world.paths[1].name):
        rehearse(world.rig, world.closure, actor=actor, announce=lambda _: None)

    assert list(folder_of_copies.iterdir()) == []
    world.paths[1].write_bytes(whole)
    assert (world.row, world.fence, world.files()) == before
    world.close()
