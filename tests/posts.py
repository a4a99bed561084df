"""A legacy of one brigade by hand: checks at the roadside that look up their post and share their vehicles."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace, own

from banyan.config import LandingConfig
from banyan.departments import Closure, SourceRef
from connectors.postgresql import PostgreSQLPort, open_postgresql
from connectors.postgresql_fence import install_fence, open_postgresql_fence
from mappings.model import RuleBook
from mappings.ruleset import load_rulebook
from store.install import Registration, SourceSystem, add_department
from store.landing import LandingZone, open_landing
from sync.engine import SyncEngine
from sync.forward import ForwardLane
from sync.reverse import ReverseGuard, ReverseLane
from sync.setting import Setting

ROLES = ("orion_app", "banyan_reader", "banyan_reverse", "banyan_guard")
TABLES = ("t_controle", "t_poste")
CLOSURE = Closure("38", ("vehicles",), ("t_controle",), ())
POSTS = SourceRef("38", "POSTS")
TOKEN = 2
SCHEMA = """
create schema orion;
create table orion.t_poste (code char(4) primary key, libelle char(20), lieu varchar(20));
create table orion.t_controle (
  id_controle bigint primary key, poste char(4), immat varchar(12), couleur varchar(12), note varchar(40));
create sequence orion.seq_controle start 501;
grant usage on schema orion to orion_app, banyan_reader, banyan_reverse, banyan_guard;
grant select, insert, update, delete on all tables in schema orion to orion_app;
grant usage on all sequences in schema orion to orion_app, banyan_reverse;
grant select on all tables in schema orion to banyan_reader;
insert into orion.t_poste values ('P1', 'NORD', 'a'), ('P2', 'SUD', 'b'), ('P3', 'SUD', 'c'), ('P4', null, 'd');
insert into orion.t_controle values
  (1, 'P1', 'AA-123-AA', 'ROUGE', 'premier'), (2, 'P2', 'AA-123-AA', 'ROUGE', 'second'),
  (3, 'P3', 'BB-123-BB', 'BLEU', null), (4, 'P9', 'CC-123-CC', 'VERT', null), (5, null, null, null, 'rien');
"""
POSTE = """\
rule: T_POSTE@1
source: {system: POSTS, table: t_poste, key: [code]}
columns: [code, libelle, lieu]
emit:
  - part: post
    table: recorded_code
    domain: reference
    main: true
    constants: {code_set_code: POST}
    fields:
      label: {from: libelle, lens: text.padded(20)}
residue_only: {lieu: "where it stood, of no use"}
"""
CONTROLE = """\
rule: T_CONTROLE@1
source: {system: POSTS, table: t_controle, key: [id_controle]}
columns: [id_controle, poste, immat, couleur, note]
emit:
  - part: check
    table: item
    domain: vehicles
    main: true
    constants: {item_category_code: VEHICLE}
    fields:
      description: {from: note}
      serial_number: {from: poste, lens: lookup(t_poste.libelle)}
residue_only: {immat: "not asked here", couleur: "not asked here"}
"""


SHARING = CONTROLE.replace(
    """residue_only: {immat: "not asked here", couleur: "not asked here"}
""",
    """  - part: vehicle
    table: vehicle
    domain: vehicles
    share: [immat, couleur]
    when: "immat != ''"
    fields:
      plate_raw: {from: immat, write_back: false}
      model_text: {from: couleur, write_back: false}
""",
)
"""Checks of one vehicle share its record."""


@dataclass
class Brigade:
    """Both sides of the brigade, with what its people do on either."""

    legacy: str
    place: StorePlace
    port: PostgreSQLPort
    book: RuleBook
    landing: LandingZone
    numbers: dict[str, int]
    nonce: UUID

    def setting(self, role: str) -> Setting:
        department = ISERE.department
        return Setting(department, POSTS, self.port, self.place.engine(role), self.book, self.numbers, b"k" * 32)

    def forward(self) -> ForwardLane:
        return ForwardLane(self.setting("banyan_forward"), self.landing)

    def reverse(self) -> ReverseLane:
        guard = ReverseGuard(CLOSURE.name, TOKEN, self.nonce)
        return ReverseLane(self.setting("banyan_reverse"), self.landing, lambda: guard, CLOSURE)

    def load(self):
        lane = self.forward()
        engine = SyncEngine(self.place.engine("banyan_forward"))
        return engine.load(lane, lane.plan_load, rules_digest=self.book.digest)

    def follow(self):
        """Carry what people changed on the legacy side."""
        return SyncEngine(self.place.engine("banyan_forward")).advance(self.forward())

    def url(self, role: str) -> str:
        return make_url(self.legacy).set(username=role).render_as_string(hide_password=False)

    def on_legacy(self, sql: str, parameters=None, *, role: str = "orion_app"):
        address = make_url(self.url(role)).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            done = connection.execute(sql, parameters)
            return done.fetchall() if done.description else []

    def as_app(self, sql: str, parameters=None):
        return self.place.run(sql, parameters, role="banyan_app")

    def switch_by_hand(self) -> None:
        """Seal the legacy fence and give the slices to CANONICAL, without the protocol."""
        fence = open_postgresql_fence(self.url("banyan_guard"), CLOSURE.name, schema="orion")
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=self.nonce, nonce_new=self.nonce).accepted
        assert fence.seal(TOKEN, nonce_old=self.nonce).accepted
        fence.disconnect()
        own(self.place, "CANONICAL")


def write_rules(folder: Path, *, controle: str = CONTROLE, poste: str = POSTE) -> Path:
    """Write the rules of the brigade."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("t_poste.yaml").write_text(poste, encoding="utf-8")
    folder.joinpath("t_controle.yaml").write_text(controle, encoding="utf-8")
    folder.joinpath("code_maps.yaml").write_text("code_maps: {}\n", encoding="utf-8")
    return folder


def build_brigade(make_database, make_store, tmp_path: Path, *, controle: str = CONTROLE) -> Brigade:
    legacy = make_database()
    address = make_url(legacy).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(
                f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$"
            )
        connection.execute(SCHEMA)
    place = make_store()
    add_department(
        place.engine(), Registration(ISERE.department, (SourceSystem("POSTS", "postgresql", "UTF-8", TABLES),), ())
    )
    place.run(
        "insert into mig.slice (department_code, domain_code, closure, owner, phase, epoch, nonce, armed_boot)"
        " values ('38', 'reference', '38.reference', 'LEGACY', 'SYNCING', 1, gen_random_uuid(),"
        " pg_postmaster_start_time()) on conflict do nothing"
    )
    own(place, "LEGACY")
    url = make_url(legacy)
    port = open_postgresql(
        url.set(username="banyan_reader").render_as_string(hide_password=False),
        "orion",
        reverse_url=url.set(username="banyan_reverse").render_as_string(hide_password=False),
    )
    port.install_capture(legacy, TABLES)
    nonce = install_fence(legacy, CLOSURE.name, CLOSURE.tables, schema="orion")
    rows = place.run("select table_name, source_table_no from mig.source_table where system_code = 'POSTS'")
    return Brigade(
        legacy,
        place,
        port,
        load_rulebook(write_rules(tmp_path / "rules", controle=controle)),
        open_landing(LandingConfig(), folder=tmp_path / "landing"),
        dict(rows),
        nonce,
    )


@pytest.fixture
def brigade(make_database, make_store, tmp_path) -> Brigade:
    """A brigade of its own, not loaded yet."""
    return build_brigade(make_database, make_store, tmp_path)
