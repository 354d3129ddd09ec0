"""What is heard of exporting: what other nodes say of theirs, and what a collector answers. Neither ever raises."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from meshfleet.node.otel.answers import JSON, PROTOBUF, TEXT_LIMIT, read_answer, shown
from meshfleet.wire import cbor

SENT = 1_000


def answer(data: bytes) -> object:
    """An answer's body, in the encoding that its first byte picks."""
    said = read_answer(JSON if data[:1] in (b"{", b"[", b" ") else PROTOBUF, data, SENT)
    if said is not None:
        text = shown(said.text, ["Bearer secret"])
        assert 0 <= said.rejected <= SENT
        assert len(text) <= TEXT_LIMIT
        assert text.isprintable()
    return said


_numbers = st.integers(0, 2**41)
bodies = st.tuples(st.just(1) | _numbers, _numbers, _numbers).map(lambda said: cbor.dump(list(said)))

_partial = st.builds(
    lambda rejected, text: ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=text)
    ).SerializeToString(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=300),
)
_rejected = st.integers() | st.text(max_size=30) | st.floats() | st.none()
_in_json = st.builds(
    lambda rejected, text: json.dumps(
        {"partialSuccess": {"rejectedDataPoints": rejected, "errorMessage": text}, "message": text}
    ).encode(),
    _rejected,
    st.text(max_size=300),
)
answers = _partial | _in_json
