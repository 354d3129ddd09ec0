"""What `[otel]` may say, what OpenTelemetry's variables add, and what is refused without being repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.errors import ConfigError
from meshfleet.node.config import check
from meshfleet.node.otel.settings import Compression, Mode, Otel, Protocol, check_otel
from meshfleet.node.settings import Given, load, read_flags
from tests.node.meshing import config

if TYPE_CHECKING:
    from pathlib import Path


def otel(environment: dict[str, str], url: str | None = None, file: Path | None = None) -> Otel:
    flags = Given() if url is None else read_flags(otel={"endpoint": url})
    return load(flags, environment, file).otel


def test_nothing_is_exported_unless_it_is_asked_for_whatever_the_variables_say() -> None:
    assert otel({}) == Otel()
    for_agents = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:7879/otlp", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    assert otel(for_agents) == Otel()


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/metrics"),
        ("https://mimir.example.org/otlp", "https://mimir.example.org/otlp/v1/metrics"),
        ("http://[::1]:9090/api/v1/otlp/v1/metrics", "http://[::1]:9090/api/v1/otlp/v1/metrics"),
    ],
)
def test_an_endpoint_is_a_base_as_everywhere_in_opentelemetry(url: str, where: str) -> None:
    assert otel({}, url).endpoint == where


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ({}, "http://localhost:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/a"}, "http://c:1/a/v1/metrics"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:2/b"},
            "http://c:2/b",
        ),
    ],
)
def test_env_takes_the_endpoint_of_the_variables(environment: dict[str, str], where: str) -> None:
    assert otel(environment, "env").endpoint == where
    assert otel({**environment, "MESHFLEET_OTEL_ENDPOINT": "env"}).endpoint == where


def test_settings_come_before_the_variables_and_those_of_metrics_before_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "meshfleet.toml"
    file.write_text('[otel]\nendpoint = "http://c:1"\nmode = "own"\ntimeout_s = 3\ninterval_s = 15\n')
    environment = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "7000",
        "OTEL_METRIC_EXPORT_INTERVAL": "30000",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "MESHFLEET_OTEL_INTERVAL_S": "20",
    }
    assert otel(environment, None, file) == Otel(
        endpoint="http://c:1/v1/metrics", mode=Mode.OWN, timeout_s=3.0, interval_s=20.0, protocol=Protocol.JSON,
        compression=Compression.NONE,
    )  # fmt: skip
    assert otel({"OTEL_EXPORTER_OTLP_TIMEOUT": "7000"}, "http://c:1").timeout_s == 7.0


@pytest.mark.parametrize(
    ("environment", "url", "why"),
    [
        ({}, "collector:4318", "--otel: an endpoint is a URL"),
        ({}, "grpc://c:4317", "endpoint is a URL"),
        ({}, "http://user:hidden@c:1", "no user"),
        ({}, "http://c:1/?key=hidden", "no user"),
        ({}, "http://c:99999/hidden", "endpoint is a URL"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://c:1",
            "_PROTOCOL: 'grpc'.* gRPC is not spoken",
        ),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "http://c:1", "OTEL_EXPORTER_OTLP_TIMEOUT: 'soon' is not a number"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "hidden"}, "env", "OTEL_EXPORTER_OTLP_ENDPOINT: an endpoint is a URL"),
        (
            {"MESHFLEET_OTEL_INTERVAL_S": "0.5"},
            "http://c:1",
            "_OTEL_INTERVAL_S: '0.5' is not a number of",
        ),
        ({"MESHFLEET_OTEL_MODE": "all"}, "http://c:1", "MESHFLEET_OTEL_MODE: 'all' is none of fleet, own"),
        ({"MESHFLEET_OTEL_INTERVALS": "5"}, "http://c:1", "Did you mean 'interval_s'"),
    ],
)
def test_what_can_not_be_is_named_by_its_place_and_secrets_are_not_repeated(
    environment: dict[str, str], url: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        otel(environment, url)
    assert "hidden" not in str(refused.value)


def test_files_that_are_not_there_and_half_a_key_pair_are_told_at_the_start(tmp_path: Path) -> None:
    for field in ("headers_file", "certificate"):
        with pytest.raises(ConfigError, match=rf"otel\.{field}: there is no file"):
            check_otel(msgspec.structs.replace(Otel(endpoint="https://c/v1/metrics"), **{field: str(tmp_path / "no")}))
    half = Otel(endpoint="https://c/v1/metrics", client_key=str(tmp_path / "no"))
    with pytest.raises(ConfigError, match="go together"):
        check(msgspec.structs.replace(config("n1"), otel=half))


def test_protobuf_without_its_package_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshfleet.node.otel.settings.has_protobuf", lambda: False)
    assert Otel(endpoint="http://c/v1/metrics").encoding is Protocol.JSON
    check_otel(Otel(endpoint="http://c/v1/metrics"))
    with pytest.raises(ConfigError, match=r"meshfleet\[otlp\]"):
        check_otel(Otel(endpoint="http://c/v1/metrics", protocol=Protocol.PROTOBUF))
