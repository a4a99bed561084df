import json
import subprocess
import sys

import pytest

from banyan.errors import GateClosed, SwitchUncertain, UsageError
from cli import main
from cli.reference import walk_commands

COMMANDS = dict(walk_commands())
NOT_FOR_HELP = ("pandas", "great_expectations", "airflow", "boto3", "polars", "sqlalchemy")


def say(error, capfd, *arguments):
    main._say(error, as_json="--json" in arguments)
    return capfd.readouterr()


def test_help_loads_none_of_the_heavy_libraries():
    program = (
        "import sys; from cli.main import run; run(['--help']);"
        f"print('LOADED', sorted(set({NOT_FOR_HELP!r}) & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "LOADED []" in done.stdout
    assert "Commands:" in done.stdout


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_command_has_an_example_and_answers_machines(path):
    command = COMMANDS[path]

    assert command.epilog.startswith("Example: banyan")
    assert command.help
    assert "--json" in {text for option in command.params for text in option.opts}


def test_a_command_that_is_not_built_is_absent_from_the_help(capfd):
    assert main.run(["--help"]) == 0

    shown = capfd.readouterr().out
    assert "load" in shown
    assert "console" not in shown


def test_an_error_says_what_happened_what_is_untouched_the_next_command_and_the_code(capfd):
    said = say(
        GateClosed("gate G4 is closed; nothing was touched", hint="banyan gate show", reasons=("L4 failed",)), capfd
    )

    assert said.err.splitlines() == [
        "NO   gate G4 is closed; nothing was touched",
        "     L4 failed",
        "next banyan gate show        exit code 3",
    ]


def test_uncertainty_is_a_word_of_its_own(capfd):
    assert say(SwitchUncertain("the link ended"), capfd).err.startswith("UNCERTAIN the link ended")


def test_an_error_for_machines_is_one_document(capfd):
    said = json.loads(
        say(UsageError("wrong; nothing was read", hint="banyan --help", table="t_proc"), capfd, "--json").out
    )

    assert said == {
        "error": "UsageError", "exit_code": 2, "hint": "banyan --help", "message": "wrong; nothing was read",
        "facts": {"table": "t_proc"},
    }  # fmt: skip


def test_an_unknown_option_is_a_usage_error(capfd):
    assert main.run(["sync", "run", "--nothing-like-it"]) == 2


def test_a_bug_shows_its_kind_and_place_and_no_text_of_its_own(capfd, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("DURAND Jeanne")

    monkeypatch.setattr(main, "app", fail)

    assert main.run(["load", "38"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("BUG  ValueError at ")
    assert "DURAND" not in said


def test_control_characters_of_a_message_do_not_reach_the_terminal(capfd):
    assert "\x1b" not in say(UsageError("file \x1b[31m.csv; nothing was read"), capfd).err
