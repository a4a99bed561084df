"""L3 on a real load: who wrote is known, or the record is named; a fold is only what was judged."""

from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from judged import edited, judged, live_row, removed, subject_of
from stores import make_store, store_template
from worlds import loaded, world

from banyan.findings import FindingKind, LevelState
from store.buckets import buckets_of, read_moment
from store.postgres import transaction
from validation.anchors import Anchor
from validation.incremental import find_touched
from validation.reconcile import reconcile
from validation.tripwire import CUT, REMOVED, WRITTEN, check_tripwire, remember

__all__ = ["judged", "loaded", "make_store", "store_template", "world"]

pytestmark = pytest.mark.server
RULES = "r" * 64


def wire(world, **more):
    return check_tripwire(subject_of(world, role="banyan_judge"), **{"rules_digest": RULES, **more})


def fold(world):
    """Fold what is there now, as the judge does once L4 has passed."""
    subject = subject_of(world, role="banyan_judge")
    found = check_tripwire(subject, rules_digest=RULES)
    with transaction(subject.engine) as connection:
        remember(connection, subject, found.fold, rules_digest=RULES)
    return found


@pytest.fixture(scope="module")
def folded(judged):
    """A world whose buckets are folded."""
    first = fold(judged)
    assert first.level.state is LevelState.PASS
    assert first.level.figures["first_fold"] is True
    return judged


def test_nothing_written_is_nothing_found(folded):
    found = wire(folded)

    assert found.level.state is LevelState.PASS
    assert found.level.figures["first_fold"] is False
    assert (
        found.level.figures["compared"]
        == found.level.figures["buckets"]
        == 256 * len(subject_of(folded).canonical_tables)
    )
    records = folded.place.run("select count(*) from justice.person_identity")[0][0]
    assert 0 < records <= found.level.figures["records"]


def test_one_record_updated_by_nobody_known_is_named(folded):
    row = live_row(folded, "t_personne")[1]
    with edited(folded, "person_identity", row, "surname", "AUTRE"):
        found = wire(folded)

    assert found.level.state is LevelState.FAIL
    (finding,) = found.level.findings
    assert (finding.kind, finding.table, finding.cause) == (FindingKind.FOREIGN_WRITE, "person_identity", WRITTEN)
    assert finding.key == row.replace("-", "")
    assert wire(folded).level.state is LevelState.PASS, "what was put back exactly is no fault any more"


def test_a_record_removed_by_nobody_known_is_told_by_its_bucket(folded):
    row = live_row(folded, "t_proc")[1]
    bucket = int(row[-2:], 16)
    with removed(folded, "case_file", row):
        found = wire(folded)

    assert [(each.table, each.key, each.cause) for each in found.level.findings] == [
        ("case_file", f"bucket {bucket}", REMOVED)
    ]


def test_whatever_the_number_of_buckets_written_to_their_table_is_read_once_more(folded):
    rows = [row for (row,) in folded.place.run("select id::text from justice.person_identity order by id")]
    several = {row[-2:]: row for row in rows}  # one a bucket
    gone = folded.place.run("select id::text from justice.person_identity order by reverse(id::text) limit 1")[0][0]
    del several[gone[-2:]]
    asked = []
    subject = subject_of(folded, role="banyan_judge")
    sa.event.listen(subject.engine, "before_cursor_execute", lambda _c, _cu, said, *_: asked.append(said))
    with ExitStack() as stack:
        for row in several.values():
            stack.enter_context(edited(folded, "person_identity", row, "surname", "AUTRE"))
        stack.enter_context(removed(folded, "person_identity", gone))
        found = check_tripwire(subject, rules_digest=RULES)

    assert len(several) > 20
    named = [each.key for each in found.level.findings if each.cause == WRITTEN]
    assert named == sorted(row.replace("-", "") for row in several.values())
    assert [each.key for each in found.level.findings if each.cause == REMOVED] == [f"bucket {int(gone[-2:], 16)}"]
    assert sum("written_after" in said for said in asked) == 1


def test_only_the_buckets_asked_for_are_read(folded):
    row = live_row(folded, "t_personne")[1]
    bucket = int(row[-2:], 16)
    with edited(folded, "person_identity", row, "surname", "AUTRE"):
        elsewhere = wire(folded, buckets=[(bucket + 1) % 256])
        there = wire(folded, buckets=[bucket])

    assert elsewhere.level.state is LevelState.PASS
    assert there.level.state is LevelState.FAIL


