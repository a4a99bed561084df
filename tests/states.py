"""A change of owner left in the middle: the controller goes away at a named point, without a word."""

from collections.abc import Callable

import pytest
from sides import Sides
from switches import order

from cutover.switching import roll_back, switch


class Interruption(Exception):
    """The controller goes away here, without a word."""


def left_at(world: Sides, point: str, deed: Callable[..., object] = switch, **more: object) -> None:
    """Leave a controller's work at a point, as if it had died there."""

    def leave(name: str) -> None:
        if name == point:
            raise Interruption

    with pytest.raises(Interruption):
        deed(world.rig, world.closure, order(checkpoint=leave, **more))


def come_to(world: Sides, state: str) -> None:
    """Bring a world under LEGACY to a state in the middle of things."""
    world.catch_up()
    world.sign()
    match state:
        case "SYNCING":
            return
        case "LIVE":
            switch(world.rig, world.closure, order())
        case "R_DRAINING":
            switch(world.rig, world.closure, order())
            left_at(world, "before DRAIN_REVERSE", roll_back)
        case "R_OPENING":
            switch(world.rig, world.closure, order())
            left_at(world, "before OPEN_LEGACY", roll_back)
        case _:
            left_at(world, {"DRAINING": "before DRAIN", "SEALING": "before FLIP"}[state])
    assert world.phase.value == state
