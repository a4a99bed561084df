"""The page of all commands, written from the application itself: `python -m cli.reference > docs/commands.md`."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from cli.main import app

_HEAD = """\
# Commands

Written from the program by `python -m cli.reference > docs/commands.md`; a test compares the two. `banyan -C DIR ...`
works in another folder. Exit codes: 0 done, 1 a bug, 2 usage or configuration, 3 the answer is no, 4 try later,
5 uncertain: call a human.
"""


def render_commands() -> str:
    """Give the page: each command with its sentence, its arguments and options, and its example."""
    return "\n".join([_HEAD, *(_section(path, command) for path, command in walk_commands())])


def walk_commands() -> Iterator[tuple[str, Any]]:
    """Give every command that can be called, by its words, in the order of the help."""
    yield from _walk("banyan", typer.main.get_command(app))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer carries its own click
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _walk(f"{path} {name}", child)


def _section(path: str, command: Any) -> str:  # noqa: ANN401
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([path, *(f"[{_metavar(one)}]" if not one.required else _metavar(one) for one in arguments)])
    lines = [f"## {path}", "", " ".join((command.help or "").split()), "", f"    {usage}", ""]
    lines += [f"- `{_metavar(one)}`: {one.help}" for one in arguments if getattr(one, "help", None)]
    lines += [f"- `{' '.join(one.opts)}`: {one.help}" for one in options if one.name != "help"]
    if command.epilog:
        name, _, example = str(command.epilog).partition(": ")
        lines += ["", f"{name}: `{example}`"]
    return "\n".join(lines) + "\n"


def _metavar(argument: Any) -> str:  # noqa: ANN401
    return str(argument.metavar or argument.name.upper())


if __name__ == "__main__":
    sys.stdout.write(render_commands())
