"""How an operator names a place to look."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshfleet.discovery.opening import open_sources
from meshfleet.errors import ConfigError
from meshfleet.fleet.names import Address
from meshfleet.fleet.source import SourceKind, SourceSpec, read_source


def _after(word: str) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from("ab_.:/@[]%?#1\u00e9"), max_size=20).map(lambda rest: word + rest)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("file:fleet.yaml", SourceSpec(text="file:fleet.yaml", kind=SourceKind.FILE, path="fleet.yaml")),
        ("dns:a.test", SourceSpec(text="dns:a.test", kind=SourceKind.DNS, where=Address("a.test", 7878))),
        ("dns:a.test:79", SourceSpec(text="dns:a.test:79", kind=SourceKind.DNS, where=Address("a.test", 79))),
        (
            "dns:_gossip._udp.a.test@10.0.0.2:5353",
            SourceSpec(
                text="dns:_gossip._udp.a.test@10.0.0.2:5353",
                kind=SourceKind.DNS,
                where=Address("_gossip._udp.a.test", 7878),
                server=Address("10.0.0.2", 5353),
            ),
        ),
        ("dns-sd", SourceSpec(text="dns-sd", kind=SourceKind.DNS_SD)),
        ("dns-sd:10.0.0.7", SourceSpec(text="dns-sd:10.0.0.7", kind=SourceKind.DNS_SD, interface="10.0.0.7")),
        ("consul", SourceSpec(text="consul", kind=SourceKind.CONSUL)),
        (
            "consul:https://c.test:8501/prod",
            SourceSpec(
                text="consul:https://c.test:8501/prod",
                kind=SourceKind.CONSUL,
                url="https://c.test:8501",
                service="prod",
            ),
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_each_form_says_where_to_look(text: str, means: SourceSpec) -> None:
    assert read_source(text) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There are: file:PATH"),
        ("file:", "There are: file:PATH"),
        ("etcd:a", "There are: file:PATH"),
        ("dns", "There are: file:PATH"),
        ("dns:", "There are: file:PATH"),
        ("dns:a.test:port", "not a port"),
        ("dns:a.test@ns.test", "named by its IP address"),
        ("dns:_g._udp.a.test:7878", "leave 7878 out"),
        ("dns-sd:", "There are: file:PATH"),
        ("dns-sd:eth0", "by an IP address of this machine"),
        ("consul:c.test", "consul:http://127.0.0.1:8500/SERVICE"),
        ("consul:http://c.test:99999", "consul:http://127.0.0.1:8500/SERVICE"),
        ("consul:http://[", "consul:http://127.0.0.1:8500/SERVICE"),
        ("consul:http://u:p@c.test", "consul:http://127.0.0.1:8500/SERVICE"),
        ("dns:" + "a" * 2_000, "There are: file:PATH"),
        ("dns:a\nb", "There are: file:PATH"),
    ],
)
def test_what_is_none_is_refused_with_the_form_that_was_meant(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_source(text)
    assert says in str(refused.value)


def test_a_library_that_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"--find file:f.yaml needs yaml, .* pip install 'meshfleet\[discovery\]'"):
        open_sources([read_source("file:f.yaml")])
    assert open_sources([read_source("file:f.toml")])[0].name == "file:f.toml"


@given(
    st.text(max_size=40) | st.sampled_from(["dns:", "consul:", "consul:http://", "dns-sd:", "file:"]).flatmap(_after)
)
def test_whatever_is_given_is_a_place_or_refused(text: str) -> None:
    with suppress(ConfigError):
        assert read_source(text).text == text
