"""What goes wrong where nodes are rolled out by hand: from what one node saw to findings. Pure, like `presence.judge`.

Anything that was not tried is left out: no finding comes of not knowing.
"""

from __future__ import annotations

from meshfleet.fleet.ailing import of_itself
from meshfleet.fleet.findings import (
    ACCEPTED,
    CLOCK_FAR_OFF,
    CLOCK_OFF,
    OF_EACH,
    SIZES,
    Ailment,
    Finding,
    Peer,
    Seen,
)
from meshfleet.fleet.notice import Severity


def find(seen: Seen) -> tuple[Finding, ...]:
    """What is wrong, the worst first."""
    if not seen.peers:
        found = [_alone(seen)]
    else:
        found = [*_own_address(seen), *_udp(seen), *_mtu(seen), *_peers_address(seen), *_clock(seen)]
    found += [*of_itself(seen), *_name(seen), *_overload(seen)]
    return tuple(sorted(found, key=lambda f: -f.severity.rank))


# Nobody there


def _alone(seen: Seen) -> Finding:
    loopback = _is_loopback(seen.address)
    bound = f"{seen.node} listens on loopback alone ({seen.address}): no other machine can reach it"
    text = "No other node is known, so no path could be tested."
    do = "Let another machine in: `meshfleet invite` here, `meshfleet up --invite LINE` there."
    if loopback:
        do = f"Start it with --gossip and the address of this machine: `--gossip 10.0.0.5:{_port(seen.address)}`."
    elif seen.unjoined:
        do = "Mend what is told there. Into another fleet a machine comes by an invitation: `meshfleet invite` there, "
        do += "`meshfleet up --invite LINE` here, with a state dir that is new."
    why = (*seen.unjoined, *(line for line in (seen.why_alone,) if line is not None))
    evidence = (*why, bound) if loopback else why
    severity = Severity.WARNING if why else Severity.INFO
    return Finding(what=Ailment.ALONE, severity=severity, text=text, evidence=evidence, do=do)


# Where this node is, for others


def _own_address(seen: Seen) -> list[Finding]:
    """At most one finding: whether others can begin a connection to this node, where it says that it listens."""
    tested = [(peer, peer.path) for peer in seen.peers if peer.path is not None and peer.path.reported]
    barred = [(peer, path) for peer, path in tested if path.dialled_back not in (None, ACCEPTED) or seen.relays]
    if _is_loopback(seen.address) and any(not _is_loopback(peer.address) for peer in seen.peers):
        elsewhere = next((path.seen_from for _, path in tested if path.seen_from is not None), None)
        host = "10.0.0.5" if elsewhere is None or _is_loopback(elsewhere) else _host(elsewhere)
        return [
            Finding(
                what=Ailment.ADDRESS,
                severity=Severity.WARNING,
                text=f"{seen.node} tells other machines that it is at {seen.address}, which is loopback.",
                evidence=tuple(f"{peer.name} is at {peer.address}" for peer in seen.peers[:3]),
                do=f"Start it with an address of this machine: `--gossip {_at(host, seen.address)}`.",
            )
        ]
    if 2 * len(barred) <= len(tested):
        return []
    names = tuple(peer.name for peer, _ in barred)
    evidence = tuple(
        f"{peer.name}: a connection to {seen.address} is {_answered(path.dialled_back)}; "
        f"it is spoken to from {path.seen_from or 'nowhere'}"
        for peer, path in barred
    )
    moved = [path for _, path in barred if path.seen_from is not None and _host(path.seen_from) != _host(seen.address)]
    if not moved:
        return [_walled(seen, names, evidence, {path.dialled_back for _, path in barred})]
    seen_from = _host(moved[0].seen_from or "")
    if moved[0].is_own:
        return [
            Finding(
                what=Ailment.ADDRESS,
                severity=Severity.WARNING,
                text=f"{seen.node} names {seen.address}, where others don't reach it; they see it at {seen_from}, "
                "which is an address of this machine.",
                evidence=evidence,
                do=f"Start it with `--gossip {_at(seen_from, seen.address)}`.",
                nodes=names,
            )
        ]
    through = ", ".join(seen.relays) or "nobody yet"
    return [
        Finding(
            what=Ailment.HIDDEN,
            severity=Severity.INFO if seen.relays else Severity.WARNING,
            text=f"{seen.node} is behind address translation: others see it at {seen_from}, and can't begin a "
            f"connection to {seen.address}. What is for it is passed on by {through}.",
            evidence=evidence,
            do="Nothing, where it has relays: it works like this. To be reached directly, see docs/laptops.md.",
            nodes=names,
        )
    ]


