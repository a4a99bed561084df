"""Rows that a server keeps from a reader without saying so: policies of a table, an end to every answer."""

from contextlib import closing

import polars as pl
import pytest

from banyan.errors import ConfigurationError, SourceUnreadable
from banyan.records import KeyRange
from connectors.odbc import open_odbc

EVERYTHING = KeyRange(None, None)
TOKEN, CLOSURE = 5, "38.cases"
ROWS = 9


@pytest.fixture
def policed(legacy):
    """A table whose policy shows three rows of nine to whoever does not own it, written back behind its fence."""
    legacy.run(f"insert into orion.t_dossier (id_dossier, libelle) select n, 'x' from generate_series(1, {ROWS}) n")
    nonce = legacy.install_fence()
    with legacy.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    legacy.run("create policy unite on orion.t_dossier using (id_dossier < 4)")
    legacy.run("alter table orion.t_dossier enable row level security")
    yield legacy, nonce
    for role in ("banyan_reader", "banyan_reverse"):
        legacy.run(f"alter role {role} nobypassrls")


@pytest.mark.server
def test_a_policy_that_hides_rows_stops_the_reading_and_the_writing_by_name(policed):
    legacy, nonce = policed
    changed = pl.DataFrame({"id_dossier": ["2"], "note": ["new"]})

    with legacy.port() as port:
        hidden = port.find_hidden(["t_dossier", "t_ligne"])
        for ask in (
            lambda: port.read_range("t_dossier", EVERYTHING),
            lambda: port.read_keys("t_dossier", ["1"]),
            lambda: port.count("t_dossier"),
        ):
            with pytest.raises(ConfigurationError, match="a policy on t_dossier hides rows from this account") as met:
                ask()
            assert "bypassrls" in met.value.hint
        with (
            pytest.raises(ConfigurationError, match="hides rows"),
            port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session,
        ):
            session.upsert("t_dossier", changed)

    for role in ("banyan_reader", "banyan_reverse"):
        legacy.run(f"alter role {role} bypassrls")
    with legacy.port() as port:
        read = port.read_range("t_dossier", EVERYTHING).rows.height
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            written = session.upsert("t_dossier", changed)

    assert hidden == ["t_dossier"]
    assert (read, written.updated) == (ROWS, 1)


@pytest.mark.server
@pytest.mark.odbc
def test_a_policy_that_hides_rows_stops_the_reading_behind_odbc(policed):
    at = policed[0].address
    driver = (
        f"DRIVER=PostgreSQL Unicode;SERVER={at.host};PORT={at.port};DATABASE={at.database};UID=banyan_reader;"
        "SSLMODE=disable"
    )

    with closing(open_odbc(driver, "orion")) as port, pytest.raises(SourceUnreadable, match="42501"):
        port.read_range("t_dossier", EVERYTHING)


@pytest.fixture
def short_of_answers(marel):
    """A server that ends every answer after three rows."""
    marel.run(f"insert into dossier (id, libelle) select seq, 'x' from seq_1_to_{ROWS}", "select 1")
    marel.run("set global sql_select_limit = 3", "select 1")
    yield marel
    marel.run("set global sql_select_limit = default", "select 1")


@pytest.mark.mariadb
@pytest.mark.parametrize("child_from_rows", [0, 1_000_000])
def test_a_server_that_ends_every_answer_gives_all_rows(short_of_answers, child_from_rows):
    keys = [str(number) for number in range(1, ROWS + 1)]

    with short_of_answers.port("journal") as port:
        port.child_from_rows = child_from_rows
        rows = port.read_range("dossier", EVERYTHING).rows
        ranges = port.plan_ranges("dossier", 2)
        by_key = port.read_keys("dossier", keys).rows

    assert rows.height == by_key.height == ROWS
    assert len(ranges) == 5


@pytest.mark.mariadb
@pytest.mark.odbc
def test_a_server_that_ends_every_answer_gives_all_rows_behind_odbc(short_of_answers):
    marel = short_of_answers
    driver = f"DRIVER=MariaDB Unicode;SERVER=127.0.0.1;PORT={marel.server.port};UID=root;DATABASE={marel.schema}"

    with closing(open_odbc(driver, marel.schema)) as port:
        assert port.read_range("dossier", EVERYTHING).rows.height == ROWS
