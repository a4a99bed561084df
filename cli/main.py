"""The `banyan` command: builds the application, turns errors into messages and exit codes.

Exit codes: 0 done, 1 a bug, 2 usage or configuration, 3 the answer is no, 4 try later, 5 uncertain: call a human.
"""

import json
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from banyan.errors import BanyanError, RulesetError
from banyan.process import settle_process
from cli.places import set_project_folder
from cli.tables import visible

app = typer.Typer(
    name="banyan",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Move legacy police record systems to a sovereign cloud, side by side, proved, reversible.",
    epilog="Exit codes: 0 done, 1 a bug, 2 usage or configuration, 3 the answer is no, 4 try later, "
    "5 uncertain: call a human.",
)

# noun -> module and typer application; the modules import their libraries inside commands, never at the top
_NOUNS: dict[str, tuple[str, str, str]] = {
    "file": ("cli.files", "file_app", "look at one legacy file, no project needed"),
    "source": ("cli.sources", "source_app", "what a legacy system is, holds and allows"),
    "map": ("cli.rules", "map_app", "what a legacy row means"),
    "sync": ("cli.runs", "sync_app", "incremental runs, either direction"),
    "validate": ("cli.judgements", "validate_app", "levels L0 to L6, evidence"),
    "recon": ("cli.comparisons", "recon_app", "row reconciliation"),
    "quarantine": ("cli.quarantines", "quarantine_app", "what no rule may carry, by cause"),
    "gate": ("cli.gates", "gate_app", "the gate and its signatures"),
    "switch": ("cli.switches", "switch_app", "move ownership of a closure, and back"),
    "rollout": ("cli.rollouts", "rollout_app", "the calendar of all slices"),
    "pack": ("cli.packs", "pack_app", "the commander's pack of two pages"),
    "log": ("cli.journals", "log_app", "the article 25 log and the journal"),
    "break": ("cli.breaks", "break_app", "in a demo project: seed a fault, watch it being found"),
    "estate": ("cli.estates", "estate_app", "the synthetic legacy estate"),
    "protocol": ("cli.protocol", "protocol_app", "the cutover protocol, checked exhaustively"),
    "airflow": ("cli.clockwork", "airflow_app", "the Airflow side"),
    "provider": ("cli.providers", "provider_app", "what the bucket of the landing zone really does"),
}
# command -> module, function, example
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("cli.projects", "init", "banyan init isere --template estate"),
    "doctor": ("cli.doctor", "doctor", "banyan -C isere doctor"),
    "demo": ("cli.demonstration", "demo", "banyan demo --size XS"),
    "load": ("cli.runs", "load", "banyan load 38"),
    "trace": ("cli.traces", "trace", 'banyan trace t_personne 38:10233 --reason "request 2026-117"'),
    "guard": ("cli.guarding", "guard", "banyan guard"),
    "metrics": ("cli.metrics", "metrics", "banyan metrics --into /var/lib/node_exporter/banyan.prom"),
}
_SIGINT_CODE = 130  # what typer makes of Ctrl-C


@app.callback()
def _project(
    folder: Annotated[
        Path, typer.Option("--project", "-C", help="Folder of the migration project (banyan.yaml).")
    ] = Path(),
) -> None:
    set_project_folder(folder)


# a command that is not built yet is absent
for _name, (_module, _function, _example) in _COMMANDS.items():
    if find_spec(_module) is not None:
        app.command(_name, epilog=f"Example: {_example}")(getattr(import_module(_module), _function))
for _name, (_module, _attribute, _help) in _NOUNS.items():
    if find_spec(_module) is not None:
        app.add_typer(getattr(import_module(_module), _attribute), name=_name, help=_help)


def run(arguments: list[str] | None = None) -> int:
    """Run one command; gives its exit code. Every failure is said in four parts, never as a trace of values."""
    try:
        result = app(arguments, standalone_mode=False)
    except BanyanError as error:
        _say(error, as_json="--json" in (arguments or sys.argv))
        return error.exit_code
    except typer.Exit as stop:
        return int(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - the command line is the border
        return _unexpected(error)
    if result == _SIGINT_CODE:
        return _interrupted()
    return int(result) if isinstance(result, int) else 0


def _interrupted() -> int:
    sys.stderr.write("\nstopped by Ctrl-C; what was committed stays, the same command resumes\n")
    return 4


def _unexpected(error: Exception) -> int:
    show = getattr(error, "show", None)
    if show is not None:  # a usage error of the command line itself
        show()
        return 2
    kind = type(error).__name__
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    # the text of an unknown error may carry a value of a record: only its kind and its place are shown
    sys.stderr.write(f"BUG  {kind} at {' < '.join(reversed(places[-4:]))}\n     exit code 1\n")
    return 1


def _say(error: BanyanError, *, as_json: bool) -> None:
    if as_json:
        document = {
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "hint": error.hint,
            "message": error.message,
            "facts": {name: str(value) for name, value in error.facts.items()},
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
        return
    word = {3: "NO", 5: "UNCERTAIN"}.get(error.exit_code, "ERROR")
    sys.stderr.write(f"{word:<4} {visible(error.message)}\n")
    reasons = error.facts.get("reasons")
    for reason in reasons if isinstance(reasons, tuple | list) else ():
        sys.stderr.write(f"     {visible(str(reason))}\n")
    hint = error.hint
    if isinstance(error, RulesetError):  # its hint says what to write in the file
        sys.stderr.write(f"     {visible(hint)}\n" if hint else "")
        hint = "banyan map lint"
    if hint:
        sys.stderr.write(f"next {visible(hint)}        ")
    sys.stderr.write(f"exit code {error.exit_code}\n")


def main() -> None:
    """Run the command line."""
    settle_process()
    sys.exit(run())


if __name__ == "__main__":
    main()
