"""Did a steward and a lead accept the newest evidence, and is it about these rules?"""

from banyan.findings import VerdictKind
from cutover.preconditions.condition import Obstacle, Scene


def is_signed(scene: Scene) -> Obstacle | None:
    """Refuse without evidence whose facts found nothing, signed by two persons, and not expired.

    Evidence is kept as it was written: what awaited signatures then still says so when they have been given.
    """
    name, evidence = scene.closure.name, scene.evidence
    if evidence is None:
        return Obstacle("signed", f"nothing proves yet that {name} was copied exactly", f"banyan validate run {name}")
    short = f"{evidence.evidence_id[:8]}…"
    if evidence.verdict.kind is VerdictKind.NO_GO:
        sentence = f"the newest evidence {short} says NO-GO"
        return Obstacle("signed", sentence, f"banyan gate show {name}")
    if not scene.is_signed:
        sentence = f"evidence {short} is not signed by a steward and a lead, or it has expired"
        return Obstacle("signed", sentence, f"banyan gate sign {name} --as steward    (and another person --as lead)")
    return None


def is_about_these_rules(scene: Scene) -> Obstacle | None:
    """Refuse evidence made under other rules than those of today."""
    evidence = scene.evidence
    if evidence is None or evidence.rules_digest == scene.rig.book.digest:
        return None
    sentence = f"the rules were changed after evidence {evidence.evidence_id[:8]}… was made"
    return Obstacle("rules", sentence, f"banyan validate run {scene.closure.name}")
