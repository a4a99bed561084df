"""The table of communes as a code map: found by department and name, each code in its time, never by postal code.

Entries are `<department>|<name>`, and `<department>|<name>@<YYYYMMDD>` for what the name means from a day on. A name
that two communes of one department bear at the same time is left out: it is decided by a person.
"""

from collections.abc import Iterable, Iterator

import polars as pl

from mappings.lenses.places import commune_key
from mappings.model import CodeMap

COMMUNES = "COMMUNE"


def commune_map(communes: pl.DataFrame, movements: pl.DataFrame | None = None) -> CodeMap:
    """Make the code map of the official table (COM, NCC, LIBELLE) and of its movements (DATE_EFF, COM_AV, COM_AP)."""
    standing = _named(communes.filter(pl.col("TYPECOM") == "COM"), ("COM", "NCC", "LIBELLE"))
    official = {code: key for key, code in zip(standing["NCC"], standing["COM"], strict=True)}
    entries = _unambiguous(
        pair for name in ("NCC", "LIBELLE") for pair in zip(standing[name], standing["COM"], strict=True)
    )
    if movements is not None:
        for key, code, since in _moved(movements):
            entries.setdefault(key, code)
            if since is not None:
                entries[since[0]] = since[1]
    preferred = {code: key for code, key in official.items() if entries.get(key) == code}
    return CodeMap(COMMUNES, entries, preferred)


def _named(rows: pl.DataFrame, columns: tuple[str, str, str]) -> pl.DataFrame:
    code, *names = columns
    department = pl.when(pl.col(code).str.starts_with("97")).then(pl.col(code).str.head(3))
    keys = (
        pl.concat_str([department.otherwise(pl.col(code).str.head(2)), pl.lit("|"), commune_key(pl.col(name))]).alias(
            name
        )
        for name in names
    )
    return rows.select(code, *keys)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    known: dict[str, set[str]] = {}
    for key, code in pairs:
        known.setdefault(key, set()).add(code)
    return {key: codes.pop() for key, codes in known.items() if len(codes) == 1}


def _moved(movements: pl.DataFrame) -> Iterator[tuple[str, str, tuple[str, str] | None]]:
    """Give what a name meant before a movement, and what it means from its day on when the code changed."""
    of_communes = movements.filter((pl.col("TYPECOM_AV") == "COM") & (pl.col("TYPECOM_AP") == "COM"))
    named = _named(of_communes, ("COM_AV", "NCC_AV", "LIBELLE_AV")).hstack(of_communes.select("COM_AP", "DATE_EFF"))
    ambiguous = named.group_by("NCC_AV").agg(pl.col("COM_AV").n_unique()).filter(pl.col("COM_AV") > 1)["NCC_AV"]
    for row in named.filter(~pl.col("NCC_AV").is_in(ambiguous.implode())).sort("DATE_EFF").iter_rows(named=True):
        day = str(row["DATE_EFF"]).replace("-", "")
        later = (f"{row['NCC_AV']}@{day}", row["COM_AP"]) if row["COM_AP"] != row["COM_AV"] else None
        yield row["NCC_AV"], row["COM_AV"], later
