"""Control totals of the trade: amounts and counts by year, counted twice, exactly, sharing no mapping code.

The old system is read anew and counted in pandas from its raw text; the store adds up its own records in SQL. Rows
that a list explains (filtered, in quarantine) or that moved since the watermark are left out of both sides before the
two are compared; what is shown are the whole figures of both, with what was left out said beside them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from banyan.errors import UsageError
from banyan.ports import LegacyPort
from banyan.records import KEY_SEPARATOR
from validation.declared_totals import AmountForm, DayForm, DeclaredTotal
from validation.facts import Total
from validation.text import Language, Text, write_number

UNKNOWN_YEAR = ""
_DECIMALS = 4
_CENTS = 2
_ROWS_PER_READ = 50_000
_AMOUNT = r"(?P<sign>-?)(?P<whole>\d{1,14})(?:\.(?P<part>\d{1,4}))?"
_EPOCH = np.datetime64("1899-12-30", "D")


@dataclass(frozen=True, slots=True)
class Counted:
    """One side of one year of a total: rows and their exact amount."""

    rows: int = 0
    amount: Decimal = Decimal(0)

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.rows + other.rows, self.amount + other.amount)


Years = Mapping[str, Counted]


@dataclass(frozen=True, slots=True)
class SideCount:
    """One side of a total by year: everything it holds, and the part that is compared."""

    whole: Years
    compared: Years


def together(sides: Iterable[SideCount]) -> SideCount:
    """Add up one side that stands in several files."""
    whole: dict[str, Counted] = {}
    compared: dict[str, Counted] = {}
    for side in sides:
        for kept, held in ((whole, side.whole), (compared, side.compared)):
            for year, counted in held.items():
                kept[year] = kept.get(year, Counted()) + counted
    return SideCount(whole, compared)


@dataclass(frozen=True, slots=True)
class LegacyRows:
    """The rows of the old system that a total counts, read once: key, year and amount in ten-thousandths."""

    rows: pd.DataFrame = field(repr=False)
    unread: frozenset[str] = field(default=frozenset(), repr=False)
    """Keys whose amount is no amount."""

    def counted(self, left_out: Collection[str]) -> SideCount:
        """Count all rows by year, and those that no list explains."""
        kept = self.rows[~self.rows["key"].isin(set(left_out))]
        return SideCount(_by_year(self.rows), _by_year(kept))

    def count_unread(self, left_out: Collection[str]) -> int:
        """Count the rows whose amount nobody can read and that no list explains."""
        return len(self.unread - set(left_out))


def read_rows(
    port: LegacyPort, table: str, totals: Sequence[DeclaredTotal], *, key: Sequence[str], time_zone: str
) -> dict[str, LegacyRows]:
    """Read one legacy table once, as raw text and by key ranges, for all the totals that count its rows."""
    wanted = list(dict.fromkeys([*key, *(column for total in totals for column in total.columns)]))
    parts: dict[str, list[pd.DataFrame]] = {total.name: [] for total in totals}
    unread: dict[str, set[str]] = {total.name: set() for total in totals}
    for keys in port.plan_ranges(table, _ROWS_PER_READ):
        read = port.read_range(table, keys).rows.select(wanted)
        named = read.with_columns(pl.concat_str(list(key), separator=KEY_SEPARATOR).alias("_key")).to_pandas()
        for total in totals:
            frame, bad = count_rows(named, total, time_zone=time_zone)
            parts[total.name].append(frame)
            unread[total.name] |= bad
    nothing = pd.DataFrame({"key": [], "year": [], "amount": []})
    return {
        name: LegacyRows(pd.concat(frames, ignore_index=True) if frames else nothing, frozenset(unread[name]))
        for name, frames in parts.items()
    }


def count_rows(rows: pd.DataFrame, total: DeclaredTotal, *, time_zone: str) -> tuple[pd.DataFrame, set[str]]:
    """Give key, year and amount of raw rows that the old system holds, and the keys of amounts that nobody can read."""
    for column, deleted in total.without:
        rows = rows[_text(rows[column]) != deleted]
    amount = pd.Series(0, index=rows.index, dtype="int64")
    bad: set[str] = set()
    if total.amount:
        amount, is_bad = _amounts(rows[total.amount], total.amount_form)
        bad = set(rows.loc[is_bad, "_key"])
    year = _years(rows, total, time_zone) if total.day else pd.Series(UNKNOWN_YEAR, index=rows.index, dtype="str")
    return pd.DataFrame({"key": rows["_key"], "year": year.astype("category"), "amount": amount}), bad


def ask_store(
    connection: sa.Connection, total: DeclaredTotal, values: Mapping[str, str], left_out: Collection[str]
) -> SideCount:
    """Let the store add up its records by year, with and without the records given; exact, and its words unrepeated."""
    columns = (sa.column("id", sa.UUID(as_uuid=False)), sa.column("year", sa.Text), sa.column("amount", sa.Numeric))
    asked = {name: value for name, value in values.items() if f":{name}" in total.canonical}
    answered = sa.text(total.canonical).bindparams(**asked).columns(*columns).subquery("answered").c
    gone = sa.cast(sa.literal(sorted(left_out), ARRAY(sa.Text)), ARRAY(sa.UUID(as_uuid=False)))
    is_kept = answered.id != sa.all_(gone)
    amount = sa.cast(answered.amount, sa.Numeric)
    year = sa.func.coalesce(answered.year, UNKNOWN_YEAR)
    query = sa.select(
        year,
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(amount), 0),
        sa.func.count().filter(is_kept),
        sa.func.coalesce(sa.func.sum(amount).filter(is_kept), 0),
    ).group_by(year)
    try:
        with connection.begin_nested():
            found = connection.execute(query).all()
    except sa.exc.DBAPIError as error:
        raise UsageError(
            f"the store refused the control total {total.name}; nothing was changed", why=type(error.orig).__name__
        ) from None
    whole = {str(line[0]): Counted(line[1], Decimal(line[2])) for line in found}
    compared = {str(line[0]): Counted(line[3], Decimal(line[4])) for line in found if line[3]}
    return SideCount(whole, compared)


def compare(declared: DeclaredTotal, legacy: SideCount, canonical: SideCount, *, unread: int = 0) -> tuple[Total, ...]:
    """Put both sides of one total beside each other: all years together, then each year, the newest first."""
    every = [_line(declared, declared.label, _all(legacy), _all(canonical), unread)]
    if declared.day:
        years = sorted({*legacy.whole, *canonical.whole}, reverse=True)
        every += [
            _line(declared, _labelled(declared, year), _one(legacy, year), _one(canonical, year)) for year in years
        ]
    return tuple(every)


def not_asked(declared: DeclaredTotal) -> Total:
    """Give the total of which one side could not be asked: it proves nothing, and says so."""
    problem = Text("l’un des deux côtés n’a pas pu être interrogé", "one of the two sides could not be asked")
    return Total(declared.label, 0, 0, problem=problem, digest=declared.digest)


def _line(
    declared: DeclaredTotal,
    label: Text,
    legacy: tuple[Counted, Counted],
    canonical: tuple[Counted, Counted],
    unread: int = 0,
) -> Total:
    (old, old_kept), (new, new_kept) = legacy, canonical
    left_out = max(old.rows - old_kept.rows, new.rows - new_kept.rows)
    is_exact = (old_kept.amount if declared.amount else old_kept.rows) == (
        new_kept.amount if declared.amount else new_kept.rows
    )
    problem = None
    if old.rows < declared.floor and label is declared.label:
        problem = Text(
            f"l’ancien système compte moins de lignes que {declared.floor}\u202f: rien n’est prouvé",
            f"the old system counts fewer rows than {declared.floor}: nothing is proved",
        )
    elif unread:
        problem = Text(f"montants illisibles\u202f: {unread}", f"amounts that nobody can read: {unread}")
    elif left_out and not is_exact:
        problem = _unequal(_figure(declared, old_kept), _figure(declared, new_kept))
    explanation = _explained(left_out) if left_out and is_exact else None
    return Total(
        label, _figure(declared, old), _figure(declared, new), explanation, problem=problem, digest=declared.digest
    )


def _unequal(old: int | Decimal, new: int | Decimal) -> Text:
    fr = tuple(write_number(each, Language.FR) for each in (old, new))
    en = tuple(write_number(each, Language.EN) for each in (old, new))
    return Text(
        f"sans les lignes des listes\u202f: {fr[0]} contre {fr[1]}",
        f"without the rows of lists: {en[0]} against {en[1]}",
    )


def _explained(rows: int) -> Text:
    if rows == 1:
        return Text(
            "1 ligne écartée, en quarantaine, en mouvement ou non réécrite",
            "1 row filtered, in quarantine, moving or not written back",
        )
    return Text(
        f"{rows} lignes écartées, en quarantaine, en mouvement ou non réécrites",
        f"{rows} rows filtered, in quarantine, moving or not written back",
    )


def _figure(declared: DeclaredTotal, counted: Counted) -> int | Decimal:
    if not declared.amount:
        return counted.rows
    plain = counted.amount.normalize()
    exponent = plain.as_tuple().exponent
    is_short = not isinstance(exponent, int) or exponent > -_CENTS
    return counted.amount.quantize(Decimal(1).scaleb(-_CENTS)) if is_short else plain


def _labelled(declared: DeclaredTotal, year: str) -> Text:
    if year == UNKNOWN_YEAR:
        return Text(f"{declared.label.fr}, année inconnue", f"{declared.label.en}, year unknown")
    return Text(f"{declared.label.fr}, {year}", f"{declared.label.en}, {year}")


def _all(side: SideCount) -> tuple[Counted, Counted]:
    return sum(side.whole.values(), Counted()), sum(side.compared.values(), Counted())


def _one(side: SideCount, year: str) -> tuple[Counted, Counted]:
    return side.whole.get(year, Counted()), side.compared.get(year, Counted())


def _by_year(rows: pd.DataFrame) -> dict[str, Counted]:
    return dict(_sums(rows))


def _sums(rows: pd.DataFrame) -> Iterator[tuple[str, Counted]]:
    for year, held in rows.groupby("year", observed=True)["amount"]:
        exact = sum(held.tolist())  # whole numbers of Python: no sum can overflow
        yield str(year), Counted(len(held), Decimal(exact).scaleb(-_DECIMALS))


def _text(raw: pd.Series) -> pd.Series:
    return raw.astype("str").where(raw.notna(), "").str.strip()


def _amounts(raw: pd.Series, form: AmountForm) -> tuple[pd.Series, pd.Series]:
    """Read amounts as whole ten-thousandths, never through a float; blank is nothing, anything else is bad."""
    text = _text(raw)
    if form is AmountForm.COMMA:
        text = text.str.replace(r"[ \u00a0\u202f]", "", regex=True).str.replace(",", ".", regex=False)
    found = text.str.extract(f"^{_AMOUNT}$")
    is_read = found["whole"].notna()
    part = found["part"].fillna("").str.pad(_DECIMALS, side="right", fillchar="0")
    written = (found["sign"] + found["whole"] + part).where(is_read, "0")
    return written.astype("int64"), ~is_read & (text != "")


def _years(rows: pd.DataFrame, total: DeclaredTotal, time_zone: str) -> pd.Series:
    text = _text(rows[total.day])
    match total.day_form:
        case DayForm.COMPACT:
            is_day = text.str.fullmatch(r"\d{8}") & ~text.isin(["00000000", "99999999"])
            year, local = text.str[:4], pd.to_datetime(text.where(is_day), format="%Y%m%d", errors="coerce")
        case DayForm.ISO:
            is_day = text.str.match(r"\d{4}-\d{2}-\d{2}") & (text.str[:4] != "0000")
            year, local = text.str[:4], pd.to_datetime(text.where(is_day), format="ISO8601", errors="coerce")
        case DayForm.OLE:
            is_day = text.str.fullmatch(r"-?\d{1,7}(\.\d+)?")
            whole = text.where(is_day, "0").str.extract(r"^(-?\d+)")[0].astype("int64")
            days = _EPOCH + whole.to_numpy().astype("timedelta64[D]")
            year = pd.Series(np.datetime_as_string(days, unit="Y"), index=rows.index).str.zfill(4)
            local = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us]")
    if total.hour:
        clock = _text(rows[total.hour])
        clock = clock.where(clock.str.fullmatch(r"([01]\d|2[0-3])[0-5]\d"), "0000")
        local = local + pd.to_timedelta(clock.str[:2].astype(int) * 60 + clock.str[2:].astype(int), unit="min")
    return year.where(is_day & ~_skipped(local, time_zone), UNKNOWN_YEAR)


def _skipped(local: pd.Series, time_zone: str) -> pd.Series:
    """Tell which local hours no clock ever showed: the new system has no instant for them."""
    zoned = local.dt.tz_localize(time_zone, nonexistent="NaT", ambiguous=np.ones(len(local), dtype=np.bool_))
    return local.notna() & zoned.isna()
