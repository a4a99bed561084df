"""Statistics parity: index of the état 4001 by month, counted twice, in pandas, sharing no mapping code.

The legacy side is counted from the raw text of the rows; the canonical side from the records. Both figures must be
equal once the rows that a named rule filtered, or that wait in quarantine, are taken out line by line. The états are
monthly and by index since 1972 (domain study B.2); a statistic that breaks at a migration is cause 11 of failed ones.

A fact whose day or hour the new system does not hold (a field in quarantine, an hour that a change of clock skipped)
keeps its index and leaves its month: it is explained out of the one and into `unknown`, never silently.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sqlalchemy as sa

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.ports import LegacyPort
from validation.facts import Total
from validation.text import Text

UNKNOWN_MONTH = "unknown"
NO_INDEX = "none"
FACTS_TABLE = "t_fait"
FACTS_COLUMNS = ("id_fait", "index_4001", "dt_fait", "h_fait", "top_supp")
_ROWS_PER_READ = 50_000
_NAMED = 3

FieldLeftOut = tuple[str, str]
"""A legacy key and a column whose value waits in quarantine while the row is loaded."""


@dataclass(frozen=True, slots=True)
class StatisticLine:
    """One index in one month, on both sides, with what named lists explain; negative when they add to a month."""

    index: str
    month: str
    legacy: int
    explained: int
    canonical: int

    @property
    def difference(self) -> int:
        """Give what stays unexplained; zero is the only good figure."""
        return self.legacy - self.explained - self.canonical

    @property
    def place(self) -> str:
        """Name the line as people do: index and month."""
        return f"index {self.index}, {self.month}"


def read_facts(port: LegacyPort) -> pd.DataFrame:
    """Read the facts of a legacy system as raw text, by key ranges; only the columns a statistic needs."""
    frames = [
        port.read_range(FACTS_TABLE, keys).rows.select(FACTS_COLUMNS).to_pandas()
        for keys in port.plan_ranges(FACTS_TABLE, _ROWS_PER_READ)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(FACTS_COLUMNS))


def _text(raw: pd.Series) -> pd.Series:
    return raw.astype("str").where(raw.notna(), "").str.strip()


def _days(raw: pd.Series) -> pd.Series:
    digits = _text(raw)
    # 0, 99999999, 19560000 and 19800231 are not days: they count, under a month nobody knows
    return pd.to_datetime(digits.where(digits.str.fullmatch(r"\d{8}")), format="%Y%m%d", errors="coerce")


def _months(instants: pd.Series) -> pd.Series:
    return instants.dt.strftime("%Y-%m").fillna(UNKNOWN_MONTH)


def _index(raw: pd.Series) -> pd.Series:
    return _text(raw).str.replace(r"^0+(?=\d)", "", regex=True).replace("", NO_INDEX)


def _skipped(days: pd.Series, hours: pd.Series, time_zone: str) -> pd.Series:
    """Tell which local hours no clock ever showed."""
    clock = _text(hours)
    clock = clock.where(clock.str.fullmatch(r"([01]\d|2[0-3])[0-5]\d"), "0000")
    local = days + pd.to_timedelta(clock.str[:2].astype(int) * 60 + clock.str[2:].astype(int), unit="min")
    told_twice_is_summer = np.ones(len(local), dtype=np.bool_)
    existing = local.dt.tz_localize(time_zone, nonexistent="NaT", ambiguous=told_twice_is_summer)
    return local.notna() & existing.isna()


def count_legacy(
    facts: pd.DataFrame,
    left_out: Collection[str],
    *,
    time_zone: str,
    fields_left_out: Collection[FieldLeftOut] = (),
) -> pd.DataFrame:
    """Count raw rows of t_fait by index and month; `left_out` are the keys a list explains, soft deletes do not count.

    Gives columns legacy and explained, by index and month.
    """
    kept = facts[_text(facts["top_supp"]) != "O"]
    keys, days = _text(kept["id_fait"]), _days(kept["dt_fait"])
    undated = {key for key, column in fields_left_out if column in ("dt_fait", "h_fait")}
    unindexed = {key for key, column in fields_left_out if column == "index_4001"}
    index, month = _index(kept["index_4001"]), _months(days)
    gone = keys.isin(set(left_out))
    to_month = month.mask(keys.isin(undated) | _skipped(days, kept["h_fait"], time_zone), UNKNOWN_MONTH)
    to_index = index.mask(keys.isin(unindexed), NO_INDEX)
    leaves = gone | (to_month != month) | (to_index != index)
    arrives = leaves & ~gone
    counts = pd.DataFrame(
        {
            "legacy": _count(index, month),
            "leaving": _count(index[leaves], month[leaves]),
            "arriving": _count(to_index[arrives], to_month[arrives]),
        }
    )
    counts = counts.fillna(0).astype(int)
    return counts.assign(explained=counts["leaving"] - counts["arriving"])[["legacy", "explained"]]


def _count(index: pd.Series, month: pd.Series) -> pd.Series:
    return pd.DataFrame({"index": index, "month": month}).groupby(["index", "month"]).size()


def count_canonical(connection: sa.Connection, department_code: str, time_zone: str) -> pd.DataFrame:
    """Count canonical offences of a department by index and month of the incident in the department's zone."""
    records = pd.read_sql(
        sa.text(
            "select cast(o.statistical_index_code as text) as index_code, i.occurred_from"
            " from justice.offense o left join justice.incident i"
            " on i.id = o.incident_id and i.department_code = o.department_code"
            " where o.department_code = :department"
        ),
        connection,
        params={"department": department_code},
    )
    instants = pd.to_datetime(records["occurred_from"], utc=True, errors="coerce")
    counted = _count(_index(records["index_code"]), _months(instants.dt.tz_convert(time_zone)))
    return counted.to_frame("canonical").astype(int)


