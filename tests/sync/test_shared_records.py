"""Many rows of a database, one record: it comes, changes and goes with the rows that share it, whoever else works."""

import threading

import pytest
from posts import POSTS, SHARING, build_brigade
from stores import ISERE

from banyan.departments import Side
from banyan.findings import LevelState
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.runs import ChunkPlan, RunKind, RunRequest, RunState
from sync.engine import SyncEngine
from sync.lane import Step
from validation.conservation import check_conservation
from validation.reconcile import reconcile
from validation.round_trip import check_round_trip
from validation.subject import Subject

pytestmark = pytest.mark.server


@pytest.fixture
def sharing(make_database, make_store, tmp_path):
    """A brigade whose checks share their vehicles, its first copy made."""
    brigade = build_brigade(make_database, make_store, tmp_path, controle=SHARING)
    brigade.load()
    return brigade


def vehicles(brigade):
    """Each vehicle, with the legacy keys of the rows that share it."""
    return {
        (plate, colour): keys.split()
        for plate, colour, keys in brigade.place.run(
            "select v.plate_raw, v.model_text, string_agg(c.source_key, ' ' order by c.source_key)"
            " from justice.vehicle v left join mig.record_link l on l.canonical_id = v.id left join mig.crosswalk c"
            " on c.id = l.id group by v.id, v.plate_raw, v.model_text"
        )
    }


def levels(brigade):
    subject = Subject(
        department=ISERE.department, source=POSTS, port=brigade.port, engine=brigade.place.engine("banyan_forward"),
        book=brigade.book, table_numbers=brigade.numbers, digest_key=b"k" * 32, domains=("reference", "vehicles"),
    )  # fmt: skip
    with transaction(brigade.place.engine("banyan_forward")) as connection:
        watermark = LedgerReader(connection).find_watermark(POSTS, Side.CANONICAL)
    found = check_conservation(subject), reconcile(subject, watermark=watermark).level, check_round_trip(subject).level
    return {level.level: level.state for level in found}


def test_a_shared_record_is_there_once_follows_its_rows_and_goes_with_the_last_of_them(sharing):
    red, black = ("AA-123-AA", "ROUGE"), ("AA-123-AA", "NOIR")
    assert vehicles(sharing)[red] == ["1", "2"]
    assert len(vehicles(sharing)) == 3

    sharing.on_legacy("update orion.t_controle set couleur = 'NOIR' where id_controle = 1")
    sharing.follow()
    assert (vehicles(sharing)[red], vehicles(sharing)[black]) == (["2"], ["1"])

    sharing.on_legacy("update orion.t_controle set couleur = 'NOIR' where id_controle = 2")
    sharing.follow()
    assert red not in vehicles(sharing)
    assert vehicles(sharing)[black] == ["1", "2"]

    sharing.on_legacy("delete from orion.t_controle where id_controle = 1")
    sharing.follow()
    assert vehicles(sharing)[black] == ["2"]

    sharing.on_legacy("delete from orion.t_controle where id_controle = 2")
    sharing.follow()
    assert black not in vehicles(sharing)
    assert levels(sharing) == dict.fromkeys(("L1", "L4", "L6"), LevelState.PASS)


def test_an_edit_of_a_shared_record_is_listed_for_every_row_that_shares_it_and_changes_none(sharing):
    before = sharing.on_legacy("select * from orion.t_controle order by 1", role="banyan_reader")
    sharing.switch_by_hand()
    sharing.as_app("update justice.vehicle set model_text = 'JAUNE' where plate_raw = 'AA-123-AA'")
    sharing.as_app("update justice.item set description = 'revu' where description = 'second'")

    SyncEngine(sharing.place.engine("banyan_reverse")).advance(sharing.reverse(), RunKind.REVERSE)

    after = sharing.on_legacy("select * from orion.t_controle order by 1", role="banyan_reader")
    expected = [(*row[:4], "revu") if row[0] == 2 else row for row in before]
    assert after == expected
    assert vehicles(sharing)["AA-123-AA", "JAUNE"] == ["1", "2"]
    assert sharing.place.run(
        "select source_key, column_name, kind, cause from mig.degraded_write_back order by source_key"
    ) == [
        (key, "model_text", "NO_PLACE", "several rows share this record, and none of them alone writes it")
        for key in ("1", "2")
    ]


def test_two_workers_that_meet_on_one_record_make_it_once_and_neither_fails(sharing):
    sharing.on_legacy(
        "insert into orion.t_controle values (11, 'P1', 'ZZ-999-ZZ', 'GRIS', 'a'), (12, 'P1', 'ZZ-999-ZZ', 'GRIS', 'b')"
    )
    assert carry_at_once(sharing, "11", "12") == []
    assert vehicles(sharing)["ZZ-999-ZZ", "GRIS"] == ["11", "12"]

    sharing.on_legacy("delete from orion.t_controle where id_controle in (11, 12)")
    assert carry_at_once(sharing, "11", "12") == []
    assert ("ZZ-999-ZZ", "GRIS") not in vehicles(sharing)


def carry_at_once(brigade, *keys):
    """Carry one row each in two threads, which write only when both have mapped; gives what went wrong."""
    engine, failures = brigade.place.engine("banyan_forward"), []
    lane = brigade.forward()
    with transaction(engine) as connection:
        ledger = Ledger(connection)
        since = lane.watermark()
        run = ledger.open_run(
            RunRequest(POSTS, Side.CANONICAL, RunKind.CHANGES, "both", from_position=since, until_position=since)
        )
        ledger.write_chunks(run, [ChunkPlan("t_controle", (key,)) for key in keys])
        leases = [ledger.take_chunk(run.run_no, "both") for _ in keys]
    meeting = threading.Barrier(len(keys), timeout=60)

    def carry(lease):
        try:
            brigade.forward().carry(lease, lambda step: meeting.wait() if step is Step.MAPPED else None)
        except Exception as error:  # a thread has no other way to tell
            failures.append(error)

    threads = [threading.Thread(target=carry, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with transaction(engine) as connection:
        Ledger(connection).close_run(run, RunState.DONE)
    return failures
