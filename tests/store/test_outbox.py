"""The outbox is read by snapshot: no change is lost, none is seen twice, none goes back in time."""

import json
import random
import threading
import uuid

import pytest
from stores import StorePlace, own

from banyan.errors import SwitchUncertain, UsageError
from banyan.records import Position
from store.outbox import beginning, changes_since, count_since, head, prune
from store.postgres import Isolation

pytestmark = pytest.mark.server

INSERT = "insert into justice.item (id, department_code, domain_code, origin) values (%s, '38', 'cases', 'TARGET')"
CLOSURE = {"department_code": "38", "domains": ("cases", "vehicles")}


@pytest.fixture
def place(store: StorePlace) -> StorePlace:
    own(store, "CANONICAL")
    return store


def changes(place, position, **of):
    with place.transaction("banyan_reverse", isolation=Isolation.REPEATABLE_READ) as connection:
        return changes_since(connection, position or beginning(connection), **(of or CLOSURE))


def present(place) -> Position:
    with place.transaction("banyan_reverse") as connection:
        return head(connection)


def inserted(place, domain="cases"):
    row_id = uuid.uuid4()
    place.run(INSERT.replace("'cases'", f"'{domain}'"), (row_id,), role="banyan_app")
    return row_id


def test_a_record_touched_several_times_comes_once_with_its_last_operation(place):
    kept, gone = inserted(place), inserted(place)
    place.run("update justice.item set description = 'x' where id = %s", (kept,), role="banyan_app")
    place.run("delete from justice.item where id = %s", (gone,), role="banyan_app")

    found = changes(place, None)

    assert found.events == 4
    assert found.keys.rows() == [("item", "U", "cases", kept.bytes), ("item", "D", "cases", gone.bytes)]


def test_the_next_batch_begins_where_the_last_ended(place):
    first = inserted(place)
    batch = changes(place, None)
    second = inserted(place)
    following = changes(place, batch.high)

    assert batch.keys["id"].to_list() == [first.bytes]
    assert following.keys["id"].to_list() == [second.bytes]
    assert changes(place, following.high).events == 0


def test_the_head_is_after_everything_committed(place):
    inserted(place)

    assert changes(place, present(place)).events == 0


def test_only_the_slices_asked_for_are_read(place):
    inserted(place, "vehicles")
    case = inserted(place)

    assert changes(place, None, department_code="38", domains=("cases",)).keys["id"].to_list() == [case.bytes]
    assert changes(place, None, department_code="75", domains=("cases",)).events == 0


def test_a_transaction_that_commits_late_is_neither_lost_nor_seen_before_its_commit(place):
    """The three transactions of the inversion: T2 older and open, X open, T1 younger and committed first."""
    row_id = inserted(place)
    position = present(place)
    update = "update justice.item set description = %s where id = %s"
    with (
        place.connect("banyan_app", autocommit=False) as t2,
        place.connect("banyan_app", autocommit=False) as x,
        place.connect("banyan_app", autocommit=False) as t1,
    ):
        early = uuid.uuid4()
        t2.execute(INSERT, (early,))
        x.execute(INSERT, (uuid.uuid4(),))
        t1.execute(update, ("first", row_id))
        t1.commit()
        between = changes(place, position)
        t2.execute(update, ("second", row_id))
        t2.commit()
        after = changes(place, between.high)
        x.commit()
        last = changes(place, after.high)

    assert between.keys["id"].to_list() == [row_id.bytes]
    assert after.keys["id"].to_list() == [early.bytes, row_id.bytes]
    assert last.events == 1
    assert place.run("select description from justice.item where id = %s", (row_id,)) == [("second",)]


def test_a_reader_beside_writers_ends_with_the_state_they_left(place):
    keys = [inserted(place) for _ in range(6)]
    stop = threading.Event()

    def write(seed):
        random_numbers = random.Random(seed)
        with place.connect("banyan_app", autocommit=False) as connection:
            while not stop.is_set():
                for key in sorted(random_numbers.sample(keys, 2)):
                    connection.execute(
                        "update justice.item set quantity = coalesce(quantity, 0) + 1 where id = %s", (key,)
                    )
                connection.commit()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    copy, events, position, rounds = {}, 0, None, 0
    while rounds < 12 or any(writer.is_alive() for writer in writers):
        rounds += 1
        if rounds == 12:
            stop.set()
        events, position = _follow(place, copy, events, position)
    for writer in writers:
        writer.join()
    events, position = _follow(place, copy, events, position)

    truth = dict(place.run("select id, quantity from justice.item"))
    assert copy == truth
    assert events == place.run("select count(*) from mig.outbox")[0][0]


def _follow(place, copy, events, position):
    with place.transaction("banyan_reverse", isolation=Isolation.REPEATABLE_READ) as connection:
        found = changes_since(connection, position or beginning(connection), **CLOSURE)
        cursor = connection.connection.driver_connection.execute(
            "select id, quantity from justice.item where id = any(%s)",
            ([uuid.UUID(bytes=key) for key in found.keys["id"]],),
        )
        copy.update(dict(cursor.fetchall()))
    return events + found.events, found.high


def test_a_position_of_another_incarnation_is_refused_loudly(place):
    known = json.loads(present(place))
    another = Position(json.dumps(known | {"incarnation": "1.00000001.5"}))

    with pytest.raises(SwitchUncertain) as refused:
        changes(place, another)

    assert refused.value.exit_code == 5
    assert refused.value.facts["found"] == known["incarnation"]