def _walled(seen: Seen, names: tuple[str, ...], evidence: tuple[str, ...], answers: set[str | None]) -> Finding:
    port = _port(seen.address)
    how = "rejects" if answers == {"refused"} else "drops"
    return Finding(
        what=Ailment.FIREWALL,
        severity=Severity.WARNING,
        text=f"One way only: {seen.node} connects to {_some(names)}, and they can't connect to {seen.address}.",
        evidence=evidence,
        do=f"Let TCP and UDP port {port} in: on this machine's firewall, or on one before it, which {how} what begins "
        f"outside. Linux: `nft add rule inet filter input tcp dport {port} accept`, and the same for udp; or ufw, "
        "firewalld, the cloud's security group. macOS: allow Python in its firewall.",
        nodes=names,
    )


def _peers_address(seen: Seen) -> list[Finding]:
    """Peers that are heard, and can't be connected to where they say that they listen."""
    found: list[Finding] = []
    for peer in seen.peers:
        seen_at = None if peer.heard_from is None else _host(peer.heard_from)
        elsewhere = seen_at is not None and seen_at != _host(peer.address)
        came = f"{peer.name} names {peer.address}; its datagrams come from {peer.heard_from}"
        if peer.relays and elsewhere:
            found.append(
                Finding(
                    what=Ailment.HIDDEN,
                    severity=Severity.INFO,
                    text=f"Nobody can reach {peer.name}; {', '.join(peer.relays)} pass on what is for it.",
                    evidence=(came,),
                    do=f"Nothing, where it is behind address translation. If {seen_at} is an address of its own "
                    f"machine: start it with `--gossip {_at(seen_at or '', peer.address)}`.",
                    nodes=(peer.name,),
                )
            )
            continue
        answer = None if peer.path is None else peer.path.dialled
        if answer in (None, ACCEPTED) or peer.relays:
            continue
        tried = f"a connection to {peer.address} is {_answered(answer)}"
        found.append(
            Finding(
                what=Ailment.ADDRESS if elsewhere else Ailment.FIREWALL,
                severity=Severity.WARNING,
                text=f"{peer.name} can't be connected to at {peer.address}, where it says that it listens.",
                evidence=(tried, came) if elsewhere else (tried,),
                do=f"If {seen_at} is its machine's, start {peer.name} with "
                f"`--gossip {_at(seen_at or '', peer.address)}`."
                if elsewhere
                else f"Let TCP and UDP port {_port(peer.address)} in at {peer.name}, and out here. "
                f"`meshfleet doctor` there says more.",
                nodes=(peer.name,),
            )
        )
    return found


# Datagrams


