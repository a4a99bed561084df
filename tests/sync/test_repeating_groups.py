"""Born in the new system, a suspect finds a free place in the wide legacy row; a fourth one is listed, never lost."""

from dataclasses import dataclass

import polars as pl
import pytest
import sqlalchemy as sa
from stores import own

from banyan.departments import Closure, Department
from mappings.engine import Lookups, apply_forward, compile_ruleset, write_back
from mappings.ruleset import load_rulebook
from store.install import Registration, SourceSystem, add_department
from store.postgres import raw
from store.records import RowsPlace, write_crosswalk, write_parts
from sync.scope import ScopeFinder
from tests.mappings.test_repeats import CONTEXT, rows_of, write

pytestmark = pytest.mark.server

LOZERE = Registration(
    Department("48", "Lozère", "Europe/Paris", 1),
    (SourceSystem("BUREAU", "sqlite", "UTF-8", ("affaires",)),),
    (Closure("48", ("cases",), ("affaires",), ()),),
)
INSERT_PARTICIPATION = sa.text(
    "insert into justice.participation (id, department_code, domain_code, origin, case_file_id, person_identity_id,"
    " role_code, role_sequence) values (:id, '48', 'cases', 'TARGET', :case, :who, :role, :number)"
)
INSERT_IDENTITY = sa.text(
    "insert into justice.person_identity (id, department_code, domain_code, origin, surname, sex_code)"
    " values (:id, '48', 'cases', 'TARGET', :surname, 'F')"
)


@dataclass
class Wide:
    """One wide row in the store, people who add suspects to it, and the way back."""

    place: object
    book: object
    plans: object
    mapped: object

    @property
    def case(self) -> bytes:
        return self.mapped.crosswalk["id"][0]

    def add(self, letter: bytes, surname: str, number: int | None, role: str = "SUSPECT") -> None:
        person, part = letter * 16, letter.lower() * 16
        with self.place.transaction() as connection:
            connection.execute(INSERT_IDENTITY, {"id": _uuid(person), "surname": surname})
            connection.execute(
                INSERT_PARTICIPATION,
                {"id": _uuid(part), "case": _uuid(self.case), "who": _uuid(person), "role": role, "number": number},
            )

    def find(self, *changed: tuple[str, bytes]):
        frame = pl.DataFrame(changed, schema={"relation": pl.String, "id": pl.Binary}, orient="row")
        with self.place.transaction() as connection:
            numbers = {"affaires": self.place.table_no("affaires")}
            return ScopeFinder(raw(connection), "48", self.book, numbers).find(frame)

    def write_back(self, scope):
        found = scope.tables["affaires"]
        return write_back(self.plans, found.parts, self.mapped.crosswalk, Lookups())


def _uuid(value: bytes) -> str:
    return value.hex()


@pytest.fixture
def wide(make_store, tmp_path) -> Wide:
    place = make_store()
    add_department(place.engine(), LOZERE)
    own(place, "LEGACY")
    book = load_rulebook(write(tmp_path / "rules"))
    plans = compile_ruleset(book.rulesets["affaires"], book, CONTEXT)
    mapped = apply_forward(plans, rows_of(("vol", "DURAND", "M", None, None, "MARTIN", "F", None, None)), CONTEXT)
    tables = {part.name: part.table for part in plans.ruleset.parts}
    links = mapped.links.with_columns(
        pl.col("part").replace_strict(tables, return_dtype=pl.String).alias("canonical_table")
    )
    with place.transaction("banyan_forward") as connection:
        for name, frame in mapped.parts.items():
            if frame.height:
                write_parts(raw(connection), tables[name], frame)
        write_crosswalk(
            raw(connection), RowsPlace("48", place.table_no("affaires"), 1, "AFFAIRES@1"), mapped.crosswalk, links
        )
    own(place, "CANONICAL")
    return Wide(place, book, plans, mapped)


def test_an_untouched_row_is_read_whole_place_by_place(wide: Wide):
    scope = wide.find(("case_file", wide.case))

    assert scope.without_place.is_empty()
    assert [scope.tables["affaires"].parts[f"suspect.{n}"].height for n in (1, 2, 3)] == [1, 0, 1]
    assert wide.write_back(scope).rows.row(0)[2:8] == ("DURAND", "M", None, None, "MARTIN", "F")


def test_a_suspect_born_in_the_new_system_stands_in_the_free_place_with_its_identity(wide: Wide):
    wide.add(b"P", "NEUF", None)

    scope = wide.find(("participation", b"p" * 16), ("person_identity", b"P" * 16))

    written = wide.write_back(scope)
    assert scope.without_place.is_empty()
    assert written.rows.row(0)[2:8] == ("DURAND", "M", "NEUF", "F", "MARTIN", "F")
    # the number of the place is the row's to say: the record said none
    assert written.degraded.select("column", "kind").rows() == [("role_sequence", "NO_PLACE")]


def test_of_two_who_want_the_free_place_the_one_who_says_its_number_has_it_and_the_other_is_listed(wide: Wide):
    wide.add(b"A", "SANS", None)
    wide.add(b"Z", "DEUX", 2)

    changed = [("participation", b"a" * 16), ("participation", b"z" * 16), ("person_identity", b"A" * 16)]
    scope = wide.find(*changed)

    assert wide.write_back(scope).rows.row(0)[4:6] == ("DEUX", "F")
    assert sorted(scope.without_place.rows()) == [("participation", b"a" * 16), ("person_identity", b"A" * 16)]


def test_a_witness_is_not_taken_for_a_suspect(wide: Wide):
    wide.add(b"W", "TEMOIN", 2, role="WITNESS")

    scope = wide.find(("participation", b"w" * 16), ("case_file", wide.case))

    assert scope.tables["affaires"].parts["suspect.2"].is_empty()

    assert scope.without_place.rows() == [("participation", b"w" * 16)]
