"""The synthetic ORION loaded into a store without the machinery of synchronisation: read, map, write."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl
from stores import ISERE, StorePlace, own

import mappings
from banyan.ports import LegacyPort
from banyan.records import KeyRange
from connectors.postgresql import open_postgresql
from estate.load import load
from estate.orion import generate
from mappings.closure import closure, load_order
from mappings.engine import MapContext, apply_forward, compile_ruleset
from mappings.model import RuleBook
from mappings.ruleset import load_rulebook
from store.install import add_department
from store.postgres import open_engine, raw
from store.records import write_parts

RULES = Path(mappings.__file__).parent / "rules" / "orion"


@dataclass(frozen=True)
class Loaded:
    """A store that holds the records of an estate, the port they came through, and the keys left out on purpose."""

    store: StorePlace
    port: LegacyPort
    defects: pl.DataFrame
    left_out: dict[str, list[str]]
    fields_left_out: dict[str, list[tuple[str, str]]]


def load_estate(make_database, store: StorePlace, size: str = "XS") -> Loaded:
    """Generate ORION, read it through its port, map it, and write the records as the forward applier."""
    estate = generate(size, 7)
    url = make_database()
    load(estate, url)
    port = open_postgresql(url, "orion")
    book = load_rulebook(RULES)
    add_department(open_engine(store.url(), pool_size=0), replace(ISERE, closures=closure(book, "38")))
    own(store, "LEGACY")
    loaded = Loaded(store, port, estate.defects, {}, {})
    _carry(loaded, book)
    store.run("analyze")
    return loaded


def _carry(loaded: Loaded, book: RuleBook) -> None:
    context = MapContext("38", "ORION", "Europe/Paris", b"k" * 32, date(2026, 3, 1))
    filtered: dict[str, pl.Series] = {}
    with loaded.store.transaction("banyan_forward") as connection:
        for table in load_order(book):
            ruleset = book.rulesets[table]
            rows = loaded.port.read_range(table, KeyRange(None, None)).rows.select(
                name for name in ruleset.columns if name not in ruleset.drop
            )
            mapped = apply_forward(compile_ruleset(ruleset, book, context), rows, replace(context, filtered=filtered))
            for part in ruleset.parts:
                write_parts(raw(connection), part.table, mapped.parts[part.name])
            filtered[table] = mapped.filtered["source_key"]
            loaded.left_out[table] = [*mapped.filtered["source_key"], *mapped.rejected["source_key"]]
            loaded.fields_left_out[table] = mapped.rejected_fields.select("source_key", "column").rows()
