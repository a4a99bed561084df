"""ORION on a real PostgreSQL: loaded as generated, the triggers bite, officers work and are refused."""

from threading import Event, Thread

import polars as pl
import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from banyan.errors import SourceUnavailable, UsageError
from estate.live import Deed, LiveEvent, Outcome, Pace, live, night_batch
from estate.load import connect, create_schema, load
from estate.orion import Estate, generate
from estate.schema import key_column, legacy_tables, sequence_of

pytestmark = pytest.mark.server

FENCE = """
create function orion.refuse() returns trigger language plpgsql as $$
begin raise exception 'closed' using errcode = '55006'; end $$;
"""


@pytest.fixture(scope="module")
def estate() -> Estate:
    return generate("XS", seed=1)


@pytest.fixture(scope="module")
def orion(make_database, estate: Estate) -> str:
    url = make_database()
    load(estate, url)
    return url


@pytest.fixture
def fresh(make_database, orion: str) -> str:
    return make_database(template=make_url(orion).database)


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def stored(url: str, table: str) -> pl.DataFrame:
    statement = sql.SQL("copy orion.{} to stdout (format csv, header)").format(sql.Identifier(table))
    with connect(url) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        return pl.read_csv(b"".join(copy), infer_schema=False)


@pytest.mark.parametrize("table", legacy_tables())
def test_what_is_stored_is_what_was_generated(table: str, orion: str, estate: Estate) -> None:
    found = stored(orion, table)

    assert found.equals(estate.tables[table], null_equal=True)


def test_sequences_stand_above_the_keys_that_were_copied(orion: str, estate: Estate) -> None:
    with connect(orion) as connection:
        for table in (name for name in estate.tables if name.startswith("t_")):
            last = estate.tables[table][key_column(table)].cast(int).max()
            (value,) = connection.execute(
                sql.SQL("select last_value from orion.{}").format(sql.Identifier(sequence_of(table)))
            ).fetchone()
            assert value == last, table


def test_a_schema_in_place_is_never_overwritten(orion: str, estate: Estate) -> None:
    before = stored(orion, "t_proc").height

    with pytest.raises(UsageError, match="already holds"):
        load(estate, orion)

    assert stored(orion, "t_proc").height == before


def test_an_empty_orion_gives_its_first_key_from_the_sequence(make_database) -> None:
    url = make_database()

    create_schema(url)

    with connect(as_role(url, "orion_app")) as connection:
        assert connection.execute("select nextval('orion.seq_proc')").fetchone() == (1,)
        assert connection.execute("select count(*) from orion.t_personne").fetchone() == (0,)


def test_an_update_is_stamped_and_a_name_is_put_in_capitals(fresh: str) -> None:
    with connect(as_role(fresh, "orion_app")) as connection:
        key, before = connection.execute("select id_pers, dt_maj from orion.t_personne limit 1").fetchone()

        connection.execute("update orion.t_personne set nom = 'élan' where id_pers = %s", (key,))

        name, after, recent = connection.execute(
            "select nom, dt_maj, localtimestamp - dt_maj < interval '1 minute' from orion.t_personne "
            "where id_pers = %s", (key,)
        ).fetchone()  # fmt: skip
    assert name == "ÉLAN"
    assert after > before
    assert recent


def test_every_legacy_table_is_stamped_by_tr_maj_and_nothing_else_fires(orion: str) -> None:
    with connect(orion) as connection:
        rows = connection.execute(
            "select tgname, tgrelid::regclass::text from pg_trigger where not tgisinternal"
        ).fetchall()

    expected = {("tr_maj", f"orion.{name}") for name in legacy_tables() if name.startswith("t_")}
    assert set(rows) == expected | {("tr_nom", "orion.t_personne")}


