"""Texts that are lost easily, as keys and in the first and last column: read, told as changed, and written back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hostile_texts import LONG_TEXTS, TEXTS, WITH_NUL
from logged import SOURCE
from sqlites import CLOSURE as FILE_CLOSURE
from sqlites import LegacyFile
from stores import make_store, store_template

from banyan.records import KeyRange
from banyan.undecoded import MARK
from connectors.odbc import open_odbc
from connectors.postgresql import open_postgresql
from connectors.postgresql_log import open_log
from store.key_log import StoreKeyLog

__all__ = ["make_store", "store_template"]

EVERYTHING = KeyRange(None, None)
TOKEN, CLOSURE = 5, "38.cases"
TABLE = "odd"
ROWS_A_CHUNK = 37
NAMED = ("id", "n", "a", "z")


@dataclass
class Place:
    """A table of a legacy system whose every text is one of the texts; `kept` asks the server for its bytes."""

    legacy: Any
    texts: dict[int, str]
    is_marked: bool = False

    def said(self, number: int) -> str:
        """Give a text as banyan carries it: one that reads like the mark of bytes is carried as its bytes."""
        text = self.texts[number]
        return MARK + text.encode().hex() if self.is_marked and text.startswith(MARK) else text

    @property
    def told(self) -> dict[str, tuple[str, str, str]]:
        return {str(n): (self.said(n), self.said(n), self.said(n)) for n in self.texts}


def by_number(rows: pl.DataFrame) -> dict[str, tuple[str, str, str]]:
    found = {n: (key, first, last) for key, n, first, last in rows.select(NAMED).iter_rows()}
    assert len(found) == rows.height
    return found


def check_reading(port, place: Place) -> None:
    parts = [port.read_range(TABLE, keys).rows for keys in port.plan_ranges(TABLE, ROWS_A_CHUNK)]

    assert by_number(port.read_range(TABLE, EVERYTHING).rows) == place.told
    assert by_number(pl.concat(parts)) == place.told
    assert by_number(port.read_keys(TABLE, [key for key, _, _ in place.told.values()]).rows) == place.told


def check_writing(port, place: Place, nonce, closure: str = CLOSURE) -> None:
    """Write each row's neighbour's text into it, then remove every second row."""
    told = list(place.told.items())
    others = [*told[1:], told[0]]
    given = pl.DataFrame(
        [(key, n, other, other) for (n, (key, _, _)), (_, (other, _, _)) in zip(told, others, strict=True)],
        schema=dict.fromkeys(NAMED, pl.String), orient="row",
    )  # fmt: skip
    with port.reverse_session(closure, TOKEN, nonce=nonce) as session:
        written = session.upsert(TABLE, given)
        back = session.read_back(TABLE, given["id"].to_list())
    assert (written.inserted, written.updated) == (0, given.height)
    assert by_number(back) == by_number(given)

    gone = given.gather_every(2)["id"].to_list()
    with port.reverse_session(closure, TOKEN, nonce=nonce) as session:
        removed = session.delete(TABLE, gone)
        again = session.upsert(TABLE, given)
    assert (removed, again.inserted, again.updated) == (len(gone), len(gone), 0)


def expected_after(place: Place) -> dict[int, tuple[str, str, str]]:
    numbers = list(place.texts)
    others = dict(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
    return {n: (place.texts[n], place.texts[others[n]], place.texts[others[n]]) for n in numbers}


@pytest.fixture
def on_postgresql(legacy) -> Place:
    place = Place(legacy, dict(enumerate(TEXTS)))
    with legacy.connect() as connection:
        connection.execute("create table orion.odd (id text primary key, n int, a text, z text)")
        connection.cursor().executemany(
            "insert into orion.odd values (%s, %s, %s, %s)", [(t, n, t, t) for n, t in place.texts.items()]
        )
        connection.execute("grant select, insert, update, delete on orion.odd to orion_app, banyan_reverse")
        connection.execute("grant select on orion.odd to banyan_reader")
    return place


def kept_on_postgresql(legacy) -> dict[int, tuple[str, str, str]]:
    spelled = ", ".join(f"encode(convert_to({name}, 'UTF8'), 'hex')" for name in ("id", "a", "z"))
    return {
        n: tuple(bytes.fromhex(one).decode() for one in cells)
        for n, *cells in legacy.run(f"select n, {spelled} from orion.odd")
    }


@pytest.mark.server
@pytest.mark.parametrize("way", ["journal", "log"])
def test_a_postgresql_keeps_them_all(on_postgresql, make_store, way):
    place, legacy = on_postgresql, on_postgresql.legacy
    log = StoreKeyLog(lambda: store.engine("banyan_forward"), SOURCE)
    store = make_store()
    capture = {"capture": open_log(log)} if way == "log" else {}
    port = open_postgresql(legacy.url("banyan_reader"), "orion", reverse_url=legacy.url("banyan_reverse"), **capture)
    with closing(port):
        port.install_capture(legacy.url(), [TABLE])
        try:
            check_reading(port, place)
            since = port.head()
            legacy.run("update orion.odd set n = n", role="orion_app")
            assert sorted(change.key for change in port.changes(since)) == sorted(place.texts.values())
            nonce = seal(legacy, legacy.install_fence(TABLE))
            check_writing(port, place, nonce)
        finally:
            port.remove_capture(legacy.url())

    assert kept_on_postgresql(legacy) == expected_after(place)


def seal(legacy, nonce):
    with legacy.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


@pytest.mark.server
def test_a_postgresql_gives_long_texts_whole(legacy, port):
    with legacy.connect() as connection:
        connection.execute("create table orion.long (id int primary key, a text, z text)")
        connection.cursor().executemany(
            "insert into orion.long values (%s, %s, %s)", [(n, text, text) for n, text in enumerate(LONG_TEXTS)]
        )
        connection.execute("grant select on orion.long to banyan_reader")

    rows = port.read_range("long", EVERYTHING).rows.sort(pl.col("id").cast(pl.Int64))

    assert rows["a"].to_list() == rows["z"].to_list() == list(LONG_TEXTS)


def hex_of(text: str) -> str:
    return f"convert(x'{text.encode().hex()}' using utf8mb4)" if text else "''"


CODECS = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "latin1": "cp1252", "ucs2": "utf-16-be", "utf16": "utf-16-be"}


@pytest.fixture(params=["utf8mb4_bin", "utf8mb4_unicode_ci", "utf8mb3_general_ci", "latin1_swedish_ci", "ucs2_bin"])
def on_mariadb(request, marel) -> Place:
    """Keep what this order of letters tells apart, of what its set can hold."""
    letters = request.param.split("_")[0]
    kind = f"character set {letters} collate {request.param}"
    held = [text for text in (*TEXTS, *WITH_NUL) if is_held(text, letters)]
    values = ", ".join(f"({hex_of(text)}, {n}, {hex_of(text)}, {hex_of(text)})" for n, text in enumerate(held))
    marel.run(
        f"create table odd (id varchar(40) {kind} primary key, n int, a text {kind}, z text {kind})",
        f"insert ignore into odd values {values}",
    )
    numbers = [n for (n,) in marel.run("select n from odd order by n")]
    return Place(marel, {n: held[n] for n in numbers})


def is_held(text: str, letters: str) -> bool:
    if letters in ("ucs2", "utf8mb3") and any(ord(sign) > 0xFFFF for sign in text):
        return False
    try:
        return text.encode(CODECS[letters]) is not None
    except UnicodeEncodeError:
        return False


def kept_on_mariadb(marel, letters: str) -> dict[int, tuple[str, str, str]]:
    return {
        n: tuple(bytes.fromhex(cell).decode(CODECS[letters]) for cell in cells)
        for n, *cells in marel.run("select n, hex(id), hex(a), hex(z) from odd")
    }


@pytest.mark.mariadb
def test_a_mariadb_keeps_them_all(on_mariadb, request):
    place, marel = on_mariadb, on_mariadb.legacy
    assert len(place.texts) > 200
    letters = request.node.callspec.params["on_mariadb"].split("_")[0]
    with marel.port("journal" if letters == "ucs2" else "log") as port:  # a log does not tell keys of that set
        check_reading(port, place)
        port.child_from_rows = 0
        check_reading(port, place)
        port.install_capture(marel.url(), [TABLE])
        since = port.head()
        marel.run("update odd set n = n + 1000", "update odd set n = n - 1000", account="marel_app")
        assert sorted({change.key for change in port.changes(since)}) == sorted(place.texts.values())
        nonce = seal(marel, marel.install_fence(TABLE))
        check_writing(port, place, nonce)

    assert kept_on_mariadb(marel, letters) == expected_after(place)


@pytest.fixture
def on_sqlite(tmp_path) -> Place:
    place = Place(LegacyFile(tmp_path / "brigade.db"), dict(enumerate((*TEXTS, *WITH_NUL))), is_marked=True)
    with closing(sqlite3.connect(place.legacy.path)) as base, base:
        base.execute("create table odd (id text primary key, n integer, a text, z text)")
        base.executemany("insert into odd values (?, ?, ?, ?)", [(t, n, t, t) for n, t in place.texts.items()])
    return place


def test_a_sqlite_file_keeps_them_all(on_sqlite):
    place, file = on_sqlite, on_sqlite.legacy
    with closing(file.port()) as port:
        check_reading(port, place)
        port.install_capture(str(file.path), (TABLE,))
        since = port.head()
        file.run("update odd set n = n")
        keys = [key for key, _, _ in place.told.values()]
        assert sorted(change.key for change in port.changes(since)) == sorted(keys)
        nonce = file.install_fence(TABLE)
        fence = file.fence()
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
        check_writing(port, place, nonce, FILE_CLOSURE)

    kept = {n: cells for n, *cells in file.run("select n, cast(id as blob), cast(a as blob), cast(z as blob) from odd")}
    assert {n: tuple(cell.decode() for cell in cells) for n, cells in kept.items()} == expected_after(place)


@pytest.fixture(params=[
    pytest.param("postgresql", marks=pytest.mark.server), pytest.param("mariadb", marks=pytest.mark.mariadb), "sqlite",
])  # fmt: skip
def through_odbc(request) -> Iterator[tuple[Any, Place]]:
    """Give a port behind ODBC and what it reads; a key that reads like the mark of bytes stops a table there."""
    match request.param:
        case "postgresql":
            place = request.getfixturevalue("on_postgresql")
            place.legacy.run("delete from orion.odd where id like %s", (f"{MARK}%",))
            at = place.legacy.address
            port = open_odbc(
                f"DRIVER=PostgreSQL Unicode;SERVER={at.host};PORT={at.port};DATABASE={at.database};UID=postgres;"
                "SSLMODE=disable", "orion",
            )  # fmt: skip
        case "mariadb":
            marel = request.getfixturevalue("marel")
            held = {n: text for n, text in enumerate(TEXTS) if not text.startswith(MARK)}
            values = ", ".join(f"({hex_of(t)}, {n}, {hex_of(t)}, {hex_of(t)})" for n, t in held.items())
            kind = "collate utf8mb4_nopad_bin"
            marel.run(
                f"create table odd (id varchar(40) {kind} primary key, n int, a text, z text)",
                f"insert into odd values {values}",
            )
            place = Place(marel, held)
            port = open_odbc(
                f"DRIVER=MariaDB Unicode;SERVER=127.0.0.1;PORT={marel.server.port};UID=root;DATABASE={marel.schema}",
                marel.schema,
            )
        case _:
            place = request.getfixturevalue("on_sqlite")
            place.legacy.run("delete from odd where instr(cast(id as blob), x'00') > 0")
            port = open_odbc(f"DRIVER=SQLite3;Database={place.legacy.path};", "")
    place.texts = {n: t for n, t in place.texts.items() if is_told_by_odbc(t, request.param)}
    with closing(port):
        yield port, place


def is_told_by_odbc(text: str, make: str) -> bool:
    return "\0" not in text if make == "sqlite" else not text.startswith(MARK)


@pytest.mark.odbc
def test_a_server_behind_odbc_tells_them_all(through_odbc):
    check_reading(*through_odbc)
