"""What was written in the old system behind its fence: found before the way back overwrites it, cell by cell.

A row is compared with what banyan last knew of it. Where it differs, the last known row, the row as it stands and the
row to be written decide each cell: changed there only, or on both sides. The owner's value wins unless the rule of the
field says otherwise (decision 0019); either way it is listed. The row as it stood lies in the landing zone, beside the
row that was written.
"""

from dataclasses import dataclass, field
from typing import assert_never

import polars as pl
import polars.selectors as cs
import sqlalchemy as sa

from banyan.departments import Side
from banyan.errors import SourceUnreadable
from mappings.digest import hash_rows
from mappings.engine import Compiled
from mappings.model import Conflict, Policy, Ruleset
from mappings.outcomes import DEGRADED
from store.landing import LandingZone
from store.postgres import transaction
from store.tables import CHUNK, RUN
from sync.setting import Setting, key_column

OVERWRITTEN = "OVERWRITTEN"
"""The old system changed a value behind its fence; nobody changed it in the new one, whose value was written."""
CONFLICT = "CONFLICT"
"""Both sides changed the value; the new system's was written."""
LEGACY_STANDS = "LEGACY_STANDS"
"""The old system changed a value behind its fence, and the policy of the field lets it stand there."""
BEFORE, AFTER = "before", "after"


