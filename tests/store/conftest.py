"""The fixtures of tests/stores.py, for the tests of the store."""

from stores import make_store, store, store_template

__all__ = ["make_store", "store", "store_template"]
