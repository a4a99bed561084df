"""What is written about the program is what the program says."""

from pathlib import Path

from cli.reference import render_commands, walk_commands

ROOT = Path(__file__).parent.parent


def test_the_page_of_commands_is_current():
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    assert written == render_commands(), "python -m cli.reference > docs/commands.md"


def test_every_command_is_on_the_page_once():
    lines = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()

    for path, _ in walk_commands():
        assert lines.count(f"## {path}") == 1
