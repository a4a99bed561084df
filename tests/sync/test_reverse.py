import pytest

from banyan.errors import StoreFenced
from store.runs import RunKind

pytestmark = pytest.mark.server


@pytest.fixture
def live(loaded):
    """A world whose canonical side owns the closure."""
    loaded.switch_by_hand()
    return loaded


def back(world):
    return world.reverse_engine().advance(world.reverse(), RunKind.REVERSE)


def some_person(world):
    query = (
        "select p.id, source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " join mig.source_table using (source_table_no) where table_name = 't_personne' order by source_key limit 1"
    )
    return world.place.run(query)[0]


def test_an_edit_changes_only_its_legacy_column_and_the_declared_side_effects(live):
    person, key = some_person(live)
    before = live.on_legacy("select * from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    live.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))

    result = back(live)

    after = live.on_legacy("select * from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    names = [c.name for c in live.port.columns("t_personne")]
    changed = {name for name, old, new in zip(names, before[0], after[0], strict=True) if old != new}
    assert result.total.rows.loaded == 1
    assert "profession" in changed
    assert changed <= {"profession", "nom", "dt_maj"}


def test_what_a_route_wrote_is_not_carried_forward_again(live):
    person, _ = some_person(live)
    live.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))
    back(live)

    lane = live.forward()

    assert lane.plan_changes(lane.watermark(), lane.head()) == []


def test_a_record_born_in_the_target_gets_a_reserved_key_once(live):
    person, _ = some_person(live)
    case = live.place.run("select id from justice.case_file limit 1")[0][0]
    counter = live.on_legacy("select last_value from orion.seq_implic", role="postgres")[0][0]
    live.as_app(
        "insert into justice.participation (id, department_code, domain_code, origin, case_file_id,"
        " person_identity_id, role_code, role_sequence) values"
        " (uuidv7(), '38', 'cases', 'TARGET', %s, %s, 'VICTIM', 1)",
        (case, person),
    )

    first = back(live)
    again = back(live)

    adopted = live.place.run("select source_key from mig.adopted_key")
    rows = live.on_legacy("select count(*) from orion.t_implic where id_implic > %s", (counter,), role="banyan_reader")
    assert first.total.rows.loaded == 1
    assert again is None
    assert [int(key) > counter for (key,) in adopted] == [True]
    assert rows == [(1,)]


def test_what_the_old_system_cannot_say_is_listed_and_keeps_its_text(live):
    person, key = some_person(live)
    before = live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    live.as_app("update justice.person_identity set occupation_text = repeat('y', 80) where id = %s", (person,))

    back(live)

    listed = live.place.run("select canonical_table, column_name, kind from mig.degraded_write_back")
    after = live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    assert listed == [("person_identity", "occupation_text", "TOO_LONG")]
    assert after == before


def test_a_deleted_record_is_marked_deleted_in_the_old_system(live):
    contact, key = live.place.run(
        "select m.id, source_key from justice.contact_means m join mig.crosswalk c using (id)"
        " join mig.source_table using (source_table_no) where table_name = 't_tel' limit 1"
    )[0]
    live.as_app("delete from justice.contact_means where id = %s", (contact,))

    result = back(live)

    marked = live.on_legacy("select top_supp from orion.t_tel where id_tel = %s", (key,), role="banyan_reader")
    assert result.total.rows.deleted == 1
    assert marked == [("O",)]


def test_a_second_vehicle_of_one_person_has_no_place_and_is_listed(live):
    person = live.place.run(
        "select person_identity_id from justice.vehicle where person_identity_id is not null limit 1"
    )[0][0]
    live.as_app(
        "insert into justice.vehicle (id, department_code, domain_code, origin, person_identity_id, plate_raw)"
        " values (uuidv7(), '38', 'vehicles', 'TARGET', %s, 'AB-123-CD')",
        (person,),
    )

    back(live)

    assert live.place.run("select canonical_table, kind from mig.degraded_write_back") == [("vehicle", "NO_PLACE")]


def test_nothing_is_written_while_the_legacy_fence_is_open(loaded):
    person, key = some_person(loaded)
    from stores import own

    own(loaded.place, "CANONICAL")
    loaded.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))

    with pytest.raises(StoreFenced):
        back(loaded)

    there = loaded.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    assert there != [("NOTAIRE",)]
    assert loaded.reverse().queue() == 1


