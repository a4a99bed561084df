"""The door to the store: engines, and transactions that are visible in the code.

What the server refuses becomes a BanyanError that names the SQLSTATE, the table and the constraint, never a value: the
server's own messages and details may carry values of a record, so the original error is not chained.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from banyan.errors import BanyanError, CapacityExhausted, ConfigurationError, StoreFenced, StoreUnavailable
from wire.pools import ask_after_a_pause

_LOOPBACK = ("127.0.0.1", "localhost", "::1", None, "")
_FENCED = "55006"
_TRY_AGAIN = {
    "40001": "another transaction changed the same rows",
    "40P01": "two transactions waited for each other",
    "55P03": "a lock was not granted in time",
    "23505": "another transaction wrote the same key",
}
_NO_ROOM = {"53100": "disk", "53200": "memory", "53300": "connection"}


class Isolation(StrEnum):
    """How much of other transactions one transaction sees."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"


def open_engine(url: str | URL, *, pool_size: int = 2) -> Engine:
    """Open the store for one role; refuses a remote server whose identity is not verified. `pool_size` 0: no pool."""
    address = make_url(url)
    host = address.host
    if host not in _LOOPBACK and not str(host).startswith("/") and address.query.get("sslmode") != "verify-full":
        raise ConfigurationError(
            f"the store on {host} is remote but its URL does not verify the server; no connection was opened",
            hint="add ?sslmode=verify-full to the URL of `target` in banyan.yaml",
        )
    arguments = {"options": "-c timezone=UTC", "application_name": "banyan"}
    if pool_size == 0:
        return sa.create_engine(address, hide_parameters=True, connect_args=arguments, poolclass=NullPool)
    return ask_after_a_pause(
        sa.create_engine(address, hide_parameters=True, connect_args=arguments, pool_size=pool_size)
    )


@contextmanager
def transaction(engine: Engine, *, isolation: Isolation = Isolation.READ_COMMITTED) -> Iterator[Connection]:
    """Open one transaction: all that is written in it commits together at its end, or nothing does."""
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(isolation_level=isolation.value)
            with connection.begin():
                yield connection
    except sa.exc.DBAPIError as error:
        original = error.orig
        raise (translate(original) if isinstance(original, psycopg.Error) else _lost()) from None
    except psycopg.Error as error:
        raise translate(error) from None


@contextmanager
def asking(engine: Engine) -> Iterator[Connection]:
    """Lend a connection on which each question is asked alone: one round trip where a transaction takes three."""
    try:
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    except sa.exc.DBAPIError as error:
        original = error.orig
        raise (translate(original) if isinstance(original, psycopg.Error) else _lost()) from None
    except psycopg.Error as error:
        raise translate(error) from None


def raw(connection: Connection) -> psycopg.Connection[Any]:
    """Give the psycopg connection under a transaction, for COPY and MERGE inside it."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise ConfigurationError("the store is reached through psycopg only", driver=type(driver).__name__)
    return driver


def translate(error: psycopg.Error) -> BanyanError:
    """Give the BanyanError for what the server refused; the transaction was rolled back."""
    code = error.sqlstate
    if code is None or code.startswith(("08", "57P")):
        return _lost()
    if code == _FENCED and (error.diag.message_primary or "").startswith("banyan:"):
        return StoreFenced(
            "the store refused a writer that does not own the slice; nothing was written",
            hint="banyan switch status",
            detail=error.diag.message_detail,  # our own words: role, operation, table, slices
            sqlstate=code,
        )
    if code in _NO_ROOM:
        return CapacityExhausted(
            f"the store has no {_NO_ROOM[code]} left (SQLSTATE {code}); the transaction was rolled back",
            hint="make room on the server of the store, then run it again",
            sqlstate=code,
        )
    if code in _TRY_AGAIN:
        return StoreUnavailable(
            f"{_TRY_AGAIN[code]} (SQLSTATE {code}); the transaction was rolled back", hint="run it again", sqlstate=code
        )
    said = error.diag.message_primary or ""
    return BanyanError(
        f"the store refused a statement (SQLSTATE {code}); the transaction was rolled back"
        + (f": {said.removeprefix('banyan: ')}" if said.startswith("banyan:") else ""),
        sqlstate=code,
        table=error.diag.table_name,
        constraint=error.diag.constraint_name,
    )


def _lost() -> StoreUnavailable:
    return StoreUnavailable(
        "the store does not answer; what was not committed is rolled back", hint="banyan doctor, then run it again"
    )
