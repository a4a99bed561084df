import polars as pl
import pymysql
import pytest

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable
from banyan.ports import LegacyPort
from banyan.records import KEY_SEPARATOR, KeyRange
from connectors.dialects_mariadb_rows import select_whole_rows
from connectors.mariadb import open_mariadb
from connectors.mariadb_connection import ask
from wire.cluster import ClusterPlace, cluster_home
from wire.mariadb import MariaDBServer

pytestmark = pytest.mark.mariadb

TRAPS = """create table traps (
  id int primary key, d date, dt datetime(3), ts timestamp(6) null, t time(2), y year, de decimal(38,10), fl float,
  db double, bu bigint unsigned, bi bit(9), b1 bit(1), b blob, bn binary(4), l varchar(20) character set latin1,
  x text, e enum('a','é'), s set('p','q'), z int(5) zerofill, u uuid, j json, ti tinyint(1), ch char(5), ip inet6,
  mo varchar(20) character set latin1)"""
ROWS = {
    "1": {
        "d": "0000-00-00", "dt": "0000-00-00 00:00:00.000", "ts": "0000-00-00 00:00:00.000000", "t": "800:00:01.50",
        "y": "0000", "de": "1234567890123456789012345678.0123456789", "fl": "0.1", "db": "0.1",
        "bu": "18446744073709551615", "bi": "100000001", "b1": "1", "b": "\\x00ff", "bn": "\\x61620000", "l": "é€Œ",
        "x": "a\0b\n'\"\\", "e": "é", "s": "p,q", "z": "00042", "u": "28ecba98-e634-11f1-a375-02fc00000001",
        "j": '{"a":1}', "ti": "2", "ch": "ab", "ip": "::1", "mo": "Ã©",
    },
    "2": {
        "d": "2019-00-00", "dt": "2019-02-31 10:11:12.345", "ts": "2024-10-27 00:30:00.123456", "t": "-00:00:01.00",
        "y": "2155", "de": "-0.0000000001", "fl": "16777216", "db": "1e300", "bu": "0", "bi": "0", "b1": "0",
        "b": "\\x", "bn": "\\x00000000", "l": "", "x": "", "e": "", "s": "", "z": "00000", "u": None, "j": None,
        "ti": "-128", "ch": "", "ip": "::", "mo": "\\N",
    },
    "3": {},
    "4": {
        "d": "9999-12-31", "dt": "0001-01-01 00:00:00.001", "ts": "2024-10-27 01:30:00.123456", "t": "838:59:59.99",
        "y": "1901", "de": "-9999999999999999999999999999.9999999999", "fl": "-1.5", "db": "0.30000000000000004",
        "bu": "9223372036854775808", "bi": "111111111", "b1": None, "b": "\\x5c2e0a", "bn": "\\xffffffff",
        "l": "\x81\x8d", "x": " \u2028😀\r\n\t%s {} \\. \\N NULL ", "e": "a", "s": "q", "z": "99999",
        "u": "00000000-0000-0000-0000-000000000000", "j": "[]", "ti": "127", "ch": "%", "ip": "ffff::", "mo": "NULL",
    },
}  # fmt: skip


@pytest.fixture
def traps(marel):
    marel.run(TRAPS)
    with marel.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set sql_mode = 'NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES', time_zone = '+00:00'")
        for key, row in ROWS.items():
            places = {name: "%s" for name in row}
            places |= {name: "unhex(substr(%s, 3))" for name in ("b", "bn") if name in row}
            places |= {name: "cast(conv(%s, 2, 10) as unsigned)" for name in ("bi", "b1") if name in row}
            listed = "".join(f", {name}" for name in row)
            values = "".join(f", {place}" for place in places.values())
            cursor.execute(f"insert into traps (id{listed}) values (%s{values})", (key, *row.values()))
    return marel


def expected(columns):
    return [{"id": key} | {name: row.get(name) for name in columns if name != "id"} for key, row in ROWS.items()]


