"""The servers of a run that measures the bare copy, and its table: traps in every fiftieth row, and its digest."""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pymysql

from wire.cluster import Cluster, wheel_installation
from wire.mariadb import MariaDBServer

COLUMNS = ("id", "dept", "nom", "prenom", "commune", "ddn", "sexe", "code", "montant", "cree", "maj", "note")
POSTGRESQL = """
create schema marel;
create table marel.personne (id integer primary key, dept smallint, nom varchar(40), prenom varchar(40),
  commune varchar(60), ddn date, sexe char(1), code varchar(8), montant numeric(12,2), cree timestamp,
  maj timestamp, note text);
insert into marel.personne select n, n % 96, 'Œuvre-' || n, 'Gaëlle ' || n % 977, 'Saint-Étienne-du-Bois ' || n % 36000,
  case n % 500 when 1 then 'infinity' when 2 then '-infinity' when 3 then '0044-03-15 BC' when 4 then '10000-11-21'
    when 5 then '0001-01-01' when 6 then '9999-12-31' else date '1930-01-01' + n % 30000 end,
  case when n % 2 = 0 then 'F' else 'M' end, 'C' || n % 4000,
  case when n % 5 < 2 then null when n % 500 = 7 then 'NaN'::numeric else (n % 1000000) / 100.0 end,
  case n % 500 when 8 then 'infinity' when 9 then '0044-03-15 10:00 BC'
    else timestamp '2001-01-01' + n * interval '1 min' end,
  timestamp '2010-01-01 00:00:00.000001' + n * interval '1 s',
  case n % 20 when 0 then null when 1 then '' when 2 then E'a''"b\\r\\n\\\\.\\nc\\t' when 3 then 'NULL'
    when 4 then E'\\\\N' when 5 then '  blanks  ' when 6 then U&'\\+01F600\\2028œ€'
    else 'Vu au commissariat, dossier ' || n end
  from generate_series(1, {rows}) n;
analyze marel.personne;
"""
MARIADB = """
create table personne (id int primary key, dept smallint, nom varchar(40), prenom varchar(40), commune varchar(60),
  ddn date, sexe char(1), code varchar(8), montant decimal(12,2), cree datetime, maj datetime(6), note text);
insert into personne select n, n % 96, concat('Œuvre-', n), concat('Gaëlle ', n % 977),
  concat('Saint-Étienne-du-Bois ', n % 36000),
  case n % 500 when 1 then '0000-00-00' when 2 then '2019-00-00' when 5 then '0001-01-01' when 6 then '9999-12-31'
    else date '1930-01-01' + interval n % 30000 day end,
  if(n % 2 = 0, 'F', 'M'), concat('C', n % 4000), if(n % 5 < 2, null, (n % 1000000) / 100),
  if(n % 500 = 8, '0000-00-00', timestamp '2001-01-01 00:00:00' + interval n minute),
  timestamp '2010-01-01 00:00:00.000001' + interval n second,
  case n % 20 when 0 then null when 1 then '' when 2 then 'a\\'"b\\r\\n\\\\.\\nc\\t' when 3 then 'NULL'
    when 4 then '\\\\N' when 5 then '  blanks  ' when 6 then concat(_utf8mb4 x'f09f9880e280a8', 'œ€')
    else concat('Vu au commissariat, dossier ', n) end
  from (select seq as n from seq_1_to_{rows}) numbers;
analyze table personne;
"""


@dataclass(frozen=True)
class Place:
    """Both servers of a run."""

    cluster: Cluster
    mariadb: MariaDBServer
    folder: Path
    rows: int
    _leader: list[int] = field(default_factory=list)

    def connect(self, database: str = "bench") -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.cluster.port, user="postgres", dbname=database, autocommit=True
        )

    def ask(self, query: str, database: str = "bench") -> list[tuple]:
        with self.connect(database) as connection:
            done = connection.execute(query)
            return done.fetchall() if done.description else []

    def leader(self, backend: int) -> int:
        """Give the process that serves the PostgreSQL of this run, from one of its backends."""
        if not self._leader:
            self._leader.append(psutil.Process(backend).ppid())
        return self._leader[0]

    def url(self, make: str) -> str:
        if make == "mariadb":
            return self.mariadb.url("marel").render_as_string(hide_password=False)
        return self.cluster.url("bench").render_as_string(hide_password=False)

    @property
    def psql(self) -> list[str]:
        tool = str(wheel_installation() / "bin" / "psql")
        return [tool, "-X", "-q", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", "postgres", "-d", "bench"]

    @property
    def mysql(self) -> list[str]:
        return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.mariadb.port}", "-uroot",
                "--default-character-set=utf8mb4", "marel"]  # fmt: skip


def fill(place: Place, make: str) -> None:
    """Make the table in its server, with a trap in every fiftieth row or more."""
    place.ask("drop table if exists public.heap")
    listed = ", ".join(f"{name} text" for name in COLUMNS)
    place.ask(f"create table public.heap ({listed})")
    if make == "postgresql":
        place.ask(POSTGRESQL.replace("{rows}", str(place.rows)))
        return
    with closing(connect_mariadb(place, "")) as connection, connection.cursor() as cursor:
        cursor.execute("create database marel character set utf8mb4")
        cursor.execute("use marel")
        cursor.execute("set sql_mode = 'PIPES_AS_CONCAT', sql_log_bin = 0")
        for statement in MARIADB.replace("{rows}", str(place.rows)).split(";\n"):
            if statement.strip():
                cursor.execute(statement)


def connect_mariadb(place: Place, database: str = "marel") -> pymysql.connections.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=place.mariadb.port, user="root", database=database or None, charset="utf8mb4",
        autocommit=True,
    )  # fmt: skip


def digest_of(place: Place, make: str) -> tuple[int, int]:
    """Let the source count its rows and sum a digest of each, in its own SQL."""
    if make == "postgresql":
        row = ", ".join(f"case when {name} is null then 'N' else concat('=', {name}) end" for name in COLUMNS)
        return place.ask(f"select count(*), {sum_of(row)} from marel.personne")[0]
    row = ", ".join(f"if({name} is null, 'N', concat('=', cast({name} as char)))" for name in COLUMNS)
    with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select count(*), sum(cast(conv(left(md5(concat_ws(char(31), {row})), 8), 16, 10) as unsigned))"
            " from personne"
        )
        count, total = cursor.fetchone()
        return int(count), int(total)


def digest_of_copy(place: Place) -> tuple[int, int]:
    """Sum the same digest over the copy."""
    row = ", ".join(f"coalesce('=' || {name}, 'N')" for name in COLUMNS)
    return place.ask(f"select count(*), {sum_of(row)} from public.heap")[0]


def sum_of(row: str) -> str:
    return f"sum(('x' || left(md5(concat_ws(chr(31), {row})), 8))::bit(32)::bigint)::bigint"
