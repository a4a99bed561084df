"""Parameters that would make a lens guess are refused when rules are compiled, before any row."""

import pytest

from banyan.errors import ConfigurationError
from mappings.lenses.python import find_python_lens
from mappings.model import LensCall
from tests.mappings.lens_bench import plan_of
from tests.mappings.lens_case import Case

REFUSED = [
    (LensCall("date.masks", ("DD/MM/YYYY", "MM/DD/YYYY")), "have the same form"),
    (LensCall("date.mask", ("DD/MM/YY",)), "must hold YYYY, MM and DD once each"),
    (LensCall("date.pivot", ("DD/MM/YYYY", 30)), "must hold YY once"),
    (LensCall("date.pivot", ("DD/MM/YY", 130)), "a year of two digits"),
    (LensCall("text.repair"), "takes either double or mixed"),
    (LensCall("text.repair", (), {"mixed": "utf8_as_cp1252"}), "mixed is one of cp850_as_cp1252"),
    (LensCall("text.regex", ("PV [0-9]+", "PV {}")), "one group in brackets"),
    (LensCall("text.regex", ("PV ([0-9]+", "PV {}")), "the pattern cannot be read"),
    (LensCall("phone.fr_each", (0,)), "the first place is 1"),
    (LensCall("python", ("tests.mappings.python_lenses:BROKEN",)), "does not bring its own examples back"),
    (LensCall("python", ("tests.mappings.python_lenses:NOBODY",)), "there is no Python lens"),
    (LensCall("python", ("tests.mappings.python_lenses:with_prefix",)), "is not a PythonLens with examples"),
]


@pytest.mark.parametrize(("call", "cause"), REFUSED, ids=lambda value: value.name if hasattr(value, "name") else "")
def test_a_setting_that_would_guess_is_refused(call, cause):
    to = ("closed_on",) if call.name.startswith("date") else ("case_number",)

    with pytest.raises(ConfigurationError, match="nothing was mapped") as refusal:
        plan_of(Case("wrong", call, "case_file", to, None, None))

    assert cause in str(refusal.value)


@pytest.mark.parametrize("name", ["code.at", "commune.cog"])
def test_a_lens_of_dated_codes_needs_a_code_map(name):
    call = LensCall(name, (), {"mask": "YYYYMMDD"})

    with pytest.raises(ConfigurationError, match="needs a code_map"):
        plan_of(Case("wrong", call, "location", ("commune_code",), None, None, ("a", "b")))


def test_a_python_lens_is_found_by_module_and_name():
    assert find_python_lens("tests.mappings.python_lenses:NUMBERED").examples == ("REF-12", "REF-0")
