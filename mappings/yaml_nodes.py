"""YAML with places: every key, value and character of a rule file knows its line and column."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mappings.diagnostics import Diagnostics
from mappings.model import Mark

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same nodes and places, many times faster
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
    _grafts: dict[Steps, "tuple[YamlFile, Steps]"] = field(default_factory=dict)
    """Values that came from another file, by path, and where they stand there."""

    @property
    def start(self) -> Mark:
        """Give the first character of the file."""
        return Mark(self.name, 1, 1)

    def has(self, steps: Steps) -> bool:
        """Tell whether the file says something at this path."""
        file, steps = self._origin(steps)
        return steps in file._nodes

    def key_mark(self, steps: Steps) -> Mark:
        """Give the place of the key at a path; of the value when it has no key."""
        file, there = self._origin(steps)
        return file._keys.get(there) or self.value_mark(steps)

    def value_mark(self, steps: Steps) -> Mark:
        """Give the place of the value at a path, or of the nearest value around it."""
        file, steps = self._origin(steps)
        while steps and steps not in file._nodes:
            steps = steps[:-1]
        node = file._nodes.get(steps)
        return file.start if node is None else file._mark(node.start_mark)

    def mark_inside(self, steps: Steps, offset: int) -> Mark:
        """Give the place of a character of a text, counted from 0 without quotes and escapes."""
        file, there = self._origin(steps)
        node = file._nodes.get(there)
        if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
            return self.value_mark(steps)
        raw = file.text[node.start_mark.index : node.end_mark.index]
        skipped = _raw_offset(raw, node.style or "", offset)
        return Mark(file.name, node.start_mark.line + 1, node.start_mark.column + 1 + skipped)

    def is_null(self, steps: Steps) -> bool:
        """Tell whether the file says null at this path, and not a text."""
        file, there = self._origin(steps)
        node = file._nodes.get(there)
        return isinstance(node, yaml.ScalarNode) and not node.style and node.tag == "tag:yaml.org,2002:null"

    def with_nulls(self, value: object = ..., steps: Steps = ()) -> object:
        """Give the values of the file with None where it says null, which is else the text `null`."""
        value = self.root if value is ... else value
        match value:
            case dict():
                return {key: self.with_nulls(one, (*steps, key)) for key, one in value.items()}
            case list():
                return [self.with_nulls(one, (*steps, number)) for number, one in enumerate(value)]
            case _:
                return None if self.is_null(steps) else value

    def graft(self, steps: Steps, other: "YamlFile", at: Steps) -> None:
        """Put a value of another file at a path, in place of what stands there; its places stay those over there."""
        value = other.root
        for step in at:
            value = value[step]  # type: ignore[index]
        self._put(steps, value)
        self._grafts[steps] = (other, at)

    def add_name(self, steps: Steps, name: str, other: "YamlFile", at: Steps) -> None:
        """Add a word to a list, whose place is that of a key in another file."""
        self._put(steps, name)
        self._grafts[steps] = (other, at)

    def _put(self, steps: Steps, value: object) -> None:
        holder = self.root
        for step in steps[:-1]:
            if isinstance(holder, dict):
                holder = holder.setdefault(step, {})
            elif isinstance(holder, list) and isinstance(step, int):
                holder = holder[step]
        if isinstance(holder, list):
            holder.append(value)
        elif isinstance(holder, dict):
            holder[steps[-1]] = value

    def _origin(self, steps: Steps) -> "tuple[YamlFile, Steps]":
        for length in range(len(steps), 0, -1):
            if steps[:length] in self._grafts:
                other, at = self._grafts[steps[:length]]
                return other, (*at, *steps[length:])
        return self, steps

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


def _compose(text: str) -> yaml.Node | None:
    """Read the nodes of a text; what is wrong is said in the words and places of the loader in Python."""
    try:
        return yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


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
        node = _compose(text)
        alias = next((token for token in yaml.scan(text, Loader=_LOADER) if isinstance(token, yaml.AliasToken)), None)
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
