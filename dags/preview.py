"""What Airflow would make of a project: its DAGs and what it refuses, read by the real parser in a process of its own.

The process has a home that is thrown away, so that looking leaves no trace in an installation.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from banyan.clock import monotonic
from banyan.errors import ConfigurationError
from dags.settings import PROJECT_VARIABLE

DAGS_FOLDER = Path(__file__).parent
_SECONDS = 300
_QUIET = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What Airflow finds: tasks and pools by DAG, what it refuses by file, and how long it reads."""

    tasks: dict[str, list[str]]
    pools: dict[str, list[str]]
    refused: dict[str, str]
    loaded: tuple[str, ...]
    parse_seconds: float


def airflow_home(folder: Path) -> dict[str, str]:
    """Give the environment of an Airflow that lives in a folder: its own SQLite database, no examples, no noise."""
    database = f"sqlite:///{folder / 'airflow.db'}"
    return {"AIRFLOW_HOME": str(folder), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database, **_QUIET}


def preview(project: Path) -> Preview:
    """Let Airflow's parser read the DAGs of a project; nothing is kept and no server is reached."""
    if find_spec("airflow") is None:
        raise ConfigurationError(
            "Airflow is not installed; nothing was read", hint="pip install 'banyan-migration[airflow]'"
        )
    with tempfile.TemporaryDirectory(prefix="banyan-airflow-") as home:
        environment = {**os.environ, **airflow_home(Path(home)), PROJECT_VARIABLE: str(project.resolve())}
        done = subprocess.run(
            [sys.executable, "-m", "dags.preview"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode != 0 or not lines:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ConfigurationError(f"Airflow cannot read the DAGs: {' '.join(last) or 'no answer'}; nothing was changed")
    found = json.loads(lines[-1])
    return Preview(found["tasks"], found["pools"], found["refused"], tuple(found["loaded"]), found["parse_seconds"])


def _read() -> str:
    from airflow.dag_processing.dagbag import DagBag

    began = monotonic()
    bag = DagBag(DAGS_FOLDER)
    seconds = monotonic() - began
    return json.dumps(
        {
            "tasks": {name: sorted(dag.task_dict) for name, dag in sorted(bag.dags.items())},
            "pools": {name: sorted({task.pool for task in dag.tasks}) for name, dag in sorted(bag.dags.items())},
            "refused": {file: text.strip().splitlines()[-1] for file, text in sorted(bag.import_errors.items())},
            "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
            "parse_seconds": seconds,
        }
    )


if __name__ == "__main__":
    sys.stdout.write(_read() + "\n")
