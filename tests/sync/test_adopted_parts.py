"""A part that the way back brought to a row keeps its identifier; of all others nothing is asked of the store."""

import pytest
import sqlalchemy as sa
from judged import subject_of, watermark_of
from sqlalchemy.engine import make_url
from stores import ISERE as REGISTERED
from stores import StorePlace, own
from worlds import TOKEN, World

from banyan.findings import LevelState
from store.install import add_department, install, prepare_database, run_script, upgrade
from store.runs import RunKind
from validation.reconcile import reconcile

pytestmark = pytest.mark.server


def state_of_rows(world: World) -> LevelState:
    return reconcile(subject_of(world, role="banyan_judge"), watermark=watermark_of(world)).level.state


def replace_incident(world: World) -> tuple[str, str, str]:
    """Give an offence another incident, as people do; tells its legacy key, its identifier, and the new incident's."""
    key, offense, before = world.place.run(
        "select c.source_key, o.id, o.incident_id from justice.offense o join mig.crosswalk c using (id)"
        " join mig.record_link l on l.id = o.id and l.canonical_id = o.incident_id"
        " where o.incident_id not in (select incident_id from justice.offense p where p.id <> o.id"
        " and incident_id is not null) order by c.source_key limit 1"
    )[0]
    columns = [row[0] for row in world.place.run(
        "select column_name from information_schema.columns where table_schema = 'justice' and table_name = 'incident'"
        " and column_name <> 'id'"
    )]  # fmt: skip
    listed = ", ".join(columns)
    now = world.place.run("select uuidv7()")[0][0]
    world.as_app(
        f"insert into justice.incident (id, {listed}) select %s, {listed} from justice.incident where id = %s",
        (now, before),
    )
    world.as_app("update justice.offense set incident_id = %s where id = %s", (now, offense))
    world.as_app("delete from justice.incident where id = %s", (before,))
    return key, offense, now


def test_a_part_that_people_replaced_keeps_its_identifier_when_the_row_comes_from_the_old_system_again(loaded):
    first_copy = loaded.place.run("select count(*) from mig.adopted_part")
    loaded.switch_by_hand()
    key, offense, incident = replace_incident(loaded)
    loaded.reverse_engine().advance(loaded.reverse(), RunKind.REVERSE)

    listed = loaded.place.run("select id, part, canonical_id from mig.adopted_part")
    own(loaded.place, "LEGACY")
    assert loaded.fence().open(TOKEN + 1, nonce_old=loaded.nonce).accepted
    loaded.on_legacy("update orion.t_fait set lib_fait = 'AUTRE' where id_fait = %s", (key,))
    loaded.forward_engine().advance(loaded.forward())

    assert (first_copy, listed) == ([(0,)], [(offense, "incident", incident)])
    assert loaded.place.run("select incident_id from justice.offense where id = %s", (offense,)) == [(incident,)]
    assert loaded.place.run(
        "select canonical_id from mig.record_link where id = %s and part = 'incident'", (offense,)
    ) == [(incident,)]
    assert state_of_rows(loaded) is LevelState.PASS
    loaded.place.run("delete from mig.adopted_part")
    assert state_of_rows(loaded) is LevelState.FAIL, "it was the list that told the judge"


def test_of_a_department_that_was_written_back_before_there_was_a_list_all_parts_are_listed(make_database):
    place = StorePlace(make_url(make_database()))
    with place.transaction() as connection:
        run_script(connection, "roles")
        prepare_database(connection)
        connection.execute(sa.text("set local session authorization banyan_migrator"))
        upgrade(connection, "0017")
    add_department(place.engine("banyan_migrator"), REGISTERED)
    place.run("insert into mig.source_system (department_code, system_code, flavour, character_encoding)"
              " values ('38', 'ORION', 'x', 'UTF-8') on conflict do nothing")  # fmt: skip
    run = ("insert into mig.run (department_code, system_code, to_side, kind, state, owner, attempt, lease_until)"
           " values ('38', 'ORION', '{}', '{}', 'DONE', 'x', 1, now())")  # fmt: skip
    place.run("insert into mig.record_link (id, department_code, part, canonical_table, canonical_id)"
              " values (gen_random_uuid(), '38', 'incident', 'incident', gen_random_uuid())")  # fmt: skip
    place.run(run.format("CANONICAL", "LOAD"))
    place.run(run.format("LEGACY", "REVERSE"))

    install(place.url())

    links = place.run("select department_code, id, part, canonical_id from mig.record_link")
    assert place.run("select department_code, id, part, canonical_id from mig.adopted_part") == links
    assert len(links) == 1
