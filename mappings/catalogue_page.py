"""The page of all lenses, written from the catalogue itself: `python -m mappings.catalogue_page > docs/lenses.md`."""

import sys
from collections.abc import Iterator
from itertools import groupby

from mappings.catalogue import LENSES, Law, LensSpec, Output, Parameter

_HEAD = """\
# Lenses

Written from the catalogue by `python -m mappings.catalogue_page > docs/lenses.md`; a test compares the two. A lens
reads the raw texts of a field and writes them back. Rules may name no other; no lens is the same as `verbatim`.

Each lens keeps one of three laws on its domain, and every lens is tested for its own by generated texts and values:

- **iso**: what is read and written back is the same, both ways.
- **embed**: what is read comes back byte for byte; some canonical values have no form in the old system.
- **lossy**: reading forgets; only the residue gives the raw text back.

Outside the domain nothing is lost either: a text that would not come back byte for byte is kept as residue, one that
cannot be read is rejected with its cause, and a bad field never blocks its row. An output marked *derived* is computed
again on the way back: an edit of it alone is degraded. A field that holds the character NUL is rejected, except by the
lenses of dates, which read a field full of it (LOW-VALUES) as not known, and by `text.control_free`.
"""


def render_lenses() -> str:
    """Give the page."""
    return "\n".join([_HEAD, *(line for spec_lines in _families() for line in spec_lines)])


def _families() -> Iterator[Iterator[str]]:
    specs = sorted(LENSES.values(), key=lambda spec: (spec.name.partition(".")[0], spec.name))
    for family, members in groupby(specs, key=lambda spec: spec.name.partition(".")[0]):
        yield iter([f"## {family}\n"])
        for spec in members:
            yield _describe(spec)


def _describe(spec: LensSpec) -> Iterator[str]:
    yield f"### {spec.name}\n"
    yield f"    {_call(spec)}\n"
    yield f"- Law: {_law(spec.law)}."
    yield f"- Domain: {spec.domain}."
    yield f"- Reads: {_inputs(spec.inputs)}."
    yield f"- Yields: {', '.join(_output(output) for output in spec.outputs)}.\n"


def _law(law: Law) -> str:
    return law.value


def _call(spec: LensSpec) -> str:
    return f"{spec.name}({', '.join(_parameter(one) for one in spec.parameters)})" if spec.parameters else spec.name


def _parameter(parameter: Parameter) -> str:
    written = f"{parameter.name}: {parameter.kind.value}"
    return written if parameter.required else f"[{written}]"


def _inputs(inputs: tuple[int, int]) -> str:
    fewest, most = inputs
    if most == 0:
        return "no source column"
    columns = "column" if most == 1 else "columns"
    return f"{fewest} source {columns}" if fewest == most else f"{fewest} to {most} source {columns}"


def _output(output: Output) -> str:
    kinds = " or ".join(sorted(kind.value for kind in output.kinds))
    return f"{output.name} ({kinds}{', derived' if output.derived else ''})"


if __name__ == "__main__":
    sys.stdout.write(render_lenses())
