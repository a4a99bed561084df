"""ORION in a database without encoding: first copy, changes and write-back, byte for byte."""

import subprocess
from dataclasses import fields

import psycopg
import pytest
from sqlalchemy.engine import make_url
from stores import ORION_TABLES, make_store, store_template
from worlds import CLOSURE, World, build_world

from banyan.undecoded import KEY_NOT_DECODED, MARK, NOT_DECODED
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

    encoding = "cp1252"

    def legacy_url(self, role: str) -> str:
        return with_encoding(super().legacy_url(role), self.encoding)

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


class Utf8World(BytesWorld):
    """One whose texts are UTF-8, most of them."""

    encoding = "utf-8"


def poured(cluster, source: str, name: str, *, encoding: str = "WIN1252") -> str:
    """Pour a database, its texts as cp1252 or another encoding, into a new one that has no encoding."""
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
        [tools / "pg_dump", *reach, "-E", encoding, origin.database], env=plain, capture_output=True, check=True
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
    follow(world)
    yield world
    world.port.close()


@pytest.fixture
def utf8_world(cluster, make_database, make_store, tmp_path):
    """A world whose telephones have keys that somebody types."""
    known = build_world(make_database, make_store, tmp_path)
    known.port.close()
    told = {field.name: getattr(known, field.name) for field in fields(known)}
    legacy = poured(cluster, known.legacy, f"utf8_{tmp_path.name}", encoding="UTF8")
    world = Utf8World(**told | {"legacy": legacy})
    world.on_legacy("alter table orion.t_tel alter id_tel type varchar(20)", role="postgres")
    follow(world)
    yield world
    world.port.close()


def follow(world):
    world.port = open_postgresql(
        world.legacy_url("banyan_reader"), "orion", reverse_url=world.legacy_url("banyan_reverse")
    )
    admin = world.legacy_url("postgres")
    world.port.install_capture(admin, ORION_TABLES)
    fenced = [table for table in ORION_TABLES if table not in ("t_unite", "t_agent")]
    world.nonce = install_fence(admin, CLOSURE, fenced, schema="orion")


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


KEYS = (b"2\xeb\x81", b"\xff")


def telephones(world):
    """Give the keys of the telephones that are loaded, and what waits because its bytes are no text."""
    keys = world.place.run(
        "select source_key from mig.crosswalk join mig.source_table using (source_table_no)"
        " where table_name = 't_tel' and deleted_at is null"
    )
    waiting = world.place.run(
        "select source_key, column_name, cause from mig.quarantine"
        " where state = 'OPEN' and position('no text' in cause) > 0"
    )
    return {key for (key,) in keys}, set(waiting)


def test_keys_and_cells_that_are_no_utf8_wait_alone_are_followed_corrected_and_left_as_they_are(utf8_world):
    world, typed = utf8_world, [key.decode("latin-1") for key in KEYS]
    phones = [key for (key,) in world.on_legacy("select id_tel from orion.t_tel where top_supp <> 'O' order by 1")]
    for key, was in zip(typed, phones, strict=False):
        world.on_legacy("update orion.t_tel set id_tel = %s where id_tel = %s", (key, was))
    world.on_legacy("update orion.t_personne set profession = 'plain'")
    (person,) = world.on_legacy("select min(id_pers)::text from orion.t_personne where top_supp <> 'O'")[0]
    world.on_legacy("update orion.t_personne set profession = %s where id_pers = %s", ("\xe9", person))

    first = world.load()
    loaded, waiting = telephones(world)
    world.on_legacy("update orion.t_tel set num_tel = '0476000000' where id_tel = any(%s)", ([*typed, phones[2]],))
    second = world.forward_engine().advance(world.forward())
    changed = telephones(world)
    world.on_legacy("update orion.t_tel set id_tel = %s where id_tel = %s", (phones[1], typed[1]))
    third = world.forward_engine().advance(world.forward())
    corrected = telephones(world)
    world.switch_by_hand()
    before = {table: world.rows(table) for table in ORION_TABLES}
    world.as_app("update justice.person_identity set birth_place_text = 'Gap'")
    back = world.reverse_engine().advance(world.reverse(), RunKind.REVERSE)
    after = {table: world.rows(table) for table in ORION_TABLES}

    marked, cell = [MARK + key.hex() for key in KEYS], (person, "profession", NOT_DECODED)
    assert first.total.is_balanced
    assert (second.total.rows.read, second.total.rows.loaded, second.total.rows.quarantined) == (3, 1, 2)
    assert (third.total.rows.read, third.total.rows.loaded, third.total.rows.deleted) == (2, 1, 1)
    assert waiting == {cell, *((key, None, KEY_NOT_DECODED) for key in marked)}
    assert loaded.isdisjoint({*marked, *phones[:2]})
    assert changed == (loaded, waiting)
    assert corrected == (loaded | {phones[1]}, waiting - {(marked[1], None, KEY_NOT_DECODED)})
    assert back.total.rows.loaded > 1
    assert {table for table in before if before[table] != after[table]} == {"t_personne"}
    assert occupation(world, person) == b"\xe9"
