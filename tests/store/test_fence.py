"""Who does not own a slice writes nothing in it, by any door; what people write leaves its key in the outbox."""

import threading
import uuid
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors
from stores import SourceSystem, StorePlace

from banyan.departments import Closure, Department
from banyan.errors import StoreFenced
from store.install import Registration, add_department
from store.postgres import raw, transaction

pytestmark = pytest.mark.server

INSERT = "insert into justice.item (id, department_code, domain_code, origin) values (%s, %s, %s, 'TARGET')"
FENCED = errors.ObjectInUse
FORBIDDEN = errors.InsufficientPrivilege


@pytest.fixture(scope="module")
def ground(make_store) -> StorePlace:
    """Departments 38 (new system owns cases and vehicles) and 75 (legacy owns both)."""
    place = make_store()
    paris = Registration(
        Department("75", "Paris", "Europe/Paris", 2),
        (SourceSystem("ORION", "oracle-like", "UTF-8", ("t_proc",)),),
        (Closure("75", ("cases", "vehicles"), ("t_proc",), ()),),
    )
    add_department(place.engine("banyan_migrator"), paris)
    return place


@pytest.fixture
def place(ground) -> StorePlace:
    owned(ground, "38", "CANONICAL")
    owned(ground, "75", "LEGACY")
    ground.run("update mig.slice set armed_boot = pg_postmaster_start_time()")
    return ground


def owned(place, department, side, domain="%"):
    place.run(
        "update mig.slice set owner = %(side)s, phase = case %(side)s when 'LEGACY' then 'SYNCING' else 'LIVE' end,"
        " epoch = epoch + 1 where department_code = %(department)s and domain_code like %(domain)s",
        {"side": side, "department": department, "domain": domain},
    )


def seeded(place, department="38", domain="cases", table="item"):
    """A row that is already there, put by whoever owns the slice."""
    row_id = uuid.uuid4()
    side = place.run(
        "select owner from mig.slice where department_code = %s and domain_code = %s", (department, domain)
    )[0][0]
    role = "banyan_forward" if side == "LEGACY" else "banyan_app"
    place.run(INSERT.replace("justice.item", f"justice.{table}"), (row_id, department, domain), role=role)
    return row_id


@contextmanager
def leaves(place, *, events: int):
    """Expect a number of new outbox rows."""
    before = place.run("select count(*) from mig.outbox")[0][0]
    yield
    assert place.run("select count(*) from mig.outbox")[0][0] - before == events


def test_an_application_is_refused_while_legacy_owns_the_slice(place):
    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(INSERT, (uuid.uuid4(), "75", "cases"), role="banyan_app")


def test_the_forward_applier_is_refused_while_canonical_owns_the_slice(place):
    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(INSERT, (uuid.uuid4(), "38", "cases"), role="banyan_forward")


def test_the_store_tells_a_fenced_writer_what_to_do_without_a_value(place):
    with pytest.raises(StoreFenced) as refused, transaction(place.engine("banyan_app")) as connection:
        raw(connection).execute(INSERT, (uuid.uuid4(), "75", "cases"))

    assert refused.value.hint == "banyan switch status"
    assert refused.value.facts["detail"] == "banyan_app may not insert item: departments {75}, domains {cases}"


def test_the_owner_side_writes_and_only_people_leave_keys(place):
    with leaves(place, events=2):
        place.run(
            "insert into justice.item (id, department_code, domain_code, origin) values"
            " (gen_random_uuid(), '38', 'cases', 'TARGET'), (gen_random_uuid(), '38', 'vehicles', 'TARGET')",
            role="banyan_app",
        )
    with leaves(place, events=0):
        place.run(INSERT, (uuid.uuid4(), "75", "cases"), role="banyan_forward")


def test_the_outbox_names_the_table_the_operation_and_the_key(place):
    row_id = seeded(place, table="vehicle", domain="vehicles")
    place.run("delete from justice.vehicle where id = %s", (row_id,), role="banyan_app")

    assert place.run(
        "select relation, op, department_code, domain_code from mig.outbox where key = %s order by id", (row_id,)
    ) == [("vehicle", "I", "38", "vehicles"), ("vehicle", "D", "38", "vehicles")]


def test_a_statement_with_one_row_of_a_foreign_slice_is_refused_whole(place):
    mine = uuid.uuid4()
    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(
            "insert into justice.item (id, department_code, domain_code, origin) values"
            " (%s, '38', 'cases', 'TARGET'), (gen_random_uuid(), '75', 'cases', 'TARGET')",
            (mine,),
            role="banyan_app",
        )

    assert place.run("select count(*) from justice.item where id = %s", (mine,)) == [(0,)]


