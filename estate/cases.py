"""Units, officers, cases and facts, before anything is spoiled."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from estate.drawing import (
    ESTATE_DAY,
    Booleans,
    Integers,
    Seed,
    days_of,
    hours,
    integers_text,
    pick,
    stamps,
    yyyymmdd,
)  # fmt: skip
from estate.places import find_place
from estate.vocabulary import codes_of, communes, offences

LAST_DAY = days_of(ESTATE_DAY)
RETENTION_DAY = days_of(date(ESTATE_DAY.year - 22, ESTATE_DAY.month, ESTATE_DAY.day))
_FIRST_DAY = days_of(date(1988, 1, 4))
_TEN_YEARS = days_of(date(ESTATE_DAY.year - 10, ESTATE_DAY.month, ESTATE_DAY.day))
_PAST_RETENTION_SHARE = 0.42
_REMARKS = [
    None, "RAS", "Voir PV n° 3", "Victime rappelée, sans réponse", "Transmis pour attribution au parquet",
    "Dossier repris de l'ancienne base ; pièces à la cote C2", "Auteur(s) inconnu(s) — « enquête de voisinage »",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of an estate and what the tables below them need to know."""

    frame: pl.DataFrame
    keys: pl.Series
    opened: Integers
    unit: Integers
    deleted: Booleans
    confidential: Booleans
    units: pl.DataFrame
    agents: pl.DataFrame
    agents_per_unit: int

    def agent_of(self, case: Integers, stream: np.random.Generator) -> pl.Series:
        """Draw an officer of the unit of each case."""
        row = self.unit[case] * self.agents_per_unit + stream.integers(0, self.agents_per_unit, len(case))
        return self.agents["id_agent"].gather(row)


def legacy_keys(stream: np.random.Generator, size: int) -> pl.Series:
    """Draw rising keys with the gaps that cancelled transactions leave; nothing below 1001 is used."""
    return integers_text(1000 + np.cumsum(stream.integers(1, 4, size)))


def deletion_flags(deleted: Booleans) -> pl.Series:
    """Write a soft delete as ORION does."""
    return pl.Series(np.where(deleted, "O", "N"))


def later_days(stream: np.random.Generator, days: Integers, at_most: int) -> Integers:
    """Draw a day at or after each day, never after the day the estate stops at."""
    later: Integers = np.minimum(days + stream.integers(0, at_most + 1, len(days)), LAST_DAY)
    return later


