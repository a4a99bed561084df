"""A small world for tests: ORION of 38 on one database, a migrated store on another, and the lanes between them."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.engine import make_url
from stores import ORION_TABLES, StorePlace, only_tables, own

from banyan.config import LandingConfig
from banyan.departments import Closure, Department, SourceRef
from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.postgresql_fence import PostgreSQLFence, install_fence, open_postgresql_fence
from estate.load import load
from estate.orion import generate
from mappings.model import RuleBook
from mappings.ruleset import load_rulebook
from store.install import Registration, SourceSystem, add_department
from store.landing import LandingZone, open_landing
from store.postgres import open_engine
from sync.engine import SyncEngine
from sync.forward import ForwardLane
from sync.reverse import ReverseGuard, ReverseLane
from sync.setting import Setting

RULES = Path(__file__).parent.parent / "mappings" / "rules" / "orion"
CLOSURE = "38.cases+vehicles"
DOMAINS = ("cases", "vehicles")
SHARED = Closure("38", DOMAINS, ORION_TABLES, ("t_personne",))
ISERE = Department("38", "Isère", "Europe/Paris", 1)
ORION = SourceRef("38", "ORION")
TOKEN = 2


@dataclass
class World:
    """Both sides of 38, with helpers that change them as people would."""

    legacy: str
    place: StorePlace
    port: PostgreSQLPort
    book: RuleBook
    landing: LandingZone
    numbers: dict[str, int]
    nonce: UUID

    def setting(self, role: str) -> Setting:
        return Setting(ISERE, ORION, self.port, self.place.engine(role), self.book, self.numbers, b"k" * 32)

    def forward(self) -> ForwardLane:
        return ForwardLane(self.setting("banyan_forward"), self.landing)

    def forward_engine(self, **more) -> SyncEngine:
        return SyncEngine(self.place.engine("banyan_forward"), **more)

    def reverse(self, **more) -> ReverseLane:
        guard = ReverseGuard(CLOSURE, TOKEN, self.nonce)
        return ReverseLane(self.setting("banyan_reverse"), self.landing, lambda: guard, SHARED, **more)

    def reverse_engine(self, **more) -> SyncEngine:
        return SyncEngine(self.place.engine("banyan_reverse"), **more)

    def fence(self) -> PostgreSQLFence:
        return open_postgresql_fence(self.legacy_url("banyan_guard"), CLOSURE, schema="orion")

    def legacy_url(self, role: str) -> str:
        return make_url(self.legacy).set(username=role).render_as_string(hide_password=False)

    def on_legacy(self, sql: str, parameters=None, *, role: str = "orion_app"):
        """Run one statement on the legacy side; gives the rows, if any."""
        address = make_url(self.legacy_url(role)).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            done = connection.execute(sql, parameters)
            return done.fetchall() if done.description else []

    def as_app(self, sql: str, parameters=None):
        """Run one statement on the canonical side as the new application."""
        return self.place.run(sql, parameters, role="banyan_app")

    def load(self):
        lane = self.forward()
        return self.forward_engine().load(lane, lane.plan_load, rules_digest=self.book.digest)

    def switch_by_hand(self) -> None:
        """Seal the legacy fence and give the slices to CANONICAL, without the protocol: for tests of sync alone."""
        fence = self.fence()
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=self.nonce, nonce_new=self.nonce).accepted
        assert fence.seal(TOKEN, nonce_old=self.nonce).accepted
        own(self.place, "CANONICAL")


def build_world(make_database, make_store, tmp_path: Path, *, size: str = "XS", seed: int = 1) -> World:
    legacy = make_database()
    load(generate(size, seed), legacy)
    place = make_store()
    add_department(
        open_engine(place.url(), pool_size=0),
        Registration(ISERE, (SourceSystem("ORION", "oracle-like", "UTF-8", ORION_TABLES),), ()),
    )
    place.run(
        "insert into mig.slice (department_code, domain_code, closure, owner, phase, epoch, nonce, armed_boot)"
        " values ('38', 'reference', '38.reference', 'LEGACY', 'SYNCING', 1, gen_random_uuid(),"
        " pg_postmaster_start_time()) on conflict do nothing"
    )
    own(place, "LEGACY")
    url = make_url(legacy)

    def as_role(role: str) -> str:
        return url.set(username=role).render_as_string(hide_password=False)

    port = open_postgresql(as_role("banyan_reader"), "orion", reverse_url=as_role("banyan_reverse"))
    port.install_capture(legacy, ORION_TABLES)
    fenced = [table for table in ORION_TABLES if table not in ("t_unite", "t_agent")]
    nonce = install_fence(legacy, CLOSURE, fenced, schema="orion")
    rows = place.run("select table_name, source_table_no from mig.source_table")
    return World(
        legacy,
        place,
        port,
        only_tables(load_rulebook(RULES), ORION_TABLES),
        open_landing(LandingConfig(), folder=tmp_path),
        dict(rows),
        nonce,
    )


@pytest.fixture
def world(make_database, make_store, tmp_path) -> World:
    """A world of its own, not loaded yet."""
    return build_world(make_database, make_store, tmp_path)


@pytest.fixture
def loaded(world: World) -> World:
    """A world whose first copy is made."""
    world.load()
    return world
