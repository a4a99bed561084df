"""ORION in a database without encoding: first copy, changes and write-back, byte for byte."""

import subprocess
from dataclasses import fields

import psycopg
import pytest
from sqlalchemy.engine import make_url
from stores import ORION_TABLES, make_store, store_template
from worlds import CLOSURE, World, build_world

from connectors.postgresql import open_postgresql
from connectors.postgresql_encoding import with_encoding
from connectors.postgresql_fence import install_fence, open_postgresql_fence
from store.runs import RunKind
from wire.cluster import wheel_installation

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

HOLE = b"Caf\xe9 \x9cuvre \x81 \x8d"
"""Letters of cp1252, and two bytes that cp1252 leaves out."""


class BytesWorld(World):
    """The world of tests/worlds.py whose legacy side keeps bytes; what it is told and tells is one character a byte."""

    def legacy_url(self, role: str) -> str:
        return with_encoding(super().legacy_url(role), "cp1252")

    def fence(self):
        return open_postgresql_fence(self.legacy_url("banyan_guard"), CLOSURE, schema="orion")

    def on_legacy(self, sql, parameters=None, *, role="orion_app"):
        address = make_url(self.legacy).set(drivername="postgresql", username=role)
        with psycopg.connect(
            address.render_as_string(hide_password=False), autocommit=True, client_encoding="latin1"
        ) as connection:
            done = connection.execute(sql, parameters)
            return done.fetchall() if done.description else []

    def rows(self, table):
        """Give every row of a legacy table as its bytes."""
        columns = self.on_legacy(f"select t::text from orion.{table} t")
        return sorted(text.encode("latin-1") for (text,) in columns)


def poured(cluster, source: str, name: str) -> str:
    """Pour a database, its texts as cp1252, into a new one that has no encoding."""
    address = make_url(source).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:  # cp1252 has no letter for what turns a text around
        connection.execute("set session_replication_role = replica")
        for table, column in (("t_objet", "descr"), ("t_proc", "observ")):
            connection.execute(f"update orion.{table} set {column} = translate({column}, chr(8238), '')")
    cluster.create_database(name, has_encoding=False)
    tools, origin = wheel_installation() / "bin", make_url(source)
    reach = ["-h", origin.host, "-p", str(origin.port), "-U", "postgres"]
    plain = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    dump = subprocess.run(
        [tools / "pg_dump", *reach, "-E", "WIN1252", origin.database], env=plain, capture_output=True, check=True
    )
    subprocess.run(
        [tools / "psql", *reach, "-X", "-q", "-v", "ON_ERROR_STOP=1", name],
        env=plain, input=dump.stdout, capture_output=True, check=True,
    )  # fmt: skip
    return cluster.url(name).render_as_string(hide_password=False)


@pytest.fixture
def world(cluster, make_database, make_store, tmp_path):
    known = build_world(make_database, make_store, tmp_path)
    known.port.close()
    told = {field.name: getattr(known, field.name) for field in fields(known)}
    world = BytesWorld(**told | {"legacy": poured(cluster, known.legacy, f"bytes_{tmp_path.name}")})
    world.port = open_postgresql(
        world.legacy_url("banyan_reader"), "orion", reverse_url=world.legacy_url("banyan_reverse")
    )
    admin = world.legacy_url("postgres")
    world.port.install_capture(admin, ORION_TABLES)
    fenced = [table for table in ORION_TABLES if table not in ("t_unite", "t_agent")]
    world.nonce = install_fence(admin, CLOSURE, fenced, schema="orion")
    yield world
    world.port.close()


def some_persons(world):
    return world.place.run(
        "select p.id, source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " join mig.source_table using (source_table_no) where table_name = 't_personne' order by source_key limit 3"
    )


def occupation(world, key):
    said = world.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    return said[0][0].rstrip(" ").encode("latin-1")


def test_what_a_source_without_encoding_holds_goes_there_and_back_byte_for_byte(world):
    world.on_legacy("update orion.t_personne set profession = %s", ("G\xe9rant \x80",))
    first = world.load()
    (person, key), (_, other_key), (third, third_key) = some_persons(world)
    loaded = world.place.run("select distinct occupation_text from justice.person_identity")

    world.on_legacy("update orion.t_personne set profession = %s where id_pers = %s", (HOLE.decode("latin-1"), key))
    world.on_legacy("update orion.t_personne set profession = %s where id_pers = %s", ("M\xe9decin", other_key))
    second = world.forward_engine().advance(world.forward())
    told = dict(
        world.place.run(
            "select source_key, p.occupation_text from justice.person_identity p join mig.crosswalk c using (id)"
            " join mig.source_table using (source_table_no) where table_name = 't_personne'"
        )
    )
    world.switch_by_hand()
    before = {table: world.rows(table) for table in ORION_TABLES}
    world.as_app("update justice.person_identity set occupation_text = 'Ébéniste à 3 €' where id = %s", (third,))
    back = world.reverse_engine().advance(world.reverse(), RunKind.REVERSE)
    world.as_app("update justice.person_identity set occupation_text = 'Łódź' where id = %s", (person,))
    world.reverse_engine().advance(world.reverse(), RunKind.REVERSE)
    after = {table: world.rows(table) for table in ORION_TABLES}

    assert first.total.is_balanced
    assert ("Gérant €",) in loaded
    assert (second.total.rows.read, second.total.rows.loaded) == (2, 2)
    assert told[other_key] == "Médecin"
    assert told[key] == "Café œuvre \x81 \x8d"
    assert back.total.rows.loaded == 1
    assert occupation(world, third_key) == "Ébéniste à 3 €".encode("cp1252")
    assert occupation(world, key) == HOLE
    assert world.place.run("select distinct kind, cause from mig.degraded_write_back") == [
        ("REFUSED", "the old system refuses this row, by profession (cp1252)")
    ]
    assert {table for table in before if before[table] != after[table]} == {"t_personne"}
    assert len(set(before["t_personne"]) - set(after["t_personne"])) == 1
    assert world.forward_engine().advance(world.forward()) is None
