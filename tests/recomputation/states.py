"""A link's states on one day, from raw rounds, by the rules' text alone; numbers in comments are its paragraphs.

Times are Unix milliseconds. A timeline is a list of (from, until, state) without gaps.
"""
import math
from dataclasses import dataclass

UP, DEGRADED, DOWN, UNKNOWN, WORK, CLOSED = "up", "degraded", "down", "unknown", "work", "closed"
HOUR = 3_600_000
CONFIRM_ROUNDS, RECOVER_ROUNDS = 3, 3
CONFIRM_MS, CONFIRM_CLASS_A_MS, CONFIRM_GRACE_MS = 90_000, 25_000, 500
POWER_CUT_MS = 90_000
SLOT_MS = 300_000
PATIENCE_LEAST_MS = 600_000
PROVING_PROBES = {1, 2, 3, 4, 5, 6, 7, 9}      # 3.6


def life_ms(interval_s):
    return max(120_000, (interval_s or 60) * 2_250)       # 4.2


def is_anchor(series):
    """3.6"""
    return series["probe"] in PROVING_PROBES and (7 <= series["rung"] <= 10 or (series["rung"] == 11 and series["network"] == 4))


@dataclass
class Target:
    agent: object
    interval_s: int
    outside: bool = False
    newest: int | None = None          # its newest round
    newest_answer: int | None = None
    failures: int = 0
    first_failure: int | None = None
    answers: int = 0
    first_answer: int | None = None

    def life(self):
        return life_ms(self.interval_s)


@dataclass
class Looker:
    """How far an agent has looked at the link, and what is known of its boots and reports."""
    looked: int | None = None
    report_ms: int = 60_000
    boot: object = None
    again: int | None = None           # when it looked again after a gap

    def patience(self):
        return max(2 * self.report_ms, PATIENCE_LEAST_MS)


@dataclass
class Outcome:
    """One round of a link: its target, its time, what it says. `says` is True, False or None."""
    at: int
    agent: object
    name: str
    series: dict
    boot: object
    says: bool | None
    values: list
    weight: int = 1
    outside: bool = False


