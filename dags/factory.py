"""The DAGs of one department, built from its configuration: `sync_38` and `validate_38`.

Nothing heavy is loaded here: Airflow builds the DAGs anew every time it looks, and before each task.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, ExceptionRetryPolicy, RetryAction, RetryRule, task, task_group

from banyan.config import DepartmentConfig, Project
from banyan.errors import BanyanError, LeaseLost
from dags import tasks
from dags.rendering import pool_of

SYNC_EVERY = timedelta(minutes=10)  # well within the time after which a way back counts as dead
MOST_CHUNKS_AT_ONCE = 1  # parents go before children: a filtered parent must be known when its children come
BACK_FIRST = 100  # of what waits for the pool of a legacy system: its way back never waits for chunks
_START = datetime(2026, 1, 1, tzinfo=UTC)  # never `now`: each parse would make a new version of the DAG
_TRY_AGAIN_AFTER = timedelta(minutes=2)
_LEASE_ENDS_AFTER = timedelta(minutes=5)


def synced(department: str) -> Asset:
    """Give the asset that a sync of a department renews."""
    return Asset(name=f"banyan.synced.{department}", uri=f"banyan://synced/{department}", group="banyan")


def transient_errors(root: type[BanyanError] = BanyanError) -> list[type[BanyanError]]:
    """List the errors that may pass by themselves, from the tree of errors."""
    own = [root] if root.transient else []
    return own + [found for below in root.__subclasses__() for found in transient_errors(below)]


def retry_policy() -> ExceptionRetryPolicy:
    """Try again what may pass by itself; fail at once what a person must look at."""
    again = [error for error in transient_errors() if error is not LeaseLost]
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=LeaseLost, action=RetryAction.RETRY, retry_delay=_LEASE_ENDS_AFTER),
            RetryRule(exception=list(again), action=RetryAction.RETRY, retry_delay=_TRY_AGAIN_AFTER),
            RetryRule(exception=BanyanError, action=RetryAction.FAIL),
        ]
    )


def build_sync(project: Project, code: str) -> DAG:
    """Build the DAG that carries the changes of a department: back where the new side owns, forward elsewhere."""
    department = project.departments[code]
    with _dag("sync", code, department, schedule=SYNC_EVERY) as dag:
        for system in department.sources:
            _carry(code, system)
    return dag


def build_validate(project: Project, code: str) -> DAG:
    """Build the DAG that judges a department after each sync that carried something."""
    department = project.departments[code]
    with _dag("validate", code, department, schedule=[synced(code)]) as dag:
        for system in department.sources:
            task(task_id=f"validate_{system}", pool=pool_of(code, system))(tasks.validate)(code, system)
    return dag


Builder = Callable[[Project, str], DAG]
BUILDERS: dict[str, Builder] = {"sync": build_sync, "validate": build_validate}


def _carry(code: str, system: str) -> None:
    pool = pool_of(code, system)

    @task_group(group_id=system)
    def carry_both_ways() -> None:
        gate_back = task.short_circuit(task_id="gate_back")(tasks.gate_back)(code, system)
        back = task(task_id="carry_back", pool=pool, priority_weight=BACK_FIRST)(tasks.carry_back)(code, system)
        gate_back >> back
        gate = task.short_circuit(task_id="gate")(tasks.gate)(code, system)
        chunks = task(task_id="plan", pool=pool)(tasks.plan)(code, system)
        carry = task(
            task_id="carry",
            pool=pool,
            max_active_tis_per_dagrun=MOST_CHUNKS_AT_ONCE,
            map_index_template="{{ task.op_kwargs['chunk']['table'] }}#{{ task.op_kwargs['chunk']['chunk_no'] }}",
        )(tasks.carry)
        carried = carry.partial(department=code, system=system).expand(chunk=chunks)
        finished = task(task_id="finish", outlets=[synced(code)])(tasks.finish)(chunks, code, system)
        gate >> chunks
        carried >> finished

    carry_both_ways()


def _dag(kind: str, code: str, department: DepartmentConfig, *, schedule: timedelta | list[Asset]) -> DAG:
    return DAG(
        f"{kind}_{code}",
        description=f"{kind} {code} {department.name}",
        schedule=schedule,
        start_date=_START,
        catchup=False,
        max_active_runs=1,
        tags={"banyan", kind, code},
        default_args={
            "owner": "banyan",
            "retries": 3,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=10),
            "retry_policy": retry_policy(),
            "execution_timeout": timedelta(hours=1),
        },
    )
