"""ORION of one department, from a seed: sixteen tables, their code tables, and the ledger of what is wrong."""

import hashlib
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import polars as pl

from banyan.errors import UsageError
from estate.belongings import (
    draw_detentions,
    draw_dispositions,
    draw_documents,
    draw_logbook,
    draw_objects,
    draw_seals,
    draw_vehicles,
)  # fmt: skip
from estate.cases import draw_cases, draw_facts
from estate.deviations import plant_local, write_locally
from estate.drawing import Seed
from estate.people import draw_people
from estate.places import Flavour, departments_of, find_place
from estate.planting import plant_all
from estate.schema import LegacyColumn, key_column, legacy_tables
from estate.spoiling import Spoiler
from estate.vocabulary import code_values

DEPARTMENTS = departments_of(Flavour.ORION)


class Size(Enum):
    """A fraction of the real volume."""

    XS = 2000
    S = 200
    M = 20
    L = 1


@dataclass(frozen=True, slots=True)
class Estate:
    """A legacy system as it would be found: raw text columns or null, and what is wrong with them."""

    department_code: str
    tables: dict[str, pl.DataFrame] = field(repr=False)
    defects: pl.DataFrame = field(repr=False)

    @property
    def row_count(self) -> int:
        """Give the number of rows of all tables but code tables."""
        return sum(frame.height for name, frame in self.tables.items() if not name.startswith("r_"))

    def digest(self) -> str:
        """Give a SHA-256 of every value of every table, in order."""
        whole = hashlib.sha256()
        for name, frame in self.tables.items():
            whole.update(name.encode() + b"\0")
            whole.update(frame.write_csv(quote_style="non_numeric", null_value="\\N").encode())
        return whole.hexdigest()


def parse_size(text: str) -> Size:
    """Read XS, S, M or L."""
    try:
        return Size[text.upper()]
    except KeyError:
        raise UsageError(f"{text!r} is not a size; nothing was generated", hint="use --size XS, S, M or L") from None


def generate(size: str, seed: int, department: str = "38") -> Estate:
    """Draw the ORION of a department; the same size, seed and department give the same bytes everywhere."""
    if department not in DEPARTMENTS:
        raise UsageError(
            f"department {department!r} has no ORION in the synthetic estate; nothing was generated",
            hint=f"use one of {', '.join(DEPARTMENTS)}",
        )
    count = round(find_place(department).cases_in_ten_years / parse_size(size).value)
    of = Seed(seed, department)
    cases = draw_cases(of, count)
    facts = draw_facts(of, cases, round(count * 1.15))
    people = draw_people(of, cases, round(count * 1.9), round(count * 1.6), round(count * 1.1))
    involved, suspects = people.involvements, people.suspect_rows
    dispositions, cleared = draw_dispositions(of, cases, suspects, involved, facts, round(count * 0.35))
    off_file = pl.Series(np.isin(np.arange(involved.height), cleared))
    objects = draw_objects(of, cases, round(count * 0.6))
    seals, transfers = draw_seals(of, cases, objects, round(count * 0.12))
    clean = {
        "t_unite": cases.units,
        "t_agent": cases.agents,
        "t_proc": cases.frame,
        "t_fait": facts[0],
        "t_personne": people.persons,
        "t_implic": involved.with_columns(top_supp=involved["top_supp"].set(off_file, "O")),
        "t_suite": dispositions,
        "t_adresse": people.addresses,
        "t_tel": people.telephones,
        "t_vehic": draw_vehicles(of, cases, round(count * 0.18)),
        "t_objet": objects[0],
        "t_piece": draw_documents(of, cases, round(count * 4.5)),
        "t_scelle": seals,
        "t_mvt_scelle": transfers,
        "t_gav": draw_detentions(of, cases, suspects, involved, round(count * 0.08)),
        "t_mainc": draw_logbook(of, cases, round(count * 1.6)),
    }
    spoiler = Spoiler(of, clean, key_column)
    plant_all(spoiler, people)
    plant_local(spoiler, department)
    tables = {
        name: spoiler.tables[name].select(_as_stored(column) for column in columns)
        for name, columns in legacy_tables().items()
        if name.startswith("t_")
    }
    return Estate(department, write_locally(tables | _code_tables(), department), spoiler.ledger())


def _as_stored(column: LegacyColumn) -> pl.Expr:
    stored = pl.col(column.name).cast(pl.String)
    return stored.str.pad_end(column.width, " ") if column.is_padded else stored


def _code_tables() -> dict[str, pl.DataFrame]:
    names = [name for name in legacy_tables() if name.startswith("r_")]
    return {
        name: code_values()
        .filter(pl.col("table") == name.removeprefix("r_"))
        .select(code="code", libelle="label", dt_deb="valid_from", dt_fin="valid_to")
        for name in names
    }
