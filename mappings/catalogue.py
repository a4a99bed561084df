"""The closed list of lenses: their parameters, inputs, outputs, law and domain. Rules may name no other."""

from mappings.lens_spec import Law, LensSpec, Output, Parameter, ParameterKind
from mappings.model import LensCall, Scalar
from mappings.text_specs import TEXT_SPECS
from mappings.value_specs import VALUE_SPECS

__all__ = [
    "LENSES",
    "VERBATIM",
    "Law",
    "LensSpec",
    "Output",
    "Parameter",
    "ParameterKind",
    "bind_parameters",
    "find_lens",
]

LENSES: dict[str, LensSpec] = {spec.name: spec for spec in (*TEXT_SPECS, *VALUE_SPECS)}
VERBATIM = LENSES["verbatim"]


def find_lens(call: LensCall | None) -> LensSpec:
    """Give the catalogue's entry of a call that the loader accepted; no lens means `verbatim`."""
    return VERBATIM if call is None else LENSES[call.name]


def bind_parameters(call: LensCall) -> dict[str, Scalar]:
    """Give the parameters of an accepted call by name, whether they were given by position or by name."""
    spec = LENSES[call.name]
    by_position = zip((parameter.name for parameter in spec.parameters), call.args, strict=False)
    return dict(by_position) | dict(call.kwargs)
