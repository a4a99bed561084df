import json
import re

import pytest

pytestmark = pytest.mark.server


def told(project, capfd, *arguments):
    capfd.readouterr()
    assert project.banyan("source", *arguments, "--json") == 0
    return json.loads(capfd.readouterr().out)


def catalogue(project):
    """Everything banyan could leave in a legacy database: triggers, functions, schema, rights."""
    return project.ask(
        project.legacy,
        "select 'trigger', tgrelid::regclass::text, tgname::text from pg_trigger where tgname like '%banyan%'"
        " union all select 'function', proname::text, '' from pg_proc p join pg_namespace n on n.oid = pronamespace"
        "   where nspname = 'banyan'"
        " union all select 'table', relname::text, relacl::text from pg_class c join pg_namespace n"
        "   on n.oid = relnamespace where nspname = 'orion' and relkind in ('r', 'S')"
        " union all select 'schema', nspname::text, nspacl::text from pg_namespace where nspname in ('orion', 'banyan')"
        " order by 1, 2, 3",
    )


def test_a_scan_counts_every_table_and_knows_its_rule(fresh_project, capfd):
    fresh_project.ask(fresh_project.legacy, "create table orion.t_sans_regle (id int primary key)")
    fresh_project.ask(fresh_project.legacy, "grant select on orion.t_sans_regle to banyan_reader")

    found = {one["table"]: one for one in told(fresh_project, capfd, "scan", "38")}

    assert found["t_proc"]["rule"] == "T_PROC@1"
    assert found["t_sans_regle"]["rule"] is None
    for name in ("t_proc", "t_piece", "r_unite"):
        assert fresh_project.ask(fresh_project.legacy, f"select count(*) from orion.{name}") == [(found[name]["rows"],)]
    assert found["t_proc"]["missing"] == found["t_proc"]["unknown"] == []


def test_capabilities_are_what_is_there_and_grow_with_the_installation(fresh_project, capfd):
    (before,) = told(fresh_project, capfd, "capabilities", "38.ORION.t_proc")
    assert (before["changes by"], before["fence"]) == ("none", "none")

    assert fresh_project.banyan("load", "38") == 0

    (after,) = told(fresh_project, capfd, "capabilities", "38.ORION.t_proc")
    assert (after["changes by"], after["fence"]) == ("journal", "online")


def test_the_list_opens_nothing(fresh_project, capfd):
    fresh_project.write(f":{fresh_project.port}/", ":1/")

    (one,) = told(fresh_project, capfd, "list")

    assert (one["dept"], one["system"], one["medium"]) == ("38", "ORION", "postgresql")


def test_what_a_rung_grants_is_undone_to_the_last_right(fresh_project, capfd):
    fresh_project.ask(fresh_project.legacy, "revoke usage on schema orion from banyan_reverse")  # no rung granted yet
    told_before = catalogue(fresh_project)
    plans = {plan["rung"]: plan for plan in told(fresh_project, capfd, "grants", "38.ORION")}
    own = ("create role", "drop role", "--")  # the roles are shared by the databases of this server

    for rung in ("R3", "R4"):
        for line in plans[rung]["grant"]:
            if not line.startswith(own) and "lock_timeout" not in line:
                fresh_project.ask(fresh_project.legacy, line.replace(":", "\\:"))
    capabilities = told(fresh_project, capfd, "capabilities", "38.ORION.t_fait")
    for rung in ("R4", "R3"):
        for line in plans[rung]["undo"]:
            if not line.startswith(own):
                fresh_project.ask(fresh_project.legacy, line)

    assert capabilities[0]["fence"] == "online"
    assert capabilities[0]["changes by"] == "journal"
    assert without_default_rights(catalogue(fresh_project)) == without_default_rights(told_before)


def without_default_rights(rows):
    """A right of the owner alone is written as nothing at first, and spelled out once another came and went."""
    return [
        (kind, name, ",".join(sorted(part for part in (detail or "").strip("{}").split(",") if "banyan_" in part)))
        if kind in ("table", "schema")
        else (kind, name, detail)
        for kind, name, detail in rows
    ]


def test_the_sql_of_a_rung_is_printed_with_its_undo_as_comments(fresh_project, capfd):
    capfd.readouterr()

    assert fresh_project.banyan("source", "grants", "38", "--level", "r1") == 0

    shown = capfd.readouterr().out
    assert re.search(r'^grant select on .*"orion"."t_adresse".* to banyan_reader;$', shown, re.MULTILINE)
    assert re.search(r'^-- revoke select on .*"orion"."t_adresse".* from "banyan_reader";$', shown, re.MULTILINE)
    assert fresh_project.banyan("source", "grants", "38", "--level", "R9") == 2


def test_the_rung_without_rights_grants_nothing_and_says_what_to_hand_over(fresh_project, capfd):
    (plan,) = told(fresh_project, capfd, "grants", "38", "--level", "R0")

    assert all(line.startswith("--") for line in (*plan["grant"], *plan["undo"]))
    assert "t_proc" in plan["grant"][0]


def test_each_printed_statement_ends_before_the_remark_behind_it(fresh_project, capfd):
    capfd.readouterr()
    assert fresh_project.banyan("source", "grants", "38", "--level", "R3") == 0

    grant, undo = capfd.readouterr().out.split("-- UNDO")

    assert "  elsif tg_op = 'UPDATE' then\n    -- a changed key" in grant
    assert "then null; end $$;   -- it stays while another rung needs it" in undo