def parcel_name(setting: Setting, table: str, *, chunk: tuple[int, int, int], moment: str) -> str:
    """Name the parcel of the legacy rows that a chunk (run, number, attempt) found, or left, on its way back."""
    run_no, chunk_no, attempt = chunk
    return (
        f"{setting.department.code}/{setting.source.system_code}/{table}/"
        f"reverse-{run_no:08d}/chunk-{chunk_no:06d}-{attempt}-{moment}"
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Rows of one legacy table about to be written: remembered, as they stand, and as they will be."""

    compiled: Compiled = field(repr=False)
    crosswalk: pl.DataFrame = field(repr=False)
    """Columns id, source_key, row_hash, run_no of rows that the old system is known to have."""
    previous: pl.DataFrame = field(repr=False)
    written: pl.DataFrame = field(repr=False)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was changed behind the fence, listed as degraded write-backs, and the rows to write after the policies."""

    listed: pl.DataFrame = field(repr=False)
    written: pl.DataFrame = field(repr=False)


def judge_conflicts(setting: Setting, landing: LandingZone, standing: Standing) -> Judged:
    """List what would be overwritten and was not known, and let stand what a policy says; reads only."""
    compiled = standing.compiled
    rows = standing.previous.select(compiled.hashed)
    now = rows.with_columns(
        key_column(compiled.ruleset), hash_rows(rows, compiled.hashed, key=setting.digest_key).alias("hash now")
    )
    known = standing.crosswalk.select("id", "source_key", "row_hash", "run_no")
    behind = now.join(known, on="source_key").filter(pl.col("hash now") != pl.col("row_hash"))
    gone = known.join(now, on="source_key", how="anti")
    found, written = [pl.DataFrame(schema=DEGRADED)], standing.written
    if gone.height:
        found.append(_listed(gone, compiled, (CONFLICT, "the row was deleted behind the fence and is written again")))
    if behind.height:
        listed, written = _judge_cells(setting, landing, standing, behind)
        found += listed
    return Judged(pl.concat(found), written)


def _judge_cells(
    setting: Setting, landing: LandingZone, standing: Standing, behind: pl.DataFrame
) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    compiled, ruleset = standing.compiled, standing.compiled.ruleset
    bases = _find_rows(setting, landing, compiled, behind, moment=AFTER)
    unmoved = _find_rows(setting, landing, compiled, behind, moment=BEFORE)
    # a way back that died before its legacy commit remembers rows that never came to be
    behind = behind.join(unmoved, on=["source_key", *compiled.hashed], how="anti", nulls_equal=True)
    will = standing.written.with_columns(key_column(ruleset))
    columns = [name for name in standing.written.columns if name not in ruleset.key and name in behind.columns]
    cells = (
        behind.select("id", "source_key", *columns)
        .join(will.select("source_key", pl.col(columns).name.suffix(" will")), on="source_key")
        .join(
            bases.select("source_key", pl.lit(value=True).alias("is_known"), pl.col(columns).name.suffix(" base")),
            on="source_key",
            how="left",
        )
    )
    cells = cells.with_columns(_stands(ruleset, columns))
    found = []
    for column in columns:
        moved = cells.filter(_is_moved(column))
        both = pl.col("is_known").is_not_null() & pl.col(f"{column} will").ne_missing(pl.col(f"{column} base"))
        stands = pl.col(f"{column} stands")
        sentence = f"{column} was changed behind the fence of the old system"
        for mask, kind in ((stands, LEGACY_STANDS), (~stands & both, CONFLICT), (~stands & ~both, OVERWRITTEN)):
            found.append(_listed(moved.filter(mask), compiled, (kind, sentence), column=column))
    return found, _let_stand(standing.written, cells, ruleset)


def _is_moved(column: str) -> pl.Expr:
    """Tell whether the old system says something that is neither to be written nor what was known."""
    here = pl.col(column)
    is_new = pl.col("is_known").is_null() | here.ne_missing(pl.col(f"{column} base"))
    return here.ne_missing(pl.col(f"{column} will")) & is_new


def _stands(ruleset: Ruleset, columns: list[str]) -> list[pl.Expr]:
    """Tell for each column, as `<column> stands`, whether the policy of its field lets the old system's value stand.

    The columns of one field stand or fall together: the hour of one time never meets the day of another.
    """
    stands = {column: pl.lit(value=False) for column in columns}
    for part in ruleset.parts:
        for rule in part.fields:
            sources = [column for column in rule.sources if column in stands]
            if rule.conflict is not None and rule.writes_back and sources:
                is_moved = pl.any_horizontal(_is_moved(column) for column in sources)
                stands |= dict.fromkeys(sources, is_moved & _wins(rule.conflict, sources))
    return [wins.fill_null(value=False).alias(f"{column} stands") for column, wins in stands.items()]


def _wins(conflict: Conflict, sources: list[str]) -> pl.Expr:
    """Tell whether what stands in the old system is what the policy prefers."""
    match conflict.policy:
        case Policy.LEGACY:
            return pl.lit(value=True)
        case Policy.LATEST:
            here, then = (_joined(sources, suffix) for suffix in ("", " will"))
            return here > then
        case Policy.PREFER:
            here, then = (_rank(_joined(sources, suffix), conflict.codes) for suffix in ("", " will"))
            return here < then
        case _:
            assert_never(conflict.policy)


def _joined(sources: list[str], suffix: str) -> pl.Expr:
    return pl.concat_str([pl.col(f"{column}{suffix}").fill_null("") for column in sources]).str.strip_chars_end()


def _rank(code: pl.Expr, codes: tuple[str, ...]) -> pl.Expr:
    ranks = dict(zip(codes, range(len(codes)), strict=True))
    return code.replace_strict(ranks, default=len(codes), return_dtype=pl.Int32)


def _let_stand(written: pl.DataFrame, cells: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Put into the rows to write what a policy lets stand, in their order."""
    columns = [name for name in written.columns if f"{name} stands" in cells.columns]
    kept = cells.select("source_key", *(pl.col(name).name.suffix(" here") for name in columns), cs.ends_with(" stands"))
    rows = written.with_columns(key_column(ruleset)).join(kept, on="source_key", how="left", maintain_order="left")
    return rows.select(
        pl.when(pl.col(f"{name} stands")).then(pl.col(f"{name} here")).otherwise(pl.col(name)).alias(name)
        if name in columns
        else pl.col(name)
        for name in written.columns
    )


def _listed(
    rows: pl.DataFrame, compiled: Compiled, told: tuple[str, str], *, column: str | None = None
) -> pl.DataFrame:
    """List rows under the canonical column that a legacy column feeds first."""
    kind, cause = told
    table, name = compiled.ruleset.main.table, None
    for part in compiled.ruleset.parts:
        fed = [rule.to[0] for rule in part.fields if column in rule.sources]
        if fed:
            table, name = part.table, fed[0]
            break
    return rows.select(
        "source_key",
        pl.col("id").alias("main_id"),
        pl.lit(table).alias("canonical_table"),
        pl.lit(name, pl.String).alias("column"),
        pl.lit(kind).alias("kind"),
        pl.lit(cause).alias("cause"),
        pl.lit(column, pl.String).alias("legacy_column"),
    )


def _find_rows(
    setting: Setting, landing: LandingZone, compiled: Compiled, behind: pl.DataFrame, *, moment: str
) -> pl.DataFrame:
    """Find the legacy rows as the run that last carried them received, found or left them, in the landing zone."""
    table = compiled.ruleset.table
    found = [pl.DataFrame(schema={name: pl.String for name in (*compiled.hashed, "source_key")})]
    # what the crosswalk remembers of a way back was written with its intent, whether or not it came to be
    known = sa.or_(CHUNK.c.state == "DONE", CHUNK.c.intent.is_not(None))
    attempt = sa.func.coalesce(CHUNK.c.intent["attempt"].as_integer(), CHUNK.c.attempt)
    with transaction(setting.engine) as connection:
        chunks = connection.execute(
            sa.select(CHUNK.c.run_no, CHUNK.c.chunk_no, attempt, CHUNK.c.parcel, RUN.c.to_side)
            .join(RUN, RUN.c.run_no == CHUNK.c.run_no)
            .where(CHUNK.c.run_no.in_(behind["run_no"].unique().to_list()), known)
            .where(sa.or_(CHUNK.c.table_name == table, RUN.c.to_side == Side.LEGACY.value))
        ).fetchall()
    for run_no, chunk_no, attempt, parcel, to_side in chunks:
        name = parcel if moment == AFTER else None
        if to_side == Side.LEGACY.value:
            name = parcel_name(setting, table, chunk=(run_no, chunk_no, attempt), moment=moment)
        wanted = behind.filter(pl.col("run_no") == run_no)["source_key"]
        if name is None or (to_side == Side.LEGACY.value and not _is_landed(landing, name)):
            continue
        rows = landing.read_parcel(name)
        if not set(compiled.hashed) <= set(rows.columns):
            raise SourceUnreadable(
                f"parcel {name} has other columns than {compiled.ruleset.rule_id}; nothing was written", parcel=name
            )
        keyed = rows.select(compiled.hashed).with_columns(key_column(compiled.ruleset))
        found.append(keyed.filter(pl.col("source_key").is_in(wanted.implode())))
    return pl.concat(found).unique("source_key", keep="last", maintain_order=True).select(found[0].columns)


def _is_landed(landing: LandingZone, name: str) -> bool:
    return any(parcel.name == name for parcel in landing.list_parcels(name))
