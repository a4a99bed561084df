"""A department under way: ORION loaded, its first copy made, and an Airflow in a folder of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from banyan.config import load_project
from banyan.departments import SourceRef
from dags.preview import airflow_home
from dags.rendering import pools_of
from dags.settings import PROJECT_VARIABLE
from estate.live import LiveEvent, Outcome, Pace, live
from estate.load import load
from estate.orion import generate
from store.install import LOGIN_ROLES
from store.tables import RUN, WATERMARK
from sync.assembly import Rig, open_rig, prepare
from sync.incremental import Permission, may_sync
from sync.workspace import opened

SOURCE = SourceRef("38", "ORION")
PROJECT = """
project: a department under way
target: {{url: "{store}", database: banyan}}
departments:
  "38":
    name: Isère
    time_zone: Europe/Paris
    domains: [cases, vehicles]
    sources:
      ORION:
        medium: postgresql
        schema: orion
        rules: rules/orion
        url: "{reader}"
        admin_url: "{admin}"
        reverse_url: "{reverse}"
        fence_url: "{guard}"
"""


@dataclass(frozen=True)
class UnderWay:
    """A department whose first copy is made."""

    folder: Path
    legacy: str
    store: str

    def legacy_url(self, role: str) -> str:
        return make_url(self.legacy).set(username=role).render_as_string(hide_password=False)

    def run_legacy(self, statement: str, parameters=None, role: str = "postgres"):
        address = make_url(self.legacy_url(role)).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    def run_store(self, query):
        engine = sa.create_engine(self.store, poolclass=sa.NullPool)
        with engine.begin() as connection:
            done = connection.execute(sa.text(query) if isinstance(query, str) else query)
            return done.fetchall() if done.returns_rows else []

    def watermark(self) -> str:
        return self.run_store(sa.select(WATERMARK.c.position))[0][0]

    def runs(self) -> list[tuple[int, str, str]]:
        return [
            tuple(row) for row in self.run_store(sa.select(RUN.c.run_no, RUN.c.kind, RUN.c.state).order_by("run_no"))
        ]

    def people_work(self, count: int, seed: int) -> dict[str, set[str]]:
        """Let officers work; gives the keys they changed, by table."""
        touched: dict[str, set[str]] = {}

        def remember(event: LiveEvent) -> None:
            if event.outcome is Outcome.COMMITTED and event.table and event.key:
                touched.setdefault(event.table, set()).add(event.key)

        pace = Pace(rate_per_second=1000, count=count, seed=seed)
        live(self.legacy_url("orion_app"), pace, on_event=remember)
        return touched

    def people_edit(self, *tables: str) -> dict[str, set[str]]:
        """Let an officer touch some rows of each table; gives their keys."""
        edits = {
            "t_unite": ("id_unite", "lib_unite = 'BRIGADE ' || id_unite"),
            "t_proc": ("id_proc", "statut = case statut when 'C' then 'O' else 'C' end"),
            "t_personne": ("id_pers", "profession = coalesce(profession, '') || '.'"),
            "t_implic": ("id_implic", "plainte = case plainte when 'O' then 'N' else 'O' end"),
            "t_tel": ("id_tel", "type_tel = case type_tel when 'P' then 'F' else 'P' end"),
        }
        touched = {}
        for table in tables:
            key, change = edits[table]
            some = f"select {key} from orion.{table} order by md5({key}::text) limit 20"
            rows = self.run_legacy(f"update orion.{table} set {change} where {key} in ({some}) returning {key}::text")
            touched[table] = {key for (key,) in rows}
        return touched

    def permission(self) -> Permission:
        with opened(load_project(self.folder)) as workspace:
            return may_sync(workspace, SOURCE)

    @contextmanager
    def rig(self) -> Iterator[Rig]:
        with opened(load_project(self.folder)) as workspace:
            rig = open_rig(workspace, SOURCE)
            yield rig
            rig.port.close()


@pytest.fixture(scope="package")
def under_way(make_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderWay]:
    """ORION of 38 (size XS) with its first copy in a store; the environment names the project and its passwords."""
    folder = tmp_path_factory.mktemp("migration")
    place = UnderWay(folder, make_database(), make_database())
    load(generate("XS", 1), place.legacy)
    urls = {
        "store": place.store, "reader": place.legacy_url("banyan_reader"), "admin": place.legacy,
        "reverse": place.legacy_url("banyan_reverse"), "guard": place.legacy_url("banyan_guard"),
    }  # fmt: skip
    (folder / "banyan.yaml").write_text(PROJECT.format(**urls), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROJECT_VARIABLE, str(folder))
        for role in LOGIN_ROLES:
            patch.setenv(f"{role.upper()}_PASSWORD", "not asked on loopback")
        with opened(load_project(folder)) as workspace:
            rig = prepare(workspace, SOURCE)
            lane = rig.forward()
            rig.forward_engine().load(lane, lane.plan_load, rules_digest=rig.book.digest)
            rig.port.close()
        place.run_store("update mig.slice set phase = 'SYNCING'")
        yield place


class Airflow:
    """An Airflow with its metadata in SQLite, driven without scheduler."""

    def create(self) -> None:
        """Create the metadata and the pools of the project."""
        from airflow.models.pool import Pool
        from airflow.utils.db import initdb

        initdb()
        for name, pool in pools_of(load_project(Path(os.environ[PROJECT_VARIABLE]))).items():
            Pool.create_or_update_pool(name, slots=pool["slots"], description="", include_deferred=False)

    def lose(self) -> None:
        """Drop the whole metadata database."""
        from airflow.utils.db import resetdb

        resetdb(skip_init=True)

    def run(self, dag_id: str, failures: list[BaseException] | None = None, *, of: str = "ORION.carry"):
        """Run a DAG to its end; gives its run. Exceptions of a task, its chunks, are added to `failures`."""
        from airflow.dag_processing.dagbag import DagBag

        from dags.preview import DAGS_FOLDER

        bag = DagBag(DAGS_FOLDER)
        assert bag.import_errors == {}
        dag = bag.dags[dag_id]
        if failures is not None:
            noting = [lambda context: failures.append(context["exception"])]
            watched = dag.task_dict[of]
            if watched.is_mapped:
                watched.partial_kwargs["on_failure_callback"] = noting
            else:
                watched.on_failure_callback = noting
        return dag.test()

    def states(self, run) -> dict[str, list[str]]:
        """Give the states of the task instances of a run, by task."""
        from airflow.utils.session import create_session

        states: dict[str, list[str]] = {}
        with create_session() as session:
            for instance in run.get_task_instances(session=session):
                states.setdefault(instance.task_id.removeprefix("ORION."), []).append(str(instance.state))
        return states

    def tries(self, run, task_id: str) -> list[int]:
        from airflow.utils.session import create_session

        with create_session() as session:
            return [i.try_number for i in run.get_task_instances(session=session) if i.task_id == task_id]

    def exchanged(self) -> list[object]:
        """Give all that tasks left for each other in the metadata, decoded."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            values = session.scalars(sa.select(XComModel.value)).all()
        return list(values)

    def renewals(self, uri: str) -> int:
        """Count how often an asset was renewed."""
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session

        with create_session() as session:
            of = sa.select(AssetModel.id).where(AssetModel.uri == uri)
            return session.scalar(sa.select(sa.func.count()).where(AssetEvent.asset_id.in_(of)))

    def everything(self) -> str:
        """Give the whole metadata database as text."""
        from airflow import settings

        with settings.engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
            rows = [connection.execute(sa.text(f'select * from "{name}"')).fetchall() for name in tables]
        return repr(rows)


@pytest.fixture(scope="package")
def airflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for Airflow, named in the environment before it is loaded for the first time."""
    folder = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in airflow_home(folder).items():
            patch.setenv(name, value)
        yield folder


@pytest.fixture(scope="package")
def airflow(airflow_folder: Path, under_way: UnderWay) -> Iterator[Airflow]:
    """An Airflow that knows the department under way."""
    clock = Airflow()
    clock.create()
    yield clock
    clock.lose()
