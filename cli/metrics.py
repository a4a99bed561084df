"""`banyan metrics`: figures for a monitoring system, once, on standard output or into a file it collects."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.places import current_project
from cli.tables import print_json


def metrics(
    into: Annotated[
        Path | None, typer.Option("--into", help="Replace this file at once, for a collector of text files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Write lag, quarantine, fences, slots, evidence, guard and way back as Prometheus text; no value of a person."""
    from cli.gauges import read_samples, render
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        samples = list(read_samples(workspace))
    if as_json:
        print_json([asdict(sample) for sample in samples])
        return
    text = render(samples)
    if into is None:
        sys.stdout.write(text)
        return
    draft = into.with_name(f".{into.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(into)
