"""YAML with places: every key, value and character of a rule file knows its line and column."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mappings.diagnostics import Diagnostics
from mappings.model import Mark

Step = str | int
Steps = tuple[Step, ...]


@dataclass(slots=True)
class YamlFile:
    """A YAML file as plain values (every scalar is text) with the place of each of them."""

    name: str
    text: str
    root: object = None
    _keys: dict[Steps, Mark] = field(default_factory=dict)
    _nodes: dict[Steps, yaml.Node] = field(default_factory=dict)

    @property
    def start(self) -> Mark:
        """Give the first character of the file."""
        return Mark(self.name, 1, 1)

    def has(self, steps: Steps) -> bool:
        """Tell whether the file says something at this path."""
        return steps in self._nodes

    def key_mark(self, steps: Steps) -> Mark:
        """Give the place of the key at a path; of the value when it has no key."""
        return self._keys.get(steps) or self.value_mark(steps)

    def value_mark(self, steps: Steps) -> Mark:
        """Give the place of the value at a path, or of the nearest value around it."""
        while steps and steps not in self._nodes:
            steps = steps[:-1]
        node = self._nodes.get(steps)
        return self.start if node is None else self._mark(node.start_mark)

    def mark_inside(self, steps: Steps, offset: int) -> Mark:
        """Give the place of a character of a text, counted from 0 without quotes and escapes."""
        node = self._nodes.get(steps)
        if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
            return self.value_mark(steps)
        raw = self.text[node.start_mark.index : node.end_mark.index]
        skipped = _raw_offset(raw, node.style or "", offset)
        return Mark(self.name, node.start_mark.line + 1, node.start_mark.column + 1 + skipped)

    def _mark(self, mark: yaml.Mark) -> Mark:
        return Mark(self.name, mark.line + 1, mark.column + 1)

    def build(self, node: yaml.Node, steps: Steps, found: Diagnostics) -> object:
        """Turn a node into plain values, remembering places and refusing a key written twice."""
        self._nodes[steps] = node
        match node:
            case yaml.MappingNode():
                return self._build_mapping(node, steps, found)
            case yaml.SequenceNode():
                return [self.build(item, (*steps, number), found) for number, item in enumerate(node.value)]
            case _:
                return node.value

    def _build_mapping(self, node: yaml.MappingNode, steps: Steps, found: Diagnostics) -> dict[str, object]:
        built: dict[str, object] = {}
        for key, value in node.value:
            mark = self._mark(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                found.refuse(mark, "a key is not a word", "write the key as a word")
                continue
            name = str(key.value)
            if name in built:
                found.refuse(mark, f"key {name} is written twice", "keep one of the two")
                continue
            self._keys[(*steps, name)] = mark
            built[name] = self.build(value, (*steps, name), found)
        return built


def _raw_offset(raw: str, style: str, offset: int) -> int:
    if style not in ("'", '"'):
        return offset
    position = 1
    for _ in range(offset):
        doubled = raw.startswith("''", position) if style == "'" else raw.startswith("\\", position)
        position += 2 if doubled else 1
    return min(position, len(raw) - 1)


def read_yaml(path: Path, found: Diagnostics) -> YamlFile | None:
    """Read a YAML file with its places; what cannot be read is refused there and gives nothing."""
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.refuse(
            Mark(name, 1, 1),
            f"the file cannot be read as UTF-8 text ({type(error).__name__})",
            "save it again",
        )
        return None
    file = YamlFile(name, text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        alias = next((token for token in yaml.scan(text) if isinstance(token, yaml.AliasToken)), None)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = file.start if place is None else Mark(name, place.line + 1, place.column + 1)
        found.refuse(
            mark,
            f"this is not YAML: {error.problem or error.context}",
            "put lenses and conditions between quotes",
        )
        return None
    except yaml.YAMLError as error:
        found.refuse(file.start, f"this is not YAML: {type(error).__name__}", "remove unprintable characters")
        return None
    if alias is not None:
        mark = Mark(name, alias.start_mark.line + 1, alias.start_mark.column + 1)
        found.refuse(mark, "aliases are not read", "write the value where it is meant")
        return None
    if node is None:
        found.refuse(file.start, "the file is empty", "write a rule, or remove the file")
        return None
    file.root = file.build(node, (), found)
    return file
