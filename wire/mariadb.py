"""A MariaDB server of our own: throwaway for tests, embedded for the demo, when Debian's mariadb-server is installed.

Nothing is started by the package in a machine without systemd; this driver makes a data folder, starts `mariadbd` on
loopback as an account without rights, and stops what it started, by its process id.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from banyan.errors import CapacityExhausted, ConfigurationError, StoreUnavailable
from wire.cluster import ClusterPlace, Durability

SUPERUSER = "root"
_START_SECONDS = 60
_STOP_SECONDS = 60
_NEEDED_BYTES = 400 << 20
_FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class MariaDBTools:
    """The programs of an installed MariaDB."""

    server: Path
    installer: Path


def find_mariadb() -> MariaDBTools | None:
    """Find the programs of MariaDB on this machine; None when they are not installed."""
    server, installer = _find("mariadbd"), _find("mariadb-install-db")
    return MariaDBTools(server, installer) if server and installer else None


def find_mariadb_client() -> Path | None:
    """Find the client of MariaDB on this machine; None when it is not installed."""
    return _find("mariadb")


class MariaDBServer:
    """One MariaDB of our own, on loopback only, with a binary log of rows."""

    def __init__(self, place: ClusterPlace) -> None:
        self.place = place

    @property
    def port(self) -> int:
        """Give the port of the last start."""
        return int((self.place.home / "port").read_text())

    @property
    def process_id(self) -> int:
        """Give the process id of the last start."""
        return int((self.place.home / "pid").read_text())

    def url(self, database: str = "", user: str = SUPERUSER) -> URL:
        """Give the SQLAlchemy URL of a database for an account, with its password when there is one."""
        return URL.create(
            "mariadb+pymysql",
            username=user,
            password=None if self.place.durability is Durability.THROWAWAY else self.password(user),
            host="127.0.0.1",
            port=self.port,
            database=database or None,
        )

    def password(self, user: str) -> str:
        """Give the password of an account, made at its first use and kept in a file only its owner can read."""
        path = self.place.home / "secrets" / user
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text()

    @property
    def is_running(self) -> bool:
        """Tell whether the server of this data folder answers on its port."""
        if not (self.place.home / "pid").exists() or not self._is_ours(self.process_id):
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self) -> "MariaDBServer":
        """Create the data folder when it is new and start the server when it is stopped; recovers after a kill -9."""
        if not (self.place.data / "mysql").is_dir():
            self._create()
        if not self.is_running:
            self._start()
        return self

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(signal.SIGKILL)

    def destroy(self) -> None:
        """Stop the server and delete its folder."""
        self.kill()
        shutil.rmtree(self.place.home, ignore_errors=True)
        with suppress(OSError):  # the folder of the project's servers, once the last one is gone
            self.place.home.parent.rmdir()

    def _create(self) -> None:
        tools = _tools()
        home = self.place.home
        home.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(home).free < _NEEDED_BYTES:
            raise CapacityExhausted(
                f"the disk of {home} has less than {_NEEDED_BYTES >> 20} MB free: no database was created",
                hint="make room, then run the same command again",
            )
        for name in ("data", "tmp", "log"):
            self._give_to_server(home / name)
        done = subprocess.run(
            [
                str(tools.installer), "--no-defaults", f"--datadir={self.place.data}", f"--tmpdir={home / 'tmp'}",
                "--auth-root-authentication-method=normal", "--skip-test-db", "--force",
                *([f"--user={_ACCOUNT}"] if os.geteuid() == 0 else []),
            ],
            cwd="/", env=_ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ConfigurationError(f"mariadb-install-db ended with {done.returncode}; nothing was started")

    def _start(self) -> None:
        home = self.place.home
        first = self._write_accounts()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            port = self._pick_port()
            (home / "port").write_text(str(port))
            with (home / "log" / "server.log").open("ab") as log:
                process = subprocess.Popen(
                    [str(_tools().server), *self._options(port), f"--init-file={first}"],
                    cwd="/", env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            (home / "pid").write_text(str(process.pid))
            while process.poll() is None and time.monotonic() < deadline:
                if _greets(port):
                    first.unlink()
                    return
                time.sleep(0.05)
            if time.monotonic() > deadline:
                process.kill()
                raise StoreUnavailable(
                    f"the MariaDB in {home} does not start; its files were not changed",
                    hint=f"read {home / 'log' / 'server.log'}",
                )
            time.sleep(0.3)

    def _options(self, port: int) -> list[str]:
        home, data = self.place.home, self.place.data
        options = [
            "--no-defaults", f"--datadir={data}", f"--tmpdir={home / 'tmp'}", "--socket=server.sock",
            "--pid-file=server.pid", "--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve",
            "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL", "--gtid-strict-mode=ON", "--sql-mode=NO_ENGINE_SUBSTITUTION",
            "--character-set-server=utf8mb4", "--performance-schema=OFF", "--innodb-buffer-pool-size=96M",
            "--innodb-log-file-size=48M", "--max-allowed-packet=64M", "--log-warnings=1",
        ]  # fmt: skip
        if os.geteuid() == 0:
            options.append(f"--user={_ACCOUNT}")
        if self.place.durability is Durability.THROWAWAY:
            return [*options, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite",
                    "--innodb-flush-method=nosync", "--skip-sync-frm"]  # fmt: skip
        return [*options, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"]

    def _write_accounts(self) -> Path:
        """Write what the server runs at its start: its superuser, reached on loopback, with a password when durable."""
        path = self.place.home / "tmp" / "first.sql"
        by = "" if self.place.durability is Durability.THROWAWAY else f" identified by '{self.password(SUPERUSER)}'"
        accounts = [f"{SUPERUSER}@'{host}'" for host in ("127.0.0.1", "localhost")]
        path.touch(mode=0o600)
        path.write_text(
            "set sql_log_bin = 0;\n"
            + "".join(f"create user if not exists {account}{by};\n" for account in accounts)
            + "".join(f"alter user {account}{by};\n" for account in accounts if by)
            + "".join(f"grant all on *.* to {account} with grant option;\n" for account in accounts)
        )
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam(_ACCOUNT).pw_uid, -1)
        return path

    def _pick_port(self) -> int:
        known = self.place.home / "port"
        last = int(known.read_text()) if known.exists() else 0
        wanted = self.place.port
        for candidate in (wanted,) if wanted else (last, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", candidate or 0))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise CapacityExhausted(f"port {wanted} of 127.0.0.1 is taken by another program; no database was started")

    def _end(self, how: signal.Signals) -> None:
        if not (self.place.home / "pid").exists():
            return
        process_id = self.process_id
        deadline = time.monotonic() + _STOP_SECONDS
        while self._is_ours(process_id):
            with suppress(ProcessLookupError):
                os.kill(process_id, how)
            until = time.monotonic() + 10
            while self._is_ours(process_id) and time.monotonic() < until:
                with suppress(ChildProcessError):
                    os.waitpid(process_id, os.WNOHANG)
                time.sleep(0.02)
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the MariaDB in {self.place.home} does not stop; nothing was deleted")

    def _is_ours(self, process_id: int) -> bool:
        """Tell whether a process is the server of this data folder; a dead one that nobody has reaped is not."""
        try:
            return str(self.place.data) in Path(f"/proc/{process_id}/cmdline").read_text()
        except OSError:
            return False

    def _give_to_server(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(folder, account.pw_uid, account.pw_gid)


_ACCOUNT = "nobody"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}


def _find(program: str) -> Path | None:
    found = shutil.which(program, path=":".join((*_FOLDERS, os.environ.get("PATH", ""))))
    return Path(found) if found else None


def _tools() -> MariaDBTools:
    found = find_mariadb()
    if found is None:
        raise ConfigurationError(
            "MariaDB is not installed on this machine; nothing was started", hint="apt install mariadb-server"
        )
    return found


def _greets(port: int) -> bool:
    """Tell whether a server sends its greeting on a port of loopback, which it does once it takes logins."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            return len(probe.recv(5)) == 5
    except OSError:
        return False
