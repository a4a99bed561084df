"""What one officer does in ORION, each deed in one transaction: open a case, change a field, strike out, remove."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from banyan.clock import today
from banyan.errors import SourceUnreadable
from estate.load import SCHEMA
from estate.orion import generate
from estate.schema import key_column, legacy_tables, sequence_of

TABLES = (
    "t_proc", "t_fait", "t_personne", "t_implic", "t_suite", "t_adresse", "t_tel", "t_vehic", "t_objet",
)  # fmt: skip
"""The tables of the closure cases and vehicles: the officers of the synthetic estate write in these."""

_PARENTS = {
    "id_unite": "t_unite", "id_agent": "t_agent", "id_proc": "t_proc", "id_pers": "t_personne",
    "id_implic": "t_implic", "id_fait": "t_fait",
}  # fmt: skip
_LEAVES = ("t_tel", "t_adresse", "t_vehic", "t_suite", "t_objet")
_OFTEN_CHANGED = ("t_proc", "t_fait", "t_personne", "t_personne", "t_implic", *TABLES)
_ATTEMPTS = 20


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


class Officer:
    """A user of the old application; what is keyed in comes from an estate of the same seed, dirt included."""

    def __init__(self, connection: psycopg.Connection[Any], *, seed: int) -> None:
        self.connection = connection
        self._random = Random(seed)
        self._known = generate("XS", seed).tables

    def open_case(self) -> tuple[str, str]:
        """Open a small case: the case, a fact, one to three people and what belongs to them; gives table and key."""
        day = today()
        unit = self._any_key("t_unite")
        case = self._insert(
            "t_proc",
            {
                "num_proc": self._next_number(unit, day.year), "id_unite": unit, "id_agent": self._any_key("t_agent"),
                "dt_ouv": f"{day:%Y%m%d}", "dt_clo": "0", "dt_trans": "0", "num_parquet": None, "statut": "E",
                "top_supp": "N",
            },
        )  # fmt: skip
        fact_day = day - timedelta(days=self._random.randrange(10))
        self._insert(
            "t_fait",
            {"id_proc": case, "dt_fait": f"{fact_day:%Y%m%d}", "dt_fait_fin": None, "dt_eluc": "0", "top_supp": "N"},
        )
        for order in range(1, self._random.randint(1, 3) + 1):
            person = self._insert("t_personne", {"top_supp": "N"})
            self._insert(
                "t_implic",
                {"id_pers": person, "id_proc": case, "no_ordre": str(order), "dt_plainte": "0", "top_supp": "N"},
            )
            if self._random.random() < 0.6:
                self._insert("t_adresse", {"id_pers": person, "dt_adr": f"{day:%Y%m%d}", "top_supp": "N"})
            if self._random.random() < 0.4:
                self._insert("t_tel", {"id_pers": person, "top_supp": "N"})
        for table, chance in (("t_vehic", 0.2), ("t_objet", 0.4)):
            if self._random.random() < chance:
                self._insert(table, {"id_proc": case, "top_supp": "N"})
        return "t_proc", case

    def change_field(self) -> tuple[str, str]:
        """Change one column of one row to another value seen in that column; gives table and key."""
        table = self._random.choice(_OFTEN_CHANGED)
        names = [column.name for column in legacy_tables()[table]]
        changeable = [name for name in names[1:] if name not in ("dt_maj", "top_supp")]
        key = self._any_key(table)
        for _ in range(_ATTEMPTS):
            column = self._random.choice(changeable)
            parent = _PARENTS.get(column)
            value = self._any_key(parent) if parent else self._seen_value(table, column)
            if self._update(table, key, column, value):
                break
        return table, key

    def strike_out(self) -> tuple[str, str]:
        """Delete a row as ORION does, by its flag, or take the deletion back; gives table and key."""
        table = self._random.choice(TABLES[1:])
        key = self._any_key(table)
        if not self._update(table, key, "top_supp", "O"):
            self._update(table, key, "top_supp", "N")
        return table, key

    def remove(self) -> tuple[str, str]:
        """Remove a row nobody refers to, or a person with everything that refers to it; gives table and key."""
        if self._random.random() < 0.2:
            return self._remove_person()
        table = self._random.choice(_LEAVES)
        key = self._any_key(table)
        if table == "t_objet":
            self.connection.execute("delete from orion.t_mvt_scelle where id_scelle in "
                                    "(select id_scelle from orion.t_scelle where id_objet = %s)", (key,))  # fmt: skip
            self.connection.execute("delete from orion.t_scelle where id_objet = %s", (key,))
        self._delete(table, key_column(table), [key])
        return table, key

    def _remove_person(self) -> tuple[str, str]:
        person = self._any_key("t_personne")
        rows = self.connection.execute("select id_implic::text from orion.t_implic where id_pers = %s", (person,))
        involvements = [row[0] for row in rows.fetchall()]
        for table in ("t_suite", "t_gav", "t_implic"):
            self._delete(table, "id_implic", involvements)
        for table in ("t_adresse", "t_tel", "t_personne"):
            self._delete(table, "id_pers", [person])
        return "t_personne", person

    def _delete(self, table: str, column: str, keys: Sequence[str]) -> None:
        statement = sql.SQL("delete from {} where {} = any(%s::numeric[])")
        self.connection.execute(statement.format(_table(table), sql.Identifier(column)), (list(keys),))

    def _update(self, table: str, key: str, column: str, value: str | None) -> bool:
        statement = sql.SQL("update {table} set {column} = %(value)s where {key} = %(key)s").format(
            table=_table(table), column=sql.Identifier(column), key=sql.Identifier(key_column(table))
        )
        differs = sql.SQL(" and {column} is distinct from %(value)s").format(column=sql.Identifier(column))
        return self.connection.execute(statement + differs, {"value": value, "key": key}).rowcount == 1

    def _insert(self, table: str, given: dict[str, str | None]) -> str:
        sequence = self.connection.execute(
            "select nextval(%s::regclass)::text", (f"{SCHEMA}.{sequence_of(table)}",)
        ).fetchone()
        key = str(sequence[0]) if sequence else ""
        seen = self._known[table].row(self._random.randrange(self._known[table].height), named=True)
        row = {**seen, **given, key_column(table): key}
        del row["dt_maj"]
        statement = sql.SQL("insert into {} ({}, dt_maj) values ({}, localtimestamp(0))").format(
            _table(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        self.connection.execute(statement, list(row.values()))
        return key

    def _any_key(self, table: str) -> str:
        """Give the key of an existing row, drawn evenly over the range of keys."""
        column, name = sql.Identifier(key_column(table)), _table(table)
        statement = sql.SQL(
            "select {key}::text from {table} where {key} >= (select min({key}) + "
            "floor((max({key}) - min({key})) * %s::numeric) from {table}) order by {key} limit 1"
        ).format(key=column, table=name)
        found = self.connection.execute(statement, (str(self._random.random()),)).fetchone()
        if found is None:
            raise SourceUnreadable(f"{table} is empty: the officers have nothing to work on", table=table)
        return str(found[0])

    def _seen_value(self, table: str, column: str) -> str | None:
        series = self._known[table][column]
        if self._random.random() < 0.5:  # half of the time a value as often as it occurs, else rare ones as well
            series = series.unique(maintain_order=True)
        value: str | None = series[self._random.randrange(len(series))]
        return value

    def _next_number(self, unit: str, year: int) -> str:
        last = self.connection.execute(
            "select coalesce(max(left(num_proc, 5)), '0')::int from orion.t_proc "
            "where id_unite = %s and substr(num_proc, 7, 4) = %s and num_proc ~ '^[0-8][0-9]{4}/'",
            (unit, str(year)),
        ).fetchone()
        return f"{(last[0] if last else 0) + 1:05d}/{year}"
