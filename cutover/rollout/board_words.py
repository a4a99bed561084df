"""The words of the rollout board, once in French and once in English; `{0}` is filled by the page."""

from dataclasses import dataclass
from datetime import date, datetime

from validation.text import Language, Text
from validation.wording import write_day, write_instant

_MONTHS = {
    Language.FR: (
        "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.",
    ),
    Language.EN: ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sep", "Oct", "Nov", "Dec"),
}  # fmt: skip
WORDS: dict[str, Text] = {
    "title": Text("Déploiement\u202f: {0} départements", "Rollout: {0} departments"),
    "page_name": Text("Déploiement", "Rollout"),
    "skip": Text("Aller au contenu", "Skip to content"),
    "as_of": Text("État au {0}", "As of {0}"),
    "of_slices": Text("tranches sur {0}", "of {0} slices"),
    "in_new": Text("dans le nouveau système.", "in the new system."),
    "blockers_counted": Text("blocages", "blockers"),
    "blockers_text": Text("Chacun a son geste, plus bas.", "Each has its remedy, below."),
    "no_blocker": Text("Rien ne bloque.", "Nothing blocks."),
    "next_night": Text("Prochaine nuit\u202f: {0}.", "Next night: {0}."),
    "no_night": Text("Aucune nuit à venir.", "No night to come."),
    "gates": Text("Jalons", "Gates"),
    "legend_closure": Text("ensemble solidaire\u202f: bascule en une fois", "closure: moves at once"),
    "legend_new": Text(
        "le nouveau système écrit (sinon\u202f: l’ancien)", "the new system writes (else the legacy one)"
    ),
    "matrix_label": Text(
        "Jalon atteint et verdict, par département et par domaine", "Gate reached and verdict, by department and domain"
    ),
    "department": Text("Département", "Department"),
    "wave": Text("vague {0}", "wave {0}"),
    "wave_title": Text("Vague {0}", "Wave {0}"),
    "wave_column": Text("Vague", "Wave"),
    "gates_legend": Text(
        "G0 inventaire · G1 règles · G2 répétition · G3 parallèle · G4 bascule · G5 clôture · "
        "G6 destruction de l’ancien",
        "G0 inventory · G1 rules · G2 rehearsal · G3 parallel · G4 cutover · G5 settle · "
        "G6 destruction of the old base",
    ),
    "blockers": Text("Blocages", "Blockers"),
    "lifts": Text("Lève le blocage\u202f: ", "Lifts it: "),
    "way_back_title": Text("Pouvons-nous revenir en arrière\u202f?", "Can we go back?"),
    "closure": Text("Ensemble", "Closure"),
    "cutover_night": Text("Nuit de bascule", "Cutover night"),
    "way_back_until": Text("Retour possible jusqu’au", "Way back until"),
    "state": Text("État", "State"),
    "planned": Text("prévu", "planned"),
    "decided": Text("décidé", "decided"),
    "calendar": Text("Calendrier", "Calendar"),
    "chart_label": Text("Calendrier des vagues", "Calendar of the waves"),
    "chart_same": Text(
        "Les mêmes dates sont dans le tableau sous le graphique.", "The same dates are in the table under the chart."
    ),
    "as_table": Text("Le calendrier en tableau", "The calendar as a table"),
    "table_caption": Text("Vagues et périodes", "Waves and periods"),
    "today": Text("aujourd’hui", "today"),
    "bar_rehearsal": Text("répétition", "rehearsal"),
    "bar_parallel": Text("parallèle", "parallel"),
    "bar_cutovers": Text("bascules", "cutovers"),
    "bar_way_back": Text("retour possible", "way back"),
    "rule": Text(
        "Bascules\u202f: {0}. Jamais un vendredi, ni dans une période hachurée.",
        "Cutovers: {0}. Never on a Friday, nor in a hatched period.",
    ),
    "excluded": Text("Périodes exclues\u202f: {0}.", "Excluded periods: {0}."),
    "nothing_excluded": Text("Aucune période exclue.", "No excluded period."),
    "footer": Text("aucune valeur de fiche sur cette page", "no value of a record on this page"),
    "nights_of": Text("nuit du {0}", "night of {0}"),
    "until": Text("retour\u202f: {0}", "back until {0}"),
    "no_slice": Text("aucune règle", "no rule"),
    "way_back_open": Text("Retour possible", "Way back open"),
    "not_moved": Text("Pas encore basculé", "Not moved yet"),
    "blocked": Text("Le verdict de {0} n’est pas GO.", "The verdict on {0} is not GO."),
}
DAYS = {
    "monday": Text("lundi", "Monday"),
    "tuesday": Text("mardi", "Tuesday"),
    "wednesday": Text("mercredi", "Wednesday"),
    "thursday": Text("jeudi", "Thursday"),
    "friday": Text("vendredi", "Friday"),
    "saturday": Text("samedi", "Saturday"),
    "sunday": Text("dimanche", "Sunday"),
}


@dataclass(frozen=True, slots=True)
class BoardSpeech:
    """Says the words and dates of the board in one language, at the clock of the rollout."""

    language: Language
    zone: str

    def word(self, name: str, *values: object) -> str:
        """Say a text of the board with its places filled."""
        return WORDS[name].say(self.language).format(*values)

    def instant(self, value: datetime) -> str:
        """Write an instant with its day and the place of the clock."""
        return write_instant(value, self.zone, self.language)

    def day(self, value: date) -> str:
        """Write a day in full."""
        return write_day(datetime(value.year, value.month, value.day, 12).astimezone(), self.zone, self.language)

    def short_day(self, value: date) -> str:
        """Write a day in figures, as the language does."""
        return f"{value:%d/%m/%Y}" if self.language is Language.FR else value.isoformat()

    def month(self, value: date, *, is_first: bool) -> str:
        """Write a month, with its year in January and at the beginning."""
        name = _MONTHS[self.language][value.month - 1]
        return f"{name} {value.year}" if is_first or value.month == 1 else name