def test_every_trap_value_is_read_as_its_exact_text_by_range_and_by_key(traps):
    with traps.port("log") as port:
        port.child_from_rows = 0
        by_range = port.read_range("traps", KeyRange(None, None)).rows.sort("id")
        by_key = port.read_keys("traps", ["1", "2", "3", "4", "5"]).rows.sort("id")

    assert by_range.schema == dict.fromkeys(by_range.columns, pl.String)
    assert by_range.to_dicts() == expected(by_range.columns)
    assert by_key.equals(by_range)


def test_the_rows_of_every_trap_are_cut_from_one_text_each(traps):
    with traps.port("log") as port:
        asked = select_whole_rows(port.shape("traps"), KeyRange(None, None))
        cut = [asked.cut(frame) for frame in port._child.read(port._query(asked.bound))]

    assert pl.concat(cut).sort("id").to_dicts() == expected(cut[0].columns)


def test_a_value_that_holds_the_separator_of_cells_is_read_as_it_is(marel):
    values = ["a\x1eb", "\x1e", "\x1e\x1e", "", None, "\x1d\n", "x" * 17]
    marel.run("create table s (id int primary key, v text, w text not null)")
    with marel.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("insert into s values (%s, %s, %s)", [(n, v, v or "") for n, v in enumerate(values)])

    with marel.port() as port:
        port.child_from_rows = 0
        rows = port.read_range("s", KeyRange(None, None)).rows.sort("id")

    assert rows.rows() == [(str(n), v, v or "") for n, v in enumerate(values)]


def test_texts_of_many_encodings_stand_in_one_row_as_they_are(marel):
    encodings = ("latin1", "latin2", "utf8mb3", "utf8mb4 collate utf8mb4_bin", "ucs2", "cp850", "ascii", "sjis")
    listed = ", ".join(f"c{n} varchar(9) character set {name}" for n, name in enumerate(encodings))
    marel.run(f"create table k (id int primary key, {listed})")
    texts = ["é€", "őŁ", "Œ’", "😀", "é\x1d", "ÉÇ", "abc", "ｱあ"]
    with marel.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"insert into k values (1{', %s' * len(texts)})", texts)

    with marel.port() as port:
        port.child_from_rows = 0
        rows = port.read_range("k", KeyRange(None, None)).rows

    assert rows.row(0) == ("1", *texts)


def test_a_row_longer_than_the_server_joins_is_read_cell_by_cell(marel):
    marel.run("create table w (id int primary key, a longtext, b longtext)")
    marel.run("insert into w select seq, repeat('a', 900000), repeat('é', 50000 * seq) from seq_1_to_4")
    marel.run("set global max_allowed_packet = 1048576")
    try:
        with marel.port() as port:
            port.child_from_rows = 0
            rows = port.read_range("w", KeyRange(None, None)).rows
    finally:
        marel.run("set global max_allowed_packet = 16777216")

    assert [(a, b) for a, b in rows.select("a", "b").iter_rows()] == [
        ("a" * 900_000, "é" * 50_000 * n) for n in range(1, 5)
    ]


def test_settings_of_the_server_and_of_the_account_do_not_change_the_text(traps):
    traps.run("set global time_zone = '+05:00'", "set global sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'")
    try:
        with traps.port("log") as port:
            port.child_from_rows = 0
            by_range = port.read_range("traps", KeyRange(None, None)).rows.sort("id")
            by_key = port.read_keys("traps", ["4", "1", "2", "3"]).rows.sort("id")
    finally:
        traps.run("set global time_zone = 'SYSTEM'", "set global sql_mode = 'NO_ENGINE_SUBSTITUTION'")

    assert by_range.to_dicts() == expected(by_range.columns)
    assert by_key.equals(by_range)


