"""Timelines of links, sites and villages on one day with work and closing hours laid over them, and their seconds."""
import packets, states
from states import CLOSED, DEGRADED, DOWN, UNKNOWN, UP, WORK, merge, seconds

CARRIES = (UP, DEGRADED)
POLICY = ("village", "dehyari")


def over(timeline, stretches, state, turned):
    """Lays `state` over those of `turned` inside the stretches."""
    start, end = timeline[0][0], timeline[-1][1]
    bounds = sorted({start, end, *(b for stretch in stretches for b in stretch if start < b < end)})
    marked = [(a, b, any(x <= a and b <= y for x, y in stretches)) for a, b in zip(bounds, bounds[1:])]
    return merge([timeline, marked], lambda both: state if both[1] and both[0] in turned else both[0])


def within(timeline, stretches):
    """Seconds of a timeline inside the stretches, each second once."""
    total = {}
    for a, b in union(stretches):
        for state, n in seconds(timeline, a // 1000 * 1000, b // 1000 * 1000).items():
            total[state] = total.get(state, 0) + n
    return total


def union(stretches):
    out = []
    for a, b in sorted(stretches):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        elif a < b:
            out.append((a, b))
    return out


def site_rule(primary):
    """9.1, for links of which `primary` says which are."""
    def rule(all_states):
        firsts = [state for state, first in zip(all_states, primary) if first]
        seconds_ = [state for state, first in zip(all_states, primary) if not first]
        if UP in firsts:
            return UP
        if DEGRADED in firsts:
            return DEGRADED
        if any(state in CARRIES for state in seconds_):
            if firsts and all(state in (DOWN, WORK) for state in firsts):
                return DEGRADED
            return UP if UP in seconds_ else DEGRADED
        return UNKNOWN if UNKNOWN in all_states else WORK if WORK in all_states else DOWN
    return rule


def village_rule(all_states):
    """9.2, the last of them the national network's state."""
    *links, nin = all_states
    if any(state in CARRIES for state in links):
        return DEGRADED if nin == DOWN else UP
    if links and all(state in (DOWN, WORK) for state in links):
        return DOWN
    return UNKNOWN


def nin_rule(all_states):
    """9.4"""
    if UP in all_states:
        return UP
    if all(state == WORK for state in all_states):
        return WORK
    return DOWN if all(state in (DOWN, WORK) for state in all_states) else UNKNOWN


class Day:
    """One day of every place of a registry."""

    def __init__(self, registry, readers, start, end, before):
        """`readers` are days.Site by code, `before` the day before, or None."""
        self.registry, self.start, self.end = registry, start, end
        nothing = [(start, end, UNKNOWN)]
        if not registry:
            self.links = self.villages = {}
            return
        self.raw, self.links, self.short, self.sites, self.site_short, self.nin, self.villages, self.village_nin, self.measured = {}, {}, {}, {}, {}, {}, {}, {}, {}
        self.late, self.reported = {}, {}
        for key, link in registry.links.items():
            reader = readers.get(key[0])
            class_a = registry.sites[key[0]].get("criticality") == "A"
            last = before.raw[key][-1][2] if before and before.registry and key in before.raw else None
            raw = reader.link(registry, key[1], start, end, class_a, limit_ms=registry.limit_ms(link), generation=registry.generation(link), before=last) if reader else nothing
            self.raw[key] = raw
            self.links[key] = over(raw, registry.work_on(link, start, end, True), WORK, (DOWN, UNKNOWN))
            self.measured[key] = packets.measure(reader.agents if reader else [], key[1], raw, start, end)
            self.short[key] = within(self.links[key], registry.work_on(link, start, end, False))
        for code in registry.sites:
            self.site(code, readers.get(code))
        for code, region in registry.regions.items():
            if region["kind"] == "village":
                self.village(code)

    def site(self, code, reader):
        links = self.registry.links_of(code)
        if not links:
            self.sites[code], self.site_short[code] = [(self.start, self.end, CLOSED)], {}
            return
        mine = [self.links[code, link["name"]] for link in links]
        rule = site_rule([link["role"] == "primary" for link in links])
        closed = self.registry.closed(code, self.start, self.end)
        every = (UP, DEGRADED, DOWN, UNKNOWN, WORK)
        self.sites[code] = over(merge(mine, rule), closed, CLOSED, every)
        short = [over(timeline, self.registry.work_on(link, self.start, self.end, False), WORK, every) for timeline, link in zip(mine, links)]
        under = [(a, b) for a, b, state in merge(short, rule) if state == WORK]
        self.site_short[code] = within(self.sites[code], under)
        covered = reader.covered(self.start, self.end) if reader else []
        learnt = within(self.sites[code], covered)
        self.late[code] = learnt.get(DOWN, 0), sum(learnt.get(state, 0) for state in (UP, DEGRADED, DOWN))
        self.reported[code] = reader.reports(self.start, self.end) if reader else 0
        # 9.3
        choose = lambda series: series["rung"] == 10 and series["probe"] in states.PROVING_PROBES
        nin = reader.link(self.registry, None, self.start, self.end, choose=choose) if reader else []
        if any(state != UNKNOWN for _, _, state in nin):        # no profile of these worlds asks for it
            works = [self.registry.work_on(link, self.start, self.end, True) for link in links]
            self.nin[code] = over(nin, intersect(works), WORK, (DOWN, UNKNOWN))

    def village(self, code):
        sites = [site["code"] for site in self.registry.sites.values() if site["region_code"] == code and site["kind"] in POLICY]
        telling = [self.nin[site] for site in sites if site in self.nin]
        nothing = [(self.start, self.end, UNKNOWN)]
        self.village_nin[code] = merge(telling, nin_rule) if telling else nothing
        links = [self.links[site, link["name"]] for site in sites for link in self.registry.links_of(site)]
        self.villages[code] = merge([*links, self.village_nin[code]], village_rule) if links else nothing


def intersect(lists):
    """What lies in a stretch of every list."""
    bounds = sorted({b for stretches in lists for stretch in stretches for b in stretch})
    return [(a, b) for a, b in zip(bounds, bounds[1:]) if all(any(x <= a and b <= y for x, y in stretches) for stretches in lists)]
