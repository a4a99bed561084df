"""Reading the DAGs of 100 departments against 12, by Airflow's own parser, in the same run: must stay below 9 times.

python bench/bench_dag_parse.py
"""

import json
import sys
import tempfile
from pathlib import Path

from dags.preview import preview

LIMIT = 9.0
ROUNDS = 3


def write_project(folder: Path, departments: int) -> Path:
    """Write a project of many departments, each with one legacy system."""
    lines = ["project: bench", "departments:"]
    for number in range(departments):
        lines += [
            f"  'D{number:03d}':",
            f"    name: Department {number}",
            "    time_zone: Europe/Paris",
            "    domains: [cases, vehicles]",
            "    sources: {ORION: {medium: postgresql, url: 'env:ORION', schema: orion, rules: rules/orion}}",
        ]
    folder.mkdir()
    (folder / "banyan.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def measure(project: Path, dags: int) -> float:
    """Give the seconds of one reading; every DAG must be there."""
    found = preview(project)
    assert len(found.tasks) == dags
    assert not found.refused
    return found.parse_seconds


def main() -> int:
    """Measure both and tell the ratio; 1 when it is above the limit."""
    with tempfile.TemporaryDirectory() as place:
        small, large = write_project(Path(place) / "few", 12), write_project(Path(place) / "many", 100)
        rounds = [(measure(small, 24), measure(large, 200)) for _ in range(ROUNDS)]  # in turns: noise meets both
    few, many = (min(seconds) for seconds in zip(*rounds, strict=True))
    ratio = many / few
    result = {
        "bench": "dag_parse",
        "seconds_12_departments": round(few, 3),
        "seconds_100_departments": round(many, 3),
        "ratio": round(ratio, 2),
        "limit": LIMIT,
    }
    print(json.dumps(result))
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