def test_a_row_outside_any_slice_is_refused(place):
    with pytest.raises(FENCED):
        place.run(INSERT, (uuid.uuid4(), "38", "custody"), role="banyan_app")


def test_a_row_of_a_department_without_partition_is_refused(place):
    with pytest.raises(errors.CheckViolation):
        place.run(INSERT, (uuid.uuid4(), "2A", "cases"), role="banyan_app")


@pytest.mark.parametrize(("start", "end"), [("38", "75"), ("75", "38")])
def test_a_row_moves_neither_out_of_nor_into_an_owned_department(place, start, end):
    row_id = seeded(place, start)

    with pytest.raises(FENCED):
        place.run("update justice.item set department_code = %s where id = %s", (end, row_id), role="banyan_app")


def test_a_row_moved_between_owned_departments_leaves_both_keys(place):
    owned(place, "75", "CANONICAL")
    row_id = seeded(place, "38")

    with leaves(place, events=2):
        place.run("update justice.item set department_code = '75' where id = %s", (row_id,), role="banyan_app")


@pytest.mark.parametrize(("departments", "refused"), [(["38"] * 1000, False), (["38"] * 500 + ["75"], True)])
def test_copy_is_fenced_and_counted_like_any_statement(place, departments, refused):
    rows = "".join(f"{uuid.uuid4()}\t{department}\tcases\tTARGET\n" for department in departments)

    def copy():
        statement = "copy justice.item (id, department_code, domain_code, origin) from stdin"
        with place.connect("banyan_app") as connection, connection.cursor().copy(statement) as stream:
            stream.write(rows)

    if refused:
        with leaves(place, events=0), pytest.raises(FENCED):
            copy()
    else:
        with leaves(place, events=1000):
            copy()


def test_merge_is_fenced_and_counted_row_by_row(place):
    one, two = seeded(place), seeded(place)
    merge = (
        "merge into justice.item t using (select unnest(%s::uuid[]) as id) s"
        " on t.id = s.id and t.department_code = '38' when matched then update set description = 'seen'"
        " when not matched then insert (id, department_code, domain_code, origin) values (s.id, %s, 'cases', 'TARGET')"
    )

    with leaves(place, events=3):
        place.run(merge, ([one, two, uuid.uuid4()], "38"), role="banyan_app")
    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(merge, ([one, uuid.uuid4()], "75"), role="banyan_app")


def test_an_upsert_into_a_row_of_a_foreign_domain_is_refused(place):
    mine, foreign = seeded(place), seeded(place, domain="vehicles")
    owned(place, "38", "LEGACY", "vehicles")
    upsert = INSERT + " on conflict (id, department_code) do update set description = 'taken'"

    with leaves(place, events=1):
        place.run(upsert, (mine, "38", "cases"), role="banyan_app")
    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(upsert, (foreign, "38", "cases"), role="banyan_app")


def test_a_cte_that_deletes_here_and_inserts_there_is_refused(place):
    row_id = seeded(place)

    with leaves(place, events=0), pytest.raises(FENCED):
        place.run(
            "with gone as (delete from justice.item where id = %s returning id)"
            " insert into justice.item (id, department_code, domain_code, origin)"
            " select id, '75', 'cases', 'TARGET' from gone",
            (row_id,),
            role="banyan_app",
        )


def test_an_update_that_touches_no_row_is_accepted(place):
    with leaves(place, events=0):
        place.run("update justice.item set description = '' where department_code = '75' and false", role="banyan_app")


@pytest.mark.parametrize("before", ["set session_replication_role = replica", "set role banyan_forward"])
def test_a_superuser_is_fenced_on_the_parent_whatever_it_sets(place, before):
    owned(place, "38", "CANONICAL")
    with place.connect() as connection:
        connection.execute(before)

        with pytest.raises(FENCED):
            connection.execute(INSERT, (uuid.uuid4(), "75", "cases"))


def test_a_shadowing_temporary_table_does_not_open_the_fence(place):
    place.run(f'grant temporary on database "{place.address.database}" to banyan_app')
    with place.connect("banyan_app") as connection:
        connection.execute("create temporary table slice as select '75' as department_code, 'cases' as domain_code")
        connection.execute("create temporary table new_rows (department_code text, domain_code text)")
        connection.execute("set search_path = pg_temp, justice")

        with pytest.raises(FENCED):
            connection.execute(INSERT, (uuid.uuid4(), "75", "cases"))


