"""Breaks the judge, the merge, the spread and what zones tell, one rule at a time, and sees whether anybody notices:
`make mutants`. `mutating` tries them."""

from __future__ import annotations

from tests.mutants_of_spread import OF_SPREAD
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
        "who was presumed down behind a cut comes back, too",
        "gossip/judging.py",
        "record.life.lost = True",
        "record.life.lost = record.presence is Presence.UNREACHABLE",
    ),
    Mutant(
        "what another's kernel accepts is no sign of life of the dead",
        "gossip/neighbours.py",
        "case Connect.ACCEPTED if anothers:",
        "case Connect.ACCEPTED if False:",
    ),
    Mutant(
        "what was accepted before the other was known counts no longer",
        "gossip/judging.py",
        "if self.addresses.are_anothers(record):",
        "if False:",
    ),
    Mutant(
        "to name an address is not to be there",
        "gossip/addresses.py",
        "if record.delivery.source != record.address or record.info.relays:",
        "if record.info.relays:",
    ),
    Mutant(
        "who saw a process end buries it anew when its last word comes late",
        "gossip/judging.py",
        "record.life.witnessed < record.alive.incarnation:",
        "record.life.witnessed < 0:",
    ),
    Mutant(
        "who went home long ago makes no group of the refused too small",
        "gossip/judging.py",
        "0.02 * (self._roster.there + len([r for r in refused if r.is_gone]))",
        "0.02 * len(self._roster)",
    ),
    Mutant(
        "a suspicion lasts as long as those that are there make it",
        "gossip/judging.py",
        "members = self._roster.there + 1",
        "members = len(self._roster) + 1",
    ),
    Mutant(
        "a refusal waits for the answer to what was asked together with it",
        "gossip/judging.py",
        "[r for r in record.refusals if r.at <= at - self.waits_for_answer(record)]",
        "record.refusals",
    ),
    Mutant(
        "another's proof waits for the answer, too",
        "gossip/judging.py",
        "since <= r.at <= until",
        "since <= r.at",
    ),
    Mutant(
        "an answer is newer than its question",
        "gossip/record.py",
        "return max(self.heard_at - under_way, self.life.ran_at)",
        "return self.heard_at - under_way",
    ),
    Mutant(
        "another's obituary alone proves nothing",
        "gossip/judging.py",
        "if seen or obituary.by == self._me or refused or silent:",
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
        "newer = known is None or known.seq < snapshot.seq\n",
        "newer = known is None or known.seq < snapshot.seq + 2\n",
    ),
    Mutant(
        "complete never claims a gap",
        "gossip/replica.py",
        "if after <= self.complete < upto:",
        "if self.complete < upto:",
    ),
    Mutant("nothing below the floor lives", "gossip/replica.py", "        self.raise_floor(_floor(snapshot))\n", ""),
    Mutant(
        "a floor counts once all up to it is held",
        "gossip/replica.py",
        "            self._follow_up()\n            if len(self._ahead)",
        "            self._follow_up()\n            self.raise_floor(snapshot.floor)\n            if len(self._ahead)",
    ),
    Mutant(
        "a floor that came ahead counts when its turn comes",
        "gossip/replica.py",
        "                self.raise_floor(floor)\n",
        "",
    ),
    Mutant(
        "the last word of an origin carries its floor",
        "gossip/replica.py",
        '            spread.append(self._publish(withdrawn[-1].agent, b""))\n',
        "",
    ),
    Mutant(
        "of a full shelf the oldest goes",
        "gossip/replica.py",
        "            shelf.make_room(snapshot.seq)\n",
        "            return False\n",
    ),
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
    *OF_SPREAD,
)

if __name__ == "__main__":
    raise SystemExit(main(MUTANTS))
