"""Which legacy rows a set of changed canonical records concerns: the pure part of the way back.

A record is the main part of a legacy row (its id stands in the crosswalk), another part of one (a link says so), or
was born in the target: then it becomes a row of its own, joins the row it refers to, or has no place there.
"""

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import psycopg

from mappings.catalogue import bind_parameters
from mappings.model import PartRule, Place, RuleBook, Ruleset
from mappings.repeats import name_of
from mappings.seating import Waiting, seat
from mappings.several_files import split_table
from store.outcomes import find_attached
from store.records import find_crosswalk, find_links, find_owners, read_records

NO_PLACE = "NO_PLACE"
_PLACES = {"canonical_table": pl.String, "id": pl.Binary}


@dataclass(frozen=True, slots=True)
class TableScope:
    """The rows of one legacy table to write back, with their canonical records as they stand now."""

    ruleset: Ruleset = field(repr=False)
    parts: dict[str, pl.DataFrame] = field(repr=False)
    crosswalk: pl.DataFrame = field(repr=False)
    gone: pl.DataFrame = field(repr=False)
    """Rows whose main record people deleted: columns id, source_key."""
    vanished: pl.DataFrame = field(repr=False)
    """Links to parts that people deleted: columns id, part."""

    @property
    def born(self) -> pl.Series:
        """Give the ids of rows that have no legacy key yet."""
        main = self.parts[self.ruleset.main.name]
        return main.filter(~pl.col("id").is_in(self.crosswalk["id"].implode()))["id"]

    @property
    def rows(self) -> int:
        """Give how many legacy rows are concerned."""
        return self.parts[self.ruleset.main.name].height + self.gone.height


@dataclass(frozen=True, slots=True)
class Scope:
    """All legacy rows concerned, by table, and the records that have no place in the old system."""

    tables: dict[str, TableScope]
    without_place: pl.DataFrame = field(repr=False)

    @property
    def rows(self) -> int:
        """Give how many legacy rows and homeless records are concerned."""
        return sum(scope.rows for scope in self.tables.values()) + self.without_place.height


