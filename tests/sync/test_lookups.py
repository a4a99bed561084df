"""A text of another legacy table, taken through its key: loaded, followed, written back, and judged."""

import pytest
from posts import POSTS, brigade, write_rules
from stores import ISERE

from banyan.departments import Side
from banyan.errors import ConfigurationError
from banyan.findings import LevelState
from mappings import lookups
from mappings.ruleset import load_rulebook
from store.ledger import LedgerReader
from store.postgres import transaction
from store.runs import RunKind
from sync.engine import SyncEngine
from validation.reconcile import reconcile
from validation.round_trip import check_round_trip
from validation.subject import Subject

__all__ = ["brigade"]
pytestmark = pytest.mark.server


@pytest.fixture
def loaded(brigade):
    brigade.load()
    return brigade


def posts_of(brigade):
    """What each check says of its post, by legacy key."""
    return dict(
        brigade.place.run(
            "select c.source_key, i.serial_number from justice.item i join mig.crosswalk c using (id)"
            " where c.source_table_no = %s",
            (brigade.numbers["t_controle"],),
        )
    )


def judged(brigade):
    subject = Subject(
        department=ISERE.department, source=POSTS, port=brigade.port, engine=brigade.place.engine("banyan_forward"),
        book=brigade.book, table_numbers=brigade.numbers, digest_key=b"k" * 32, domains=("reference", "vehicles"),
    )  # fmt: skip
    with transaction(brigade.place.engine("banyan_forward")) as connection:
        watermark = LedgerReader(connection).find_watermark(POSTS, Side.CANONICAL)
    return reconcile(subject, watermark=watermark).level, check_round_trip(subject)


def back(brigade):
    return SyncEngine(brigade.place.engine("banyan_reverse")).advance(brigade.reverse(), RunKind.REVERSE)


def test_each_row_says_what_its_row_of_the_other_table_says_and_every_key_comes_back(loaded):
    assert posts_of(loaded) == {"1": "NORD", "2": "SUD", "3": "SUD", "4": None, "5": None}
    refused = loaded.place.run(
        "select source_key, cause from mig.quarantine where source_table_no = %s", (loaded.numbers["t_controle"],)
    )
    assert refused == [("4", "no row of t_poste has this key, or several have")]

    level, trip = judged(loaded)

    assert (level.state, trip.level.state) == (LevelState.PASS, LevelState.PASS)
    assert trip.figures.rows == trip.figures.rows_identical == 9


def test_a_row_that_is_looked_up_is_told_by_all_who_look_it_up_when_it_changes_appears_or_is_said_twice(loaded):
    loaded.on_legacy("update orion.t_poste set libelle = 'EST' where code = 'P2'")
    loaded.on_legacy("insert into orion.t_poste values ('P9', 'OUEST', 'f')")
    loaded.on_legacy("insert into orion.t_poste values ('P5', 'NORD', 'e')")  # from now on two rows say NORD

    loaded.follow()

    assert posts_of(loaded) == {"1": "NORD", "2": "EST", "3": "SUD", "4": "OUEST", "5": None}
    level, trip = judged(loaded)
    assert (level.state, trip.level.state) == (LevelState.PASS, LevelState.PASS)


def test_an_edit_goes_back_as_the_key_of_the_one_row_that_says_it_and_is_listed_where_two_say_it(loaded):
    loaded.switch_by_hand()
    loaded.as_app("update justice.item set serial_number = 'NORD' where description = 'second'")
    loaded.as_app("update justice.item set serial_number = 'SUD' where description = 'premier'")

    back(loaded)

    rows = loaded.on_legacy("select id_controle, poste from orion.t_controle order by 1", role="banyan_reader")
    assert rows == [(1, "P1  "), (2, "P1  "), (3, "P3  "), (4, "P9  "), (5, None)]
    assert loaded.place.run("select source_key, kind, cause from mig.degraded_write_back") == [
        ("1", "UNKNOWN_REFERENCE", "no row of t_poste says this, or several do")
    ]


def test_a_table_that_is_too_large_to_be_read_with_every_batch_is_refused(tmp_path):
    ruleset = load_rulebook(write_rules(tmp_path / "rules")).rulesets["t_controle"]

    with pytest.raises(ConfigurationError, match="which has 200001 rows, more than 200000; nothing was mapped"):
        lookups.refuse_too_many(ruleset, "t_poste", 200_001)
