"""What is thought of an agent that a node asks over HTTP, and whose turn it is to ask."""

from __future__ import annotations

import pytest

from meshfleet.fleet.endpoint import (
    LONGEST_POLL,
    Asker,
    Contact,
    Transport,
    Trouble,
    contact_presence,
    is_to_ask,
    is_to_carry,
    through,
)
from meshfleet.fleet.names import NodeName
from meshfleet.fleet.presence import FRESH, Certainty, Presence, Verdict
from meshfleet.fleet.standing import Standing

BOX = NodeName("box")
T = LONGEST_POLL


def contact(presence: Presence = Presence.FRESH, trouble: Trouble | None = None, *, cut_off: bool = False) -> Contact:
    return Contact(transport=Transport.POLL, presence=presence, trouble=trouble, status=503, cut_off=cut_off)


@pytest.mark.parametrize(
    ("silent", "standing", "presence"),
    [
        (T, Standing.CONNECTED, Presence.FRESH),
        (T + 0.2, Standing.CONNECTED, Presence.STALE),
        (2 * T, Standing.DEGRADED, Presence.STALE),
        (2 * T + 0.1, Standing.CONNECTED, Presence.UNREACHABLE),
        (1e9, Standing.CONNECTED, Presence.UNREACHABLE),
        (T + 0.2, Standing.ISOLATED, Presence.UNREACHABLE),
        (T, Standing.ISOLATED, Presence.FRESH),
    ],
)
def test_its_silence_counts_as_a_nodes_does_and_is_never_a_death(
    silent: float, standing: Standing, presence: Presence
) -> None:
    assert contact_presence(silent, 0.1, standing) is presence


def test_an_agent_that_answers_is_as_its_node_is() -> None:
    assert through(BOX, FRESH, contact()) == FRESH


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (Trouble.REFUSED, "box is refused when it asks"),
        (Trouble.HANGS, "its process is there and does not answer"),
        (Trouble.STATUS, "box is answered HTTP 503"),
        (Trouble.UNTRUSTED, "box does not trust its certificate"),
    ],
)
def test_one_that_does_not_answer_is_unreachable_with_the_reason(trouble: Trouble, says: str) -> None:
    verdict = through(BOX, FRESH, contact(Presence.UNREACHABLE, trouble))
    assert verdict.presence is Presence.UNREACHABLE
    assert verdict.certainty is None
    assert says in verdict.reasons[0]


def test_of_a_node_that_is_cut_off_the_silence_proves_nothing() -> None:
    verdict = through(BOX, FRESH, contact(Presence.UNREACHABLE, Trouble.UNREACHED, cut_off=True))
    assert verdict.reasons == ("box, which asks it, is itself cut off: its silence proves nothing",)


@pytest.mark.parametrize(
    "carrier",
    [Verdict(Presence.LEFT, ("bye",)), Verdict(Presence.DOWN, ("killed",), Certainty.PROVEN)],
    ids=["left", "down"],
)
def test_the_end_of_who_asks_is_not_the_end_of_who_is_asked(carrier: Verdict) -> None:
    verdict = through(BOX, carrier, contact())
    assert verdict.presence is Presence.UNREACHABLE
    assert verdict.certainty is None
    assert f"box, which asks it, is {carrier.presence.value}" in verdict.reasons[0]


def test_who_asks_is_unreachable_and_so_is_who_is_asked() -> None:
    verdict = through(BOX, Verdict(Presence.UNREACHABLE, ("only I lost it",)), contact())
    assert (verdict.presence, verdict.reasons[1]) == (Presence.UNREACHABLE, "only I lost it")


A, B, C = (NodeName(name) for name in "abc")
WELL, ILL = contact(), contact(Presence.UNREACHABLE, Trouble.REFUSED)


def turns(*contacts: Contact | None) -> list[str]:
    """Of a, b, c, in this order, with these contacts: who is to ask."""
    order = [Asker(name, each) for name, each in zip((A, B, C), contacts, strict=False)]
    return [name for name in (A, B, C)[: len(contacts)] if is_to_ask(name, order)]


def test_the_first_asks_and_the_others_only_where_all_before_them_ask_in_vain() -> None:
    assert turns(None, None, None) == ["a"]
    assert turns(WELL, None, None) == ["a"]
    assert turns(ILL, None, None) == ["a", "b"]
    assert turns(ILL, WELL, None) == ["a", "b"]
    assert turns(ILL, ILL, None) == ["a", "b", "c"]
    assert turns(WELL, WELL, None) == ["a"]


def carries(*contacts: Contact) -> list[str]:
    order = [Asker(name, each) for name, each in zip((A, B), contacts, strict=False)]
    return [name for name, each in zip((A, B), contacts, strict=False) if is_to_carry(name, each, order)]


def test_whoever_is_answered_carries_and_where_nobody_is_nobody_lets_go() -> None:
    assert carries(WELL, WELL) == ["a"]
    assert carries(ILL, WELL) == ["b"]
    assert carries(WELL, ILL) == ["a"]
    assert carries(ILL, ILL) == ["a", "b"]


def test_who_does_not_know_it_neither_asks_nor_counts() -> None:
    assert not is_to_ask(C, [Asker(A, None), Asker(B, None)])


def test_an_endpoint_shows_no_token() -> None:
    from meshfleet.fleet.endpoint import Endpoint
    from meshfleet.fleet.names import AgentId

    assert "s3cret" not in str(Endpoint(name=AgentId("a"), base_url="http://b", token="s3cret"))