def compare_statistics(legacy: pd.DataFrame, canonical: pd.DataFrame) -> list[StatisticLine]:
    """Put both counts beside each other, every index and month of either side, in order."""
    both = legacy.join(canonical, how="outer").fillna(0).astype(int).sort_index()
    return [
        StatisticLine(str(index), str(month), int(row.legacy), int(row.explained), int(row.canonical))
        for (index, month), row in both.iterrows()
    ]


def statistics_level(
    legacy_facts: pd.DataFrame,
    left_out: Collection[str],
    canonical: pd.DataFrame,
    *,
    time_zone: str,
    fields_left_out: Collection[FieldLeftOut] = (),
) -> tuple[LevelResult, tuple[StatisticLine, ...]]:
    """Judge the statistics part of L5: raw facts as `read_facts` gives them, canonical as `count_canonical` does.

    `left_out` are the legacy keys filtered or in quarantine as rows; `fields_left_out` those loaded without a field.
    Nothing counted on the legacy side is an ERROR: it proves nothing.
    """
    legacy = count_legacy(legacy_facts, left_out, time_zone=time_zone, fields_left_out=fields_left_out)
    lines = tuple(compare_statistics(legacy, canonical))
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
    sentence = f"statistics of {len(lines)} indexes and months: {said}"
    return LevelResult("L5", state, sentence, figures, findings), lines


def _name(different: list[StatisticLine]) -> str:
    named = "; ".join(line.place for line in different[:_NAMED])
    more = len(different) - _NAMED
    return f"{len(different)} differ: {named}" + (f"; and {more} more" if more > 0 else "")


def total_by_index(lines: Collection[StatisticLine]) -> tuple[Total, ...]:
    """Give one total an index for the evidence; months that cancel each other out are seen by the level, not here."""
    totals = []
    for index in sorted({line.index for line in lines}, key=lambda text: (len(text), text)):
        own = [line for line in lines if line.index == index]
        explained = sum(line.explained for line in own)
        is_exact = all(line.difference == 0 for line in own)
        totals.append(
            Total(
                _index_label(index),
                legacy=sum(line.legacy for line in own),
                canonical=sum(line.canonical for line in own),
                explanation=_explanation(explained) if explained and is_exact else None,
            )
        )
    return tuple(totals)


def _index_label(index: str) -> Text:
    if index == NO_INDEX:
        return Text("Faits sans index de l’état 4001", "Facts without an index of the état 4001")
    return Text(f"Index {index} de l’état 4001", f"Index {index} of the état 4001")


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
