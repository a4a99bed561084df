"""Retention before load: what is past its term is never loaded, by a named rule; who comes back into a case returns."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from worlds import ORION, RULES, World

from estate.schema import key_column
from mappings.retention import OffenceClass, RetentionDates, RetentionDecision, Role, prolonged, retention_until
from mappings.retention_facts import FactReader
from mappings.retention_sources import load_retention_sources
from sync.forward import ForwardLane
from sync.retention import judge_source, remember_terms

pytestmark = pytest.mark.server
TODAY = date(2026, 11, 1)
ROLES = {"MEC": "SUSPECT", "VIC": "VICTIM", "TEM": "WITNESS", "PLA": "COMPLAINANT", "DIS": "MISSING",
         "CRE": "CIVILLY_LIABLE"}  # fmt: skip
GRAVE, MINOR = {"5171", "6231"}, {"180", "1247", "22548", "23761"}


def judging(world: World) -> ForwardLane:
    """Judge the legacy system, remember it, and give the lane that loads by it."""
    sources = load_retention_sources(RULES, world.book)
    setting = replace(world.setting("banyan_forward"), retention=sources)
    remember_terms(
        setting,
        sources,
        judge_source(world.port, FactReader(sources, world.book, setting.context()), as_of=TODAY).terms,
    )
    return ForwardLane(setting, world.landing)


def load(world: World, lane: ForwardLane):
    return world.forward_engine().load(lane, lane.plan_load, rules_digest=world.book.digest)


def day_of(text: str | None) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except (TypeError, ValueError):
        return None


def by_hand(world: World) -> dict[str, tuple[RetentionDecision, bool]]:
    """Say of each live involvement until when it may be kept and whether that is past, in plain Python."""
    cases = {row[0]: row[1:] for row in world.on_legacy(
        "select id_proc::text, dt_ouv::text, dt_trans::text, trim(statut) from orion.t_proc where top_supp = 'N'"
    )}  # fmt: skip
    natinf: dict[str, set[str]] = {}
    for case, code in world.on_legacy("select id_proc::text, trim(natinf) from orion.t_fait where top_supp = 'N'"):
        natinf.setdefault(case, set()).add(code)
    told, of_person = {}, {}
    for key, person, case, role, minor in world.on_legacy(
        "select id_implic::text, id_pers::text, id_proc::text, trim(qualite), trim(mineur) from orion.t_implic"
        " where top_supp = 'N' order by id_implic"
    ):
        opened, sent, status = cases.get(case, (None, None, "E"))
        codes = natinf.get(case, set())
        classes = [
            OffenceClass.LISTED_GRAVE if one in GRAVE else
            OffenceClass.LISTED_MINOR if one in MINOR else OffenceClass.ORDINARY for one in codes
        ] or [OffenceClass.ORDINARY]  # fmt: skip
        dates = RetentionDates(day_of(opened), day_of(sent))
        known = minor in ("O", "N") or ROLES[role] not in ("SUSPECT",)
        decision = RetentionDecision(None, None)
        if known:
            decision = retention_until(
                Role(ROLES[role]), minor=minor == "O", dates=dates,
                offence_class=max(classes, key=lambda one: one.value),
            )  # fmt: skip
        told[key] = [decision, status == "E"]
        if role == "MEC":
            of_person.setdefault(person, []).append((key, dates.recorded_on))
    for dated in of_person.values():
        for (key, _), longer in zip(dated, prolonged([(day, told[key][0]) for key, day in dated]), strict=True):
            told[key][0] = longer
    return {
        key: (decision, not is_open and decision.until is not None and decision.until < TODAY)
        for key, (decision, is_open) in told.items()
    }


def filtered_by(world: World, table: str) -> dict[str, str]:
    return dict(world.place.run(
        "select f.source_key, f.rule from mig.filtered_row f join mig.source_table t using (source_table_no)"
        " where t.table_name = %s", (table,)
    ))  # fmt: skip


def loaded_keys(world: World, table: str) -> set[str]:
    return {row[0] for row in world.place.run(
        "select c.source_key from mig.crosswalk c join mig.source_table t using (source_table_no)"
        " where t.table_name = %s and c.deleted_at is null", (table,)
    )}  # fmt: skip


def test_no_row_past_its_term_is_loaded_and_each_kept_one_says_until_when(world):
    expected = by_hand(world)

    load(world, judging(world))

    past = {key for key, (_, is_past) in expected.items() if is_past}
    kept_out = filtered_by(world, "t_implic")
    assert len(past) > 50
    assert past <= set(kept_out)
    assert past & loaded_keys(world, "t_implic") == set()
    assert {key for key, rule in kept_out.items() if rule == "retention_expired"} <= past
    stored = world.place.run(
        "select c.source_key, p.retention_until, p.retention_rule_code from justice.participation p"
        " join mig.crosswalk c on c.id = p.id and c.department_code = p.department_code"
    )
    assert len(stored) > 50
    assert {key: (until, rule) for key, until, rule in stored} == {
        key: (expected[key][0].until, expected[key][0].rule_code) for key, _, _ in stored
    }


def test_a_person_of_whom_no_role_is_left_is_not_loaded_nor_is_what_belongs_to_it(world):
    load(world, judging(world))

    gone = {key for key, rule in filtered_by(world, "t_personne").items() if rule == "no_role_left"}
    assert len(gone) > 50
    assert gone & loaded_keys(world, "t_personne") == set()
    participations = world.place.run("select count(*) from justice.participation p where not exists (select from"
                                     " justice.person_identity i where i.id = p.person_identity_id)")  # fmt: skip
    orphans = world.on_legacy(
        "select count(*) from orion.t_implic i where top_supp = 'N' and not exists (select from orion.t_personne p"
        " where p.id_pers = i.id_pers and p.top_supp = 'N')"
    )
    assert participations[0][0] <= orphans[0][0]
    followed = set(filtered_by(world, "t_adresse").values()) | set(filtered_by(world, "t_tel").values())
    assert followed == {"person_filtered"}


def test_a_person_who_comes_back_into_a_case_returns_whole_at_the_next_run(world):
    lane = judging(world)
    load(world, lane)
    gone = sorted(key for key, rule in filtered_by(world, "t_personne").items() if rule == "no_role_left")
    past = {
        row[0] for row in world.on_legacy(
            "select id_implic::text from orion.t_implic where id_pers = %s and top_supp = 'N'", (gone[0],)
        )
    }  # fmt: skip
    ((case,),) = world.on_legacy("select id_proc from orion.t_proc where statut = 'E' and top_supp = 'N' limit 1")
    world.on_legacy(
        "insert into orion.t_implic (id_implic, id_pers, id_proc, qualite, no_ordre, mineur, plainte, dt_plainte,"
        " top_supp) values (nextval('orion.seq_implic'), %s, %s, 'MEC', 1, 'N', 'N', 0, 'N')", (gone[0], case)
    )  # fmt: skip

    result = world.forward_engine().advance(lane)

    ((theirs,),) = world.on_legacy(
        "select (select count(*) from orion.t_adresse where id_pers = %(p)s)"
        " + (select count(*) from orion.t_tel where id_pers = %(p)s)"
        " + (select count(*) from orion.t_implic where id_pers = %(p)s)",
        {"p": gone[0]},
    )
    assert result.total.rows.read <= 3 * theirs + 3  # that person's rows, and nobody else's
    assert gone[0] in loaded_keys(world, "t_personne")
    in_kept_cases = past - {key for key, rule in filtered_by(world, "t_implic").items() if rule == "case_filtered"}
    assert in_kept_cases <= loaded_keys(world, "t_implic")
    assert len(loaded_keys(world, "t_implic") - past) > 0
    assert gone[1] not in loaded_keys(world, "t_personne")
    assert world.forward_engine().advance(lane) is None


def test_whoever_is_in_a_case_that_people_change_is_readmitted(world):
    lane = judging(world)
    load(world, lane)
    past = filtered_by(world, "t_implic")
    key = next(key for key, rule in sorted(past.items()) if rule == "retention_expired")
    ((case,),) = world.on_legacy("select id_proc::text from orion.t_implic where id_implic = %s", (key,))
    world.on_legacy("update orion.t_proc set observ = 'repris' where id_proc = %s", (case,))

    world.forward_engine().advance(lane)

    assert key in loaded_keys(world, "t_implic")


def test_judging_changes_nothing_on_either_side(world):
    sources = load_retention_sources(RULES, world.book)
    setting = replace(world.setting("banyan_forward"), retention=sources)
    before = world.on_legacy("select count(*), max(dt_maj) from orion.t_implic")

    judged = judge_source(
        world.port, FactReader(sources, world.book, setting.context()), as_of=TODAY + timedelta(days=1)
    )

    assert judged.archives["participations"].sum() == judged.terms.participations["is_expired"].sum() > 0
    assert all(one.table == "t_suite" for one in judged.unapplied)
    assert world.on_legacy("select count(*), max(dt_maj) from orion.t_implic") == before
    assert world.place.run("select count(*) from mig.retention_term") == [(0,)]


def test_the_register_holds_keys_and_days_and_no_value_of_a_row(world):
    judging(world)

    rows = world.place.run("select * from mig.retention_term")
    keys = {
        table: {row[0] for row in world.on_legacy(f"select {key_column(table)}::text from orion.{table}")}
        for table in ("t_implic", "t_personne", "t_proc")
    }
    orphans = {row[0] for row in world.on_legacy("select id_pers::text from orion.t_implic union"
                                                 " select id_proc::text from orion.t_implic")}  # fmt: skip
    assert rows
    for department, _, key, _, rule, _, person, case, judged_on in rows:
        assert department == ORION.department_code
        assert key in keys["t_implic"] | keys["t_personne"] | orphans
        assert person in keys["t_personne"] | orphans
        assert case is None or case in keys["t_proc"] | orphans
        assert rule is None or rule.replace("-", "").isalnum()
        assert judged_on == TODAY
