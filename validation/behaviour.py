"""L5: are the answers of the trade the same? Its parts, each judged alone, put into one level that names them."""

from collections.abc import Collection, Sequence

from banyan.findings import LevelResult, LevelState

_WORST = (LevelState.ERROR, LevelState.FAIL, LevelState.STALE, LevelState.NOT_RUN, LevelState.PASS)


def combine(parts: Sequence[LevelResult], *, not_concerned: Collection[str] = ()) -> LevelResult:
    """Put the parts of L5 into one level: as bad as its worst part, with the figures of each under its name.

    `not_concerned` are parts whose tables the closure does not have, said by the rules and never by what was read:
    they are answered. Without any part the level was not run.
    """
    if not parts and not not_concerned:
        return LevelResult("L5", LevelState.NOT_RUN, "no part of it was run", {"parts": ""})
    figures: dict[str, int | str | bool] = {}
    for part in parts:
        name = str(part.figures["part"])
        figures |= {f"{name}_{figure}": value for figure, value in part.figures.items() if figure != "part"}
        figures[f"{name}_state"] = part.state.value
    findings = tuple(finding for part in parts for finding in part.findings)
    answered = [str(part.figures["part"]) for part in parts if part.state is LevelState.PASS]
    figures["parts"] = "+".join(sorted({*answered, *not_concerned}))
    figures["blocking"] = len(findings)
    moving = [part.figures.get("moving", 0) for part in parts]
    figures["moving"] = sum(each for each in moving if type(each) is int)
    sentences = [part.sentence.removesuffix(".") for part in parts]
    if not_concerned:
        sentences.append(f"this closure has no table of: {', '.join(sorted(not_concerned))}")
    state = next(state for state in _WORST if state is LevelState.PASS or any(p.state is state for p in parts))
    return LevelResult("L5", state, "; ".join(sentences), figures, findings)
