"""Edits of a JSON text, with or without comments, that leave the rest of it byte for byte as it was.

A parser would lose comments, blanks, the order of keys and the way numbers are written. So the text is scanned into
spans, and members are put in, replaced or cut out where they stand. Each edit scans the text anew: settings are small.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from meshfleet.errors import ConfigError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Path = tuple[str | int, ...]

DEPTH_LIMIT = 200
"""Objects and arrays within each other. Settings have some five."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


class Node(NamedTuple):
    """A value and where it stands."""

    start: int
    end: int
    kind: str
    """`{`, `[`, or `` for what has nothing in it."""
    members: tuple[tuple[str | int, int, Node], ...] = ()
    """Of an object or array: key or index, where the member begins (at its key), and the value."""


class _Scanner:
    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.at = 0

    def fail(self, problem: str) -> ConfigError:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        return ConfigError(f"{self.name}, line {line}, column {column}: {problem}. Nothing was changed; mend it first.")

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, character: str) -> bool:
        self.blank()
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def string(self) -> str:
        self.blank()
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self.fail("a text in double quotes should stand here")
        self.at = found.end()
        return str(json.loads(found[0]))

    def value(self, depth: int = 0) -> Node:
        self.blank()
        start = self.at
        if depth > DEPTH_LIMIT:
            raise self.fail(f"more than {DEPTH_LIMIT} objects stand within each other")
        opening = self.text[start : start + 1]
        if opening in ("{", "["):
            self.at += 1
            members = self.members(opening, depth)
            return Node(start, self.at, opening, members)
        found = (_STRING if opening == '"' else _SCALAR).match(self.text, start)
        if found is None:
            raise self.fail("a value should stand here")
        self.at = found.end()
        return Node(start, self.at, "")

    def members(self, opening: str, depth: int) -> tuple[tuple[str | int, int, Node], ...]:
        closing = "}" if opening == "{" else "]"
        found: list[tuple[str | int, int, Node]] = []
        while not self.take(closing):
            if found and not self.take(","):
                raise self.fail(f"a comma or {closing} should stand here")
            if found and self.take(closing):
                break  # after a last comma, as JSON with comments allows it
            self.blank()
            begin = self.at
            key: str | int = len(found)
            if opening == "{":
                key = self.string()
                if not self.take(":"):
                    raise self.fail("a colon should stand here")
            found.append((key, begin, self.value(depth + 1)))
        return tuple(found)


