"""Every word of the pages, once in French and once in English."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from banyan.departments import Phase, Side
from banyan.findings import LevelResult, LevelState
from validation.text import Language, Text, write_number

_MONTHS = (
    Text("janvier", "January"),
    Text("février", "February"),
    Text("mars", "March"),
    Text("avril", "April"),
    Text("mai", "May"),
    Text("juin", "June"),
    Text("juillet", "July"),
    Text("août", "August"),
    Text("septembre", "September"),
    Text("octobre", "October"),
    Text("novembre", "November"),
    Text("décembre", "December"),
)

ROLES: dict[str, Text] = {
    "steward": Text("référent données", "data steward"),
    "lead": Text("chef de projet", "project lead"),
    "engineer": Text("ingénieur de migration", "migration engineer"),
    "security": Text("responsable sécurité", "security officer"),
    "auditor": Text("auditeur", "auditor"),
    "commander": Text("commandant", "commanding officer"),
}

DOMAINS: dict[str, Text] = {
    "reference": Text("référentiels", "reference tables"),
    "vehicles": Text("véhicules", "vehicles"),
    "logbook": Text("main courante", "logbook"),
    "cases": Text("procédures", "cases"),
    "documents": Text("pièces", "documents"),
    "custody": Text("garde à vue et scellés", "custody and exhibits"),
}

SIDES: dict[Side, Text] = {
    Side.LEGACY: Text("ancien système", "legacy system"),
    Side.CANONICAL: Text("nouveau système", "new system"),
}

PHASES: dict[Phase, Text] = {
    Phase.REGISTERED: Text("inscrite", "registered"),
    Phase.ASSESSED: Text("inventoriée", "assessed"),
    Phase.MAPPED: Text("règles écrites", "rules written"),
    Phase.LOADING: Text("premier chargement", "first load"),
    Phase.SYNCING: Text("synchronisation", "syncing"),
    Phase.READY: Text("prête à basculer", "ready to switch"),
    Phase.FENCING: Text("fermeture de l’ancien système", "closing the legacy system"),
    Phase.DRAINING: Text("reprise des dernières modifications", "draining the last changes"),
    Phase.VERIFYING: Text("vérification, tout fermé", "verifying, all closed"),
    Phase.SEALING: Text("scellement de l’ancien système", "sealing the legacy system"),
    Phase.LIVE: Text("en service dans le nouveau système", "live in the new system"),
    Phase.R_DRAINING: Text("retour\u202f: reprise des modifications", "rollback: draining"),
    Phase.R_VERIFYING: Text("retour\u202f: vérification", "rollback: verifying"),
    Phase.R_OPENING: Text("retour\u202f: réouverture de l’ancien système", "rollback: opening the legacy system"),
    Phase.ABORTING: Text("abandon, réouverture de l’ancien système", "aborting, opening the legacy system"),
    Phase.COMPLETING: Text("clôture", "completing"),
    Phase.RETIRED: Text("ancien système retiré", "legacy system retired"),
    Phase.HALT: Text("arrêt, deux personnes doivent trancher", "halted, two people must decide"),
}

STATES: dict[LevelState, tuple[str, str, Text]] = {
    LevelState.PASS: ("go", "go", Text("Conforme", "Pass")),
    LevelState.FAIL: ("nogo", "nogo", Text("Non conforme", "Fail")),
    LevelState.ERROR: ("error", "error", Text("Erreur", "Error")),
    LevelState.STALE: ("idle", "stale", Text("Périmé", "Stale")),
    LevelState.NOT_RUN: ("idle", "idle", Text("Non exécuté", "Not run")),
}
"""Each state has a colour, a shape and a word."""

NOUNS: dict[str, tuple[Text, Text]] = {
    "row": (Text("ligne", "row"), Text("lignes", "rows")),
    "field": (Text("champ", "field"), Text("champs", "fields")),
    "cause": (Text("cause", "cause"), Text("causes", "causes")),
    "finding": (Text("constat", "finding"), Text("constats", "findings")),
    "difference": (Text("écart", "difference"), Text("écarts", "differences")),
    "ruleset": (Text("règle de table", "table rule"), Text("règles de table", "table rules")),
    "suite": (Text("suite de contrôles", "suite of checks"), Text("suites de contrôles", "suites of checks")),
    "waiver": (Text("dérogation", "waiver"), Text("dérogations", "waivers")),
    "line": (Text("ligne de plus", "more line"), Text("lignes de plus", "more lines")),
    "total": (
        Text("total sans écart", "total without a difference"),
        Text("totaux sans écart", "totals without a difference"),
    ),
    "day": (Text("jour", "day"), Text("jours", "days")),
    "reason": (Text("raison", "reason"), Text("raisons", "reasons")),
    "check": (Text("contrôle non demandé", "check not asked"), Text("contrôles non demandés", "checks not asked")),
    "plain_column": (Text("colonne", "column"), Text("colonnes", "columns")),
    "column": (Text("autre colonne", "other column"), Text("autres colonnes", "other columns")),
    "edit": (Text("modification", "edit"), Text("modifications", "edits")),
    "value": (Text("valeur", "value"), Text("valeurs", "values")),
    "signature": (Text("signature", "signature"), Text("signatures", "signatures")),
    "minute": (Text("minute", "minute"), Text("minutes", "minutes")),
    "second": (Text("seconde", "second"), Text("secondes", "seconds")),
}

_MEASURED: dict[str, tuple[tuple[str, ...], Text]] = {
    "L0": (
        ("tables", "rows", "decode_errors"),
        Text("{tables} tables, {rows} lignes lues\u202f; erreurs de décodage\u202f: {decode_errors}",
             "{tables} tables, {rows} rows read; decode errors: {decode_errors}"),
    ),
    "L1": (
        ("rows", "unexplained"),
        Text("{rows} lignes\u202f; inexpliquées\u202f: {unexplained}", "{rows} rows; unexplained: {unexplained}"),
    ),
    "L2": (
        ("declared", "loaded", "evaluated"),
        Text("{declared} règles déclarées, {loaded} chargées, {evaluated} évaluées",
             "{declared} rules declared, {loaded} loaded, {evaluated} evaluated"),
    ),
    "L3": (
        ("buckets", "compared", "foreign"),
        Text("{compared} paquets de fiches comparés sur {buckets}\u202f; écritures étrangères\u202f: {foreign}",
             "{compared} of {buckets} buckets of records compared; foreign writes: {foreign}"),
    ),
    "L4": (
        ("rows", "different"),
        Text("{rows} lignes relues et comparées\u202f; différentes\u202f: {different}",
             "{rows} rows re-read and compared; different: {different}"),
    ),
    "L6": (
        ("rows", "identical", "without_residue"),
        Text("{identical} lignes identiques sur {rows}, dont {without_residue} sans reliquat",
             "{identical} rows identical of {rows}, of which {without_residue} without residue"),
    ),
}  # fmt: skip

_MEASURED_MORE: dict[str, tuple[tuple[str, ...], Text]] = {
    "L0": (
        ("undecoded_cells", "cells"),
        Text("cellules qui ne sont pas du texte dans l’encodage déclaré : {undecoded_cells} sur {cells}",
             "cells that are no text of the encoding declared: {undecoded_cells} of {cells}"),
    ),
    "L1": (
        ("broken",),
        Text("équations qui ne tombent pas juste\u202f: {broken}", "equations that do not hold: {broken}"),
    ),
    "L2": (
        ("dispositions_not_applied",),
        Text("décisions d’effacement connues et non appliquées dans l’ancien système\u202f: {dispositions_not_applied}",
             "decisions that erase, known and not applied in the old system: {dispositions_not_applied}"),
    ),
    "L4": (
        ("golden_records", "golden_held"),
        Text("fiches étalons\u202f: {golden_records} éprouvées, {golden_held} tenues",
             "golden records: {golden_records} run, {golden_held} hold"),
    ),
}  # fmt: skip
"""What a level says besides, where it was asked."""
_WEIGHED: tuple[tuple[str, ...], Text] = (
    ("weighed",),
    Text("règles auxquelles le projet donne un autre poids, nommées dans levels.json\u202f: {weighed}",
         "rules to which the project gives another weight, named in levels.json: {weighed}"),
)  # fmt: skip
_PROBLEMS: tuple[tuple[str, ...], Text] = (
    ("problems",),
    Text("défauts de ce qui a été lu\u202f: {problems}", "defects of what was read: {problems}"),
)
_NOTHING: tuple[tuple[str, ...], Text] = ((), Text("", ""))

_MEASURED_PARTS: dict[str, tuple[tuple[str, ...], Text]] = {
    "open_work": (
        ("open_work_lists", "open_work_different"),
        Text("travail en cours\u202f: {open_work_lists} listes, noms différents\u202f: {open_work_different}",
             "open work: {open_work_lists} lists, names that differ: {open_work_different}"),
    ),
    "statistics": (
        ("statistics_lines", "statistics_different"),
        Text("statistiques\u202f: {statistics_lines} lignes par index, mois et unité, différentes\u202f:"
             " {statistics_different}",
             "statistics: {statistics_lines} lines by index, month and unit, different: {statistics_different}"),
    ),
    "replay": (
        ("replay_questions", "replay_rows", "replay_different"),
        Text("recherches\u202f: {replay_questions} rejouées, {replay_rows} réponses, différentes\u202f:"
             " {replay_different}",
             "queries: {replay_questions} replayed, {replay_rows} answers, different: {replay_different}"),
    ),
    "totals": (
        ("totals_declared",),
        Text("totaux de contrôle déclarés : {totals_declared}", "control totals declared: {totals_declared}"),
    ),
    "sample": (
        ("sample_read", "sample_population", "sample_different"),
        Text("papier\u202f: {sample_read} dossiers lus sur {sample_population}, différents\u202f: {sample_different}",
             "paper: {sample_read} of {sample_population} files read, different: {sample_different}"),
    ),
}  # fmt: skip
"""The parts of L5, each said from its own figures."""
_NOT_CONCERNED = Text(
    "l’ensemble n’a aucune des tables que ce niveau compare", "the closure has none of the tables this level compares"
)


def measured(level: LevelResult, language: Language) -> str:
    """Say what a level measured: from its figures when they are the known ones, else its own sentence."""
    parts = [said for each in _MEASURED_PARTS.values() if (said := _from_figures(level, each, language))]
    if level.level == "L5" and parts:
        joint = "\u202f; " if language is Language.FR else "; "
        return joint.join(parts)
    if level.level == "L5" and level.state is LevelState.PASS and level.figures.get("parts"):
        return _NOT_CONCERNED.say(language)
    said = _from_figures(level, _MEASURED.get(level.level, _NOTHING), language) or level.sentence
    besides = (_MEASURED_MORE.get(level.level, _NOTHING), _PROBLEMS, _WEIGHED)
    told = [said, *(_from_figures(level, one, language) for one in besides)]
    return ("\u202f; " if language is Language.FR else "; ").join(filter(None, told))


def _from_figures(level: LevelResult, told: tuple[tuple[str, ...], Text], language: Language) -> str:
    names, sentence = told
    figures = [level.figures.get(name) for name in names]
    if not names or any(type(figure) is not int for figure in figures):
        return ""
    written = {name: write_number(int(figure or 0), language) for name, figure in zip(names, figures, strict=True)}
    return sentence.say(language).format_map(written)


def role_title(role: str) -> Text:
    """Give a role in the words of the page; an unknown role stands for itself."""
    return ROLES.get(role, Text.same(role))


def domain_title(domain: str) -> Text:
    """Give a domain in the words of the page; an unknown domain stands for itself."""
    return DOMAINS.get(domain, Text.same(domain))


def count(number: int, noun: str, language: Language) -> str:
    """Write a number with its noun, singular or plural as the language asks."""
    one, many = NOUNS[noun]
    is_one = abs(number) < 2 if language is Language.FR else number == 1
    return f"{write_number(number, language)} {(one if is_one else many).say(language)}"


def write_day(instant: datetime, zone: str, language: Language) -> str:
    """Write the local day of an instant."""
    return write_date(instant.astimezone(ZoneInfo(zone)).date(), language)


def write_date(day: date, language: Language) -> str:
    """Write a day."""
    number = "1er" if day.day == 1 and language is Language.FR else str(day.day)
    return f"{number} {_MONTHS[day.month - 1].say(language)} {day.year}"


def write_instant(instant: datetime, zone: str, language: Language) -> str:
    """Write an instant with its day and the place of the clock."""
    local = instant.astimezone(ZoneInfo(zone))
    place = zone.rpartition("/")[2].replace("_", " ")
    return f"{write_day(instant, zone, language)}, {local:%H:%M} ({place})"


def write_seconds(seconds: int, language: Language) -> str:
    """Write a duration in minutes and seconds."""
    minutes, left = divmod(seconds, 60)
    parts = [count(minutes, "minute", language)] if minutes else []
    if left or not minutes:
        parts.append(count(left, "second", language))
    return " ".join(parts)
