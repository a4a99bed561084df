import polars as pl
import psycopg
import pytest

from banyan.config import SourceConfig
from banyan.errors import ConfigurationError, RowRefused, SourceDrifted, SourceUnavailable, StoreFenced
from banyan.ports import FenceKind, Incremental, LegacyFence, LegacyPort, WriteBack
from banyan.records import KEY_SEPARATOR, KeyRange
from connectors.open import open_fence, open_source
from connectors.postgresql import open_postgresql
from connectors.postgresql_connection import _explain_start, explain
from wire.cluster import Cluster, ClusterPlace, cluster_home
from wire.encoded import EncodedConnection

pytestmark = pytest.mark.server

TRAPS = [
    ("1", "00123/2019  ", "Gaëlle Œuvre", "12.50", "NaN", "infinity", "2019-03-31 02:30:00", "", "N", None),
    ("2", "            ", "", "0.00", "1.500", "0044-03-15 BC", "-infinity", "\\N", " ", None),
    ("3", None, "NULL", None, None, None, None, None, None, None),
    ("4", "é           ", "  deux  ", "-9999999999.99", "0.1234567890123456789", "10000-01-02",
     "12019-12-31 23:59:59", "a\r\n\"b\"\t\\.\n;", "O", "2020-02-29 00:00:00"),
    ("5", "\\.          ", "%s {} %", "7.00", "-0.0", "1583-02-28", "1999-01-01 00:00:00", "\u2028😀", "N", None),
]  # fmt: skip


def fill(legacy, rows=TRAPS):
    with legacy.connect() as connection:
        for row in rows:
            connection.execute(
                "insert into orion.t_dossier values (%s::numeric, %s::bpchar, %s::varchar, %s::numeric, %s::numeric, "
                "%s::date, %s::timestamp, %s::text, %s::bpchar, %s::timestamp)",
                row,
            )


def test_the_server_gathers_different_texts_as_rows_are_read(legacy, port):
    fill(legacy, [*TRAPS, ("6", "é", "NULL", "12.5", "1.50", None, None, None, None, None)])

    texts = port.find_texts("t_dossier", ("numero", "libelle"), at_most=100)
    read = port.read_range("t_dossier", KeyRange(None, None)).rows.select("numero", "libelle")

    assert sorted(texts.rows(), key=str) == sorted(set(read.rows()), key=str)
    assert port.find_texts("t_dossier", ("numero",), at_most=2).height == 2
    assert port.find_texts("t_dossier", ("numero",), at_most=100)["numero"].null_count() == 1


def test_some_columns_are_read_as_they_are_read_with_the_others(legacy, port):
    fill(legacy)
    whole = port.read_range("t_dossier", KeyRange("1", "4")).rows.sort("id_dossier")

    some = port.read_columns("t_dossier", KeyRange("1", "4"), ("montant", "libelle", "id_dossier"))

    assert some.rows.sort("id_dossier").equals(whole.select("id_dossier", "libelle", "montant"))
    assert (some.table, some.rows.height) == ("t_dossier", 3)
    assert port.read_range("t_dossier", KeyRange("1", "4")).rows.width == whole.width == 10


def test_columns_are_named_and_typed_in_the_order_of_the_source(port):
    columns = port.columns("t_dossier")

    assert [(column.name, column.type_name) for column in columns][:4] == [
        ("id_dossier", "numeric(10, 0)"),
        ("numero", "char(12)"),
        ("libelle", "varchar(40)"),
        ("montant", "numeric(12, 2)"),
    ]
    assert [column.is_nullable for column in columns][:2] == [False, True]
    assert port.key_columns("t_ligne") == ("id_dossier", "code", "rang")
    assert port.tables() == ["t_code", "t_dossier", "t_ligne", "t_vrac"]


def test_every_trap_value_is_read_as_its_exact_text(legacy, port):
    fill(legacy)

    batch = port.read_range("t_dossier", KeyRange(None, None))

    expected = [list(row) for row in TRAPS]
    expected[4][4] = "0.0"  # the server itself knows no negative zero
    assert batch.rows.schema == dict.fromkeys(batch.rows.columns, pl.String)
    assert [list(row) for row in batch.rows.sort("id_dossier").iter_rows()] == expected
    assert "2" in batch.low
    assert batch.table == "t_dossier"


