"""Read by Airflow: makes one airflow DAG of each kind for every readable department of the project."""

from airflow.sdk import get_parsing_context

from dags.factory import BUILDERS
from dags.settings import find_project_folder, read_departments

_wanted = get_parsing_context().dag_id  # a worker that runs one task asks for its DAG only
_read = read_departments(find_project_folder())
for _code in _read.project.departments:
    for _kind, _build in BUILDERS.items():
        if _wanted in (None, f"{_kind}_{_code}"):
            globals()[f"{_kind}_{_code}"] = _build(_read.project, _code)
