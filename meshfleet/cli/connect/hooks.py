"""Our entries among a runtime's hooks: Claude Code, Codex and Gemini CLI write them in the same shape.

{"hooks": {"EVENT": [{"matcher": …, "hooks": [{"type": "command", "command": …}, …]}, …]}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshfleet.cli.connect import telling
from meshfleet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshfleet.cli.connect.jsontext import Json, Text


def added(text: Text, wanted: Mapping[str, Json]) -> Text:
    """With these hooks, by event, each in a group of its own at the end. `text` has none of ours."""
    _check(text)
    for event, hook in wanted.items():
        text = text.append(("hooks", event), {"hooks": [hook]})
    return text


def found(text: Text) -> dict[str, Json]:
    """Our hooks that stand there, by event."""
    ours: dict[str, Json] = {}
    for event, groups in _groups(text).items():
        for group in groups:
            for hook in _entries(group):
                if _is_ours(hook):
                    ours[event] = hook
    return ours


def removed(text: Text) -> Text:
    """Without any of ours; a group that is empty by that goes, too."""
    for event, groups in _groups(text).items():
        for index in reversed(range(len(groups))):
            entries = _entries(groups[index])
            path = ("hooks", event, index)
            for place in reversed(range(len(entries))):
                if _is_ours(entries[place]):
                    text = text.cut((*path, "hooks", place))
            if entries and all(_is_ours(entry) for entry in entries):
                text = text.cut(path)
    return text


def emptied(text: Text) -> list[str]:
    """Events with no group."""
    return [event for event, groups in _groups(text).items() if not groups]


def _check(text: Text) -> None:
    hooks = text.get(("hooks",))
    if text.has(("hooks",)) and not isinstance(hooks, dict):
        raise ConfigError(f"{text.name}: its `hooks` are no object. Nothing was changed; mend it first.")
    for event, groups in (hooks if isinstance(hooks, dict) else {}).items():
        if not isinstance(groups, list):
            raise ConfigError(f"{text.name}: its `hooks.{event}` is no array. Nothing was changed; mend it first.")


def _groups(text: Text) -> dict[str, list[Json]]:
    hooks = text.get(("hooks",))
    if not isinstance(hooks, dict):
        return {}
    return {event: groups for event, groups in hooks.items() if isinstance(groups, list)}


def _entries(group: Json) -> list[Json]:
    entries = group.get("hooks") if isinstance(group, dict) else None
    return entries if isinstance(entries, list) else []


def _is_ours(hook: Json) -> bool:
    return isinstance(hook, dict) and telling.is_ours(hook.get("command"))