@dataclass(slots=True)
class ScopeFinder:
    """Finds the rows concerned, inside one snapshot of the canonical store."""

    connection: psycopg.Connection[Any]
    department_code: str
    book: RuleBook
    table_numbers: dict[str, int]
    tables: tuple[str, ...] | None = None
    """The legacy tables that may be written, those of one closure: a record born in it has no place in another one."""
    _mains: dict[str, list[pl.Series]] = field(default_factory=dict)
    _claimed: list[pl.Series] = field(default_factory=list)
    _without_place: list[pl.DataFrame] = field(default_factory=list)
    _asked: list[pl.DataFrame] = field(default_factory=list)
    """Records without crosswalk or link, for which a place was looked for."""
    _groups: dict[str, pl.DataFrame] = field(default_factory=dict)
    """Repeating groups of the table being read whose places are given: columns id, main_id, number."""

    def find(self, changed: pl.DataFrame) -> Scope:
        """Find the rows that changed records (columns relation, id) concern."""
        names = {number: name for name, number in self.table_numbers.items()}
        known = self._live(changed["id"])
        owners = find_owners(self.connection, self.department_code, changed["id"])
        self._add_rows(known, names)
        self._add_rows(self._live(owners["id"]), names)
        placed = pl.concat([known["id"], owners["canonical_id"]])
        homeless = changed.filter(~pl.col("id").is_in(placed.implode()))
        for (relation,), group in homeless.group_by("relation", maintain_order=True):
            self._place(str(relation), group["id"])
        tables = {
            table: self.read_rows(self.book.rulesets[table], pl.concat(ids).unique(maintain_order=True))
            for table, ids in self._mains.items()
        }
        mains = [found.parts[found.ruleset.main.name]["id"] for found in tables.values()]
        joined = pl.DataFrame({"id": pl.concat([*self._claimed, *mains, pl.Series("id", [], pl.Binary)])})
        homes = [pl.DataFrame(schema=_PLACES), *self._without_place]
        # whoever was to join a row and found no part of it free is listed too
        homes += [asked.join(joined, on="id", how="anti") for asked in self._asked]
        return Scope(tables, pl.concat(homes).unique(maintain_order=True))

    def _live(self, ids: pl.Series) -> pl.DataFrame:
        found = find_crosswalk(self.connection, self.department_code, ids.unique())
        return found.filter(pl.col("deleted_at").is_null())

    def _add_rows(self, crosswalk: pl.DataFrame, names: dict[int, str]) -> None:
        for (number,), group in crosswalk.group_by("source_table_no", maintain_order=True):
            self._add(names[int(str(number))], group["id"])

    def _add(self, table: str, ids: pl.Series) -> None:
        if ids.len():
            self._mains.setdefault(table, []).append(ids)

    def _place(self, relation: str, ids: pl.Series) -> None:
        """Give records without crosswalk or link a legacy row: their own, or the one they refer to."""
        records = read_records(self.connection, relation, self.department_code, ids)
        self._asked.append(records.select(pl.lit(relation).alias("canonical_table"), "id"))
        for ruleset, part in self._homes(relation):
            if records.is_empty():
                return
            match = _constants_hold(part)
            if part.main:
                own = self._beside(ruleset, part, records.filter(match))
                self._add(ruleset.table, own["id"])
            elif part.attach is not None:
                at_home = self._at_home(ruleset, records[part.attach].drop_nulls().unique())
                own = records.filter(pl.col(part.attach).is_in(at_home.implode()).fill_null(value=False))
                own = own.filter(match) if part.place else own
                self._add(ruleset.table, own[part.attach].unique())
            else:
                own = pl.concat(
                    [self._referred_by(ruleset, part, records), self._referring_beside(ruleset, part, records)]
                )
            records = records.join(own.select("id"), on="id", how="anti")
        if records.height:
            self._without_place.append(records.select(pl.lit(relation).alias("canonical_table"), "id"))

    def _beside(self, ruleset: Ruleset, part: PartRule, born: pl.DataFrame) -> pl.DataFrame:
        """Keep the records whose row belongs into the file of this table, of a system that stands in several files.

        A record that refers to a row of one of the files goes into that file; one that refers to none, into the first.
        """
        file, _ = split_table(ruleset.table)
        if not file or born.is_empty():
            return born
        is_first = file == split_table(self._homes(part.table)[0][0].table)[0]
        named = [(column, target) for column, target in _references(part) if split_table(target)[0] == file]
        here, elsewhere = pl.lit(value=False), pl.lit(value=False)
        for column, target in named:
            known = self._live(born[column].drop_nulls())
            mine = known.filter(pl.col("source_table_no") == self.table_numbers[target])["id"]
            here = here | pl.col(column).is_in(mine.implode()).fill_null(value=False)
            elsewhere = elsewhere | pl.col(column).is_in(known["id"].implode()).fill_null(value=False)
        return born.filter(here | (~elsewhere & pl.lit(value=is_first)))

    def _at_home(self, ruleset: Ruleset, ids: pl.Series) -> pl.Series:
        """Give which main records are rows of this legacy table: remembered so, or born to be.

        An item is a row of the vehicles or of the objects: a part that refers to it does not make it a row of both.
        """
        number = self.table_numbers[ruleset.table]
        known = self._live(ids)
        here = known.filter(pl.col("source_table_no") == number)["id"]
        born = read_records(
            self.connection, ruleset.main.table, self.department_code, ids.filter(~ids.is_in(known["id"].implode()))
        )
        for home, part in self._homes(ruleset.main.table):
            if not part.main:
                break
            match = born.filter(_constants_hold(part))
            if home.table == ruleset.table:
                return pl.concat([here, match["id"]])
            born = born.join(match.select("id"), on="id", how="anti")
        return here

    def _homes(self, relation: str) -> list[tuple[Ruleset, PartRule]]:
        """List the parts that emit into a canonical table: own rows first, the more particular first."""
        found = [
            (ruleset, part)
            for ruleset in self.book.rulesets.values()
            if self.tables is None or ruleset.table in self.tables
            for part in ruleset.parts
            if part.table == relation
        ]
        return sorted(found, key=lambda home: (not home[1].main, not home[1].constants, home[0].table))

    def _referred_by(self, ruleset: Ruleset, part: PartRule, records: pl.DataFrame) -> pl.DataFrame:
        """Find records that a main record refers to as its sibling part."""
        found = records["id"].clear()
        for owner, column in _referring(ruleset, part.name):
            referring = find_attached(self.connection, owner.table, column, self.department_code, records["id"])
            mains = referring["id"]
            if not owner.main and owner.attach is not None:
                attached = read_records(self.connection, owner.table, self.department_code, referring["id"])
                mains = self._at_home(ruleset, attached[owner.attach].drop_nulls().unique())
                home = attached.filter(pl.col(owner.attach).is_in(mains.implode()).fill_null(value=False))["id"]
                referring = referring.filter(pl.col("id").is_in(home.implode()))
            self._add(ruleset.table, mains)
            found = pl.concat([found, referring["main_id"].rename("id")])
        return records.filter(pl.col("id").is_in(found.implode()))

    def _referring_beside(self, ruleset: Ruleset, part: PartRule, records: pl.DataFrame) -> pl.DataFrame:
        """Find records that refer to a sibling part which refers to a row itself, as a vehicle does to its item."""
        found = records["id"].clear()
        for column, sibling, attach in _siblings_of(ruleset, part):
            held = read_records(self.connection, sibling.table, self.department_code, records[column].drop_nulls())
            mains = self._at_home(ruleset, held[attach].drop_nulls().unique())
            held = held.filter(pl.col(attach).is_in(mains.implode()).fill_null(value=False))
            self._add(ruleset.table, held[attach].unique())
            mine = records.filter(pl.col(column).is_in(held["id"].implode()).fill_null(value=False))["id"]
            found = pl.concat([found, mine])
        return records.filter(pl.col("id").is_in(found.implode()))

    def read_rows(self, ruleset: Ruleset, ids: pl.Series) -> TableScope:
        """Read the rows of one legacy table by their main ids, with their records as they stand now."""
        main = read_records(self.connection, ruleset.main.table, self.department_code, ids)
        crosswalk = self._live(ids)
        links = find_links(self.connection, self.department_code, main["id"])
        parts = {ruleset.main.name: main.with_columns(pl.col("id").alias("main_id"))}
        self._groups = {}
        vanished = [pl.DataFrame(schema={"id": pl.Binary, "part": pl.String})]
        for part in sorted(ruleset.parts, key=lambda one: one.attach is None):  # who is referred to comes after
            if part.main:
                continue
            chosen, lost = self._read_part(part, main, links, self._candidates(ruleset, part, parts, links))
            parts[part.name] = chosen
            vanished.append(lost)
        gone = crosswalk.join(main.select("id"), on="id", how="anti").select("id", "source_key")
        alive = crosswalk.join(main.select("id"), on="id", how="semi")
        return TableScope(ruleset, parts, alive, gone, pl.concat(vanished))

    def _read_part(
        self, part: PartRule, main: pl.DataFrame, links: pl.DataFrame, candidates: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Read one other part of each row: the linked record, else one that refers to the row; the old form has one."""
        here = pl.col("part") == part.name
        linked = links.filter(here).select(pl.col("canonical_id").alias("id"), pl.col("id").alias("main_id"))
        beside = links.filter(~here)["canonical_id"]  # another part of a row already
        free = candidates.filter(~pl.col("id").is_in(beside.implode()))
        pairs = pl.concat([linked, free]).unique(maintain_order=True)
        free = pairs.join(self._owned_elsewhere(pairs, main), on="id", how="anti")
        records = read_records(self.connection, part.table, self.department_code, free["id"].unique())
        found = free.join(records, on="id", how="inner", maintain_order="left")
        # two rows may point at one record: it belongs to the one it is linked to, unless the rule shares it
        once = found if part.share else found.unique("id", keep="first", maintain_order=True)
        chosen = once.unique("main_id", keep="first", maintain_order=True)
        beyond = found.join(chosen.select("id"), on="id", how="anti")
        if beyond.height:
            self._without_place.append(beyond.select(pl.lit(part.table).alias("canonical_table"), "id"))
        self._claimed.append(chosen["id"])
        lost = linked.join(records.select("id"), on="id", how="anti")
        return chosen, lost.select(pl.col("main_id").alias("id"), pl.lit(part.name).alias("part"))

    def _candidates(
        self, ruleset: Ruleset, part: PartRule, parts: dict[str, pl.DataFrame], links: pl.DataFrame
    ) -> pl.DataFrame:
        """List records that may be this part of the rows: columns id, main_id; in the order of their ids."""
        main = parts[ruleset.main.name]
        if part.attach is not None:
            found = find_attached(self.connection, part.table, part.attach, self.department_code, main["id"])
            found = found.select("id", "main_id").sort("id")
            return found if part.place is None else self._seated(part, part.place, found, links, main)
        named = [
            parts[owner.name].select(pl.col(column).alias("id"), "main_id")
            for owner, column in _referring(ruleset, part.name)
            if owner.name in parts
        ]
        for column, sibling, _ in _siblings_of(ruleset, part):
            held = parts[sibling.name].select(pl.col("id").alias("sibling"), "main_id")
            found = find_attached(self.connection, part.table, column, self.department_code, held["sibling"])
            named.append(found.rename({"main_id": "sibling"}).join(held, on="sibling").select("id", "main_id"))
        if not named:
            return pl.DataFrame(schema={"id": pl.Binary, "main_id": pl.Binary})
        return pl.concat(named).drop_nulls().sort("id")

    def _seated(
        self, part: PartRule, place: Place, found: pl.DataFrame, links: pl.DataFrame, main: pl.DataFrame
    ) -> pl.DataFrame:
        """Give who is to stand in one place of a group; the whole group is seated at once, when it is first asked."""
        if place.group not in self._groups:
            self._groups[place.group] = self._seat_group(part, place, found, links, main)
        return self._groups[place.group].filter(pl.col("number") == place.number).select("id", "main_id")

    def _seat_group(
        self, part: PartRule, place: Place, found: pl.DataFrame, links: pl.DataFrame, main: pl.DataFrame
    ) -> pl.DataFrame:
        """Give records of a group that have no link yet a place; those that find none are without a place."""
        numbers = {name_of(place.group, number): number for number in range(1, place.count + 1)}
        in_group = links.filter(pl.col("part").is_in(list(numbers)))
        apart = pl.concat([in_group["canonical_id"], self._owned_elsewhere(found, main)["id"]])
        loose = found.filter(~pl.col("id").is_in(apart.implode()))
        records = read_records(self.connection, part.table, self.department_code, loose["id"].unique())
        wanted = pl.lit(None, pl.Int64) if place.column is None else pl.col(place.column).cast(pl.Int64, strict=False)
        mine = records.filter(_constants_hold(part)).select("id", wanted.alias("wanted"))
        waiting: dict[bytes, list[Waiting]] = {}
        for record_id, main_id, number in loose.join(mine, on="id", how="inner", maintain_order="left").iter_rows():
            waiting.setdefault(main_id, []).append(Waiting(record_id, number))
        seated: list[tuple[bytes, bytes, int]] = []
        standing: list[bytes] = []
        for main_id, group in waiting.items():
            taken = in_group.filter(pl.col("id") == main_id)["part"].replace_strict(numbers, return_dtype=pl.Int64)
            seating = seat(frozenset(taken), group, count=place.count)
            seated += [(record_id, main_id, number) for number, record_id in seating.seated.items()]
            standing += seating.standing
        homeless = pl.DataFrame({"id": standing}, schema={"id": pl.Binary})
        self._without_place.append(homeless.select(pl.lit(part.table).alias("canonical_table"), "id"))
        return pl.DataFrame(seated, schema={"id": pl.Binary, "main_id": pl.Binary, "number": pl.Int64}, orient="row")

    def _owned_elsewhere(self, pairs: pl.DataFrame, main: pl.DataFrame) -> pl.DataFrame:
        """Give the ids of candidates that are rows of their own or parts of other rows."""
        owners = find_owners(self.connection, self.department_code, pairs["id"].unique())
        strangers = owners.filter(~pl.col("id").is_in(main["id"].implode()))["canonical_id"]
        rows = self._live(pairs["id"])["id"]
        taken = pl.concat([strangers, rows, *self._claimed])
        return pl.DataFrame({"id": taken}, schema={"id": pl.Binary})


def _constants_hold(part: PartRule) -> pl.Expr:
    """Tell which records carry the constants of a part; the number of a place is asked for, not demanded."""
    holds = pl.lit(value=True)
    for column, value in part.constants.items():
        if part.place is not None and column == part.place.column:
            continue
        holds = holds & (pl.col(column).cast(pl.String) == value).fill_null(value=False)
    return holds


def _references(part: PartRule) -> list[tuple[str, str]]:
    """List the columns of a part that hold the id of a row of another legacy table, each with that table."""
    asked = [(rule.to[0], rule.lens) for rule in part.fields if rule.lens is not None and rule.lens.name == "ref"]
    return [(column, str(bind_parameters(lens)["target"]).partition(".")[0]) for column, lens in asked]


def _referring(ruleset: Ruleset, part: str) -> list[tuple[PartRule, str]]:
    """List the parts that hold the id of a sibling part, each with its column; the main part comes first."""
    found = [
        (owner, rule.to[0])
        for owner in ruleset.parts
        for rule in owner.fields
        if rule.lens is not None and rule.lens.name == "part" and rule.lens.args[0] == part
    ]
    return sorted(found, key=lambda one: not one[0].main)


def _siblings_of(ruleset: Ruleset, part: PartRule) -> list[tuple[str, PartRule, str]]:
    """List the columns in which a part holds the id of a sibling part that refers to the row: by which column."""
    asked = [(rule.to[0], rule.lens) for rule in part.fields if rule.lens is not None and rule.lens.name == "part"]
    named = [(column, ruleset.part(str(bind_parameters(lens)["name"]))) for column, lens in asked]
    return [(column, sibling, sibling.attach) for column, sibling in named if sibling.attach is not None]
