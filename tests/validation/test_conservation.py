"""L1: every row has one fate, every record one origin; what is lost or too many is named with both numbers."""

import pytest
from judged import doubled, judged, live_row, removed, subject_of
from stores import make_store, store_template

from banyan.findings import FindingKind, LevelState
from banyan.records import Fate
from validation.conservation import check_conservation, judge_balances, list_keys, read_balances

pytestmark = pytest.mark.server
__all__ = ["judged", "make_store", "store_template"]


def found(level):
    return [(finding.kind, finding.table, finding.cause) for finding in level.findings]


def test_a_faithful_store_balances_and_every_number_has_its_list(judged):
    subject = subject_of(judged)

    balances = read_balances(subject)
    level = judge_balances(balances)

    assert (level.state, level.findings, level.figures["unexplained"]) == (LevelState.PASS, (), 0)
    for table in balances.tables:
        assert table.rows == judged.on_legacy(f"select count(*) from orion.{table.table}")[0][0] == table.counted
        for fate, number in ((Fate.LOADED, table.live), (Fate.DELETED, table.deleted), (Fate.FILTERED, table.filtered)):
            listed = [frame.height for frame in list_keys(subject, table.table, fate)]
            assert sum(listed) == number, (table.table, fate)
    assert sum(table.deleted for table in balances.tables) > 0
    assert sum(table.filtered for table in balances.tables) > 0


def test_a_lost_record_unbalances_its_canonical_table_only(judged):
    _, row_id = live_row(judged, "t_tel")
    there = judged.place.run("select count(*) from justice.contact_means")[0][0]

    with removed(judged, "contact_means", row_id):
        level = check_conservation(subject_of(judged))

    cause = f"{there - 1} records, {there} claimed by live rows"
    assert (level.state, found(level)) == (LevelState.FAIL, [(FindingKind.UNBALANCED, "contact_means", cause)])


def test_a_record_too_many_unbalances_its_canonical_table_only(judged):
    _, row_id = live_row(judged, "t_objet")
    there = judged.place.run("select count(*) from justice.item")[0][0]

    with doubled(judged, "item", row_id):
        level = check_conservation(subject_of(judged))

    assert found(level) == [(FindingKind.UNBALANCED, "item", f"{there + 1} records, {there} claimed by live rows")]


def test_a_row_without_a_fate_unbalances_its_legacy_table(judged):
    _, row_id = live_row(judged, "t_suite")
    rows = judged.on_legacy("select count(*) from orion.t_suite")[0][0]
    judged.place.run("create table public.kept as select * from mig.crosswalk where id = %s", (row_id,))
    judged.place.run("delete from mig.crosswalk where id = %s", (row_id,))

    level = check_conservation(subject_of(judged))

    judged.place.run("insert into mig.crosswalk select * from public.kept")
    judged.place.run("drop table public.kept")
    records = judged.place.run("select count(*) from justice.disposition")[0][0]
    assert found(level) == [
        (FindingKind.UNBALANCED, "t_suite", f"{rows} rows, {rows - 1} with a fate"),
        (FindingKind.UNBALANCED, "disposition", f"{records} records, {records - 1} claimed by live rows"),
    ]
    assert (level.figures["unexplained"], level.figures["broken"]) == (1, 2)
    assert level.sentence.endswith("; equations that do not hold: 2")


def test_a_counted_run_that_does_not_add_up_is_found_in_the_ledger(judged):
    change = "update mig.chunk set counts = jsonb_set(counts, '{parts,inserted}', %s::jsonb) where table_name = 't_tel'"
    inserted = judged.place.run("select counts #>> '{parts,inserted}' from mig.chunk where table_name = 't_tel'")[0][0]
    judged.place.run(change, (str(int(inserted) - 3),))

    level = check_conservation(subject_of(judged))

    judged.place.run(change, (inserted,))
    cause = f"run 1: {inserted} parts emitted, {int(inserted) - 3} found again"
    assert found(level) == [(FindingKind.UNBALANCED, "t_tel", cause)]


def test_rows_that_people_change_after_the_watermark_are_in_flight_once(judged):
    (gone, _), (edited, _), (marked, _) = (live_row(judged, "t_adresse", number) for number in range(3))
    judged.on_legacy("update orion.t_adresse set ville = 'VOIRON' where id_adr = %s", (edited,))
    judged.on_legacy("update orion.t_adresse set top_supp = 'O' where id_adr = %s", (marked,))
    judged.on_legacy("delete from orion.t_adresse where id_adr = %s", (gone,))
    judged.on_legacy(
        "insert into orion.t_adresse (id_adr, id_pers, ville, top_supp)"
        " select nextval('orion.seq_adresse'), id_pers, 'VIF', 'N' from orion.t_adresse limit 1"
    )

    level = check_conservation(subject_of(judged))
    listed = [frame.height for frame in list_keys(subject_of(judged), "t_adresse", Fate.IN_FLIGHT)]
    judged.forward_engine().advance(judged.forward())
    afterwards = check_conservation(subject_of(judged))

    assert (level.state, level.findings, level.figures["t_adresse.in_flight"]) == (LevelState.PASS, (), 3)
    assert sum(listed) == 3
    assert (afterwards.state, afterwards.findings, afterwards.figures["t_adresse.in_flight"]) == (
        LevelState.PASS,
        (),
        0,
    )
