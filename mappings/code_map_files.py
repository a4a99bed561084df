"""The file of code maps: source codes, what they mean, and which of several is written back."""

from pathlib import Path

from mappings.diagnostics import Diagnostics
from mappings.documents import CODE_MAPS_KEY, parse_code_maps
from mappings.model import CodeMap
from mappings.overlays import Overlay
from mappings.yaml_nodes import YamlFile, read_yaml

CODE_MAPS_FILE = "code_maps.yaml"


def read_code_maps(directory: Path, overlay: Overlay | None, found: Diagnostics) -> dict[str, CodeMap]:
    """Read the code maps of a directory, with what a department says otherwise laid over them."""
    path = directory / CODE_MAPS_FILE
    file = read_yaml(path, found) if path.exists() else YamlFile(str(path), "", {CODE_MAPS_KEY: {}})
    if file is not None and overlay is not None:
        overlay.lay_over_code_maps(file)
    document = None if file is None else parse_code_maps(file, found)
    if file is None or document is None:
        return {}
    code_maps: dict[str, CodeMap] = {}
    for name, one in document.code_maps.items():
        mark = file.key_mark((CODE_MAPS_KEY, name))
        code_maps[name] = CodeMap(name, one.entries, one.reverse_preferred, mark)
        _check_reverse(file, code_maps[name], found)
    return code_maps


def _check_reverse(file: YamlFile, code_map: CodeMap, found: Diagnostics) -> None:
    for canonical, source in code_map.reverse_preferred.items():
        if code_map.entries.get(source) != canonical:
            found.refuse(
                file.value_mark((CODE_MAPS_KEY, code_map.name, "reverse_preferred", canonical)),
                f"source code {source} of {code_map.name} does not mean {canonical}",
                "prefer a source code whose entry is that canonical code",
            )
    seen: dict[str, str] = {}
    for source, canonical in code_map.entries.items():
        if canonical in seen and canonical not in code_map.reverse_preferred:
            found.refuse(
                file.key_mark((CODE_MAPS_KEY, code_map.name, "entries", source)),
                f"source codes {seen[canonical]} and {source} both mean {canonical} in {code_map.name}",
                f"say which one is written back: reverse_preferred: {{{canonical}: {seen[canonical]}}}",
            )
        seen.setdefault(canonical, source)
