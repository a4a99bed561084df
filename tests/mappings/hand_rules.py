"""Rulesets built by hand, without any rule file: a person with optional parts, an offence with a sibling, a seal."""

from datetime import date

import polars as pl

from banyan.departments import Domain
from mappings.compile import compile_ruleset
from mappings.engine import Lookups, MapContext
from mappings.model import (
    CodeMap,
    Condition,
    FieldRule,
    FilterRule,
    LensCall,
    Parent,
    PartRule,
    Retention,
    RuleBook,
    Ruleset,
    Severity,
)

CONTEXT = MapContext("38", "ORION", "Europe/Paris", bytes(range(32)), date(2026, 1, 1))

PERSON = Ruleset(
    rule_id="PERSON@1",
    version=1,
    system="ORION",
    table="person",
    key=("id",),
    columns=("id", "name", "sex", "born", "tel", "tel_kind", "plate", "religion", "flag3", "gone"),
    deletes=Condition("gone", "=", "O"),
    filters=(
        FilterRule("test_person", "LED art. 4", condition=Condition("name", "starts", "TOTO")),
        FilterRule("too_old", "CPP", retention=Retention(("born",), "19000101")),
    ),
    parts=(
        PartRule(
            "identity",
            "person_identity",
            Domain.CASES,
            main=True,
            fields=(
                FieldRule(
                    ("surname", "surname_use"), ("name",), LensCall("name.use_name", (), {"sep": " EP. ", "max": 20})
                ),
                FieldRule(("sex_code",), ("sex",), LensCall("text.padded", (2,)), code_map="SEX"),
                FieldRule(
                    ("birth_date", "birth_date_precision_code", "birth_date_text"),
                    ("born",),
                    LensCall("date.partial_yyyymmdd"),
                ),
            ),
        ),
        PartRule(
            "phone",
            "contact_means",
            Domain.CASES,
            main=False,
            when=Condition("tel", "!=", ""),
            attach="person_identity_id",
            constants={"contact_category_code": "OTHER"},
            fields=(FieldRule(("value_raw", "value_normalised", "country_code"), ("tel",), LensCall("phone.fr")),),
        ),
        PartRule(
            "vehicle",
            "vehicle",
            Domain.VEHICLES,
            main=False,
            when=Condition("plate", "!=", ""),
            attach="person_identity_id",
            fields=(FieldRule(("plate_raw", "plate_normalised"), ("plate",), LensCall("plate.fr")),),
        ),
    ),
    residue_only={"flag3": "unknown", "gone": "read by deletes", "tel_kind": "unknown"},
    drop={"religion": "LED art. 10"},
)

OFFENCE = Ruleset(
    rule_id="OFFENCE@1",
    version=1,
    system="ORION",
    table="offence",
    key=("id",),
    columns=("id", "case_id", "index", "label", "day", "hour", "attempt", "secret"),
    filters=(FilterRule("case_filtered", "follows its case", parent=Parent("case", "case_id")),),
    parts=(
        PartRule(
            "offence",
            "offense",
            Domain.CASES,
            main=True,
            fields=(
                FieldRule(("case_file_id",), ("case_id",), LensCall("ref", ("case.file",))),
                FieldRule(("incident_id",), (), LensCall("part", ("incident",))),
                FieldRule(("statistical_index_code",), ("index",), LensCall("number.integer"), severity=Severity.WARN),
                FieldRule(("offense_label",), ("label",), LensCall("text.max", (10,))),
                FieldRule(("attempt",), ("attempt",), LensCall("flag", ("O", "N")), severity=Severity.ROW),
            ),
        ),
        PartRule(
            "incident",
            "incident",
            Domain.CASES,
            main=False,
            fields=(
                FieldRule(("case_file_id",), ("case_id",), LensCall("ref", ("case.file",)), writes_back=False),
                FieldRule(("occurred_from", "occurred_precision_code"), ("day", "hour"), LensCall("instant.local")),
            ),
        ),
    ),
    residue_only={"secret": "unknown"},
)

SEAL = Ruleset(
    rule_id="SEAL@1",
    version=1,
    system="ORION",
    table="seal",
    key=("case_id", "number"),
    columns=("case_id", "number", "value", "place_case", "place_number"),
    parts=(
        PartRule(
            "item",
            "item",
            Domain.CUSTODY,
            main=True,
            constants={"item_category_code": "SEAL", "quantity": "1"},
            fields=(
                FieldRule(("value_eur",), ("value",), LensCall("number.decimal_comma", (12,))),
                FieldRule(("case_file_id",), ("place_case", "place_number"), LensCall("ref", ("seal.item",))),
            ),
        ),
    ),
)

BOOK = RuleBook(
    "ORION",
    {ruleset.table: ruleset for ruleset in (PERSON, OFFENCE, SEAL)},
    {"SEX": CodeMap("SEX", {"M": "M", "F": "F", "1": "M"}, {"M": "M"})},
)


def compiled(ruleset, context=CONTEXT):
    return compile_ruleset(ruleset, BOOK, context)


def frame(ruleset, rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(ruleset.columns, pl.String), orient="row")


def person(**columns):
    """Give one row of a person, clean unless told otherwise."""
    clean = {
        "id": "1", "name": "DURAND EP. MARTIN", "sex": "M ", "born": "19800203", "tel": "06 12 34 56 78",
        "tel_kind": "M", "plate": None, "religion": "X", "flag3": None, "gone": "N",
    }  # fmt: skip
    return clean | columns


def people(*rows):
    numbered = [person(id=str(number)) | row for number, row in enumerate(rows, 1)]
    return pl.DataFrame(numbered, schema=dict.fromkeys(PERSON.columns, pl.String))


def current_parts(plans, mapped):
    """Give the parts as the store would: with the identifier of the main part beside each."""
    main = plans.main.rule.name
    parts = {main: mapped.parts[main]}
    for part in plans.parts:
        if not part.rule.main:
            name = part.rule.name
            owners = mapped.links.filter(pl.col("part") == name).select(
                pl.col("canonical_id").alias("id"), pl.col("id").alias("main_id")
            )
            parts[name] = mapped.parts[name].join(owners, on="id", how="left", maintain_order="left")
    return parts


def lookups_of(plans, mapped, rows):
    """Give the keys of every row referred to, as the crosswalk would."""
    known = {}
    key = plans.ruleset.key
    source = rows.select(pl.concat_str(key, separator="\x1f").alias("source_key"), pl.all())
    for part in plans.ruleset.parts:
        for rule in part.fields:
            if rule.lens and rule.lens.name == "ref":
                ids = mapped.parts[part.name].select("source_key", pl.col(rule.to[0]).alias("id"))
                keys = source.select("source_key", pl.concat_str(rule.sources, separator="\x1f").alias("key"))
                joined = ids.join(keys, on="source_key").drop_nulls().select("id", "key").unique("id")
                known.setdefault(rule.lens.args[0].split(".")[0], []).append(joined)
    return Lookups({table: pl.concat(frames).unique("id") for table, frames in known.items()})
