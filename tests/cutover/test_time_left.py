"""The time left of a long pass, as it is told: at the pace of the attempt that runs, not of the one that died."""

from cutover.levels import tell_progress
from validation.subject import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def told(chunks, *, of, seconds_each):
    """What is told while chunks of one table are done, each after the same time."""
    lines, clock = [], Clock()
    tell = tell_progress(lines.append, clock=clock)
    for number in chunks:
        clock.seconds += seconds_each
        tell(Progress("t_fait", number, of, number * 50_000))
    return lines


def test_the_time_left_follows_the_pace_of_the_chunks_done():
    assert told(range(1, 5), of=4, seconds_each=10) == [
        "L4 t_fait 1 of 4",
        "L4 t_fait 2 of 4, about 20 s left",
        "L4 t_fait 3 of 4, about 10 s left",
        "L4 t_fait 4 of 4, about 0 s left",
    ]


def test_chunks_of_an_attempt_that_died_are_not_counted_as_done_in_no_time():
    assert told(range(51, 54), of=100, seconds_each=10) == [
        "L4 t_fait 51 of 100",
        "L4 t_fait 52 of 100, about 480 s left",
        "L4 t_fait 53 of 100, about 470 s left",
    ]


def test_each_table_has_a_clock_of_its_own_and_a_table_of_one_chunk_is_not_told():
    lines, clock = [], Clock()
    tell = tell_progress(lines.append, clock=clock)

    for at, table, number, of in [(5, "t_tel", 1, 1), (60, "t_fait", 1, 3), (61, "t_proc", 1, 2), (90, "t_fait", 2, 3)]:
        clock.seconds = at
        tell(Progress(table, number, of, 1))

    assert lines == ["L4 t_fait 1 of 3", "L4 t_proc 1 of 2", "L4 t_fait 2 of 3, about 30 s left"]
