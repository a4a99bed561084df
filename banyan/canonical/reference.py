"""Units and officials, code tables as recorded, and the yearly figures recorded by unit."""

from banyan.canonical.columns import CanonicalTable, Kind, code, plain, reference

TABLES = (
    CanonicalTable(
        "enforcement_unit",
        "a unit of the force, valid in time: units are merged, split and renamed",
        (
            plain("unit_code", "code of the unit in its own register"),
            code("unit_category_code", "BTA, BP, COB, CGD, GGD, PSIG, BR"),
            plain("name", "name of the unit"),
            reference("parent_unit_id", "unit it belongs to"),
            code("commune_code", "commune of its seat (COG)"),
            plain("valid_from", "first day of validity", Kind.DATE),
            plain("valid_to", "last day of validity", Kind.DATE),
        ),
    ),
    CanonicalTable(
        "enforcement_official",
        "an official by badge number; names stay in the human-resources systems",
        (
            plain("badge_number", "badge number"),
            code("rank_code", "rank"),
            reference("unit_id", "unit of assignment"),
            code("judicial_capacity_code", "OPJ, APJ, APJA"),
            plain("active_from", "first day", Kind.DATE),
            plain("active_to", "last day", Kind.DATE),
        ),
    ),
    CanonicalTable(
        "recorded_code",
        "a line of a code table of a legacy system, as it stood there; a code may come back with another meaning",
        (
            code("code_set_code", "code table it belongs to"),
            plain("code", "code as recorded"),
            plain("label", "what it meant there"),
            plain("valid_from", "first day of validity", Kind.DATE),
            plain("valid_to", "last day of validity; empty while it is valid", Kind.DATE),
        ),
    ),
    CanonicalTable(
        "recorded_fact_count",
        "facts recorded by a unit in a year under an index of the état 4001",
        (
            reference("unit_id", "unit that recorded the facts"),
            plain("statistical_index_code", "index 1 to 107 of the état 4001", Kind.SMALLINT),
            plain("year", "calendar year", Kind.SMALLINT),
            plain("recorded_count", "number of facts; empty means not published, never zero", Kind.INTEGER),
        ),
    ),
)