def _udp(seen: Seen) -> list[Finding]:
    """Datagrams that don't get through, one way or either, by test; where that is not known, by what goes by stream."""
    neither, not_there, not_back = list[Peer](), list[Peer](), list[Peer]()
    for peer in seen.peers:
        path = peer.path
        if path is None or not path.reported:
            neither += [peer] if peer.streams_alone else []
        elif not path.there[0] and not path.back[0]:
            neither.append(peer)
        elif not path.there[0]:
            not_there.append(peer)
        elif not path.back[0]:
            not_back.append(peer)
    port, found = _port(seen.address), list[Finding]()
    if neither:
        everybody = len(neither) == len(seen.peers)
        whom = "anybody" if everybody else _some([peer.name for peer in neither])
        where = "near this node" if everybody and len(neither) > 1 else "on the way"
        found.append(
            _blocked(
                Ailment.UDP_BLOCKED,
                neither,
                f"UDP is blocked between {seen.node} and {whom}. They work over streams alone: "
                "all is told, and a silent death is noticed as soon; it takes a connection to each.",
                f"Let UDP port {port} through, both ways, {where}. Nothing has to be set afterwards.",
            )
        )
    if not_there:
        found.append(
            _blocked(
                Ailment.UDP_ONE_WAY,
                not_there,
                f"UDP goes one way only: none of {seen.node}'s datagrams comes to "
                f"{_some([p.name for p in not_there])}, whose own come here.",
                f"Let UDP port {port} in there, and out here.",
            )
        )
    if not_back:
        found.append(
            _blocked(
                Ailment.UDP_ONE_WAY,
                not_back,
                f"UDP goes one way only: {seen.node}'s datagrams come to {_some([p.name for p in not_back])}, "
                "and of theirs none comes here.",
                f"Let UDP port {port} in here, and out there.",
            )
        )
    return found


def _blocked(what: Ailment, peers: list[Peer], text: str, do: str) -> Finding:
    return Finding(
        what=what,
        severity=Severity.WARNING,
        text=text,
        evidence=tuple(_counted(peer) for peer in peers),
        do=do,
        nodes=tuple(peer.name for peer in peers),
    )


def _counted(peer: Peer) -> str:
    if peer.path is None or not peer.path.reported:
        return f"{peer.name}: pings are answered over streams alone"
    return (
        f"{peer.name}: {peer.path.there[0]} of {OF_EACH} small datagrams came there, "
        f"{peer.path.back[0]} of {OF_EACH} came here; streams work"
    )


def _mtu(seen: Seen) -> list[Finding]:
    evidence: list[str] = []
    names: list[str] = []
    for peer in seen.peers:
        if peer.path is None or not peer.path.reported:
            continue
        for way, came in (("to", peer.path.there), ("from", peer.path.back)):
            if len(came) == len(SIZES) and came[0] > 1 and not came[-1]:
                counts = ", ".join(f"{size:,} bytes {n} of {OF_EACH}" for size, n in zip(SIZES, came, strict=True))
                evidence.append(f"{way} {peer.name}: {counts}")
                names += [peer.name] if peer.name not in names else []
    if not evidence:
        return []
    return [
        Finding(
            what=Ailment.MTU,
            severity=Severity.WARNING,
            text=f"Large datagrams are lost between {seen.node} and {_some(names)}, small ones are not: the MTU on the "
            "way is too small. What is lost is told again over streams, up to half a minute late.",
            evidence=tuple(evidence),
            do="Have packets of 1,428 bytes pass (1,448 with IPv6): give both ends of the tunnel, VPN or overlay "
            "between them the same MTU, and let ICMP's `fragmentation needed` and IP fragments through its firewalls.",
            nodes=tuple(names),
        )
    ]


# Clocks