def test_settings_of_the_reading_account_do_not_change_the_text(legacy):
    fill(legacy)
    legacy.run("alter role banyan_reader set datestyle = 'German'")
    legacy.run("alter role banyan_reader set timezone = 'Europe/Paris'")
    try:
        with legacy.port() as port:
            rows = port.read_keys("t_dossier", ["4"]).rows
    finally:
        legacy.run("alter role banyan_reader reset all")

    assert rows["ouvert"].to_list() == ["10000-01-02"]
    assert rows["saisi"].to_list() == ["12019-12-31 23:59:59"]


def test_an_empty_table_is_one_open_range_without_rows(port):
    assert port.plan_ranges("t_dossier", 10) == [KeyRange(None, None)]
    assert port.read_range("t_dossier", KeyRange(None, None)).rows.height == 0
    assert port.count("t_dossier") == 0


@pytest.mark.parametrize("rows_per_chunk", [1, 7, 100, 101])
def test_ranges_of_a_numeric_key_hold_every_row_once_in_chunks_of_the_size_asked(legacy, port, rows_per_chunk):
    legacy.run("insert into orion.t_dossier (id_dossier) select n * 3 from generate_series(-20, 79) n")

    ranges = port.plan_ranges("t_dossier", rows_per_chunk)
    read = [port.read_range("t_dossier", keys).rows["id_dossier"].to_list() for keys in ranges]

    assert sorted(int(key) for chunk in read for key in chunk) == [n * 3 for n in range(-20, 80)]
    assert {len(chunk) for chunk in read[:-1]} <= {rows_per_chunk}
    assert ranges[0].low is None
    assert ranges[-1].high is None


def test_a_row_added_above_the_last_key_falls_into_the_last_range(legacy, port):
    legacy.run("insert into orion.t_dossier (id_dossier) select generate_series(1, 10)")
    ranges = port.plan_ranges("t_dossier", 4)
    legacy.run("insert into orion.t_dossier (id_dossier) values (9999999)")

    last = port.read_range("t_dossier", ranges[-1]).rows["id_dossier"].to_list()

    assert last == ["9", "10", "9999999"]


def test_ranges_of_a_text_key_follow_the_bytes_of_the_key(legacy, port):
    keys = ["A", "a", "Z", "z", "é", "É", "0", "-", "_", "a b", "a-b", "ab"]
    for key in keys:
        legacy.run("insert into orion.t_code values (%s, null)", (key,))

    ranges = port.plan_ranges("t_code", 3)
    read = [port.read_range("t_code", keys).rows["code"].to_list() for keys in ranges]

    by_bytes = sorted(keys, key=str.encode)
    assert [keys.high for keys in ranges[:-1]] == [by_bytes[2], by_bytes[5], by_bytes[8], by_bytes[11]]
    assert [sorted(chunk, key=str.encode) for chunk in read] == [by_bytes[n : n + 3] for n in (0, 3, 6, 9)] + [[]]


def test_ranges_of_a_composite_key_with_padding_hold_every_row_once(legacy, port):
    legacy.run(
        "insert into orion.t_ligne select d, c, r, 'x' from generate_series(1, 5) d, "
        "unnest(array['A', 'AB', 'B', '']) c, generate_series(8, 11) r"
    )

    ranges = port.plan_ranges("t_ligne", 9)
    read = pl.concat([port.read_range("t_ligne", keys).rows for keys in ranges])

    assert read.height == 80
    assert read.select("id_dossier", "code", "rang").unique().height == 80
    assert ranges[0].high == KEY_SEPARATOR.join(["1", "AB  ", "8"])
    assert set(read["code"]) == {"A   ", "AB  ", "B   ", "    "}


