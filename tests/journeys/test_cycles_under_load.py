"""There, work, back, there again, under load on both sides, with kills and cut links: nothing lost, nothing doubled.

`BANYAN_CYCLES` says how often (50 unless said otherwise); the figures go to the file that `BANYAN_CYCLES_REPORT` names.
"""

import json
import os
import time
from pathlib import Path

import pytest
from projects import known_actor
from switches import SwitchWorld, switch_world
from torture import Chaos, Tally, find_lost, find_two_writers, gaps, start_writers

from banyan.departments import Side
from store.journal import verify_journal
from store.postgres import transaction

pytestmark = [pytest.mark.server, pytest.mark.journey]
__all__ = ["known_actor", "switch_world"]

_CHECKED_EVERY = 25
_TOLD_EVERY = 5


def cycles(world: SwitchWorld, count: int, seed: int, *, kills: float) -> dict[str, object]:
    """Run cycles under load; gives the figures, with what was found wrong."""
    tally, began = Tally(), time.monotonic()
    chaos = Chaos(world, tally, seed, kills=kills)
    writers = start_writers(world, 2, 12)
    wrong: list[str] = []
    try:
        for number in range(1, count + 1):
            chaos.move(Side.CANONICAL)
            time.sleep(0.05)
            chaos.move(Side.LEGACY)
            tally.cycles = number
            if number % _CHECKED_EVERY == 0 or number == count:
                wrong += look_closely(world, writers, number)
            if number % _TOLD_EVERY == 0 or number == count:
                write_report(tell(world, writers, tally, wrong, time.monotonic() - began))
    finally:
        for writer in writers:
            writer.stop()
    return tell(world, writers, tally, wrong, time.monotonic() - began)


def tell(world, writers, tally, wrong, seconds) -> dict[str, object]:
    """Put the figures together, as far as it has come."""
    tally.there_ms, tally.back_ms = gaps(write for writer in writers for write in writer.writes)
    two = find_two_writers(world, writers)
    found = [*wrong, *(f"two writers: {write}" for write in two[:5])]
    told = tally.say(writers, seconds)
    return told | {"two-writer moments": len(two), "wrong": found, "lost": sum("lost" in each for each in found)}


def write_report(told) -> None:
    """Leave the figures where BANYAN_CYCLES_REPORT says; a run that is interrupted leaves the last ones."""
    report = os.environ.get("BANYAN_CYCLES_REPORT")
    if report:
        Path(report).write_text(json.dumps(told, indent=2) + "\n")


def look_closely(world, writers, number) -> list[str]:
    """Let everybody pause and look at every row: what is lost, doubled or cannot be explained."""
    for writer in writers:
        writer.pause()
    world.catch_up()
    found = [f"cycle {number}: lost {each}" for each in find_lost(world, writers)]
    unknown, doubled, strange = world.lost_or_doubled()
    if (unknown, doubled, strange) != (0, 0, 0):
        found.append(f"cycle {number}: unknown {unknown}, doubled {doubled}, strange {strange}")
    differences = world.reconcile().level.figures["differences"]
    if differences:
        found.append(f"cycle {number}: {differences} unexplained differences")
    for writer in writers:
        writer.go_on()
    return found


def assert_nothing_is_wrong(world, told):
    assert told["wrong"] == []
    assert (told["lost"], told["two-writer moments"]) == (0, 0)
    assert told["writes"] > 0
    with transaction(world.rig.workspace.engine("banyan_guard")) as connection:
        assert verify_journal(connection).is_whole


def test_a_cycle_under_load_loses_nothing(switch_world):
    told = cycles(switch_world, 1, seed=7, kills=0.0)

    assert_nothing_is_wrong(switch_world, told)


@pytest.mark.torture
def test_many_cycles_under_load_with_kills_and_cuts_lose_nothing(switch_world):
    count = int(os.environ.get("BANYAN_CYCLES", "50"))
    told = cycles(switch_world, count, seed=int(os.environ.get("BANYAN_SEED", "1")), kills=0.1)
    write_report(told)
    print(json.dumps(told, indent=2))

    assert told["cycles"] == count
    assert_nothing_is_wrong(switch_world, told)
