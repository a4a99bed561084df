"""MAREL on a real MariaDB: the same seed gives the same base, the ledger tells the truth, officers work in it."""

from datetime import date
from pathlib import Path

import polars as pl
import pymysql
import pytest

from banyan.errors import UsageError
from banyan.records import KeyRange
from connectors.mariadb import open_mariadb
from estate.live import Deed, Pace
from estate.marel import generate_marel
from estate.marel_live import live_marel, night_batch_marel, reuse_key
from estate.marel_load import connect_marel, create_marel, load_marel
from estate.marel_planting import MarelDefect
from estate.marel_schema import marel_key, marel_tables, untransacted_tables
from estate.places import PLACES, Flavour, departments_of
from mappings.apply import apply_forward
from mappings.closure import closure, load_order
from mappings.compile import compile_ruleset
from mappings.coverage import coverage
from mappings.lint import lint
from mappings.outcomes import MapContext
from mappings.ruleset import load_rulebook

MAREL = Path(__file__).parents[2] / "mappings" / "rules" / "marel"
DEPARTMENTS = departments_of(Flavour.MAREL)


@pytest.fixture(scope="module")
def book():
    return load_rulebook(MAREL)


@pytest.fixture(scope="module")
def estate():
    return generate_marel("S", 3, "35")


@pytest.fixture(scope="module")
def mapped(book, estate):
    return map_all(book, estate.tables, "35")


def map_all(book, tables, department):
    filtered, done = {}, {}
    for table in load_order(book):
        zone = PLACES[department].time_zone
        context = MapContext(department, "MAREL", zone, b"k" * 32, date(2026, 11, 1), filtered=dict(filtered))
        done[table] = apply_forward(compile_ruleset(book.rulesets[table], book, context), tables[table], context)
        filtered[table] = done[table].filtered["source_key"]
    return done


@pytest.mark.parametrize("department", DEPARTMENTS)
def test_the_same_seed_gives_the_same_base_and_another_one_another(department):
    first, again, other = (generate_marel("XS", seed, department) for seed in (5, 5, 6))

    assert first.digest() == again.digest() != other.digest()
    assert first.defects.equals(again.defects)
    assert {name: tuple(frame.columns) for name, frame in first.tables.items()} == marel_tables()


def test_a_department_without_marel_has_none():
    with pytest.raises(UsageError, match="has no MAREL"):
        generate_marel("XS", 1, "38")


def test_every_kind_of_defect_is_in_the_ledger_under_a_key_that_exists(estate):
    assert set(estate.defects["kind"]) == {defect.kind for defect in MarelDefect}
    for table, key in estate.defects.select("table", "key").unique().iter_rows():
        assert key in set(estate.tables[table][marel_key(table)]), (table, key)


@pytest.mark.parametrize(
    ("defect", "sign"),
    [
        (MarelDefect.BIRTH_DATE_ZERO, pl.col("naissance") == "0000-00-00"),
        (MarelDefect.BIRTH_DATE_PARTIAL, pl.col("naissance").str.contains(r"^\d{4}-\d\d-00$")
         & (pl.col("naissance") != "0000-00-00")),
        (MarelDefect.NAME_DOUBLE_ENCODED, pl.col("prenoms").str.contains("Ã")),
        (MarelDefect.NOTE_DOUBLE_ENCODED, pl.col("note").str.contains("Ã")),
        (MarelDefect.TEST_PERSON, pl.col("nom").is_in(["TOTO", "DUPONT TEST"])),
        (MarelDefect.UNKNOWN_CATEGORY, pl.col("categorie").is_in(["tronc", "zzz"])),
        (MarelDefect.EMPTY_CHOICE, pl.col("etat") == ""),
        (MarelDefect.PHONE_NINE_DIGITS, pl.col("telephone").str.contains(r"^[1-9]\d{8}$")),
        (MarelDefect.CITY_ABBREVIATED, pl.col("ville").str.contains("^Ste? ")),
        (MarelDefect.PLATE_WITHOUT_HYPHENS, pl.col("immatriculation").str.contains(r"^[A-Z]{2} \d{3} [A-Z]{2}$")),
        (MarelDefect.FUTURE_TRANSMISSION, pl.col("transmis_le") > "2026-11-01"),
    ],
)  # fmt: skip
def test_the_rows_that_show_a_defect_are_those_the_ledger_names(estate, defect, sign):
    table = defect.specification.table

    shown = set(estate.tables[table].filter(sign)[marel_key(table)])

    assert shown == set(estate.defects.filter(pl.col("kind") == defect.kind)["key"])


def test_orphans_are_those_the_ledger_names(estate):
    rows = estate.tables["implications"]
    for defect, parent in (
        (MarelDefect.INVOLVEMENT_WITHOUT_PERSON, "personnes"), (MarelDefect.INVOLVEMENT_WITHOUT_CASE, "dossiers"),
    ):  # fmt: skip
        column = defect.specification.column
        orphans = rows.filter(~pl.col(column).is_in(estate.tables[parent][column].implode()))

        assert set(orphans["id_implication"]) == set(estate.defects.filter(pl.col("kind") == defect.kind)["key"])


def test_the_rules_name_every_column_and_leave_nothing_in_doubt_but_what_was_encoded_twice(book):
    assert {table: rules.columns for table, rules in book.rulesets.items()} == marel_tables()
    assert len(coverage(book)) == sum(len(columns) for columns in marel_tables().values())
    remarks = lint(book)
    assert [remark.message.split(":")[0] for remark in remarks] == ["lens text.repair forgets"] * 2
    assert [found.name for found in closure(book, "974")] == ["974.cases", "974.reference", "974.vehicles"]


