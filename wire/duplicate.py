"""A copy of a whole database in an embedded server: `pg_dump` reads one snapshot, nobody is closed out meanwhile."""

import subprocess
from collections.abc import Mapping

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from banyan.errors import SourceUnavailable
from wire.cluster import SUPERUSER, Cluster, wheel_installation
from wire.encoded import NO_ENCODING


def copy_database(source: str | URL, cluster: Cluster, name: str) -> None:
    """Copy a database, its rights and the accounts they name, into a new database of an embedded server.

    One without encoding is copied byte for byte into another one without.
    """
    origin = make_url(source)
    target = cluster.url(name)
    with psycopg.connect(_plain(origin), client_encoding="UTF8") as connection:
        has_encoding = connection.info.parameter_status("server_encoding") != NO_ENCODING
        cluster.create_database(name, has_encoding=has_encoding)
        roles = connection.execute(
            "select rolname, rolcanlogin, rolinherit from pg_catalog.pg_roles"
            " where rolname !~ '^pg_' and not rolsuper order by rolname"
        ).fetchall()
    with psycopg.connect(_plain(target), autocommit=True) as connection:
        for role, may_log_in, inherits in roles:
            if connection.execute("select from pg_catalog.pg_roles where rolname = %s", (role,)).fetchone() is None:
                words = sql.SQL(f"{'login' if may_log_in else 'nologin'} {'inherit' if inherits else 'noinherit'}")
                connection.execute(sql.SQL("create role {} {}").format(sql.Identifier(role), words))
            if may_log_in:
                connection.pgconn.change_password(role.encode(), cluster.password(role).encode())
    _pipe(origin, target, spoken="UTF8" if has_encoding else NO_ENCODING)


def _pipe(origin: URL, target: URL, *, spoken: str) -> None:
    tools = wheel_installation() / "bin"
    dump = subprocess.Popen(
        [str(tools / "pg_dump"), "--no-publications", "--no-subscriptions", "--no-security-labels"],
        env=_environment(origin, spoken),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    restored = subprocess.run(
        [str(tools / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"],
        env=_environment(target, spoken),
        stdin=dump.stdout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if dump.stdout is not None:
        dump.stdout.close()
    if dump.wait() != 0 or restored.returncode != 0:
        raise SourceUnavailable(
            f"{origin.host}:{origin.port or 5432}/{origin.database} could not be copied: pg_dump ended with "
            f"{dump.returncode}, psql with {restored.returncode}; the copy is not used, nothing else was changed",
            hint="banyan doctor",
        )


def _environment(url: URL, spoken: str) -> Mapping[str, str]:
    known = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PGHOST": url.host or "127.0.0.1",
        "PGPORT": str(url.port or 5432),
        "PGUSER": url.username or SUPERUSER,
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
        "PGCLIENTENCODING": spoken,
    }
    mode = url.query.get("sslmode")
    return known | ({"PGSSLMODE": str(mode)} if mode else {})


def _plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
