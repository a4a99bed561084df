"""The values that lie when they are read carelessly: what each source can hold of them, and what must arrive."""

from dataclasses import dataclass

from mappings.model import LensCall

REFUSED = object()
"""The lens refuses the cell: it goes to quarantine with its raw text."""


@dataclass(frozen=True)
class Held:
    """One value in one make: the type of its column, the literal that stores it, the raw text that must arrive."""

    kind: str
    literal: str
    raw: str | None


@dataclass(frozen=True)
class Meaning:
    """What a lens makes of the raw text: a canonical value written as text, or REFUSED."""

    lens: str
    column: str
    value: object
    arguments: tuple = ()

    @property
    def call(self) -> LensCall:
        return LensCall(self.lens, self.arguments)


@dataclass(frozen=True)
class Trap:
    """One value, where it can stand, and what a lens makes of it."""

    name: str
    postgresql: Held | None = None
    mariadb: Held | None = None
    sqlite: Held | None = None
    meaning: Meaning | None = None

    def held(self, make: str) -> Held | None:
        return getattr(self, make)


def day(value):
    return Meaning("date.iso", "opened_on", value)


def written(value):
    return Meaning("text.trimmed", "description", value)


def number(value):
    return Meaning("number.decimal", "quantity", value, (45,))


def same(kind, literal, raw):
    return {make: Held(kind, literal, raw) for make in ("postgresql", "mariadb", "sqlite")}


