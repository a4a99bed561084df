"""A long outbox goes back in chunks of whole transactions, whoever dies between them and whoever commits late."""

import pytest

from store.runs import RunKind
from sync.lane import Step

pytestmark = pytest.mark.server
AT_MOST = 4


def people(world, count):
    return world.place.run(
        "select p.id, c.source_key from justice.person_identity p join mig.crosswalk c using (id)"
        " where c.source_table_no = %s and occupation_text is not null order by source_key limit %s",
        (world.numbers["t_personne"], count),
    )


def occupations(world, chosen):
    query = "select id_pers::text, trim(profession) from orion.t_personne where id_pers::text = any(%s)"
    return dict(world.on_legacy(query, ([key for _, key in chosen],)))


def chunks(world, run_no):
    return world.place.run(
        "select state, (counts -> 'rows' ->> 'loaded')::int from mig.chunk where run_no = %s order by chunk_no",
        (run_no,),
    )


def test_an_outbox_of_three_chunks_is_carried_in_three_legacy_transactions_whoever_dies_between_them(loaded):
    loaded.switch_by_hand()
    chosen = people(loaded, 3 * AT_MOST + 3)
    edit = "update justice.person_identity set occupation_text = %s where id = %s"
    wanted = {}
    with loaded.place.connect("banyan_app", autocommit=False) as slow:
        for number, (person, key) in enumerate(chosen[:-2]):
            if number == AT_MOST + 1:
                slow.execute(edit, ("TARDIF", chosen[-1][0]))
            wanted[key] = f"METIER {number}"
            loaded.as_app(edit, (wanted[key], person))
        passed = []

        def die(step):
            passed.append(step)
            if passed.count(Step.COMMITTED) == 2:
                raise InterruptedError

        lane = loaded.reverse(at_most=AT_MOST)
        with pytest.raises(InterruptedError):
            loaded.reverse_engine(owner="one", checkpoint=die).advance(lane, RunKind.REVERSE)
        between = occupations(loaded, chosen)
        left = lane.queue()
        done = loaded.reverse_engine(owner="one").advance(lane, RunKind.REVERSE)
        stood = occupations(loaded, chosen)
        slow.commit()
    late = loaded.reverse_engine(owner="one").advance(lane, RunKind.REVERSE)

    moved = [key for key, value in wanted.items() if between[key] == value]
    assert moved == list(wanted)[: 2 * AT_MOST]
    assert left == len(wanted) - 2 * AT_MOST
    assert {key: stood[key] for key in wanted} == wanted
    assert stood[chosen[-1][1]] != "TARDIF"
    assert chunks(loaded, done.run_no) == [("DONE", AT_MOST)] * 3 + [("DONE", len(wanted) - 3 * AT_MOST)]
    assert done.total.rows.loaded == len(wanted)
    assert (late.total.rows.loaded, occupations(loaded, chosen[-1:])) == (1, {chosen[-1][1]: "TARDIF"})
    assert loaded.reverse_engine(owner="one").advance(lane, RunKind.REVERSE) is None
    assert loaded.place.run("select count(*) from mig.degraded_write_back") == [(0,)]


def test_a_transaction_larger_than_a_chunk_is_carried_whole(loaded):
    loaded.switch_by_hand()
    chosen = people(loaded, 2 * AT_MOST + 1)
    loaded.as_app(
        "update justice.person_identity set occupation_text = 'ENSEMBLE' where id = any(%s)",
        ([person for person, _ in chosen],),
    )
    others = people(loaded, 2 * AT_MOST + 3)[-2:]
    for person, _ in others:
        loaded.as_app("update justice.person_identity set occupation_text = 'APRES' where id = %s", (person,))

    done = loaded.reverse_engine().advance(loaded.reverse(at_most=AT_MOST), RunKind.REVERSE)

    assert chunks(loaded, done.run_no) == [("DONE", len(chosen)), ("DONE", len(others))]
    assert set(occupations(loaded, chosen).values()) == {"ENSEMBLE"}
    assert set(occupations(loaded, others).values()) == {"APRES"}
