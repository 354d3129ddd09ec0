"""YAML of an operator's file, as plain data: no tags that make objects, and no aliases, of which a few lines can stand
for more than any memory holds."""

from __future__ import annotations

import yaml

from meshfleet.discovery.source import Unfound


class _Plain(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias; write it out", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def load(text: str) -> object:
    """`text` as lists, dicts, texts and numbers. Unfound where it is no YAML."""
    try:
        return yaml.load(text, Loader=_Plain)
    except yaml.MarkedYAMLError as error:  # its own words show the line that it is about, and a token may be in it
        mark = error.problem_mark
        where = "" if mark is None else f" on line {mark.line + 1}"
        raise Unfound(f"it is not valid YAML: {error.problem or 'broken'}{where}.") from None
    except (yaml.YAMLError, ValueError):
        raise Unfound("it is not valid YAML.") from None