def test_rows_are_read_by_key_and_absent_keys_have_no_row(legacy, port):
    legacy.run("insert into orion.t_ligne values (1, 'A', 1, 'un'), (1, 'A', 2, 'deux'), (2, 'A', 1, 'trois')")
    wanted = [KEY_SEPARATOR.join(parts) for parts in (["1", "A   ", "2"], ["2", "A   ", "1"], ["9", "A   ", "1"])]

    rows = port.read_keys("t_ligne", [*wanted, wanted[0]]).rows

    assert sorted(rows["texte"]) == ["deux", "trois"]
    assert port.read_keys("t_ligne", []).rows.height == 0


def test_no_transaction_stays_open_on_the_legacy_server(legacy, port):
    fill(legacy)

    port.read_range("t_dossier", KeyRange(None, None))
    port.plan_ranges("t_dossier", 2)
    port.columns("t_ligne")

    states = legacy.run(
        "select distinct state from pg_stat_activity where datname = current_database() and usename = 'banyan_reader'"
    )
    assert states == [("idle",)]


def test_a_table_without_a_key_is_read_by_its_pages_and_never_followed(legacy, port):
    legacy.run("insert into orion.t_vrac values ('a'), ('b')")

    assert port.plan_ranges("t_vrac", 2) == [KeyRange(None, None)]
    assert port.read_range("t_vrac", KeyRange(None, None)).rows["quoi"].to_list() == ["a", "b"]
    with pytest.raises(SourceDrifted, match="no primary key"):
        port.read_keys("t_vrac", ["a"])


def test_the_key_is_told_in_its_own_order_whatever_that_of_the_columns(legacy, port):
    legacy.run("create table orion.t_ordre (a int, b int, c text, primary key (c, a))")
    legacy.run("grant select on orion.t_ordre to banyan_reader")
    legacy.run("insert into orion.t_ordre values (1, 2, 'x')")

    assert port.key_columns("t_ordre") == ("c", "a")
    assert [column.name for column in port.columns("t_ordre")] == ["a", "b", "c"]
    assert port.read_keys("t_ordre", [f"x{KEY_SEPARATOR}1"]).rows["b"].to_list() == ["2"]


def test_a_table_is_known_over_one_connection(legacy):
    port = open_postgresql(legacy.url("banyan_reader"), "orion")

    assert port.key_columns("t_dossier")
    connections = legacy.run("select count(*) from pg_stat_activity where datname = current_database()"
                             " and usename = 'banyan_reader' and application_name = 'banyan'")  # fmt: skip
    port.close()

    assert connections == [(1,)]


def test_capabilities_say_what_is_installed_and_no_more(legacy, port):
    before = port.capabilities("t_dossier")
    port.install_capture(legacy.url(), ["t_dossier"])
    legacy.install_fence("t_dossier")

    after = port.capabilities("t_dossier")

    assert (before.incremental, before.fence.kind) == (Incremental.NONE, FenceKind.NONE)
    assert (after.incremental, after.fence.kind) == (Incremental.JOURNAL, FenceKind.ONLINE)
    assert after.write_back is WriteBack.SQL
    assert open_postgresql(legacy.url("banyan_reader"), "orion").capabilities("t_code").write_back is WriteBack.NONE


def test_a_missing_table_is_drift_and_a_dropped_column_too(legacy, port):
    with pytest.raises(SourceDrifted, match=r"no table orion\.t_absent"):
        port.columns("t_absent")
    port.columns("t_code")
    legacy.run("alter table orion.t_code drop column libelle")
    with pytest.raises(SourceDrifted, match="42703"):
        port.read_range("t_code", KeyRange(None, None))


def test_a_missing_right_is_a_configuration_error_with_the_command_to_run(legacy, port):
    legacy.run("revoke select on orion.t_code from banyan_reader")

    with pytest.raises(ConfigurationError, match="lacks a right") as caught:
        port.read_range("t_code", KeyRange(None, None))

    assert caught.value.hint == "banyan source grants"
    assert caught.value.facts["sqlstate"] == "42501"


def test_a_server_that_does_not_answer_is_transient():
    port = open_postgresql("postgresql://banyan_reader@127.0.0.1:1/orion", "orion")

    with pytest.raises(SourceUnavailable, match="does not answer") as caught:
        port.head()

    assert caught.value.transient
    assert caught.value.exit_code == 4


