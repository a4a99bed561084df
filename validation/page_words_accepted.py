"""The words of the report about what was accepted and how figures moved, once in French and once in English."""

from validation.text import Text

ACCEPTED: dict[str, Text] = {
    "go_waived": Text("GO avec dérogations", "GO with waivers"),
    "means_go_waived": Text(
        "Toutes les lignes sont retrouvées. {0} restent, acceptés par {1}. Signé par {2} personnes.",
        "Every row is accounted for. {0} remain, accepted by {1}. Signed by {2} people.",
    ),
    "means_await_waived": Text(
        "Toutes les lignes sont retrouvées. {0} restent, acceptés par {1}. Manque {2} sur {3}.",
        "Every row is accounted for. {0} remain, accepted by {1}. Missing: {2} of {3}.",
    ),
    "redo": Text("Pour refaire la preuve\u202f:", "To take new evidence:"),
    "waived": Text("Sous dérogation", "Waived"),
    "trend": Text("Évolution", "Trend"),
    "trend_label": Text(
        "Preuves successives\u202f: {0} différences",
        "Successive evidence: {0} differences",
    ),
    "trend_first": Text("première mesure", "first measure"),
    "trend_about": Text(
        "Évolution sur {0} preuves. Ce qui a augmenté depuis la précédente vient en premier.",
        "Trend over {0} pieces of evidence. What grew since the previous one comes first.",
    ),
    "trend_none": Text(
        "Pas de preuve précédente\u202f: pas d’évolution.",
        "No previous evidence: no trend.",
    ),
    "trend_cut": Text(
        "Une preuve plus ancienne manque ou n’est plus intacte\u202f: l’évolution s’arrête là.",
        "Older evidence is missing or no longer sound: the trend stops there.",
    ),
    "new_cause": Text("Nouvelle", "New"),
    "whole_record": Text("fiche entière", "whole record"),
    "by_waiver": Text("dérogation {0}", "waiver {0}"),
    "h_waivers": Text("Dérogations", "Waivers"),
    "p_waivers": Text(
        "Une dérogation s’éteint seule\u202f: si le nombre dépasse le plafond, si une règle change, ou à sa date de "
        "fin. Le jalon se referme alors.",
        "A waiver lapses by itself: when the count passes its limit, when a rule changes, or on its last day. The "
        "gate closes again.",
    ),
    "no_waivers": Text(
        "Aucune dérogation. Rien n’a été accepté qui ne soit conforme.",
        "No waiver. Nothing was accepted that does not pass.",
    ),
    "head_waiver": Text("Numéro", "Number"),
    "scope": Text("Portée", "Scope"),
    "frozen": Text("fiches figées {0}", "records frozen {0}"),
    "motive": Text("Motif", "Reason"),
    "asked_approved": Text("Demandée, acceptée par", "Asked, approved by"),
    "until": Text("Jusqu’au", "Until"),
    "used_limit": Text("Constats, plafond", "Findings, limit"),
    "of_limit": Text("{0} sur {1}", "{0} of {1}"),
    "waiver_counts": Text("Retenue", "Counted"),
    "waiver_void": Text("Sans effet", "Void"),
    "waiver_ended": Text("Terminée", "Ended"),
    "sign_waivers": Text("{0}, {1}", "{0}, {1}"),
    "paper": Text("Comparaison au papier", "Comparison to the paper"),
    "sample_none": Text("Aucun échantillon n’a été lu.", "No sample was read."),
    "open_work": Text("Travail en cours, nom par nom", "Open work, name by name"),
    "open_work_about": Text(
        "Chaque liste est comparée nom par nom. Les noms ne sont pas sur cette page.",
        "Each list is compared name by name. The names are not on this page.",
    ),
    "queries": Text("Recherches rejouées", "Queries replayed"),
    "queries_about": Text(
        "Chaque recherche est posée aux deux systèmes. Les réponses ne sont pas sur cette page.",
        "Each query is put to both systems. The answers are not on this page.",
    ),
    "queries_none": Text("Aucune recherche n’a été rejouée.", "No query was replayed."),
    "query": Text("Recherche", "Query"),
    "explained_listed": Text("Expliquées par une liste", "Explained by a list"),
    "answers_differ": Text("Réponses qui diffèrent", "Answers that differ"),
    "not_answered": Text("Sans réponse", "Not answered"),
    "explained_filtered": Text("Écartées par une règle", "Filtered by a rule"),
    "names_differ": Text("Noms qui diffèrent", "Names that differ"),
    "more_lines": Text("{0} dans {1}.", "{0} in {1}."),
    "equal_totals": Text(
        "{0}. Liste complète dans totals.csv.",
        "{0}. Full list in totals.csv.",
    ),
}
