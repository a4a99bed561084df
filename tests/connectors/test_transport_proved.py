"""TLS with real servers: a certificate of the department's authority is checked, its name and its maker too."""

import datetime
import ipaddress
import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from banyan.errors import ConfigurationError
from connectors.mariadb import open_mariadb
from connectors.postgresql import open_postgresql
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

NAMED, UNNAMED = "127.0.0.2", "127.0.0.3"  # far away for banyan, and both of this machine
PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


@dataclass(frozen=True)
class Authority:
    """An authority made here, and the file that names it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    def sign(self, folder: Path, *, account: str) -> tuple[Path, Path]:
        """Make key and certificate of a server that answers at one address, for the account it runs as."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(NAMED))])
        made = builder("server", "Authority", key.public_key()).add_extension(name, critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        paths = folder / "server.key", folder / "server.crt"
        paths[0].write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN))
        paths[1].write_bytes(certificate.public_bytes(PEM))
        for path in paths:
            path.chmod(0o600)
            if os.geteuid() == 0:
                owner = pwd.getpwnam(account)
                os.chown(path, owner.pw_uid, owner.pw_gid)
        return paths


def builder(subject, issuer, public_key):
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer))
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    return made.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)


def make_authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = builder("Authority", "Authority", key.public_key())
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = made.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    file = folder / f"{name}.crt"
    file.write_bytes(certificate.public_bytes(PEM))
    return Authority(key, certificate, file)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """The authority of the department, and another one of the same name."""
    folder = tmp_path_factory.mktemp("authorities")
    return make_authority(folder, "own"), make_authority(folder, "other")


@pytest.fixture(scope="module")
def postgresql(authorities, tmp_path_factory):
    """Debian's PostgreSQL 15, proved at one of its two addresses."""
    folder = tmp_path_factory.mktemp("proved_postgresql")
    place = ClusterPlace(cluster_home(folder, "tls"), Durability.THROWAWAY, binaries=Path("/usr/lib/postgresql/15/bin"))
    server = Cluster(place).start()
    authorities[0].sign(server.place.data, account="nobody")
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=postgres", autocommit=True) as connection:
        connection.execute("create table public.affaire (id int primary key, nom text)")
        connection.execute("insert into public.affaire values (1, 'é')")
        connection.execute("alter system set ssl = on")
        connection.execute(f"alter system set listen_addresses = '127.0.0.1,{NAMED},{UNNAMED}'")
    server.stop()
    server.start()
    yield f"{server.port}/postgres"
    server.destroy()


@pytest.fixture(scope="module")
def mariadb_proved(authorities, tmp_path_factory):
    """A MariaDB proved at one of its two addresses."""
    folder = tmp_path_factory.mktemp("proved_mariadb")
    server = MariaDBServer(ClusterPlace(cluster_home(folder, "tls"), Durability.THROWAWAY)).start()
    server.kill()
    key, certificate = authorities[0].sign(server.place.data, account="nobody")
    options = [one for one in server._options(server.port) if not one.startswith("--bind-address")]
    program = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    process = subprocess.Popen(
        [program, *options, "--bind-address=0.0.0.0", f"--ssl-key={key}", f"--ssl-cert={certificate}"],
        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while True:
        try:
            pymysql.connect(host="127.0.0.1", port=server.port, user="root").close()
            break
        except pymysql.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.1)
    with pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True) as root:
        for line in (
            "create database legacy", "create table legacy.affaire (id int primary key, nom varchar(9))",
            "insert into legacy.affaire values (1, 'é')", "create user lecteur@'%' require ssl",
            "grant select on legacy.* to lecteur@'%'",
        ):  # fmt: skip
            root.cursor().execute(line)
    yield f"{server.port}/legacy"
    process.terminate()
    process.wait(30)
    server.destroy()


@pytest.mark.pg15
@pytest.mark.server
def test_a_postgresql_that_proves_who_it_is_is_read_and_no_other(postgresql, authorities):
    own, other = authorities

    def opened(host, authority):
        url = f"postgresql+psycopg://postgres@{host}:{postgresql}?sslrootcert={authority.file}"
        return open_postgresql(url, "public")

    port = opened(NAMED, own)
    with port._reader.session("asking") as connection:
        proved = connection.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    cells = port.read_range("affaire", port.plan_ranges("affaire", 10)[0]).rows.row(0)
    port.close()

    assert (proved[0], proved[1] in ("TLSv1.2", "TLSv1.3"), cells) == (True, True, ("1", "é"))
    for host, authority in ((UNNAMED, own), (NAMED, other)):
        refused = opened(host, authority)
        with pytest.raises(ConfigurationError, match="does not prove who it is"):
            refused.count("affaire")
        refused.close()


@pytest.mark.mariadb
def test_a_mariadb_that_proves_who_it_is_is_read_and_no_other(mariadb_proved, authorities):
    own, other = authorities

    def opened(host, authority):
        return open_mariadb(f"mariadb://lecteur@{host}:{mariadb_proved}?ssl_ca={authority.file}", "legacy")

    port = opened(NAMED, own)
    with port.reader.session("asking") as connection:
        cursor = connection.cursor()
        cursor.execute("show session status like 'Ssl_version'")
        ((_, version),) = cursor.fetchall()
    cells = port.read_range("affaire", port.plan_ranges("affaire", 10)[0]).rows.row(0)
    port.close()

    assert (version in ("TLSv1.2", "TLSv1.3"), cells) == (True, ("1", "é"))
    for host, authority in ((UNNAMED, own), (NAMED, other)):
        refused = opened(host, authority)
        with pytest.raises(ConfigurationError, match="does not prove who it is"):
            refused.count("affaire")
        refused.close()
