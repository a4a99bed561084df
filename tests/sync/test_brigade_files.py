"""The files of two brigades in one project: what is born in the new system goes into the file it belongs to."""

import shutil
from pathlib import Path
from uuid import UUID

import polars as pl
import psycopg
import pytest
from projects import TestProject, known_actor, make_project

import mappings
from banyan.clock import new_id
from banyan.config import PROJECT_FILE, load_project
from banyan.departments import SourceRef
from estate.bureau import generate_bureau
from estate.bureau_load import write_bureau
from sync.assembly import open_rig
from sync.scope import ScopeFinder
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

FILES = ("480001", "480010")
_BUREAU = """\
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [cases, vehicles, custody]
    sources:
      BUREAU:
        {medium: sqlite, url: brigades, files: [480001.db, 480010.db], fence: closed_window, rules: rules/bureau}
"""
_CASE = (
    "select c.id from mig.crosswalk c join mig.source_table t using (source_table_no)"
    " where t.table_name = %s and c.source_key = '1'"
)


@pytest.fixture
def project(cluster, tmp_path) -> TestProject:
    made = make_project(cluster, tmp_path / "project")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", made.folder / "rules" / "bureau")
    write_bureau(generate_bureau("S", 1), made.folder / "brigades")
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(head + _BUREAU)
    assert made.banyan("load", "48") == 0
    return made


def test_keys_of_two_files_never_mix_and_what_is_born_goes_into_the_file_it_belongs_to(project):
    new = {name: UUID(bytes=new_id()) for name in ("case", "alone", *FILES, "suspect")}
    url = f"host=127.0.0.1 port={project.port} user=postgres dbname={project.store}"
    with psycopg.connect(url) as connection:
        ids = {file: connection.execute(_CASE, (f"{file}/AFFAIRES",)).fetchone()[0] for file in FILES}
        for table in ("case_file", "evidence", "participation"):  # as the new application will, once it owns them
            connection.execute(f"alter table justice.{table} disable trigger user")
        connection.execute(
            "insert into justice.case_file (id, department_code, domain_code, origin, case_number,"
            " case_number_normalised) values (%s, '48', 'cases', 'TARGET', '900/26', '900/26')",
            (new["case"],),
        )
        for name, case in (*((file, ids[file]) for file in FILES), ("alone", None)):
            connection.execute(
                "insert into justice.evidence (id, department_code, domain_code, origin, case_file_id, seal_number)"
                " values (%s, '48', 'custody', 'TARGET', %s, '77')",
                (new[name], case),
            )
        connection.execute(
            "insert into justice.participation (id, department_code, domain_code, origin, case_file_id, role_code)"
            " values (%s, '48', 'cases', 'TARGET', %s, 'SUSPECT')",
            (new["suspect"], ids["480010"]),
        )
        connection.commit()
        with opened(load_project(project.folder)) as workspace:
            rig = open_rig(workspace, SourceRef("48", "BUREAU"))
            relations = {"case": "case_file", "suspect": "participation"}
            changed = pl.DataFrame(
                [(relations.get(name, "evidence"), one.bytes) for name, one in new.items()],
                schema={"relation": pl.String, "id": pl.Binary},
                orient="row",
            )
            found = ScopeFinder(connection, "48", rig.book, rig.table_numbers).find(changed)

    born = {table: set(scope.born) for table, scope in found.tables.items() if scope.born.len()}
    assert ids["480001"] != ids["480010"]
    assert born == {
        "480001/AFFAIRES": {new["case"].bytes},
        "480001/SCELLES": {new["480001"].bytes, new["alone"].bytes},
        "480010/SCELLES": {new["480010"].bytes},
    }
    assert ids["480010"].bytes in set(found.tables["480010/AFFAIRES"].parts["case"]["id"])