def test_a_new_item_is_one_legacy_row_whatever_refers_to_it(live):
    case = live.place.run("select id from justice.case_file limit 1")[0][0]
    item = live.place.run("select uuidv7()")[0][0]
    live.as_app(
        "insert into justice.item (id, department_code, domain_code, origin, case_file_id, item_category_code)"
        " values (%s, '38', 'vehicles', 'TARGET', %s, 'PHONE')",
        (item, case),
    )
    live.as_app(
        "insert into justice.vehicle (id, department_code, domain_code, origin, item_id, plate_raw)"
        " values (uuidv7(), '38', 'vehicles', 'TARGET', %s, 'AB-123-CD')",
        (item,),
    )

    back(live)

    adopted = live.place.run("select table_name from mig.adopted_key join mig.source_table using (source_table_no)")
    assert adopted == [("t_objet",)]
    assert ("vehicle", "NO_PLACE") in live.place.run("select canonical_table, kind from mig.degraded_write_back")


def test_a_record_two_rows_point_at_belongs_to_the_row_it_came_from(live):
    offenses = live.place.run(
        "select o.id, o.incident_id from justice.offense o join mig.record_link l on l.id = o.id order by o.id limit 2"
    )
    (first, shared), (second, _) = offenses
    live.as_app("update justice.offense set incident_id = %s where id = %s", (shared, second))

    back(live)

    links = live.place.run("select id from mig.record_link where canonical_id = %s", (shared,))
    assert links == [(first,)]


def test_a_row_the_old_system_always_refuses_blocks_no_other_and_is_listed(live):
    poisoned, key = some_person(live)
    others = live.place.run(
        "select p.id, source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " join mig.source_table using (source_table_no) where table_name = 't_personne'"
        " order by source_key desc limit 5"
    )
    live.on_legacy(
        f"alter table orion.t_personne add constraint no_such_trade check (profession <> 'POISON' or id_pers <> {key})",
        role="postgres",
    )
    before = live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
    live.as_app("update justice.person_identity set occupation_text = 'POISON' where id = %s", (poisoned,))
    for person, _ in others:
        live.as_app("update justice.person_identity set occupation_text = 'POISON' where id = %s", (person,))

    result = back(live)

    trades = {
        live.on_legacy("select rtrim(profession) from orion.t_personne where id_pers = %s", (other,),
                       role="banyan_reader")[0][0]
        for _, other in others
    }  # fmt: skip
    listed = live.place.run(
        "select source_key, cause from mig.degraded_write_back where kind = 'REFUSED' and state = 'OPEN'"
        " and canonical_table = 'person_identity'"
    )
    assert trades == {"POISON"}
    assert (result.total.rows.loaded, result.total.rows.quarantined) == (5, 1)
    assert listed == [(str(key), "the old system refuses this row, by no_such_trade (23514)")]
    assert (
        live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,), role="banyan_reader")
        == before
    )
    assert live.reverse().queue() == 0

    live.on_legacy("alter table orion.t_personne drop constraint no_such_trade", role="postgres")
    live.as_app("update justice.person_identity set given_names = given_names where id = %s", (poisoned,))
    back(live)

    open_now = "select count(*) from mig.degraded_write_back where kind = 'REFUSED' and state = 'OPEN'"
    assert live.place.run(open_now) == [(0,)]
    now = live.on_legacy(
        "select rtrim(profession) from orion.t_personne where id_pers = %s", (key,), role="banyan_reader"
    )
    assert now == [("POISON",)]


def test_a_term_of_retention_has_no_place_in_the_old_system_which_rewrote_nothing(live):
    ((record,),) = live.place.run("select id from justice.participation order by id limit 1")
    live.as_app("update justice.participation set retention_until = '2199-01-01' where id = %s", (record,))

    back(live)

    listed = live.place.run(
        "select column_name, kind, cause from mig.degraded_write_back where main_id = %s and state = 'OPEN'", (record,)
    )
    assert listed == [("retention_until", "NO_PLACE", "the old system holds no term of retention")]
