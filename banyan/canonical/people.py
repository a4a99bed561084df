"""Identities, their roles in cases, their addresses and contacts. Identities are linked, never merged."""

from banyan.canonical.columns import CanonicalTable, Kind, code, content, personal, plain, reference

TABLES = (
    CanonicalTable(
        "person",
        "a person, thin: attributes belong to identities",
        (
            reference("master_identity_id", "identity shown first"),
            plain("restricted", "readable by few", Kind.BOOLEAN),
        ),
    ),
    CanonicalTable(
        "person_identity",
        "an identity as one legacy record states it",
        (
            personal("surname", "birth name"),
            personal("surname_use", "use name"),
            personal("given_names", "given names, separated by spaces"),
            code("sex_code", "M, F"),
            personal("birth_date", "day of birth; first day of the period when partial", Kind.DATE),
            personal("birth_date_text", "birth date as recorded when it is not a day"),
            code("birth_date_precision_code", "DAY, MONTH, YEAR, UNKNOWN"),
            personal("birth_commune_code", "commune of birth (COG, as recorded)"),
            personal("birth_place_text", "place of birth as recorded"),
            code("nationality_code", "nationality as recorded"),
            personal("occupation_text", "occupation"),
        ),
    ),
    CanonicalTable(
        "person_identity_association",
        "which person an identity belongs to, reversibly",
        (
            reference("person_identity_id", "identity"),
            reference("person_id", "person"),
            plain("valid_from", "from", Kind.INSTANT),
            plain("valid_to", "until", Kind.INSTANT),
            plain("rule_code", "rule that linked them"),
            plain("decided_by", "who decided"),
        ),
    ),
    CanonicalTable(
        "person_identification",
        "a strong key of an identity: passport, card, number of a central file",
        (
            reference("person_identity_id", "identity"),
            code("identification_category_code", "PASSPORT, CNI, FNAEG, PPMEC, TAJ"),
            personal("identification_value", "value"),
        ),
    ),
    CanonicalTable(
        "organization",
        "an organization in a case",
        (plain("name", "name"), plain("siret", "SIRET"), reference("location_id", "place")),
    ),
    CanonicalTable(
        "participation",
        "the role of an identity in a case (LED art. 6 demands the distinction)",
        (
            reference("case_file_id", "case"),
            reference("person_identity_id", "identity"),
            reference("organization_id", "organization"),
            code("role_code", "SUSPECT, VICTIM, WITNESS, COMPLAINANT, MISSING, CIVILLY_LIABLE"),
            plain("role_sequence", "order in the case", Kind.SMALLINT),
            plain("minor_at_facts", "minor at the facts", Kind.BOOLEAN),
            plain("complaint_filed", "complaint filed", Kind.BOOLEAN),
            plain("complaint_filed_on", "day of the complaint", Kind.DATE),
            plain("retention_until", "last day it may be kept", Kind.DATE),
            code("retention_rule_code", "rule that gives that day"),
        ),
    ),
    CanonicalTable(
        "contact_means",
        "a telephone number or address of an identity",
        (
            reference("person_identity_id", "identity"),
            code("contact_category_code", "MOBILE, LANDLINE, WORK, OTHER"),
            personal("value_raw", "as recorded"),
            personal("value_normalised", "E.164 when it can be read"),
            code("country_code", "country of the number"),
        ),
    ),
    CanonicalTable(
        "location",
        "a place or address; COG code, never the postal code, says where it is",
        (
            content("address_full_text", "address in one line"),
            content("address_number", "number in the street"),
            content("street_name", "street"),
            plain("postal_code", "postal code as recorded"),
            plain("city_name", "city as recorded"),
            code("commune_code", "commune as recorded (COG)"),
            code("location_category_code", "kind of place"),
            plain("census_tract", "census tract (United States)"),
            plain("x_coordinate", "x in the projection of the source", Kind.NUMERIC),
            plain("y_coordinate", "y in the projection of the source", Kind.NUMERIC),
        ),
    ),
    CanonicalTable(
        "residence",
        "that an identity lives, works or was at a place",
        (
            reference("person_identity_id", "identity"),
            reference("location_id", "place"),
            code("residence_category_code", "HOME, WORK, HOLIDAY"),
            plain("as_of", "day it was stated", Kind.DATE),
        ),
    ),
)
