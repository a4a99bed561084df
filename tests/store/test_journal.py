"""The journal and the processing log are chained: any changed, moved or missing entry is found, offline."""

import threading

import pytest
import sqlalchemy as sa
from stores import StorePlace

from banyan.departments import Actor, Phase
from banyan.errors import BanyanError
from store.journal import (
    JournalEntry,
    ProcessingEntry,
    append_journal,
    append_processing,
    read_journal,
    verify_journal,
    verify_processing,
)

pytestmark = pytest.mark.server

LEAD = Actor("Éléonore «lead»", "lead", "card")
STEWARD = Actor("steward-1", "steward", "card")


def written(place, count=3):
    for number in range(count):
        with place.transaction("banyan_guard") as connection:
            append_journal(
                connection,
                JournalEntry(LEAD, "NOTE", "38.cases+vehicles", Phase.READY, None, number, {"b": "é:1", "a": None}),
            )


def checked(place):
    with place.transaction("banyan_auditor") as connection:
        return verify_journal(connection)


def tampered(place, statement):
    place.run("alter table mig.journal disable trigger user")
    place.run(statement)


def test_an_empty_chain_is_whole(store: StorePlace):
    assert checked(store).is_whole


def test_a_chain_computed_again_is_the_one_the_server_wrote(store):
    written(store)

    state = checked(store)

    assert (state.is_whole, state.length) == (True, 3)
    assert store.run("select length, head_hash from mig.chain where chain = 'journal'") == [(3, state.head_hash)]


def test_the_server_numbers_dates_and_chains_whatever_the_writer_says(store):
    store.run(
        "insert into mig.journal (sequence, at, actor, role, authenticated_by, kind, facts, previous_hash, entry_hash)"
        " values (99, '1999-01-01', 'a', 'r', 'b', 'NOTE', '{}', '', '')",
        role="banyan_guard",
    )

    assert store.run("select sequence, at > now() - interval '1 hour' from mig.journal") == [(1, True)]
    assert checked(store).is_whole


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("update mig.journal set actor = 'somebody' where sequence = 2", 2),
        ("update mig.journal set at = at + interval '1 microsecond' where sequence = 1", 1),
        ("update mig.journal set facts = '{}' where sequence = 3", 3),
        ("update mig.journal set closure = null, from_phase = closure where sequence = 2", 2),
        ("delete from mig.journal where sequence = 2", 2),
        ("delete from mig.journal where sequence = 3", 3),
        ("delete from mig.journal", 1),
        ("update mig.chain set head_hash = sha256('') where chain = 'journal'", 4),
    ],
)
def test_a_changed_or_missing_entry_breaks_the_chain_where_it_was(store, statement, broken_at):
    written(store)
    tampered(store, statement)

    assert checked(store).broken_at == broken_at


def test_an_entry_of_a_transaction_that_fails_leaves_no_gap(store):
    written(store, 1)
    with pytest.raises(BanyanError), store.transaction("banyan_guard") as connection:
        append_journal(connection, JournalEntry(LEAD, "NOTE"))
        connection.execute(sa.text("select 1 / 0"))
    written(store, 1)

    state = checked(store)

    assert (state.is_whole, state.length) == (True, 2)


def test_writers_at_the_same_time_follow_each_other(store):
    threads = [threading.Thread(target=written, args=(store, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    state = checked(store)

    assert (state.is_whole, state.length) == (True, 20)


def test_the_journal_is_read_by_closure(store):
    written(store, 2)
    with store.transaction("banyan_guard") as connection:
        append_journal(connection, JournalEntry(LEAD, "NOTE"))
        entries = read_journal(connection, closure="38.cases+vehicles")

    assert [(entry["sequence"], entry["actor"], entry["facts"]) for entry in entries] == [
        (1, LEAD.name, {"a": None, "b": "é:1"}),
        (2, LEAD.name, {"a": None, "b": "é:1"}),
    ]


def test_each_department_has_its_own_processing_log_and_it_is_chained(store):
    with store.transaction("banyan_steward") as connection:
        for refs in (("item:1", "item:2"), ()):
            append_processing(connection, ProcessingEntry(STEWARD, "38", "consultation", "complaint 7", refs))
        append_processing(connection, ProcessingEntry(STEWARD, "75", "disclosure", "court order", ("case:1",), "TJ"))

    with store.transaction("banyan_auditor") as connection:
        before = verify_processing(connection, "38"), verify_processing(connection, "75")
    store.run("alter table mig.processing_log disable trigger user")
    store.run("update mig.processing_log set record_refs = array['item:1item:2'] where sequence = 1")
    with store.transaction("banyan_auditor") as connection:
        after = verify_processing(connection, "38"), verify_processing(connection, "75")

    assert [(state.is_whole, state.length) for state in before] == [(True, 2), (True, 1)]
    assert [state.broken_at for state in after] == [1, 1]


def test_a_processing_without_a_reason_is_refused(store):
    with pytest.raises(BanyanError) as refused, store.transaction("banyan_steward") as connection:
        append_processing(connection, ProcessingEntry(STEWARD, "38", "consultation", "  ", ()))

    assert refused.value.facts["constraint"] == "processing_log_reason_check"
