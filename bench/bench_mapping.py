"""The mapping engine on rows of 12 fields: forward, backward and residue, against plainer ways, in one run.

(a) Polars forward only: the lenses' own expressions, batch by batch, without lanes, way back or residue;
(b) pandas forward only, written by hand with its string methods;
(c) the row-by-row evaluator of the tests, both ways, on a part of the rows.

`engine` is all of apply_forward: the three passes, then identifiers of five parts a row, digests and records. Ratios
inside one run are the numbers to compare; CPU seconds move with the machine and its neighbours.
"""

import argparse
import json
import resource
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import pandas as pd
import polars as pl

from banyan.departments import Domain
from mappings.engine import MapContext, apply_forward, compile_ruleset
from mappings.lanes import Lane
from mappings.model import CodeMap, FieldRule, LensCall, PartRule, RuleBook, Ruleset
from mappings.reading import read_rows
from mappings.residue import pack
from tests.mappings import reference

BATCH = 50_000
EVALUATED = 10_000
TIMES_FORWARD = 2.5
TIMES_EVALUATOR = 8.0
GROWTH = 1.15
CONTEXT = MapContext("38", "ORION", "Europe/Paris", bytes(range(32)), date(2026, 1, 1))


def field(to: str | tuple[str, ...], source: str, lens: LensCall, code_map: str | None = None) -> FieldRule:
    return FieldRule((to,) if isinstance(to, str) else to, (source,), lens, code_map)


RULESET = Ruleset(
    "BENCH@1", 1, "ORION", "t_bench", ("id",),
    ("id", "nom", "prenom", "sexe", "ddn", "lieu", "profession", "nation", "tel", "immat", "montant", "cree", "brut"),
    (
        PartRule("identity", "person_identity", Domain.CASES, main=True, fields=(
            field(("surname", "surname_use"), "nom", LensCall("name.use_name", (), {"sep": " EP. ", "max": 40})),
            field("given_names", "prenom", LensCall("name.given", (40,))),
            field("sex_code", "sexe", LensCall("text.padded", (2,)), "SEX"),
            field(
                ("birth_date", "birth_date_precision_code", "birth_date_text"),
                "ddn",
                LensCall("date.partial", ("DD/MM/YYYY",)),
            ),
            field("birth_place_text", "lieu", LensCall("text.max", (40,))),
            field("occupation_text", "profession", LensCall("text.trimmed")),
            field("nationality_code", "nation", LensCall("text.padded", (3,))),
        )),
        PartRule("phone", "contact_means", Domain.CASES, main=False, attach="person_identity_id", fields=(
            field(("value_raw", "value_normalised", "country_code"), "tel", LensCall("phone.fr")),
        )),
        PartRule("vehicle", "vehicle", Domain.VEHICLES, main=False, attach="person_identity_id", fields=(
            field(("plate_raw", "plate_normalised", "plate_system_code"), "immat", LensCall("plate.fr")),
        )),
        PartRule("item", "item", Domain.CASES, main=False, fields=(
            field("value_eur", "montant", LensCall("number.decimal_comma", (14,))),
            field("description", "brut", LensCall("text.max", (80,))),
        )),
        PartRule("incident", "incident", Domain.CASES, main=False, fields=(
            field(("occurred_from", "occurred_precision_code"), "cree", LensCall("instant.iso_local")),
        )),
    ),
)  # fmt: skip
BOOK = RuleBook("ORION", {"t_bench": RULESET}, {"SEX": CodeMap("SEX", {"M": "M", "F": "F", "1": "M"}, {"M": "M"})})


