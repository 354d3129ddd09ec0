"""Any settings survive `connect` and `--undo` to the byte, whatever is in them and however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from meshfleet.cli.connect.files import Memory, fingerprint
from meshfleet.cli.connect.jsontext import Json, Text
from meshfleet.cli.connect.plan import RUNTIMES, connecting, undoing
from meshfleet.cli.connect.runtime import Target
from meshfleet.errors import ConfigError

HERE = Target("127.0.0.1", 7879, "box", Path("/state/of a user/.connect"))
THERE = Target("127.0.0.1", 7901, "box", Path("/state/of a user/.connect"))
FILE = Path("/home/user/settings.json")

few = hypothesis_settings(max_examples=25)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
own_hooks = st.dictionaries(
    st.sampled_from(["PreToolUse", "Stop", "BeforeTool", "Setup"]),
    st.lists(
        st.fixed_dictionaries(
            {"hooks": st.lists(st.fixed_dictionaries({"type": st.just("command"), "command": texts}), max_size=2)},
            optional={"matcher": texts},
        ),
        max_size=2,
    ),
    max_size=3,
)
known: dict[str, st.SearchStrategy[Any]] = {
    "hooks": own_hooks,
    "env": st.dictionaries(texts | st.just("OTEL_METRICS_EXPORTER"), texts, max_size=3),
    "statusLine": st.fixed_dictionaries({"type": st.just("command"), "command": texts}, optional={"padding": values}),
    "telemetry": st.dictionaries(st.sampled_from(["enabled", "outfile", "other"]), values, max_size=2),
}


@st.composite
def settings(draw: st.DrawFn) -> bytes:
    """A settings file: known and unknown keys, in any order and any way of writing JSON."""
    plain: dict[str, Json] = draw(st.fixed_dictionaries({}, optional=known))
    plain |= draw(st.dictionaries(texts.filter(lambda key: key not in known), values, max_size=4))
    items = draw(st.permutations(list(plain.items())))
    indent = draw(st.sampled_from([None, 0, 1, 2, 3, 4, 8, "\t", " \t"]))
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : ")]))
    text = json.dumps(dict(items), indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    begin, end = draw(st.sampled_from(["", "\ufeff", "\n", "  "])), draw(st.sampled_from(["", "\n", "\n\n"]))
    return (begin + text + end).encode()


def remembered(then: bytes | None, before: bytes | None) -> Memory:
    return Memory(str(FILE), before, fingerprint(then or b""))


def plain(content: bytes | None) -> Json:
    assert content is not None
    found: Json = json.loads(content.decode("utf-8-sig"))
    return found


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings())
def test_undoing_puts_back_every_byte(name: str, before: bytes) -> None:
    runtime = RUNTIMES[name]
    plan = connecting(runtime, FILE, before, None, HERE)
    assert plan.before == before
    memory = remembered(plan.then, plan.before)
    assert undoing(runtime, FILE, plan.then, memory).then == before


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings())
def test_what_is_not_ours_stays_byte_for_byte_where_it_stands(name: str, before: bytes) -> None:
    plan = connecting(RUNTIMES[name], FILE, before, None, HERE)
    assert plan.then is not None
    was, now = plain(before), plain(plan.then)
    assert isinstance(was, dict)
    assert isinstance(now, dict)
    for key, value in was.items():
        if key not in known:
            assert now[key] == value
            raw = Text(before.decode(), "before").raw((key,))
            assert Text(plan.then.decode(), "then").raw((key,)) == raw


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings())
def test_connected_twice_is_connected_once(name: str, before: bytes) -> None:
    runtime = RUNTIMES[name]
    first = connecting(runtime, FILE, before, None, HERE)
    memory = remembered(first.then, first.before)
    second = connecting(runtime, FILE, first.then, memory, HERE)
    assert (second.then, second.before) == (first.then, before)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings())
def test_connected_to_another_node_it_is_as_if_it_had_never_been_to_the_first(name: str, before: bytes) -> None:
    runtime = RUNTIMES[name]
    first = connecting(runtime, FILE, before, None, HERE)
    moved = connecting(runtime, FILE, first.then, remembered(first.then, before), THERE)
    assert moved.then == connecting(runtime, FILE, before, None, THERE).then
    assert b"7879" not in (moved.then or b"") or b"7879" in before


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings(), added=texts, value=values)
def test_what_the_user_adds_meanwhile_stays_and_ours_goes(name: str, before: bytes, added: str, value: Json) -> None:
    runtime = RUNTIMES[name]
    first = connecting(runtime, FILE, before, None, HERE)
    assert first.then is not None
    key = f"mine-{added}"
    edited = Text(first.then.decode(), "edited").put((key,), value).text.encode()
    undone = undoing(runtime, FILE, edited, remembered(first.then, before)).then
    expected = plain(before)
    assert isinstance(expected, dict)
    assert plain(undone) == {**expected, key: value}


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@few
@given(before=settings())
def test_without_a_memory_ours_is_still_found_and_taken_out(name: str, before: bytes) -> None:
    runtime = RUNTIMES[name]
    first = connecting(runtime, FILE, before, None, HERE)
    undone = plain(undoing(runtime, FILE, first.then, None).then)
    was = plain(before)
    assert isinstance(was, dict)
    assert isinstance(undone, dict)
    assert _without_empty(undone) == _without_empty(was)


def _without_empty(plain: dict[str, Json]) -> dict[str, Json]:
    """What was empty before, and what is empty again, can't be told apart without a memory."""
    hooks = plain.get("hooks")
    kept: Json = {event: groups for event, groups in hooks.items() if groups} if isinstance(hooks, dict) else hooks
    whole: dict[str, Json] = {**plain, "hooks": kept}
    return {key: value for key, value in whole.items() if value or key not in known}


