"""What triggers do not stop, nor see, on a legacy PostgreSQL: rows that a subscription brings, owners of tables."""

import time
import uuid

import pytest
from legacies import make_legacy

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental
from connectors.postgresql_fence import Master

pytestmark = pytest.mark.server


@pytest.fixture
def fed(legacy, cluster):
    """A fenced database whose table of codes is fed from another one of the same server."""
    legacy.install_fence("t_dossier", "t_code")
    name = f"feeding_{uuid.uuid4().hex[:8]}"
    feeding = make_legacy(cluster, name)
    feeding.run("create publication fed for table orion.t_code")
    feeding.run(f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")
    legacy.run(
        f"create subscription codes connection 'host=127.0.0.1 port={cluster.port} user=postgres dbname={name}'"
        f" publication fed with (create_slot = false, slot_name = '{name}', copy_data = false)"
    )
    yield feeding
    legacy.run("alter subscription codes disable")
    legacy.run("alter subscription codes set (slot_name = none)")
    legacy.run("drop subscription codes")
    free = f"from pg_replication_slots where slot_name = '{name}'"
    while feeding.run(f"select 1 {free} and active"):
        time.sleep(0.05)
    feeding.run(f"select pg_drop_replication_slot(slot_name) {free}")


def test_a_table_that_a_subscription_feeds_is_told_since_its_rows_pass_a_closed_fence(legacy, fed):
    with legacy.fence(timeout_seconds=2) as fence:
        nonce = fence.read().nonce
        before = fence.check_installed(["t_dossier"])
        assert fence.close(5, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted

        fed.run("insert into orion.t_code values ('NEW', 'brought')")
        until = time.monotonic() + 20
        while not legacy.run("select 1 from orion.t_code") and time.monotonic() < until:
            time.sleep(0.05)

        found = fence.check_installed(["t_dossier", "t_code"])
        assert legacy.run("select libelle from orion.t_code") == [("brought",)]
        assert before == []
        assert [(one.table, one.problem) for one in found] == [
            ("t_code", "the subscription codes writes into it, and no trigger of a statement fires for what it brings")
        ]


def test_a_journal_is_not_trusted_with_a_table_that_a_subscription_feeds(legacy, fed, port):
    with pytest.raises(ConfigurationError, match="a subscription writes into t_code"):
        port.install_capture(legacy.url(), ["t_dossier", "t_code"])
    port.install_capture(legacy.url(), ["t_dossier"])
    since = port.head()
    assert port.changes(since) == []

    fed.run("alter publication fed add table orion.t_dossier")
    with legacy.connect() as connection:
        connection.execute("alter subscription codes refresh publication with (copy_data = false)")

    assert port.capabilities("t_dossier").incremental is Incremental.NONE
    with pytest.raises(SourceDrifted, match="the capture of t_dossier was removed, disabled or changed"):
        port.changes(since)


def test_owners_and_further_superusers_are_named_with_what_they_own(legacy):
    legacy.install_fence("t_dossier", "t_ligne")
    names = [f"{word}_{uuid.uuid4().hex[:6]}" for word in ("vendor", "member", "dba", "reader")]
    vendor, member, dba, reader = names
    legacy.run(
        f"create role {vendor} nologin; create role {member} login; create role {dba} login superuser;"
        f" create role {reader} login; grant {vendor} to {member}; alter table orion.t_ligne owner to {vendor};"
        f" grant select on orion.t_ligne to {reader}"
    )
    try:
        with legacy.fence() as fence:
            found = {one.account: one for one in fence.find_masters(["t_dossier", "t_ligne"])}

        assert {name: found.get(name) for name in names} == {
            vendor: None,
            member: Master(member, is_superuser=False, owned=("t_ligne",)),
            dba: Master(dba, is_superuser=True, owned=()),
            reader: None,
        }
        assert "postgres" not in found
    finally:
        legacy.run(f"alter table orion.t_ligne owner to postgres; revoke all on orion.t_ligne from {reader}")
        legacy.run("; ".join(f"drop role {name}" for name in (member, vendor, dba, reader)))