LONG = "é" * 40_000
"""Longer than the room of the child that reads in bulk: it refuses, and the text is read the slow way."""
TRAPS = (
    Trap("a day without end", postgresql=Held("date", "'infinity'", "infinity"), meaning=day(REFUSED)),
    Trap("a day before all days", postgresql=Held("date", "'-infinity'", "-infinity"), meaning=day(REFUSED)),
    Trap("an instant without end", postgresql=Held("timestamp", "'infinity'", "infinity")),
    Trap("a day before Christ", postgresql=Held("date", "'0044-03-15 BC'", "0044-03-15 BC"), meaning=day(REFUSED)),
    Trap("an instant before Christ", postgresql=Held("timestamp", "'0044-03-15 10:00 BC'", "0044-03-15 10:00:00 BC")),
    Trap("the year 10000", postgresql=Held("date", "'10000-11-21'", "10000-11-21"), meaning=day(REFUSED)),
    Trap("an instant of the year 10000", postgresql=Held("timestamp", "'10000-11-21 1:00'", "10000-11-21 01:00:00")),
    Trap("the first day", **same("date", "'0001-01-01'", "0001-01-01")),
    Trap("the last day of four digits", **same("date", "'9999-12-31'", "9999-12-31")),
    Trap("no number", postgresql=Held("numeric", "'NaN'", "NaN"), meaning=number(REFUSED)),
    Trap(
        "26 digits and 12 decimals",
        postgresql=Held(
            "numeric(38,12)", "12345678901234567890123456.123456789012", "12345678901234567890123456.123456789012"
        ),
        meaning=number(REFUSED),
    ),
    Trap(
        "28 digits and 10 decimals",
        mariadb=Held("decimal(38,10)", "1234567890123456789012345678.0123456789",
                     "1234567890123456789012345678.0123456789"),
        meaning=number(REFUSED),
    ),
    Trap("19 decimals of no declared scale",
         postgresql=Held("numeric", "0.1234567890123456789", "0.1234567890123456789")),
    Trap("the zeros of a scale", postgresql=Held("numeric(12,2)", "12.30", "12.30"),
         mariadb=Held("decimal(12,2)", "12.30", "12.30")),
    Trap("an instant with its zone", postgresql=Held("timestamptz", "'2026-03-29 03:30:00.5+02'",
                                                     "2026-03-29 01:30:00.5+00")),
    Trap("an instant to the microsecond", postgresql=Held("timestamp", "'2026-03-29 02:30:00.000001'",
                                                          "2026-03-29 02:30:00.000001"),
         mariadb=Held("datetime(6)", "'2026-03-29 02:30:00.000001'", "2026-03-29 02:30:00.000001")),
    Trap("a yes", postgresql=Held("boolean", "true", "t")),
    Trap("a span of time", postgresql=Held("interval", "'1 year 2 mons -3 days 04:05:06.789'",
                                           "1 year 2 mons -3 days +04:05:06.789")),
    Trap("an amount of money", postgresql=Held("money", "'12.34'", "$12.34")),
    Trap("bits", postgresql=Held("bit(5)", "B'01010'", "01010"), mariadb=Held("bit(8)", "b'10000001'", "10000001")),
    Trap("one bit stored from a text", mariadb=Held("bit(1)", "'1'", "1")),
    Trap("an address of a network", postgresql=Held("inet", "'10.1.2.3/8'", "10.1.2.3/8")),
    Trap("bytes that are no text", postgresql=Held("bytea", "'\\x00ff27'", "\\x00ff27"),
         mariadb=Held("varbinary(10)", "x'00ff27'", "\\x00ff27"), sqlite=Held("blob", "x'00ff27'", "0x00ff27")),
    Trap("a text filled up with blanks", postgresql=Held("char(5)", "'ab'", "ab   "),
         mariadb=Held("char(5)", "'ab'", "ab"), sqlite=Held("char(5)", "'ab'", "ab")),
    Trap("a text with blanks of its own", **same("varchar(10)", "'  ab  '", "  ab  ")),
    Trap("a text of no letter", **same("varchar(10)", "''", "")),
    Trap("nothing", **same("varchar(10)", "null", None)),
    Trap("the word NULL and a backslash N", postgresql=Held("text", "E'NULL\\\\N'", "NULL\\N"),
         mariadb=Held("text", "'NULL\\\\N'", "NULL\\N"), sqlite=Held("text", "'NULL\\N'", "NULL\\N")),
    Trap("quotes, both line ends and an end of COPY", postgresql=Held("text", "E'a\\'\"b\\r\\n\\\\.\\nc\\t'",
                                                                      "a'\"b\r\n\\.\nc\t"),
         mariadb=Held("text", "'a\\'\"b\\r\\n\\\\.\\nc\\t'", "a'\"b\r\n\\.\nc\t"),
         sqlite=Held("text", "'a''\"b' || char(13,10) || '\\.' || char(10) || 'c' || char(9)", "a'\"b\r\n\\.\nc\t")),
    Trap("letters beyond the plane, a line of Unicode", **same("varchar(20)", "'😀é\u2028œ€'", "😀é\u2028œ€")),
    Trap("a control character of cp1252 read as latin1", **same("varchar(20)", "'l\u0092eau'", "l\u0092eau")),
    Trap("UTF-8 kept in a column of latin1", mariadb=Held("varchar(20) character set latin1",
                                                         "convert(x'c383c2a9' using utf8mb4)", "Ã©")),
    Trap("é and € in a column of latin1", mariadb=Held("varchar(20) character set latin1", "'é€'", "é€")),
    Trap("a text with a NUL inside", mariadb=Held("varchar(20)", "concat('a', char(0), 'b')", "a\0b"),
         sqlite=Held("text", "'a' || char(0) || 'b'", "a\0b")),
    Trap("a text of 80,000 bytes", postgresql=Held("text", "repeat('é', 40000)", LONG),
         mariadb=Held("longtext", "repeat('é', 40000)", LONG),
         sqlite=Held("text", "replace(hex(zeroblob(20000)), '0', 'é')", LONG)),
    Trap("one tenth in four bytes", postgresql=Held("real", "0.1", "0.1"), mariadb=Held("float", "0.1", "0.1"),
         sqlite=Held("real", "0.1", "0.1")),
    Trap("a number that four bytes hold and six digits do not", postgresql=Held("real", "16777215", "1.6777215e+07"),
         mariadb=Held("float", "16777215", "16777215")),
    Trap("three tenths in eight bytes", postgresql=Held("float8", "0.1::float8 + 0.2::float8", "0.30000000000000004"),
         mariadb=Held("double", "0.1e0 + 0.2e0", "0.30000000000000004"),
         sqlite=Held("real", "0.1 + 0.2", "0.30000000000000004")),
    Trap("the smallest of the great numbers", **same("bigint", "-9223372036854775808", "-9223372036854775808")),
    Trap("the greatest number without a sign", mariadb=Held("bigint unsigned", "18446744073709551615",
                                                            "18446744073709551615"), meaning=number(REFUSED)),
    Trap("a day of zeros", mariadb=Held("date", "'0000-00-00'", "0000-00-00"), meaning=day(None)),
    Trap("an instant of zeros", mariadb=Held("datetime", "'0000-00-00'", "0000-00-00 00:00:00")),
    Trap("a day of which only the year is known", mariadb=Held("date", "'2019-00-00'", "2019-00-00"),
         meaning=day(REFUSED)),
    Trap("800 hours", mariadb=Held("time", "'800:00:01'", "800:00:01")),
    Trap("two in a column of yes and no", mariadb=Held("tinyint(1)", "2", "2")),
    Trap("a text of cp1252 where UTF-8 is declared", sqlite=Held("text", "cast(x'4761eb6c6c65' as text)",
                                                                "\ufdd0x4761eb6c6c65"), meaning=written(REFUSED)),
    Trap("a text of cp1252 in a column of days", sqlite=Held("date", "cast(x'3331e92f3132' as text)",
                                                             "\ufdd0x3331e92f3132"), meaning=day(REFUSED)),
    Trap("a text cut in the middle of a letter", sqlite=Held("text", "cast(x'4e6fc3' as text)", "\ufdd0x4e6fc3"),
         meaning=Meaning("text.control_free", "description", REFUSED, (80,))),
    Trap("a text that is written as such bytes are carried", sqlite=Held(
        "text", "char(64976) || 'x41'", "\ufdd0xefb790783431"), meaning=written(REFUSED)),
    Trap("zeros in front", mariadb=Held("int(5) zerofill", "42", "00042"), sqlite=Held("text", "'00042'", "00042")),
    Trap("a text in a column of numbers", sqlite=Held("integer", "'abc'", "abc"), meaning=number(REFUSED)),
    Trap("a half in a column of whole numbers", sqlite=Held("integer", "2.5", "2.5")),
    Trap("a day of slashes in a column of days", sqlite=Held("date", "'31/12/2020'", "31/12/2020"),
         meaning=day(REFUSED)),
    Trap("a day as a number", sqlite=Held("date", "43831.75", "43831.75"), meaning=day(REFUSED)),
    Trap("a great double", sqlite=Held("real", "1e300", "1e+300"), meaning=number(REFUSED)),
    Trap("a word of a closed list", mariadb=Held("enum('','é','b')", "'é'", "é")),
    Trap("a year of zeros", mariadb=Held("year", "0", "0000")),
    Trap("a structured text", postgresql=Held("json", "'{\"a\":  1}'", '{"a":  1}')),
)  # fmt: skip
"""More than the 43 of the research: values of the three makes, and those that the drivers were seen to change."""