def test_a_record_written_by_nobody_known_since_a_judgement_is_judged_again_by_its_key(folded):
    subject = subject_of(folded, role="banyan_judge")
    with transaction(subject.engine) as connection:
        snapshot = read_moment(connection).snapshot
    key, row = live_row(folded, "t_personne")
    here = subject.port.head()

    before = find_touched(subject, since=here, snapshot=snapshot, until=here)
    with edited(folded, "person_identity", row, "surname", "AUTRE"):
        after = find_touched(subject, since=here, snapshot=snapshot, until=here)
        found = reconcile(subject, watermark=None, keys_by_table={one: sorted(keys) for one, keys in after.items()})

    assert before == {}
    assert after == {"t_personne": {str(key)}}
    assert [(each.table, each.column) for each in found.level.findings] == [("person_identity", "surname")]


def test_evidence_that_only_the_landing_zone_remembers_is_a_restored_backup(folded):
    found = wire(folded, forgotten=[Anchor(2, "ab" * 32, None)])

    assert found.level.state is LevelState.FAIL
    assert [(each.kind, each.key, each.cause) for each in found.level.findings] == [
        (FindingKind.FORGOTTEN, "ab" * 32, CUT)
    ]


def test_a_fold_of_another_incarnation_or_algorithm_compares_nothing(folded):
    row = live_row(folded, "t_personne")[1]
    for column in ("incarnation", "algorithm"):
        folded.place.run(f"update mig.bucket set {column} = 'another'", role="banyan_judge")
        with edited(folded, "person_identity", row, "surname", "AUTRE"):
            found = wire(folded)
        fold(folded)

        assert (found.level.state, found.level.figures["first_fold"]) == (LevelState.PASS, True)
    assert wire(folded).level.figures["first_fold"] is False


def test_other_rules_demand_a_new_fold_and_compare_nothing(folded):
    assert wire(folded, rules_digest="s" * 64).level.figures["first_fold"] is True


def test_the_applier_marks_what_it_writes_and_people_leave_the_outbox(loaded):
    fold(loaded)
    row = live_row(loaded, "t_personne")
    loaded.on_legacy("update orion.t_personne set profession = 'MACON' where id_pers = %s", (row[0],))
    lane = loaded.forward()
    assert loaded.forward_engine().advance(lane) is not None

    marks = loaded.place.run("select canonical_table, buckets from mig.bucket_mark order by mark_no desc limit 1")
    assert marks == [("person_identity", [int(row[1][-2:], 16)])]
    assert wire(loaded).level.state is LevelState.PASS

    fold(loaded)
    loaded.switch_by_hand()
    loaded.as_app("update justice.person_identity set occupation_text = 'PLOMBIER' where id = %s", (row[1],))
    assert wire(loaded).level.state is LevelState.PASS


def test_marks_that_no_fold_asks_for_are_forgotten_and_a_write_by_nobody_is_still_named(loaded):
    def marks():
        return loaded.place.run("select count(*) from mig.bucket_mark")[0][0]

    first = marks()
    fold(loaded)
    assert marks() == first  # there was no fold before: nothing was used up
    row = live_row(loaded, "t_personne")
    loaded.on_legacy("update orion.t_personne set profession = 'MACON' where id_pers = %s", (row[0],))
    assert loaded.forward_engine().advance(loaded.forward()) is not None
    folded_tables = set(subject_of(loaded).canonical_tables)
    others = loaded.place.run("select canonical_table from mig.bucket_mark where xid < pg_current_xact_id()")
    kept = sum(1 for (table,) in others if table not in folded_tables)

    fold(loaded)
    assert marks() == kept + 1  # the one of the change: it lies behind the fold that was replaced just now
    assert wire(loaded).level.state is LevelState.PASS
    fold(loaded)
    assert marks() == kept
    other = live_row(loaded, "t_fait")[1]
    with edited(loaded, "offense", other, "offense_label", "AUTRE"):
        assert [each.key for each in wire(loaded).level.findings] == [other.replace("-", "")]


def test_a_bucket_is_the_last_byte_of_an_identifier(judged):
    row = live_row(judged, "t_fait")[1]
    import polars as pl

    assert buckets_of(pl.Series([bytes.fromhex(row.replace("-", ""))], dtype=pl.Binary)) == [int(row[-2:], 16)]
    assert judged.place.run("select mig.bucket_of(%s::uuid)", (row,)) == [(int(row[-2:], 16),)]
