"""Legacy tables as raw text in pandas: read, and put beside the rows they lead to. No rule or lens takes part."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
import polars as pl

from banyan.ports import LegacyPort
from banyan.records import KEY_SEPARATOR
from mappings.several_files import table_in
from validation.declared_behaviour import Behaviour, RawDay, RawRows, Values
from validation.declared_totals import DayForm

KEY = "(key)"
"""The column that holds the key of a row, as the crosswalk writes it; no legacy column has this name."""
NOWHERE = "?"
_ROWS_PER_READ = 50_000
_DAY_SECONDS, _DECIMALS = 86_400, 10
_FIRST_OLE_DAY, _OLE_DAYS = np.datetime64("1899-12-30", "s"), (-328_716, 73_050)  # the years 1000 to 2099

Tables = Mapping[str, pd.DataFrame]


def read_tables(
    port: LegacyPort, behaviour: Behaviour, wanted: Mapping[str, Collection[str]], *, file: str = ""
) -> Tables:
    """Read some columns of legacy tables as text without blanks around, with the key of each row; deleted rows are out.

    A system of several files is read file by file: keys of one mean nothing in another.
    """
    return {table: _read(port, behaviour, table, columns, file) for table, columns in wanted.items()}


def _read(port: LegacyPort, behaviour: Behaviour, table: str, columns: Collection[str], file: str) -> pd.DataFrame:
    declared = behaviour.tables[table]
    names = list(dict.fromkeys((*columns, *declared.key, *declared.deleted)))
    place = table_in(file, table) if file else table
    key = pl.concat_str([pl.col(column) for column in declared.key], separator=KEY_SEPARATOR).alias(KEY)
    frames = [
        port.read_range(place, keys).rows.select(key, *names).to_pandas()
        for keys in port.plan_ranges(place, _ROWS_PER_READ)
    ]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[KEY, *names])
    text = rows.apply(lambda column: column.astype("str").where(column.notna(), ""))
    text[names] = text[names].apply(lambda column: column.str.strip())
    return text[~_holds_any(text, declared.deleted)].reset_index(drop=True)


def columns_of(behaviour: Behaviour, rows: RawRows, named: Iterable[str]) -> dict[str, set[str]]:
    """Give the columns that are read of each table for some rows, what names them, and the way there."""
    wanted: dict[str, set[str]] = {rows.table: {*rows.where, *rows.unless}}
    for column in named:
        here = rows.table
        for leads, to in behaviour.way(rows.table, column):
            wanted.setdefault(here, set()).add(leads)
            here = to
        wanted.setdefault(here, set()).add(column.rpartition(".")[2])
    return wanted


def select(tables: Tables, rows: RawRows) -> pd.DataFrame:
    """Give the rows that hold all of the texts of a declaration and none that it leaves out."""
    found = tables[rows.table]
    for column, values in rows.where.items():
        found = found[found[column].isin(values)]
    return found[~_holds_any(found, rows.unless)]


def _holds_any(rows: pd.DataFrame, values: Values) -> pd.Series:
    held = pd.Series(data=False, index=rows.index, dtype=bool)
    for column, meant in values.items():
        held |= rows[column].isin(meant)
    return held


def follow(rows: pd.DataFrame, tables: Tables, way: Iterable[tuple[str, str]], column: str) -> pd.Series:
    """Give what a column says at the end of a way, for each row; NOWHERE when there is no row, or nothing in it."""
    here = rows
    steps = tuple(way)
    for leads, to in steps:
        there = tables[to].drop_duplicates(KEY).set_index(KEY)
        here = there.reindex(here[leads].to_numpy()).set_axis(rows.index)
        here = here.fillna("")
    said = here[column]
    return said.where(said != "", NOWHERE) if steps else said


def leads_to(
    rows: pd.DataFrame, tables: Tables, way: Iterable[tuple[str, str]], keys: Mapping[str, Collection[str]]
) -> pd.Series:
    """Tell which rows lead, at any step of a way, to one of some keys of the table there."""
    found = pd.Series(data=False, index=rows.index, dtype=bool)
    here = rows
    for leads, to in way:
        found |= here[leads].isin(list(keys.get(to, ())))
        there = tables[to].drop_duplicates(KEY).set_index(KEY)
        here = there.reindex(here[leads].to_numpy()).set_axis(rows.index).fillna("")
    return found


def instants(rows: pd.DataFrame, day: RawDay) -> pd.Series:
    """Give the local moment that a row says, without a zone; NaT where it says none."""
    text = rows[day.column]
    match day.form:
        case DayForm.COMPACT:
            # 0, 99999999, 19560000 and 19800231 are no days
            days = pd.to_datetime(text.where(text.str.fullmatch(r"\d{8}")), format="%Y%m%d", errors="coerce")
            return days if day.hour is None else days + _clock(rows[day.hour])
        case DayForm.ISO:
            days = pd.to_datetime(text.str.extract(r"^(\d{4}-\d{2}-\d{2})")[0], format="%Y-%m-%d", errors="coerce")
            return days + _clock(text.str.extract(r"[ T](\d{2}:\d{2})")[0].str.replace(":", "").fillna(""))
        case DayForm.OLE:
            return _ole(text)


def years(rows: pd.DataFrame, day: RawDay) -> pd.Series:
    """Give the year that a row says, as it is written; of a number of days, the year it falls in."""
    if day.form is DayForm.OLE:
        return _ole(rows[day.column]).dt.strftime("%Y").fillna("")
    return rows[day.column].str[:4]


def _clock(text: pd.Series) -> pd.Series:
    known = text.where(text.str.fullmatch(r"([01]\d|2[0-3])[0-5]\d"), "0000")
    return pd.to_timedelta(known.str[:2].astype(int) * 60 + known.str[2:].astype(int), unit="min")


def _ole(text: pd.Series) -> pd.Series:
    """Read numbers of days since 1899-12-30 with a part of a day, in whole numbers: never through a float."""
    told = text.str.extract(r"^(-?\d{1,7})(?:\.(\d+))?$")
    days = pd.to_numeric(told[0], errors="coerce").astype("Int64")
    days = days.where(days.between(*_OLE_DAYS))
    decimals = (
        told[1].fillna("0").str.slice(0, _DECIMALS).str.pad(_DECIMALS, side="right", fillchar="0").astype("int64")
    )
    seconds = (decimals * _DAY_SECONDS + 10**_DECIMALS // 2) // 10**_DECIMALS
    whole = (days.fillna(0) * _DAY_SECONDS + seconds).astype("int64").to_numpy()
    moments = pd.Series(_FIRST_OLE_DAY + whole.astype("timedelta64[s]"), index=text.index)
    return moments.where(days.notna())
