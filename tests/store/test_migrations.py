"""The store installs on an empty PostgreSQL 18, again on itself, and is exactly what the code declares."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace, own

from banyan.canonical.model import TABLES
from banyan.errors import ConfigurationError
from store.install import add_department, install, prepare_database, run_script, upgrade
from store.migrations.metadata import METADATA, compared
from store.postgres import open_engine

pytestmark = pytest.mark.server
MIGRATIONS = Path(str(files("store"))) / "migrations"


def test_autogenerate_finds_nothing_to_change(store):
    with store.transaction() as connection:
        context = MigrationContext.configure(connection, opts=compared(connection))

        differences = compare_metadata(context, METADATA)

    assert differences == []


def test_autogenerate_would_find_a_missing_column_and_a_missing_check(store):
    store.run("alter table justice.vehicle drop column vin")
    store.run("alter table mig.slice drop constraint slice_owner_check")
    with store.transaction() as connection:
        context = MigrationContext.configure(connection, opts=compared(connection))

        differences = compare_metadata(context, METADATA)

    assert {(d[0], str(getattr(d[-1], "name", d[-1]))) for d in differences} == {
        ("add_column", "vin"),
        ("add_constraint", "slice_owner_check"),
    }


def test_installing_and_registering_again_changes_nothing(store):
    before = _everything(store)

    install(store.url())
    add_department(store.engine("banyan_migrator"), ISERE)

    assert _everything(store) == before


def test_a_store_at_its_newest_revision_is_not_migrated_and_alembic_is_not_even_loaded(store):
    asked = "import sys; from store.install import install; install(sys.argv[1]); print('alembic' in sys.modules)"
    url = store.url().render_as_string(hide_password=False)

    told = subprocess.run([sys.executable, "-c", asked, url], capture_output=True, text=True, check=True)

    assert told.stdout == "False\n"


def test_the_file_of_a_revision_begins_with_its_number_and_the_last_one_is_the_newest(store):
    script = ScriptDirectory(str(MIGRATIONS))
    revisions = [one.revision for one in reversed(list(script.walk_revisions()))]

    assert revisions == sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert store.run("select version_num from mig.revision") == [(revisions[-1],)]


def test_an_unknown_role_in_the_passwords_is_refused_before_anything_is_created(make_database):
    place = StorePlace(make_url(make_database()))

    with pytest.raises(ConfigurationError, match="banyan_owner"):
        install(place.url(), {"banyan_owner": "x"})

    assert place.run("select count(*) from pg_namespace where nspname = 'mig'") == [(0,)]


def test_a_remote_store_without_verified_tls_is_refused():
    with pytest.raises(ConfigurationError, match="verify"):
        open_engine("postgresql+psycopg://banyan_app@store.example/banyan")


def test_every_canonical_table_is_partitioned_with_its_key_and_few_not_null_columns(store):
    rows = store.run(
        "select c.relname, pg_get_partkeydef(c.oid), pg_get_constraintdef(k.oid),"
        " array(select attname::text from pg_attribute a where a.attrelid = c.oid and attnotnull and attnum > 0"
        "       order by 1)"
        " from pg_class c join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'"
        " where c.relkind = 'p' and c.relnamespace = 'justice'::regnamespace"
    )

    assert {row[0] for row in rows} == set(TABLES)
    assert {row[1:3] for row in rows} == {("LIST (department_code)", "PRIMARY KEY (id, department_code)")}
    required = ["department_code", "domain_code", "id", "origin", "row_version", "updated_at"]
    assert all(row[3] == required for row in rows)
    assert store.run(
        "select count(*) from pg_constraint where contype = 'f' and connamespace = 'justice'::regnamespace"
    ) == [(0,)]


def test_a_department_has_a_fitted_partition_of_every_partitioned_table(store):
    partitions = store.run("select relname::text from pg_class where relispartition and relkind = 'r'")

    wanted = {f"{name}_38" for name in TABLES} | {"crosswalk_38", "record_link_38"}
    assert {row[0] for row in partitions} == wanted
    assert store.run("select * from mig.unfitted") == []


def test_a_partition_without_its_refusal_is_listed_as_unfitted(store):
    store.run("alter table justice.item_38 disable trigger aa_banyan_p")
    store.run("drop trigger zz_banyan_u on justice.offense")
    store.run("drop trigger zz_banyan_i on justice.vehicle_38")
    store.run("create or replace trigger aa_banyan_o before insert on justice.incident_38"
              " for each statement execute function mig.refuse()")  # fmt: skip
    store.run("create or replace trigger aa_banyan_p before delete or truncate on justice.offense_38"
              " for each statement execute function mig.refuse()")  # fmt: skip

    assert sorted(store.run("select relation, trigger_name from mig.unfitted")) == [
        ("justice.incident_38", "aa_banyan_o"),
        ("justice.item_38", "aa_banyan_p"),
        ("justice.offense", "zz_banyan_u"),
        ("justice.offense_38", "aa_banyan_p"),
        ("justice.vehicle_38", "zz_banyan_i"),
    ]
    store.run("call mig.add_partitions('38')")
    assert store.run("select * from mig.unfitted") == []


def test_a_store_of_an_older_revision_is_fitted_anew(make_database):
    place = StorePlace(make_url(make_database()))
    with place.transaction() as connection:
        run_script(connection, "roles")
        prepare_database(connection)
        connection.execute(sa.text("set local session authorization banyan_migrator"))
        upgrade(connection, "0008")
    add_department(place.engine("banyan_migrator"), ISERE)

    install(place.url())

    assert place.run("select * from mig.unfitted") == []
    insert = ("insert into justice.item_38 (id, department_code, domain_code, origin)"
              " values (gen_random_uuid(), '38', 'cases', 'LEGACY')")  # fmt: skip
    place.run(insert, role="banyan_forward")
    own(place, "CANONICAL")
    with pytest.raises(psycopg.errors.ObjectInUse):
        place.run(insert, role="banyan_forward")


def test_a_list_names_only_legacy_tables_that_are_known(store):
    listed = "insert into mig.filtered_row (department_code, source_table_no, source_key, rule, run_no) values {}"
    known = store.table_no("t_personne")

    store.run(listed.format(f"('38', {known}, '1', 'r', 1), ('38', {known}, '2', 'r', 1)"), role="banyan_forward")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        store.run(listed.format(f"('38', {known}, '3', 'r', 1), ('38', 999, '4', 'r', 1)"), role="banyan_forward")

    assert store.run("select source_key from mig.filtered_row order by 1") == [("1",), ("2",)]
    assert {row[0] for row in store.run("select tgrelid::regclass::text from pg_trigger where tgname = 'zz_banyan_k'")
            } == {"mig.filtered_row", "mig.quarantine", "mig.retention_term", "mig.row_mark"}  # fmt: skip


def test_the_store_uses_no_extension_no_xml_and_no_icu_collation(store):
    assert store.run("select extname::text from pg_extension") == [("plpgsql",)]
    assert store.run(
        "select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " join pg_namespace n on n.oid = c.relnamespace left join pg_collation l on l.oid = a.attcollation"
        " where n.nspname in ('mig', 'justice', 'code') and (a.atttypid = 'xml'::regtype or l.collprovider = 'i')"
    ) == [(0,)]


def test_slices_start_with_legacy_registered_and_armed(store):
    assert store.run(
        "select department_code, domain_code, closure, owner, phase, epoch, armed_boot = pg_postmaster_start_time()"
        " from mig.slice order by domain_code"
    ) == [
        ("38", "cases", "38.cases+vehicles", "LEGACY", "REGISTERED", 1, True),
        ("38", "vehicles", "38.cases+vehicles", "LEGACY", "REGISTERED", 1, True),
    ]


def _everything(store) -> list:
    with store.transaction() as connection:
        return [
            connection.execute(sa.text(query)).fetchall()
            for query in (
                "select oid, relname, relacl::text from pg_class where relnamespace > 16000 order by oid",
                "select oid, tgname, tgenabled from pg_trigger order by oid",
                "select oid, prosrc from pg_proc where pronamespace = 'mig'::regnamespace order by oid",
                "select version_num from mig.revision",
                "select * from mig.slice order by 1, 2",
                "select * from mig.source_table order by 1",
            )
        ]