def test_two_floats_that_print_alike_are_told_apart(marel):
    marel.run("create table f (id int primary key, v float)", "insert into f values (1, 16777216), (2, 16777215)")

    with marel.port() as port:
        read = port.read_keys("f", ["1", "2"]).rows

    assert dict(read.iter_rows()) == {"1": "16777216", "2": "16777215"}


def test_columns_are_named_and_typed_in_the_order_of_the_source(marel):
    with marel.port() as port:
        columns = port.columns("dossier")

        assert isinstance(port, LegacyPort)
        assert [(column.name, column.type_name) for column in columns][:4] == [
            ("id", "int(10) unsigned"),
            ("numero", "char(12)"),
            ("libelle", "varchar(40)"),
            ("montant", "decimal(12,2)"),
        ]
        assert [column.is_nullable for column in columns][:2] == [False, True]
        assert port.key_columns("ligne") == ("id", "code", "rang")
        assert port.tables() == ["chef", "code", "dossier", "ligne", "personne", "vieux", "vrac"]


def test_a_unique_index_without_empty_values_is_a_key(marel):
    marel.run(
        "create table u (a int null unique, b varchar(9) not null, c int not null, unique key (b, c))",
        "create table p (b varchar(90) not null, unique key (b(5)))",
    )

    with marel.port() as port:
        assert port.key_columns("u") == ("b", "c")
        assert port.key_columns("p") == ()


@pytest.mark.parametrize("rows_per_chunk", [7, 100, 101])
def test_ranges_of_a_numeric_key_hold_every_row_once_in_chunks_of_the_size_asked(marel, rows_per_chunk):
    marel.run("insert into dossier (id) select seq * 3 from seq_1_to_100")

    with marel.port() as port:
        ranges = port.plan_ranges("dossier", rows_per_chunk)
        read = [port.read_range("dossier", keys).rows["id"].to_list() for keys in ranges]

    assert sorted(int(key) for chunk in read for key in chunk) == [n * 3 for n in range(1, 101)]
    assert {len(chunk) for chunk in read[:-1]} <= {rows_per_chunk}
    assert (ranges[0].low, ranges[-1].high) == (None, None)


def test_ranges_of_a_composite_key_hold_every_row_once_and_use_the_index(marel):
    marel.run(
        "insert into ligne select a.seq, c.c, r.seq, 'x' from seq_1_to_5 a, (select 'A' c union select 'AB' union "
        "select 'é' union select '') c, seq_8_to_11 r"
    )

    with marel.port() as port:
        port.child_from_rows = 0
        ranges = port.plan_ranges("ligne", 9)
        read = pl.concat([port.read_range("ligne", keys).rows for keys in ranges])

    assert read.height == 80
    assert set(read["code"]) == {"A", "AB", "é", ""}
    assert read.select("id", "code", "rang").unique().height == 80
    assert ranges[0].high == KEY_SEPARATOR.join(["1", "AB", "8"])


ODD_KEYS = {
    "float": ("float", "seq / 10"),
    "double": ("double", "seq / 3 + 0.1e0"),
    "uuid": ("uuid", "concat(substr(md5(seq), 1, 8), '-e634-11f1-a375-', substr(md5(seq), 9, 12))"),
    "inet6": ("inet6", "concat('fe80::', hex(seq))"),
    "inet4": ("inet4", "concat('10.0.', seq % 7, '.', seq)"),
    "binary": ("binary(4)", "unhex(lpad(hex(seq * 7919), 8, '0'))"),
    "varbinary": ("varbinary(9)", "unhex(substr(md5(seq), 1, 2 * (1 + seq % 9)))"),
    "bit": ("bit(12)", "seq * 31"),
    "enum": (f"enum({', '.join(repr(f'{n * 37 % 101}é') for n in range(1, 101))})", "seq"),
    "timestamp": ("timestamp", "from_unixtime(1700000000 + seq * 977)"),
    "float and text": ("float", "(seq % 9) / 10"),
}
"""How each kind of key is declared, and the value of the row of a number from 1 to 100."""


