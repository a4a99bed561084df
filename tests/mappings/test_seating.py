"""The places of a repeating group: nobody is moved, nobody is lost, whoever asks for a free place has it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.seating import Waiting, seat

RECORDS = st.dictionaries(st.binary(min_size=2, max_size=2), st.none() | st.integers(-1, 5), max_size=8)


@settings(max_examples=100, deadline=None)
@given(records=RECORDS, taken=st.frozensets(st.integers(1, 4)), order=st.randoms())
def test_everyone_is_seated_once_or_stands_and_the_order_of_reading_does_not_matter(records, taken, order):
    waiting = [Waiting(record, wanted) for record, wanted in records.items()]
    shuffled = list(waiting)
    order.shuffle(shuffled)

    seating = seat(taken, waiting, count=4)

    assert sorted([*seating.seated.values(), *seating.standing]) == sorted(records)
    assert not set(seating.seated) & taken
    assert set(seating.seated) <= {1, 2, 3, 4}
    assert not seating.standing or len(seating.seated) + len(taken) == 4
    assert seat(taken, shuffled, count=4) == seating


def test_who_asks_for_a_free_place_has_it_before_those_who_ask_for_none():
    seating = seat(frozenset({1}), [Waiting(b"a"), Waiting(b"b", 2), Waiting(b"c", 1)], count=3)

    assert seating.seated == {2: b"b", 3: b"a"}
    assert seating.standing == (b"c",)
