"""Recorded questions put to a legacy database: answered as its officers ask them, and never able to write."""

import pytest

from banyan.errors import BanyanError, SourceDrifted
from banyan.ports import Questionable


def answers(port, question):
    return sorted(row for piece in port.answer(question) for row in piece)


@pytest.mark.server
def test_postgresql_answers_with_the_tables_named_as_officers_name_them(legacy, port):
    with legacy.connect() as connection:
        connection.execute("insert into orion.t_dossier (id_dossier) select generate_series(1, 45000)")

    pieces = list(port.answer("select id_dossier, '100 %' from t_dossier"))

    assert isinstance(port, Questionable)
    assert sum(len(piece) for piece in pieces) == 45_000
    assert max(len(piece) for piece in pieces) <= 20_000
    assert {row[1] for piece in pieces for row in piece} == {"100 %"}


@pytest.mark.server
def test_postgresql_refuses_a_question_that_writes_and_goes_on_answering(legacy, port):
    with legacy.connect() as connection:
        connection.execute("insert into orion.t_dossier (id_dossier) values (7)")

    for question in (
        "delete from t_dossier returning id_dossier",
        "with gone as (delete from t_dossier returning id_dossier) select id_dossier from gone",
        "select id_dossier from t_dossier for update",
    ):
        with pytest.raises(BanyanError):
            answers(port, question)
    with pytest.raises(SourceDrifted):
        answers(port, "select no_such_column from t_dossier")

    assert [int(row[0]) for row in answers(port, "select id_dossier from t_dossier")] == [7]


@pytest.mark.mariadb
def test_mariadb_answers_and_refuses_alike(marel):
    marel.run("create table q (id int primary key, v varchar(9))", "insert into q values (1, 'é'), (2, null)")

    with marel.port() as port:
        read = answers(port, "select id, coalesce(v, '') from q")
        with pytest.raises(BanyanError):
            answers(port, "delete from q returning id")
        with pytest.raises(BanyanError):
            answers(port, "select no_such_column from q")
        after = answers(port, "select count(*) from q")

    assert isinstance(port, Questionable)
    assert read == [(1, "é"), (2, "")]
    assert after == [(2,)]
