"""`banyan doctor` on a legacy MariaDB: what no trigger sees is told, account by account and table by table."""

import json

import pytest
from marels import make_marel
from projects import known_actor, run

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server]


@pytest.fixture
def world(cluster, mariadb, tmp_path, known_actor):
    made = make_marel(cluster, mariadb, tmp_path / "project", capture="log", name="marel_doctor")
    yield made
    made.close()


def fences(world, capfd):
    """Give what the doctor says of the fences of the old system, by closure, with its word."""
    capfd.readouterr()
    run(["-C", str(world.rig.workspace.project.folder), "doctor", "--json"])
    told = json.loads(capfd.readouterr().out)
    said = [(one["word"], *one["sentence"].removeprefix("fence of ").split(": ", 1)) for one in told
            if one["sentence"].startswith("fence of ")]  # fmt: skip
    return {closure: (word, sentence) for word, closure, sentence in said}


def test_the_doctor_tells_what_the_fence_of_a_mariadb_cannot_stop(world, capfd):
    marel = world.marel
    before = fences(world, capfd)
    marel.run("alter table implications engine = memory")
    marel.run("create user vendeur@'%'", "grant all on *.* to vendeur@'%'", "drop trigger aa_banyan_insert_objets")
    try:
        after = fences(world, capfd)
    finally:
        marel.run("drop user vendeur@'%'")

    loose = "vendeur@% holds DROP, ALTER, TRIGGER everywhere: no trigger fires for TRUNCATE, DROP and ALTER"
    kept = "implications: MEMORY forgets its rows or keeps no key: nothing is written back to it"
    rebuilt = "implications: the table was truncated, rebuilt or made anew since its triggers were installed"
    assert before["35.cases"] == ("ok", "on 6 tables, OPEN")
    assert before["35.vehicles"] == ("ok", "on 2 tables, OPEN")
    assert after["35.reference"] == ("NO", loose)
    assert after["35.cases"] == ("NO", "; ".join([rebuilt] * 3 + [loose, kept]))
    assert after["35.vehicles"] == ("NO", f"objets: the trigger aa_banyan_insert_objets is missing; {loose}")
