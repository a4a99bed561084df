"""A MariaDB whose key holds a byte that its character set leaves out: its row waits, all others go there and back."""

import pytest
from marels import make_marel
from switches import order

from banyan.departments import Phase
from banyan.undecoded import KEY_NOT_DECODED, MARK
from cutover.switching import roll_back, switch

pytestmark = [pytest.mark.mariadb, pytest.mark.server, pytest.mark.journey]
KEY = b"2\x81"
HERE = f"id_objet = x'{KEY.hex()}'"
SHAPED = (
    "create sequence seq_objets start with 900000",
    "alter table objets modify id_objet varchar(20) character set cp1250 not null",
    f"update objets set id_objet = x'{KEY.hex()}', serie = 'A' where id_objet = (select min(id_objet) from objets)",
)


@pytest.fixture(params=["log", "journal"])
def world(request, cluster, mariadb, tmp_path):
    name = f"typed_{request.param}"
    world = make_marel(cluster, mariadb, tmp_path / "project", capture=request.param, name=name, shaped=SHAPED)
    yield world
    world.close()


def waiting(world):
    return world.ask_store(
        "select table_name, source_key, column_name, cause from mig.quarantine join mig.source_table"
        " using (source_table_no) where state = 'OPEN' and table_name = 'objets' and column_name is null"
    )


def loaded(world):
    return world.ask_store("select count(*), count(*) filter (where serial_number = 'A') from justice.item i"
                           " where not exists (select from justice.vehicle where item_id = i.id)")[0]  # fmt: skip


def test_a_row_whose_key_holds_a_byte_without_a_letter_waits_and_its_closure_goes_there_and_back(world):
    (rows,) = world.marel.run("select count(*) from objets")[0]
    untouched = f"select * from objets where {HERE}"

    world.load()
    first = waiting(world), loaded(world)
    world.marel.run(f"update objets set serie = 'B' where {HERE}", account="marel_app")
    world.catch_up()
    before = world.marel.run(untouched)
    world.sign()
    switch(world.rig, world.closure, order())
    world.people_of_the_new_system()
    roll_back(world.rig, world.closure, order())

    assert first == ([("objets", MARK + KEY.hex(), None, KEY_NOT_DECODED)], (rows - 1, 0))
    assert world.phase is Phase.SYNCING
    assert world.marel.run(untouched) == before
    assert world.is_equal() == ("PASS", 0)

    world.marel.run(f"update objets set id_objet = '90210', serie = 'A' where {HERE}", account="marel_app")
    world.catch_up()
    assert waiting(world) == []
    assert loaded(world)[1] == 1
    assert world.is_equal() == ("PASS", 0)
