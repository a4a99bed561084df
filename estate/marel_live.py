"""Running users of MAREL: officers at a pace, the batch that leaves no stamp, and the restore that gives keys again."""

from collections.abc import Callable
from random import Random
from threading import Event
from typing import Any

import pymysql
from pymysql.connections import Connection

from banyan.clock import monotonic, today
from banyan.errors import SourceUnavailable, SourceUnreadable
from estate.live import Deed, LiveCounts, LiveEvent, NightBatch, Outcome, Pace, due_deeds
from estate.marel import generate_marel
from estate.marel_load import connect_marel
from estate.marel_schema import marel_key, marel_tables

FENCED = 32055
"""The error number with which a closed fence refuses a write."""

_GAVE_WAY = frozenset((1205, 1213, 1020))
_LOST = frozenset((2006, 2013, 1927, 0))
_RECONNECT_SECONDS = 15
_CHANGED = ("dossiers", "dossiers", "infractions", "personnes", "personnes", "implications", "adresses", "vehicules")
_NEVER_CHANGED = ("modifie_le", "options", "cree_le")
_REFERENCES = {"id_dossier", "id_personne", "id_implication", "id_infraction", "id_brigade", "id_utilisateur"}
_ATTEMPTS = 20


class MarelOfficer:
    """A user of the old application; what is keyed in comes from an estate of the same seed, dirt included."""

    def __init__(self, connection: Connection, *, seed: int, department: str) -> None:
        self.connection = connection
        self._random = Random(seed)
        self._known = generate_marel("XS", seed, department).tables

    def open_case(self) -> tuple[str, str]:
        """Open a small case: the case, an offence, one to three people and where they live; gives table and key."""
        day = f"{today():%Y-%m-%d}"
        number = int(self._one("select coalesce(max(id_dossier), 0) + 1 from dossiers"))
        case = self._insert(
            "dossiers",
            {"numero": f"{day[:4]}-{number:06d}", "ouvert_le": day, "clos_le": "0000-00-00",
             "transmis_le": "0000-00-00", "etat": "A", "id_brigade": self._any_key("brigades")},
        )  # fmt: skip
        self._insert("infractions", {"id_dossier": case, "debut": f"{day} 00:00:00", "fin": "0000-00-00 00:00:00"})
        for rank in range(1, self._random.randint(1, 3) + 1):
            person = self._insert("personnes", {"cree_le": day})
            self._insert("implications", {"id_dossier": case, "id_personne": person, "rang": str(rank)})
            if self._random.random() < 0.6:
                self._insert("adresses", {"id_personne": person, "depuis": day})
        return "dossiers", case

    def change_field(self) -> tuple[str, str]:
        """Change one column of one row to another value seen in that column; gives table and key."""
        table = self._random.choice(_CHANGED)
        key, name = self._any_key(table), marel_key(table)
        for _ in range(_ATTEMPTS):
            column = self._random.choice([
                one for one in marel_tables()[table] if one not in (*_NEVER_CHANGED, name, *_REFERENCES)
            ])  # fmt: skip
            values = self._known[table][column]
            value = values[self._random.randrange(len(values))]
            statement = f"update `{table}` set `{column}` = %s where `{name}` = %s and not `{column}` <=> %s"  # noqa: S608
            if self._run(statement, (value, key, value)):
                break
        return table, key

    def remove(self) -> tuple[str, str]:
        """Remove a case: the database takes what hangs on it along, and leaves what MyISAM holds."""
        key = self._any_key("dossiers")
        self._run("delete from dossiers where id_dossier = %s", (key,))
        return "dossiers", key

    def somebody(self) -> dict[str, Any]:
        """Give a person of the estate, as keyed in."""
        persons = self._known["personnes"]
        return persons.row(self._random.randrange(persons.height), named=True)

    def _insert(self, table: str, given: dict[str, str]) -> str:
        seen = self._known[table].row(self._random.randrange(self._known[table].height), named=True)
        row = {**seen, **given}
        for column in (marel_key(table), "modifie_le", "options"):
            row.pop(column, None)
        columns = ", ".join(f"`{column}`" for column in row)
        places = ", ".join(["%s"] * len(row))
        cursor = self.connection.cursor()
        cursor.execute(f"insert into `{table}` ({columns}) values ({places})", list(row.values()))  # noqa: S608
        return str(cursor.lastrowid)

    def _any_key(self, table: str) -> str:
        name = marel_key(table)
        least, most = self._row(f"select min(`{name}`), max(`{name}`) from `{table}`")  # noqa: S608 - our own names
        if least is None:
            raise SourceUnreadable(f"{table} is empty: the officers have nothing to work on", table=table)
        wanted = self._random.randint(int(least), int(most))
        return str(self._one(f"select min(`{name}`) from `{table}` where `{name}` >= %s", (wanted,)))  # noqa: S608

    def _run(self, statement: str, values: tuple[Any, ...]) -> int:
        return int(self.connection.cursor().execute(statement, values))

    def _row(self, statement: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        cursor = self.connection.cursor()
        cursor.execute(statement, values)
        found: tuple[Any, ...] = cursor.fetchone() or (None,)
        return found

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401 - a value of the database
        return self._row(statement, values)[0]


def live_marel(
    url: str,
    pace: Pace,
    *,
    department: str = "974",
    on_event: Callable[[LiveEvent], None] | None = None,
    stop: Event | None = None,
) -> LiveCounts:
    """Work as the account of the URL (marel_app) until the pace ends or `stop` is set; gives what was done.

    A refusal by the fence is counted and the work goes on; a lost connection is opened again.
    """
    stop = stop or Event()
    counts = LiveCounts()
    officer = MarelOfficer(connect_marel(url), seed=pace.seed, department=department)
    choice = Random(pace.seed)
    deeds = (Deed.INSERT, Deed.UPDATE, Deed.HARD_DELETE)
    try:
        for _ in due_deeds(pace, counts, stop):
            (deed,) = choice.choices(deeds, (25, 70, 5))
            event = _try(officer, deed)
            counts.add(event)
            if on_event is not None:
                on_event(event)
            if event.outcome is Outcome.UNKNOWN:
                officer.connection = _reconnect(url, stop) or officer.connection
    finally:
        officer.connection.close()
    return counts


def night_batch_marel(url: str, *, seed: int, count: int = 10) -> NightBatch:
    """Close `count` cases without moving their stamp, as the batch of the year's end does."""
    connection = connect_marel(url)
    try:
        cursor = connection.cursor()
        cursor.execute(
            "select id_dossier from dossiers where etat <> 'C' order by md5(concat(id_dossier, %s)) limit %s",
            (str(seed), count),
        )
        keys = [int(row[0]) for row in cursor.fetchall()]
        for key in keys:
            cursor.execute(
                "update dossiers set etat = 'C', clos_le = %s, modifie_le = modifie_le where id_dossier = %s",
                (f"{today():%Y-%m-%d}", key),
            )
    except pymysql.MySQLError as error:
        if error.args and error.args[0] == FENCED:
            return NightBatch({}, refused=True)
        raise SourceUnreadable("the night batch ended with an error of the server; what it did before stays") from error
    finally:
        connection.close()
    return NightBatch({"dossiers": tuple(sorted(map(str, keys)))}, refused=False)


def reuse_key(url: str, *, seed: int, department: str = "974") -> str:
    """Give the key of the newest person to somebody else, as a base put back from a backup does; gives the key."""
    officer = MarelOfficer(connect_marel(url), seed=seed, department=department)
    try:
        cursor = officer.connection.cursor()
        cursor.execute("select max(id_personne) from personnes")
        (key,) = cursor.fetchone() or (None,)
        cursor.execute("delete from personnes where id_personne = %s", (key,))
        other = officer.somebody()
        cursor.execute(
            "insert into personnes (id_personne, nom, prenoms, naissance, cree_le) values (%s, %s, %s, %s, %s)",
            (key, other["nom"], other["prenoms"], other["naissance"], f"{today():%Y-%m-%d}"),
        )
        return str(key)
    finally:
        officer.connection.close()


def _try(officer: MarelOfficer, deed: Deed) -> LiveEvent:
    work = {Deed.INSERT: officer.open_case, Deed.UPDATE: officer.change_field, Deed.HARD_DELETE: officer.remove}[deed]
    try:
        officer.connection.begin()
        table, key = work()
        officer.connection.commit()
    except pymysql.MySQLError as error:
        number = error.args[0] if error.args else 0
        if number in _LOST:
            return LiveEvent(deed, Outcome.UNKNOWN, monotonic())
        officer.connection.rollback()
        if number != FENCED and number not in _GAVE_WAY:
            raise SourceUnreadable(
                f"MAREL answered an officer's {deed.value} with error {number}; what no transaction protects stays"
            ) from error
        return LiveEvent(deed, Outcome.REFUSED if number == FENCED else Outcome.ABORTED, monotonic())
    return LiveEvent(deed, Outcome.COMMITTED, monotonic(), table, key)


def _reconnect(url: str, stop: Event) -> Connection | None:
    """Open the connection again, for as long as a server needs to restart; None when told to stop."""
    deadline = monotonic() + _RECONNECT_SECONDS
    while not stop.wait(0.2):
        try:
            return connect_marel(url)
        except SourceUnavailable:
            if monotonic() > deadline:
                raise
    return None
