"""What is told of whole zones, and views of them in full."""

from __future__ import annotations

import zlib

import msgspec
from hypothesis import strategies as st

from meshfleet.fleet.names import Address
from meshfleet.node.entering import read_view
from meshfleet.wire.zones import decode_sums, decode_upper, decode_word, encode_sums, encode_upper
from tests.serve.conftest import SampleFeed
from tests.wire.test_zones import words, zone_sums

sums, word, upper, view = decode_sums, decode_word, decode_upper, read_view

of_sums: st.SearchStrategy[bytes] = zone_sums.map(encode_sums)
of_words: st.SearchStrategy[bytes] = words
of_uppers: st.SearchStrategy[bytes] = st.builds(
    lambda host, port: encode_upper(Address(host, port)), st.text(max_size=40), st.integers(0, 70_000)
)
_JSON = msgspec.json.encode(SampleFeed().fleet())
of_views: st.SearchStrategy[bytes] = st.one_of(
    st.just(zlib.compress(_JSON)), st.binary(max_size=200).map(zlib.compress), st.just(_JSON)
)
bomb: st.SearchStrategy[bytes] = st.just(zlib.compress(bytes(40_000_000), 9))
