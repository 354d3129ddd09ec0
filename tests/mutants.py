"""Breaks the judge, the merge, the spread and what zones tell, one rule at a time, and sees whether anybody notices:
`make mutants`. `mutating` tries them."""

from __future__ import annotations

from tests.mutating import Mutant, main

MUTANTS = (
    # The judge
    Mutant(
        "who is cut off itself says down of nobody", "fleet/presence.py", "    if standing.is_cut_off:", "    if False:"
    ),
    Mutant(
        "nobody is presumed down before 3T",
        "fleet/presence.py",
        "min(evidence.age, evidence.heard_ago, evidence.known_for) > timing.presumed_after",
        "min(evidence.age, evidence.heard_ago, evidence.known_for) > timing.unreachable_after",
    ),
    Mutant(
        "a sign of life without a newer heartbeat is one",
        "fleet/presence.py",
        "min(evidence.age, evidence.heard_ago, evidence.known_for) > timing.presumed_after",
        "min(evidence.age, evidence.known_for) > timing.presumed_after",
    ),
    Mutant(
        "a silence that others tell of is not this observer's",
        "fleet/presence.py",
        "min(evidence.age, evidence.heard_ago, evidence.known_for) > timing.presumed_after",
        "min(evidence.age, evidence.heard_ago) > timing.presumed_after",
    ),
    Mutant(
        "a kernel that answers a helper is a sign of life",
        "gossip/prober.py",
        "elif nack.trouble is Trouble.ACCEPTED_MUTE and",
        "elif False and",
    ),
    Mutant(
        "a large window on one machine hides no loss",
        "fleet/standing.py",
        "group = max(losses, key=len)",
        "group = max(_windows(rest, 2 * timing.heartbeat), key=len)",
    ),
    Mutant(
        "who is refused may be behind the cut of those that fell silent",
        "fleet/standing.py",
        "lost_together(silent + refused, len(fresh) + 1 - len(refused), timing) if refused else groups",
        "groups",
    ),
    Mutant("a group loss is a cut, not deaths", "fleet/presence.py", "and evidence.group is None", "and True"),
    Mutant("who still accepts is not presumed down", "fleet/presence.py", "and not evidence.accepts", "and True"),
    Mutant(
        "where nobody can confirm, nobody is presumed down",
        "fleet/presence.py",
        "and evidence.could_confirm > 0",
        "and True",
    ),
    Mutant(
        "a word newer than the end of its stream is a veto",
        "fleet/presence.py",
        "if evidence.eof is not None and evidence.heard_at <= evidence.eof.at:",
        "if evidence.eof is not None:",
    ),
    Mutant(
        "a refusal proves only soon after a bare end",
        "fleet/presence.py",
        "if 0 <= refusal.at - evidence.eof.at <= timing.eof_window:",
        "if True:",
    ),
    Mutant(
        "half and half: both sides are partitioned",
        "fleet/standing.py",
        "if 2 * lost_now >= lost_now + len(fresh) + 1:",
        "if 2 * lost_now > lost_now + len(fresh) + 1:",
    ),
    Mutant("a group is of at least two hosts", "fleet/standing.py", "and len({p.host for p in group}) > 1", "and True"),
    Mutant(
        "another's obituary alone proves nothing",
        "gossip/judging.py",
        "if obituary.by == self._me or refused or silent:",
        "if True:",
    ),
    Mutant(
        "who is heard was not forgotten, whoever says so",
        "gossip/judging.py",
        "if there and not own_word:",
        "if False:",
    ),
    Mutant(
        "a group loss is held only for group_hold",
        "gossip/judging.py",
        "if at - latest > self._timing.group_hold + self._timing.beat_interval:",
        "if False:",
    ),
    Mutant(
        "what fell into an own cut is not counted as silence",
        "gossip/judging.py",
        "if at - self._cut_off_at < self._timing.presumed_after:",
        "if at - self._cut_off_at < follow:",
    ),
    Mutant(
        "who is about to be presumed is asked for once more",
        "gossip/rounds.py",
        "        self._call_last(at)\n",
        "",
    ),
    Mutant(
        "who was in a lost group has 2T to follow",
        "gossip/judging.py",
        "if at - record.grouped_at < follow and not given_up:",
        "if False:",
    ),
    Mutant(
        "a group is remembered whatever else holds it",
        "gossip/judging.py",
        "record.grouped_at = at  # whatever else",
        "record.grouped_at = at if at - self._cut_off_at >= follow else record.grouped_at  # whatever else",
    ),
    Mutant(
        "too few confirmers mean the longest suspicion",
        "gossip/suspicion.py",
        "if could_confirm < timing.confirmations:",
        "if False:",
    ),
    Mutant(
        "silence counts only while listening", "gossip/listening.py", "self.deaf += gap - self._counts_at_most", "pass"
    ),
    Mutant(
        "two of three silent helpers are evidence about me",
        "gossip/awareness.py",
        "if asked and 3 * silent >= 2 * asked:",
        "if asked and silent:",
    ),
    # The merge
    Mutant(
        "at equal numbers the worse news wins",
        "gossip/claims.py",
        "(self.alive is None or number == self.number) and not settled",
        "(self.alive is None or number > self.number) and not settled",
    ),
    Mutant(
        "a goodbye is final for its epoch",
        "gossip/claims.py",
        "self.left.epoch >= self.alive.epoch",
        "self.left.epoch > self.alive.epoch",
    ),
    Mutant(
        "the newest snapshot wins",
        "gossip/replica.py",
        "if known is not None and known.seq >= snapshot.seq:",
        "if known is not None and known.seq > snapshot.seq + 1:",
    ),
    Mutant(
        "complete never claims a gap",
        "gossip/replica.py",
        "if after <= self.complete < upto:",
        "if self.complete < upto:",
    ),
    Mutant("nothing below the floor lives", "gossip/replica.py", "        self.raise_floor(snapshot.floor)\n", ""),
    Mutant(
        "nobody tells me about my own agents",
        "gossip/replica.py",
        "        if snapshot.node == self._me:\n            return False",
        "        if False:\n            return False",
    ),
    Mutant(
        "a heartbeat that comes late does not make fresh",
        "gossip/beats.py",
        "            record.beat_at = self.raised[record.roll_place] = raised_at\n        record.beat,",
        "            record.beat_at = self.raised[record.roll_place] = at\n        record.beat,",
    ),
    Mutant(
        "whoever is told an older heartbeat answers with the newer",
        "gossip/beats.py",
        "newer_here.append(_beat(record))",
        "pass",
    ),
    Mutant(
        "a heartbeat that rode on a snapshot is told once more and no more",
        "gossip/beats.py",
        "record.hot = 1 if rides else self._timing.fan_out",
        "record.hot = self._timing.fan_out",
    ),
    Mutant(
        "only its origin's proof raises a heartbeat",
        "gossip/beats.py",
        "if not (self._trusts or self._vouching.proves(record, counter, proof)):",
        "if False:",
    ),
    Mutant(
        "a datagram shows nobody alive whose heartbeats ended",
        "gossip/hearing.py",
        "if via is not Via.STREAM and beats.is_outlived(record, at):",
        "if False:",
    ),
    Mutant(
        "nor does an answer",
        "gossip/hearing.py",
        "if hearsay and record is not None and member.beats.is_outlived(record, at):",
        "if False:",
    ),
    Mutant(
        "forged heartbeats cost so many hashes and no more",
        "gossip/vouching.py",
        "            self._add(self._wasted, steps)",
        "            pass",
    ),
    Mutant(
        "an anchor is known for one interval before it is needed",
        "gossip/beats.py",
        " and at >= self._rides_from:",
        ":",
    ),
    Mutant(
        "bad news of one member is looked into once in T",
        "gossip/hearing.py",
        "elif now - record.looked_at < timing.heartbeat:",
        "elif False:",
    ),
    Mutant(
        "who fell silent with one of a group is of it",
        "fleet/standing.py",
        "            group.append(peer)",
        "            pass",
    ),
    Mutant(
        "who is suspected refutes",
        "gossip/membership.py",
        '        self._say(incarnation=claim.incarnation + 1)\n        self._counts["refuted"] += 1',
        '        self._counts["refuted"] += 1',
    ),
    Mutant(
        "an incarnation may not leap",
        "gossip/membership.py",
        "if claim.incarnation > self.me.incarnation + INCARNATION_LEAP:",
        "if False:",
    ),
    Mutant(
        "nobody is told its own accusations",
        "gossip/membership.py",
        "if by_others and isinstance(claim, Suspect | Obituary) and claim.by == self.name:",
        "if False:",
    ),
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
        "if left <= 0 or (not body and not withdrew):",
        "if left <= 0:",
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
    Mutant("snapshots have a budget", "gossip/budget.py", "        if self._left <= 0:\n", "        if False:\n"),
    Mutant("the largest snapshot goes as well", "gossip/budget.py", "if self._left <= 0:", "if self._left < size:"),
    Mutant(
        "the gone are not probed in turn",
        "gossip/roster.py",
        "            if not record.is_gone:\n                return record",
        "            return record",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(MUTANTS))
