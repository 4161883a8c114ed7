"""What is read for a site's day, and the timelines of its links made from it; numbers are paragraphs of the rules' text."""
import states
from states import DEGRADED, HOUR, UNKNOWN, UP, Link, Outcome
from worlds import DAY, NOTHING, OK, PROVES

DAY_MS = DAY * 1000
QUARTER = 15 * 60_000


def ms(t):
    return round(t * 1000)


class Site:
    """A site with everything its agents sent."""

    def __init__(self, world, code, agents):
        self.world, self.code = world, code
        self.agents = [agent for agent in agents if agent.site == code]
        self.samples = sorted(ms(one.at) for agent in self.agents for boot in agent.boots if boot.is_dated()
                              for _, _, rounds in boot.batches for one in rounds)

    def stretches(self, start, end):
        """6.1 and 6.2: from when until when samples are read, as [from, until] with both ends."""
        near = [t for t in self.samples if start - 3 * HOUR <= t < end + HOUR]
        out = [(start - 3 * HOUR, end + HOUR - 1)]
        before = [t for t in self.samples if start - 3 * HOUR - 8 * DAY_MS <= t < start - 3 * HOUR]
        after = [t for t in self.samples if end + HOUR <= t < end + HOUR + 8 * DAY_MS]
        has_before = any(start - 3 * HOUR <= t < start for t in near)
        has_after = any(end <= t < end + HOUR for t in near)
        early = [(before[-1] - QUARTER, before[-1])] if before and not has_before else []
        late = [(after[0], after[0] + QUARTER)] if after and not has_after else []
        return early + out + late

    def events(self, link, start, end, choose):
        """What is told of a link, in order (4.1, 4.3)."""
        stretches = self.stretches(start, end)
        inside = lambda t: any(a <= t <= b for a, b in stretches)
        ends, rounds = [], []
        for agent in self.agents:
            for boot in agent.boots:
                if not boot.is_dated():
                    continue
                for begin, until, samples in boot.batches:
                    read = [one for one in samples if inside(ms(one.at))]
                    if read or inside(ms(until)):
                        length = ms(until) - ms(begin)
                        ends.append(("end", ms(until), agent, boot, length if 1000 <= length <= HOUR else None))
                    for one in read:
                        series = agent.series[one.series]
                        if link in (None, series["link"]) and choose(series):
                            says = None if one.outcome in NOTHING else one.outcome == OK or one.outcome in PROVES
                            rounds.append(("round", Outcome(ms(one.at), agent, series["target"], series, boot, says, one.values)))
        order = lambda e: (states.event_time(e), e[0] == "round", e[1].agent.name if e[0] == "round" else "", e[1].name if e[0] == "round" else "")
        return sorted(ends + rounds, key=order)

    def link(self, link, start, end, class_a=False, choose=states.is_anchor, limit_ms=None, before=None):
        """A link's states on a day, in whole seconds; degraded if it has a limit. `link` None stands for every link of the site."""
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS, self.fits)
        events = self.events(link, start, end, choose)
        if limit_ms:
            one.slots = slots(events, limit_ms, start, before)
        one.tell(events)
        one.finish(max([end] + [states.event_time(e) for e in events if e[0] == "round"]))
        timeline = states.spans(one.parts, start, end)
        for agent in self.agents:
            for boot in agent.boots:
                if not boot.is_dated() and boot.batches:
                    for at, until, state in self.proved(agent, boot, link, choose, class_a, limit_ms):
                        timeline = fill_unknown(timeline, at, until, state)
        return timeline

    def batches(self):
        return [(ms(begin), ms(until)) for agent in self.agents for boot in agent.boots if boot.is_dated() for begin, until, _ in boot.batches]

    def covered(self, start, end):
        """What reports of a day cover of it, cut to it; all of a world's reports come late."""
        return [(max(a, start), min(b, end)) for a, b in self.batches() if a < end and b > start]

    def reports(self, start, end):
        return sum(start <= until < end for _, until in self.batches())

    # Boots without a time (5.4, 5.5).
    def bounds(self, agent, boot):
        """The earliest its first batch can have begun, and the latest its last batch can have ended."""
        if boot.source != 1:
            return None, None
        earliest = ms(boot.persisted())
        later = [ms(other.start) for other in agent.boots if other.is_dated() and other.batches and ms(other.batches[-1][1]) > earliest and ms(other.start) > earliest]
        return earliest, min(later, default=None)

    def fits(self, agent, after, before):
        for boot in agent.boots:
            if boot.is_dated() or not boot.batches:
                continue
            length = ms(boot.batches[-1][1]) - ms(boot.batches[0][0])
            earliest, latest = self.bounds(agent, boot)
            end = min(before, latest) if latest is not None else before
            if end - length >= after and (earliest is None or end - length >= earliest):
                return True
        return False

    def proved(self, agent, boot, link, choose, class_a, limit_ms):
        earliest, latest = self.bounds(agent, boot)
        if latest is None:
            return
        shift = latest - ms(boot.batches[-1][1])
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS)
        events = []
        for begin, until, samples in boot.batches:
            for x in samples:
                series = agent.series[x.series]
                if link in (None, series["link"]) and choose(series):
                    says = None if x.outcome in NOTHING else x.outcome == OK or x.outcome in PROVES
                    events.append(("round", Outcome(ms(x.at) + shift, agent, series["target"], series, boot, says, x.values)))
            events.append(("end", ms(until) + shift, agent, boot, ms(until) - ms(begin)))
        if limit_ms:
            one.slots = slots(events, limit_ms, 0, None)
        one.tell(sorted(events, key=lambda e: (states.event_time(e), e[0] == "round")))
        one.finish(latest)
        ends = [ms(other.batches[-1][1]) for other in agent.boots if other.is_dated() and other.batches and ms(other.start) <= earliest]
        slack = ms(boot.batches[0][0]) + shift - max([earliest] + ends)
        for at, until, state in states.spans(one.parts, (ms(boot.start) + shift) // 1000 * 1000 - 1000, latest):
            if state in (UP, DEGRADED) and at < until - slack:
                yield at, (until - slack) // 1000 * 1000, state


def slots(events, limit_ms, midnight, before):
    pooled = states.Slots(limit_ms, midnight, before)
    for kind, told, *_ in events:
        if kind == "round" and told.says is not None:
            pooled.add(told, dict(zip(told.series["metrics"], told.values)))
    return pooled


def fill_unknown(timeline, start, end, state):
    out = []
    for at, until, was in timeline:
        a, b = max(at, start), min(until, end)
        if was == UNKNOWN and a < b:
            out += [x for x in ((at, a, was), (a, b, state), (b, until, was)) if x[0] < x[1]]
        else:
            out.append((at, until, was))
    joined = []
    for one in out:
        if joined and joined[-1][2] == one[2]:
            joined[-1] = (joined[-1][0], one[1], one[2])
        else:
            joined.append(one)
    return joined