def _clock(seen: Seen) -> list[Finding]:
    """Whose clock is off, by majority; where there is none, that they differ."""
    told = {peer.name: peer.clock_offset_s for peer in seen.peers if peer.clock_offset_s is not None}
    clocks = {seen.node: 0.0, **told}
    middle = sorted(clocks.values())[len(clocks) // 2]
    off = {name: offset - middle for name, offset in clocks.items() if abs(offset - middle) >= CLOCK_OFF}
    if not off:
        return []
    agree = [name for name in clocks if name not in off]
    worst = max(abs(offset) for offset in off.values())
    severity = Severity.CRITICAL if worst >= CLOCK_FAR_OFF else Severity.WARNING
    if 2 * len(agree) <= len(clocks):
        spread = max(clocks.values()) - min(clocks.values())
        text = f"Clocks differ by up to {_long(spread)}, and no majority agrees which are right."
        wrong: tuple[str, ...] = tuple(told)
    elif seen.node in off:
        text = f"The clock of this machine is {_ahead(off[seen.node])}: {len(agree)} of {len(told)} other nodes agree."
        wrong = ()
    else:
        text = (
            f"The clock of {_some(list(off))} is off: {len(agree)} of {len(clocks)} nodes agree, this one among them."
        )
        wrong = tuple(off)
    text += " Times in views are wrong by that; from a day on, certificates are refused."
    return [
        Finding(
            what=Ailment.CLOCK,
            severity=severity,
            text=text,
            evidence=tuple(f"{name}: {_ahead(offset)}, by this machine's" for name, offset in told.items()),
            do="Set it by NTP. Linux: `timedatectl set-ntp true`; macOS: `sudo sntp -sS time.apple.com`. "
            "No verdict hangs on it, and no node needs a restart.",
            nodes=wrong,
        )
    ]


# Names


def _name(seen: Seen) -> list[Finding]:
    do = (
        "One state dir was copied. Stop one of the two, remove its copy of the state dir, and let that machine in "
        "anew under a name of its own: `meshfleet invite`."
    )
    found: list[Finding] = []
    heard = [peer for peer in seen.peers if peer.path is not None and peer.path.rival is not None]
    if seen.usurper is not None or heard:
        evidence = [] if seen.usurper is None else [f"a later life of {seen.node} says that it is at {seen.usurper}"]
        evidence += [f"{p.name} hears another {seen.node} from {p.path.rival}" for p in heard if p.path is not None]
        believed = "that one is believed, and this one is not" if seen.usurper is not None else "this one is believed"
        text = f"Two processes speak as {seen.node}; {believed}."
        found.append(Finding(what=Ailment.NAME, severity=Severity.CRITICAL, text=text, evidence=tuple(evidence), do=do))
    for peer in seen.peers:
        if peer.rivalry is None:
            continue
        times, ago = peer.rivalry.times, _long(peer.rivalry.ago_s)
        by = "" if peer.rivalry.proven else ", or a member that passes for it"
        line = f"heard from {peer.rivalry.where} {times} time{'s' * (times != 1)}, last {ago} ago{by}"
        found.append(
            Finding(
                what=Ailment.NAME,
                severity=Severity.CRITICAL if peer.rivalry.proven else Severity.WARNING,
                text=f"Two processes speak as {peer.name}; the one at {peer.address} is believed.",
                evidence=(f"an earlier life of {peer.name}: {line}",),
                do=do,
                nodes=(peer.name,),
            )
        )
    return found


# Words


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _at(host: str, address: str) -> str:
    """That host, with the port of `address`."""
    return f"[{host}]:{_port(address)}" if ":" in host else f"{host}:{_port(address)}"


def _is_loopback(address: str) -> bool:
    return _host(address).startswith("127.") or _host(address) in ("::1", "localhost")


def _answered(answer: str | None) -> str:
    words = {"silent": "not answered", "no-route": "answered by the network: no route", None: "not tried"}
    return words.get(answer, answer or "")


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _long(seconds: float) -> str:
    for length, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _ahead(offset: float) -> str:
    return f"{_long(abs(offset))} {'ahead' if offset > 0 else 'behind'}"


def _overload(seen: Seen) -> list[Finding]:
    """That the fleet says more than it may."""
    if seen.slowed <= 1:
        return []
    return [
        Finding(
            what=Ailment.OVERLOAD,
            severity=Severity.WARNING,
            text=f"The fleet says too much: snapshots of agents of {seen.node} go {seen.slowed:g} times as seldom as "
            "usual, and so do everybody's. What agents show is as much older; who is there is seen as soon as ever.",
            evidence=(f"more than {seen.state_rate:,.0f} bytes/s of snapshots (timing.state_rate)",),
            do="Look for agents that change all the time (`meshfleet top`). Or set timing.snapshot_interval higher, on "
            "all nodes; where every link and machine can carry more, timing.state_rate.",
        )
    ]