class Source:
    """Rows as an old register holds them, some of every column dirty; the same ones for everybody."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(7)
        letters = np.array(list("ABCDEFGHIJKLMNOPRSTUV"))
        self.names = np.array(["".join(self.chance.choice(letters, 7)) for _ in range(6000)])
        self.given = np.array(["".join(self.chance.choice(letters, 5)) for _ in range(400)])
        self.jobs = np.array(["OUVRIER", "SANS", "CADRE ", "RETRAITE", "ETUDIANT", "ARTISAN"])
        self.places = np.array([f"COMMUNE {number}" for number in range(2000)])
        self.next = 0

    def rows(self, height: int) -> pl.DataFrame:
        chance, first = self.chance, self.next
        self.next += height
        names = self.names[chance.zipf(1.3, height) % len(self.names)]
        married = chance.random(height) < 0.1
        dirty = chance.random(height)
        days = np.datetime64("1935-01-01") + chance.integers(0, 27000, height)
        seconds = np.datetime64("2005-01-01T00:00:00") + chance.integers(0, 600_000_000, height)
        numbers = chance.integers(10_000_000, 99_999_999, height)
        cents = chance.integers(100, 99_999, height)
        plates = chance.integers(0, 10**9, height)
        letters = np.array(list("ABCDEFGHJKLMNPQRSTVWXYZ"))
        return pl.DataFrame(
            {
                "id": np.arange(first, first + height).astype(str),
                "nom": np.where(married, np.char.add(np.char.add(names, " EP. "), self.names[numbers % 6000]), names),
                "prenom": self.given[chance.zipf(1.5, height) % len(self.given)],
                "sexe": np.array(["M ", "F ", "1 "])[chance.choice(3, height, p=[0.6, 0.35, 0.05])],
                "ddn": days,
                "lieu": self.places[numbers % len(self.places)],
                "profession": self.jobs[numbers % len(self.jobs)],
                "nation": np.array(["FRA", "ITA", "DZA"])[chance.choice(3, height, p=[0.9, 0.05, 0.05])],
                "tel": np.char.add(np.array(["06", "04 ", "+336"])[numbers % 3], numbers.astype(str)),
                "immat": np.char.add(letters[plates % 23], letters[plates // 23 % 23]),
                "montant": cents,
                "cree": seconds.astype("datetime64[us]"),
                "brut": np.char.add("PROCES VERBAL ", (numbers // 100).astype(str)),
                "dirty": dirty,
                "serial": (plates % 900 + 100).astype(str),
            }
        ).with_columns(
            pl.when(pl.col("dirty") < 0.04).then(pl.lit("00/00/1956")).when(pl.col("dirty") < 0.045)
            .then(pl.lit("31/02/1980")).otherwise(pl.col("ddn").dt.strftime("%d/%m/%Y")).alias("ddn"),
            (pl.col("immat") + "-" + pl.col("serial") + "-" + pl.col("immat")).alias("immat"),
            (pl.col("montant") // 100).cast(pl.String) + "," + (pl.col("montant") % 100).cast(pl.String)
            .str.pad_start(2, "0"),
            pl.col("cree").dt.strftime("%Y-%m-%d %H:%M:%S"),
            pl.when(pl.col("dirty") > 0.9).then(pl.col("nom") + "  ").otherwise(pl.col("nom")).alias("nom"),
            pl.when(pl.col("dirty") > 0.97).then(pl.lit("inconnu")).otherwise(pl.col("tel")).alias("tel"),
        ).drop("dirty", "serial")  # fmt: skip


def pandas_forward(frame: pd.DataFrame) -> pd.DataFrame:
    """Map the same fields forward with pandas: no way back, no residue, no causes."""
    halves = frame["nom"].str.split(" EP. ", n=1, expand=True).reindex(columns=[0, 1])
    phone = frame["tel"].str.replace(r"[ .\-/()]", "", regex=True)
    home = phone.str.extract(r"^(?:0|\+330?)([1-9][0-9]{8})$")[0]
    plate = frame["immat"].str.upper().str.replace(r"[ .\-]", "", regex=True)
    is_siv = plate.str.match(r"[A-HJ-NP-TV-Z]{2}[0-9]{3}[A-HJ-NP-TV-Z]{2}$")
    known = frame["ddn"].str.replace(r"^00/00/", "01/01/", regex=True).str.replace(r"^00/", "01/", regex=True)
    return pd.DataFrame(
        {
            "surname": halves[0].str.strip(),
            "surname_use": halves[1].str.strip(),
            "given": frame["prenom"].str.replace(" {2,}", " ", regex=True).str.strip(),
            "sex": frame["sexe"].str.strip().map({"M": "M", "F": "F", "1": "M"}),
            "birth": pd.to_datetime(known, format="%d/%m/%Y", errors="coerce"),
            "precision": np.where(frame["ddn"].str.startswith("00/00/"), "YEAR", "DAY"),
            "place": frame["lieu"],
            "job": frame["profession"].str.strip(),
            "nation": frame["nation"].str.rstrip(),
            "phone": "+33" + home,
            "plate": plate.where(~is_siv, plate.str[:2] + "-" + plate.str[2:5] + "-" + plate.str[5:]),
            "value": pd.to_numeric(frame["montant"].str.replace(",", ".").str.replace(" ", ""), errors="coerce"),
            "text": frame["brut"],
            "instant": pd.to_datetime(frame["cree"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
            .dt.tz_localize("Europe/Paris", ambiguous=False, nonexistent="NaT")
            .dt.tz_convert("UTC"),
        }
    )


class Clock:
    """CPU seconds of this process and all its threads: neighbours move them less than the wall."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def time(self, name: str, work) -> object:
        start = time.process_time()
        answer = work()
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start
        return answer


