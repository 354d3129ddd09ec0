"""A network of one's own: hosts that are namespaces of this kernel, in three zones, each zone a bridge, and a router.

    n000 ─┐                      ┌─ n004        10.77.ZONE.HOST/24, a host's router is 10.77.ZONE.254
          ├ zone0 ── router ── zone1 ┤          cuts, refusals and loss are nftables' rules in the receiver's kernel
    n003 ─┘      zone2 ─┘        └─ n007        with `wires`, each host hangs on a wire that delays (see wire.py)

Needs root, iproute2 and nftables, and says so where it can't be had. Everything is in namespaces that it makes itself;
nothing of the machine's own network is touched. Whatever is left over by a run that was killed, the next one removes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ZONES = 3
PREFIX = "mftest"
INSIDE = "192.168.77.2"
"""The address of a host behind a translator, on its own side. All have the same, as most at home do."""

TRANSLATOR = """
table ip nat {
    chain out { type nat hook postrouting priority srcnat
        oifname eth0 masquerade fully-random
    }
}
table ip wall {
    chain on { type filter hook forward priority 0
        iifname eth0 ct state new drop
    }
}
"""
"""Another port for each peer, and nothing gets in unasked: what home routers do, and hotels."""


class Rule(msgspec.Struct, frozen=True):
    """What a host's kernel does with what comes from others."""

    source: frozenset[str]
    """Names of hosts; the router's own packets are never meant."""
    deed: str
    """drop, reject, udp (drop datagrams), unasked (drop what begins here), or loss."""
    share: float = 0.0


class Quality(msgspec.Struct, frozen=True):
    """How the way between two sets of hosts behaves, one way; see wire.py."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    median: float = 0.0
    p99: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


def why_not() -> str | None:
    """Why no ground can be laid here; None where it can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "to make network namespaces takes root"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (iproute2, nftables)"
    name = f"{PREFIX}{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.strip()}"
    rules = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "add", "table", "inet", "t"], capture_output=True, text=True, check=False
    )
    subprocess.run(["ip", "netns", "del", name], check=False)
    return f"nftables can't be used: {rules.stderr.strip()}" if rules.returncode else None


@contextmanager
def ground(names: Sequence[str], *, wires: bool = False, behind_nat: Sequence[str] = ()) -> Iterator[Ground]:
    """Hosts of these names, the first third of them in the first zone and so on; gone at the end."""
    _clear_up()
    made = Ground(names, wires=wires, behind_nat=frozenset(behind_nat))
    try:
        made.lay()
        yield made
    finally:
        made.clear()


