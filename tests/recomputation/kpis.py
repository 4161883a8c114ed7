"""Figures from the days' timelines, by the printed formulas and the rules' text; numbers are paragraphs of that text.

A figure is (numerator, denominator, unknown, worst): worst is what the numerator could be more, the unknown if not said (14.3).
"""
import calendar, itertools, math, time
from dataclasses import dataclass

import packets
from places import CARRIES, POLICY
from states import DEGRADED, DOWN, UNKNOWN, UP, WORK
from worlds import TEHRAN

GOV = ("headquarters", "farmandari", "bakhshdari", "county_office", "provincial_office", "municipality", "public_body", "dehyari")
SLA = {"A": 0.995, "B": 0.99, "C": 0.95}
BANDS = {"nin_share_20plus": (20, 10**9), "nin_share_10_19": (10, 20), "nin_share_10_15": (10, 16)}
INTERRUPTION_MS = 300_000
BANDS_BY_SIZE = ((101, "101+"), (71, "71-100"), (31, "31-70"), (20, "20-30"), (16, "16-19"), (10, "10-15"), (5, "5-9"), (1, "1-4"))     # 15
COUNTS = {"connected_share_period": "villages", "villages_connected_month": "villages", "availability": "sites", "availability_contract": "sites",
          "availability_user": "sites", "gov_buildings_connected": "sites", "sla_pass_share": "sites", "availability_link": "links",
          "availability_link_contract": "links", "availability_link_user": "links", "outage_count": "links"}


@dataclass
class Figure:
    numerator: float
    denominator: float
    unknown: float
    worst: float | None = None
    kind: str = "share"          # share, rate, mean, count, between
    late: tuple | None = None    # (down, learnt, site days) of what was learnt late (14.6)
    given: float | None = None   # a value that is no quotient
    short: bool = False          # the window is shorter than the definition's least (14.5)
    told: int | None = None      # known seconds, where the known ratio is not the denominator's (14.4)

    def plus(self, other):
        both = lambda a, b: None if a is None and b is None else (a or 0) + (b or 0)
        late = self.late and tuple(a + b for a, b in zip(self.late, other.late))
        return Figure(self.numerator + other.numerator, self.denominator + other.denominator, self.unknown + other.unknown, both(self.worst, other.worst),
                      self.kind, late, told=both(self.told, other.told))

    def known(self):
        if self.told is not None:
            return self.told / (self.told + self.unknown) if self.told + self.unknown else None
        return self.denominator / (self.denominator + self.unknown) if self.denominator + self.unknown else None

    def value(self):
        if self.short:
            return None
        if self.known() is not None and self.known() < 0.8 or self.told is not None and self.known() is None:
            return None
        if self.kind == "given":
            return self.given
        if self.kind == "count":
            return self.numerator
        if not self.denominator:
            return None
        return self.numerator / self.denominator

    def estimate(self):
        """14.6"""
        whole = self.denominator + self.unknown
        if not self.late or not self.late[1] or not whole:
            return None, None
        down, learnt, n = self.late
        d, z, n = down / learnt, 1.959964, max(n, 1)
        error = z / (1 + z * z / n) * math.sqrt(d * (1 - d) / n + z * z / (4 * n * n)) * self.unknown / whole
        return (self.numerator + self.unknown * (1 - d)) / whole, error

    def bounds(self):
        whole = self.denominator + self.unknown
        if self.kind not in ("share", "rate") or not whole:
            return None, None
        return self.numerator / whole, (self.numerator + (self.unknown if self.worst is None else self.worst)) / whole


def add(total, more):
    for state, n in more.items():
        total[state] = total.get(state, 0) + n
    return total


def good(s):
    return s.get(UP, 0) + s.get(DEGRADED, 0)


def known(s):
    return good(s) + s.get(DOWN, 0)


def unknown(s):
    return s.get(UNKNOWN, 0)


def joined(timelines):
    out = []
    for timeline in timelines:
        for at, until, state in timeline:
            if out and out[-1][2] == state and out[-1][1] == at:
                out[-1] = (out[-1][0], until, state)
            else:
                out.append((at, until, state))
    return out


