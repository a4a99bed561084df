import pytest

from banyan.errors import LeaseLost
from store.runs import RunKind
from sync.lane import Step

pytestmark = pytest.mark.server


def live_keys(world, table):
    query = (
        "select source_key from mig.crosswalk join mig.source_table using (source_table_no)"
        " where table_name = %s and deleted_at is null"
    )
    return {key for (key,) in world.place.run(query, (table,))}


def test_every_row_of_the_first_copy_has_exactly_one_fate(world):
    result = world.load()

    assert result.total.is_balanced
    assert set(result.totals) == set(world.book.rulesets)
    for table, counts in result.totals.items():
        (there,) = world.on_legacy(f"select count(*) from orion.{table}")[0]
        assert counts.rows.read == there
    assert result.total.rows.filtered > 0
    assert (
        result.total.rejected_fields
        == world.place.run("select count(*) from mig.quarantine where state = 'OPEN' and column_name is not null")[0][0]
    )


def test_loading_again_changes_nothing(loaded):
    lane = loaded.forward()

    again = loaded.forward_engine().carry_keys(lane, lane.plan_load())

    assert again.total.rows.loaded == 0
    assert again.total.rows.unchanged > 0
    assert (again.total.parts.inserted, again.total.parts.updated, again.total.parts.removed) == (0, 0, 0)
    assert again.total.is_balanced


def test_changes_of_people_arrive_and_nothing_else_moves(loaded):
    key = sorted(live_keys(loaded, "t_personne"))[0]
    loaded.on_legacy("update orion.t_personne set profession = 'PLOMBIER' where id_pers = %s", (key,))

    result = loaded.forward_engine().advance(loaded.forward())

    assert result.total.rows.read == 1
    assert result.total.rows.loaded == 1
    assert (result.total.parts.updated, result.total.parts.inserted) == (1, 0)
    occupation = loaded.place.run(
        "select p.occupation_text from justice.person_identity p join mig.crosswalk c using (id)"
        " join mig.source_table using (source_table_no) where table_name = 't_personne' and source_key = %s",
        (key,),
    )
    assert occupation == [("PLOMBIER",)]
    assert loaded.forward_engine().advance(loaded.forward()) is None


def test_only_who_carries_a_run_itself_leases_its_first_chunk_as_it_opens(loaded):
    keys = sorted(live_keys(loaded, "t_personne"))[:2]
    states = "select state, owner from mig.chunk where run_no = %s"
    lane, engine = loaded.forward(), loaded.forward_engine()

    loaded.on_legacy("update orion.t_personne set profession = 'MACON' where id_pers = %s", (keys[0],))
    planned = engine.open_changes(lane)
    waiting = loaded.place.run(states, (planned.run_no,))
    engine.advance(lane)
    loaded.on_legacy("update orion.t_personne set profession = 'MACON' where id_pers = %s", (keys[1],))
    opened = engine.open_changes(lane, takes_first=True)
    leased = loaded.place.run(states, (opened.run_no,))
    counts = engine.carry_next(lane, opened)

    assert waiting == [("PLANNED", None)]
    assert leased == [("LEASED", engine.owner)]
    assert counts.rows.loaded == 1
    assert engine.carry_next(lane, opened) is None
    assert engine.finish(lane, opened).until == lane.watermark()


def test_hard_and_soft_deletes_leave_a_tombstone_and_no_record(loaded):
    first, second = sorted(live_keys(loaded, "t_tel"))[:2]
    loaded.on_legacy("delete from orion.t_tel where id_tel = %s", (first,))
    loaded.on_legacy("update orion.t_tel set top_supp = 'O' where id_tel = %s", (second,))
    before = loaded.place.run("select count(*) from justice.contact_means")[0][0]

    result = loaded.forward_engine().advance(loaded.forward())

    assert result.total.rows.deleted == 2
    assert result.total.parts.removed == 2
    assert loaded.place.run("select count(*) from justice.contact_means")[0][0] == before - 2
    assert not {first, second} & live_keys(loaded, "t_tel")


def test_a_part_the_row_emits_no_more_is_removed(loaded):
    (key,) = loaded.on_legacy(
        "select id_pers from orion.t_personne where immat is not null and top_supp = 'N' order by 1 limit 1"
    )[0]
    loaded.on_legacy("update orion.t_personne set immat = null where id_pers = %s", (key,))

    result = loaded.forward_engine().advance(loaded.forward())

    assert result.total.parts.removed == 1
    assert result.total.is_balanced


def test_an_impossible_date_waits_in_quarantine_and_leaves_it_when_repaired(loaded):
    (key,) = loaded.on_legacy("select id_pers from orion.t_personne where ddn > 19000000 and top_supp = 'N' limit 1")[0]
    loaded.on_legacy("update orion.t_personne set ddn = 19800231 where id_pers = %s", (key,))
    loaded.forward_engine().advance(loaded.forward())
    query = "select column_name, state from mig.quarantine where source_key = %s and column_name = 'ddn'"

    waiting = loaded.place.run(query, (str(key),))
    loaded.on_legacy("update orion.t_personne set ddn = 19800228 where id_pers = %s", (key,))
    loaded.forward_engine().advance(loaded.forward())

    assert waiting == [("ddn", "OPEN")]
    assert loaded.place.run(query, (str(key),)) == [("ddn", "SETTLED")]