def test_an_unknown_account_or_database_is_a_configuration_error(legacy):
    for url in (legacy.url("nobody_here"), legacy.url("banyan_reader").rsplit("/", 1)[0] + "/absent"):
        with pytest.raises(ConfigurationError, match="refuses this account"):
            open_postgresql(url, "orion").head()


def test_a_wrong_password_is_a_configuration_error_and_is_not_repeated(tmp_path):
    server = Cluster(ClusterPlace(cluster_home(tmp_path, "guarded"))).start()
    try:
        right = server.url("postgres")
        wrong = right.set(password="no-such-password")
        open_postgresql(right.render_as_string(hide_password=False), "orion").head()
        with pytest.raises(ConfigurationError, match="refuses this account") as caught:
            open_postgresql(wrong.render_as_string(hide_password=False), "orion").head()
    finally:
        server.destroy()

    assert "no-such-password" not in f"{caught.value}{caught.value.hint}{caught.value.facts}"


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ('FATAL:  password authentication failed for user "banyan_reader"', ConfigurationError),
        ("FATAL:  authentification par mot de passe échouée pour l'utilisateur « banyan_reader »", ConfigurationError),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', ConfigurationError),
        ("FATAL:  the database system is starting up", SourceUnavailable),
        ("FATAL:  sorry, too many clients already", SourceUnavailable),
        ("could not translate host name", SourceUnavailable),
    ],
)
def test_a_refused_start_is_told_apart_from_a_server_that_is_away(sentence, kind):
    assert type(_explain_start(psycopg.OperationalError(sentence), "srv:5432/orion")) is kind


def test_a_server_stopped_under_a_port_is_transient_and_the_port_recovers(legacy, port):
    port.head()
    legacy.run(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'banyan_reader' "
        "and datname = current_database()"
    )

    assert port.head().startswith("{")


def test_an_error_never_repeats_a_value(legacy, port):
    with pytest.raises(SourceDrifted) as caught:
        port.read_keys("t_dossier", ["DURAND"])

    whole = f"{caught.value.message}{caught.value.hint}{caught.value.facts}{caught.value.__cause__}"
    assert "DURAND" not in whole
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.ObjectInUse(), StoreFenced),
        (psycopg.errors.LockNotAvailable(), SourceUnavailable),
        (psycopg.errors.SerializationFailure(), SourceUnavailable),
        (psycopg.errors.AdminShutdown(), SourceUnavailable),
        (psycopg.errors.UndefinedTable(), SourceDrifted),
        (psycopg.errors.StringDataRightTruncation(), RowRefused),
        (psycopg.errors.InsufficientPrivilege(), ConfigurationError),
        (psycopg.OperationalError(), SourceUnavailable),
    ],
)
def test_each_class_of_server_error_has_one_meaning(error, kind):
    assert type(explain(error, "reading rows")) is kind


def test_a_source_is_opened_from_its_configuration(legacy):
    source = SourceConfig(
        medium="postgresql",
        url=legacy.url("banyan_reader"),
        schema="orion",
        rules="rules",
        fence_url=legacy.url("banyan_guard"),
        admin_url=legacy.url(),
    )
    legacy.install_fence("t_dossier")

    port, fence = open_source(source), open_fence(source, "38.cases")

    assert isinstance(port, LegacyPort)
    assert isinstance(fence, LegacyFence)
    assert port.count("t_code") == 0
    assert fence.read().token == 0
    assert fence.probe("t_dossier") is False
    with pytest.raises(ConfigurationError, match="no port for the medium odbc yet"):
        open_source(source.model_copy(update={"medium": "odbc"}))


def test_a_remote_source_demands_a_verified_certificate_unless_its_url_says_otherwise(monkeypatch):
    asked = []

    def refuse(**arguments):
        asked.append(arguments)
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(EncodedConnection, "connect", refuse)
    for url in ("postgresql://r@legacy.example/orion", "postgresql://r@legacy.example/orion?sslmode=disable"):
        with pytest.raises(SourceUnavailable):
            open_postgresql(url, "orion").head()

    assert [arguments["sslmode"] for arguments in asked] == ["verify-full", "disable"]
