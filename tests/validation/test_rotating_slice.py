"""The slice that rotates: what no capture saw is found within a month, each row has its night, no night is lost."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from judged import judged, live_row, subject_of
from sqlalchemy.engine import make_url
from stores import make_store, only_tables, store_template

from banyan.findings import FindingKind, LevelState
from store.buckets import BUCKETS, JudgedUpTo, read_judged, read_moment, write_judged
from store.postgres import transaction
from validation.incremental import SLICES, due_slices, plan_again
from validation.reconcile import reconcile

pytestmark = pytest.mark.server
__all__ = ["judged", "make_store", "store_template"]

FIRST = date(2026, 11, 1)
MONTH = [FIRST + timedelta(days=number) for number in range(SLICES)]
FEW = 5


def seen_by(world):
    """Two tables of the world, one of which has more ranges than there are nights."""
    subject = subject_of(world, role="banyan_judge")
    return replace(subject, book=only_tables(subject.book, ("t_personne", "t_tel")))


def judged_on(world, day: date) -> JudgedUpTo:
    """A sound judgement of this very moment, as if it had been given on a day."""
    subject = seen_by(world)
    with transaction(subject.engine) as connection:
        moment = read_moment(connection)
    return JudgedUpTo(
        "38", "38.cases+vehicles", subject.port.head(), moment.snapshot, moment.incarnation, "r" * 64, "a" * 64,
        "a" * 64, datetime(day.year, day.month, day.day, 1, 30, tzinfo=UTC),
    )  # fmt: skip


def again_on(world, day: date, *, last: date):
    subject = seen_by(world)
    return plan_again(subject, judged_on(world, last), until=subject.port.head(), on=day, rows_per_range=FEW)


def unseen(world, statement: str) -> None:
    """Write to the old system as its administrator with triggers off: no capture sees it."""
    url = make_url(world.legacy).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, options="-c session_replication_role=replica") as connection:
        assert connection.execute(statement).rowcount == 1


@pytest.fixture(scope="module")
def month(judged):
    """What is read again in each night of a month in which no night is missed and nothing happens."""
    return [again_on(judged, day, last=day - timedelta(days=1)) for day in MONTH]


def test_the_nights_of_a_month_read_every_row_of_every_table_once_more(judged, month):
    subject = seen_by(judged)
    keys = {
        table: {
            str(key) for (key,) in judged.on_legacy(f"select {subject.book.rulesets[table].key[0]} from orion.{table}")
        }
        for table in subject.tables
    }
    assert sum(map(len, keys.values())) > SLICES * FEW

    for table in subject.tables:
        nights = [set(each.keys.get(table, ())) for each in month]
        assert set().union(*nights) == keys[table], table
        if len(keys[table]) > SLICES * FEW:  # as many ranges as nights: each row has one night and no other
            assert sum(map(len, nights)) == len(keys[table]), table
            assert all(nights)
    assert {(each.changed, each.written) for each in month} == {(0, 0)}
    assert sorted(bucket for each in month for bucket in each.buckets) == list(range(BUCKETS))


def test_a_change_that_no_capture_saw_is_found_in_its_night_and_in_no_other(judged, month):
    key, _ = live_row(judged, "t_personne", 7)
    (night,) = [number for number, each in enumerate(month) if str(key) in each.keys["t_personne"]]
    was = judged.on_legacy(f"select prenom from orion.t_personne where id_pers = {key}")[0][0]

    unseen(judged, f"update orion.t_personne set prenom = 'SANSTRACE' where id_pers = {key}")
    subject = seen_by(judged)
    found = {}
    for number in (night, (night + 1) % SLICES):
        again = again_on(judged, MONTH[number], last=MONTH[number] - timedelta(days=1))
        found[number] = reconcile(subject, watermark=subject.port.head(), keys_by_table=again.keys), again.changed
    unseen(judged, f"update orion.t_personne set prenom = '{was}' where id_pers = {key}")

    (its, changed), (other, _) = found[night], found[(night + 1) % SLICES]
    assert changed == 0
    assert [(each.kind, each.key, each.column) for each in its.level.findings] == [
        (FindingKind.DIFFERS, str(key), "given_names")
    ]
    assert (other.level.state, other.level.findings) == (LevelState.PASS, ())


def test_nights_that_were_missed_are_read_by_the_next_judgement(judged, month):
    late = again_on(judged, MONTH[9], last=MONTH[5])

    assert len(late.slices) == 4
    for table in seen_by(judged).tables:
        wanted = set().union(*(set(each.keys.get(table, ())) for each in month[6:10]))
        assert set(late.keys.get(table, ())) == wanted
    assert sorted(late.buckets) == sorted(bucket for each in month[6:10] for bucket in each.buckets)


@pytest.mark.parametrize(
    ("last", "on", "expected"),
    [
        (FIRST, FIRST + timedelta(days=1), 1),
        (FIRST, FIRST, 1),
        (FIRST + timedelta(days=1), FIRST, 1),
        (FIRST, FIRST + timedelta(days=12), 12),
        (FIRST, FIRST + timedelta(days=SLICES), SLICES),
        (FIRST, FIRST + timedelta(days=400), SLICES),
    ],
    ids=["the next night", "twice in a day", "a clock set back", "twelve nights", "a month", "a year"],
)  # fmt: skip
def test_the_slices_that_are_due_follow_the_last_sound_judgement(last, on, expected):
    slices = due_slices(last, on)

    assert len(slices) == len(set(slices)) == expected
    assert on.toordinal() % SLICES in slices


def test_the_day_of_a_judgement_is_remembered_as_it_began(judged):
    first = judged_on(judged, FIRST)
    later = replace(first, judged_at=first.judged_at + timedelta(days=3))
    judged.place.run(
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons, legacy_position,"
        " rules_digest) values (%s, '38', %s, 'shadow', 'NO-GO', '[]', '0', 'r')",
        (first.evidence_id, first.closure),
    )

    read = []
    for each in (first, later):
        with transaction(judged.place.engine("banyan_judge")) as connection:
            write_judged(connection, each)
            read.append(read_judged(connection, each.closure))

    assert read == [first, later]
