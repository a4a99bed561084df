"""A legacy database whose log is read into a store, for tests."""

from dataclasses import dataclass

from legacies import LegacyDatabase

from banyan.departments import SourceRef
from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.postgresql_log import open_log
from store.key_log import StoreKeyLog

SOURCE = SourceRef("38", "ORION")
TABLES = ("t_dossier", "t_ligne", "t_code")


@dataclass
class Logged:
    """A legacy database whose log is read, and the store that keeps the keys."""

    legacy: LegacyDatabase
    place: object
    port: PostgreSQLPort

    @property
    def keys(self) -> StoreKeyLog:
        return StoreKeyLog(lambda: self.place.engine("banyan_forward"), SOURCE)

    @property
    def slot(self) -> str:
        return f"banyan_{self.legacy.address.database}_orion"

    def open(self) -> PostgreSQLPort:
        return open_postgresql(self.legacy.url("banyan_reader"), "orion", capture=open_log(self.keys))

    def seen(self, since, until=None):
        return [(change.table, change.key, change.operation) for change in self.port.changes(since, until)]

    def state(self):
        return self.legacy.run(
            "select active, wal_status, confirmed_flush_lsn - '0/0'::pg_lsn from pg_replication_slots"
            " where slot_name = %s",
            (self.slot,),
        )
