"""A key that the old system uses again is a new epoch, never an update: load, sync, the way back and the judges."""

from dataclasses import replace
from uuid import UUID

import pytest
from judged import subject_of, watermark_of
from worlds import World

from banyan.findings import LevelState
from mappings.identity import reference_uuid5
from mappings.seal import seal_book
from store.runs import RunKind
from validation.conservation import check_conservation
from validation.reconcile import reconcile
from validation.round_trip import check_round_trip

pytestmark = pytest.mark.server
BORN_ELSEWHERE = "update orion.t_personne set nom = %s, ddn = 19720229 where id_pers = %s"


@pytest.fixture
def reusable(world: World) -> World:
    """A world in which the rule of persons says what tells two holders of one key apart, its first copy made."""
    people = replace(world.book.rulesets["t_personne"], key_reuse=("nom", "ddn"))
    world.book = seal_book(replace(world.book, rulesets={**world.book.rulesets, "t_personne": people}))
    world.load()
    return world


def advance(world):
    return world.forward_engine().advance(world.forward())


def history(world, table, key):
    """Every crosswalk row of a legacy key: epoch, id, why it is gone."""
    return world.place.run(
        "select key_epoch, id, deleted_reason from mig.crosswalk where source_table_no = %s and source_key = %s"
        " order by key_epoch",
        (world.numbers[table], str(key)),
    )


def judged_levels(world):
    subject, watermark = subject_of(world), watermark_of(world)
    row_by_row = reconcile(subject, watermark=watermark)
    return check_conservation(subject), row_by_row.level, check_round_trip(subject).level


def person_with_parts(world):
    """A person of a case with a known name, birth and plate: her key, and her identifier."""
    return world.place.run(
        "select c.source_key, p.id from justice.person_identity p join mig.crosswalk c using (id)"
        " join justice.participation i on i.person_identity_id = p.id"
        " join justice.vehicle v on v.person_identity_id = p.id"
        " where c.source_table_no = %s and p.birth_date is not null and p.surname is not null order by 1 limit 1",
        (world.numbers["t_personne"],),
    )[0]


def id_of(key, epoch, part="identity"):
    return UUID(bytes=reference_uuid5("38.ORION", "t_personne", part, key=key, epoch=epoch))


def test_an_update_into_somebody_else_is_a_new_epoch_on_both_ways_and_for_the_judges(reusable):
    key, first = person_with_parts(reusable)
    reusable.on_legacy(BORN_ELSEWHERE, ("QUIDAM", key))

    result = advance(reusable)

    second = id_of(key, 1)
    assert history(reusable, "t_personne", key) == [(0, first, "REUSED"), (1, second, None)]
    names = "select surname from justice.person_identity where id = %s"
    assert (reusable.place.run(names, (first,)), reusable.place.run(names, (second,))) == ([], [("QUIDAM",)])
    assert result.total.is_balanced
    assert reusable.place.run("select count(*) from justice.participation where person_identity_id = %s", (first,)) == [
        (0,)
    ]
    plate = reusable.place.run("select id from justice.vehicle where person_identity_id = %s", (second,))
    assert plate == [(id_of(key, 1, "vehicle"),)]
    assert [(level.state, level.findings) for level in judged_levels(reusable)] == [(LevelState.PASS, ())] * 3

    reusable.switch_by_hand()
    reusable.as_app("update justice.person_identity set occupation_text = 'NOTAIRE' where id = %s", (second,))
    back = reusable.reverse_engine().advance(reusable.reverse(), RunKind.REVERSE)

    written = reusable.on_legacy("select trim(nom), profession from orion.t_personne where id_pers = %s", (key,))
    assert (back.total.rows.loaded, written) == (1, [("QUIDAM", "NOTAIRE")])
    assert history(reusable, "t_personne", key) == [(0, first, "REUSED"), (1, second, None)]


def test_a_correction_of_the_name_alone_stays_the_same_person(reusable):
    key, first = person_with_parts(reusable)
    reusable.on_legacy("update orion.t_personne set nom = 'QUIDAM' where id_pers = %s", (key,))

    advance(reusable)

    assert history(reusable, "t_personne", key) == [(0, first, None)]


def test_a_key_deleted_and_given_again_is_another_row_and_the_same_row_restored_is_not(loaded):
    numbers = loaded.numbers["t_tel"]
    (key, first), (other, same) = loaded.place.run(
        "select source_key, id from mig.crosswalk where source_table_no = %s and deleted_at is null order by 1 limit 2",
        (numbers,),
    )
    kept = loaded.on_legacy(
        "select * from orion.t_tel where id_tel = any(%s) order by id_tel", ([int(key), int(other)],)
    )
    loaded.on_legacy("delete from orion.t_tel where id_tel = any(%s)", ([int(key), int(other)],), role="orion_owner")
    advance(loaded)
    gone = [history(loaded, "t_tel", one)[0][2] for one in (key, other)]
    places = ", ".join(["%s"] * len(kept[0]))
    for row in kept:
        loaded.on_legacy(f"insert into orion.t_tel values ({places})", row, role="orion_owner")
    loaded.on_legacy("update orion.t_tel set num_tel = '0476000000' where id_tel = %s", (key,), role="orion_batch")

    advance(loaded)

    assert gone == ["GONE", "GONE"]
    second = UUID(bytes=reference_uuid5("38.ORION", "t_tel", loaded.book.rulesets["t_tel"].main.name, key=key, epoch=1))
    assert history(loaded, "t_tel", key) == [(0, first, "GONE"), (1, second, None)]
    assert history(loaded, "t_tel", other) == [(0, same, None)]
    assert [(level.state, level.findings) for level in judged_levels(loaded)] == [(LevelState.PASS, ())] * 3


def test_a_row_marked_as_deleted_and_taken_back_with_edits_is_the_same_row(loaded):
    key, first = loaded.place.run(
        "select source_key, id from mig.crosswalk where source_table_no = %s and deleted_at is null order by 1 limit 1",
        (loaded.numbers["t_tel"],),
    )[0]
    loaded.on_legacy("update orion.t_tel set top_supp = 'O' where id_tel = %s", (key,))
    advance(loaded)
    marked = history(loaded, "t_tel", key)
    loaded.on_legacy("update orion.t_tel set top_supp = 'N', num_tel = '0476000000' where id_tel = %s", (key,))

    advance(loaded)

    assert marked == [(0, first, "MARKED")]
    assert history(loaded, "t_tel", key) == [(0, first, None)]


def test_a_key_used_again_twice_counts_on(reusable):
    key, first = person_with_parts(reusable)
    for name, born in (("QUIDAM", 19720229), ("AUTRE", 19900101)):
        reusable.on_legacy("update orion.t_personne set nom = %s, ddn = %s where id_pers = %s", (name, born, key))
        advance(reusable)

    assert history(reusable, "t_personne", key) == [
        (0, first, "REUSED"), (1, id_of(key, 1), "REUSED"), (2, id_of(key, 2), None),
    ]  # fmt: skip
    reusable.on_legacy("update orion.t_personne set profession = 'NOTAIRE' where id_pers = %s", (key,))

    advance(reusable)

    told = reusable.place.run("select occupation_text from justice.person_identity where id = %s", (id_of(key, 2),))
    assert told == [("NOTAIRE",)]
    assert len(history(reusable, "t_personne", key)) == 3
