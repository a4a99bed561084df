"""Sign-offs: a signature holds for one evidence, role, decision, person and instant, and two people are two."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from banyan.departments import Actor
from banyan.errors import ConfigurationError, UsageError
from validation.sign_off import (
    Decision,
    Signer,
    SigningKey,
    SignOff,
    check_sign_offs,
    make_key_file,
    missing_roles,
    read_key_file,
    sign,
    verify,
)

EVIDENCE = "2b" * 32
AT = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)


def new_key(folder: Path, name: str) -> SigningKey:
    make_key_file(folder / name)
    return read_key_file(folder / name)


def signed(key: SigningKey, name: str, role: str, decision: Decision = Decision.ACCEPT) -> SignOff:
    return sign(key, EVIDENCE, actor=Actor(name, role, "key file"), decision=decision, signed_at=AT)


def test_a_key_file_names_its_algorithm_and_is_for_its_owner_only(tmp_path: Path) -> None:
    public = make_key_file(tmp_path / "steward.key")

    content = json.loads((tmp_path / "steward.key").read_text())
    assert content["format"] == "banyan-key/1"
    assert content["algorithm"] == "ed25519"
    assert content["public_key"] == public
    assert stat.S_IMODE((tmp_path / "steward.key").stat().st_mode) == 0o600
    assert read_key_file(tmp_path / "steward.key").public_key == public


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    public = make_key_file(tmp_path / "steward.key")

    with pytest.raises(UsageError):
        make_key_file(tmp_path / "steward.key")

    assert read_key_file(tmp_path / "steward.key").public_key == public


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    make_key_file(tmp_path / "steward.key")
    (tmp_path / "steward.key").chmod(0o644)

    with pytest.raises(ConfigurationError, match="read by others"):
        read_key_file(tmp_path / "steward.key")


@pytest.mark.parametrize(
    "change", [{"algorithm": "rsa"}, {"format": "x"}, {"private_key": "AAAA"}, {"public_key": "ed25519:"}]
)
def test_a_key_file_of_another_kind_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "steward.key"
    make_key_file(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(ConfigurationError, match="nothing was signed"):
        read_key_file(path)


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    key = new_key(tmp_path, "steward.key")

    assert key.private.hex() not in repr(key)
    assert repr(key.private) not in repr(key)


@pytest.mark.parametrize(
    "change",
    [
        {"evidence_id": "2c" * 32},
        {"role": "lead"},
        {"decision": Decision.REFUSE},
        {"actor": "A. Delmas"},
        {"signed_at": AT + timedelta(seconds=1)},
        {"signature": "ed25519:" + "A" * 86 + "=="},
        {"signature": "rsa:AAAA"},
        {"signature": "ed25519:not base64"},
    ],
)
def test_a_signature_does_not_survive_any_change(tmp_path: Path, change: dict[str, object]) -> None:
    key = new_key(tmp_path, "steward.key")
    sign_off = signed(key, "S. Oriol", "steward")

    assert verify(sign_off, key.public_key)
    assert not verify(replace(sign_off, **change), key.public_key)


def test_another_key_does_not_verify(tmp_path: Path) -> None:
    key, other = new_key(tmp_path, "a.key"), new_key(tmp_path, "b.key")

    assert not verify(signed(key, "S. Oriol", "steward"), other.public_key)


def test_a_signature_holds_whatever_the_zone_its_instant_is_written_in(tmp_path: Path) -> None:
    key = new_key(tmp_path, "a.key")
    sign_off = signed(key, "S. Oriol", "steward")

    elsewhere = replace(sign_off, signed_at=datetime.fromisoformat("2026-11-24T21:00:00+01:00"))

    assert verify(elsewhere, key.public_key)


def test_only_trusted_people_in_their_own_roles_count(tmp_path: Path) -> None:
    steward, lead, stranger = (new_key(tmp_path, name) for name in ("a", "b", "c"))
    signers = [Signer("S. Oriol", steward.public_key, ("steward",)), Signer("A. Delmas", lead.public_key, ("lead",))]
    other = replace(signed(steward, "S. Oriol", "steward"), evidence_id="2c" * 32)

    checked = check_sign_offs(
        [
            signed(steward, "S. Oriol", "steward"),
            signed(steward, "S. Oriol", "lead"),
            signed(stranger, "N. Nobody", "lead"),
            signed(stranger, "A. Delmas", "lead"),
            other,
        ],
        evidence_id=EVIDENCE,
        signers=signers,
    )

    assert [(each.actor, each.role) for each in checked.accepted] == [("S. Oriol", "steward")]
    assert [why.en for _, why in checked.refused] == [
        "role this person does not hold",
        "person unknown to the project",
        "signature that does not verify",
        "signed for another evidence",
    ]


def test_a_key_shared_by_two_names_counts_for_nobody(tmp_path: Path) -> None:
    key = new_key(tmp_path, "a")
    signers = [Signer("S. Oriol", key.public_key, ("steward",)), Signer("A. Delmas", key.public_key, ("lead",))]

    checked = check_sign_offs(
        [signed(key, "S. Oriol", "steward"), signed(key, "A. Delmas", "lead")], evidence_id=EVIDENCE, signers=signers
    )

    assert checked.accepted == ()


def test_one_person_does_not_count_twice_even_under_another_spelling(tmp_path: Path) -> None:
    key = new_key(tmp_path, "a")
    both = [signed(key, "S. Oriol", "steward"), signed(key, "s.  ORIOL", "lead")]

    assert len(missing_roles(("steward", "lead"), both)) == 1
    assert missing_roles(("steward", "lead"), [*both, signed(key, "A. Delmas", "steward")]) == ()
    assert missing_roles(("steward", "lead"), []) == ("steward", "lead")


def test_the_latest_word_of_a_person_counts(tmp_path: Path) -> None:
    key = new_key(tmp_path, "a")
    accepted = signed(key, "S. Oriol", "steward")
    withdrawn = sign(
        key, EVIDENCE, actor=Actor("S. Oriol", "steward", "key"), decision=Decision.REFUSE, signed_at=AT + timedelta(1)
    )

    assert missing_roles(("steward",), [withdrawn, accepted]) == ("steward",)