def test_a_cascade_reaches_no_slice_that_is_not_owned(place):
    with _cascade(place):
        parent, child = seeded(place, table="incident"), seeded(place, table="offense", domain="vehicles")
        link = "update justice.offense set incident_id = %s where id = %s"
        place.run(link, (parent, child), role="banyan_app")
        owned(place, "38", "LEGACY", "vehicles")
        with leaves(place, events=0), pytest.raises(FENCED):
            place.run("delete from justice.incident where id = %s", (parent,), role="banyan_app")

        owned(place, "38", "CANONICAL", "vehicles")
        with leaves(place, events=2):
            place.run("delete from justice.incident where id = %s", (parent,), role="banyan_app")


@contextmanager
def _cascade(place):
    place.run(
        "alter table justice.offense add constraint chained foreign key (incident_id, department_code)"
        " references justice.incident (id, department_code) on delete cascade"
    )
    try:
        yield
    finally:
        place.run("alter table justice.offense drop constraint chained")


WRITES = (
    "insert into justice.item_38 (id, department_code, domain_code, origin)"
    " values (gen_random_uuid(), '38', 'cases', 'TARGET')",
    "update justice.item_38 set description = ''",
    "delete from justice.item_38",
    "truncate justice.item_38",
)


@pytest.mark.parametrize("role", ["banyan_app", "banyan_reverse", "banyan_steward", "postgres", "replica"])
def test_a_partition_named_directly_is_refused_to_everyone_but_the_forward_applier(place, role):
    owned(place, "38", "LEGACY" if role == "replica" else "CANONICAL")
    with place.connect("postgres" if role == "replica" else role) as connection:
        if role == "replica":
            connection.execute("set session_replication_role = replica")
        for statement in WRITES:
            with pytest.raises(FORBIDDEN):
                connection.execute(statement)


def test_the_forward_applier_may_only_insert_into_a_partition(place):
    owned(place, "38", "LEGACY")
    with place.connect("banyan_forward") as connection:
        for statement in (*WRITES[1:], "select * from justice.item_38", "merge into justice.item_38 t using"
                          " justice.item s on t.id = s.id when matched then update set description = ''"):  # fmt: skip
            with pytest.raises(FORBIDDEN):
                connection.execute(statement)
        with pytest.raises(errors.CheckViolation):  # the row of another department
            connection.execute(WRITES[0].replace("'38', 'cases'", "'75', 'cases'"))

        connection.execute(WRITES[0])


def _copy(connection, *domains):
    with (
        connection.cursor() as cursor,
        cursor.copy("copy justice.item_38 (id, department_code, domain_code, origin) from stdin") as copy,
    ):
        for domain in domains:
            copy.write_row((uuid.uuid4(), "38", domain, "LEGACY"))


def test_a_copy_into_a_partition_leaves_nothing_in_the_outbox(place):
    owned(place, "38", "LEGACY")
    with leaves(place, events=0), place.connect("banyan_forward") as connection:
        before = place.run("select count(*) from justice.item")[0][0]
        _copy(connection, "cases", "vehicles", "cases")

    assert place.run("select count(*) from justice.item")[0][0] - before == 3


@pytest.mark.parametrize(
    "closing",
    [
        "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1 where department_code = '38'",
        "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1"
        " where department_code = '38' and domain_code = 'vehicles'",
        "update mig.slice set phase = 'HALT' where department_code = '38' and domain_code = 'vehicles'",
        "update mig.slice set armed_boot = armed_boot - interval '1 second' where department_code = '38'",
    ],
    ids=["owned by the new system", "one of two domains", "halted", "not armed"],
)
def test_a_copy_into_a_partition_meets_the_fence(place, closing):
    owned(place, "38", "LEGACY")
    place.run(closing)
    before = place.run("select count(*) from justice.item")

    with leaves(place, events=0), place.connect("banyan_forward") as connection, pytest.raises(FENCED):
        _copy(connection, "cases", "vehicles")

    assert place.run("select count(*) from justice.item") == before


def test_a_copy_of_a_row_outside_any_slice_is_refused(place):
    owned(place, "38", "LEGACY")
    with place.connect("banyan_forward") as connection, pytest.raises(FENCED):
        _copy(connection, "cases", "custody")


def test_a_copy_into_a_partition_waits_for_a_flip_in_flight_and_is_refused(place):
    owned(place, "38", "LEGACY")
    outcome: list[type[BaseException] | None] = []

    def write() -> None:
        with place.connect("banyan_forward") as writer:
            try:
                _copy(writer, "cases")
                outcome.append(None)
            except psycopg.Error as error:
                outcome.append(type(error))

    with place.connect(autocommit=False) as flip:
        flip.execute("update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1"
                     " where department_code = '38'")  # fmt: skip
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.2)
        assert outcome == []  # it waits
        flip.commit()
        thread.join(10)

    assert outcome == [FENCED]


