"""A loaded world to judge, and faults that are seeded in it by the accounts that could make them, then undone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from worlds import DOMAINS, ISERE, ORION, World, build_world

from banyan.departments import Side
from banyan.records import Position
from store.ledger import LedgerReader
from store.postgres import transaction
from validation.subject import Subject


@pytest.fixture(scope="module")
def judged(make_database, make_store, tmp_path_factory) -> World:
    """A world whose first copy is made, shared by the tests of one module: each undoes what it did."""
    world = build_world(make_database, make_store, tmp_path_factory.mktemp("landing"))
    world.load()
    return world


def subject_of(world: World, *, role: str = "banyan_forward") -> Subject:
    """What a level is given."""
    return Subject(
        department=ISERE,
        source=ORION,
        port=world.port,
        engine=world.place.engine(role),
        book=world.book,
        table_numbers=world.numbers,
        digest_key=b"k" * 32,
        domains=DOMAINS,
    )


def watermark_of(world: World) -> Position | None:
    """How far the canonical side has come."""
    with transaction(world.place.engine("banyan_forward")) as connection:
        return LedgerReader(connection).find_watermark(ORION, Side.CANONICAL)


def live_row(world: World, table: str, number: int = 0) -> tuple[str, str]:
    """Legacy key and canonical id of some live row of a table."""
    return world.place.run(
        "select source_key, id::text from mig.crosswalk where source_table_no = %s and deleted_at is null"
        " order by id offset %s limit 1",
        (world.numbers[table], number),
    )[0]


@contextmanager
def edited(world: World, table: str, row_id: str, column: str, value: object) -> Iterator[None]:
    """Change one canonical column as the forward applier, which may while LEGACY owns; put it back afterwards."""
    statement = f"update justice.{table} set {column} = %s where id = %s"
    before = world.place.run(f"select {column} from justice.{table} where id = %s", (row_id,))[0][0]
    world.place.run(statement, (value, row_id), role="banyan_forward")
    yield
    world.place.run(statement, (before, row_id), role="banyan_forward")


@contextmanager
def removed(world: World, table: str, row_id: str) -> Iterator[None]:
    """Delete one canonical record as the forward applier; put it back afterwards."""
    with world.place.connect("banyan_forward") as connection:
        columns = [
            column.name for column in connection.execute(f"select * from justice.{table} limit 0").description or ()
        ]
        listed = ", ".join(columns)
        row = connection.execute(f"delete from justice.{table} where id = %s returning {listed}", (row_id,)).fetchone()
        yield
        places = ", ".join(["%s"] * len(columns))
        connection.execute(f"insert into justice.{table} ({listed}) values ({places})", row)


@contextmanager
def doubled(world: World, table: str, row_id: str) -> Iterator[str]:
    """Copy one canonical record under a new id as the forward applier; gives the id, removes it afterwards."""
    with world.place.connect("banyan_forward") as connection:
        columns = [
            column.name for column in connection.execute(f"select * from justice.{table} limit 0").description or ()
        ]
        others = ", ".join(name for name in columns if name != "id")
        (new,) = connection.execute(
            f"insert into justice.{table} (id, {others}) select gen_random_uuid(), {others} from justice.{table}"
            " where id = %s returning id::text",
            (row_id,),
        ).fetchone()
        yield new
        connection.execute(f"delete from justice.{table} where id = %s", (new,))
