"""Putting the store into an empty database, and a department into the store. Both may run again at any time."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, Connection, Engine

from banyan.departments import Closure, Department, Phase, Side
from banyan.errors import ConfigurationError
from store.migrations.metadata import VERSION_TABLE
from store.postgres import open_engine, raw, transaction
from store.tables import DEPARTMENT, SLICE, SOURCE_SYSTEM, SOURCE_TABLE

OWNER = "banyan_owner"
LOGIN_ROLES = (
    "banyan_migrator",
    "banyan_forward",
    "banyan_reverse",
    "banyan_app",
    "banyan_steward",
    "banyan_auditor",
    "banyan_judge",
    "banyan_guard",
)
_MIGRATIONS = Path(str(files("store"))) / "migrations"
_OLDEST = 180000
_NOT_STARTED = tuple(phase.value for phase in (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED))


@dataclass(frozen=True, slots=True)
class SourceSystem:
    """One legacy system of a department, with its tables."""

    system_code: str
    flavour: str
    character_encoding: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registration:
    """A department as it enters the store: its legacy systems and its closures."""

    department: Department
    systems: tuple[SourceSystem, ...]
    closures: tuple[Closure, ...]


def install(url_superuser: str | URL, passwords: Mapping[str, str] | None = None) -> None:
    """Create the roles that are missing, set the passwords given, and migrate the database to the newest revision."""
    unknown = set(passwords or {}) - set(LOGIN_ROLES)
    if unknown:
        raise ConfigurationError(f"no login role is called {', '.join(sorted(unknown))}; nothing was changed")
    engine = open_engine(url_superuser, pool_size=0)
    with transaction(engine) as connection:
        _refuse_old_server(connection)
        run_script(connection, "roles")
        prepare_database(connection)
        for role, password in (passwords or {}).items():
            # libpq hashes on this side: the password is in no statement and in no server log
            raw(connection).pgconn.change_password(role.encode(), password.encode())
    with transaction(engine) as connection:
        if _is_newest(connection):
            return
        connection.execute(sa.text("set local session authorization banyan_migrator"))
        upgrade(connection)


def prepare_database(connection: Connection) -> None:
    """Set the rights on the database itself, as superuser; a copy of a template needs this again."""
    run_script(connection, "database")


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate to a revision, the newest one if none is named, as a role that may become banyan_owner."""
    from alembic import command  # a tenth of the start of a command, which a store that is new enough does not need
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def add_department(engine: Engine, registration: Registration) -> None:
    """Register a department, its systems, tables, partitions and slices; the role must be able to become the owner.

    Slices start REGISTERED and owned by LEGACY. A closure may still change its name until loading has begun.
    """
    department = registration.department
    with transaction(engine) as connection:
        connection.execute(sa.text("set local role banyan_owner"))
        row = insert(DEPARTMENT).values(
            department_code=department.code,
            name=department.name,
            time_zone=department.time_zone,
            wave=department.wave,
        )
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[DEPARTMENT.c.department_code],
                set_={"name": row.excluded.name, "time_zone": row.excluded.time_zone, "wave": row.excluded.wave},
            )
        )
        for system in registration.systems:
            _write_system(connection, department.code, system)
        for closure in registration.closures:
            _write_slices(connection, closure)
        connection.execute(sa.text("call mig.add_partitions(:department)"), {"department": department.code})


def _write_system(connection: Connection, department_code: str, system: SourceSystem) -> None:
    row = insert(SOURCE_SYSTEM).values(
        department_code=department_code,
        system_code=system.system_code,
        flavour=system.flavour,
        character_encoding=system.character_encoding,
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[SOURCE_SYSTEM.c.department_code, SOURCE_SYSTEM.c.system_code],
            set_={"flavour": row.excluded.flavour, "character_encoding": row.excluded.character_encoding},
        )
    )
    known = sa.select(SOURCE_TABLE.c.table_name).where(
        SOURCE_TABLE.c.department_code == department_code, SOURCE_TABLE.c.system_code == system.system_code
    )
    missing = sorted(set(system.tables) - set(connection.scalars(known)))
    if missing:
        rows = [
            {"department_code": department_code, "system_code": system.system_code, "table_name": n} for n in missing
        ]
        connection.execute(insert(SOURCE_TABLE).on_conflict_do_nothing(), rows)


def _write_slices(connection: Connection, closure: Closure) -> None:
    for domain in closure.domains:
        row = insert(SLICE).values(
            department_code=closure.department_code,
            domain_code=domain,
            closure=closure.name,
            owner=Side.LEGACY.value,
            phase=Phase.REGISTERED.value,
            epoch=1,
            nonce=sa.func.gen_random_uuid(),
            armed_boot=sa.func.pg_postmaster_start_time(),
        )
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[SLICE.c.department_code, SLICE.c.domain_code],
                set_={"closure": row.excluded.closure},
                where=SLICE.c.phase.in_(_NOT_STARTED),
            )
        )


def run_script(connection: Connection, name: str) -> None:
    """Run one of the SQL files beside the migrations, unchanged, in the caller's transaction."""
    script = (_MIGRATIONS / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def _is_newest(connection: Connection) -> bool:
    """Tell whether the store stands at the newest revision: files of revisions begin with their number."""
    table = f"mig.{VERSION_TABLE}"
    if connection.scalar(sa.text("select to_regclass(:name)"), {"name": table}) is None:
        return False
    newest = max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
    return list(connection.scalars(sa.select(sa.column("version_num")).select_from(sa.text(table)))) == [newest]


def _refuse_old_server(connection: Connection) -> None:
    version = int(connection.scalar(sa.text("select current_setting('server_version_num')")) or 0)
    if version < _OLDEST:
        raise ConfigurationError(
            f"the store needs PostgreSQL 18 or newer, this server is {version // 10000}; nothing was changed",
            hint="use the embedded PostgreSQL, or name a newer server under `target` in banyan.yaml",
        )
