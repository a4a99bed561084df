"""Values of every type a column can have, at the ends of what it holds: read, written to another row, the same."""

from functools import partial

import polars as pl
import pytest

from banyan.errors import SourceUnreadable
from banyan.records import KeyRange

EVERYTHING = KeyRange(None, None)
TOKEN, CLOSURE = 5, "38.cases"
OTHER = 1000
"""A row is written again under its key and so many."""
EVERY_BYTE = bytes(range(256)).hex()
POSTGRESQL = {
    "smallint": ("(-32768)", "32767"),
    "bigint": ("9223372036854775807", "(-9223372036854775808)"),
    "numeric": ("'NaN'", "'Infinity'", "'-Infinity'", "1e-16383", "1e131071", "0.00", f"1.{'0' * 50}"),
    "numeric(5,-2)": ("12300",),
    "real": ("'-0'", "'nan'", "'infinity'", "1e-45", "3.4028235e38", "1.17549435e-38", "0.1", "16777217"),
    "double precision": ("'-0'", "'nan'", "'-infinity'", "5e-324", "1.7976931348623157e308", "0.1", "9007199254740993"),
    "money": ("'-92233720368547758.08'", "'0.01'"),
    "date": ("'4714-11-24 BC'", "'5874897-12-31'", "'infinity'", "'2000-02-29'", "'0001-01-01'"),
    "time": ("'24:00:00'", "'23:59:59.999999'", "'00:00'"),
    "timetz": ("'24:00:00+15:59'", "'12:00:00.1-15:59:59'"),
    "timestamp": ("'4714-11-24 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'-infinity'", "'2026-03-29 02:30'"),
    "timestamptz": ("'4714-11-24 00:00:00+00 BC'", "'infinity'", "'1911-03-10 23:50:39+00'", "'1890-01-01 00:00+00'"),
    "interval": ("'178000000 years'", "'-1 day +00:00:00.000001'", "'1 mon -1 day 25:00'", "'0'"),
    "boolean": ("true", "false"),
    "bytea": (f"'\\x{EVERY_BYTE}'", "''", "'\\x5c'"),
    "bit varying": ("B''", "B'0'", f"B'{'10' * 100}'"),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",),
    "json": ('\' {"a": 1, "a" :2}\'', "'null'", "'\"\\u00e9\"'"),
    "jsonb": ("'{\"b\":1e400}'", "'null'"),
    "inet": ("'10.1.2.3/8'", "'::1'", "'192.168.0.1'"),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'",),
    "point": ("'(1e-300,-0)'",),
    "box": ("'(1,1),(0,0)'",),
    "circle": ("'<(0,0),1>'",),
    "path": ("'[(0,0),(1,1)]'",),
    "line": ("'{1,2,3}'",),
    "tsvector": ("'''a b'':1A c:2'",),
    "tsquery": ("'a & !b'",),
    "int4range": ("'empty'", "'[1,)'"),
    "nummultirange": ("'{[1.0,2.00)}'",),
    "text[]": ("'{}'", "array[null, 'NULL', '', E'a\"\\\\b', E'x\\ny']", "'[2:3]={a,b}'", "'{{a,b},{c,d}}'"),
    "bytea[]": ("array['\\x00ff'::bytea]",),
    "char(3)": ("'a'", "''", "'abc'"),
    '"char"': ("'a'", "''", "'\\377'"),
    "name": ("'a b'",),
    "oid": ("4294967295",),
    "xid8": ("'18446744073709551615'",),
    "pg_lsn": ("'FFFFFFFF/FFFFFFFF'",),
    "orion.humeur": ("'é, \"x\"'", "''"),
    "orion.court": ("'abc'",),
    "orion.paire": ("row(1, E'a,\"b\\\\')", "row(null, null)", "row(null, '')"),
}  # fmt: skip
NO_KIND_OF_SQLALCHEMY = {"point", "box", "circle", "path", "line", "xid8", "pg_lsn", "orion.paire"}
MARIADB = {
    "tinyint": ("-128",),
    "bigint unsigned": ("18446744073709551615",),
    "int(5) zerofill": ("42",),
    "decimal(65,30)": (f"{'9' * 35}.{'9' * 30}", "-0.0"),
    "float": ("-0e0", "1e-45", "3.4028235e38", "1.17549435e-38", "0.1", "16777217", "123456.789"),
    "float(7,3)": ("1.1",),
    "double": ("-0e0", "5e-324", "1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "9007199254740993"),
    "double(20,5)": ("1.1",),
    "bit(64)": ("18446744073709551615", "0"),
    "date": ("'0000-00-00'", "'9999-12-31'", "'2019-00-31'", "'0001-01-01'"),
    "datetime(6)": ("'0000-00-00'", "'9999-12-31 23:59:59.999999'", "'0000-01-01'", "'2026-03-29 02:30'"),
    "timestamp(6) null": ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00'"),
    "time(6)": ("'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'"),
    "year": ("1901", "2155", "0"),
    "char(5)": ("'a '", "''", "' a'"),
    "varchar(5)": ("'a '",),
    "binary(5)": ("x'00'", "x'6120'", "''"),
    "varbinary(300)": (f"x'{EVERY_BYTE}'", "''"),
    "mediumblob": ("repeat('a', 100000)", "x'00'"),
    "enum('a','','é,''x')": ("'a'", "''", "'é,''x'"),
    "set('a','b','é')": ("''", "'a,é'"),
    "json": ('\'{"a": 1.0, "a":2}\'', "'null'"),
    "point": ("point(1, 2)",),
    "geometry": ("st_geomfromtext('linestring(0 0,1 1)')",),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",),
    "inet6": ("'::1'", "'::ffff:10.0.0.1'"),
    "longtext character set latin1": ("'€é'",),
}  # fmt: skip


def check_both_ways(port, nonce, table: str, *, values: int) -> None:
    """Read a table, all at once and by key; write each row under another key, twice."""
    rows = port.read_range(table, EVERYTHING).rows
    assert rows.height == values + 1
    assert sorted(port.read_keys(table, rows["id"].to_list()).rows.rows()) == sorted(rows.rows())

    given = rows.with_columns((pl.col("id").cast(pl.Int64) + OTHER).cast(pl.String))
    with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        written, again = session.upsert(table, given), session.upsert(table, given)
    assert (written.inserted, again.untouched) == (rows.height, rows.height)


def seal(legacy, tables):
    nonce = legacy.install_fence(*tables)
    with legacy.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


@pytest.mark.server
def test_every_kind_of_a_postgresql_goes_there_and_back(legacy):
    tables = {f"kind_{number}": kind for number, kind in enumerate(POSTGRESQL)}
    with legacy.connect() as connection:
        connection.execute(
            "create type orion.humeur as enum ('é, \"x\"', ''); create domain orion.court as varchar(3);"
            " create type orion.paire as (a int, b text); grant usage on schema orion to public"
        )
        for table, kind in tables.items():
            connection.execute(f"create table orion.{table} (id int primary key, v {kind})")
            for number, value in enumerate((*POSTGRESQL[kind], "null")):
                connection.execute(f"insert into orion.{table} values ({number}, {value}::{kind})")
            connection.execute(
                f"grant select, insert, update, delete on orion.{table} to banyan_reverse, orion_app;"
                f" grant select on orion.{table} to banyan_reader"
            )
    nonce = seal(legacy, tables)

    with legacy.port() as port:
        for table, kind in tables.items():
            check_both_ways(port, nonce, table, values=len(POSTGRESQL[kind]))
        named = {kind: port.columns(table)[1].type_name for table, kind in tables.items()}

    assert {kind: named[kind] for kind in NO_KIND_OF_SQLALCHEMY} == {kind: kind for kind in NO_KIND_OF_SQLALCHEMY}
    for table, kind in tables.items():
        (send,) = legacy.run("select typsend::text from pg_type where oid = %s::regtype", (kind,))[0]
        other = f"select count(*) from orion.{table} a join orion.{table} b on b.id = a.id + {OTHER}"
        assert legacy.run(f"{other} where {send}(a.v) is not distinct from {send}(b.v)") == [
            (len(POSTGRESQL[kind]) + 1,)
        ]


@pytest.mark.mariadb
def test_every_kind_of_a_mariadb_goes_there_and_back(marel):
    tables = {f"kind_{number}": kind for number, kind in enumerate(MARIADB)}
    for table, kind in tables.items():
        listed = (*MARIADB[kind], "null")
        marel.run(
            "set sql_mode = ''",
            f"create table {table} (id int primary key, v {kind})",
            *(f"insert into {table} values ({number}, {value})" for number, value in enumerate(listed)),
        )
    nonce = seal(marel, tables)

    with marel.port("log") as port:
        for table, kind in tables.items():
            check_both_ways(port, nonce, table, values=len(MARIADB[kind]))
            at_once = port.read_range(table, EVERYTHING).rows
            port.child_from_rows, usual = 0, port.child_from_rows
            assert sorted(port.read_range(table, EVERYTHING).rows.rows()) == sorted(at_once.rows())
            port.child_from_rows = usual

    for table, kind in tables.items():
        other = f"select count(*) from {table} a join {table} b on b.id = a.id + {OTHER}"
        same = "hex(a.v) <=> hex(b.v) and a.v <=> b.v"
        assert marel.run(f"{other} where {same}") == [(len(MARIADB[kind]) + 1,)], kind


ODD_NAMES = ("T Dossier", 't"q', "select", "é.b", "t'a", "T" * 60, "a`b", "t{0}", "$1", "t:x")
ODD_COLUMNS = (
    "Id",
    "N°",
    "a b",
    'c"d',
    "order",
    "e.f",
    "g'h",
    "Key",
    "t",
    "C" * 55,
    "i`j",
    ":k",
    "{l}",
    "n",
    "$2",
    "row",
)


def made(table: str, quote: str) -> list[str]:
    """Write the statements that make a table of odd columns with two rows."""

    def quoted(name: str) -> str:
        return quote + name.replace(quote, quote * 2) + quote

    columns = ", ".join(f"{quoted(name)} varchar(20)" for name in ODD_COLUMNS[1:])
    values = ", ".join(f"'v{number}'" for number in range(1, len(ODD_COLUMNS)))
    name = quoted(table)
    return [
        f"create table {name} ({quoted(ODD_COLUMNS[0])} int primary key, {columns})",
        f"insert into {name} values (1, {values}), (2, {values})",
        f"update {name} set {quoted(ODD_COLUMNS[1])} = 'z' where {quoted(ODD_COLUMNS[0])} = 1",
    ]


def check_named(port, legacy, table: str, touch) -> None:
    rows = port.read_range(table, EVERYTHING).rows
    assert [port.read_range(table, keys).rows.height for keys in port.plan_ranges(table, 1)][:2] == [1, 1]
    since = port.head()
    touch()
    changed = {(change.table, change.key) for change in port.changes(since)}
    nonce = seal(legacy, [table])
    with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        written = session.upsert(table, rows.with_columns(pl.lit("new").alias(ODD_COLUMNS[2])))
        removed, back = session.delete(table, ["2"]), session.read_back(table, ["1"])

    assert tuple(rows.columns) == ODD_COLUMNS
    assert (changed, written.updated, removed) == ({(table, "1")}, 2, 1)
    assert back[ODD_COLUMNS[2]].to_list() == ["new"]


@pytest.mark.server
def test_a_postgresql_may_name_tables_and_columns_as_it_likes(legacy):
    legacy.run(f"alter database {legacy.address.database} set search_path = orion")
    for table in ODD_NAMES:
        make, fill, touch = made(table, '"')
        legacy.run(make)
        legacy.run(fill)
        legacy.run("grant select, insert, update, delete on all tables in schema orion to banyan_reverse, orion_app")
        legacy.run("grant select on all tables in schema orion to banyan_reader")
        with legacy.port() as port:
            port.install_capture(legacy.url(), [table])
            check_named(port, legacy, table, partial(legacy.run, touch))


@pytest.mark.mariadb
@pytest.mark.parametrize("way", ["log", "journal"])
def test_a_mariadb_may_name_tables_and_columns_as_it_likes(marel, way):
    for table in ODD_NAMES:
        make, fill, touch = made(table, "`")
        marel.run(make, fill)
        with marel.port(way) as port:
            port.install_capture(marel.url(), [table])
            check_named(port, marel, table, partial(marel.run, touch))


@pytest.mark.server
def test_a_percent_sign_in_a_name_is_refused_as_such(legacy, port):
    legacy.run('create table orion.t_taux (id int primary key, "taux_%" int)')

    with pytest.raises(SourceUnreadable, match="has a percent sign in a name; nothing was read"):
        port.columns("t_taux")
