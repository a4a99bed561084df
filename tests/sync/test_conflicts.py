"""A night batch that wrote behind the fence: what the way back overwrites is listed cell by cell, and can be read."""

import shutil

import psycopg
import pytest
from sqlalchemy.engine import make_url
from stores import ORION_TABLES, only_tables
from worlds import RULES

from mappings.ruleset import load_rulebook
from store.runs import RunKind
from sync.lane import Step

pytestmark = pytest.mark.server
OCCURRED = "lens: instant.local, also: [occurred_precision_code]"


def copy_rules(folder, table, old, new):
    own = folder / "rules"
    shutil.copytree(RULES, own)
    path = own / f"{table}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return own


@pytest.fixture
def live(loaded):
    """A world whose canonical side owns the closure."""
    loaded.switch_by_hand()
    return loaded


def back(world, **more):
    return world.reverse_engine(**more).advance(world.reverse(), RunKind.REVERSE)


def some_person(world):
    return world.place.run(
        "select p.id, source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " where source_table_no = %s and occupation_text is not null order by source_key limit 1",
        (world.numbers["t_personne"],),
    )[0]


def behind_the_fence(world, table, statement, parameters):
    """Write as an administrator who took every trigger off the table, and put them back."""
    address = make_url(world.legacy_url("postgres")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        always = connection.execute(
            "select tgname from pg_trigger where tgrelid = %s::regclass and tgenabled = 'A'", (f"orion.{table}",)
        ).fetchall()
        connection.execute(f"alter table orion.{table} disable trigger all")
        connection.execute(statement, parameters)
        connection.execute(f"alter table orion.{table} enable trigger all")
        for (name,) in always:
            connection.execute(f'alter table orion.{table} enable always trigger "{name}"')


def listed(world):
    return world.place.run(
        "select canonical_table, column_name, kind, state from mig.degraded_write_back order by column_name"
    )


def test_what_both_sides_changed_is_a_conflict_and_what_only_the_batch_changed_is_overwritten(live):
    person, key = some_person(live)
    batch = "update orion.t_personne set profession = 'DU BATCH', lieu_naiss = 'AILLEURS' where id_pers = %s"
    behind_the_fence(live, "t_personne", batch, (key,))
    live.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))

    back(live)

    after = live.on_legacy(
        "select profession, lieu_naiss <> 'AILLEURS' from orion.t_personne where id_pers = %s", (key,)
    )
    assert after == [("NOTAIRE", True)]
    assert listed(live) == [
        ("person_identity", "birth_place_text", "OVERWRITTEN", "OPEN"),
        ("person_identity", "occupation_text", "CONFLICT", "OPEN"),
    ]
    (found,) = [p for p in live.landing.list_parcels("38/ORION/t_personne/reverse") if p.name.endswith("before")]
    assert live.landing.read_parcel(found.name)["profession"].to_list() == ["DU BATCH"]


def test_a_conflict_stays_listed_after_the_next_edit_and_is_not_found_twice(live):
    person, key = some_person(live)
    behind_the_fence(
        live, "t_personne", "update orion.t_personne set profession = 'DU BATCH' where id_pers = %s", (key,)
    )
    for word in ("NOTAIRE", "JUGE"):
        live.as_app("update justice.person_identity set occupation_text = %s where id = %s", (word, person))

        back(live)

    assert listed(live) == [("person_identity", "occupation_text", "CONFLICT", "OPEN")]


def test_a_batch_that_wrote_what_people_wrote_too_is_no_conflict(live):
    person, key = some_person(live)
    behind_the_fence(
        live, "t_personne", "update orion.t_personne set profession = 'NOTAIRE' where id_pers = %s", (key,)
    )
    live.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))

    back(live)

    assert listed(live) == []


def test_a_row_deleted_behind_the_fence_is_written_again_and_listed(live):
    contact, key = live.place.run(
        "select m.id, source_key from justice.contact_means m join mig.crosswalk c using (id)"
        " where source_table_no = %s limit 1",
        (live.numbers["t_tel"],),
    )[0]
    behind_the_fence(live, "t_tel", "delete from orion.t_tel where id_tel = %s", (key,))
    live.as_app("update justice.contact_means set value_raw = '0476010203' where id = %s", (contact,))

    back(live)

    assert ("contact_means", None, "CONFLICT", "OPEN") in listed(live)
    assert live.on_legacy("select trim(num_tel) from orion.t_tel where id_tel = %s", (key,)) == [("0476010203",)]


