"""The pace and the time left that a run tells: of the time it read, not of the time in which it was not allowed to."""

import time

import pytest
from worlds import ORION

from store.pace import Pace, write_pace
from store.postgres import transaction
from sync.throttle import Throttle

pytestmark = pytest.mark.server
WAITED = 4


def test_a_pause_says_nothing_of_the_pace(world):
    engine, told, waits = world.place.engine("banyan_forward"), [], []
    hours = {"closed_from": "00:00", "closed_until": "24:00"}

    def set_pace(pace: Pace) -> None:
        with transaction(engine) as connection:
            write_pace(connection, ORION, pace)

    def watch(progress) -> None:
        told.append(progress)
        if progress.chunks_done == 5 and not progress.waiting and not waits:
            set_pace(Pace(**hours))
            time.sleep(1.1)  # the pace is read again every second

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)
        if len(waits) == WAITED:
            set_pace(Pace())

    lane = world.forward()
    throttle = Throttle(engine, ORION, lane.setting.department, world.port, sleep=sleep)
    began = time.monotonic()
    result = world.forward_engine(throttle=throttle, watcher=watch).load(lane, lane.plan_load, rules_digest="")
    seconds = time.monotonic() - began

    last = told[-1]
    paused = [one for one in told if one.waiting]
    first_after = told[told.index(paused[-1]) + 1]
    assert (len(waits), len(paused)) == (WAITED, WAITED)
    assert last.rows == result.total.rows.read > 1000
    assert last.seconds < seconds - WAITED
    assert last.rows_per_second == last.rows / last.seconds
    assert (last.chunks_done, last.seconds_left) == (last.chunks, 0.0)
    pace = first_after.seconds / first_after.chunks_done
    assert first_after.seconds_left == pytest.approx(pace * (first_after.chunks - first_after.chunks_done))