@pytest.mark.parametrize("kind", ODD_KEYS)
def test_ranges_of_an_odd_key_hold_every_row_once_and_each_row_is_found_by_its_key(marel, kind):
    declared, value = ODD_KEYS[kind]
    key = "k, n" if " and " in kind else "k"
    marel.run(
        f"create table odd (k {declared} not null, n varchar(9) not null, primary key ({key}))",
        f"insert ignore into odd select {value}, seq from seq_1_to_100",
    )

    with marel.port() as port:
        rows = port.count("odd")
        ranges = port.plan_ranges("odd", 9)
        read = [port.read_range("odd", keys).rows for keys in ranges]
        port.child_from_rows = 0
        in_child = [port.read_range("odd", keys).rows.height for keys in ranges]
        whole = pl.concat(read)
        names = whole.select(pl.concat_str(key.split(", "), separator=KEY_SEPARATOR)).to_series().to_list()
        found = port.read_keys("odd", names).rows
        cut = port.find_cut("odd", ranges[1], 4)
        half = port.read_range("odd", KeyRange(ranges[1].low, cut)).rows.height

    assert rows > 60
    assert (whole.height, whole["n"].n_unique(), len(set(names))) == (rows, rows, rows)
    assert {chunk.height for chunk in read[:-1]} == {9}
    assert in_child == [chunk.height for chunk in read]
    assert sorted(found["n"]) == sorted(whole["n"])
    assert half == 4


def test_ranges_of_a_text_key_follow_the_order_of_its_index(marel):
    keys = ["A", "b", "Z", "zz", "é", "0", "-", "_", "a b", "a-b", "ab"]
    marel.run(*(f"insert into code values ('{key}', null)" for key in keys))

    with marel.port() as port:
        ranges = port.plan_ranges("code", 3)
        read = [port.read_range("code", found).rows["code"].to_list() for found in ranges]

    assert sorted(key for chunk in read for key in chunk) == sorted(keys)
    assert [len(chunk) for chunk in read] == [3, 3, 3, 2]


def test_a_key_that_only_compares_equal_is_not_the_key_asked_for(marel):
    marel.run("insert into code values ('ABC', 'x')")

    with marel.port() as port:
        assert port.read_keys("code", ["abc", "ABC "]).rows.height == 0
        assert port.read_keys("code", ["ABC", "abc"]).rows["libelle"].to_list() == ["x"]
        assert port.read_keys("code", []).rows.height == 0


def test_many_keys_are_read_in_short_statements(marel):
    marel.run("insert into dossier (id) select seq from seq_1_to_3000")

    with marel.port() as port:
        read = port.read_keys("dossier", [str(n) for n in range(500, 4000)]).rows

    assert read.height == 2501


def test_an_empty_table_and_one_without_a_key_are_one_open_range(marel):
    with marel.port() as port:
        assert port.plan_ranges("dossier", 10) == [KeyRange(None, None)]
        assert port.read_range("dossier", KeyRange(None, None)).rows.height == 0
        marel.run("insert into vrac values ('a'), (null)")
        assert port.count("vrac") == 2
        assert port.plan_ranges("vrac", 2) == [KeyRange(None, None)]
        assert port.read_range("vrac", KeyRange(None, None)).rows["quoi"].to_list() == ["a", None]
        with pytest.raises(SourceDrifted, match="no primary key"):
            port.plan_ranges("vrac", 1)
        with pytest.raises(SourceDrifted, match="no primary key"):
            port.read_keys("vrac", ["a"])


def test_a_missing_table_is_drift_and_a_dropped_column_too(marel):
    with marel.port() as port:
        with pytest.raises(SourceDrifted, match=r"there is no table marel_\d+\.absent"):
            port.columns("absent")
        port.columns("code")
        marel.run("alter table code drop column libelle")
        with pytest.raises(SourceDrifted, match="1054"):
            port.read_keys("code", ["a"])


