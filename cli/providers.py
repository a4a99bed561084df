"""`banyan provider`: what the bucket of the landing zone really does, tried out on it and written down."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next

if TYPE_CHECKING:
    from pathlib import Path

    from banyan.config import Project
    from store.provider import ProbeResult

provider_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@provider_app.callback()
def provider() -> None:
    """Find out what an object store does with what banyan needs of it; documents promise more than servers keep."""


@provider_app.command("probe", epilog="Example: banyan provider probe --json")
def probe_provider(as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False) -> None:
    """Try the bucket out with objects of its own, which are deleted; write the result; exit 3 when it is not enough.

    The result stands in .banyan/provider.json, with the endpoint, the bucket and the instant.
    """
    from store.landing import S3Door
    from store.provider import probe

    project = current_project()
    if project.landing.kind != "s3":
        raise UsageError(
            "the landing zone of this project is a local folder: there is no provider to probe; nothing was sent",
            hint="write landing: {kind: s3, ...} in banyan.yaml",
        )
    door = S3Door(project.landing)
    results = []
    for result in probe(door, S3Door(project.landing, secret="not-the-secret-of-this-bucket"), project.landing):
        results.append(result)
        if not as_json:
            _print(result)
    written = _write(project, results)
    is_enough = all(result.is_enough for result in results)
    if as_json:
        print_json(json.loads(written.read_text(encoding="utf-8")))
    else:
        print_line(f"{'OK  ' if is_enough else 'NO  '} {project.landing.bucket}: written to {written}")
        print_next("banyan load DEPT" if is_enough else "name another bucket, or keep the landing zone local")
    if not is_enough:
        raise typer.Exit(3)


def _print(result: "ProbeResult") -> None:
    word = "ok" if result.answer == "yes" else "WAIT" if result.is_enough else "NO"
    print_line(f"{word:<5}  {result.name:<36} {result.answer.value:<8} {result.told}")


def _write(project: "Project", results: "list[ProbeResult]") -> "Path":
    from banyan.clock import now

    landing = project.landing
    document = {
        "at": now().isoformat(timespec="seconds"),
        "provider": landing.provider.name,
        "endpoint": landing.endpoint_url,
        "region": landing.region,
        "bucket": landing.bucket,
        "is_enough": all(result.is_enough for result in results),
        "results": [asdict(result) for result in results],
    }
    path = project.state_folder / "provider.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
