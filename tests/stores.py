"""A migrated store for tests: one template for the whole run, a fresh copy for each test that asks."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from banyan.departments import Closure, Department
from mappings.model import RuleBook
from mappings.seal import seal_book
from store.install import Registration, SourceSystem, add_department, install, prepare_database
from store.postgres import Isolation, open_engine, transaction

ORION_TABLES = (
    "t_unite", "t_agent", "t_proc", "t_fait", "t_personne", "t_implic", "t_suite", "t_adresse", "t_tel", "t_vehic",
    "t_objet",
)  # fmt: skip
CLOSURE = Closure("38", ("cases", "vehicles"), ORION_TABLES, ("t_personne",))
ISERE = Registration(
    Department("38", "Isère", "Europe/Paris", 1),
    (SourceSystem("ORION", "oracle-like", "UTF-8", ORION_TABLES),),
    (CLOSURE,),
)
_numbers = itertools.count(1)


def only_tables(book: RuleBook, tables: tuple[str, ...]) -> RuleBook:
    """Give the rules of some tables alone, sealed anew: a smaller world for tests of other things."""
    return seal_book(replace(book, rulesets={table: book.rulesets[table] for table in sorted(tables)}))


@dataclass(frozen=True)
class StorePlace:
    """One store of a test: its address, and connections as any role."""

    address: URL

    def url(self, role: str = "postgres") -> URL:
        return self.address.set(username=role)

    def engine(self, role: str = "postgres") -> Engine:
        return open_engine(self.url(role), pool_size=0)

    @contextmanager
    def transaction(self, role: str = "postgres", *, isolation=Isolation.READ_COMMITTED) -> Iterator[Connection]:
        with transaction(self.engine(role), isolation=isolation) as connection:
            yield connection

    def connect(self, role: str = "postgres", *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(
            host=self.address.host,
            port=self.address.port,
            user=role,
            dbname=self.address.database,
            autocommit=autocommit,
        )

    def run(self, sql: str, parameters=None, *, role: str = "postgres"):
        """Run one statement in its own transaction; gives the rows, if any."""
        with self.connect(role) as connection:
            done = connection.execute(sql, parameters)
            return done.fetchall() if done.description else []

    def table_no(self, table: str) -> int:
        return self.run("select source_table_no from mig.source_table where table_name = %s", (table,))[0][0]


MakeStore = Callable[[], StorePlace]


@pytest.fixture(scope="session")
def store_template(make_database) -> str:
    """A database with the migrated store and department 38; nobody connects to it."""
    name = f"store_template_{next(_numbers)}"
    url = make_database(name)
    install(url)
    add_department(open_engine(url, pool_size=0), ISERE)
    return name


@pytest.fixture(scope="session")
def make_store(make_database, store_template: str) -> MakeStore:
    """Make a fresh store with department 38 (closure `38.cases+vehicles`), roles without passwords."""

    def make() -> StorePlace:
        place = StorePlace(make_url(make_database(f"store_{next(_numbers)}", template=store_template)))
        with place.transaction() as connection:
            prepare_database(connection)
        return place

    return make


@pytest.fixture
def store(make_store: MakeStore) -> StorePlace:
    """A fresh store of department 38."""
    return make_store()


def own(place: StorePlace, side: str) -> None:
    """Give both slices of 38 to a side without a switch, as superuser, for tests of other things."""
    phase = {"LEGACY": "SYNCING", "CANONICAL": "LIVE"}[side]
    with place.transaction() as connection:
        connection.execute(
            sa.text(
                "update mig.slice set owner = :side, phase = :phase, epoch = epoch + 1,"
                " armed_boot = pg_postmaster_start_time()"
            ),
            {"side": side, "phase": phase},
        )
