"""L5 of a closure of each flavour, for real: live work by name and statistics, a difference named, and what moves."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from brigades import make_brigades
from judged import judged, watermark_of
from judged import subject_of as subject_of_38
from marels import make_marel
from stores import make_store, store_template
from worlds import RULES

from banyan.errors import UsageError
from banyan.findings import LevelState, VerdictKind
from cutover.behaving import open_work_of, statistics_of
from cutover.judgement import judge_closure, subject_of
from cutover.samples import draw_to_paper
from validation.behaviour import combine
from validation.declared_behaviour import BEHAVIOUR_FILE
from validation.open_work import CANONICAL_ONLY, LEGACY_ONLY
from validation.rechecking import Patience
from validation.sampling import LotRequest

__all__ = ["judged", "make_store", "store_template"]
pytestmark = pytest.mark.server
NOT_OF_38 = ("in_custody", "live_seals", "t_gav", "t_scelle")


@pytest.fixture(scope="module")
def marel(cluster, mariadb, tmp_path_factory):
    """35 on MariaDB, copied."""
    made = make_marel(
        cluster, mariadb, tmp_path_factory.mktemp("marel") / "project", capture="journal", name="behaving"
    )
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def brigades(cluster, tmp_path_factory):
    """48 with two brigades, copied."""
    folder = tmp_path_factory.mktemp("brigades") / "project"
    made = make_brigades(cluster, folder, fence="triggers", name="behaving_brigades")
    made.load()
    yield made
    made.close()


@contextmanager
def changed(world, table, column, value, where):
    """Change one column of one record as the forward applier, which may while LEGACY owns; put it back afterwards."""
    ((row, before),) = world.ask_store(
        f"select r.id, r.{column} from justice.{table} r where r.department_code = '{world.name[:2]}' and {where}"
        " order by 1 limit 1"
    )
    change = f"update justice.{table} set {column} = :value where id = :id"
    engine = world.rig.workspace.engine("banyan_forward")
    with engine.begin() as connection:
        connection.execute(sa.text(change), {"value": value, "id": row})
    yield str(row)
    with engine.begin() as connection:
        connection.execute(sa.text(change), {"value": before, "id": row})


@contextmanager
def undeclared(world, text=None):
    """Take away what the project of a world declares for L5, or declare this; put it back afterwards."""
    path = world.rig.workspace.rules_folder(world.rig.source) / BEHAVIOUR_FILE
    before = path.read_text("utf-8")
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    yield
    path.write_text(before, encoding="utf-8")


@pytest.mark.mariadb
def test_live_work_and_statistics_of_a_marel_are_equal_on_a_real_load(marel):
    cases, vehicles = subject_of(marel.rig, "35.cases"), subject_of(marel.rig, "35.vehicles")
    open_work, belongings = open_work_of(cases, None), open_work_of(vehicles, None)
    statistics, lines = statistics_of(cases, None)

    assert (open_work.state, belongings.state, statistics.state) == (LevelState.PASS,) * 3
    assert [open_work.figures[f"{name}_canonical"] for name in ("open_cases", "missing_persons")] == [6, 4]
    assert [belongings.figures[f"{name}_canonical"] for name in ("stolen_vehicles", "stolen_items")] == [12, 41]
    assert statistics.figures["legacy"] == statistics.figures["canonical"] == 153
    assert len({line.unit for line in lines}) > 1
    assert statistics_of(vehicles, None) is None
    assert open_work_of(subject_of(marel.rig, "35.reference"), None) is None


@pytest.mark.mariadb
def test_a_case_a_vehicle_and_a_unit_that_a_marel_does_not_know_are_named(marel):
    cases, vehicles = subject_of(marel.rig, "35.cases"), subject_of(marel.rig, "35.vehicles")
    with changed(marel, "case_file", "case_status_code", "CLOSED", "case_status_code = 'OPEN'") as case:
        lost = open_work_of(cases, None)
    with changed(marel, "vehicle", "plate_raw", "AA-000-AA", "item_id in (select id from justice.item"
                 " where item_status_code = 'STOLEN')"):  # fmt: skip
        renamed = open_work_of(vehicles, None)
    other = "select u.id from justice.enforcement_unit u where u.id <> r.unit_id and u.unit_code is not null limit 1"
    ((unit,),) = marel.ask_store(
        f"select ({other}) from justice.case_file r where r.id in (select case_file_id from justice.offense)"
        " order by r.id limit 1"
    )
    with changed(marel, "case_file", "unit_id", unit, "r.id in (select case_file_id from justice.offense)"):
        moved, lines = statistics_of(cases, None)

    ((key,),) = marel.ask_store("select source_key from mig.crosswalk where id = :id", id=case)
    assert [(each.table, each.key, each.cause) for each in lost.findings] == [
        ("case_file", key, f"open cases: {LEGACY_ONLY}")
    ]
    assert {each.cause for each in renamed.findings} == {
        f"stolen vehicles: {LEGACY_ONLY}", f"stolen vehicles: {CANONICAL_ONLY}"
    }  # fmt: skip
    different = [line for line in lines if line.difference]
    assert moved.state is LevelState.FAIL
    assert len({line.unit for line in different}) == 2
    assert sum(line.difference for line in different) == 0


def test_live_work_and_statistics_of_two_brigades_are_equal_on_a_real_load(brigades):
    cases, custody = subject_of(brigades.rig, brigades.name), subject_of(brigades.rig, "48.custody")
    open_work, seals = open_work_of(cases, None), open_work_of(custody, None)
    statistics, _ = statistics_of(cases, None)

    assert (open_work.state, seals.state, statistics.state) == (LevelState.PASS,) * 3
    assert (open_work.figures["open_cases_canonical"], seals.figures["live_seals_canonical"]) == (1, 1)
    assert "the old system has no list of missing persons, stolen vehicles, stolen items" in open_work.sentence
    assert statistics.figures["legacy"] == statistics.figures["canonical"] == 25


def test_a_seal_that_is_given_back_and_a_list_a_brigade_cannot_hold_are_named(brigades):
    cases, custody = subject_of(brigades.rig, brigades.name), subject_of(brigades.rig, "48.custody")
    with changed(brigades, "evidence", "evidence_status_code", "RETURNED", "evidence_status_code is null") as seal:
        lost = open_work_of(custody, None)
    with changed(brigades, "item", "item_status_code", "STOLEN", "item_category_code = 'VEHICLE'") as item:
        stolen = open_work_of(cases, None)
        ((main, number),) = brigades.ask_store(
            "select c.id, c.source_table_no from mig.record_link l join mig.crosswalk c on c.id = l.id"
            " where l.canonical_id = :id", id=item,
        )  # fmt: skip
        brigades.ask_store(
            "insert into mig.degraded_write_back (department_code, source_table_no, main_id, canonical_table,"
            " column_name, kind, cause, state) values ('48', :number, :main, 'item', 'item_status_code', 'NO_PLACE',"
            " 'no place for it', 'OPEN')", number=number, main=main,
        )  # fmt: skip
        listed = open_work_of(cases, None)
        brigades.ask_store("delete from mig.degraded_write_back where main_id = :main", main=main)

    ((key, table),) = brigades.ask_store(
        "select c.source_key, t.table_name from mig.crosswalk c join mig.source_table t using (source_table_no)"
        " where c.id = :id", id=seal,
    )  # fmt: skip
    file = table.partition("/")[0]
    assert [(each.key, each.cause) for each in lost.findings] == [(f"{file}/{key}", f"live seals: {LEGACY_ONLY}")]
    assert {(each.key, each.cause) for each in stolen.findings} == {(item, f"stolen vehicles: {CANONICAL_ONLY}")}
    assert listed.state is LevelState.PASS, "a known degraded write-back is accounted for in its own list"


def test_what_nobody_declared_is_an_error_that_says_where_and_not_an_answer(brigades, tmp_path):
    cases = subject_of(brigades.rig, brigades.name)
    path = brigades.rig.workspace.rules_folder(brigades.rig.source) / BEHAVIOUR_FILE
    lines = path.read_text("utf-8").splitlines(keepends=True)
    with undeclared(brigades):
        open_work, (statistics, _) = open_work_of(cases, None), statistics_of(cases, None)
        with pytest.raises(UsageError, match="nobody declared what a case is in BUREAU"):
            draw_to_paper(cases, tmp_path, closure="48", lot=LotRequest(3, 10_000, 1), rules_digest="")
    with undeclared(brigades, "".join(line for line in lines if "list: open_cases" not in line)):
        in_part = open_work_of(cases, None)
    level = combine([open_work, statistics])

    place = "declare it in rules/bureau/behaviour/behaviour.yaml"
    every = "open_cases, missing_persons, stolen_vehicles, stolen_items"
    assert open_work.sentence == f"open work: not declared: {every}; {place}"
    assert statistics.sentence == f"statistics: not declared: what is counted; {place}"
    assert (level.state, level.figures["parts"]) == (LevelState.ERROR, "")
    assert (in_part.state, in_part.sentence) == (LevelState.ERROR, f"open work: not declared: open_cases; {place}")


@pytest.mark.torture
def test_the_closures_of_two_brigades_wait_for_signatures_alone_and_not_without_declarations(brigades):
    sound = [judge_closure(brigades.rig, name) for name in (brigades.name, "48.custody")]
    with undeclared(brigades):
        silent = judge_closure(brigades.rig, brigades.name)

    assert [each.judgement.kind for each in sound] == [VerdictKind.AWAITING, VerdictKind.AWAITING]
    assert [each.level("L5").figures["parts"] for each in sound] == [
        "open_work+statistics+totals", "open_work+sample+statistics+totals"
    ]  # fmt: skip
    assert (silent.judgement.kind, silent.level("L5").state) == (VerdictKind.NO_GO, LevelState.ERROR)


def test_cases_of_every_brigade_are_drawn_for_the_paper_by_brigade_and_year(brigades, tmp_path):
    cases = subject_of(brigades.rig, brigades.name)
    drawn = draw_to_paper(cases, tmp_path, closure="48", lot=LotRequest(10, 10_000, 1), rules_digest="d")
    rows = [line.split(",") for line in drawn.path.read_text("utf-8").splitlines()[1:]]

    assert drawn.size == len(rows) == 10
    assert {row[1] for row in rows} == {f"{path.stem}/AFFAIRES" for path in brigades.paths}
    assert {row[4] for row in rows} == {path.stem for path in brigades.paths}
    assert {len(row[5]) for row in rows} == {4}, [row[5] for row in rows]


@pytest.fixture
def live(judged, tmp_path):
    """38 with the declarations of its closure, while people may write: what is judged, and how one waits."""
    rules = tmp_path / "orion"
    shutil.copytree(RULES / "behaviour", rules / "behaviour")
    path = rules / BEHAVIOUR_FILE
    kept = [line for line in path.read_text("utf-8").splitlines(True) if not any(word in line for word in NOT_OF_38)]
    path.write_text("".join(kept), encoding="utf-8")
    return replace(subject_of_38(judged, role="banyan_forward"), rules=rules)


def test_what_people_change_while_both_sides_live_is_moving_and_no_false_difference(judged, live):
    before = watermark_of(judged)
    impatient = Patience(lambda: watermark_of(judged), wait_seconds=0.2)
    resting = open_work_of(live, before, impatient), statistics_of(live, before, impatient)[0]
    ((closing,), *_) = judged.place.run(
        "select c.source_key from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.case_status_code = 'OPEN' order by c.source_key limit 1"
    )
    ((handed_over,), *_) = judged.place.run(
        "select c.source_key from mig.crosswalk c join justice.case_file f on f.id = c.id where c.id in"
        " (select case_file_id from justice.offense) and f.unit_id is not null order by c.source_key limit 1"
    )
    judged.on_legacy("update orion.t_proc set statut = 'C' where id_proc = %s", (closing,))
    judged.on_legacy(
        "update orion.t_proc p set id_unite = (select max(u.id_unite) from orion.t_unite u where u.id_unite <>"
        " p.id_unite) where id_proc = %s", (handed_over,),
    )  # fmt: skip
    open_work, (statistics, _) = open_work_of(live, before, impatient), statistics_of(live, before, impatient)
    blind = open_work_of(live, None), statistics_of(live, None)[0]
    caught_up = _CatchingUp(judged)
    decided = open_work_of(live, before, Patience(caught_up)), statistics_of(live, before, Patience(caught_up))[0]

    assert [each.state for each in resting] == [LevelState.PASS, LevelState.PASS]
    assert [each.figures["moving"] for each in resting] == [0, 0]
    assert (open_work.state, statistics.state) == (LevelState.PASS, LevelState.PASS)
    assert open_work.figures["moving"] == 1
    assert statistics.figures["moving"] >= 1
    assert [each.state for each in blind] == [LevelState.FAIL, LevelState.FAIL], (
        "without a watermark it is a difference"
    )
    assert [(each.state, each.figures["moving"]) for each in decided] == [(LevelState.PASS, 0), (LevelState.PASS, 0)]


class _CatchingUp:
    """Tell how far the new system has come, carrying what waits at each look."""

    def __init__(self, world):
        self.world = world

    def __call__(self):
        lane, engine = self.world.forward(), self.world.forward_engine()
        while engine.advance(lane) is not None:
            pass
        return watermark_of(self.world)


def test_a_difference_that_nobody_is_moving_stays_one_while_another_name_moves(judged, live):
    before = watermark_of(judged)
    ((moving,), *_) = judged.place.run(
        "select c.source_key from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.case_status_code = 'OPEN' order by c.source_key limit 1"
    )
    ((row,), *_) = judged.place.run(
        "select i.id::text from justice.item i where i.item_status_code = 'STOLEN' and not exists"
        " (select from justice.vehicle v where v.item_id = i.id) order by i.id limit 1"
    )
    change = "update justice.item set item_status_code = %s where id = %s"
    judged.on_legacy("update orion.t_proc set statut = 'T' where id_proc = %s", (moving,))
    judged.place.run(change, ("FOUND", row), role="banyan_forward")
    found = open_work_of(live, before, Patience(lambda: before, wait_seconds=0.2))
    judged.place.run(change, ("STOLEN", row), role="banyan_forward")

    assert [(each.table, each.cause) for each in found.findings] == [("item", f"stolen items: {LEGACY_ONLY}")]
    assert (found.state, found.figures["different"], found.figures["moving"]) == (LevelState.FAIL, 1, 1)
