"""The words of the sheets of a cutover night, once in French and once in English."""

from dataclasses import dataclass
from datetime import datetime

from validation.text import Language, Text
from validation.wording import write_instant

WORDS: dict[str, Text] = {
    "skip": Text("Aller au contenu", "Skip to content"),
    "page_name": Text("Nuit de bascule", "Cutover night"),
    "isolated_name": Text("Fiche du site isolé", "Sheet of the isolated site"),
    "written": Text("Écrit le {0}", "Written {0}"),
    "to_new": Text("Bascule vers le nouveau système", "Switch to the new system"),
    "to_old": Text("Retour à l’ancien système", "Rollback to the old system"),
    "state_before": Text("Avant la bascule", "Before the switch"),
    "state": Text("État", "State"),
    "outage": Text("Arrêt des saisies prévu", "Expected stop of entries"),
    "budget": Text("Abandon automatique après", "Given up by itself after"),
    "window_ends": Text("Fin de la fenêtre dans", "Window ends in"),
    "window_unknown": Text("fenêtre non décidée", "window not decided"),
    "possible": Text("Rien ne s’y oppose", "Nothing stands in the way"),
    "obstacles": Text("NO-GO\u202f: {0} à lever", "NO-GO: {0} to lift"),
    "missing": Text("Ce qui manque", "What is missing"),
    "run_title": Text("Déroulé", "Running order"),
    "expected": Text("prévu {0}", "expected {0}"),
    "real": Text("heure\u202f:", "time:"),
    "go": Text("GO", "GO"),
    "hold": Text("ATTENDRE", "HOLD"),
    "closed": Text("personne ne peut écrire", "nobody can write"),
    "who_writes": Text("Qui peut écrire", "Who can write"),
    "who_now": Text("Maintenant\u202f: {0}.", "Now: {0}."),
    "who_old": Text("l’ancien système", "the old system"),
    "who_new": Text("le nouveau système", "the new system"),
    "paper": Text(
        "Pendant l’arrêt, les unités notent sur papier et saisissent après l’ouverture.",
        "During the stop the units write on paper and enter it after the opening.",
    ),
    "can_go_back": Text("Pouvons-nous revenir\u202f?", "Can we go back?"),
    "abort": Text(
        "Avant le pas «\u202fBasculer\u202f»\u202f: oui, tout de suite. {0}", "Before “Flip”: yes, at once. {0}"
    ),
    "abort_back": Text(
        "Avant le pas «\u202fRendre la main à l’ancien\u202f»\u202f: oui, le nouveau rouvre. {0}",
        "Before “Flip back”: yes, the new side opens again. {0}",
    ),
    "rollback": Text(
        "Après\u202f: retour arrière jusqu’au {0}, {1} environ. {2}", "After it: rollback until {0}, about {1}. {2}"
    ),
    "not_promised": Text("date non fixée", "no date set"),
    "deciders": Text("Qui décide", "Who decides"),
    "doubt": Text(
        "Doute sur un résultat (sortie 5)\u202f: appeler la migration. Ne pas recommencer.",
        "Doubt about a result (exit 5): call the migration engineer. Do not run it again.",
    ),
    "no_people": Text("personne n’est inscrit sous people", "nobody is written under people"),
    "if_nobody": Text(
        "Sans décision, le veilleur abandonne et rouvre l’ancien\u202f; rien n’est perdu.",
        "Without a decision the guard gives up and opens the old side; nothing is lost.",
    ),
    "same_plan": Text("même plan que", "same plan as"),
    "digest": Text("empreinte", "digest"),
    "iso_title": Text("Le lien avec le nouveau système est coupé", "The line to the new system is cut"),
    "iso_lead": Text(
        "Cette fiche reste au site de l’ancien système ({0}), avec la personne qui peut y taper une commande.",
        "This sheet stays at the site of the old system ({0}), with the person who can type a command there.",
    ),
    "iso_wait": Text(
        "1. Ne rien forcer. Tant que l’ancien est fermé sans être scellé, il rouvre de lui-même après {0}.",
        "1. Force nothing. While the old side is closed and not sealed, it opens by itself after {0}.",
    ),
    "iso_no_clock": Text(
        "1. Ne rien forcer. Cette source n’a pas d’horloge\u202f: elle ne rouvre pas d’elle-même.",
        "1. Force nothing. This source has no clock: it does not open by itself.",
    ),
    "iso_call": Text(
        "2. Appeler la migration, au numéro écrit à la main ici\u202f:",
        "2. Call the migration engineer, at the number written here by hand:",
    ),
    "iso_state": Text(
        "3. La migration lit l’état\u202f: banyan switch status {0}. Elle ne donne un code que si l’abandon ou le "
        "retour est déjà écrit. Sinon il n’y a pas de code, et personne n’ouvre.",
        "3. The engineer reads the state: banyan switch status {0}. A code is given only when the abort or the way "
        "back is committed. Otherwise there is no code, and nobody opens.",
    ),
    "iso_code": Text(
        "4. Le code se lit au téléphone et se tape ici. Il vaut une fois, pour cette fermeture seulement\u202f:",
        "4. The code is read over the telephone and typed in here. It is good once, for this close only:",
    ),
    "iso_try": Text(
        "5. Essayer une saisie. Acceptée\u202f: les unités reprennent dans l’ancien. Refusée\u202f: rappeler.",
        "5. Try one entry. Accepted: the units go on in the old system. Refused: call again.",
    ),
    "iso_never": Text("Jamais", "Never"),
    "iso_never_1": Text(
        "retirer un déclencheur, changer un droit ou restaurer une sauvegarde pour «\u202fdébloquer\u202f»",
        "remove a trigger, change a right or restore a backup to “unblock”",
    ),
    "iso_never_2": Text(
        "ouvrir l’ancien quand le nouveau est peut-être ouvert\u202f: deux côtés écriraient",
        "open the old side when the new one may be open: two sides would write",
    ),
    "iso_never_3": Text(
        "remettre en service une copie restaurée avant que la migration l’ait contrôlée et scellée",
        "put a restored copy into service before the engineer has probed and sealed it",
    ),
    "iso_code_line": Text("Code lu au téléphone", "Code read over the telephone"),
    "iso_second_line": Text("S’il est refusé, second code", "If it is refused, second code"),
    "footer": Text("aucune valeur de fiche sur cette page", "no value of a record on this page"),
}


@dataclass(frozen=True, slots=True)
class NightSpeech:
    """Says the words and times of a sheet in one language, at the clock of the department."""

    language: Language
    zone: str

    def word(self, name: str, *values: object) -> str:
        """Say a text of the sheet with its places filled."""
        return WORDS[name].say(self.language).format(*values)

    def text(self, text: Text) -> str:
        """Say a text in the language of the sheet."""
        return text.say(self.language)

    def instant(self, value: datetime) -> str:
        """Write an instant with its day and the place of the clock."""
        return write_instant(value, self.zone, self.language)

    def duration(self, milliseconds: float) -> str:
        """Write a duration: milliseconds below a second, then seconds, then minutes and seconds."""
        if milliseconds < 1000:
            return f"{milliseconds:.0f} ms"
        seconds = round(milliseconds / 1000)
        return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"
