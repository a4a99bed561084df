"""The small legacy database of tests/legacies.py, for the tests of connectors."""

from collections.abc import Iterator

import pytest
from legacies import ROLES, SCHEMA, LegacyDatabase
from sqlalchemy.engine import make_url

from connectors.postgresql import PostgreSQLPort


@pytest.fixture(scope="session")
def legacy_template(make_database) -> str:
    """A database with the legacy schema; nobody stays connected to it."""
    name = "legacy_template"
    place = LegacyDatabase(make_url(make_database(name)))
    with place.connect() as connection:
        for role in ROLES:
            connection.execute(
                f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$"
            )
        connection.execute(SCHEMA)
    return name


@pytest.fixture
def legacy(make_database, legacy_template: str) -> LegacyDatabase:
    """A fresh legacy database for one test."""
    return LegacyDatabase(make_url(make_database(template=legacy_template)))


@pytest.fixture
def port(legacy: LegacyDatabase) -> Iterator[PostgreSQLPort]:
    """The port on the fresh legacy database."""
    with legacy.port() as port:
        yield port
