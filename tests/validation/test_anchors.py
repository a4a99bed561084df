"""The heads of a chain in the landing zone: a cut tail, a chain written anew and a fork are found."""

from dataclasses import dataclass

import pytest

from banyan.config import LandingConfig
from banyan.errors import ConservationBroken
from store.landing import LandingZone, open_landing
from validation.anchors import Anchor, compare_chain, find_broken_links, find_forgotten, read_anchors, write_anchor

CLOSURE = "38.cases+vehicles"
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def landing(tmp_path):
    zone = open_landing(LandingConfig(), folder=tmp_path)
    for evidence, previous in ((ONE, None), (TWO, ONE), (THREE, TWO)):
        write_anchor(zone, CLOSURE, evidence_id=evidence, previous_id=previous)
    return zone


def test_anchors_keep_the_order_of_the_chain_and_the_same_head_is_anchored_once(landing):
    again = write_anchor(landing, CLOSURE, evidence_id=THREE, previous_id=TWO)

    assert again == Anchor(3, THREE, TWO)
    assert read_anchors(landing, CLOSURE) == (Anchor(1, ONE, None), Anchor(2, TWO, ONE), Anchor(3, THREE, TWO))
    assert read_anchors(landing, "38.custody") == ()
    assert find_broken_links(read_anchors(landing, CLOSURE)) == ()


@dataclass(frozen=True)
class Late:
    """The landing zone as a judgement saw it that began before the last anchor was written."""

    zone: LandingZone

    def list_parcels(self, prefix: str = ""):
        return self.zone.list_parcels(prefix)[:-1]

    def write_parcel(self, name, frame, *, metadata):
        return self.zone.write_parcel(name, frame, metadata=metadata)


def test_a_place_is_taken_once(landing):
    with pytest.raises(ConservationBroken):
        write_anchor(Late(landing), CLOSURE, evidence_id="4" * 64, previous_id=TWO)

    assert read_anchors(landing, CLOSURE)[-1] == Anchor(3, THREE, TWO)


def test_a_whole_chain_is_what_was_anchored(landing):
    assert compare_chain(read_anchors(landing, CLOSURE), [THREE, TWO, ONE]) == ()


@pytest.mark.parametrize(
    ("walked", "said"),
    [
        ([TWO, ONE], "1 later evidence is anchored"),
        ([THREE, "f" * 64, ONE], "written anew"),
        (["f" * 64], "written anew"),
    ],
)
def test_a_cut_tail_and_a_rewritten_chain_are_told_apart(landing, walked, said):
    (problem,) = compare_chain(read_anchors(landing, CLOSURE), walked)

    assert said in problem


def test_a_store_that_forgot_is_found_and_a_chain_without_anchors_is_not_taken_for_whole(landing):
    anchors = read_anchors(landing, CLOSURE)

    assert [each.evidence_id for each in find_forgotten(anchors, [ONE, TWO])] == [THREE]
    assert compare_chain((), [ONE]) == ("nothing of this chain is anchored in the landing zone",)


def test_an_anchor_that_does_not_follow_the_one_before_is_a_broken_link():
    broken = (Anchor(1, ONE, None), Anchor(3, THREE, TWO))

    assert find_broken_links(broken) == (broken[1],)
