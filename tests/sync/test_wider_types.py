"""Which change of a type leaves every value as it was written: told and carried; any other one stops."""

import pytest

from sync.drift_policy import is_wider


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("varchar(120)", "varchar(400)"), ("varchar(120)", "text"), ("varchar(120)", "longtext"),
        ("smallint", "integer"), ("integer", "bigint"), ("numeric(10,2)", "numeric(12,2)"),
        ("int(11)", "bigint(20)"), ("int(11)", "int(10)"), ("tinyint(3) unsigned", "smallint(6)"),
        ("int(10) unsigned", "bigint(20) unsigned"), ("tinytext", "mediumtext"),
        ("enum('M','F')", "enum('F','M','X')"), ("set('a','b')", "set('a','b','c')"),
        ("enum('it''s')", "enum('it''s','no')"),
        ("timestamp(3) without time zone", "timestamp(6) without time zone"), ("decimal(8,2)", "decimal(10,2)"),
    ],
)  # fmt: skip
def test_a_type_that_holds_every_value_as_it_was_written_is_wider(was, now):
    assert is_wider(was, now)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("varchar(400)", "varchar(120)"), ("text", "varchar(400)"), ("char(5)", "char(8)"), ("char(5)", "varchar(8)"),
        ("bigint(20)", "int(11)"), ("int(10) unsigned", "int(11)"), ("int(11)", "bigint(20) unsigned"),
        ("int(5) unsigned zerofill", "int(8) unsigned zerofill"), ("mediumtext", "text"),
        ("enum('M','F')", "enum('M','X')"), ("set('a','b')", "set('b','a','c')"), ("set('a')", "enum('a','b')"),
        ("datetime(3)", "datetime(6)"), ("numeric(10,2)", "numeric(12,4)"), ("integer", "text"), ("date", "text"),
        ("binary(4)", "binary(8)"), ("bit(4)", "bit(8)"), ("double precision", "numeric(38,10)"),
    ],
)  # fmt: skip
def test_a_type_that_loses_or_writes_a_value_otherwise_is_not(was, now):
    assert not is_wider(was, now)