def test_the_server_gathers_different_texts_by_their_bytes_as_rows_are_read(marel):
    marel.run(
        "create table codes (id int primary key, c varchar(5) character set latin1, e enum('m','f'), n int)",
        "insert into codes values (1, 'a', 'm', 1), (2, 'A', 'm', 1), (3, 'é', 'f', 2), (4, 'e', 'f', 2),"
        " (5, 'a', 'm', 1), (6, null, null, null), (7, 'a ', 'm', 1)",
    )
    with marel.port() as port:
        texts = port.find_texts("codes", ("c",), at_most=100)["c"].to_list()
        pairs = port.find_texts("codes", ("e", "n"), at_most=100).rows()
        few = port.find_texts("codes", ("c",), at_most=3)
        read = port.read_range("codes", KeyRange(None, None)).rows

    assert sorted(texts, key=str) == sorted({*read["c"].to_list()}, key=str)
    assert len(texts) == 6
    assert sorted(pairs, key=str) == [("f", "2"), ("m", "1"), (None, None)]
    assert few.height == 3


def test_an_error_never_repeats_a_value_or_a_secret(marel):
    marel.run("create table k (id date primary key)")
    with marel.port() as port, pytest.raises(ConfigurationError) as refused:
        wrong = marel.url("banyan_reader").replace("banyan_reader@", "banyan_reader:hunter2@")
        open_mariadb(wrong, marel.schema).head()
        assert port.read_keys("k", ["DURAND"]).rows.height == 0

    whole = f"{refused.value.message}{refused.value.hint}{refused.value.facts}"
    assert "refuses this account" in whole
    assert "hunter2" not in whole
    assert refused.value.__suppress_context__


def test_a_server_that_does_not_answer_is_transient():
    with pytest.raises(SourceUnavailable, match="does not answer") as caught:
        open_mariadb("mariadb://banyan_reader@127.0.0.1:1/x", "x").head()

    assert caught.value.transient


def test_a_missing_right_is_a_configuration_error_with_the_command_to_run(marel):
    marel.run(f"revoke select on {marel.schema}.* from banyan_reader@'%'", "flush privileges")

    with marel.port() as port, pytest.raises((ConfigurationError, SourceDrifted)) as caught:
        port.count("dossier")

    assert caught.value.exit_code in (2, 3)


def test_the_reader_works_again_after_its_child_was_killed(marel):
    marel.run("insert into dossier (id) values (1)")
    with marel.port() as port:
        port.child_from_rows = 0
        port.read_range("dossier", KeyRange(None, None))
        process = port._child._process
        process.kill()
        process.wait()

        assert port.read_range("dossier", KeyRange(None, None)).rows.height == 1


def test_an_embedded_server_demands_its_password_and_keeps_its_rows_over_a_crash(tmp_path):
    server = MariaDBServer(ClusterPlace(cluster_home(tmp_path, "kept"))).start()
    try:
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(host="127.0.0.1", port=server.port, user="root")
        with pymysql.connect(**own_arguments(server)) as connection:
            ask(connection, "create database kept")
            ask(connection, "create table kept.t (id int primary key)")
            ask(connection, "insert into kept.t values (7)")
            connection.commit()
        server.kill()
        was_running = server.is_running
        server.start()
        with pymysql.connect(**own_arguments(server)) as connection:
            rows = ask(connection, "select id from kept.t")
        wrong = server.url("kept").set(password="no-such-password").render_as_string(hide_password=False)
        with pytest.raises(ConfigurationError, match="refuses this account") as caught:
            open_mariadb(wrong, "kept").head()
    finally:
        server.destroy()

    assert (was_running, list(rows)) == (False, [(7,)])
    assert not server.place.home.exists()
    assert "no-such-password" not in f"{caught.value}{caught.value.hint}{caught.value.facts}"


def own_arguments(server):
    return {"host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password("root")}