class Ground:
    """See the module. Hosts are called by name."""

    def __init__(self, names: Sequence[str], *, wires: bool, behind_nat: frozenset[str]) -> None:
        self.names = tuple(names)
        self.behind_nat = behind_nat
        self._wires = wires
        self._wire: subprocess.Popen[str] | None = None
        per_zone = -(-len(names) // ZONES)
        self.zone = {name: i // per_zone for i, name in enumerate(names)}
        self._outside = {name: f"10.77.{self.zone[name]}.{i + 1}" for i, name in enumerate(names)}
        self._rules: dict[str, list[Rule]] = {name: [] for name in names}
        self._mark = f"{PREFIX}{os.getpid()}"

    def space(self, name: str) -> str:
        """The namespace of a host, or of the `router`."""
        return f"{self._mark}-{name}"

    def address(self, name: str) -> str:
        """By which the host knows itself."""
        return INSIDE if name in self.behind_nat else self._outside[name]

    def inside(self, name: str, *command: str) -> list[str]:
        """The command that runs `command` on a host."""
        return ["ip", "netns", "exec", self.space(name), *command]

    # Laying it

    def lay(self) -> None:
        """Make it. A step that fails says which command it was."""
        gates = [f"{name}-gate" for name in self.names if name in self.behind_nat]
        for name in ("router", *self.names, *gates):
            _run(["ip", "netns", "add", self.space(name)])
        self._batch("router", "link set lo up")
        for zone in range(ZONES):
            self._batch("router", f"link add zone{zone} type bridge", f"link set zone{zone} up",
                        f"addr add 10.77.{zone}.254/24 dev zone{zone}")  # fmt: skip
        _run(self.inside("router", "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        if self._wires:
            self._string_wires()
        for name in self.names:
            self._hang(name)

    def _string_wires(self) -> None:
        command = self.inside("router", sys.executable, str(Path(__file__).with_name("wire.py")), *self.names)
        pipe = subprocess.PIPE
        self._wire = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._wire.stdout is not None
        assert self._wire.stdout.readline() == "strung\n", "the wires could not be strung"

    def _hang(self, name: str) -> None:
        """Give a host its link: to its zone's bridge, or to a translator that hangs there in its place."""
        outside = f"{name}-gate" if name in self.behind_nat else name
        if self._wires:
            _run(["ip", "-n", self.space("router"), "link", "set", f"h-{name}", "netns", self.space(outside)])
            self._batch(outside, f"link set h-{name} name eth0")
        else:
            peer = f"peer name eth0 netns {self.space(outside)}"
            self._batch("router", f"link add c-{name} type veth {peer}")
        self._batch("router", f"link set c-{name} master zone{self.zone[name]}", f"link set c-{name} up")
        self._batch(outside, "link set lo up", f"addr add {self._outside[name]}/24 dev eth0")
        self._up(outside, self.zone[name])
        if name in self.behind_nat:
            self._translate(name, outside)

    def _up(self, space: str, zone: int) -> None:
        self._batch(space, "link set eth0 up", f"route add default via 10.77.{zone}.254")

    def _translate(self, name: str, gate: str) -> None:
        self._batch(gate, f"link add eth1 type veth peer name eth0 netns {self.space(name)}",
                    "addr add 192.168.77.1/24 dev eth1", "link set eth1 up")  # fmt: skip
        self._batch(name, "link set lo up", f"addr add {INSIDE}/24 dev eth0", "link set eth0 up",
                    "route add default via 192.168.77.1")  # fmt: skip
        _run(self.inside(gate, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        self._nft(gate, TRANSLATOR)

    def clear(self) -> None:
        """Remove it, and whatever still runs on it."""
        if self._wire is not None:
            self._wire.kill()
            self._wire.communicate()
        _clear_up(self._mark)

    # What goes wrong

    def rule(self, at: str, rule: Rule) -> None:
        """Have a host's kernel do this from now on."""
        self._rules[at].append(rule)
        self._apply(at)

    def lift(self, at: str, rule: Rule) -> None:
        """Undo one `rule`."""
        self._rules[at].remove(rule)
        self._apply(at)

    def _apply(self, at: str) -> None:
        lines = [line for rule in self._rules[at] for line in self._lines(rule)]
        body = "\n".join(["type filter hook input priority 0", "iifname lo accept", *lines])
        new = f"table inet wrong {{\nchain in {{\n{body}\n}}\n}}"
        self._nft(at, f"table inet wrong\ndelete table inet wrong\n{new}\n")

    def _lines(self, rule: Rule) -> list[str]:
        if rule.deed == "unasked":
            return ["ct state established,related accept", "meta l4proto { tcp, udp } ct state new drop"]
        sources = "ip saddr { " + ", ".join(sorted(self._outside[name] for name in rule.source)) + " }"
        if rule.deed == "reject":
            return [f"{sources} meta l4proto tcp reject with tcp reset", f"{sources} reject"]
        if rule.deed == "udp":
            return [f"{sources} meta l4proto udp drop"]
        if rule.deed == "loss":
            return [f"{sources} meta l4proto {{ tcp, udp }} numgen random mod 1000 < {round(rule.share * 1000)} drop"]
        return [f"{sources} drop"]

    def unplug(self, name: str) -> None:
        """Pull the cable: the host sees it as well."""
        self._batch("router", f"link set c-{name} down")

    def plug(self, name: str) -> None:
        """Put it back."""
        self._batch("router", f"link set c-{name} up")

    def card_down(self, name: str) -> None:
        """The host's own card: every send of its own fails."""
        self._batch(name, "link set eth0 down")

    def card_up(self, name: str) -> None:
        """It works again, routes and all."""
        self._up(name, self.zone[name])

    def move(self, name: str, number: int) -> None:
        """Another address in the same zone."""
        before = self._outside[name]
        self._outside[name] = f"10.77.{self.zone[name]}.{number}"
        self._batch(name, f"addr del {before}/24 dev eth0", f"addr add {self._outside[name]}/24 dev eth0",
                    f"route replace default via 10.77.{self.zone[name]}.254")  # fmt: skip

    def mtu(self, name: str, size: int) -> None:
        """How large a packet the host's own card takes in or sends whole. Its neighbours think that it is 1,500."""
        self._batch(name, f"link set eth0 mtu {size}")

    def second_address(self, name: str, address: str, towards: str) -> None:
        """Another interface of the host, that nobody else can reach and by which it would go to `towards`."""
        self._batch(name, "link add other0 type veth peer name other1", f"addr add {address}/24 dev other0",
                    "link set other0 up", "link set other1 up",
                    f"route add {towards} dev other0 src {address}")  # fmt: skip

    def qualities(self, given: Sequence[Quality]) -> None:
        """How links behave from now on, in place of whatever was said before."""
        assert self._wire is not None, "lay the ground with wires"
        assert self._wire.stdin is not None
        said = [
            {
                **msgspec.to_builtins(each),
                "source": [self._outside[name] for name in each.source],
                "target": [self._outside[name] for name in each.target],
            }
            for each in given
        ]
        self._wire.stdin.write(json.dumps(said) + "\n")
        self._wire.stdin.flush()

    def _batch(self, space: str, *lines: str) -> None:
        _run(["ip", "-n", self.space(space), "-batch", "-"], "\n".join(lines) + "\n")

    def _nft(self, space: str, rules: str) -> None:
        _run(self.inside(space, "nft", "-f", "-"), rules)


def _run(command: Sequence[str], given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} <<< {given!r}: {done.stderr.strip()}")


def _clear_up(mark: str = "") -> None:
    """Namespaces of `mark`; without one, those whose maker is gone. What runs in them is killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if not name.startswith(PREFIX) or not owner.isdigit():
            continue
        if name.startswith(f"{mark}-") if mark else not Path(f"/proc/{owner}").exists():
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for pid in inside.split():
                subprocess.run(["kill", "-9", pid], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
