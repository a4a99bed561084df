"""The engine's one door: compile a ruleset, map rows forward, write canonical rows back."""

from mappings.apply import apply_forward
from mappings.compile import Compiled, compile_ruleset
from mappings.inverse import write_back, write_texts
from mappings.outcomes import Lookups, MapContext, Mapped, RoundTrip, Wanted, WrittenBack

__all__ = [
    "Compiled",
    "Lookups",
    "MapContext",
    "Mapped",
    "RoundTrip",
    "Wanted",
    "WrittenBack",
    "apply_forward",
    "compile_ruleset",
    "write_back",
    "write_texts",
]
