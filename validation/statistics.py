"""Statistics parity: index of the état 4001 by month and unit, counted twice, in pandas, sharing no mapping code.

The legacy side is counted from the raw text of the rows, by what the legacy system declares (`declared_behaviour`); the
canonical side from the records. Both figures must be equal once the rows that a named rule filtered, or that wait in
quarantine, are taken out line by line. The états are monthly, by unit and by index since 1972 (domain study B.2); a
statistic that breaks at a migration is cause 11 of failed ones.

A fact whose day or hour the new system does not hold (a field in quarantine, an hour that a change of clock skipped)
keeps its index and leaves its month: it is explained out of the one and into `unknown`, never silently. A fact whose
unit, or the way to it, waits in quarantine leaves its unit in the same way.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import sqlalchemy as sa

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.ports import LegacyPort
from mappings.several_files import table_in
from validation.declared_behaviour import BEHAVIOUR_FILE, Behaviour, StatisticFacts
from validation.facts import Total
from validation.open_work import Keys
from validation.raw_rows import KEY, NOWHERE, Tables, columns_of, follow, instants, leads_to, read_tables, select
from validation.text import Text

UNKNOWN_MONTH = "unknown"
NO_INDEX = "none"
NO_UNIT = NOWHERE
_NAMED = 3
_LINE = ["index", "month", "unit"]

LeftOut = Mapping[str, Mapping[str, Collection[str | None]]]
"""By legacy table and key: columns that wait in quarantine while the row is loaded; None for a row that is not."""


@dataclass(frozen=True, slots=True)
class StatisticLine:
    """One index in one month of one unit, on both sides, with what lists explain; negative when they add."""

    index: str
    month: str
    unit: str
    legacy: int
    explained: int
    canonical: int

    @property
    def difference(self) -> int:
        """Give what stays unexplained; zero is the only good figure."""
        return self.legacy - self.explained - self.canonical

    @property
    def place(self) -> str:
        """Name the line as people do: index, month and unit."""
        return f"index {self.index}, {self.month}, unit {self.unit}"


@dataclass(frozen=True, slots=True)
class RawFacts:
    """The facts of a legacy system, as raw text: one line each, with where each of them leads."""

    rows: pd.DataFrame = field(repr=False)
    """Columns file, key, index, moment (local, no zone) and unit."""
    led: Callable[[Keys], pd.Series] = field(repr=False)
    """Which of the lines are of some keys, by table, or lead to one of them."""
    lost: Callable[[LeftOut], pd.DataFrame] = field(repr=False)
    """For each line, what lists leave out of it: columns gone, undated, unindexed, nowhere."""


def read_facts(
    port: LegacyPort, behaviour: Behaviour, counted: StatisticFacts, *, in_files: Sequence[str] = ("",)
) -> RawFacts:
    """Read the facts of a legacy system as raw text, by key ranges; only the columns a statistic needs."""
    named = [*(counted.day.columns if counted.day else ()), *filter(None, (counted.index, counted.unit))]
    wanted = columns_of(behaviour, counted.rows, named)
    return facts_of({file: read_tables(port, behaviour, wanted, file=file) for file in in_files}, behaviour, counted)


def facts_of(read: Mapping[str, Tables], behaviour: Behaviour, counted: StatisticFacts) -> RawFacts:
    """Give the facts of tables that were read, file by file."""
    own = counted.rows.table
    way = behaviour.way(own, counted.unit) if counted.unit else ()
    chosen = {file: select(tables, counted.rows) for file, tables in read.items()}

    def lines(file: str) -> pd.DataFrame:
        rows = chosen[file]
        unit = NO_UNIT
        if counted.unit:
            unit = follow(rows, read[file], way, counted.unit.rpartition(".")[2]).replace("", NO_UNIT)
        return pd.DataFrame(
            {
                "file": file,
                "key": rows[KEY],
                "index": _index(rows[counted.index]) if counted.index else NO_INDEX,
                "moment": instants(rows, counted.day) if counted.day else pd.Series(pd.NaT, rows.index),
                "unit": unit,
            }
        )

    def led(keys: Keys) -> pd.Series:
        found = []
        for file, rows in chosen.items():
            here = {name: keys.get(table_in(file, name) if file else name, ()) for name in behaviour.tables}
            found.append(rows[KEY].isin(list(here[own])) | leads_to(rows, read[file], way, here))
        return pd.concat(found, ignore_index=True)

    def lost(left_out: LeftOut) -> pd.DataFrame:
        found = []
        for file, rows in chosen.items():
            held = {name: left_out.get(table_in(file, name) if file else name, {}) for name in behaviour.tables}
            days = counted.day.columns if counted.day else ()
            found.append(
                pd.DataFrame(
                    {
                        "gone": rows[KEY].isin(_holding(held[own], (None,))),
                        "undated": rows[KEY].isin(_holding(held[own], days)),
                        "unindexed": rows[KEY].isin(_holding(held[own], (counted.index,) if counted.index else ())),
                        "nowhere": _off_the_way(rows, read[file], way, held, counted),
                    }
                )
            )
        return pd.concat(found, ignore_index=True)

    return RawFacts(pd.concat([lines(file) for file in chosen], ignore_index=True), led, lost)


def _holding(held: Mapping[str, Collection[str | None]], columns: Collection[str | None]) -> list[str]:
    return [key for key, waiting in held.items() if set(columns) & set(waiting)]


def _off_the_way(
    rows: pd.DataFrame,
    tables: Tables,
    way: tuple[tuple[str, str], ...],
    held: Mapping[str, Mapping[str, Collection[str | None]]],
    counted: StatisticFacts,
) -> pd.Series:
    """Tell which facts lose their unit to a list: a row or a column on the way to it waits or was filtered."""
    if not counted.unit:
        return pd.Series(data=False, index=rows.index, dtype=bool)
    leaving = [*(column for column, _ in way), counted.unit.rpartition(".")[2]]
    own = rows[KEY].isin(_holding(held[counted.rows.table], (leaving[0],)))
    for place, (_, to) in enumerate(way):
        keys = {to: _holding(held[to], (None, leaving[place + 1]))}
        own |= leads_to(rows, tables, way[: place + 1], keys)
    return own


def _months(instants_: pd.Series) -> pd.Series:
    return instants_.dt.strftime("%Y-%m").fillna(UNKNOWN_MONTH)


def _index(raw: pd.Series) -> pd.Series:
    text = raw.astype("str").where(raw.notna(), "").str.strip()
    return text.str.replace(r"^0+(?=\d)", "", regex=True).replace("", NO_INDEX)


def _skipped(moments: pd.Series, time_zone: str) -> pd.Series:
    """Tell which local hours no clock ever showed."""
    told_twice_is_summer = np.ones(len(moments), dtype=np.bool_)
    existing = moments.dt.tz_localize(time_zone, nonexistent="NaT", ambiguous=told_twice_is_summer)
    return moments.notna() & existing.isna()


def count_legacy(
    facts: RawFacts, left_out: LeftOut, *, time_zone: str, without: pd.Series | None = None
) -> pd.DataFrame:
    """Count the facts of a legacy system by index, month and unit; `left_out` are the lists that explain.

    `without` are lines that are not counted at all. Gives columns legacy and explained.
    """
    lost = facts.lost(left_out)
    rows = facts.rows
    moments = pd.to_datetime(rows["moment"])
    lost = lost.assign(undated=lost["undated"] | _skipped(moments, time_zone))
    rows = rows.assign(month=_months(moments))
    if without is not None:
        rows, lost = rows[~without], lost[~without]
    arrived = rows.assign(
        index=rows["index"].mask(lost["unindexed"], NO_INDEX),
        month=rows["month"].mask(lost["undated"], UNKNOWN_MONTH),
        unit=rows["unit"].mask(lost["nowhere"], NO_UNIT),
    )
    leaves = lost["gone"] | (arrived[_LINE] != rows[_LINE]).any(axis=1)
    counts = pd.DataFrame(
        {
            "legacy": _count(rows),
            "leaving": _count(rows[leaves]),
            "arriving": _count(arrived[leaves & ~lost["gone"]]),
        }
    )
    counts = counts.fillna(0).astype(int)
    return counts.assign(explained=counts["leaving"] - counts["arriving"])[["legacy", "explained"]]


def _count(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby(_LINE).size()


def read_canonical_facts(connection: sa.Connection, department_code: str, time_zone: str) -> pd.DataFrame:
    """Read the offences of a department: id, index, month of the incident in its zone, code of the unit."""
    records = pd.read_sql(
        sa.text(
            "select cast(o.id as text) as id, cast(o.statistical_index_code as text) as index_code, i.occurred_from,"
            " coalesce(nullif(btrim(u.unit_code), ''), :nowhere) as unit"
            " from justice.offense o"
            " left join justice.incident i on i.id = o.incident_id and i.department_code = o.department_code"
            " left join justice.case_file c on c.id = o.case_file_id and c.department_code = o.department_code"
            " left join justice.enforcement_unit u on u.id = c.unit_id and u.department_code = c.department_code"
            " where o.department_code = :department"
        ),
        connection,
        params={"department": department_code, "nowhere": NO_UNIT},
    )
    moments = pd.to_datetime(records["occurred_from"], utc=True, errors="coerce")
    return pd.DataFrame(
        {
            "id": records["id"],
            "index": _index(records["index_code"]),
            "month": _months(moments.dt.tz_convert(time_zone)),
            "unit": records["unit"].astype("str"),
        }
    )


def count_canonical(records: pd.DataFrame, *, with_unit: bool, without: Collection[str] = ()) -> pd.DataFrame:
    """Count canonical offences by index, month and unit; without a unit where the old system declares none."""
    kept = records[~records["id"].isin(list(without))]
    return _count(kept if with_unit else kept.assign(unit=NO_UNIT)).to_frame("canonical").astype(int)


def compare_statistics(legacy: pd.DataFrame, canonical: pd.DataFrame) -> list[StatisticLine]:
    """Put both counts beside each other, every index, month and unit of either side, in order."""
    both = legacy.join(canonical, how="outer").fillna(0).astype(int).sort_index()
    return [
        StatisticLine(str(index), str(month), str(unit), int(row.legacy), int(row.explained), int(row.canonical))
        for (index, month, unit), row in both.iterrows()
    ]


def undeclared_statistics(rules: str) -> LevelResult:
    """Give the ERROR of statistics that nobody declared: nothing was counted."""
    said = f"statistics: not declared: what is counted; declare it in {rules or 'the rules'}/{BEHAVIOUR_FILE}"
    return LevelResult("L5", LevelState.ERROR, said, {"part": "statistics", "undeclared": 1})


def statistics_level(lines: Collection[StatisticLine], *, moving: int = 0) -> LevelResult:
    """Judge the statistics part of L5; `moving` facts are on their way and were left out on both sides.

    Nothing counted on the legacy side is an ERROR: it proves nothing.
    """
    different = [line for line in lines if line.difference]
    counted = sum(line.legacy for line in lines)
    if not counted:
        state, said = LevelState.ERROR, "no fact was counted on the legacy side"
    elif different:
        state, said = LevelState.FAIL, _name(different)
    else:
        state, said = LevelState.PASS, "equal, or explained line by line"
    figures: dict[str, int | str | bool] = {
        "part": "statistics",
        "lines": len(lines),
        "different": len(different),
        "legacy": counted,
        "explained": sum(line.explained for line in lines),
        "canonical": sum(line.canonical for line in lines),
        "moving": moving,
    }
    findings = tuple(
        Finding(
            FindingKind.STATISTIC_DIFFERS,
            Severity.BLOCK,
            "offense",
            line.place,
            cause=f"{line.place}: {line.legacy} - {line.explained} explained <> {line.canonical}",
        )
        for line in different
    )
    return LevelResult("L5", state, f"statistics of {len(lines)} indexes, months and units: {said}", figures, findings)


def _name(different: list[StatisticLine]) -> str:
    named = "; ".join(line.place for line in different[:_NAMED])
    more = len(different) - _NAMED
    return f"{len(different)} differ: {named}" + (f"; and {more} more" if more > 0 else "")


def total_by_index(lines: Collection[StatisticLine]) -> tuple[Total, ...]:
    """Give one total an index for the evidence; months that cancel each other out are seen by the level, not here."""
    indexes = sorted({line.index for line in lines}, key=lambda text: (len(text), text))
    return tuple(_total(_index_label(index), [line for line in lines if line.index == index]) for index in indexes)


def total_by_unit(lines: Collection[StatisticLine]) -> tuple[Total, ...]:
    """Give one total a unit for the evidence; nothing where no unit is known."""
    units = sorted({line.unit for line in lines})
    if units == [NO_UNIT]:
        return ()
    return tuple(_total(_unit_label(unit), [line for line in lines if line.unit == unit]) for unit in units)


def _total(label: Text, own: Collection[StatisticLine]) -> Total:
    explained = sum(line.explained for line in own)
    is_exact = all(line.difference == 0 for line in own)
    legacy, canonical = sum(line.legacy for line in own), sum(line.canonical for line in own)
    rest = legacy - explained
    return Total(
        label,
        legacy=legacy,
        canonical=canonical,
        explanation=_explanation(explained) if explained and is_exact else None,
        problem=_unequal(rest, canonical) if explained and rest != canonical else None,
    )


def _unit_label(unit: str) -> Text:
    if unit == NO_UNIT:
        return Text("Faits sans unité connue", "Facts without a known unit")
    return Text(f"Faits de l’unité {unit}", f"Facts of unit {unit}")


def _index_label(index: str) -> Text:
    if index == NO_INDEX:
        return Text("Faits sans index de l’état 4001", "Facts without an index of the état 4001")
    return Text(f"Index {index} de l’état 4001", f"Index {index} of the état 4001")


def _unequal(rest: int, canonical: int) -> Text:
    return Text(
        f"sans les faits des listes\u202f: {rest} contre {canonical}",
        f"without the facts of lists: {rest} against {canonical}",
    )


def _explanation(explained: int) -> Text:
    if abs(explained) == 1:
        return Text(
            f"{explained} fait écarté par une règle ou en quarantaine, listé",
            f"{explained} fact filtered by a rule or in quarantine, listed",
        )
    return Text(
        f"{explained} faits écartés par une règle ou en quarantaine, listés",
        f"{explained} facts filtered by a rule or in quarantine, listed",
    )