def three_passes(compiled, rows: pl.DataFrame) -> int:
    """Read, write back, compare and pack: what apply_forward does besides identifiers, digests and records."""
    keyed = rows.with_columns(pl.col("id").alias("source_key"))
    lost = read_rows(compiled, keyed, Lane.AUTO).lost
    numbers = {column: compiled.ruleset.field_number(column) for column in lost}
    kept = pack(
        {number: rows[column] for column, number in numbers.items()},
        {number: lost[column] for column, number in numbers.items()},
        height=rows.height,
    )
    return kept.len() - kept.null_count()


def main(total: int) -> int:
    compiled, source, clock = compile_ruleset(RULESET, BOOK, CONTEXT), Source(), Clock()
    done, residues, peaks = 0, 0, []
    warm = source.rows(2000)
    apply_forward(compiled, warm, CONTEXT)
    pandas_forward(warm.to_pandas())
    while done < total:
        rows = source.rows(min(BATCH, total - done))
        clock.time("forward", lambda rows=rows: [plan.look(rows.select(plan.rule.sources)) for plan in compiled.lenses])
        residues += clock.time("three", lambda rows=rows: three_passes(compiled, rows))
        mapped = clock.time("engine", lambda rows=rows: apply_forward(compiled, rows, CONTEXT))
        frame = rows.to_pandas()
        clock.time("pandas", lambda frame=frame: pandas_forward(frame))
        if done == 0:
            sample = rows.head(EVALUATED).rows(named=True)
            clock.time("rows", lambda sample=sample: [evaluate(row) for row in sample])
        assert mapped.crosswalk.height == rows.height
        done += rows.height
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return report(clock.spent, total=done, residues=residues, peaks=peaks)


def evaluate(row: dict) -> object:
    answer = reference.apply_row(RULESET, BOOK, row, CONTEXT)
    return reference.pack(RULESET, answer["kept"])


def report(spent: dict[str, float], *, total: int, residues: int, peaks: list[int]) -> int:
    """Tell the figures and whether each limit is kept; 1 when one is not."""
    million = 1_000_000 / total
    per_row = spent["rows"] / min(EVALUATED, total) * total
    result = {
        "bench": "mapping",
        "rows": total,
        "fields": len(RULESET.columns) - 1,
        "rows_with_residue": round(residues / total, 3),
        "cpu_seconds_per_million": {
            "polars_forward": round(spent["forward"] * million, 2),
            "three_passes": round(spent["three"] * million, 2),
            "engine": round(spent["engine"] * million, 2),
            "pandas_forward": round(spent["pandas"] * million, 2),
            "row_by_row": round(per_row * million, 2),
        },
        "three_passes_to_polars_forward": round(spent["three"] / spent["forward"], 2),
        "three_passes_to_pandas_forward": round(spent["three"] / spent["pandas"], 2),
        "row_by_row_to_three_passes": round(per_row / spent["three"], 1),
        "peak_mb": [round(peaks[min(3, len(peaks) - 1)] / 1024), round(peaks[-1] / 1024)],
    }
    kept = {
        f"three passes <= {TIMES_FORWARD} forward": spent["three"] <= TIMES_FORWARD * spent["forward"],
        f"row by row >= {TIMES_EVALUATOR} three passes": per_row >= TIMES_EVALUATOR * spent["three"],
        "memory flat by batches": peaks[-1] <= GROWTH * peaks[min(3, len(peaks) - 1)],
    }
    print(json.dumps(result | {"kept": kept}, indent=2))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    sys.exit(main(parser.parse_args().rows))
