"""First load of a department, whole path, against a bare `COPY | COPY` of the same tables in the same run."""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace
from worlds import build_world

from store.install import add_department, install
from store.postgres import open_engine
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home, wheel_installation


def main(size: str) -> None:
    folder = Path(tempfile.mkdtemp())
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    try:
        numbers = iter(range(1, 100))

        def make_database(name: str | None = None, template: str = "template0") -> str:
            name = name or f"bench_{next(numbers)}"
            with psycopg.connect(
                host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
            ) as connection:
                connection.execute(f'create database "{name}" template "{template}"')
            return cluster.url(name).render_as_string(hide_password=False)

        def make_store() -> StorePlace:
            url = make_database()
            install(url)
            add_department(open_engine(url, pool_size=0), ISERE)
            return StorePlace(make_url(url))

        world = build_world(make_database, make_store, folder, size=size)
        lane = world.forward()
        seconds, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
        result = world.forward_engine().load(lane, lane.plan_load, rules_digest="")
        seconds, cpu = time.perf_counter() - seconds, resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu
        pipe = copy_pipe(cluster, make_url(world.legacy).database, make_url(make_database()).database, result.totals)
        rows = result.total.rows.read
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{rows} rows of {len(result.totals)} tables, {result.total.parts.emitted} canonical parts")
        print(f"pipe        {pipe:7.2f} s")
        print(f"whole path  {seconds:7.2f} s   {seconds / pipe:.1f}x   client {cpu:.2f} CPU s   peak {peak:.0f} MB")
    finally:
        cluster.destroy()


def copy_pipe(cluster: Cluster, source: str, target: str, tables) -> float:
    psql = [str(wheel_installation() / "bin" / "psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(cluster.port)]
    psql += ["-U", "postgres"]
    for table in tables:
        dump = subprocess.run(
            [str(wheel_installation() / "bin" / "pg_dump"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U",
             "postgres", "-s", "-t", f"orion.{table}", "--section=pre-data", source],
            capture_output=True, check=True,
        )  # fmt: skip
        text = b"create schema if not exists orion; create schema if not exists banyan;" + dump.stdout
        subprocess.run([*psql, "-d", target], input=text, capture_output=True, check=True)
    start = time.perf_counter()
    for table in tables:
        out = subprocess.Popen(
            [*psql, "-d", source, "-c", f"copy orion.{table} to stdout binary"], stdout=subprocess.PIPE
        )
        subprocess.run(
            [*psql, "-d", target, "-c", f"copy orion.{table} from stdin binary"], stdin=out.stdout, check=True
        )
        out.wait()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", default="S", choices=("XS", "S", "M", "L"), help="of the estate")
    main(parser.parse_args().size)