def outages(timeline):
    """10.1 and 10.2: (start, end or None, how it ended)."""
    out, n = [], 0
    follows = lambda n: timeline[n][2] if n < len(timeline) else None
    while n < len(timeline):
        start, until, state = timeline[n]
        n += 1
        if state != DOWN:
            continue
        while True:
            after = follows(n)
            if after == WORK and follows(n + 1) in (DOWN, UP, DEGRADED):
                until, n = timeline[n][1], n + 1
            elif after == DOWN:
                until, n = timeline[n][1], n + 1
            else:
                break
        how = "restored" if after in CARRIES else "silence" if after == UNKNOWN else "open" if after is None else "work"
        out.append((start, None if how == "open" else until, how))
    return out


class Section:
    """A run of days of a window with one version of the registry (13.1)."""

    def __init__(self, window, days):
        self.window, self.days, self.registry = window, days, days[0].registry
        self.start, self.end = days[0].start, days[-1].end

    def sum(self, name, key):
        total = {}
        for day in self.days:
            for at, until, state in getattr(day, name).get(key) or [(day.start, day.end, UNKNOWN)]:
                total[state] = total.get(state, 0) + (until - at) // 1000
        return total

    def late(self, sites):
        """12.4: what was learnt late of sites: (down, learnt, site days)."""
        told = [day.late[site] for day in self.days for site in sites if site in day.late]
        return sum(down for down, _ in told), sum(learnt for _, learnt in told), sum(learnt > 0 for _, learnt in told)

    def short(self, name, key):
        total = {}
        for day in self.days:
            add(total, getattr(day, name).get(key, {}))
        return total

    def links(self, region):
        return [key for key in self.registry.links if self.registry.inside(region, self.registry.sites[key[0]]["region_code"]) and self.is_in("links", key)]

    def sites(self, region, *kinds):
        return [code for code, site in self.registry.sites.items()
                if self.registry.inside(region, site["region_code"]) and (not kinds or site["kind"] in kinds) and self.is_in("sites", code)]

    def villages(self, region):
        return [code for code, row in self.registry.regions.items()
                if row["kind"] == "village" and row["inhabited"] == "yes" and self.registry.inside(region, code) and self.is_in("villages", code)]

    # Breakdowns (15).
    def is_in(self, name, key):
        return not self.window.part or self.window.part[1] is None or self.part(name, key) == self.window.part[1]

    def parts(self, name, region):
        return {self.part(name, key) for key in {"links": self.links, "sites": self.sites, "villages": self.villages}[name](region)}

    def part(self, name, key):
        by, r = self.window.part[0], self.registry
        site = key[0] if name == "links" else key if name == "sites" else next((s["code"] for s in r.sites.values() if s["region_code"] == key), None)
        if by == "site_kind":
            return r.sites[site]["kind"] if site else "none"
        if by == "band":
            village = key if name == "villages" else r.sites[site]["region_code"]
            count = self.count(village, "household") if r.regions[village]["kind"] == "village" else None
            return next((band for least, band in BANDS_BY_SIZE if count is not None and count >= least), "none")
        if name == "links":
            link = r.links[key]
        else:
            sites = [key] if name == "sites" else [s["code"] for s in r.sites.values() if s["region_code"] == key]
            links = next((r.links_of(code) for code in sites if r.links_of(code)), [])
            link = next((one for one in links if one["role"] == "primary"), links[0] if links else {})
        return link.get({"operator": "operator", "technology": "access", "network": "network"}[by]) or "none"

    def count(self, village, weight):
        """13.4"""
        if weight == "village":
            return 1
        for registry in reversed([section.registry for section in self.window.every if section.registry.start <= self.registry.start]):
            row = registry.regions.get(village) or registry.regions.get(self.registry.regions[village].get("previous_code", ""))
            if row and (not row.get("households_as_of") or unix_of(row["households_as_of"]) < self.window.end // 1000):
                text = row["households" if weight == "household" else "population"]
                return int(text) if text != "" else None
        return None


def unix_of(day):
    return calendar.timegm(time.strptime(day, "%Y-%m-%d")) - TEHRAN


class Window:
    """Days in a row, with everything built around them for outages that reach over their bounds."""

    def __init__(self, days, built):
        self.start, self.end, self.part = days[0].start, days[-1].end, None
        runs = lambda days: [list(run) for _, run in itertools.groupby(days, key=lambda day: day.registry)]
        self.every = [Section(self, run) for run in runs([day for day in built if day.registry])]
        self.sections = [Section(self, run) for run in runs([day for day in days if day.registry])]
        self.before = {row["code"]: row["previous_code"] for section in self.every for row in section.registry.regions.values() if row.get("previous_code")}
        self.spoken = {}
        for name in ("links", "villages"):
            lines = {}
            for day in built:
                for key, timeline in getattr(day, name).items():
                    lines.setdefault(self.first_code(key), []).append(timeline)
            self.spoken[name] = {key: outages(joined(timelines)) for key, timelines in lines.items()}

    def first_code(self, key):
        while key in self.before:
            key = self.before[key]
        return key

    def outages(self, name, key):
        return self.spoken[name].get(self.first_code(key), [])

    def judged(self, region, name, choose):
        """Objects judged over the whole window: (code, section) on the map of the last section each exists in, with their seconds."""
        found = {}
        for section in self.sections:
            for key in getattr(section.days[0], name):
                found.setdefault(self.first_code(key), []).append((key, section))
        for parts in found.values():
            key, last = parts[-1]
            if key in choose(last, region):
                total = {}
                for code, section in parts:
                    add(total, section.sum(name, code))
                yield key, last, total


def availability(section, name, short, keys, sites):
    """The three forms over links or sites."""
    forms = {"": [0, 0, 0], "_contract": [0, 0, 0], "_user": [0, 0, 0]}
    for key in keys:
        s, without = section.sum(name, key), section.short(short, key)
        for form, (n, d, u) in (("", (good(s) - good(without), known(s) - known(without), unknown(s) - unknown(without))),
                                ("_contract", (good(s), known(s), unknown(s))), ("_user", (good(s), known(s) + s.get(WORK, 0), unknown(s)))):
            forms[form] = [a + b for a, b in zip(forms[form], (n, d, u))]
    return {form: Figure(*sums, late=section.late(sites)) for form, sums in forms.items()}


def judged(all_seconds, share=0.9, measured=0.5):
    """Objects good for a share of their known time, over those of which enough is known."""
    n = d = u = 0
    for s in all_seconds:
        k, x = known(s), unknown(s)
        if k and k / (k + x) >= measured:
            d += 1
            n += good(s) / k >= share
        else:
            u += 1
    return Figure(n, d, u)


def figures(window, region, weight="village"):
    out = {}
    for section in window.sections:
        for kpi, figure in summed(window, section, region, weight).items():
            out[kpi] = out[kpi].plus(figure) if kpi in out else figure
    if weight != "village":
        return out
    of = lambda name, choose: [s for _, _, s in window.judged(region, name, choose)]
    out["villages_connected_month"] = judged(of("villages", lambda section, region: section.villages(region)))
    for kpi, (least, below) in BANDS.items():
        band = lambda section, region: [code for code in section.villages(region) if least <= (section.count(code, "household") or -1) < below]
        out[kpi] = judged(of("village_nin", band))
    out["gov_buildings_connected"] = judged(of("sites", lambda section, region: section.sites(region, *GOV)))
    out["dehyari_connected_share"] = judged(of("sites", lambda section, region: section.sites(region, "dehyari")))
    out["sla_pass_share"] = sla(window, region)
    last = window.sections[-1]
    fibre = [any(link["access"].startswith("fibre") for link in last.registry.links_of(code)) for code in last.sites(region) if last.registry.links_of(code)]
    out["fibre_share"] = Figure(sum(fibre), len(fibre), 0)
    reported = {code: any(day.reported.get(code) for section in window.sections for day in section.days) for code in last.sites(region)}
    out["reporting_completeness"] = Figure(sum(reported.values()), sum(reported.values()), 0)
    rounds(window, region, out)
    return out


def fixed_line(window, region, weight):
    last = window.sections[-1]
    told = [(last.count(code, weight), last.registry.regions[code].get("fixed_line", "")) for code in last.villages(region)]
    told = [(w, field) for w, field in told if w is not None]
    return Figure(sum(w for w, f in told if f == "yes"), sum(w for w, f in told if f), sum(w for w, f in told if not f))


def sla(window, region):
    n = d = u = 0
    for code, section, s in window.judged(region, "sites", lambda section, region: section.sites(region)):
        whole = known(s) + unknown(s)
        if whole and known(s) / whole >= 0.8:       # 14.4: an object's own limit is compared with its value over known time
            d += 1
            n += good(s) / known(s) >= SLA[section.registry.sites[code].get("criticality") or "C"]
        else:
            u += 1
    return Figure(n, d, u, short=window.end - window.start < 7 * 86_400_000)


def summed(window, section, region, weight):
    """What adds up over sections, each on its own map (13.2)."""
    out = {}
    villages = [(code, section.count(code, weight)) for code in section.villages(region)]
    villages = [(code, w) for code, w in villages if w is not None]
    sums = {code: section.sum("villages", code) for code, _ in villages}
    watched = [site["code"] for site in section.registry.sites.values() if site["kind"] in POLICY and site["region_code"] in sums]
    out["connected_share_period"] = Figure(*(sum(w * of(sums[code]) for code, w in villages) for of in (good, known, unknown)), late=section.late(watched))
    if section is window.sections[-1]:
        out["fixed_line_share"] = fixed_line(window, region, weight)
    within = range(section.start, section.end)
    if weight == "household":
        length = sum(one.end - one.start for one in window.sections) // 1000     # days not in service are in no denominator (13.1)
        minutes = interruptions = worst = 0
        for code, w in villages:
            s = sums[code]
            minutes += w * s.get(DOWN, 0)
            worst += w * (unknown(s) // 300)
            interruptions += w * sum(start in within and (end or window.end) - start >= INTERRUPTION_MS for start, end, _ in window.outages("villages", code))
        d, u = (sum(w * of(sums[code]) for code, w in villages) / length for of in (known, unknown))
        out["saidi"] = Figure(minutes / 60, d, u, sum(w * unknown(sums[code]) for code, w in villages) / 60, "rate")
        out["saifi"] = Figure(interruptions, d, u, worst, "rate")
    if weight != "village":
        return out
    links, sites = section.links(region), section.sites(region)
    for form, figure in availability(section, "links", "short", links, [site for site, _ in links]).items():
        out["availability_link" + form] = figure
    for form, figure in availability(section, "sites", "site_short", sites, sites).items():
        out["availability" + form] = figure
    offices = [section.sum("sites", code) for code in section.sites(region, "ict_office")]
    out["ict_office_online_share"] = Figure(*(sum(map(of, offices)) for of in (good, known, unknown)))
    told = [outage for key in links for outage in window.outages("links", key)]
    begun = sum(start in within for start, _, _ in told)
    sums = [section.sum("links", key) for key in links]
    up, k, x = (sum(map(of, sums)) for of in (good, known, unknown))
    out["outage_count"] = Figure(begun, 0, x, kind="count", told=k)
    out["mtbf"] = Figure(up / 3600, begun, x, kind="between", told=k)
    restored = [end - start for start, end, how in told if how == "restored" and end in within]
    out["mttr"] = Figure(sum(restored) / 60_000, len(restored), 0, kind="mean")
    return out


def rounds(window, region, out):
    """Figures from what rounds measured (11)."""
    whole, silent, voices, mine, k, x = packets.Measured(), 0, [], {}, 0, 0
    for section in window.sections:
        for key in section.links(region):
            one = mine.setdefault(key, packets.Measured())
            s = section.sum("links", key)
            k, x = k + known(s), x + unknown(s)
            told = [day.measured[key] for day in section.days if key in day.measured]
            silent += unknown(s) // 300 if any(day.slots for day in told) else 0        # 11.5
            for day in told:
                one.add(day)
    for one in mine.values():
        whole.add(one)
    heard = [0, 0]
    for key, last, total in window.judged(region, "links", lambda section, region: section.links(region)):     # 13.3: one value of each link
        one = packets.Measured()
        for day in [day for section in window.sections for day in section.days if key in day.measured]:
            one.add(day.measured[key])
        voice = packets.mos(one)
        if voice is not None:
            voices.append(voice)
            heard = [heard[0] + known(total), heard[1] + unknown(total)]
    voices.sort()
    if whole.sent >= 100:
        out["loss_ratio"] = Figure(whole.lost, whole.sent, x, kind="mean", told=k)
    out["quality_ok_share"] = Figure(whole.good, whole.slots, silent)
    for kpi, values, q in (("rtt_p50", whole.times, 0.5), ("rtt_p95", whole.times, 0.95), ("jitter_p95", whole.variation, 0.95)):
        out[kpi] = Figure(0, values.n, x, kind="given", given=values.quantile(q) / 1000 if values.n else None, told=k)
    out["mos_est"] = Figure(0, len(voices), heard[1], kind="given", given=voices[math.ceil(len(voices) / 2) - 1] if voices else None, told=heard[0])
