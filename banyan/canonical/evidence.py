"""Items, vehicles, seals, custody, documents and detention."""

from banyan.canonical.columns import CanonicalTable, Kind, code, content, plain, reference

TABLES = (
    CanonicalTable(
        "item",
        "a thing in a case",
        (
            reference("case_file_id", "case"),
            code("item_category_code", "kind of item"),
            code("item_status_code", "STOLEN, SEIZED, FOUND, INVOLVED"),
            content("description", "description"),
            content("serial_number", "serial number"),
            plain("quantity", "how many", Kind.NUMERIC),
            plain("value_eur", "value in euros", Kind.NUMERIC),
        ),
    ),
    CanonicalTable(
        "vehicle",
        "a vehicle: of an item of a case, or stated by an identity",
        (
            reference("item_id", "item it is"),
            reference("person_identity_id", "identity that stated it"),
            content("plate_raw", "plate as recorded"),
            content("plate_normalised", "plate without blanks and with its dashes"),
            code("plate_system_code", "SIV, FNI, FOREIGN, UNKNOWN"),
            code("plate_country_code", "country of the plate"),
            content("vin", "chassis number"),
            code("make_code", "make"),
            plain("model_text", "model"),
            code("colour_code", "colour"),
        ),
    ),
    CanonicalTable(
        "evidence",
        "a seal of a case",
        (
            reference("case_file_id", "case"),
            reference("item_id", "item sealed"),
            plain("seal_number", "number, unique in the case"),
            plain("sealed_at", "instant of sealing", Kind.INSTANT),
            code("sealed_precision_code", "MINUTE, DAY, UNKNOWN"),
            content("description", "what is under seal, as recorded"),
            plain("storage_location_text", "where it is kept"),
            code("evidence_status_code", "RETURNED, DESTROYED, CONFISCATED; empty while it is kept"),
        ),
    ),
    CanonicalTable(
        "custody_transfer",
        "one movement of a seal; the sequence has no gap",
        (
            reference("evidence_id", "seal"),
            plain("sequence_number", "place in the chain", Kind.INTEGER),
            plain("transferred_at", "instant", Kind.INSTANT),
            code("transferred_precision_code", "MINUTE, DAY, UNKNOWN"),
            code("action_code", "what was done"),
            plain("from_holder", "who gave"),
            plain("to_holder", "who received"),
            reference("official_id", "official who recorded it"),
        ),
    ),
    CanonicalTable(
        "document",
        "a document of a case; immutable once transmitted",
        (
            reference("case_file_id", "case"),
            plain("document_number", "number in the case"),
            code("document_category_code", "kind of document"),
            content("title", "title"),
            reference("author_id", "official who wrote it"),
            plain("drawn_up_at", "instant", Kind.INSTANT),
            code("drawn_up_precision_code", "MINUTE, DAY, UNKNOWN"),
            content("body", "text"),
        ),
    ),
    CanonicalTable(
        "detention",
        "a custody with its legal clock",
        (
            reference("participation_id", "person in the case"),
            code("detention_category_code", "GAV"),
            plain("started_at", "start", Kind.INSTANT),
            code("started_precision_code", "MINUTE, DAY, UNKNOWN"),
            plain("ended_at", "end", Kind.INSTANT),
            code("ended_precision_code", "MINUTE, DAY, UNKNOWN"),
            plain("extended", "extended beyond its first term", Kind.BOOLEAN),
            plain("rights_notified_at", "notification of rights", Kind.INSTANT),
            plain("rights_notified_text", "the same as recorded, where no instant follows from it"),
            content("reason_text", "why it was decided"),
            code("outcome_code", "outcome"),
        ),
    ),
)