class Link:
    def __init__(self, confirm_ms, undated=lambda agent, after, before: False):
        self.confirm_ms, self.undated = confirm_ms, undated
        self.targets, self.lookers = {}, {}
        self.parts, self.off, self.newest_proof, self.ended = [], None, None, None
        self.slots = None              # what makes it degraded

    # What is told.
    def tell(self, events):
        """Events in order: ("end", at, agent, boot, batch length or None) or ("round", Outcome)."""
        place = 0
        while place < len(events):
            kind, at = events[place][0], event_time(events[place])
            if not self.parts:
                self.parts, self.begin = [(at, UNKNOWN)], at
            if kind == "end":
                _, _, agent, boot, length = events[place]
                self.batch_end(at, agent, boot, length)
                place += 1
                continue
            while place < len(events) and events[place][0] == "round" and events[place][1].at == at:
                self.count(events[place][1])
                place += 1
            self.judge(at)

    def close(self):
        """7.3: what the slots say that every own agent has looked past."""
        own = [self.reach(t.agent) for t in self.targets.values() if not t.outside]
        if self.slots and own:
            self.slots.close(self, min(own))

    def batch_end(self, at, agent, boot, length):
        looker = self.lookers.setdefault(id(agent), Looker())
        if length:
            looker.report_ms = length
        if looker.boot and boot is not looker.boot and boot.start > looker.boot.start:
            return                                              # 4.3
        if self.move(looker, at):
            self.close()
            self.judge(at)

    def move(self, looker, at):
        if looker.looked is not None and at <= looker.looked:
            return False
        mine = [t.life() for t in self.targets.values() if self.lookers.get(id(t.agent)) is looker]
        if looker.looked is not None and mine and at - looker.looked > min(mine):
            looker.again = at                                   # 4.13
        looker.looked = at
        return True

    def count(self, one):
        looker = self.lookers.setdefault(id(one.agent), Looker())
        key = (id(one.agent), one.name, one.series["rung"], one.series["interval_s"], one.outside)
        target = self.targets.get(key)
        if target and target.newest is not None and one.at <= target.newest:
            return
        if not one.outside and looker.boot is not one.boot:
            if looker.boot and one.boot.start > looker.boot.start:
                self.power(one, looker)
            if not looker.boot or one.boot.start > looker.boot.start:
                looker.boot = one.boot
        if one.says is None:
            return
        if not target:
            target = self.targets[key] = Target(one.agent, one.series["interval_s"], one.outside)
        if self.move(looker, one.at):
            self.close()
            self.judge(one.at)
        if target.newest is not None and one.at - target.newest > target.life():
            target.failures = target.answers = 0                # 4.6
        target.newest = one.at
        if one.says:
            target.failures = 0
            if not target.answers:
                target.first_answer = one.at
            target.answers += one.weight
            target.newest_answer = one.at
            self.newest_proof = max(self.newest_proof or 0, one.at)
            for other in self.targets.values():                 # 4.7
                if other.failures and other.first_failure <= one.at:
                    other.failures = 0
        else:
            target.answers = 0
            if self.newest_proof is None or one.at > self.newest_proof:
                if not target.failures:
                    target.first_failure = one.at
                target.failures += one.weight

    def power(self, one, looker):
        """5.1 and 5.2: the first sample of a later boot of an own agent."""
        mine = [t for t in self.targets.values() if t.agent is one.agent and not t.outside]
        heard = any(t.newest is not None for t in mine)
        if looker.looked is None or not heard:
            return
        sign = looker.looked
        for at, goes_on in self.others(one):
            if at < one.at or goes_on:
                sign = max(sign, min(at, one.at))
        if one.boot.start_ms() < sign + POWER_CUT_MS or one.boot.start_ms() > one.at:
            return
        if self.undated(one.agent, sign, one.boot.start_ms()):
            return
        begin = self.parts[-1][0] if self.parts[-1][1] == DOWN else sign
        self.turn(begin, DOWN, one.at)
        self.off = looker
        for target in mine:
            target.failures = target.answers = 0

    def others(self, one):
        """When anybody else last heard the link, and whether that goes on without a gap since before a sample."""
        for target in self.targets.values():
            if target.agent is one.agent:
                continue
            if target.outside and target.newest_answer is not None:
                yield target.newest_answer, target.answers and target.first_answer < one.at
            if not target.outside and target.newest is not None:
                again = self.lookers[id(target.agent)].again
                yield target.newest, again is None or again < one.at

    # What follows.
    def reach(self, agent):
        """4.4"""
        if self.ended is not None:
            return self.ended
        mine = self.lookers[id(agent)]
        others = [x.looked for x in self.lookers.values() if x is not mine and x.looked is not None and x.looked > mine.looked + mine.patience()]
        return max([mine.looked] + others)

    def patience_over(self, looker):
        return self.ended is not None or any(x.looked is not None and x.looked > looker.looked + looker.patience() for x in self.lookers.values())

    def judge(self, now):
        for _ in range(10):
            if not self.judge_once(now):
                return

    def judge_once(self, now):
        state = UP if self.parts[-1][1] == DEGRADED else self.parts[-1][1]
        heard = [t for t in self.targets.values() if t.newest is not None]
        fresh = [t for t in heard if not t.outside and t.newest + t.life() >= self.reach(t.agent)]
        outside = [t for t in heard if t.outside and t.newest_answer is not None and t.newest_answer + t.life() >= self.reach(t.agent)]
        from_outside = [t.first_answer if t.answers else t.newest_answer for t in outside]
        evidence = [t.newest + t.life() for t in heard if not t.outside] + [t.newest_answer + t.life() for t in heard if t.outside and t.newest_answer]
        if self.off:
            evidence.append(self.off.looked)
        if not fresh:                                           # 4.9
            if outside:
                begin = min(from_outside)
                return state != UP and self.turn(max(begin, max(evidence)) if state == DOWN else begin, UP, now)
            if state == DOWN and self.off and not self.patience_over(self.off):
                return False
            return state != UNKNOWN and bool(evidence) and self.turn(max(evidence), UNKNOWN, now)
        if state == DOWN:                                       # 4.10
            need = 1 if self.off else RECOVER_ROUNDS
            runs = [t.first_answer for t in fresh + outside if t.answers >= need]
            return bool(runs) and self.turn(min(runs), UP, now)
        if state == UNKNOWN:                                    # 4.11
            runs = [t.first_answer for t in fresh if t.answers] + from_outside
            if runs:
                return self.turn(min(runs), UP, now)
        if outside or any(self.is_awaited(t) for t in heard if not t.outside) or any(t.failures < CONFIRM_ROUNDS for t in fresh):
            return False
        begin = max(t.first_failure for t in fresh)
        if max(t.newest for t in fresh) - begin >= self.confirm_ms - CONFIRM_GRACE_MS:
            return self.turn(begin, DOWN, now)                  # 4.12
        return False

    def is_awaited(self, target):
        """4.13"""
        looker = self.lookers[id(target.agent)]
        if target.newest + target.life() >= self.reach(target.agent) or self.patience_over(looker) or looker.again is None:
            return False
        return target.newest < looker.again and looker.looked < looker.again + target.interval_s * 1_250

    def turn(self, at, state, now):
        """4.14: a change of reach."""
        at = max(at, self.begin)
        while self.parts and self.parts[-1][0] >= at:
            self.parts.pop()
        if not self.parts or self.parts[-1][1] != state:
            self.parts.append((at, state))
        self.begin = at
        if state != DOWN:
            self.off = None
        if self.slots:
            self.slots.forget(now)
        return True

    def finish(self, end):
        self.ended = end
        if self.parts:
            self.close()
            self.judge(end)


