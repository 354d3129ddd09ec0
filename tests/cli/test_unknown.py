"""A name that nobody knows is told from one of which there is nothing to tell, with what to do at a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshfleet.cli.asking import Asked
from meshfleet.cli.events import events
from meshfleet.cli.outcome import Trouble
from meshfleet.cli.status import How, status
from meshfleet.cli.why import why
from meshfleet.errors import ConfigError
from tests.cli.top.fleet import a_fleet, on_two_levels, renamed

if TYPE_CHECKING:
    from tests.cli.top.site import Site, Sites


@pytest.fixture(autouse=True)
def _key(made: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHFLEET_API_KEY", made.key)


def seen_events(site: Site, name: str, *kinds: str) -> int:
    return events(Asked(site.url), subject=name, kinds=kinds, limit=5, follow=False, as_json=False)


def test_events_of_nobody_are_a_mistake_and_those_of_a_quiet_name_are_none(
    made: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    site = made.serving(renamed(a_fleet(), "box-2/codex-77aa", "box-2/other", "b1c9-2"))
    with pytest.raises(ConfigError, match=r"knows no node or agent named 'n44'\. Near it: n4"):
        seen_events(site, "n44")
    with pytest.raises(ConfigError, match=r"named 'zzz'\. `meshfleet status` lists all"):
        seen_events(site, "zzz")
    assert seen_events(site, "n2") == 0
    assert "Nothing happened yet" in capsys.readouterr().out
    assert seen_events(site, "box-2/codex-77aa", "waiting") == 0  # no member, and has lines of another kind
    assert seen_events(site, "box-2/codex-77aa") == 0


def test_who_is_not_known_here_may_be_in_another_zone(made: Sites) -> None:
    said = "It may be in another zone: meshfleet status --zone eu-2 or meshfleet status --zone us-1."
    site = made.serving(on_two_levels())
    with pytest.raises(ConfigError, match="knows no node or agent") as error:
        why("zzz", Asked(site.url), as_json=False)
    assert str(error.value).endswith(said)
    alone = made.serving(a_fleet())
    with pytest.raises(ConfigError, match=r"`meshfleet status` lists all that are known here\.$"):
        why("zzz", Asked(alone.url), as_json=False)


def test_the_own_zone_is_shown_by_its_name_too_and_another_that_is_unknown_is_a_mistake(
    made: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    view = on_two_levels()
    own = tuple(msgspec.structs.replace(node, zone="eu-1") for node in view.nodes)
    site = made.serving(msgspec.structs.replace(view, nodes=own))
    status(Asked(site.url), How("json"), watch=False, zone="eu-1")
    assert [zone["zone"] for zone in json.loads(capsys.readouterr().out)["zones"]] == ["eu-2", "us-1"]
    with pytest.raises(ConfigError, match=r"knows no zone named 'eu-7'\. Near it"):
        status(Asked(site.url), How(), watch=False, zone="eu-7")
    with pytest.raises(ConfigError, match="`meshfleet status` lists all"):
        status(Asked(site.url), How(), watch=False, zone="zzz")


def test_the_same_trouble_is_told_once_until_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    trouble = Trouble()
    for text in ("refused", "refused", "no route", "no route"):
        trouble.tell(text)
    trouble.over()
    trouble.tell("no route")
    assert capsys.readouterr().err.split("\n") == [
        "meshfleet: refused", "meshfleet: no route", "meshfleet: no route", ""
    ]  # fmt: skip
