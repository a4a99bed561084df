"""The log of ORION, whole path: first copy and changes under a storm, with everything that a capture may miss."""

import os
import signal
import time

import pytest
from captured import Storm, make_captured
from projects import known_actor

__all__ = ["known_actor"]
pytestmark = [pytest.mark.server, pytest.mark.torture]

RATE, SECONDS = 500, 4.0


def blow(project, *, kills: int) -> Storm:
    """Blow while a reader carries, is killed, and starts again; then carry what is left."""
    with project.connect(autocommit=False) as long_one, Storm(project, rate=RATE, seconds=SECONDS) as storm:
        long_one.execute("update orion.t_vehic set modele = 'LONGUE' where id_vehic % 7 = 0")
        for turn in range(kills):
            reader = project.start("sync", "watch", "38", "--every", "0.1", "--json")
            time.sleep(SECONDS / (kills + 1))
            assert reader.poll() is None, reader.communicate()
            os.kill(reader.pid, signal.SIGKILL)
            reader.communicate()
            if turn == 0:
                strike(project)
        long_one.rollback()
    return storm


def strike(project) -> None:
    """Do what is not everyday: a long transaction, a table emptied and filled again, a cascade, DDL in the middle."""
    with project.connect("postgres", autocommit=False) as connection:
        connection.execute("set lock_timeout = '20s'")
        connection.execute("alter table orion.t_objet add column passing text")
        connection.execute("update orion.t_objet set passing = 'x'")
        connection.execute("alter table orion.t_objet drop column passing")
        connection.commit()
        connection.execute("create temp table kept on commit drop as select * from orion.t_suite")
        connection.execute("truncate orion.t_suite")
        connection.execute("insert into orion.t_suite select * from kept where id_suite % 2 = 0")
        connection.commit()
        connection.execute("delete from orion.t_adresse a where not exists (select from orion.t_personne p"
                           " where p.id_pers = a.id_pers)")  # fmt: skip
        connection.execute(
            "alter table orion.t_adresse add constraint falls foreign key (id_pers) references orion.t_personne"
            " on delete cascade"
        )
        connection.execute(
            "delete from orion.t_personne where id_pers in (select id_pers from orion.t_adresse order by 1 limit 3)"
        )
        connection.execute("alter table orion.t_adresse drop constraint falls")
        connection.commit()


@pytest.mark.parametrize("server", ["18", pytest.param("15", marks=pytest.mark.pg15)])
def test_a_storm_through_the_log_ends_with_both_sides_equal(cluster, tmp_path, server, request):
    apart = request.getfixturevalue("postgresql_15") if server == "15" else None
    project = make_captured(cluster, tmp_path / "project", "log", apart)
    assert project.banyan("load", "38", "--json") == 0

    storm = blow(project, kills=2)
    project.sync()

    print(f"{storm.reached:.0f} changes a second")  # 420 to 500 beside readers that begin and die, on two busy cores
    assert storm.changes >= RATE * SECONDS
    assert project.differences() == {}
    assert project.ask(project.legacy, "select count(*) from banyan.log_capture") == [(1,)]
    assert project.ask(project.legacy, "select to_regclass('banyan.journal')") == [(None,)]
    assert project.ask(project.store, "select count(*) from mig.log_key where op = 'T'") == [(1,)]
