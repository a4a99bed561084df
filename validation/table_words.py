"""The canonical tables in the words of the page, as a person of the trade names what they hold."""

from validation.text import Text

_TABLES: dict[str, Text] = {
    "enforcement_unit": Text("Unités", "Units"),
    "enforcement_official": Text("Agents", "Officials"),
    "recorded_code": Text("Codes repris", "Recorded codes"),
    "recorded_fact_count": Text("Faits comptés de l’état 4001", "Counted facts of the état 4001"),
    "case_file": Text("Procédures", "Cases"),
    "incident": Text("Événements", "Incidents"),
    "offense": Text("Infractions", "Offences"),
    "disposition": Text("Suites judiciaires", "Dispositions"),
    "person": Text("Personnes", "Persons"),
    "person_identity": Text("Identités", "Identities"),
    "person_identity_association": Text("Liens entre identités", "Links between identities"),
    "person_identification": Text("Identifiants de personnes", "Identifiers of persons"),
    "organization": Text("Organisations", "Organisations"),
    "participation": Text("Implications dans une procédure", "Participations in a case"),
    "contact_means": Text("Moyens de contact", "Means of contact"),
    "location": Text("Lieux", "Locations"),
    "residence": Text("Domiciles", "Residences"),
    "item": Text("Objets", "Items"),
    "vehicle": Text("Véhicules", "Vehicles"),
    "evidence": Text("Scellés", "Seals"),
    "custody_transfer": Text("Mouvements de scellés", "Movements of seals"),
    "document": Text("Pièces", "Documents"),
    "detention": Text("Gardes à vue", "Detentions"),
}


def say_total(label: Text) -> Text:
    """Give the label of a total in both languages; one that names a canonical table says what it holds."""
    return _TABLES.get(label.en, label) if label.fr == label.en else label
