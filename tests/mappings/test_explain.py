from banyan.records import Fate
from mappings.explain import try_row
from tests.mappings.hand_rules import CONTEXT, OFFENCE, PERSON, compiled, person


def test_a_row_is_followed_to_its_records_and_back():
    trial = try_row(compiled(PERSON), person(name="durand  ", born="19800231"), CONTEXT)

    assert (trial.fate, trial.differences) == (Fate.LOADED, ())
    assert set(trial.records) == {"identity", "phone"}
    cells = {cell.column: cell for cell in trial.cells}
    assert (cells["name"].lives_as_residue, cells["sex"].lives_as_residue) == (True, False)
    assert (cells["born"].cause, cells["name"].cause) == ("not a day of the calendar", None)
    assert not cells["religion"].is_written


def test_a_row_with_references_and_siblings_comes_back_too():
    row = dict(zip(OFFENCE.columns, ("1", "7", "1", "VOL", "20190101", "1200", "O", None), strict=True))

    trial = try_row(compiled(OFFENCE), row, CONTEXT)

    assert trial.differences == ()
    assert trial.records["offence"]["incident_id"] == trial.records["incident"]["id"]


def test_a_row_that_is_not_loaded_says_why():
    plans = compiled(PERSON)

    assert try_row(plans, person(gone="O"), CONTEXT).fate is Fate.DELETED
    filtered = try_row(plans, person(name="TOTO"), CONTEXT)
    assert (filtered.fate, filtered.reason) == (Fate.FILTERED, "test_person")
    assert try_row(plans, person(id=None), CONTEXT).reason == "the key is missing"


def test_no_value_is_shown_by_the_repr_of_a_trial():
    assert "ZYXWVUT" not in repr(try_row(compiled(PERSON), person(name="ZYXWVUT"), CONTEXT))