def test_a_copy_of_the_store_beside_it_is_another_incarnation(place, make_store):
    with pytest.raises(SwitchUncertain):
        changes(make_store(), present(place))


@pytest.mark.parametrize("text", ["", "{}", "1:1:", '{"incarnation": "x"}', "[]"])
def test_what_is_not_a_position_is_refused(place, text):
    with pytest.raises((UsageError, SwitchUncertain)):
        changes(place, Position(text) if text else Position("null"))


def test_the_outbox_is_read_only_in_repeatable_read(place):
    with pytest.raises(UsageError, match="REPEATABLE READ"), place.transaction("banyan_reverse") as connection:
        changes_since(connection, beginning(connection), **CLOSURE)


def pruned(place, oldest):
    with place.transaction("banyan_guard") as connection:
        return prune(connection, oldest, **CLOSURE)


def test_pruning_forgets_what_the_oldest_reader_has_read_and_nothing_of_an_open_transaction(place):
    inserted(place)
    with place.connect("banyan_app", autocommit=False) as slow:
        slow_id = uuid.uuid4()
        slow.execute(INSERT, (slow_id,))
        inserted(place)
        carried = changes(place, None).high

        gone = pruned(place, carried)
        slow.commit()

    assert gone == 1  # what came after the open transaction began is kept with it
    assert changes(place, carried).keys["id"].to_list() == [slow_id.bytes]
    assert pruned(place, present(place)) == 2


def test_who_stands_before_what_was_pruned_is_refused_and_nobody_else(place):
    inserted(place)
    early = changes(place, None).high
    inserted(place)
    late = changes(place, early).high
    inserted(place)
    pruned(place, late)

    with pytest.raises(SwitchUncertain, match="forgotten"):
        changes(place, early)

    assert changes(place, late).events == 1


def in_parts(place, position, at_most):
    """Read the outbox in parts until nothing is left; gives the keys of each part, and the last Position."""
    parts = []
    while True:
        found = changes(place, position, **CLOSURE, at_most=at_most)
        position = found.high
        parts.append(found.keys["id"].to_list())
        if not found.is_cut:
            return parts, position


def test_a_long_outbox_is_read_in_parts_of_whole_transactions_and_each_change_once(place):
    before = [inserted(place) for _ in range(4)]
    with place.connect("banyan_app", autocommit=False) as slow, place.connect("banyan_app", autocommit=False) as undone:
        late, never = uuid.uuid4(), uuid.uuid4()
        slow.execute(INSERT, (late,))
        undone.execute(INSERT, (never,))
        undone.rollback()
        with place.connect("banyan_app", autocommit=False) as large:
            many = [uuid.uuid4() for _ in range(12)]
            for one in many:
                large.execute(INSERT, (one,))
            large.commit()
        after = [inserted(place) for _ in range(7)]

        parts, position = in_parts(place, None, 5)
        counted = changes(place, position).events
        slow.commit()

    rest, last = in_parts(place, position, 5)
    again, _ = in_parts(place, last, 5)
    told = [key for part in parts for key in part]
    assert told == [one.bytes for one in (*before, *many, *after)]
    assert [len(part) for part in parts] == [4, 12, 5, 2]
    assert counted == 0
    assert (rest, again) == ([[late.bytes]], [[]])


def test_a_cut_position_takes_back_nothing_that_was_seen_before_although_an_old_transaction_ends_late(place):
    with place.connect("banyan_app", autocommit=False) as slow, place.connect("banyan_app", autocommit=False) as other:
        early = [uuid.uuid4() for _ in range(3)]
        for one in early:
            slow.execute(INSERT, (one,))
        between = uuid.uuid4()
        other.execute(INSERT, (between,))
        seen = [inserted(place) for _ in range(3)]
        _, position = in_parts(place, None, 100)
        slow.commit()
        other.commit()
    later = [inserted(place) for _ in range(3)]

    parts, last = in_parts(place, position, 3)

    assert [key for part in parts for key in part] == [one.bytes for one in (*early, between, *later)]
    assert not {one.bytes for one in seen} & {key for part in parts for key in part}
    assert [len(part) for part in parts] == [3, 3, 1]
    assert changes(place, last).events == 0
    with place.transaction("banyan_reverse", isolation=Isolation.REPEATABLE_READ) as connection:
        assert count_since(connection, position, **CLOSURE) == 7
        assert count_since(connection, last, **CLOSURE) == 0


@pytest.mark.torture
def test_parts_read_beside_writers_hold_every_change(place):
    keys, stop, written = [], threading.Event(), []

    def write(seed):
        random_numbers = random.Random(seed)
        with place.connect("banyan_app", autocommit=False) as connection:
            while not stop.is_set():
                mine = [uuid.uuid4() for _ in range(random_numbers.randint(1, 4))]
                for one in mine:
                    connection.execute(INSERT, (one,))
                if random_numbers.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    written.extend(mine)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    position = None
    for _ in range(120):
        found = changes(place, position, **CLOSURE, at_most=7)
        keys += found.keys["id"].to_list()
        position = found.high
    stop.set()
    for writer in writers:
        writer.join()
    parts, _ = in_parts(place, position, 7)
    keys += [key for part in parts for key in part]

    assert len(keys) == len(set(keys))
    assert set(keys) == {one.bytes for one in written}
