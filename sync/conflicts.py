"""What was written in the old system behind its fence: found before the way back overwrites it, cell by cell.

A row is compared with what banyan last knew of it. Where it differs, the last known row, the row as it stands and the
row to be written decide each cell: changed there only, or on both sides. The owner's value wins and the loss is
listed; the row as it stood lies in the landing zone, beside the row that was written.
"""

from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa

from banyan.departments import Side
from banyan.errors import SourceUnreadable
from mappings.digest import hash_rows
from mappings.engine import Compiled
from mappings.outcomes import DEGRADED
from store.landing import LandingZone
from store.postgres import transaction
from store.tables import CHUNK, RUN
from sync.setting import Setting, key_column

OVERWRITTEN = "OVERWRITTEN"
"""The old system changed a value behind its fence; nobody changed it in the new one, whose value was written."""
CONFLICT = "CONFLICT"
"""Both sides changed the value; the new system's was written."""
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


def find_conflicts(setting: Setting, landing: LandingZone, standing: Standing) -> pl.DataFrame:
    """List what would be overwritten and was not known: columns as of degraded write-backs; reads only."""
    compiled = standing.compiled
    rows = standing.previous.select(compiled.hashed)
    now = rows.with_columns(
        key_column(compiled.ruleset), hash_rows(rows, compiled.hashed, key=setting.digest_key).alias("hash now")
    )
    known = standing.crosswalk.select("id", "source_key", "row_hash", "run_no")
    behind = now.join(known, on="source_key").filter(pl.col("hash now") != pl.col("row_hash"))
    gone = known.join(now, on="source_key", how="anti")
    found = [pl.DataFrame(schema=DEGRADED)]
    if gone.height:
        found.append(_listed(gone, compiled, (CONFLICT, "the row was deleted behind the fence and is written again")))
    if behind.height:
        found += _judge_cells(setting, landing, standing, behind)
    return pl.concat(found)


def _judge_cells(
    setting: Setting, landing: LandingZone, standing: Standing, behind: pl.DataFrame
) -> list[pl.DataFrame]:
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
    found = []
    for column in columns:
        here, then, base = pl.col(column), pl.col(f"{column} will"), pl.col(f"{column} base")
        is_known = pl.col("is_known").is_not_null()
        moved = cells.filter(here.ne_missing(then) & (~is_known | here.ne_missing(base)))
        both = is_known & then.ne_missing(base)
        for mask, kind in ((both, CONFLICT), (~both, OVERWRITTEN)):
            sentence = f"{column} was changed behind the fence of the old system"
            found.append(_listed(moved.filter(mask), compiled, (kind, sentence), column=column))
    return found


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
    with transaction(setting.engine) as connection:
        chunks = connection.execute(
            sa.select(CHUNK.c.run_no, CHUNK.c.chunk_no, CHUNK.c.attempt, CHUNK.c.parcel, RUN.c.to_side)
            .join(RUN, RUN.c.run_no == CHUNK.c.run_no)
            .where(CHUNK.c.run_no.in_(behind["run_no"].unique().to_list()), CHUNK.c.state == "DONE")
            .where(sa.or_(CHUNK.c.table_name == table, RUN.c.to_side == Side.LEGACY.value))
        ).fetchall()
    for run_no, chunk_no, attempt, parcel, to_side in chunks:
        name = parcel if moment == AFTER else None
        if to_side == Side.LEGACY.value:
            name = parcel_name(setting, table, chunk=(run_no, chunk_no, attempt), moment=moment)
        wanted = behind.filter(pl.col("run_no") == run_no)["source_key"]
        if name is None or (to_side == Side.LEGACY.value and not _stands(landing, name)):
            continue
        rows = landing.read_parcel(name)
        if not set(compiled.hashed) <= set(rows.columns):
            raise SourceUnreadable(
                f"parcel {name} has other columns than {compiled.ruleset.rule_id}; nothing was written", parcel=name
            )
        keyed = rows.select(compiled.hashed).with_columns(key_column(compiled.ruleset))
        found.append(keyed.filter(pl.col("source_key").is_in(wanted.implode())))
    return pl.concat(found).unique("source_key", keep="last", maintain_order=True).select(found[0].columns)


def _stands(landing: LandingZone, name: str) -> bool:
    return any(parcel.name == name for parcel in landing.list_parcels(name))
