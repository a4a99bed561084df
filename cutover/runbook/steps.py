"""What people do on a cutover night, in order: the steps of the plan between what only people can do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from banyan.departments import Side
from cutover.plan import Plan, PlannedStep, StepName
from validation.text import Text

_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class RunbookStep:
    """One line of the runbook: what is done, by what it is known to be done, how long, the command, who decides."""

    number: int
    title: Text
    done_when: Text
    expected_ms: int
    command: str = ""
    is_decided: bool = False
    is_closed: bool = False  # nobody can write while it runs


_SAID: Mapping[tuple[Side, StepName], tuple[Text, Text]] = {
    (Side.CANONICAL, StepName.CLOSE): (
        Text("Fermer l’ancien", "Close the old side"),
        Text("écriture d’essai refusée, 0 transaction ouverte", "a probe write is refused, 0 transactions open"),
    ),
    (Side.CANONICAL, StepName.DRAIN): (
        Text("Reprendre les dernières modifications", "Carry over the last changes"),
        Text("position lue après la fermeture atteinte", "the position read after the close is reached"),
    ),
    (Side.CANONICAL, StepName.VERIFY): (
        Text("Vérifier, tout fermé", "Verify, all closed"),
        Text("lignes modifiées comparées, 0 différente", "changed rows compared, 0 different"),
    ),
    (Side.CANONICAL, StepName.SEAL): (
        Text("Sceller l’ancien", "Seal the old side"),
        Text("l’ancien serveur a confirmé", "the old server has acknowledged"),
    ),
    (Side.CANONICAL, StepName.FLIP): (
        Text("Basculer", "Flip"),
        Text(
            "une seule transaction\u202f: propriétaire, numéro et journal", "one transaction: owner, epoch and journal"
        ),
    ),
    (Side.CANONICAL, StepName.OPEN): (
        Text("Ouvrir le nouveau", "Open the new side"),
        Text("une écriture est acceptée", "a write is accepted"),
    ),
    (Side.LEGACY, StepName.CLOSE): (
        Text("Fermer le nouveau", "Close the new side"),
        Text(
            "une transaction\u202f; les écritures en cours sont finies", "one transaction; writers in flight have ended"
        ),
    ),
    (Side.LEGACY, StepName.DRAIN): (
        Text("Écouler le retour", "Drain the way back"),
        Text("la file du retour est vide", "the outbox is empty"),
    ),
    (Side.LEGACY, StepName.VERIFY): (
        Text("Vérifier, tout fermé", "Verify, all closed"),
        Text("fiches modifiées comparées, 0 différente", "changed records compared, 0 different"),
    ),
    (Side.LEGACY, StepName.FLIP): (
        Text("Rendre la main à l’ancien", "Flip back"),
        Text("une seule transaction", "one transaction"),
    ),
    (Side.LEGACY, StepName.OPEN): (
        Text("Ouvrir l’ancien", "Open the old side"),
        Text("l’ancien serveur a confirmé", "the old server has acknowledged"),
    ),
    (Side.LEGACY, StepName.SETTLE): (
        Text("Relire ce que l’ancien ne sait pas dire", "Settle what the old system cannot say"),
        Text("les lignes listées sont relues", "the listed rows are read again"),
    ),
}
_CLOSED = {
    Side.CANONICAL: (StepName.CLOSE, StepName.DRAIN, StepName.VERIFY, StepName.SEAL, StepName.FLIP),
    Side.LEGACY: (StepName.CLOSE, StepName.DRAIN, StepName.VERIFY, StepName.FLIP, StepName.OPEN),
}


def steps_of_night(plan: Plan) -> tuple[RunbookStep, ...]:
    """Give the lines of the runbook of a plan, numbered; the steps of the plan keep their order and their times."""
    lines = [*_before(plan), *(_planned(one, plan) for one in plan.steps), *_after(plan)]
    return tuple(
        RunbookStep(number, line.title, line.done_when, line.expected_ms, line.command, line.is_decided, line.is_closed)
        for number, line in enumerate(lines, 1)
    )


def _before(plan: Plan) -> Iterator[RunbookStep]:
    name = plan.closure
    yield RunbookStep(
        0,
        Text("Revoir le GO", "Review the GO"),
        Text("preuve et signatures encore valables", "evidence and signatures still valid"),
        _MINUTE // 2,
        f"banyan gate show {name}",
        is_decided=True,
    )
    yield RunbookStep(
        0,
        Text("Prévenir les unités", "Warn the units"),
        Text("chaque unité a répondu", "each unit has answered"),
        5 * _MINUTE,
        is_decided=True,
    )
    yield RunbookStep(
        0,
        Text("Revoir le plan et ce qui manque", "Review the plan and what is missing"),
        Text(
            "rien ne s’y oppose\u202f; même empreinte que cette fiche",
            "nothing stands in the way; same digest as this sheet",
        ),
        _MINUTE,
        f"banyan switch plan {name}{' --back' if plan.to is Side.LEGACY else ''}",
        is_decided=True,
    )


def _planned(step: PlannedStep, plan: Plan) -> RunbookStep:
    title, done_when = _SAID[step.to, step.name]
    first = step is plan.steps[0]
    order = "run" if plan.to is Side.CANONICAL else "rollback"
    return RunbookStep(
        0,
        title,
        done_when,
        step.expected_ms,
        f"banyan switch {order} {plan.closure}" if first else "",
        is_decided=first,
        is_closed=step.name in _CLOSED[step.to],
    )


def _after(plan: Plan) -> Iterator[RunbookStep]:
    yield RunbookStep(
        0,
        Text("Faire essayer les unités", "Have the units try"),
        Text("une saisie relue dans chaque unité choisie", "one entry read back in each chosen unit"),
        10 * _MINUTE,
        is_decided=True,
    )
    yield RunbookStep(
        0,
        Text("Contrôler l’état et la veille", "Check the state and the guard"),
        Text("un seul côté ouvert, veilleur vivant", "one side open, guard alive"),
        _MINUTE // 6,
        f"banyan switch status {plan.closure}",
    )
