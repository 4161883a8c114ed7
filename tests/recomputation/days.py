"""What is read for a site's day, and the timelines of its links made from it; numbers are paragraphs of the rules' text."""
import states
from states import DEGRADED, HOUR, UNKNOWN, UP, Link, Outcome
from worlds import DAY, MODEM, NOTHING, OK, PROVES

DAY_MS = DAY * 1000
QUARTER = 15 * 60_000


def ms(t):
    return round(t * 1000)


class Site:
    """A site with everything its agents sent."""

    def __init__(self, world, code, agents):
        self.world, self.code = world, code
        agents = [agent for agent in agents if not agent.is_disowned]
        self.agents = [agent for agent in agents if agent.site == code]
        self.outside = [agent for agent in agents if agent.site != code and any(series["towards"] == code for series in agent.series)]
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

    def events(self, registry, link, start, end, choose):
        """What is told of a link, in order (4.1, 4.3)."""
        stretches = self.stretches(start, end)
        inside = lambda t: any(a <= t <= b for a, b in stretches)
        ends, rounds = [], []
        outside = [agent for agent in self.outside if link and registry.may_speak(agent.site, self.code)
                   and any(registry.link_seen(series, self.code) == link for series in agent.series if series["towards"] == self.code)]
        for agent in self.agents + outside:
            is_outside = agent.site != self.code
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
                        if agent.speaks_of(one.series) != self.code:
                            continue
                        told = registry.link_seen(series, self.code) == link if is_outside else is_of(link, series, choose)
                        if told and series["probe"] in (*states.PROVING_PROBES, MODEM):
                            says = None if one.outcome in NOTHING or series["probe"] == MODEM else one.outcome == OK or one.outcome in PROVES
                            rounds.append(("round", Outcome(ms(one.at), agent, series["target"], series, boot, says, one.values, outside=is_outside)))
        order = lambda e: (states.event_time(e), e[0] == "round", *((e[1].agent.number, e[1].name, e[1].series["link"]) if e[0] == "round" else ()))
        return sorted(ends + rounds, key=order)

    def link(self, registry, link, start, end, class_a=False, choose=states.is_anchor, limit_ms=None, generation=0, before=None):
        """A link's states on a day, in whole seconds; degraded if it has a limit. `link` None stands for every link of the site."""
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS, self.fits)
        events = self.events(registry, link, start, end, choose)
        if limit_ms:
            one.slots = slots(events, limit_ms, generation, start, before)
        one.tell(events)
        one.finish(max([end] + [states.event_time(e) for e in events if e[0] == "round"]))
        timeline = states.spans(one.parts, start, end)
        for agent in self.agents:
            for boot in agent.boots:
                if not boot.is_dated() and boot.batches:
                    for at, until, state in self.proved(agent, boot, link, choose, class_a, limit_ms, generation):
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
        later = [other.began_at_most() for other in agent.boots if other.is_dated() and other.batches and ms(other.batches[-1][1]) > earliest and ms(other.start) > earliest]
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

    def proved(self, agent, boot, link, choose, class_a, limit_ms, generation):
        earliest, latest = self.bounds(agent, boot)
        if latest is None:
            return
        shift = latest - ms(boot.batches[-1][1])
        one = Link(states.CONFIRM_CLASS_A_MS if class_a else states.CONFIRM_MS)
        events = []
        for begin, until, samples in boot.batches:
            for x in samples:
                series = agent.series[x.series]
                if agent.speaks_of(x.series) == self.code and is_of(link, series, choose):
                    says = None if x.outcome in NOTHING or series["probe"] == MODEM else x.outcome == OK or x.outcome in PROVES
                    events.append(("round", Outcome(ms(x.at) + shift, agent, series["target"], series, boot, says, x.values)))
            events.append(("end", ms(until) + shift, agent, boot, ms(until) - ms(begin)))
        if limit_ms:
            one.slots = slots(events, limit_ms, generation, 0, None)
        one.tell(sorted(events, key=lambda e: (states.event_time(e), e[0] == "round")))
        one.finish(latest)
        ends = [ms(other.batches[-1][1]) for other in agent.boots if other.is_dated() and other.batches and ms(other.start) <= earliest]
        slack = ms(boot.batches[0][0]) + shift - max([earliest] + ends)
        for (at, state), (until, _) in zip(one.parts, one.parts[1:] + [(latest, None)]):
            at, until = at // 1000 * 1000, (until - slack) // 1000 * 1000
            if state in (UP, DEGRADED) and at < until:
                yield at, until, state


def is_of(link, series, choose):
    """Whether a link is judged by a series of its own site; `link` None stands for every link."""
    return link in (None, series["link"]) and choose(series) or link is not None and series["link"] == link and series["probe"] == MODEM


def slots(events, limit_ms, generation, midnight, before):
    pooled = states.Slots(limit_ms, generation, midnight, before)
    for kind, told, *_ in events:
        if kind == "round" and told.series["probe"] == MODEM:
            pooled.add_modem(told.at, told.values[0])
        elif kind == "round" and told.says is not None and not told.outside:
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