def test_a_flip_waits_for_a_copy_into_a_partition(place):
    owned(place, "38", "LEGACY")
    flips = "update mig.slice set epoch = epoch + 1 where department_code = '38'"
    with place.connect("banyan_forward", autocommit=False) as writer, place.connect(autocommit=False) as flip:
        _copy(writer, "cases")
        flip.execute("set local lock_timeout = '200ms'")
        with pytest.raises(errors.LockNotAvailable):
            flip.execute(flips)
        flip.rollback()
        writer.commit()

        flip.execute(flips)
        flip.commit()


@pytest.mark.parametrize("role", ["banyan_app", "banyan_forward", "postgres"])
def test_truncate_of_a_canonical_table_is_refused_to_everyone(place, role):
    with pytest.raises(FORBIDDEN):
        place.run("truncate justice.item", role=role)


def test_a_partition_made_after_the_fit_is_open_until_it_is_fitted(place):
    place.run("create table justice.item_zz partition of justice.item for values in ('ZZ')")
    try:
        assert place.run("select distinct relation from mig.unfitted") == [("justice.item_zz",)]

        place.run("call mig.fit('justice.item')")

        assert place.run("select relation from mig.unfitted") == []
    finally:
        place.run("drop table justice.item_zz")


def test_a_slice_that_is_not_armed_for_this_start_refuses_both_sides(place):
    place.run("update mig.slice set armed_boot = armed_boot - interval '1 second'")

    for role, department in (("banyan_app", "38"), ("banyan_forward", "75")):
        with pytest.raises(FENCED):
            place.run(INSERT, (uuid.uuid4(), department, "cases"), role=role)


@pytest.mark.parametrize(
    ("isolation", "refused"), [("read committed", FENCED), ("repeatable read", errors.SerializationFailure)]
)
def test_a_writer_that_meets_a_flip_in_flight_waits_and_is_refused(place, isolation, refused):
    outcome: list[BaseException | None] = []

    def write(writer: psycopg.Connection) -> None:
        try:
            writer.execute(INSERT, (uuid.uuid4(), "38", "cases"))
            outcome.append(None)
        except psycopg.Error as error:
            outcome.append(error)

    with place.connect("banyan_app", autocommit=False) as writer, place.connect(autocommit=False) as flip:
        writer.execute(f"set transaction isolation level {isolation}")
        writer.execute("select count(*) from justice.item")  # the writer's snapshot is older than the flip
        flip.execute("update mig.slice set owner = 'LEGACY', phase = 'SYNCING', epoch = epoch + 1"
                     " where department_code = '38'")  # fmt: skip
        thread = threading.Thread(target=write, args=(writer,))
        thread.start()
        thread.join(0.2)
        assert outcome == []  # it waits
        flip.commit()
        thread.join(10)

    assert [type(error) for error in outcome] == [refused]


@pytest.mark.parametrize("prepared", [False, True])
def test_a_flip_waits_for_a_writer_in_flight_and_gives_up_in_time(place, prepared):
    with place.connect("banyan_app", autocommit=False) as writer, place.connect(autocommit=False) as flip:
        writer.execute(INSERT, (uuid.uuid4(), "38", "cases"))
        if prepared:
            writer.execute("prepare transaction 'in flight'")
        flip.execute("set local lock_timeout = '200ms'")
        with pytest.raises(errors.LockNotAvailable):
            flip.execute("update mig.slice set epoch = epoch + 1 where department_code = '38'")
        flip.rollback()
        if prepared:
            with place.connect("banyan_app") as other:
                other.execute("commit prepared 'in flight'")
        else:
            writer.commit()

        flip.execute("update mig.slice set epoch = epoch + 1 where department_code = '38'")
        flip.commit()


def test_a_writer_of_two_slices_that_waits_for_a_flip_holds_neither_of_them(place):
    """A flip locks slices in the order of their keys: a writer that held a later one would meet it crosswise."""
    outcome: list[BaseException | None] = []
    both = INSERT + ", (%s, %s, %s, 'TARGET')"

    def write(writer: psycopg.Connection) -> None:
        try:
            writer.execute(both, (uuid.uuid4(), "38", "vehicles", uuid.uuid4(), "38", "cases"))
            outcome.append(None)
        except psycopg.Error as error:
            outcome.append(error)

    step = "update mig.slice set epoch = epoch + 1 where department_code = '38' and domain_code = %s"
    with place.connect("banyan_app", autocommit=False) as writer, place.connect(autocommit=False) as flip:
        flip.execute(step, ("cases",))
        thread = threading.Thread(target=write, args=(writer,))
        thread.start()
        thread.join(0.2)
        assert outcome == []  # it waits
        flip.execute("set local lock_timeout = '200ms'")
        flip.execute(step, ("vehicles",))
        flip.commit()
        thread.join(10)

    assert outcome == [None]
