"""Journals beside PostgreSQL's: what was written while one was away is found, and what all have read is forgotten."""

import pytest
from brigades import make_brigade
from marels import make_marel
from projects import known_actor, run

__all__ = ["known_actor"]
pytestmark = [pytest.mark.server]


class Marel:
    """A MAREL followed by its journal."""

    table, code, word = "objets", "35", "capture"
    away = ("drop trigger zz_banyan_update_objets", "drop trigger zz_banyan_delete_objets")
    unseen = (
        "update objets set serie = 'UNSEEN' order by id_objet limit 3",
        "delete from objets order by id_objet desc limit 2",
        "update vehicules set modele = 'SEEN' order by id_vehicule limit 1",
    )
    write = "update vehicules set modele = concat('M', {n}) order by id_vehicule limit 40"

    def __init__(self, cluster, mariadb, folder):
        self.world = make_marel(cluster, mariadb, folder / "project", capture="journal", name="marel_gaps")
        self.folder = self.world.rig.workspace.project.folder

    def legacy(self, *statements):
        return self.world.marel.run(*statements)

    def entries(self):
        return self.legacy(f"select count(*) from banyan_{self.world.marel.schema}.journal")[0][0]


class Brigade:
    """The file of a brigade behind triggers."""

    table, code, word = "SCELLES", "48", "journal"
    away = ("drop trigger banyan_journal_update_SCELLES", "drop trigger banyan_journal_delete_SCELLES")
    unseen = (
        "update SCELLES set NUMERO = 90001 where ID = (select min(ID) from SCELLES)",
        "delete from SCELLES where ID = (select max(ID) from SCELLES)",
        "update AFFAIRES set MEMO = 'SEEN' where ID = (select min(ID) from AFFAIRES)",
    )
    write = "update AFFAIRES set MEMO = 'M{n}' where ID in (select ID from AFFAIRES order by ID limit 40)"

    def __init__(self, cluster, folder):
        self.world = make_brigade(cluster, folder / "project", fence="triggers", name="brigade_gaps")
        self.folder = self.world.rig.workspace.project.folder

    def legacy(self, *statements):
        return self.world.file.run(*statements)

    def entries(self):
        return self.legacy("select count(*) from banyan_journal")[0][0]


@pytest.fixture(params=[pytest.param("marel", marks=[pytest.mark.mariadb, pytest.mark.torture]), "brigade"])
def made(request, cluster, tmp_path):
    if request.param == "marel":
        made = Marel(cluster, request.getfixturevalue("mariadb"), tmp_path)
    else:
        made = Brigade(cluster, tmp_path)
    made.world.load()
    yield made
    made.world.close()


def banyan(made, *arguments: str) -> int:
    return run(["-C", str(made.folder), *arguments, made.code])


def test_what_nobody_wrote_down_is_found_and_what_everybody_read_is_forgotten(made, capfd):
    made.legacy(*made.away)
    made.legacy(*made.unseen)

    assert banyan(made, "sync", "run") == 3
    assert f"the {made.word} of {made.table} was removed or changed" in capfd.readouterr().err
    assert banyan(made, "load") == 0
    assert banyan(made, "sync", "run") == 0

    equal = [made.world.is_equal()]
    assert made.world.ask_store("select count(*) from mig.capture_gap") == [(0,)]

    kept = []
    for n in range(3):
        made.legacy(made.write.format(n=n))
        assert banyan(made, "sync", "run") == 0
        made.world.ask_store(
            "update mig.run set opened_at = opened_at - interval '3 days', closed_at = closed_at - interval '3 days'"
        )
        kept.append(made.entries())

    assert min(kept) > 10
    assert max(kept) < 2 * min(kept), "each round writes as much; one round stands there, not three"
    assert banyan(made, "sync", "run") == 0
    assert [*equal, made.world.is_equal()] == [("PASS", 0)] * 2