class Text:
    """A JSON object as text. Every edit gives another; `name` is what errors call it."""

    def __init__(self, text: str, name: str) -> None:
        scanner = _Scanner(text, name)
        scanner.at = 1 if text.startswith("\ufeff") else 0
        root = scanner.value()
        scanner.blank()
        if scanner.at != len(text):
            raise scanner.fail("nothing more should stand here")
        if root.kind != "{":
            raise ConfigError(f"{name} holds no JSON object. Nothing was changed; mend it first.")
        self.text = text
        self.name = name
        self._root = root
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def has(self, path: Path) -> bool:
        """Whether something stands there."""
        return self._find(path) is not None

    def get(self, path: Path) -> Json:
        """What stands there; None where nothing does."""
        node = self._find(path)
        return None if node is None else self._plain(node)

    def raw(self, path: Path) -> str | None:
        """The same as it is written."""
        node = self._find(path)
        return None if node is None else self.text[node.start : node.end]

    def put(self, path: Path, value: Json, raw: str | None = None) -> Text:
        """Set what stands there, as `raw` where it is given. Objects on the way are made."""
        node = self._find(path)
        if node is not None:
            return self._replaced(node.start, node.end, raw if raw is not None else self._written(value, node.start))
        parent = self._find(path[:-1])
        if parent is None:
            if raw is not None:
                return self.put(path[:-1], {}).put(path, value, raw)
            return self.put(path[:-1], {str(path[-1]): value})
        return self._added(parent, value, path[-1], raw)

    def append(self, path: Path, value: Json) -> Text:
        """Add to the array that stands there; it is made where nothing does."""
        node = self._find(path)
        if node is None:
            return self.put(path, [value])
        return self._added(node, value, None, None)

    def cut(self, path: Path) -> Text:
        """Take out what stands there, with the comma that belongs to it."""
        parent = self._find(path[:-1])
        assert parent is not None
        index = max(i for i, member in enumerate(parent.members) if member[0] == path[-1])
        _, begin, node = parent.members[index]
        if index > 0:
            return self._replaced(parent.members[index - 1][2].end, node.end, "")
        if len(parent.members) > 1:
            return self._replaced(begin, parent.members[1][1], "")
        comma = _Scanner(self.text, self.name)
        comma.at = node.end
        end = comma.at if comma.take(",") else node.end
        head, tail = self.text[parent.start + 1 : begin], self.text[end : parent.end - 1]
        if "\n" in tail[: len(tail) - len(tail.lstrip())]:
            head = head.rstrip()  # a comment on the line before has its end in `tail`
        rest = head + tail
        return self._replaced(parent.start + 1, parent.end - 1, "" if not rest.strip() else rest)

    def _find(self, path: Path) -> Node | None:
        node = self._root
        for key in path:
            # Of a key that stands twice, the last one counts, as for every parser.
            found = [member[2] for member in node.members if member[0] == key]
            if not found:
                return None
            node = found[-1]
        return node

    def _plain(self, node: Node) -> Json:
        if node.kind == "{":
            return {str(key): self._plain(value) for key, _, value in node.members}
        if node.kind == "[":
            return [self._plain(value) for _, _, value in node.members]
        plain: Json = json.loads(self.text[node.start : node.end])
        return plain

    def _added(self, parent: Node, value: Json, key: str | int | None, raw: str | None) -> Text:
        if parent.kind != ("[" if key is None else "{"):
            wanted = "an array" if key is None else "an object"
            raise ConfigError(
                f"{self.name}: {self.text[parent.start : parent.end][:40]!r} should be {wanted}. Nothing was changed."
            )
        outer = self._indent_at(parent.start)
        inner = self._indent_of(parent)
        inline = inner is None and "\n" not in self.text
        name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
        between = (" " if parent.members else "") if inline else self._newline + (inner or outer + self._unit())
        indent = "" if inline else between.rpartition("\n")[2]
        piece = name + (raw if raw is not None else self._dump(value, None if inline else indent))
        if parent.members:
            end = parent.members[-1][2].end
            return self._replaced(end, end, f",{between}{piece}")
        after = "" if inline else self._newline + outer
        inside = self.text[parent.start + 1 : parent.end - 1].rstrip()  # blanks go, comments stay
        return self._replaced(parent.start + 1, parent.end - 1, f"{inside}{between}{piece}{after}")

    def _written(self, value: Json, at: int) -> str:
        return self._dump(value, self._indent_at(at) if "\n" in self.text else None)

    def _dump(self, value: Json, indent: str | None) -> str:
        if indent is None:
            return json.dumps(value, ensure_ascii=False)
        text = json.dumps(value, ensure_ascii=False, indent=self._unit() or 1)
        return text.replace("\n", self._newline + indent)

    def _indent_at(self, at: int) -> str:
        line = self.text[self.text.rfind("\n", 0, at) + 1 : at]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _indent_of(self, parent: Node) -> str | None:
        """How the members of `parent` are indented; None where they do not stand on lines of their own."""
        for _, begin, _ in reversed(parent.members):
            line = self.text[self.text.rfind("\n", 0, begin) + 1 : begin]
            if "\n" in self.text[parent.start : begin] and not line.strip(" \t"):
                return line
        return None

    def _unit(self) -> str:
        return self._indent_of(self._root) or "  "

    def _replaced(self, start: int, end: int, piece: str) -> Text:
        return Text(self.text[:start] + piece + self.text[end:], self.name)
