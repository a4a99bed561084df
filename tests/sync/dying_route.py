"""A child process that loads all it needs, waits for a description of a world, and dies at a named step of a route."""

import json
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

from sqlalchemy.engine import make_url
from stores import ORION_TABLES, StorePlace, only_tables
from worlds import RULES, World

from banyan.config import LandingConfig
from connectors.postgresql import open_postgresql
from mappings.ruleset import load_rulebook
from store.landing import open_landing
from store.runs import RunKind
from sync.lane import Step


def describe(world: World, landing: Path) -> dict[str, object]:
    """Say all that another process needs to work in a world whose landing zone is in a folder."""
    store = world.place.address.render_as_string(hide_password=False)
    return {
        "legacy": world.legacy,
        "store": store,
        "landing": str(landing),
        "numbers": world.numbers,
        "nonce": str(world.nonce),
    }


def find_world(said: dict[str, str]) -> World:
    """Open a world that another process described."""
    url = make_url(said["legacy"])

    def as_role(role: str) -> str:
        return url.set(username=role).render_as_string(hide_password=False)

    return World(
        said["legacy"],
        StorePlace(make_url(said["store"])),
        open_postgresql(as_role("banyan_reader"), "orion", reverse_url=as_role("banyan_reverse")),
        only_tables(load_rulebook(RULES), ORION_TABLES),
        open_landing(LandingConfig(), folder=Path(said["landing"])),
        dict(said["numbers"]),
        UUID(said["nonce"]),
    )


def carry_until_nothing_is_left(world: World, direction: str, **more) -> None:
    """Carry a route of a world, runs left open first, until nothing is left."""
    if direction == "forward":
        while world.forward_engine(**more).advance(world.forward()) is not None:
            pass
    else:
        while world.reverse_engine(**more).advance(world.reverse(), RunKind.REVERSE) is not None:
            pass


def main() -> None:
    said = json.loads(sys.stdin.readline())

    def die(here: Step) -> None:
        if here.value == said["step"]:
            os.kill(os.getpid(), signal.Signals[f"SIG{said['by']}"])

    carry_until_nothing_is_left(find_world(said), said["direction"], checkpoint=die)


if __name__ == "__main__":
    main()
