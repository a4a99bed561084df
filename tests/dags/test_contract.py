"""What every DAG of every project must hold, and what reading it may not cost or hide."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from banyan import errors
from banyan.config import load_project
from banyan.errors import BanyanError, ConfigurationError, LeaseLost, SourceUnavailable
from cli.clockwork import airflow_app
from cli.places import set_project_folder
from dags.preview import preview
from dags.rendering import pools_of
from dags.settings import PROJECT_VARIABLE, find_project_folder, read_departments

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

HEAVY = {"pandas", "great_expectations", "polars", "boto3", "pyodbc", "psycopg", "pyarrow", "numpy"}
OUR_HEAVY = {"connectors", "mappings", "store", "sync", "validation", "cutover"}
SOURCE = "sources: {ORION: {medium: postgresql, url: 'env:ORION', schema: orion, rules: rules/orion}}"


def write_project(folder: Path, departments: dict[str, str]) -> Path:
    lines = ["project: several departments", "departments:"]
    for code, sources in departments.items():
        lines += [f"  '{code}':", f"    name: Department {code}", "    time_zone: Europe/Paris", "    domains: [cases]"]
        lines.append(f"    {sources}")
    (folder / "banyan.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def dags_of(airflow_folder, monkeypatch):
    """Build the DAGs of a project in this process."""

    def build(folder: Path):
        from airflow.dag_processing.dagbag import DagBag

        from dags.preview import DAGS_FOLDER

        monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
        return DagBag(DAGS_FOLDER)

    return build


def test_every_dag_keeps_the_policy(tmp_path, dags_of):
    project = write_project(tmp_path, {"38": SOURCE, "2A": SOURCE, "974": SOURCE})
    pools = pools_of(load_project(project))

    bag = dags_of(project)

    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(f"{kind}_{code}" for kind in ("sync", "validate") for code in ("38", "2A", "974"))
    for name, dag in bag.dags.items():
        kind, _, code = name.partition("_")
        assert (dag.catchup, dag.max_active_runs) == (False, 1)
        assert dag.tags == {"banyan", kind, code}
        assert not dag.params
        for task in dag.tasks:
            assert task.owner == "banyan"
            assert task.retries >= 2
            assert task.retry_policy is not None
            assert task.execution_timeout <= timedelta(hours=1)
            if task.task_id.rpartition(".")[2] in ("plan", "carry", "carry_back", "validate_ORION"):
                assert task.pool in pools
    assert {pool["slots"] for pool in pools.values()} == {1}


def test_a_sync_is_gate_plan_chunks_finish_beside_the_way_back_and_its_asset_starts_the_validation(tmp_path, dags_of):
    bag = dags_of(write_project(tmp_path, {"38": SOURCE}))

    sync, validate = bag.dags["sync_38"], bag.dags["validate_38"]

    order = {task.task_id: sorted(task.downstream_task_ids) for task in sync.tasks}
    assert order == {
        "ORION.gate": ["ORION.plan"],
        "ORION.plan": ["ORION.carry", "ORION.finish"],
        "ORION.carry": ["ORION.finish"],
        "ORION.finish": [],
        "ORION.gate_back": ["ORION.carry_back"],
        "ORION.carry_back": [],
    }
    # one task at a time works the old system: the way back is before those that weigh what comes after them
    assert sync.task_dict["ORION.carry_back"].priority_weight > len(sync.tasks)
    assert sync.task_dict["ORION.carry"].is_mapped
    (outlet,) = sync.task_dict["ORION.finish"].outlets
    assert [asset.uri for asset in validate.timetable.asset_condition.objects] == [outlet.uri]


def test_reading_the_dags_loads_no_heavy_library_and_nothing_of_the_movement(tmp_path):
    found = preview(write_project(tmp_path, {"38": SOURCE}))

    assert sorted(found.tasks) == ["sync_38", "validate_38"]
    assert "airflow" in found.loaded
    assert (HEAVY | OUR_HEAVY) & set(found.loaded) == set()


def test_a_bad_department_is_refused_alone_and_loudly(tmp_path):
    bad = "sources: {ORION: {medium: parchment, url: 'env:ORION', rules: rules/orion}}"
    project = write_project(tmp_path, {"38": SOURCE, "69": bad, "2A": SOURCE})

    found = preview(project)

    assert sorted(found.tasks) == ["sync_2A", "sync_38", "validate_2A", "validate_38"]
    ((file, reason),) = found.refused.items()
    assert Path(file).name == "refused.py"
    assert "no DAG was made for 69 (69: sources.ORION.medium:" in reason
    assert "38" not in reason


def test_a_code_that_yaml_reads_as_a_number_is_refused_with_its_remedy(tmp_path):
    project = write_project(tmp_path, {"38": SOURCE})
    file = project / "banyan.yaml"
    file.write_text(file.read_text().replace("'38':", "38:"), encoding="utf-8")

    read = read_departments(project)

    assert read.refused == {"38": "write the code between quotes: '38'"}


def test_an_airflow_without_a_project_is_told_how_to_get_one(monkeypatch):
    monkeypatch.delenv(PROJECT_VARIABLE, raising=False)

    with pytest.raises(ConfigurationError, match="BANYAN_PROJECT does not name"):
        find_project_folder()


def test_a_worker_builds_only_the_dag_of_its_task(tmp_path, dags_of, monkeypatch):
    project = write_project(tmp_path, {"38": SOURCE, "2A": SOURCE})
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "sync_2A")

    bag = dags_of(project)

    assert sorted(bag.dags) == ["sync_2A"]


def every_error(root: type[BanyanError] = BanyanError) -> list[type[BanyanError]]:
    return [root, *[found for below in root.__subclasses__() for found in every_error(below)]]


def test_what_may_pass_is_tried_again_and_all_else_fails_at_once(airflow_folder):
    from airflow.sdk import RetryAction

    from dags.factory import retry_policy

    policy = retry_policy()
    decided = {error: policy.evaluate(error("m"), 1, 3).action for error in every_error()}

    assert len(decided) > 10
    assert decided[errors.SwitchUncertain] is RetryAction.FAIL
    assert {e for e, action in decided.items() if action is RetryAction.RETRY} == {e for e in decided if e.transient}
    assert {action for e, action in decided.items() if not e.transient} == {RetryAction.FAIL}
    waits = [policy.evaluate(error("m"), 1, 3).retry_delay for error in (LeaseLost, SourceUnavailable)]
    assert waits == [timedelta(minutes=5), timedelta(minutes=2)]


def test_an_unknown_error_leaves_a_task_without_its_words(tmp_path, monkeypatch):
    from dags import tasks

    monkeypatch.setenv(PROJECT_VARIABLE, str(write_project(tmp_path, {"38": SOURCE})))

    with pytest.raises(BanyanError) as caught, tasks.at_work("38", "ORION"):
        raise RuntimeError("DURAND, born in Voiron")

    assert "a bug: RuntimeError at test_contract.py" in caught.value.message
    assert "DURAND" not in caught.value.message
    assert caught.value.__suppress_context__


def test_check_and_render_tell_what_airflow_needs(tmp_path):
    project = write_project(tmp_path, {"38": SOURCE, "2A": SOURCE})
    set_project_folder(project)
    shell = CliRunner()

    checked = shell.invoke(airflow_app, ["check", "--json"], catch_exceptions=False)
    rendered = shell.invoke(airflow_app, ["render"], catch_exceptions=False)

    assert sorted(json.loads(checked.stdout)["tasks"]) == ["sync_2A", "sync_38", "validate_2A", "validate_38"]
    assert "airflow pools import" in rendered.stdout
    settings = (project / "airflow" / "airflow.env").read_text().splitlines()
    assert f"{PROJECT_VARIABLE}={project}" in settings
    assert sorted(json.loads((project / "airflow" / "pools.json").read_text())) == [
        "source_2A_ORION",
        "source_38_ORION",
    ]


def test_check_refuses_a_project_with_a_bad_department(tmp_path):
    set_project_folder(write_project(tmp_path, {"38": SOURCE, "69": "sources: 3"}))

    done = CliRunner().invoke(airflow_app, ["check"])

    assert isinstance(done.exception, ConfigurationError)
    assert "sync_38" in done.stdout
    assert "no DAG was made for 69" in done.stdout
