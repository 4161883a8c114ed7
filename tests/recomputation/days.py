"""What is read for a site's day, and the timelines of its links made from it; numbers are paragraphs of the rules' text."""
import states
from states import DOWN, HOUR, UNKNOWN, UP, Link, Outcome
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
                        if series["link"] == link and choose(series):
                            says = None if one.outcome in NOTHING else one.outcome == OK or one.outcome in PROVES
                            rounds.append(("round", Outcome(ms(one.at), agent, series["target"], series, boot, says)))
        order = lambda e: (states.event_time(e), e[0] == "round", e[1].agent.name if e[0] == "round" else "", e[1].name if e[0] == "round" else "")
        return sorted(ends + rounds, key=order)

    def link(self, link, start, end, class_a=False, choose=states.is_anchor):
        """A link's reach on a day: its timeline in whole seconds, in milliseconds."""
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS, self.fits)
        events = self.events(link, start, end, choose)
        one.tell(events)
        one.finish(max([end] + [states.event_time(e) for e in events if e[0] == "round"]))
        timeline = states.spans(one.parts, start, end)
        for agent in self.agents:
            for boot in agent.boots:
                if not boot.is_dated() and boot.batches:
                    for at, until in self.proved(agent, boot, link, choose, class_a):
                        timeline = fill_unknown(timeline, at, until, UP)
        return timeline

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

    def proved(self, agent, boot, link, choose, class_a):
        earliest, latest = self.bounds(agent, boot)
        if latest is None:
            return
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS)
        events = []
        for begin, until, samples in boot.batches:
            for x in samples:
                series = agent.series[x.series]
                if series["link"] == link and choose(series):
                    says = None if x.outcome in NOTHING else x.outcome == OK or x.outcome in PROVES
                    events.append(("round", Outcome(ms(x.at), agent, series["target"], series, boot, says)))
            events.append(("end", ms(until), agent, boot, ms(until) - ms(begin)))
        one.tell(sorted(events, key=lambda e: (states.event_time(e), e[0] == "round")))
        last = ms(boot.batches[-1][1])
        one.finish(last)
        shift = latest - last
        ends = [ms(other.batches[-1][1]) for other in agent.boots if other.is_dated() and other.batches and ms(other.start) <= earliest]
        first = max([earliest] + ends)
        slack = ms(boot.batches[0][0]) + shift - first
        for at, until, state in states.spans(one.parts, ms(boot.start) // 1000 * 1000 - 1000, last):
            if state == UP and at + shift < until + shift - slack:
                yield (at + shift) // 1000 * 1000, (until + shift - slack) // 1000 * 1000


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


def outages(timeline):
    """10.1, 10.2: (start, end or None, how it ended) of the stretches of down, put together over days."""
    out = []
    for n, (at, until, state) in enumerate(timeline):
        if state != DOWN:
            continue
        following = timeline[n + 1][2] if n + 1 < len(timeline) else None
        out.append((at, until if following else None, {UP: "restored", UNKNOWN: "silence", None: "open"}.get(following, following)))
    return out