def test_a_change_while_a_chunk_is_read_is_left_to_the_changes(world):
    lane = world.forward()
    engine = world.forward_engine()
    touched = {}

    class Meddling:
        """The port, with an officer who writes just after the rows of a range were read."""

        def __getattr__(self, name):
            return getattr(world.port, name)

        def read_range(self, table, keys):
            batch = world.port.read_range(table, keys)
            if table == "t_tel" and not touched:
                touched["key"] = batch.rows["id_tel"][0]
                world.on_legacy("delete from orion.t_tel where id_tel = %s", (touched["key"],))
                late = world.port.head()
                return type(batch)(table=batch.table, rows=batch.rows, low=batch.low, high=late)
            return batch

    setting = lane.setting
    meddled = type(lane)(
        type(setting)(
            setting.department, setting.source, Meddling(), setting.engine, setting.book, setting.table_numbers,
            setting.digest_key,
        ),
        world.landing,
    )  # fmt: skip
    result = engine.load(meddled, meddled.plan_load, rules_digest="")

    assert result.totals["t_tel"].rows.in_flight == 1
    listed = "select in_flight from mig.chunk where table_name = 't_tel' and in_flight is not null"
    assert world.place.run(listed) == [([touched["key"]],)]
    assert touched["key"] not in live_keys(world, "t_tel")
    changes = world.forward_engine().advance(world.forward())
    assert changes.total.rows.deleted == 1


def test_a_late_orphan_cannot_commit_a_chunk_another_worker_took(world):
    lane = world.forward()
    engine = world.forward_engine()
    run = engine._open(lane, RunKind.LOAD, lane.head(), lane.head(), lane.plan_load, "")
    stolen = []

    def steal(step):
        if step is Step.MAPPED and not stolen:
            world.place.run("update mig.chunk set owner = 'other', attempt = attempt + 1 where state = 'LEASED'")
            stolen.append(step)

    orphan = world.forward_engine(checkpoint=steal)
    with pytest.raises(LeaseLost):
        orphan.carry_next(lane, run)

    assert world.place.run("select count(*) from mig.crosswalk") == [(0,)]
    assert world.place.run("select count(*) from justice.enforcement_unit") == [(0,)]


def test_children_follow_a_parent_that_a_rule_begins_or_ceases_to_keep_out(loaded):
    (case,) = loaded.on_legacy(
        "select id_proc from orion.t_proc p where top_supp = 'N' and dt_ouv > 20100101 and num_proc not like '99999%%'"
        " and exists (select from orion.t_fait f where f.id_proc = p.id_proc and top_supp = 'N') order by 1 limit 1"
    )[0]
    dates = loaded.on_legacy("select dt_ouv, dt_clo, dt_trans from orion.t_proc where id_proc = %s", (case,))[0]
    facts = {str(k) for (k,) in loaded.on_legacy("select id_fait from orion.t_fait where id_proc = %s", (case,))}
    there = facts & live_keys(loaded, "t_fait")

    loaded.on_legacy("update orion.t_proc set dt_ouv = 19800101, dt_clo = 0, dt_trans = 0 where id_proc = %s", (case,))
    loaded.forward_engine().advance(loaded.forward())
    gone = facts & live_keys(loaded, "t_fait")
    loaded.on_legacy(
        "update orion.t_proc set dt_ouv = %s, dt_clo = %s, dt_trans = %s where id_proc = %s", (*dates, case)
    )
    loaded.forward_engine().advance(loaded.forward())

    assert there
    assert gone == set()
    assert facts & live_keys(loaded, "t_fait") == there


def test_what_belongs_to_a_person_goes_and_comes_back_with_it_whatever_record_refers_to_it(loaded):
    homes = live_keys(loaded, "t_adresse")
    (person,) = loaded.on_legacy(
        "select id_pers from orion.t_adresse where id_adr::text = any(%s) order by 1 limit 1", (sorted(homes),)
    )[0]
    (name,) = loaded.on_legacy("select nom from orion.t_personne where id_pers = %s", (person,))[0]
    theirs = {str(k) for (k,) in loaded.on_legacy("select id_adr from orion.t_adresse where id_pers = %s", (person,))}

    loaded.on_legacy("update orion.t_personne set nom = 'TOTO' where id_pers = %s", (person,))
    loaded.forward_engine().advance(loaded.forward())
    kept = live_keys(loaded, "t_adresse")
    (left,) = loaded.place.run(
        "select count(*) from justice.residence r where not exists"
        " (select from justice.person_identity p where p.id = r.person_identity_id)"
    )[0]
    loaded.on_legacy("update orion.t_personne set nom = %s where id_pers = %s", (name, person))
    loaded.forward_engine().advance(loaded.forward())

    assert kept == homes - theirs
    assert left == 0
    assert live_keys(loaded, "t_adresse") == homes