def draw_cases(seed: Seed, size: int) -> Cases:
    """Draw units, officers and `size` cases in the order of their opening."""
    stream = seed.stream("t_proc")
    units = _units(seed, min(75, max(12, size // 20)))
    agents_per_unit = min(14, max(3, size // 60))
    agents = _agents(seed, units, agents_per_unit)
    opened = _opening_days(stream, size)
    unit = stream.integers(0, units.height, size)
    deleted = stream.random(size) < 0.005
    confidential = ~deleted & (stream.random(size) < 0.02)
    confidential[stream.choice(np.flatnonzero(~deleted), 3, replace=False)] = True
    keys = legacy_keys(stream, size)
    state = _states(stream, opened)
    sent = later_days(stream, opened + 5, 240)
    closed = later_days(stream, sent, 900)
    is_sent = pl.Series(state != "E")
    courts = [code for code, _ in find_place(seed.department_code).courts]
    officer = unit * agents_per_unit + stream.integers(0, agents_per_unit, size)
    last = np.where(state == "C", closed, np.where(state == "T", np.minimum(sent, LAST_DAY), opened))
    frame = pl.DataFrame(
        {
            "id_proc": keys,
            "num_proc": _case_numbers(unit, opened),
            "id_unite": units["id_unite"].gather(unit),
            "id_agent": agents["id_agent"].gather(officer),
            "type_proc": pick(stream, codes_of("type_proc"), [2, 62, 12, 18, 3, 3], size),
            "cadre": pick(stream, ["FL", "PR", "CR", "RC"], [46, 45, 6, 3], size),
            "dt_ouv": yyyymmdd(opened),
            "dt_clo": yyyymmdd(closed).set(pl.Series(state != "C"), "0"),
            "dt_trans": yyyymmdd(np.minimum(sent, LAST_DAY)).set(~is_sent, "0"),
            "code_tj": pick(stream, courts, [55, 25, 20][: len(courts)], size),
            "num_parquet": (
                yyyymmdd(sent).str.slice(2, 2) + "/" + integers_text(stream.integers(1, 999_999, size)).str.zfill(6)
            ).set(~is_sent, None),
            "statut": pl.Series(state),
            "confid": pl.Series(np.where(confidential, "X", " ")),
            "observ": pick(stream, _REMARKS, [60, 15, 8, 6, 5, 3, 3], size),
            "flag3": pick(stream, [None, "A", " "], [85, 5, 10], size),
            "top_supp": deletion_flags(deleted),
            "dt_maj": stamps(later_days(stream, last, 60), stream),
        }
    )
    return Cases(frame, keys, opened, unit, deleted, confidential, units, agents, agents_per_unit)


def draw_facts(seed: Seed, cases: Cases, size: int) -> tuple[pl.DataFrame, Integers]:
    """Draw the facts of the cases, at least one each; gives them with the case row of each."""
    stream = seed.stream("t_fait")
    case = spread(stream, len(cases.keys), size)
    opened = cases.opened[case]
    happened = opened - np.minimum(stream.geometric(0.12, size) - 1, 900)
    ended = np.minimum(happened + stream.integers(0, 30, size), opened)
    known = offences().filter(pl.col("valid_to") == "99999999")
    offence = known[stream.integers(0, known.height, size)]
    solved = stream.random(size) < 0.35
    deleted = cases.deleted[case] | (stream.random(size) < 0.015)
    frame = pl.DataFrame(
        {
            "id_fait": legacy_keys(stream, size),
            "id_proc": cases.keys.gather(case),
            "natinf": offence["natinf"],
            "index_4001": offence["index_4001"],
            "lib_fait": offence["label"].str.to_uppercase(),
            "dt_fait": yyyymmdd(happened),
            "h_fait": hours(stream, size, blank_share=0.2),
            "dt_fait_fin": yyyymmdd(ended).set(pl.Series(stream.random(size) < 0.7), None),
            "tentative": pick(stream, [" ", "N", "O"], [60, 33, 7], size),
            "elucide": pl.Series(np.where(solved, "O", "N")),
            "dt_eluc": yyyymmdd(later_days(stream, opened, 200)).set(pl.Series(~solved), "0"),
            "top_supp": deletion_flags(deleted),
            "dt_maj": stamps(later_days(stream, opened, 250), stream),
            "_opened": pl.Series(opened),
        }
    )
    return frame, case


def spread(stream: np.random.Generator, parents: int, size: int) -> Integers:
    """Give each parent one child, spread the rest, in the order of the parents."""
    rest = stream.integers(0, parents, max(0, size - parents))
    every: Integers = np.concatenate([np.arange(parents), rest])
    return np.sort(every)


def _opening_days(stream: np.random.Generator, size: int) -> Integers:
    old = round(size * _PAST_RETENTION_SHARE)
    middle = round(size * 0.28)
    days = np.concatenate(
        [
            stream.integers(_FIRST_DAY, RETENTION_DAY, old),
            stream.integers(RETENTION_DAY, _TEN_YEARS, middle),
            stream.integers(_TEN_YEARS, LAST_DAY - 2, size - old - middle),
        ]
    )
    return np.sort(days)


def _states(stream: np.random.Generator, opened: Integers) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    age = LAST_DAY - opened
    chance = stream.random(len(opened))
    is_open = chance < np.where(age < 150, 0.75, np.where(age < 1500, 0.12, 0.01))
    return np.where(is_open | (age < 10), "E", np.where(chance > 0.8, "T", "C"))


def _case_numbers(unit: Integers, opened: Integers) -> pl.Series:
    frame = pl.DataFrame({"unit": unit, "year": yyyymmdd(opened).str.slice(0, 4)})
    number = pl.int_range(1, pl.len() + 1).over("unit", "year").cast(pl.String).str.zfill(5)
    return frame.select(number + "/" + pl.col("year")).to_series()


def _units(seed: Seed, size: int) -> pl.DataFrame:
    stream = seed.stream("t_unite")
    seats = communes(seed.department_code)
    seat = np.arange(size) % seats.height
    kind = pick(stream, ["BTA", "COB", "BR", "PSIG", "BT"], [50, 30, 6, 6, 8], size)
    began = np.sort(stream.integers(days_of(date(1985, 1, 1)), days_of(date(1987, 12, 31)), size))
    frame = pl.DataFrame(
        {
            "id_unite": legacy_keys(stream, size),
            "code_unite": seed.department_code + integers_text(np.arange(1, size + 1)).str.zfill(4),
            "type_unite": kind,
            "lib_unite": kind + " " + seats["name"].gather(seat),
            "code_commune": seats["code"].gather(seat),
            "dt_deb": yyyymmdd(began),
            "dt_maj": stamps(began, stream),
        }
    )
    closed = pl.when(pl.col("type_unite") == "BT").then(pl.lit("20020831")).otherwise(pl.lit("99999999"))
    return frame.with_columns(dt_fin=closed)


def _agents(seed: Seed, units: pl.DataFrame, per_unit: int) -> pl.DataFrame:
    stream = seed.stream("t_agent")
    size = units.height * per_unit
    return pl.DataFrame(
        {
            "id_agent": legacy_keys(stream, size),
            "matricule": integers_text(100_000 + stream.permutation(size) * 7),
            "grade": pick(stream, codes_of("grade"), [12, 30, 14, 22, 14, 5, 2, 1], size),
            "id_unite": units["id_unite"].gather(np.repeat(np.arange(units.height), per_unit)),
            "qualif": pick(stream, ["OPJ", "APJ", "APJA"], [55, 33, 12], size),
            "dt_maj": stamps(stream.integers(LAST_DAY - 3000, LAST_DAY, size), stream),
        }
    )
