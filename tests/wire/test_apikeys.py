"""API keys: what is kept of them, and what proves that somebody holds one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.errors import ConfigError
from meshfleet.fleet.access import Scope
from meshfleet.wire.apikeys import ApiKey, make, parse, proves, read

KEY = make(Scope.READ, bytes(range(40)))
SAID = (KEY.key_id, "00ff", "box:7879", 1800)


@given(st.sampled_from(Scope), st.binary(min_size=40, max_size=40))
def test_a_key_is_read_back_from_its_text(scope: Scope, random_bytes: bytes) -> None:
    key = make(scope, random_bytes)
    again = parse(key.text())
    assert again is not None
    assert (again.scope, again.key_id, again.secret) == (scope, key.key_id, key.secret)
    assert again.verifier() == key.verifier()


@given(st.text())
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse(text) is None
    assert parse(KEY.text() + text) is None or not text


def test_neither_what_is_kept_nor_what_is_printed_by_mistake_shows_the_secret() -> None:
    secret = KEY.secret.hex()
    assert secret in KEY.text()
    assert secret not in KEY.verifier().hex() + repr(KEY) + str(KEY)


def test_a_key_with_other_words_is_another_key() -> None:
    altered = [ApiKey(Scope.AGENT, KEY.key_id, KEY.secret), ApiKey(KEY.scope, "0" * 16, KEY.secret)]
    assert len({key.verifier() for key in (KEY, *altered)}) == 3


def test_a_proof_is_good_for_exactly_what_was_said() -> None:
    proof = KEY.prove("00ff", "box:7879", 1800)
    assert proves(KEY.verifier(), proof, *SAID)
    assert proves(KEY.verifier(), proof, KEY.key_id, "00ff", "BOX:7879", 1800)  # hosts have no case
    for other in (
        ("0" * 16, "00ff", "box:7879", 1800),
        (KEY.key_id, "00fe", "box:7879", 1800),
        (KEY.key_id, "00ff", "other:7879", 1800),
        (KEY.key_id, "00ff", "box:7879", 3600),
        (KEY.key_id, "00ff\nbox", "7879", 1800),
        (KEY.key_id, "00ff", "bäx", 1800),
    ):
        assert not proves(KEY.verifier(), proof, *other)
    assert not proves(make(Scope.READ, bytes(40)).verifier(), proof, *SAID)


def test_no_bit_of_a_proof_can_be_changed() -> None:
    proof = KEY.prove("00ff", "box:7879", 1800)
    for place in range(8 * len(proof)):
        flipped = bytearray(proof)
        flipped[place // 8] ^= 1 << place % 8
        assert not proves(KEY.verifier(), bytes(flipped), *SAID)


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_nonsense_proves_nothing(verifier: bytes, proof: bytes) -> None:
    assert not proves(verifier, proof, *SAID)


def test_a_file_without_a_key_is_told_without_showing_what_is_in_it() -> None:
    assert read(f" {KEY.text()}\n", "k").key_id == KEY.key_id
    with pytest.raises(ConfigError, match=r"^k has no API key") as caught:
        read(KEY.text()[:-1], "k")
    assert KEY.secret.hex()[:8] not in str(caught.value)
