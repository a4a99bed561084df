"""The traps that other tools fall into: each one that the page names has a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def test_each_trap_on_the_page_points_to_a_test_that_exists():
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")

    named = NAMED.findall(page)

    assert len(named) >= 25
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_no_line_of_the_list_of_traps_is_without_a_test():
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    listed = page.partition("## Traps")[2].partition("\n## ")[0]

    rows = [line for line in listed.splitlines() if line.startswith("| ")][2:]

    assert len(rows) >= 20
    assert [row for row in rows if not NAMED.search(row)] == []