def test_every_row_has_one_fate_and_every_refusal_is_a_planted_one(estate, mapped):
    refused = set()
    for table, fates in mapped.items():
        counted = fates.crosswalk.height + fates.deleted.height + fates.filtered.height + fates.rejected.height
        assert (table, counted) == (table, estate.tables[table].height)
        assert fates.rejected.height == 0
        refused |= {(table, key) for key in fates.rejected_fields["source_key"]}
    planted = {
        (one.specification.table, key)
        for one in (MarelDefect.UNKNOWN_CATEGORY, MarelDefect.EMPTY_CHOICE)
        for key in estate.defects.filter(pl.col("kind") == one.kind)["key"]
    }
    assert refused == planted


def test_what_was_encoded_twice_is_repaired_and_its_raw_text_kept(estate, mapped):
    names = estate.defects.filter(pl.col("kind") == MarelDefect.NAME_DOUBLE_ENCODED.kind)["key"]

    repaired = mapped["personnes"].parts["identity"].filter(pl.col("source_key").is_in(names.implode()))

    assert repaired.height > 5
    assert not repaired["given_names"].str.contains("Ã").any()
    assert repaired["given_names"].str.contains("[éçô]").all()
    warned = mapped["personnes"].warned_fields.filter(pl.col("column") == "prenoms")
    assert set(warned["source_key"]) >= set(repaired["source_key"])


def test_a_local_hour_overseas_is_four_hours_ahead_all_year(book):
    estate = generate_marel("XS", 3, "974")

    incidents = map_all(book, estate.tables, "974")["infractions"].parts["incident"].join(
        estate.tables["infractions"], left_on="source_key", right_on="id_infraction"
    )  # fmt: skip

    local = incidents["occurred_from"].dt.offset_by("4h").dt.strftime("%Y-%m-%d %H:%M:%S")
    assert incidents.height > 50
    assert local.to_list() == incidents["debut"].to_list()
    assert set(estate.tables["dossiers"]["departement"]) == {"97"}


@pytest.fixture
def database(mariadb) -> str:
    """An empty database of a throwaway server."""
    name = "marel_estate"
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", autocommit=True) as root:
        root.cursor().execute(f"drop database if exists {name}")
        root.cursor().execute(f"create database {name} character set utf8mb4")
    return mariadb.url(name).render_as_string(hide_password=False)


def as_account(url: str, account: str) -> str:
    return url.replace("root@", f"{account}@")


def stored(url: str, table: str) -> pl.DataFrame:
    port = open_mariadb(url, url.rsplit("/", 1)[1])
    try:
        return port.read_range(table, KeyRange(None, None)).rows
    finally:
        port.close()


def asked(url: str, statement: str):
    with connect_marel(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.mark.mariadb
def test_what_was_generated_is_what_the_server_gives_back(database):
    estate = generate_marel("XS", 2, "974")

    load_marel(estate, database)

    for table, frame in estate.tables.items():
        key = pl.col(marel_key(table)).cast(pl.Int64)
        given = frame.sort(key)
        if table == "infractions":
            given = given.with_columns(pl.col("tentative"))
        assert stored(database, table).sort(key).equals(given, null_equal=True), table
    with pytest.raises(UsageError, match="already holds"):
        load_marel(estate, database)


@pytest.mark.mariadb
def test_officers_work_and_what_they_remove_leaves_orphans_where_no_transaction_holds(database):
    load_marel(generate_marel("XS", 2, "974"), database)
    before = asked(database, "select count(*) from dossiers")[0][0]

    counts = live_marel(as_account(database, "marel_app"), Pace(rate_per_second=5000, count=120, seed=4))

    assert counts.operations == 120
    assert set(counts.committed) == {Deed.INSERT, Deed.UPDATE, Deed.HARD_DELETE}
    after = asked(database, "select count(*) from dossiers")[0][0]
    assert after <= before + counts.committed[Deed.INSERT]
    orphans = "select count(*) from {0} c where not exists (select 1 from dossiers d where d.id_dossier = c.id_dossier)"
    assert asked(database, orphans.format("implications"))[0][0] > 1
    assert asked(database, orphans.format("infractions"))[0][0] == 0
    assert untransacted_tables() == ("implications",)


@pytest.mark.mariadb
def test_the_batch_leaves_no_stamp_and_a_restore_gives_a_key_to_somebody_else(database):
    load_marel(generate_marel("XS", 2, "974"), database)
    stamps = dict(asked(database, "select id_dossier, modifie_le from dossiers"))
    people = dict(asked(database, "select id_personne, nom from personnes"))

    batch = night_batch_marel(as_account(database, "marel_app"), seed=1, count=5)
    key = reuse_key(as_account(database, "marel_app"), seed=1)

    assert len(batch.keys["dossiers"]) == 5
    assert dict(asked(database, "select id_dossier, modifie_le from dossiers")) == stamps
    now = dict(asked(database, "select id_personne, nom from personnes"))
    assert set(now) == set(people)
    assert {one for one in now if now[one] != people[one]} <= {int(key)}


@pytest.mark.mariadb
def test_an_empty_marel_has_every_table_and_the_reader_may_only_read(database):
    create_marel(database)

    assert {row[0] for row in asked(database, "show tables")} == set(marel_tables())
    with pytest.raises(pymysql.MySQLError), connect_marel(as_account(database, "banyan_reader")) as connection:
        connection.cursor().execute("delete from dossiers")
