"""Both sides live: no key stays undecided, and nothing that people merely change is called a difference."""

import threading
import time

import polars as pl
import pytest
from judged import live_row, subject_of, watermark_of
from stores import make_store, store_template
from worlds import loaded, world

from banyan.findings import LevelState
from validation.rechecking import Patience, changed_rows, decide
from validation.reconcile import reconcile

__all__ = ["loaded", "make_store", "store_template", "world"]

HOT = 12
DIFFERENT = 3


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


@pytest.mark.server
def test_hot_rows_are_decided_and_only_the_seeded_differences_are_found(loaded):
    rows = loaded.place.run(
        "select source_key from mig.crosswalk where source_table_no = %s and deleted_at is null order by id limit %s",
        (loaded.numbers["t_personne"], HOT),
    )
    hot = [row[0] for row in rows]
    victims = [live_row(loaded, "t_proc", number) for number in range(DIFFERENT)]
    for _, row in victims:
        loaded.place.run(
            "update justice.case_file set note_text = 'AUTRE CHOSE' where id = %s", (row,), role="banyan_forward"
        )
    stop = threading.Event()

    def officers() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            key = hot[number % HOT]
            loaded.on_legacy(
                "update orion.t_personne set profession = %s where id_pers = %s", (f"METIER {number}", key)
            )

    def applier() -> None:
        lane = loaded.forward()
        while not stop.is_set():
            time.sleep(0.2)  # a lag of its own
            loaded.forward_engine().advance(lane)

    threads = [threading.Thread(target=officers), threading.Thread(target=applier)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        behind = watermark_of(loaded)
        time.sleep(0.5)
        found = reconcile(
            subject_of(loaded),
            watermark=behind,
            patience=Patience(lambda: watermark_of(loaded), rounds=60, wait_seconds=20),
        )
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert found.moving == 0, "nothing stays undecided"
    assert found.level.figures["different"] == DIFFERENT, "no false difference, and each true one"
    assert set(found.differences["source_key"]) == {key for key, _ in victims}
    for column in found.columns:
        assert column.compared == column.equal + column.different


@pytest.mark.server
def test_without_an_applier_the_keys_stay_moving_and_the_wait_ends(loaded):
    key, _ = live_row(loaded, "t_personne")
    before = watermark_of(loaded)
    loaded.on_legacy("update orion.t_personne set profession = 'VITRIER' where id_pers = %s", (key,))

    found = reconcile(
        subject_of(loaded), watermark=before, patience=Patience(lambda: watermark_of(loaded), wait_seconds=0.3)
    )

    assert (found.moving, found.level.state) == (1, LevelState.PASS)
    assert found.level.figures["moving"] == 1, "the gate weighs it"