class Slots:
    """7: five minutes of a link's packets, and whether they make it degraded."""

    def __init__(self, limit_ms, generation, midnight, before):
        """`generation` is the one a modem should report at least; 0 without one."""
        self.limit_us, self.generation, self.midnight, self.before = limit_ms * 1000, generation, midnight, before
        self.pools, self.next, self.floor, self.below = {}, None, 0, set()

    def add_modem(self, at, generation):
        if 0 < (generation or 0) < self.generation:
            self.below.add(at // SLOT_MS)

    def add(self, one, values):
        pool = self.pools.setdefault(one.at // SLOT_MS, [0, 0, []])
        value = lambda *metrics: next((values[m] for m in metrics if values.get(m) is not None), None)
        sent, received = value(1), value(2)
        pool[0] += 1 if sent is None else sent
        pool[1] += (1 if one.says else 0) if sent is None else received or 0
        time = value(12, 11, 10, 21)
        if time is not None:
            pool[2].append(time)

    def forget(self, now):
        self.floor = now // SLOT_MS + 1

    def judge(self, slot):
        """Returns whether it is bad and whether it is clean; None if it does not count."""
        if slot < self.floor or slot not in self.pools:
            return None
        sent, received, times = self.pools[slot]
        lost = (sent - received) / sent if sent else 0
        p95 = sorted(times)[math.ceil(0.95 * len(times)) - 1] if times else 0
        below = slot in self.below
        return lost >= 0.05 or p95 >= self.limit_us or below, lost < 0.02 and p95 < 0.8 * self.limit_us and not below

    def close(self, link, until):
        if self.next is None:
            self.next = min(self.pools, default=until // SLOT_MS)
        while (self.next + 1) * SLOT_MS <= until:
            end = (self.next + 1) * SLOT_MS
            if end >= self.midnight and self.before:
                self.over_midnight(link)
            told = [self.judge(slot) for slot in range(self.next - 4, self.next + 1)]
            counted = [one for one in told if one]
            state = link.parts[-1][1]
            if state == UP and sum(bad for bad, _ in counted) >= 3:
                link.parts.append((max(end, link.parts[-1][0]), DEGRADED))
            elif state == DEGRADED and len(counted) >= 3 and all(clean for _, clean in counted[-3:]):
                link.parts.append((max(end, link.parts[-1][0]), UP))
            self.next += 1

    def over_midnight(self, link):
        """7.5"""
        at, state = link.parts[-1]
        if state in (UP, DEGRADED) and self.before in (UP, DEGRADED) and state != self.before and at <= self.midnight:
            link.parts.append((self.midnight, self.before))
        self.before = None


def event_time(event):
    return event[1].at if event[0] == "round" else event[1]


def spans(parts, start, end):
    """Cuts a link's parts to [start, end): whole seconds, in milliseconds; unknown where nothing is said (2.2, 4.15)."""
    out, at = [], start
    parts = [(start - 1, UNKNOWN)] + list(parts)
    for (begin, state), (until, _) in zip(parts, parts[1:] + [(end, None)]):
        begin, until = max(begin // 1000 * 1000, start), min(until // 1000 * 1000, end)
        if begin < until and begin >= at:
            if out and out[-1][2] == state:
                out[-1] = (out[-1][0], until, state)
            else:
                out.append((begin, until, state))
            at = until
    return out


def seconds(timeline, start, end):
    total = {}
    for at, until, state in timeline:
        part = min(until, end) - max(at, start)
        if part > 0:
            total[state] = total.get(state, 0) + part // 1000
    return total


def merge(timelines, rule):
    """Merges timelines over the same time by `rule(states) -> state`."""
    bounds = sorted({bound for timeline in timelines for at, until, _ in timeline for bound in (at, until)})
    places, out = [0] * len(timelines), []
    for at, until in zip(bounds, bounds[1:]):
        for n, timeline in enumerate(timelines):
            while timeline[places[n]][1] <= at:
                places[n] += 1
        state = rule([timeline[place][2] for timeline, place in zip(timelines, places)])
        if out and out[-1][2] == state:
            out[-1] = (out[-1][0], until, state)
        else:
            out.append((at, until, state))
    return out
