"""Both sides live: no key stays undecided, and nothing that people merely change is called a difference."""

import threading
from dataclasses import dataclass, field

import polars as pl
import pytest
from judged import edited, judged, live_row, subject_of, watermark_of
from stores import make_store, store_template
from worlds import World

from banyan.findings import LevelState
from banyan.records import Position
from validation.rechecking import FEW, GLIMPSES, Glimpses, Patience, changed_rows, decide
from validation.reconcile import reconcile

__all__ = ["judged", "make_store", "store_template"]

HOT = 12


def frame(*keys):
    return pl.DataFrame({"source_key": list(keys)}, schema={"source_key": pl.String})


def test_a_record_equal_to_either_reading_is_equal_and_one_at_rest_that_equals_neither_differs():
    decided = decide(frozenset("abcde"), frame("a", "b", "d", "e"), frame("b", "c", "d", "e"), restless=frozenset("e"))

    assert decided.equal == frozenset("ac")
    assert set(decided.different["source_key"]) == {"b", "d"}
    assert decided.keys == frozenset("abcd"), "e moved between the two readings"


def test_a_row_that_changed_came_or_went_is_restless():
    first = pl.DataFrame({"k": ["1", "2", "3"], "v": ["a", None, "c"]})
    second = pl.DataFrame({"k": ["1", "2", "4"], "v": ["b", None, "d"]})

    assert changed_rows(first, second, pl.col("k")) == frozenset({"1", "3", "4"})


@dataclass
class Readings:
    """A port that gives one reading after the other."""

    rows: list[pl.DataFrame]
    asked: int = 0

    def read_keys(self, _table, _keys):
        self.asked += 1
        return Reading(self.rows[(self.asked - 1) % len(self.rows)])


@dataclass
class Reading:
    rows: pl.DataFrame


def test_the_states_a_row_went_through_are_told_one_step_after_the_other():
    first = pl.DataFrame({"k": ["1", "2", "3"], "v": ["a", "a", "a"]})
    port = Readings(
        [
            pl.DataFrame({"k": ["1", "2", "3"], "v": ["a", "b", "b"]}),
            pl.DataFrame({"k": ["1", "3"], "v": ["b", "b"]}),
            pl.DataFrame({"k": ["1", "2", "3"], "v": ["b", "c", "c"]}),
        ]
    )
    glimpses = Glimpses(port, {"t": ("1", "2", "3")})
    for _ in port.rows:
        glimpses.look()

    told = [
        (sorted(keys), sorted(rows.rows()))
        for keys, rows in glimpses.states("t", first, key=pl.col("k"), of=frozenset("12"))
    ]

    assert told == [(["1", "2"], [("1", "b"), ("2", "b")]), (["2"], []), (["2"], [("2", "c")])], "2 was gone, and came"


def test_more_rows_than_a_few_are_not_looked_at_while_a_round_waits_nor_a_few_without_end():
    port = Readings([frame()])
    many = Glimpses(port, {"t": tuple(map(str, range(FEW))), "u": ("1",)})
    few = Glimpses(port, {"t": tuple(map(str, range(FEW)))})

    for _ in range(GLIMPSES + 5):
        many.look()
        few.look()

    assert (len(many.seen), len(few.seen), port.asked) == (0, GLIMPSES, GLIMPSES)


@dataclass
class Town:
    """Officers who change each hot row between any two looks, and an applier that comes by at each `every`th look.

    Whenever one looks at both sides at once, each hot record differs from its row.
    """

    world: World
    hot: list[str]
    every: int
    looks: int = 0
    changes: int = field(default=0)

    def change(self) -> None:
        self.changes += 1
        self.world.on_legacy(
            "update orion.t_personne set profession = %s where id_pers::text = any(%s)",
            (f"METIER {self.changes}", self.hot),
        )

    def apply(self) -> None:
        self.world.forward_engine().advance(self.world.forward())

    def look(self) -> Position | None:
        self.looks += 1
        if self.looks % self.every == 0:
            self.apply()
        self.change()
        return watermark_of(self.world)


@pytest.mark.server
@pytest.mark.parametrize("every", [1, 2])
def test_rows_that_never_rest_are_decided_in_one_round_and_each_true_difference_is_found(judged, every):
    town = Town(judged, [live_row(judged, "t_personne", number)[0] for number in range(HOT)], every)
    behind = watermark_of(judged)
    cold, cold_id = live_row(judged, "t_proc", 0)
    warm, warm_id = live_row(judged, "t_proc", 1)
    judged.on_legacy("update orion.t_proc set id_proc = id_proc where id_proc = %s", (warm,))
    town.change()
    town.apply()
    town.change()

    with (
        edited(judged, "case_file", cold_id, "note_text", "AUTRE CHOSE"),
        edited(judged, "case_file", warm_id, "note_text", "AUTRE CHOSE"),
    ):
        found = reconcile(subject_of(judged), watermark=behind, patience=Patience(town.look))
    town.apply()

    assert (found.moving, found.level.figures["rounds"]) == (0, 1), "decided within one lag"
    assert town.looks == every, "the applier came by once"
    assert set(found.differences["source_key"]) == {cold, warm}, "no false difference, and each true one"
    for column in found.columns:
        assert column.compared == column.equal + column.different


@pytest.mark.server
def test_rows_that_people_change_three_times_a_second_are_decided_while_an_applier_lags(judged):
    town = Town(judged, [live_row(judged, "t_personne", number)[0] for number in range(HOT)], 1)
    behind = watermark_of(judged)
    stop = threading.Event()

    def repeat(deed, seconds: float) -> None:
        while not stop.wait(seconds):
            deed()

    threads = [
        threading.Thread(target=repeat, args=(town.change, 0.3)),
        threading.Thread(target=repeat, args=(town.apply, 0.5)),
    ]
    town.change()
    for thread in threads:
        thread.start()
    try:
        found = reconcile(
            subject_of(judged), watermark=behind, patience=Patience(lambda: watermark_of(judged), wait_seconds=60)
        )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    town.apply()

    assert (found.moving, found.level.figures["different"]) == (0, 0)
    assert found.level.figures["rounds"] > 0, "they moved"


@pytest.mark.server
def test_without_an_applier_the_keys_stay_moving_and_the_wait_ends(judged):
    key, _ = live_row(judged, "t_personne")
    before = watermark_of(judged)
    judged.on_legacy("update orion.t_personne set profession = 'VITRIER' where id_pers = %s", (key,))

    found = reconcile(
        subject_of(judged), watermark=before, patience=Patience(lambda: watermark_of(judged), wait_seconds=0.3)
    )

    assert (found.moving, found.level.state) == (1, LevelState.PASS)
    assert found.level.figures["moving"] == 1, "the gate weighs it"