@pytest.mark.parametrize("role", ["banyan_reader", "banyan_reverse", "banyan_guard", "orion_batch"])
def test_a_role_may_not_delete(role: str, orion: str) -> None:
    with connect(as_role(orion, role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from orion.t_proc")


def test_the_reader_reads_and_writes_nothing(orion: str) -> None:
    with connect(as_role(orion, "banyan_reader")) as connection:
        assert connection.execute("select count(*) from orion.t_proc").fetchone() == (159,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update orion.t_proc set statut = 'C'")


def test_officers_commit_deeds_of_every_kind_and_the_database_shows_them(fresh: str) -> None:
    before = {table: stored(fresh, table) for table in ("t_proc", "t_personne", "t_implic", "t_tel")}
    events: list[LiveEvent] = []

    counts = live(as_role(fresh, "orion_app"), Pace(rate_per_second=5000, count=250, seed=3), on_event=events.append)

    assert counts.attempts == 250
    assert counts.operations == 250
    assert counts.refused == counts.aborted == counts.unknown == 0
    assert set(counts.committed) == set(Deed)
    opened = [event.key for event in events if event.deed is Deed.INSERT]
    after = stored(fresh, "t_proc")
    assert after.height == before["t_proc"].height + len(opened)
    assert set(opened) <= set(after["id_proc"])
    assert not stored(fresh, "t_personne").equals(before["t_personne"], null_equal=True)


def test_the_work_of_officers_leaves_no_orphan_that_was_not_there(fresh: str) -> None:
    orphans = "select count(*) from orion.t_implic i where not exists " \
              "(select from orion.t_personne p where p.id_pers = i.id_pers)"  # fmt: skip
    with connect(fresh) as connection:
        before = connection.execute(orphans).fetchone()

        live(as_role(fresh, "orion_app"), Pace(rate_per_second=5000, count=200, seed=5))

        (after,) = connection.execute(orphans).fetchone()
        assert before[0] > 0
        assert after <= before[0]
        for child, parent, key in (
            ("t_suite", "t_implic", "id_implic"), ("t_adresse", "t_personne", "id_pers"),
            ("t_fait", "t_proc", "id_proc"),
            ("t_scelle", "t_objet", "id_objet"), ("t_mvt_scelle", "t_scelle", "id_scelle"),
        ):  # fmt: skip
            dangling = sql.SQL("select count(*) from {0} c where {2} is not null and not exists "
                               "(select from {1} p where p.{2} = c.{2})").format(
                sql.Identifier("orion", child), sql.Identifier("orion", parent), sql.Identifier(key)
            )  # fmt: skip
            assert connection.execute(dangling).fetchone() == (0,), child


def test_updates_reach_every_column_of_a_person(fresh: str) -> None:
    with connect(fresh) as connection:
        connection.execute("create table orion.seen (name text)")
        connection.execute("grant insert on orion.seen to orion_app")
        connection.execute(
            "create function orion.watch() returns trigger language plpgsql as $$ begin "
            "insert into orion.seen select n.key from jsonb_each_text(to_jsonb(new)) n "
            "join jsonb_each_text(to_jsonb(old)) o on o.key = n.key where n.value is distinct from o.value; "
            "return null; end $$"
        )
        connection.execute(
            "create trigger watch after update on orion.t_personne for each row execute function orion.watch()"
        )

        live(as_role(fresh, "orion_app"), Pace(rate_per_second=5000, count=800, seed=11))

        seen = {row[0] for row in connection.execute("select distinct name from orion.seen").fetchall()}
    assert seen == {column.name for column in legacy_tables()["t_personne"]} - {"id_pers"}


def test_a_refusal_by_the_fence_is_counted_and_changes_nothing(fresh: str) -> None:
    with connect(fresh) as connection:
        connection.execute(FENCE)
        for table in legacy_tables():
            connection.execute(
                sql.SQL("create trigger a_fence before insert or update or delete on {} "
                        "for each statement execute function orion.refuse()").format(sql.Identifier("orion", table))
            )  # fmt: skip
    before = {table: stored(fresh, table) for table in legacy_tables()}

    counts = live(as_role(fresh, "orion_app"), Pace(rate_per_second=5000, count=60, seed=2))
    batch = night_batch(as_role(fresh, "orion_batch"), seed=1)

    assert counts.refused == counts.attempts == 60
    assert counts.operations == 0
    assert batch.refused
    assert batch.keys == {}
    assert all(stored(fresh, table).equals(frame, null_equal=True) for table, frame in before.items())


def test_officers_stop_when_they_are_told_to(fresh: str) -> None:
    stop, begun, finished = Event(), Event(), []
    pace = Pace(rate_per_second=200)
    thread = Thread(
        target=lambda: finished.append(
            live(as_role(fresh, "orion_app"), pace, on_event=lambda _: begun.set(), stop=stop)
        )
    )
    thread.start()

    assert begun.wait(30)
    stop.set()
    thread.join(30)

    assert not thread.is_alive()
    assert finished[0].operations > 0


def test_officers_keep_the_pace_and_stop_after_their_seconds(fresh: str) -> None:
    counts = live(as_role(fresh, "orion_app"), Pace(rate_per_second=20, seconds=0.5, seed=4))

    assert 5 <= counts.attempts <= 10


def test_officers_connect_again_when_their_connection_is_cut(fresh: str) -> None:
    def cut(event: LiveEvent) -> None:
        if len(outcomes) == 10:
            with connect(fresh) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where usename = 'orion_app' and datname = current_database()"
                )
        outcomes.append(event.outcome)

    outcomes: list[Outcome] = []

    counts = live(as_role(fresh, "orion_app"), Pace(rate_per_second=5000, count=40, seed=6), on_event=cut)

    assert counts.unknown == 1
    assert counts.operations == 39
    assert outcomes[-1] is Outcome.COMMITTED


def test_the_same_seed_plays_the_same_deeds(make_database, orion: str) -> None:
    played: list[list[tuple[Deed, str | None]]] = []
    for _ in range(2):
        url = as_role(make_database(template=make_url(orion).database), "orion_app")
        events: list[tuple[Deed, str | None]] = []

        live(
            url, Pace(rate_per_second=5000, count=80, seed=9), on_event=lambda e, to=events: to.append((e.deed, e.key))
        )

        played.append(events)
    assert played[0] == played[1]


def test_the_night_batch_changes_rows_without_stamping_them(fresh: str) -> None:
    cases, persons = stored(fresh, "t_proc"), stored(fresh, "t_personne")

    batch = night_batch(as_role(fresh, "orion_batch"), seed=1, count=5)

    assert {table: len(keys) for table, keys in batch.keys.items()} == {"t_proc": 5, "t_personne": 5}
    for table, before in (("t_proc", cases), ("t_personne", persons)):
        key = key_column(table)
        both = before.join(stored(fresh, table), on=key, suffix="_after")
        assert both["dt_maj"].equals(both["dt_maj_after"])
        moved = both.filter(pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in before.columns if name != key
        ))  # fmt: skip
        assert sorted(moved[key]) == sorted(batch.keys[table])


def test_a_server_that_does_not_answer_is_said_to_be_unavailable(estate: Estate) -> None:
    with pytest.raises(SourceUnavailable, match="nothing was written"):
        load(estate, "postgresql+psycopg://postgres@127.0.0.1:1/none")
