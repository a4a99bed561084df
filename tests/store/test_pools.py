"""Connections that are lent again: one that the server ended meanwhile is replaced before anybody meets it."""

import time

import psycopg
import pytest
import sqlalchemy as sa

from store.postgres import open_engine

pytestmark = pytest.mark.server
_PID = sa.text("select pg_backend_pid()")


def test_a_connection_the_server_ended_while_nobody_held_it_is_replaced(make_database):
    url = make_database()
    engine = open_engine(url)
    with engine.connect() as connection:
        first = connection.scalar(_PID)
    with engine.connect() as connection:
        assert connection.scalar(_PID) == first

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", (first,))
    time.sleep(0.1)

    with engine.connect() as connection:
        assert connection.scalar(_PID) != first
    engine.dispose()
