"""The full scan: what it finds on real servers, that it shows no value, and what the second one tells of the first."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from mariadbs import make_legacy as make_mariadb
from projects import make_project

from banyan.config import PROJECT_FILE
from cli.main import run
from cli.scan_differences import compare_scans
from cli.scan_page import find_first, say_duration

SECRET_NAMES = ("ZZDURANDAL", "ZZMARTINEAU")
RULES = (
    "project: p\ndepartments:\n  '48':\n    name: L\n    time_zone: Europe/Paris\n    domains: [cases]\n    sources:\n"
)


def scan(folder, capfd, *arguments, place="48"):
    capfd.readouterr()
    code = run(["-C", str(folder), "source", "scan", place, "--to", str(folder / "scans"), "--json", *arguments])
    out, err = capfd.readouterr()
    assert code == 0, out + err
    (told,) = json.loads(out)
    return told


def tables_of(told):
    return {table["table"]: table for table in told["tables"]}


def column(told, table, name):
    return next(one for one in tables_of(told)[table]["columns"] if one["name"] == name)


@pytest.fixture
def brigade(tmp_path):
    """A small base with everything that a scan looks for."""
    with closing(sqlite3.connect(tmp_path / "brigade.db")) as base, base:
        base.execute(
            "create table personne (id_pers integer primary key, nom text, sexe text, etat text, ddn text, dt_maj text)"
        )
        base.execute("create table implication (id integer primary key, id_pers integer, role text, religion text)")
        for number in range(1, 201):
            name = SECRET_NAMES[number % 2] + str(number)
            state = "clos" if number % 3 else "ouvert"
            state = "ZZUNIQUE" if number == 7 else state
            day = "31/02/1980" if number == 5 else "01/01/1970" if number < 5 else f"{number % 27 + 1:02d}/06/1985"
            base.execute(
                "insert into personne values (?, ?, ?, ?, ?, '2026-01-01')",
                (number, name, "HF"[number % 2], state, day),
            )
            base.execute(
                "insert into implication values (?, ?, 'MEC', null)", (number, number if number > 3 else number + 9000)
            )
        base.execute("update personne set nom = 'HÃ©lÃ¨ne' where id_pers in (8, 9)")
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "code_maps.yaml").write_text("code_maps: {}\n")
    (tmp_path / PROJECT_FILE).write_text(RULES + "      BUREAU: {medium: sqlite, url: brigade.db, rules: rules}\n")
    return tmp_path


def change(folder, *statements):
    with closing(sqlite3.connect(folder / "brigade.db")) as base, base:
        for statement in statements:
            base.execute(statement)


def test_a_scan_finds_orphans_encodings_codes_and_days_that_no_calendar_has(brigade, capfd):
    told = scan(brigade, capfd)

    assert tables_of(told)["implication"]["orphans"] == [{"column": "id_pers", "parent": "personne", "rows": 3}]
    assert column(told, "personne", "nom")["encoding"] == {"UTF-8 read as latin1": 2}
    assert column(told, "personne", "nom")["protection"] == "personal"
    assert column(told, "implication", "religion")["protection"] == "special"
    assert column(told, "personne", "ddn")["outliers"] == {"days that no calendar has": 1, "first of January": 4}
    assert column(told, "personne", "etat")["codes"] == {"clos": 133, "ouvert": 66}
    assert column(told, "personne", "etat")["codes_not_shown"] == 1
    assert told["window"]["rows"] == 400
    assert told["effort"]["parts"]["tables without a rule"]["count"] == 2


def test_triggers_views_and_declared_references_of_a_file_are_told_by_table(brigade, capfd):
    change(
        brigade,
        "create table affaire (numero text primary key, suivie integer references personne)",
        "create table cote (id integer primary key, affaire text references affaire (numero), a int, b int,"
        " foreign key (a, b) references implication (id, id_pers))",
        "insert into affaire values ('1', 4), ('2', 9999), ('3', null)",
        "create view mis_en_cause as select p.nom from personne p join implication i using (id_pers)",
        "create view tous as select * from mis_en_cause",
        "create view perdu as select * from absente",
        "create trigger maj after update on personne begin update personne set dt_maj = '' where id_pers = 0; end",
        "create trigger banyan_journal_insert_personne after insert on personne begin select 1; end",
    )

    told = scan(brigade, capfd)

    tables = tables_of(told)
    assert tables["personne"]["triggers"] == ["maj"]
    assert tables["personne"]["views"] == tables["implication"]["views"] == ["mis_en_cause", "tous"]
    assert tables["affaire"]["orphans"] == [{"column": "suivie", "parent": "personne", "rows": 1}]
    assert tables["cote"]["orphans"] == [{"column": "affaire", "parent": "affaire", "rows": 0}]
    assert told["encoding"] == "UTF-8"
    assert any("the view perdu names what is not there" in line for line in told["unseen"])
    assert not any("triggers" in line for line in told["unseen"])
    assert told["effort"]["parts"]["triggers, routines and views"]["count"] == 5


def test_bytes_of_another_encoding_are_counted_and_the_rest_of_the_column_is_looked_at(brigade, capfd):
    change(
        brigade,
        "update personne set nom = cast(x'47e9726172642031' as text) where id_pers in (11, 12)",
        "update personne set etat = cast(x'e9' as text) where id_pers between 21 and 40",
    )

    told = scan(brigade, capfd)

    assert column(told, "personne", "nom")["encoding"] == {
        "bytes that are no text of the encoding declared": 2, "UTF-8 read as latin1": 2
    }  # fmt: skip
    assert column(told, "personne", "nom")["filled"] == 200
    assert column(told, "personne", "etat")["encoding"] == {"bytes that are no text of the encoding declared": 20}
    assert set(column(told, "personne", "etat")["codes"]) == {"clos", "ouvert"}
    page = "".join(path.read_text() for path in brigade.rglob("*.html"))
    assert "bytes that are no text of the encoding declared" in page
    assert "47e9726172642031" not in page


def test_no_value_of_a_person_stands_in_the_page_the_document_or_on_the_screen(brigade, capfd):
    told = scan(brigade, capfd)
    assert run(["-C", str(brigade), "source", "scan", "48", "--to", str(brigade / "scans")]) == 0
    out, err = capfd.readouterr()

    written = [path.read_text() for path in (brigade / "scans").iterdir()]
    assert len(written) == 2
    for text in (out, err, json.dumps(told), *written):
        assert not re.search(r"ZZDURANDAL|ZZMARTINEAU|ZZUNIQUE|lÃ¨ne|1985|31/02", text)
    marks = b"".join(path.read_bytes() for path in (brigade / ".banyan" / "scans").rglob("*.parquet"))
    assert marks
    assert not any(name.encode() in marks for name in SECRET_NAMES)


def test_the_second_scan_tells_what_changed_without_a_stamp_and_which_keys_are_used_again(brigade, capfd):
    first = scan(brigade, capfd)
    assert tables_of(first)["personne"]["since_last_scan"] is None
    change(
        brigade,
        "update personne set etat = 'clos' where id_pers in (3, 6)",
        "update personne set etat = 'clos', dt_maj = '2026-02-02' where id_pers = 12",
        "delete from personne where id_pers in (20, 21)",
    )
    between = scan(brigade, capfd)
    change(brigade, "insert into personne (id_pers, nom) values (20, 'x'), (900, 'y')")

    last = scan(brigade, capfd)

    assert tables_of(between)["personne"]["since_last_scan"] == {
        "changed": 3, "changed_without_stamp": 2, "came": 0, "gone": 2, "keys_used_again": 0,
    }  # fmt: skip
    assert tables_of(last)["personne"]["since_last_scan"] == {
        "changed": 0, "changed_without_stamp": 0, "came": 2, "gone": 0, "keys_used_again": 1,
    }  # fmt: skip


def test_a_table_that_the_account_may_not_or_cannot_read_is_told_and_all_others_are_scanned(tmp_path, cluster, capfd):
    project = make_project(cluster, tmp_path / "project")
    project.ask(project.legacy, "create table orion.t_cachee (id int primary key, id_pers int)")
    project.ask(project.legacy, 'create table orion.t_taux (id int primary key, "taux_%" int)')

    told = scan(project.folder, capfd, place="38")
    counted = run(["-C", str(project.folder), "source", "scan", "38"])
    plain = capfd.readouterr().out
    page = next((project.folder / "scans").glob("*.html")).read_text()

    assert not {"t_cachee", "t_taux"} & set(tables_of(told))
    assert len(told["tables"]) == 40
    assert [line for line in told["unseen"] if "the account lacks a right on t_cachee" in line]
    assert [line for line in told["unseen"] if "t_taux has a percent sign in a name" in line]
    assert "the account lacks a right on t_cachee" in page
    assert counted == 0
    assert "not seen: rows of t_cachee: " in plain
    assert "not seen: rows of t_taux: orion.t_taux has a percent sign in a name" in plain


def test_the_page_says_first_what_a_project_lead_must_know_and_nothing_that_is_not_so(brigade, capfd):
    told = scan(brigade, capfd)

    first = find_first(told)
    page = next((brigade / "scans").glob("*.html")).read_text()

    assert [(sentence.partition(":")[0], names) for sentence, names in first] == [
        ("without a rule", ["implication", "personne"]),
        ("with rows without a parent", ["implication"]),
        ("with doubtful encodings", ["personne"]),
        ("with special data (LED art. 10)", ["implication"]),
        ("with personal data", ["personne"]),
    ]
    assert '<a href="#t2">personne</a>' in page
    assert "takes less than a minute" in page
    assert 'data-l="Who may write">not seen<' in page
    assert [say_duration(hours) for hours in (0, 0.05, 0.5, 2.26)] == [
        "less than a minute", "3 minutes", "30 minutes", "2.3 hours",
    ]  # fmt: skip


def test_a_scan_of_some_rows_says_so_and_compares_nothing(brigade, capfd):
    change(
        brigade, *(f"insert into personne (id_pers) select max(id_pers) + 1 from personne /* {n} */" for n in range(3))
    )
    many = "with recursive n(i) as (select 1000 union all select i + 1 from n where i < 41000) "
    change(brigade, many + "insert into personne (id_pers) select i from n")

    told = tables_of(scan(brigade, capfd, "--rows", "100"))

    assert not told["personne"]["is_whole"]
    assert told["personne"]["rows_read"] == 20_000
    assert told["personne"]["since_last_scan"] is None
    assert told["implication"]["orphans"] == [{"column": "id_pers", "parent": "personne", "rows": None}]


def test_two_scans_are_compared_line_by_line(brigade, capfd):
    scan(brigade, capfd)
    (document,) = (brigade / "scans").glob("*.json")
    month_ago = json.loads(document.read_text())
    month_ago["made_at"] = "2020-01-01T00:00:00+00:00"
    (brigade / "last.json").write_text(json.dumps(month_ago))
    change(
        brigade,
        "alter table implication add column tel text",
        "create table nouveau (id integer primary key)",
        "insert into implication (id) values (999)",
        "update personne set etat = 'jugé' where id_pers between 30 and 60",
    )

    told = scan(brigade, capfd, "--against", str(brigade / "last.json"))

    lines = [f"{one['table']}: {one['difference']}" for one in told["differences"]]
    assert "nouveau: a new table of 0 rows" in lines
    assert "implication: column tel: new, text" in lines
    assert "personne: column etat: new codes: jugé" in lines
    assert any(re.fullmatch(r"implication: 200 rows, now 201 \(\+1, \+0 a month\)", line) for line in lines)
    assert compare_scans(told, told) == []


def test_what_is_no_scan_is_refused_and_a_full_scan_is_asked_for_by_its_folder(brigade, capfd):
    (brigade / "other.json").write_text("{}")

    assert run(["-C", str(brigade), "source", "scan", "48", "--to", "x", "--against", str(brigade / "other.json")]) == 2
    assert "is no scan that can be read" in capfd.readouterr().err
    assert run(["-C", str(brigade), "source", "scan", "48", "--rows", "5"]) == 2
    assert not (brigade / "x").exists()


@pytest.mark.server
def test_a_scan_of_orion_says_who_connects_who_may_write_and_what_stands_around(fresh_project, capfd):
    fresh_project.ask(fresh_project.legacy, "revoke pg_read_all_stats from banyan_reader")
    fresh_project.ask(
        fresh_project.legacy,
        "create view orion.v_proc as select * from orion.t_proc;"
        " create function orion.f_compte() returns bigint language sql as 'select count(*) from orion.t_proc'",
    )

    told = scan(fresh_project.folder, capfd, place="38")

    table = tables_of(told)["t_proc"]
    assert "v_proc" in table["views"]
    assert "f_compte" in table["routines"]
    assert "orion_app" in table["writers"]
    assert table["activity"]["size_bytes"] > 0
    assert told["encoding"] == "UTF8"
    assert any("pg_read_all_stats" in line for line in told["unseen"])
    assert any(column["protection"] == "personal" and "canonical" in column["protection_known_by"]
               for column in tables_of(told)["t_personne"]["columns"])  # fmt: skip
    assert all(one["rows"] is not None for table in told["tables"] for one in table["orphans"])


@pytest.mark.mariadb
def test_a_scan_of_mariadb_sees_triggers_routines_events_and_writers(mariadb, tmp_path, capfd):
    place = make_mariadb(
        mariadb,
        "create table dossier (id int primary key, libelle varchar(20), dt_maj datetime)",
        "create table ligne (id int primary key, dossier int, foreign key (dossier) references dossier (id))",
        "insert into dossier values (1, 'a', now()), (2, 'b', now())",
        "insert into ligne values (1, 1), (2, null)",
        "create trigger tr before update on dossier for each row set new.dt_maj = now()",
        "create procedure p_compte() select count(*) from dossier",
        "create view v_dossier as select id from dossier",
        "create event ev_nuit on schedule every 1 day do delete from ligne where false",
    )
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "code_maps.yaml").write_text("code_maps: {}\n")
    source = f"{{medium: mariadb, url: '{place.url('root')}', schema: {place.schema}, rules: rules}}"
    (tmp_path / PROJECT_FILE).write_text(f"{RULES}      MAREL: {source}\n")

    with place.connect("marel_app"):
        told = scan(tmp_path, capfd)

    table = tables_of(told)["dossier"]
    assert (table["triggers"], table["routines"], table["views"]) == (["tr"], ["p_compte"], ["v_dossier"])
    assert any("marel_app" in name for name in table["writers"])
    assert [name for name, _ in told["jobs"]] == ["ev_nuit"]
    assert any(caller["account"] == "marel_app" for caller in told["callers"])
    assert tables_of(told)["ligne"]["orphans"] == [{"column": "dossier", "parent": "dossier", "rows": 0}]
    assert told["hidden"] == []

    reader = (tmp_path / PROJECT_FILE).read_text().replace(place.url("root"), place.url("banyan_reader"))
    (tmp_path / PROJECT_FILE).write_text(reader)
    less = scan(tmp_path, capfd)
    page = next((tmp_path / "scans").glob("*.html")).read_text()

    assert compare_scans(told, less) == [
        one for one in compare_scans(told, less) if not one["difference"].startswith(("trigger", "routine", "writer"))
    ]
    assert set(less["hidden"]) == {"writers", "triggers", "views", "routines", "jobs"}
    assert {line.partition(":")[0] for line in less["unseen"]} >= {
        "accounts that may write", "triggers", "views", "routines", "events",
    }  # fmt: skip
    assert page.count('data-l="Triggers, routines, views">not seen<') == 2
