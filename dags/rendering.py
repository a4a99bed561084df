"""What an Airflow installation needs for a project, as values: its settings and its pools."""

from pathlib import Path

from banyan.config import Project
from dags.settings import PROJECT_VARIABLE

SLOTS = 1  # one task at a time works a legacy system: it is somebody's live system, and parents go before children


def pool_of(department: str, system: str) -> str:
    """Name the pool of a legacy system."""
    return f"source_{department}_{system}"


def pools_of(project: Project) -> dict[str, dict[str, object]]:
    """Give the pools of a project, as `airflow pools import` reads them."""
    return {
        pool_of(code, system): {
            "slots": SLOTS,
            "description": f"legacy system {system} of {code} {department.name}",
            "include_deferred": False,
        }
        for code, department in sorted(project.departments.items())
        for system in sorted(department.sources)
    }


def settings_of(project: Project) -> dict[str, str]:
    """Give the settings of Airflow for a project, as variables of its environment; no secret and no database."""
    return {
        PROJECT_VARIABLE: str(project.folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Disabled",
        "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__API__EXPOSE_STACKTRACE": "False",
        "AIRFLOW__API__ENABLE_SWAGGER_UI": "False",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
    }
