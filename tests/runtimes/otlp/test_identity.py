"""Whose record it is: the order in which its names count."""

from __future__ import annotations

from typing import Any

import pytest

from meshfleet.runtimes.sessions import Key
from tests.runtimes.writing import SESSION, T0

from .writing import CLAUDE, Ear, chat, claude, event, logs, request, traces

PLACES: tuple[tuple[str, dict[str, object], dict[str, Any]], ...] = (
    # expected, resource, record
    ("of-record", {"session.id": "of-resource", "meshfleet.agent": "a/b"}, {"session__id": "of-record"}),
    ("of-resource", {"session.id": "of-resource", "meshfleet.agent": "a/b"}, {}),
    ("a/b", {"meshfleet.agent": "a/b", "service.instance.id": "i1"}, {"gen_ai__conversation__id": "c1"}),
    ("i1", {"service.instance.id": "i1", "service.name": "shop"}, {"gen_ai__conversation__id": "c1"}),
    ("c1", {"service.name": "shop", "process.pid": 7}, {"gen_ai__conversation__id": "c1"}),
    ("shop.7", {"service.name": "shop", "process.pid": 7}, {}),
    ("shop", {"service.name": "shop"}, {}),
)


@pytest.mark.parametrize(("expected", "resource", "record"), PLACES, ids=[place[0] for place in PLACES])
async def test_a_program_is_known_by_the_first_name_that_it_has(
    expected: str, resource: dict[str, object], record: dict[str, Any]
) -> None:
    heard = Ear()
    await heard.hear(traces(chat(gen_ai__usage__input_tokens=1, **record), resource=resource))
    assert heard.only().session == expected


@pytest.mark.parametrize("resource", [{}, {"service.name": "unknown_service:python"}])
async def test_what_names_nobody_is_nobodys_and_its_sender_is_told(resource: dict[str, object]) -> None:
    heard = Ear()
    taken = await heard.hear(traces(chat(gen_ai__usage__input_tokens=1), resource=resource))
    assert (taken.rejected, "service.name" in taken.why) == (1, True)
    assert heard.desk.keys() == set()
    assert heard.counts["runtimes_otlp_nobody"] == 1


async def test_clis_are_known_by_their_sessions_as_their_files_are() -> None:
    heard = Ear()
    await heard.hear(logs(claude("user_prompt")))
    codex = event("codex.user_prompt", conversation__id="01a20abf-f473-7470-83e4-63e40b1178c5")
    await heard.hear(logs(codex, resource={"service.name": "codex_exec"}))
    gemini = event("gemini_cli.user_prompt")
    await heard.hear(logs(gemini, resource={"service.name": "gemini-cli", "session.id": "g-1"}))
    assert heard.desk.keys() == {
        CLAUDE,
        Key("codex", "01a20abf-f473-7470-83e4-63e40b1178c5"),
        Key("gemini-cli", "g-1"),
    }


async def test_a_runtimes_own_words_are_not_counted_again_by_the_conventions() -> None:
    heard = Ear()
    said = chat(gen_ai__usage__input_tokens=100, session__id="g-1")
    await heard.hear(traces(said, resource={"service.name": "gemini-cli"}))
    assert heard.desk.keys() == set()


@pytest.mark.parametrize("host", ["box", "BOX.example.org"])
async def test_this_machine_is_known_by_its_names(host: str) -> None:
    heard = Ear("box")
    await heard.hear(logs(request(out=1), resource={"host.name": host}))
    assert heard.told().host is None


async def test_a_session_of_another_machine_is_kept_apart() -> None:
    heard = Ear("box")
    await heard.hear(logs(request(out=1), resource={"host.name": "other.example.org"}), logs(request(out=5)))
    there, here = heard.told(Key("claude-code", f"{SESSION}@other")), heard.told()
    assert (there.host, there.session, here.host) == ("other", SESSION, None)
    assert there.usage is not None
    assert (there.usage.output, here.usage.output if here.usage else 0) == (1, 5)


async def test_an_agent_is_called_as_whoever_runs_it_says() -> None:
    heard = Ear()
    await heard.hear(logs(request(out=1), resource={"meshfleet.agent": "box/mine"}))
    assert heard.told().agent == "box/mine"


@pytest.mark.parametrize("name", ["a canary with spaces", "x" * 150, "../../etc"])
async def test_a_name_that_no_agent_may_have_is_left_out(name: str) -> None:
    heard = Ear()
    await heard.hear(logs(request(out=1), resource={"meshfleet.agent": name}))
    assert heard.told().agent is None


async def test_a_session_whose_id_is_prose_is_known_by_its_digest() -> None:
    heard = Ear()
    app: dict[str, object] = {"service.name": "shop", "session.id": "the canary's session"}
    await heard.hear(traces(chat(T0, gen_ai__usage__input_tokens=1), resource=app))
    assert len(heard.only().session) == 16
    assert "canary" not in heard.only().session
