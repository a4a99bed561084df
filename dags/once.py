"""One run of a DAG from start to end, in a process and an Airflow home of its own: for the demo and for a first look.

`dag.test()` needs no scheduler and no server. Airflow is never the system of record: its home is thrown away after.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from dags.preview import DAGS_FOLDER, airflow_home
from dags.settings import PROJECT_VARIABLE

NOT_INSTALLED = "NOT RUN (extra airflow not installed)"
_SECONDS = 300


def run_once(project: Path, dag_id: str) -> str:
    """Run a DAG of a project once; gives its state, `success` when every task ended well."""
    if find_spec("airflow") is None:
        return NOT_INSTALLED
    with tempfile.TemporaryDirectory(prefix="banyan-airflow-") as home:
        environment = {**os.environ, **airflow_home(Path(home)), PROJECT_VARIABLE: str(project.resolve())}
        done = subprocess.run(
            [sys.executable, "-m", "dags.once", dag_id],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        return str(json.loads(lines[-1])["state"])
    except (IndexError, ValueError, KeyError, TypeError):
        return f"failed: the process of Airflow ended with {done.returncode}"


def _main(dag_id: str) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    from banyan.config import load_project
    from dags.rendering import pools_of

    initdb()
    for name, pool in pools_of(load_project(Path(os.environ[PROJECT_VARIABLE]))).items():
        Pool.create_or_update_pool(name, slots=pool["slots"], description="", include_deferred=False)
    run = DagBag(DAGS_FOLDER).dags[dag_id].test()
    sys.stdout.write("\n" + json.dumps({"state": str(getattr(run, "state", "unknown"))}) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
