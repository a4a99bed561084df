"""Names that legacy tables and columns are known by, and what they usually mean; every use of them is a guess."""

TABLES: tuple[tuple[str, str, str], ...] = (
    (r"pers|indiv|person", "person_identity", "cases"),
    (r"implic|qualite|role", "participation", "cases"),
    (r"proc|affaire|dossier|case", "case_file", "cases"),
    (r"fait|infrac|offen", "offense", "cases"),
    (r"suite|decision", "disposition", "cases"),
    (r"adr|domicile|address", "location", "cases"),
    (r"tel|phone|contact", "contact_means", "cases"),
    (r"veh|voiture", "vehicle", "vehicles"),
    (r"obj|item|bien", "item", "vehicles"),
    (r"mvt.*scel|mouvement", "custody_transfer", "custody"),
    (r"scel|seal", "evidence", "custody"),
    (r"gav|garde", "detention", "custody"),
    (r"piece|pv|document", "document", "documents"),
    (r"main.?c|event|evenement|incident", "incident", "logbook"),
    (r"agent|official|matric", "enforcement_official", "reference"),
    (r"unit|brigade", "enforcement_unit", "reference"),
)
"""Pattern of the name of a legacy table, canonical table, domain; the first that is found is the guess."""

COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "person_identity": (
        (r"^(nom|name|surname)$|^nom_(nais|pat)", "surname"),
        (r"prenom|given", "given_names"),
        (r"sexe|^sex", "sex_code"),
        (r"ddn|d(at|t)e?_?nais|birth_?d", "birth_date"),
        (r"(code|insee|com).*nais", "birth_commune_code"),
        (r"lieu.*nais|birth_?p", "birth_place_text"),
        (r"nation", "nationality_code"),
        (r"prof|metier|occup", "occupation_text"),
    ),
    "case_file": (
        (r"num.*(proc|aff|doss)|case_?n", "case_number"),
        (r"d(at|t)e?_?ouv|opened", "opened_on"),
        (r"d(at|t)e?_?cl|closed", "closed_on"),
        (r"d(at|t)e?_?trans", "transmitted_on"),
        (r"parquet", "prosecutor_number"),
        (r"stat", "case_status_code"),
        (r"confid|secret", "confidentiality_code"),
        (r"cadre", "legal_framework_code"),
        (r"type", "case_category_code"),
        (r"tj|tribunal|court", "court_code"),
        (r"obs|note|comment", "note_text"),
    ),
    "participation": (
        (r"qualite|role", "role_code"),
        (r"ordre|rang|seq", "role_sequence"),
        (r"mineur|minor", "minor_at_facts"),
        (r"d(at|t)e?_?plainte", "complaint_filed_on"),
        (r"plainte|complaint", "complaint_filed"),
    ),
    "offense": (
        (r"natinf", "natinf_code"),
        (r"index|4001", "statistical_index_code"),
        (r"lib|label", "offense_label"),
        (r"tentat|attempt", "attempt"),
        (r"d(at|t)e?_?eluc", "cleared_on"),
        (r"eluc|clear", "clearance_code"),
    ),
    "location": (
        (r"num.*(voie|rue)|^numero", "address_number"),
        (r"voie|rue|street", "street_name"),
        (r"^cp$|postal", "postal_code"),
        (r"ville|city|localite", "city_name"),
        (r"commune|insee", "commune_code"),
    ),
    "contact_means": ((r"type|cat", "contact_category_code"), (r"tel|phone|num|mail", "value_raw")),
    "vehicle": (
        (r"immat|plaque|plate", "plate_raw"),
        (r"pays|country", "plate_country_code"),
        (r"vin|chassis|serie", "vin"),
        (r"marque|make", "make_code"),
        (r"modele|model", "model_text"),
        (r"couleur|colou?r", "colour_code"),
    ),
    "item": (
        (r"^cat|type", "item_category_code"),
        (r"stat", "item_status_code"),
        (r"descr|libelle", "description"),
        (r"serie|serial", "serial_number"),
        (r"qte|quant", "quantity"),
        (r"val|prix|montant", "value_eur"),
    ),
    "enforcement_unit": ((r"^code_?u", "unit_code"), (r"type", "unit_category_code"), (r"lib|nom", "name"),
                         (r"commune|insee", "commune_code")),
    "enforcement_official": ((r"matric|badge", "badge_number"), (r"grade|rank", "rank_code"),
                             (r"qualif", "judicial_capacity_code")),
    "document": ((r"num", "document_number"), (r"type|cat", "document_category_code"), (r"titre|objet", "title"),
                 (r"texte|corps|body", "body")),
    "evidence": ((r"num", "seal_number"), (r"lieu|place", "storage_location_text"), (r"stat", "evidence_status_code")),
}  # fmt: skip
"""By canonical table: pattern of the name of a column, canonical column; the first that is free is the guess."""

DELETED = r"supp|delet|efface|annul"
"""Names of columns that say that a row is deleted."""
