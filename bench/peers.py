"""Others who copy the same table: bare pipes, and the tools that people would take; each gives the seconds it took."""

import subprocess
import sys
import time
from contextlib import closing

from trapped_table import Place, connect_mariadb


def pipe_mariadb(place: Place) -> float:
    """Send what the client prints through sed into COPY."""
    place.ask("truncate public.heap")
    null = r"s/\(^\|\t\)NULL\(\t\|$\)/\1\\N\2/g"
    nulls = rf"s/\r/\\r/g; {null}; {null}"  # the client leaves a carriage return as it is, and COPY refuses it
    began = time.perf_counter()
    out = subprocess.Popen(
        [*place.mysql, "--quick", "--batch", "--skip-column-names", "-e", "select * from personne"],
        stdout=subprocess.PIPE,
    )
    sed = subprocess.Popen(["sed", nulls], stdin=out.stdout, stdout=subprocess.PIPE, env={"LC_ALL": "C"})
    subprocess.run([*place.psql, "-c", "copy public.heap from stdin"], stdin=sed.stdout, check=True)
    if out.wait() or sed.wait():
        raise RuntimeError("the pipe broke")
    return time.perf_counter() - began


def pipe_postgresql(place: Place) -> float:
    """Send one COPY into another, in binary, between columns of the same types."""
    place.ask("drop table if exists public.typed")
    place.ask("create table public.typed as select * from marel.personne with no data")
    began = time.perf_counter()
    out = subprocess.Popen([*place.psql, "-c", "copy marel.personne to stdout binary"], stdout=subprocess.PIPE)
    subprocess.run([*place.psql, "-c", "copy public.typed from stdin binary"], stdin=out.stdout, check=True)
    if out.wait():
        raise RuntimeError("the pipe broke")
    return time.perf_counter() - began


def pgloader(place: Place, make: str) -> float:
    """Let pgloader do it, as it would; one that did not end with every row is no measure."""
    place.ask("create database peer template template0", "postgres")
    target = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/peer"
    source = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/bench"
    if make == "mariadb":  # it loses every row of a table that holds a partial date, and says that all went well
        source = f"mysql://root@127.0.0.1:{place.mariadb.port}/peer"
        with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
            for statement in ("drop database if exists peer", "create database peer character set utf8mb4",
                              "create table peer.personne like marel.personne", "set sql_mode = ''",
                              "insert into peer.personne select * from marel.personne",
                              "update peer.personne set ddn = '2019-01-01', cree = maj, note = 'Vu'"
                              " where id % 500 < 10"):  # fmt: skip
                cursor.execute(statement)
    name = "'personne'" if make == "mariadb" else "'personne' in schema 'marel'"
    load = place.folder / f"{make}.load"
    load.write_text(
        f"LOAD DATABASE FROM {source} INTO {target}\n"
        " WITH include drop, create tables, no truncate, batch rows = 25000\n"
        f" INCLUDING ONLY TABLE NAMES MATCHING {name};\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        ["pgloader", "--on-error-stop", "--root-dir", str(place.folder), str(load)], capture_output=True, check=False
    )
    took = time.perf_counter() - began
    found = place.ask("select coalesce(sum(reltuples), 0) from pg_class where relname = 'personne'", "peer")
    count = 0
    if found[0][0]:
        schema = place.ask("select relnamespace::regnamespace from pg_class where relname = 'personne'", "peer")[0][0]
        count = place.ask(f"select count(*) from {schema}.personne", "peer")[0][0]
    place.ask("drop database peer with (force)", "postgres")
    if done.returncode or count != place.rows:
        raise RuntimeError(f"ended with {done.returncode} after {took:.1f} s and {count} of {place.rows} rows")
    return took


def sling(place: Place, make: str) -> float:
    """Let Sling do it, in its default mode."""
    url = f"postgresql://postgres@127.0.0.1:{place.cluster.port}/bench?sslmode=disable"
    source, name = (url, "marel.personne")
    if make == "mariadb":
        source, name = f"mariadb://root@127.0.0.1:{place.mariadb.port}/marel", "marel.personne"
    began = time.perf_counter()
    subprocess.run(
        ["sling", "run", "--src-conn", source, "--src-stream", name, "--tgt-conn", url, "--tgt-object", "public.sling",
         "--mode", "full-refresh"],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - began


def dlt(place: Place, make: str) -> float:
    """Let dlt do it with its fastest reader."""
    program = (
        "import dlt, sys\n"
        "from dlt.sources.sql_database import sql_table\n"
        "one = sql_table(credentials=sys.argv[1], schema=sys.argv[2] or None, table='personne', backend='connectorx')\n"
        "line = dlt.pipeline('bench', destination=dlt.destinations.postgres(sys.argv[3]), dataset_name='dlt')\n"
        "line.run(one, loader_file_format='csv')\n"
    )
    target = f"postgresql://postgres@127.0.0.1:{place.cluster.port}/bench"
    source = target if make == "postgresql" else f"mysql+pymysql://root@127.0.0.1:{place.mariadb.port}/marel"
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program, source, "marel" if make == "postgresql" else "", target],
        check=True, capture_output=True, cwd=place.folder,
    )  # fmt: skip
    return time.perf_counter() - began
