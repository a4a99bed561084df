"""Cases, incidents, offences and what was decided."""

from banyan.canonical.columns import CanonicalTable, Kind, code, content, plain, reference

TABLES = (
    CanonicalTable(
        "case_file",
        "a procedure; its natural key is unit, number and opening date, never the number alone",
        (
            plain("case_number", "number as written by the unit"),
            plain("case_number_normalised", "number without padding"),
            code("case_category_code", "JUDICIAL, ADMINISTRATIVE, TRAFFIC, MISSING, DEATH"),
            code("legal_framework_code", "FLAGRANCE, PRELIMINARY, COMMISSION_ROGATOIRE"),
            reference("unit_id", "unit in charge"),
            reference("lead_official_id", "official in charge"),
            plain("opened_on", "day of opening", Kind.DATE),
            code("opened_on_precision_code", "DAY, MONTH, YEAR, UNKNOWN"),
            plain("closed_on", "day of closing", Kind.DATE),
            plain("transmitted_on", "day of transmission to the prosecutor", Kind.DATE),
            code("court_code", "court"),
            plain("prosecutor_number", "number given by the prosecutor"),
            code("case_status_code", "OPEN, CLOSED, TRANSMITTED, ARCHIVED"),
            code("confidentiality_code", "STANDARD, CONFIDENTIAL"),
            reference("parent_case_id", "case it was joined to"),
            content("note_text", "free note of the unit"),
        ),
    ),
    CanonicalTable(
        "incident",
        "something that happened; logbook entries live here too, without a case",
        (
            reference("case_file_id", "case, if there is one"),
            code("incident_category_code", "kind of incident"),
            plain("reported_at", "instant of the report", Kind.INSTANT),
            plain("occurred_from", "first instant", Kind.INSTANT),
            plain("occurred_to", "last instant", Kind.INSTANT),
            code("occurred_precision_code", "MINUTE, DAY, UNKNOWN"),
            reference("location_id", "place"),
            reference("reporting_unit_id", "unit that recorded it"),
            reference("reporting_official_id", "official who recorded it"),
            content("summary", "summary"),
        ),
    ),
    CanonicalTable(
        "offense",
        "an offence of a case",
        (
            reference("case_file_id", "case"),
            reference("incident_id", "incident"),
            code("natinf_code", "nature of the offence (NATINF)"),
            plain("statistical_index_code", "index 1 to 107 of the état 4001", Kind.SMALLINT),
            plain("offense_label", "label as recorded"),
            plain("attempt", "attempted only", Kind.BOOLEAN),
            code("clearance_code", "CLEARED, NOT_CLEARED"),
            plain("cleared_on", "day of clearance", Kind.DATE),
        ),
    ),
    CanonicalTable(
        "disposition",
        "what a court or prosecutor decided, and what it does to the file (CPP 230-8)",
        (
            reference("participation_id", "person in the case"),
            reference("offense_id", "offence"),
            code(
                "disposition_code",
                "ACQUITTAL, RELAXE, NON_LIEU, CLASSEMENT_SANS_SUITE, CONVICTION, REQUALIFICATION",
            ),
            plain("decided_on", "day of the decision", Kind.DATE),
            plain("authority_text", "authority that decided"),
            code("file_effect_code", "ERASE, ANNOTATE, RECTIFY, NONE"),
        ),
    ),
)
