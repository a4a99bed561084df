"""The fixtures of tests/worlds.py and tests/stores.py, for the tests of movement."""

from stores import make_store, store, store_template
from worlds import loaded, world

__all__ = ["loaded", "make_store", "store", "store_template", "world"]
