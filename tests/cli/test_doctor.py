import json
import stat

import pytest

pytestmark = pytest.mark.server


def examine(project, capfd):
    capfd.readouterr()
    code = project.banyan("doctor", "--json")
    return code, [(remark["word"], remark["sentence"]) for remark in json.loads(capfd.readouterr().out)]


def sentences(remarks, word):
    return [sentence for said, sentence in remarks if said == word]


OWNER = (
    "fences of 38.ORION: triggers are not enough against orion_owner (owner of 40 tables): they can disable or drop "
    "them"
)


def test_a_sound_project_is_all_ok_but_for_the_owner_of_its_tables(loaded_project, capfd):
    code, remarks = examine(loaded_project, capfd)

    assert code == 0
    assert {word for word, _ in remarks} == {"ok", "WAIT"}
    assert sentences(remarks, "WAIT") == [OWNER]
    told = " | ".join(sentence for _, sentence in remarks)
    for part in ("names:", "drivers:", "disk ", "digest key: rights 600", "PostgreSQL 18", "roles as designed",
                 "the fence stands on every canonical table", "from the store", "is read-only for banyan",
                 "from the source 38.ORION", "capture of 38.ORION: on 40 tables",
                 "fence of 38.cases+vehicles"):  # fmt: skip
        assert part in told


def test_no_project_is_said_with_the_command_that_makes_one(tmp_path, capfd):
    from cli.main import run

    assert run(["-C", str(tmp_path), "doctor"]) == 3
    shown = capfd.readouterr().out
    assert "NO     there is no banyan.yaml" in shown
    assert f"next  banyan init {tmp_path}" in shown


def test_a_source_that_can_be_written_is_said_with_the_sql_to_hand_over(loaded_project, capfd):
    loaded_project.ask(loaded_project.legacy, "grant update on orion.t_proc to banyan_reader")
    try:
        code, remarks = examine(loaded_project, capfd)
    finally:
        loaded_project.ask(loaded_project.legacy, "revoke update on orion.t_proc from banyan_reader")

    assert code == 0
    told = "source 38.ORION is not read-only for banyan: it may write 1 tables (t_proc)"
    assert sentences(remarks, "WAIT") == [told, OWNER]


def test_a_key_others_can_open_and_a_trigger_that_is_off_are_refused(loaded_project, capfd):
    key = loaded_project.folder / ".banyan" / "digest.key"
    key.chmod(0o644)
    loaded_project.ask(loaded_project.legacy, "alter table orion.t_fait disable trigger zz_banyan_update")
    loaded_project.ask(loaded_project.legacy, "alter table orion.t_fait disable trigger aa_banyan")
    loaded_project.ask(loaded_project.store, "alter table justice.offense disable trigger zz_banyan_u")
    try:
        code, remarks = examine(loaded_project, capfd)
    finally:
        key.chmod(0o600)
        loaded_project.ask(loaded_project.legacy, "alter table orion.t_fait enable always trigger zz_banyan_update")
        loaded_project.ask(loaded_project.legacy, "alter table orion.t_fait enable always trigger aa_banyan")
        loaded_project.ask(loaded_project.store, "alter table justice.offense enable always trigger zz_banyan_u")

    refused = sentences(remarks, "NO")
    assert code == 3
    assert len(refused) == 4
    assert "digest key: others may open it (rights 644)" in refused
    assert any("justice.offense (zz_banyan_u)" in sentence for sentence in refused)
    assert any(sentence.startswith("capture of 38.ORION: not on t_fait") for sentence in refused)
    assert any("t_fait: the trigger is disabled" in sentence for sentence in refused)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert examine(loaded_project, capfd)[0] == 0


def test_a_role_with_more_rights_than_designed_is_named(loaded_project, capfd):
    loaded_project.ask(loaded_project.store, "alter role banyan_app createdb")
    try:
        code, remarks = examine(loaded_project, capfd)
    finally:
        loaded_project.ask(loaded_project.store, "alter role banyan_app nocreatedb")

    assert code == 3
    assert any("banyan_app has createdb" in sentence for sentence in sentences(remarks, "NO"))


def test_a_store_that_restarted_is_closed_until_armed(loaded_project, capfd):
    loaded_project.ask(loaded_project.store, "update mig.slice set armed_boot = null where domain_code = 'reference'")
    try:
        code, remarks = examine(loaded_project, capfd)
    finally:
        loaded_project.ask(loaded_project.store, "update mig.slice set armed_boot = pg_postmaster_start_time()")

    assert code == 3
    assert sentences(remarks, "NO") == ["store restarted: 38.reference refuse every write until armed"]