WITH_COMMENTS = """\
// mine
{
\t"theme": "x", /* a theme */
\t"telemetry": {
\t\t// nothing yet
\t},
\t"other": [1, 2,], // a comma too many
}
"""


def test_comments_and_last_commas_stay() -> None:
    gemini = RUNTIMES["gemini"]
    plan = connecting(gemini, FILE, WITH_COMMENTS.encode(), None, HERE)
    assert plan.then is not None
    assert WITH_COMMENTS.partition("yet\n")[0].encode() in plan.then
    assert b'yet\n\t\t"enabled": true,\n\t\t"target": "local",\n' in plan.then
    memory = remembered(plan.then, plan.before)
    assert undoing(gemini, FILE, plan.then, memory).then == WITH_COMMENTS.encode()
    edited = plan.then.replace(b'"x"', b'"y"')
    assert undoing(gemini, FILE, edited, memory).then == WITH_COMMENTS.replace('"x"', '"y"').encode()


@pytest.mark.parametrize("before", [b"", b"  \n", b'{ "hooks": { } }', b"{\n\n}", b'{"env": {},\n\n }'])
def test_what_is_empty_in_its_own_way_is_so_again(before: bytes) -> None:
    plan = connecting(RUNTIMES["claude"], FILE, before, None, HERE)
    assert undoing(RUNTIMES["claude"], FILE, plan.then, remembered(plan.then, plan.before)).then == before


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ('{"a": {"x": 1, }}', '{"a": {}}'),
        ('{"a": {"x": 1, "y": 2}}', '{"a": {"y": 2}}'),
        ('{"a": {"w": 0, "x": 1,}}', '{"a": {"w": 0,}}'),
        ('{"a": {"x": 0, "x": 1}}', '{"a": {"x": 0}}'),
        ('{"a": { /* own */ "x": 1 }}', '{"a": { /* own */  }}'),
    ],
)
def test_a_member_goes_with_its_comma(text: str, cut: str) -> None:
    assert Text(text, "it").cut(("a", "x")).text == cut


def test_opencode_needs_nothing_written() -> None:
    assert not connecting(RUNTIMES["opencode"], FILE, WITH_COMMENTS.encode(), None, HERE).changes
    assert not connecting(RUNTIMES["opencode"], FILE, None, None, HERE).changes


def test_a_file_that_was_not_there_is_gone_again() -> None:
    plan = connecting(RUNTIMES["claude"], FILE, None, None, HERE)
    assert plan.then is not None
    assert undoing(RUNTIMES["claude"], FILE, plan.then, remembered(plan.then, None)).then is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1,, "b": 2}', "line 1, column 9: a text in double quotes"),
        ('{\n  "a": tru\n}', "line 2, column 8: a value"),
        ('{"a": 1', "a comma or }"),
        ("[]", "no JSON object"),
        ('{"hooks": []}', "no object"),
        ('{"hooks": {"Stop": {}}}', "no array"),
        ('{"statusLine": {"type": "static"}}', "no `command`"),
        ('{"env": "x"}', "`env` is no object"),
        ("[" * 300, "within each other"),
        ("{} x", "nothing more"),
    ],
)
def test_broken_settings_are_told_with_their_place_and_nothing_is_lost(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        connecting(RUNTIMES["claude"], FILE, text.encode(), None, HERE)
