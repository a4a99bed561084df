"""A legacy MariaDB that another server feeds: what replication applies fires no trigger."""

import time

import pymysql
import pytest
from mariadbs import make_legacy

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental
from connectors.mariadb_connection import ask
from wire.cluster import ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

pytestmark = pytest.mark.mariadb


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A server that feeds, and the one that is fed."""
    made = []
    for number in (1, 2):
        home = cluster_home(tmp_path_factory.mktemp(f"fed_{number}"), f"fed_{number}")
        made.append(MariaDBServer(ClusterPlace(home, Durability.THROWAWAY)).start())
    feeding, fed = made
    with root_of(fed) as root:
        ask(root, "set global server_id = 2")
    yield feeding, fed
    for server in made:
        server.destroy()


def root_of(server):
    return pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True)


@pytest.fixture
def fed(servers):
    """A legacy database on the second server; gives it, and what writes a row to the first one and waits for it."""
    feeding, server = servers
    here = make_legacy(server)
    with root_of(feeding) as root:
        for statement in (
            f"create database {here.schema}",
            f"create table {here.schema}.code (code varchar(10) primary key, libelle varchar(40))",
            "create user if not exists feeder@'%'",
            "grant replication slave on *.* to feeder@'%'",
        ):
            ask(root, statement)
        file, place = ask(root, "show master status")[0][:2]

    def begin():
        with root_of(server) as root:
            ask(root, f"change master to master_host = '127.0.0.1', master_port = {feeding.port},"
                      f" master_user = 'feeder',"
                      f" master_log_file = '{file}', master_log_pos = {place}, master_use_gtid = no")  # fmt: skip
            ask(root, "start slave")
        until(lambda: here.run("select variable_value from information_schema.global_status where variable_name ="
                               " 'SLAVES_RUNNING'") == [("1",)])  # fmt: skip

    def bring(code):
        with root_of(feeding) as root:
            ask(root, f"insert into {here.schema}.code values ('{code}', 'brought')")
        until(lambda: here.run(f"select count(*) from code where code = '{code}'") == [(1,)])

    yield here, begin, bring
    with root_of(server) as root:
        ask(root, "stop slave")
        ask(root, "reset slave all")


def until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_journal_is_not_trusted_while_replication_writes(fed):
    here, begin, bring = fed
    with here.port("journal", ("code",)) as port:
        port.install_capture(here.url(), ["code"])
        since = port.head()
        begin()
        bring("A")

        assert port.capabilities("code").incremental is Incremental.NONE
        with pytest.raises(SourceDrifted, match="replication writes to this server"):
            port.changes(since)


def test_a_log_is_read_where_it_holds_what_replication_writes_and_refused_where_it_does_not(fed):
    here, begin, bring = fed
    with here.port("log", ("code",)) as port:
        port.install_capture(here.url(), ["code"])
        since = port.head()
        assert port.changes(since) == []
        begin()
        bring("B")

        assert port.capabilities("code").incremental is Incremental.NONE
        with pytest.raises(ConfigurationError, match="log_slave_updates is OFF"):
            port.changes(since)


def test_what_replication_writes_passes_a_shut_fence_and_is_told(fed):
    here, begin, bring = fed
    nonce = here.install_fence("code")
    with here.fence() as fence:
        before = fence.check_installed(["code"])
        assert fence.close(5, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted
        begin()
        bring("C")
        found = fence.check_installed(["code"])

    assert before == []
    assert [one.problem for one in found] == ["replication writes to this server, and what it applies fires no trigger"]
