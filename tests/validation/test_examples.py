"""Side by side, from real rows: raw, rule, expected and found of one record of each cause, masked before it is kept."""

import pytest
from judged import edited, judged, live_row, removed, subject_of, watermark_of
from sample_evidence import good_facts
from stores import make_store, store_template
from worlds import loaded, world

from banyan.canonical.model import Sensitivity
from banyan.undecoded import read_text
from validation import canonical_json
from validation.examples import Eyes, find_examples
from validation.facts import CauseFact
from validation.masking import ABSENT, Masked, mask, mask_bytes, pseudonym
from validation.reconcile import reconcile
from validation.text import Text

pytestmark = pytest.mark.server
__all__ = ["judged", "loaded", "make_store", "store_template", "world"]


def causes_of(found) -> tuple[CauseFact, ...]:
    return tuple(
        CauseFact(f"C-{number:02d}", each.table, each.column or "", Text.same(each.cause), each.records)
        for number, each in enumerate(found.causes, 1)
    )


def examples_of(world):
    subject = subject_of(world)
    found = reconcile(subject, watermark=watermark_of(world))
    return find_examples(subject, found, causes_of(found))


def with_text(world, table: str, column: str) -> tuple[str, str, str]:
    return world.place.run(
        f"select c.source_key, r.id::text, r.{column} from justice.{table} r join mig.crosswalk c using (id)"
        f" where length(r.{column}) > 5 order by r.id limit 1"
    )[0]


def test_a_differing_name_is_shown_with_its_rule_and_no_value(judged):
    key, row_id, name = with_text(judged, "person_identity", "surname")
    wrong = "Z" + name[1:-1] + "Z"

    with edited(judged, "person_identity", row_id, "surname", wrong):
        (example,) = examples_of(judged)

    assert (example.cause, example.table, example.column) == ("C-01", "person_identity", "surname")
    assert example.rule.startswith("T_PERSONNE@")
    assert example.note.fr == "nom"
    assert example.record == pseudonym(b"k" * 32, "person_identity", key)
    assert example.raw.is_masked and example.expected.is_masked and example.found.is_masked
    assert (example.expected.text[0], example.found.text[0], example.found.text[-1]) == (name[0], "Z", "Z")
    kept = canonical_json.encode(good_facts(examples=(example,))).decode()
    assert name not in kept and wrong not in kept and name[1:-1] not in kept


def test_letters_that_are_no_plain_ones_are_shown_as_their_bytes_and_as_what_they_were_decoded_to(judged):
    key, row_id, _ = with_text(judged, "person_identity", "given_names")
    judged.on_legacy("update orion.t_personne set prenom = 'Éléonore' where id_pers = %s", (key,))
    judged.forward_engine().advance(judged.forward())
    raw = "Éléonore"

    with edited(judged, "person_identity", row_id, "given_names", "Zléonore"):
        (example,) = examples_of(judged)

    assert (example.column, example.expected) == ("given_names", mask(raw))
    assert example.raw == mask_bytes(raw.encode())
    assert example.decoded == mask(raw)
    kept = canonical_json.encode(good_facts(examples=(example,)))
    assert raw.encode() not in kept and raw.encode().hex(" ").upper().encode() not in kept


@pytest.mark.parametrize(
    ("kind", "cells", "encoding", "expected"),
    [
        (Sensitivity.NONE, ("OUI",), "utf-8", (Masked("OUI", is_masked=False), None)),
        (Sensitivity.NONE, ("é",), "cp1252", (Masked("E9", is_masked=False), Masked("é", is_masked=False))),
        (Sensitivity.NONE, ("é", None), "utf-8", (Masked("C3 A9", is_masked=False), Masked("é", is_masked=False))),
        (Sensitivity.IDENTITY, ("Zoé",), "utf-8", (Masked("** ** ** **"), Masked("***"))),
        (Sensitivity.NONE, (read_text(b"\xff\xfe", "utf-8"),), "utf-8", (Masked("** **"), ABSENT)),
        (Sensitivity.IDENTITY, ("DURAND", read_text(b"\xff", "utf-8")), "utf-8",
         (Masked(" ".join(["**"] * 8)), Masked("D****D"))),
        (Sensitivity.NONE, (None,), "utf-8", (ABSENT, None)),
    ],
)  # fmt: skip
def test_what_is_seen_of_bytes_and_texts(kind, cells, encoding, expected):
    assert Eyes(kind, frozenset()).see_cells(cells, encoding) == expected


def test_a_differing_code_is_shown_in_clear_on_both_sides(judged):
    row_id, code = judged.place.run(
        "select id::text, case_status_code from justice.case_file"
        " where case_status_code is not null order by id limit 1"
    )[0]
    others = judged.place.run(
        "select distinct case_status_code from justice.case_file where case_status_code <> %s", (code,)
    )

    with edited(judged, "case_file", row_id, "case_status_code", others[0][0]):
        (example,) = examples_of(judged)

    assert (example.expected.text, example.found.text) == (code, others[0][0])
    assert not (example.raw.is_masked or example.expected.is_masked or example.found.is_masked)
    assert example.raw.text
    assert example.rule.startswith("T_PROC@")


def test_a_name_typed_into_a_code_column_is_masked(judged):
    row_id = judged.place.run("select id::text from justice.case_file order by id limit 1")[0][0]

    with edited(judged, "case_file", row_id, "case_status_code", "QUINTERNEAU"):
        (example,) = examples_of(judged)

    assert example.found.is_masked
    assert "UINTERNEA" not in example.found.text


def test_a_lost_record_has_no_side_by_side_and_an_equal_store_has_none_at_all(judged):
    _, row_id = live_row(judged, "t_tel")

    with removed(judged, "contact_means", row_id):
        lost = examples_of(judged)

    assert lost == ()
    assert examples_of(judged) == ()
