"""The rest of the list in `mutants`: rules of probing, spreading, pace and zones."""

from __future__ import annotations

from tests.mutating import Mutant

OF_SPREAD = (
    # Probes and spread
    Mutant(
        "a relay passes on only for whom it is named by",
        "gossip/ways.py",
        "record is None or self._me not in record.info.relays or not record.has_stream",
        "record is None",
    ),
    Mutant(
        "nobody knocks where a hidden member says that it listens",
        "gossip/neighbours.py",
        "        if record.info.relays:\n            return\n        self._outbox.connect(record)",
        "        self._outbox.connect(record)",
    ),
    Mutant("an ack counts for the life that was pinged", "gossip/prober.py", "probing.epoch != ack.epoch", "False"),
    Mutant(
        "a ping for another is not answered",
        "gossip/prober.py",
        "        if ping.target != self._me:",
        "        if False:",
    ),
    Mutant(
        "a probe asks over a stream as well",
        "gossip/prober.py",
        "self._outbox.stream(record, Ping(seq, record.name))",
        "pass",
    ),
    Mutant(
        "the end of a stream with a last life proves nothing of the next",
        "gossip/neighbours.py",
        "case StreamEnd.EOF if record.streamed != record.epoch:",
        "case StreamEnd.EOF if False:",
    ),
    Mutant(
        "the last question goes over a stream as well", "gossip/rounds.py", "        if streaming:", "        if False:"
    ),
    Mutant(
        "nobody of another zone is taken in",
        "gossip/membership.py",
        '"other_zone" if self.zone not in (None, claim.info.zone) else',
        '"other_zone" if False else',
    ),
    # Two levels
    Mutant(
        "a zone looks no better than who tells of it",
        "zones/seen.py",
        "    if best.carrier is not Presence.FRESH and",
        "    if False and",
    ),
    Mutant(
        "another delegate tells what nobody tells as well",
        "zones/bridge.py",
        "        elif now - self._lacking",
        "        elif False and now - self._lacking",
    ),
    Mutant("of a zone cut in two the larger part counts", "zones/bridge.py", "-one[1].there", "one[1].there"),
    Mutant("of a zone that is not heard the newest sums count", "zones/bridge.py", "(-one[2],", "(-one[1].there,"),
    Mutant(
        "what a delegate's last life told is not fresh",
        "zones/seen.py",
        "return shelf.epoch >= record.epoch",
        "return True",
    ),
    Mutant(
        "that all who spoke for a zone died does not make it down",
        "zones/bridge.py",
        "        if presence is Presence.DOWN:",
        "        if False:",
    ),
    Mutant(
        "who is chosen no more steps down",
        "zones/bridge.py",
        "return now - self._chosen_at <= hold",
        "return self._chosen_at > 0",
    ),
    Mutant(
        "an end without goodbye is followed by a knock",
        "gossip/neighbours.py",
        "        self.knock(record)\n        if not record.is_gone:",
        "        if not record.is_gone:",
    ),
    Mutant(
        "the gone are tried again",
        "gossip/rounds.py",
        "            member.prober.probe(record, now)\n            if record.presence",
        "            if record.presence",
    ),
    Mutant(
        "two whose orders differ for long compare what they know",
        "gossip/rollcall.py",
        "if not self.differs(call, at) or at < self._compare_at:",
        "if True:",
    ),
    Mutant("a snapshot is handed on", "gossip/spread.py", "        if message.until is not None:", "        if False:"),
    Mutant("stretches of the ring do not overlap", "gossip/roster.py", "                ends = name\n", ""),
    Mutant(
        "a rumor is sent a bounded number of times",
        "gossip/rumors.py",
        "return rumor.sent >= times or",
        "return False and",
    ),
    Mutant(
        "who was given up is no side of the fleet",
        "fleet/standing.py",
        "len([peer for peer in group if not peer.given_up])",
        "len(group)",
    ),
    Mutant(
        "nothing is held against a word that was never said",
        "gossip/claims.py",
        "(self.alive is None or number == self.number) and not settled",
        "(self.alive is None or number >= self.number) and not settled",
    ),
    Mutant(
        "of each host one accuser is kept",
        "gossip/claims.py",
        "if self.host_of(said.by) == host), None)",
        "if said.by == claim.by), None)",
    ),
    Mutant(
        "of who was gone when it was told of the last heartbeat counts",
        "gossip/record.py",
        "return self.judged_since if self.beat_at > self.met_at else min(self.judged_since, self.beat_at)",
        "return self.judged_since",
    ),
    Mutant(
        "of what waits for its turn the newest wins",
        "gossip/pacing.py",
        "        self._held[agent] = body\n",
        "        self._held.setdefault(agent, body)\n",
    ),
    Mutant(
        "withdrawing an agent goes at once",
        "gossip/pacing.py",
        "if left <= 0 or not body:",
        "if left <= 0:",
    ),
    Mutant(
        "an agent that is there again goes at once",
        "gossip/pacing.py",
        "waits = 0.0 if withdrew else self._timing.snapshot_interval",
        "waits = self._timing.snapshot_interval",
    ),
    Mutant(
        "an agent that comes and goes has no more turns than others",
        "gossip/pacing.py",
        "(max(self._turn, went + self._timing.snapshot_interval), not body)",
        "(self._turn, not body)",
    ),
    Mutant(
        "the slowing forgets a little",
        "gossip/pacing.py",
        "log(self.stretch) * (1 - FORGETS * passed)",
        "log(self.stretch)",
    ),
    Mutant(
        "agents wait in time that runs slower",
        "gossip/pacing.py",
        "self._turn += (now - self._turned_at) / self.stretch",
        "self._turn += now - self._turned_at",
    ),
    Mutant(
        "no verdict is kept of who is forgotten",
        "gossip/roster.py",
        "if self._records.get(record.name) is not record:",
        "if False:",
    ),
    Mutant(
        "nothing comes of a probe of who is forgotten meanwhile",
        "gossip/rounds.py",
        "        member.prober.forget(record)\n",
        "",
    ),
    Mutant(
        "who is forgotten is not probed",
        "gossip/prober.py",
        "        if self._roster.get(record.name) is record:\n            self._begin",
        "        if True:\n            self._begin",
    ),
    Mutant(
        "who has been gone for longest makes room",
        "gossip/roster.py",
        "(record.gone_since, record.name)",
        "(-record.gone_since, record.name)",
    ),
    Mutant(
        "nobody makes room who is not gone",
        "gossip/roster.py",
        "gone = [record for record in self.doubted.values() if record.is_gone]",
        "gone = [record for record in self.doubted.values()]",
    ),
    Mutant(
        "who is full tells of nobody that is gone",
        "gossip/roster.py",
        "        gone_since = inf if self._is_full() else gone_since\n",
        "",
    ),
    Mutant(
        "who makes room is forgotten altogether",
        "gossip/rounds.py",
        "        member.roster.forget = self.forget\n",
        "",
    ),
    Mutant("snapshots have a budget", "gossip/budget.py", "        if self._left <= 0:\n", "        if False:\n"),
    Mutant("the largest snapshot goes as well", "gossip/budget.py", "if self._left <= 0:", "if self._left < size:"),
    Mutant(
        "who is out of reach is told last",
        "gossip/roster.py",
        "        drawn.sort(key=_is_out_of_reach)\n",
        "",
    ),
    Mutant(
        "who hears nobody asks at the usual interval",
        "gossip/prober.py",
        "stretch = 1 if alone else self._awareness.multiplier",
        "stretch = self._awareness.multiplier",
    ),
    Mutant(
        "who hears nobody asks several",
        "gossip/prober.py",
        "range(self._timing.helpers if alone else 1)",
        "range(1)",
    ),
    Mutant(
        "the gone are not probed in turn",
        "gossip/roster.py",
        "            if not record.is_gone:\n                return record",
        "            return record",
    ),
)
