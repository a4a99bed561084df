"""What a legacy MariaDB does to a table as a whole is seen: to a partition, under an odd name, by any client."""

import pymysql
import pytest

from banyan.errors import SourceDrifted
from connectors.mariadb import open_mariadb
from connectors.mariadb_connection import ask

pytestmark = pytest.mark.mariadb

PARTITIONED = """create table {} (id int primary key, v varchar(9)) partition by range (id)
  (partition p0 values less than (100), partition p1 values less than (200))"""


@pytest.mark.parametrize("way", ["log", "journal"])
@pytest.mark.parametrize("name", ["faits", "Faits de l'année.1", "a`b$"])
@pytest.mark.parametrize(
    "statement",
    ["truncate table {}", "alter table {} truncate partition p1", "alter table {} drop partition p1",
     "alter table {} exchange partition p1 with table pareil", "alter table {} convert partition p1 to table parti"],
    ids=["emptied", "a partition emptied", "dropped", "exchanged", "made a table"],
)  # fmt: skip
def test_rows_that_go_with_their_partition_are_loud(marel, way, name, statement):
    quoted = "`{}`".format(name.replace("`", "``"))
    marel.run(
        PARTITIONED.format(quoted),
        "create table pareil (id int primary key, v varchar(9))",
        f"insert into {quoted} values (1, 'a'), (101, 'b')",
    )
    with marel.port(way, (name,)) as port:
        port.install_capture(marel.url(), [name])
        since = port.head()
        marel.run(f"update {quoted} set v = 'c' where id = 101")
        assert [change.key for change in port.changes(since)] == ["101"]
        marel.run(statement.format(quoted))

        with pytest.raises(SourceDrifted, match="truncated"):
            port.changes(since)


@pytest.mark.parametrize("name", ["fait$", "année", "fait"])
def test_a_statement_is_seen_to_name_a_table_whatever_its_letters_and_its_clients_encoding(marel, name):
    marel.run(f"create table {name} (id int primary key)")
    with marel.port("log", (name,)) as port:
        port.install_capture(marel.url(), [name])
        since = port.head()
        with pymysql.connect(
            host="127.0.0.1", port=marel.server.port, user="root", database="mysql", charset="latin1", autocommit=True
        ) as client:
            ask(client, f"truncate {marel.schema}.{name}")

        with pytest.raises(SourceDrifted, match="truncated"):
            port.changes(since)


def test_a_statement_from_elsewhere_is_seen_to_name_a_database_with_a_dash(mariadb):
    base = "gendarmerie-35"
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", autocommit=True) as root:
        ask(root, f"create database `{base}`")
        ask(root, f"create table `{base}`.fait (id int primary key)")
        try:
            port = open_mariadb(f"mysql://root@127.0.0.1:{mariadb.port}/{base}", base, way="log", tables=("fait",))
            port.install_capture(f"mysql://root@127.0.0.1:{mariadb.port}/{base}", ["fait"])
            since = port.head()
            ask(root, f"truncate `{base}`.fait")
            with pytest.raises(SourceDrifted, match="truncated"):
                port.changes(since)
            port.close()
        finally:
            ask(root, f"drop database `{base}`")
            ask(root, f"drop database if exists `banyan_{base}`")