def test_a_way_back_that_died_before_its_legacy_commit_is_no_conflict_when_it_is_done_again(live):
    person, key = some_person(live)
    live.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (person,))

    def die(step):
        if step is Step.WRITTEN:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        back(live, checkpoint=die)
    between = live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,))
    back(live)
    back(live)

    assert between != [("NOTAIRE",)]
    assert live.on_legacy("select profession from orion.t_personne where id_pers = %s", (key,)) == [("NOTAIRE",)]
    assert listed(live) == []


@pytest.mark.parametrize(
    ("batch", "edit", "left"), [("REL", "CONVICTION", "REL"), ("CON", "ACQUITTAL", "ACQ")], ids=["theirs", "ours"]
)
def test_of_two_decisions_the_one_that_protects_the_person_stands_and_both_are_listed(live, batch, edit, left):
    record, key = live.place.run(
        "select d.id, source_key from justice.disposition d join mig.crosswalk c using (id)"
        " where source_table_no = %s and disposition_code = 'CLASSEMENT_SANS_SUITE' limit 1",
        (live.numbers["t_suite"],),
    )[0]
    behind_the_fence(live, "t_suite", "update orion.t_suite set code_suite = %s where id_suite = %s", (batch, key))
    live.as_app("update justice.disposition set disposition_code = %s where id = %s", (edit, record))

    back(live)

    kind = "LEGACY_STANDS" if left == batch else "CONFLICT"
    assert live.on_legacy("select trim(code_suite) from orion.t_suite where id_suite = %s", (key,)) == [(left,)]
    assert [row for row in listed(live) if row[1] == "disposition_code"] == [
        ("disposition", "disposition_code", kind, "OPEN")
    ]


@pytest.mark.parametrize(("day", "hour", "left"), [("20991231", "0001", "0001"), ("20010101", "2359", "1530")])
def test_the_later_of_two_times_stands_with_its_hour(live, tmp_path, day, hour, left):
    rules = copy_rules(tmp_path, "t_fait", OCCURRED, f"{OCCURRED}, conflict: latest")
    live.book = only_tables(load_rulebook(rules), ORION_TABLES)
    record, key = live.place.run(
        "select i.id, c.source_key from justice.incident i join mig.record_link l on l.canonical_id = i.id"
        " join mig.crosswalk c on c.id = l.id where c.source_table_no = %s and occurred_from is not null limit 1",
        (live.numbers["t_fait"],),
    )[0]
    batch = "update orion.t_fait set dt_fait = %s, h_fait = %s where id_fait = %s"
    behind_the_fence(live, "t_fait", batch, (day, hour, key))
    live.as_app("update justice.incident set occurred_from = '2024-05-01 15:30 Europe/Paris' where id = %s", (record,))

    back(live)

    stands = (day, hour) if left == hour else ("20240501", left)
    assert live.on_legacy("select dt_fait::text, h_fait::text from orion.t_fait where id_fait = %s", (key,)) == [stands]
    kinds = {kind for _, column, kind, _ in listed(live) if column == "occurred_from"}
    assert kinds == {"LEGACY_STANDS" if left == hour else "CONFLICT"}


def test_an_edit_in_an_old_open_transaction_is_carried_when_it_commits_and_never_lost(live):
    (first, one), (second, two) = live.place.run(
        "select p.id, source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " where source_table_no = %s order by source_key limit 2",
        (live.numbers["t_personne"],),
    )
    edit = "update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s"
    read = (
        "select id_pers::text from orion.t_personne where profession = 'NOTAIRE' and id_pers::text = any(%s) order by 1"
    )
    with live.place.connect("banyan_app", autocommit=False) as slow:
        slow.execute(edit, (first,))
        live.as_app(edit, (second,))
        early = back(live)
        seen_early = live.on_legacy(read, ([one, two],))
        slow.commit()

    late = back(live)

    assert (early.total.rows.loaded, seen_early) == (1, [(two,)])
    assert late.total.rows.loaded == 1
    assert live.on_legacy(read, ([one, two],)) == sorted([(one,), (two,)])
    assert back(live) is None
