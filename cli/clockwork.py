"""`banyan airflow`: what Airflow would run for this project, and the files its installation needs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.places import project_folder
from cli.tables import print_facts, print_json, print_line, print_next, print_table

airflow_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@airflow_app.command("check", epilog="Example: banyan airflow check")
def check_command(as_json: AsJson = False) -> None:
    """Let Airflow's own parser read the DAGs of this project, in a home that is thrown away. Exit 2 when it refuses."""
    from banyan.errors import ConfigurationError
    from dags.preview import preview

    found = preview(project_folder())
    if as_json:
        print_json({"tasks": found.tasks, "pools": found.pools, "refused": found.refused})
    else:
        rows = [(name, len(tasks), ", ".join(found.pools[name])) for name, tasks in found.tasks.items()]
        print_table("", ["dag", "tasks", "pools"], rows)
        for file, reason in found.refused.items():
            print_line(f"NO   {Path(file).name}  {reason}")
    if found.refused:
        raise ConfigurationError(
            f"Airflow refuses {len(found.refused)} of the DAG files; the other DAGs stand",
            hint="correct banyan.yaml, then: banyan airflow check",
        )
    if not as_json:
        print_next("banyan airflow render")


@airflow_app.command("render", epilog="Example: banyan airflow render airflow")
def render_command(
    folder: Annotated[Path | None, typer.Argument(help="Where to write; without it, `airflow` in the project.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the settings (airflow.env) and the pools (pools.json) that Airflow needs for this project; no secret."""
    from shlex import quote

    from dags.rendering import pools_of, settings_of
    from dags.settings import read_departments, refuse

    read = read_departments(project_folder())
    refuse(read.refused)
    out = folder or project_folder() / "airflow"
    out.mkdir(parents=True, exist_ok=True)
    settings, pools = out / "airflow.env", out / "pools.json"
    lines = [f"{name}={quote(value)}\n" for name, value in settings_of(read.project).items()]
    settings.write_text("".join(lines), encoding="utf-8")
    pools.write_text(json.dumps(pools_of(read.project), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json({"settings": str(settings), "pools": str(pools), "departments": sorted(read.project.departments)})
        return
    print_facts({"settings": str(settings), "pools": str(pools), "departments": len(read.project.departments)})
    print_next(
        f"set -a; . {quote(str(settings))}; set +a; airflow db migrate; airflow pools import {quote(str(pools))}"
    )
