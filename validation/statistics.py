"""Statistics parity: index of the état 4001 by month, counted twice, in pandas, sharing no mapping code.

The legacy side is counted from the raw text of the rows; the canonical side from the records. Both figures must be
equal once the rows that a named rule filtered, or that wait in quarantine, are taken out line by line. The états are
monthly and by index since 1972 (domain study B.2); a statistic that breaks at a migration is cause 11 of failed ones.
"""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

UNKNOWN_MONTH = "unknown"


@dataclass(frozen=True, slots=True)
class StatisticLine:
    """One index in one month, on both sides, with what a named list explains."""

    index: str
    month: str
    legacy: int
    explained: int
    canonical: int

    @property
    def difference(self) -> int:
        """Give what stays unexplained; zero is the only good figure."""
        return self.legacy - self.explained - self.canonical


def _month(raw: pd.Series) -> pd.Series:
    digits = raw.fillna("").str.strip()
    dates = pd.to_datetime(digits.where(digits.str.fullmatch(r"\d{8}")), format="%Y%m%d", errors="coerce")
    # 0, 99999999, 19560000 and 19800231 are not days: they count, under a month nobody knows
    return dates.dt.strftime("%Y-%m").fillna(UNKNOWN_MONTH)


def count_legacy(facts: pd.DataFrame, left_out: Collection[str]) -> pd.DataFrame:
    """Count raw rows of t_fait by index and month; `left_out` are the keys a list explains, soft deletes do not count."""
    kept = facts[facts["top_supp"].fillna("").str.strip() != "O"]
    table = pd.DataFrame(
        {
            "index": kept["index_4001"].fillna("").str.strip().replace("", "none"),
            "month": _month(kept["dt_fait"]),
            "explained": kept["id_fait"].isin(set(left_out)),
        }
    )
    grouped = table.groupby(["index", "month"])["explained"]
    return pd.DataFrame({"legacy": grouped.size(), "explained": grouped.sum().astype(int)})


def count_canonical(connection: sa.Connection, department_code: str, time_zone: str) -> pd.DataFrame:
    """Count canonical offences by index and month of the incident in the department's zone."""
    records = pd.read_sql(
        sa.text(
            "select coalesce(o.statistical_index_code::text, 'none') as index, i.occurred_from"
            " from justice.offense o left join justice.incident i"
            " on i.id = o.incident_id and i.department_code = o.department_code"
        ),
        connection,
        params={"department": department_code},
    )
    instants = pd.to_datetime(records["occurred_from"], utc=True, errors="coerce")
    records["month"] = instants.dt.tz_convert(time_zone).dt.strftime("%Y-%m").fillna(UNKNOWN_MONTH)
    return records.groupby(["index", "month"]).size().to_frame("canonical")


def compare_statistics(legacy: pd.DataFrame, canonical: pd.DataFrame) -> list[StatisticLine]:
    """Put both counts beside each other, every index and month of either side, in order."""
    both = legacy.join(canonical, how="outer").fillna(0).astype(int).sort_index()
    return [
        StatisticLine(str(index), str(month), int(row.legacy), int(row.explained), int(row.canonical))
        for (index, month), row in both.iterrows()
    ]
