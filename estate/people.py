"""People, their involvement in cases, their addresses and telephones, before anything is spoiled."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from estate.cases import LAST_DAY, Cases, deletion_flags, later_days, legacy_keys, spread
from estate.catalogue import Defect
from estate.drawing import Booleans, Integers, Seed, integers_text, phones, pick, plates, stamps, yyyymmdd
from estate.vocabulary import communes, given_names, streets, surnames

_ABROAD = pl.DataFrame(
    {
        "nation": ["ITA", "PRT", "DZA", "MAR", "TUN", "TUR", "ROU"],
        "code": ["99127", "99139", "99352", "99350", "99351", "99208", "99114"],
        "place": ["TORINO", "PORTO", "SETIF", "FES", "SFAX", "SIVAS", "CLUJ"],
    }
)
_OCCUPATIONS: list[str | None] = [
    None, "SANS PROFESSION", "RETRAITE", "ETUDIANT", "OUVRIER", "EMPLOYE", "CHAUFFEUR", "AGRICULTEUR", "ENSEIGNANT",
    "INFIRMIER", "COMMERCANT", "MACON",
]  # fmt: skip
_ROLES: list[str | None] = ["MEC", "VIC", "TEM", "PLA", "DIS", "CRE"]
_COPIED = ["nom", "prenom", "sexe", "ddn", "lieu_naiss", "code_naiss", "nation", "profession"]


@dataclass(frozen=True, slots=True)
class People:
    """Persons, involvements and addresses with the rows they hang on."""

    persons: pl.DataFrame
    involvements: pl.DataFrame
    addresses: pl.DataFrame
    telephones: pl.DataFrame
    case: Integers
    suspect_rows: Integers
    restricted_addresses: pl.Series


def draw_people(seed: Seed, cases: Cases, size: int, addresses: int, telephones: int) -> People:
    """Draw `size` person records over the cases, every fifth a duplicate of an earlier one, and what hangs on them."""
    stream = seed.stream("t_personne")
    case = spread(stream, len(cases.keys), size)
    opened, deleted = cases.opened[case], cases.deleted[case]
    identity, age = _identities(stream, opened, seed.department_code)
    source, kind = _duplicates(stream, cases, case, identity["nom"].str.contains(" EP. ", literal=True).to_numpy())
    keys = legacy_keys(stream, size)
    copied = source != np.arange(size)
    paired = copied.copy()
    paired[source[copied]] = True
    age = age[source] + (opened - opened[source]) // 365
    persons = identity.select(_COPIED)[source].with_columns(
        keys.alias("id_pers"),
        phones(stream, size).set(pl.Series(stream.random(size) > 0.35), None).alias("tel"),
        plates(stream, opened, seed.department_code).set(pl.Series(stream.random(size) > 0.12), None).alias("immat"),
        pick(stream, [None, "1", "2", "3"], [970, 10, 10, 10], size).alias("religion"),
        pick(stream, [None, "A", " "], [85, 5, 10], size).alias("flag3"),
        deletion_flags(deleted).alias("top_supp"),
        stamps(later_days(stream, opened, 250), stream).alias("dt_maj"),
        pl.Series("_source", keys.gather(source).set(pl.Series(~copied), None)),
        pl.Series("_kind", kind),
        pl.Series("_paired", paired),
    )
    frame, holder = _addresses(seed, keys, opened, deleted, addresses)
    hidden = np.flatnonzero(cases.confidential[case])
    restricted_count = max(1, round(addresses * Defect.RESTRICTED_BY_ADDRESS.value.per_ten_thousand / 10_000))
    restricted = stream.choice(hidden, min(restricted_count, len(hidden)), replace=False)
    holder[: len(restricted)] = restricted
    frame = frame.with_columns(keys.gather(holder).alias("id_pers"))
    involvements, suspects = _involvements(seed, cases, case, keys, age, restricted)
    return People(
        persons, involvements, frame, _telephones(seed, keys, opened, telephones), case, suspects,
        frame["id_adr"].filter(pl.Series(np.isin(holder, restricted))),
    )  # fmt: skip


def _identities(stream: np.random.Generator, opened: Integers, department: str) -> tuple[pl.DataFrame, Integers]:
    size = len(opened)
    age_days = stream.integers(7 * 365, 36 * 365, size) + stream.integers(0, 25 * 365, size) * (
        stream.random(size) < 0.7
    )
    birth = opened - age_days
    first_of_january = yyyymmdd(birth).str.ends_with("0101").to_numpy()
    birth = np.where(first_of_january, birth - 1, birth)
    woman = stream.random(size) < 0.44
    married = woman & (age_days > 22 * 365) & (stream.random(size) < 0.35)
    surname, use_name = surnames().draw(stream, size), surnames().draw(stream, size)
    surname = surname.zip_with(pl.Series(~married), surname + " EP. " + use_name)
    given = given_names("M").draw(stream, size).zip_with(pl.Series(~woman), given_names("F").draw(stream, size))
    second = given_names("M").draw(stream, size).zip_with(pl.Series(~woman), given_names("F").draw(stream, size))
    given = given.zip_with(pl.Series(stream.random(size) > 0.25), given + " " + second)
    known = communes(department)
    place = known[stream.integers(0, known.height, size)]
    abroad = _ABROAD[stream.integers(0, _ABROAD.height, size)]
    foreign = pl.Series(stream.random(size) < 0.13)
    frame = pl.DataFrame(
        {
            "nom": surname,
            "prenom": given,
            "sexe": pl.Series(np.where(stream.random(size) < 0.01, " ", np.where(woman, "F", "M"))),
            "ddn": yyyymmdd(birth),
            "lieu_naiss": abroad["place"].zip_with(foreign, place["name"]),
            "code_naiss": abroad["code"].zip_with(foreign, place["code"]),
            "nation": abroad["nation"].set(~foreign, "FRA"),
            "profession": pick(stream, _OCCUPATIONS, [30, 14, 10, 10, 8, 8, 4, 3, 3, 3, 4, 3], size),
        }
    )
    return frame, (opened - birth) // 365


def _duplicates(
    stream: np.random.Generator, cases: Cases, case: Integers, married: Booleans
) -> tuple[Integers, Integers]:
    """Choose which records copy an earlier one: gives the row copied from and the number of the defect (0 = none)."""
    size = len(case)
    row = np.arange(size)
    source, kind = row.copy(), np.zeros(size, dtype=np.int64)
    neighbours = np.flatnonzero((np.diff(case, prepend=-1) == 0) & (row % 2 == 1))
    wanted = max(1, round(size * Defect.DUPLICATE_IN_CASE.value.per_ten_thousand / 10_000))
    chosen = stream.choice(neighbours, min(wanted, len(neighbours)), replace=False)
    source[chosen], kind[chosen] = chosen - 1, 1
    busy = kind > 0
    busy[chosen - 1] = True
    free = np.flatnonzero(~busy & (row > 5))
    wanted = max(1, round(size * Defect.DUPLICATE_ACROSS_UNITS.value.per_ten_thousand / 10_000))
    chosen = stream.choice(free, min(wanted, len(free)), replace=False)
    may_be_copied = ~busy
    may_be_copied[chosen] = False
    copied_from = np.full(len(chosen), -1)
    brides = np.flatnonzero(married & may_be_copied)
    for attempt in range(12):  # a source must be earlier and of another unit; the last attempts take anyone
        drawn = (stream.random(len(chosen)) * chosen).astype(np.int64)
        if attempt < 4 and len(brides):  # duplicates of married women feed the confusion of birth and use name
            place = (stream.random(len(chosen)) * np.searchsorted(brides, chosen)).astype(np.int64)
            drawn = np.where(stream.random(len(chosen)) < 0.08, brides[place], drawn)
        fits = (copied_from < 0) & may_be_copied[drawn] & (drawn < chosen)
        fits &= cases.unit[case[drawn]] != cases.unit[case[chosen]]
        copied_from = np.where(fits, drawn, copied_from)
    found = copied_from >= 0
    source[chosen[found]], kind[chosen[found]] = copied_from[found], 2
    return source, kind


def _involvements(
    seed: Seed, cases: Cases, case: Integers, keys: pl.Series, age: Integers, restricted: Integers
) -> tuple[pl.DataFrame, Integers]:
    """Involve each person in its case, one in twenty in a later one, and the restricted ones in an ordinary case."""
    stream = seed.stream("t_implic")
    ordinary = np.flatnonzero(~cases.confidential & ~cases.deleted)
    again = np.flatnonzero(~cases.confidential[case] & ~cases.deleted[case] & (stream.random(len(case)) < 0.05))
    person = np.concatenate([np.arange(len(case)), again, restricted])
    where = np.concatenate([case, ordinary[stream.integers(0, len(ordinary), len(again) + len(restricted))]])
    size = len(person)
    opened = cases.opened[where]
    role = pick(stream, _ROLES, [34, 30, 18, 12, 2, 4], size)
    complained = role.is_in(["VIC", "PLA"]).to_numpy() & (stream.random(size) < 0.6)
    years = age[person] + (opened - cases.opened[case[person]]) // 365
    left_blank = stream.random(size) < 0.05
    first = np.arange(size) < len(case)
    deleted = cases.deleted[where] | (first & ~np.isin(person, restricted) & (stream.random(size) < 0.015))
    twice = np.isin(person, np.concatenate([again, restricted]))
    frame = pl.DataFrame(
        {
            "id_implic": legacy_keys(stream, size),
            "id_pers": keys.gather(person),
            "id_proc": cases.keys.gather(where),
            "qualite": role,
            "mineur": pl.Series(np.where(years < 18, "O", np.where(left_blank, " ", "N"))),
            "plainte": pl.Series(np.where(complained, "O", "N")),
            "dt_plainte": yyyymmdd(opened).set(pl.Series(~complained), "0"),
            "top_supp": deletion_flags(deleted),
            "dt_maj": stamps(later_days(stream, opened, 250), stream),
            "_first": pl.Series(first),
            "_twice": pl.Series(twice),
            "_case": pl.Series(where),
        }
    ).with_columns(no_ordre=pl.int_range(1, pl.len() + 1).over("id_proc").cast(pl.String))
    is_suspect = (frame["qualite"] == "MEC").to_numpy() & first & ~deleted
    return frame, np.flatnonzero(is_suspect)


def _addresses(
    seed: Seed, keys: pl.Series, opened: Integers, deleted: Booleans, size: int
) -> tuple[pl.DataFrame, Integers]:
    stream = seed.stream("t_adresse")
    holder = stream.integers(0, len(keys), size)
    known = communes(seed.department_code)
    place = known[stream.integers(0, known.height, size)]
    way = pick(stream, ["RUE", "AVENUE", "CHEMIN", "PLACE", "ROUTE", "IMPASSE"], [50, 14, 14, 7, 9, 6], size)
    number = integers_text(stream.integers(1, 180, size)) + pick(stream, ["", " BIS", "B"], [92, 5, 3], size)
    written = opened[holder]
    frame = pl.DataFrame(
        {
            "id_adr": legacy_keys(stream, size),
            "num_voie": number.set(pl.Series(stream.random(size) < 0.1), None),
            "nom_voie": way + " " + streets().gather(stream.integers(0, len(streets()), size)),
            "cp": place["postcode"],
            "ville": place["name"],
            "code_commune": place["code"],
            "type_adr": pick(stream, ["D", "T", "V"], [90, 7, 3], size),
            "dt_adr": yyyymmdd(written),
            "top_supp": deletion_flags(deleted[holder] | (stream.random(size) < 0.015)),
            "dt_maj": stamps(later_days(stream, written, 400), stream),
        }
    )
    return frame, holder


def _telephones(seed: Seed, keys: pl.Series, opened: Integers, size: int) -> pl.DataFrame:
    stream = seed.stream("t_tel")
    holder = stream.integers(0, len(keys), size)
    return pl.DataFrame(
        {
            "id_tel": legacy_keys(stream, size),
            "id_pers": keys.gather(holder),
            "num_tel": phones(stream, size),
            "type_tel": pick(stream, ["P", "F", "M"], [72, 24, 4], size),
            "top_supp": deletion_flags(stream.random(size) < 0.015),
            "dt_maj": stamps(np.minimum(later_days(stream, opened[holder], 400), LAST_DAY), stream),
        }
    )
