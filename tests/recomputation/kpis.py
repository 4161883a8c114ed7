"""Figures from the days' timelines, by the printed formulas and the rules' text; numbers are paragraphs of that text.

A figure is (numerator, denominator, unknown, worst): worst is what the numerator could be more, the unknown if not said (14.3).
"""
from dataclasses import dataclass

from places import CARRIES
from states import CLOSED, DEGRADED, DOWN, UNKNOWN, UP, WORK

GOV = ("headquarters", "farmandari", "bakhshdari", "county_office", "provincial_office", "municipality", "public_body", "dehyari")
SLA = {"A": 0.995, "B": 0.99, "C": 0.95}
BANDS = {"nin_share_20plus": (20, 10**9), "nin_share_10_19": (10, 20), "nin_share_10_15": (10, 16)}
INTERRUPTION_MS = 300_000


@dataclass
class Figure:
    numerator: float
    denominator: float
    unknown: float
    worst: float | None = None
    kind: str = "share"          # share, rate, mean, count, between
    told: int | None = None      # known seconds, where the known ratio is not the denominator's (14.4)

    def known(self):
        if self.told is not None:
            return self.told / (self.told + self.unknown) if self.told + self.unknown else None
        return self.denominator / (self.denominator + self.unknown) if self.denominator + self.unknown else None

    def value(self):
        if self.known() is not None and self.known() < 0.8 or self.told is not None and self.known() is None:
            return None
        if self.kind == "count":
            return self.numerator
        if not self.denominator:
            return None
        return self.numerator / self.denominator

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


class Window:
    """Days in a row, with everything built around them for outages that reach over their bounds."""

    def __init__(self, days, built):
        self.days, self.start, self.end = days, days[0].start, days[-1].end
        self.registry = days[-1].registry
        self.spoken = {}
        for name in ("links", "villages"):
            keys = {key for day in built for key in getattr(day, name)}
            self.spoken[name] = {key: outages(joined(getattr(day, name)[key] for day in built if key in getattr(day, name))) for key in keys}

    def sum(self, name, key):
        total = {}
        for day in self.days:
            timeline = getattr(day, name).get(key)
            for at, until, state in timeline or [(day.start, day.end, UNKNOWN)]:
                total[state] = total.get(state, 0) + (until - at) // 1000
        return total

    def short(self, name, key):
        total = {}
        for day in self.days:
            add(total, getattr(day, name).get(key, {}))
        return total

    def links(self, region):
        return [key for key in self.registry.links if self.registry.inside(region, self.registry.sites[key[0]]["region_code"])]

    def sites(self, region, *kinds):
        return [code for code, site in self.registry.sites.items()
                if self.registry.inside(region, site["region_code"]) and (not kinds or site["kind"] in kinds)]

    def villages(self, region):
        return [code for code, row in self.registry.regions.items() if row["kind"] == "village" and row["inhabited"] == "yes" and self.registry.inside(region, code)]

    def count(self, village, weight):
        row = self.registry.regions[village]
        if weight == "village":
            return 1
        text = row["households" if weight == "household" else "population"]
        return int(text) if text != "" else None


def availability(window, name, short, keys):
    """The three forms over links or sites."""
    forms = {"": [0, 0, 0], "_contract": [0, 0, 0], "_user": [0, 0, 0]}
    for key in keys:
        s, without = window.sum(name, key), window.short(short, key)
        for form, (n, d, u) in (("", (good(s) - good(without), known(s) - known(without), unknown(s) - unknown(without))),
                                ("_contract", (good(s), known(s), unknown(s))), ("_user", (good(s), known(s) + s.get(WORK, 0), unknown(s)))):
            forms[form] = [a + b for a, b in zip(forms[form], (n, d, u))]
    return {form: Figure(*sums) for form, sums in forms.items()}


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
    villages = [(code, window.count(code, weight)) for code in window.villages(region)]
    villages = [(code, w) for code, w in villages if w is not None]
    sums = {code: window.sum("villages", code) for code, _ in villages}
    out["connected_share_period"] = Figure(*(sum(w * of(sums[code]) for code, w in villages) for of in (good, known, unknown)))
    fixed = [(w, window.registry.regions[code].get("fixed_line", "")) for code, w in villages]
    out["fixed_line_share"] = Figure(sum(w for w, f in fixed if f == "yes"), sum(w for w, f in fixed if f), sum(w for w, f in fixed if not f))
    if weight == "household":
        length, span = (window.end - window.start) // 1000, range(window.start, window.end)
        down = minutes = interruptions = worst = 0
        for code, w in villages:
            s = sums[code]
            minutes += w * s.get(DOWN, 0)
            worst += w * (unknown(s) // 300)
            for start, end, _ in window.spoken["villages"][code]:
                interruptions += w * (start in span and (end or window.end) - start >= INTERRUPTION_MS)
        d, u = (sum(w * of(sums[code]) for code, w in villages) / length for of in (known, unknown))
        out["saidi"] = Figure(minutes / 60, d, u, sum(w * unknown(sums[code]) for code, w in villages) / 60, "rate")
        out["saifi"] = Figure(interruptions, d, u, worst, "rate")
    if weight != "village":
        return out
    out["villages_connected_month"] = judged(list(sums.values()))
    for kpi, (least, below) in BANDS.items():
        band = [code for code, _ in villages if least <= (window.count(code, "household") or -1) < below]
        out[kpi] = judged([window.sum("village_nin", code) for code in band])
    out["gov_buildings_connected"] = judged([window.sum("sites", code) for code in window.sites(region, *GOV)])
    out["dehyari_connected_share"] = judged([window.sum("sites", code) for code in window.sites(region, "dehyari")])
    links, sites = window.links(region), window.sites(region)
    for form, figure in availability(window, "links", "short", links).items():
        out["availability_link" + form] = figure
    for form, figure in availability(window, "sites", "site_short", sites).items():
        out["availability" + form] = figure
    offices = [window.sum("sites", code) for code in window.sites(region, "ict_office")]
    out["ict_office_online_share"] = Figure(*(sum(map(of, offices)) for of in (good, known, unknown)))
    fibre = [any(link["access"].startswith("fibre") for link in window.registry.links_of(code)) for code in sites if window.registry.links_of(code)]
    out["fibre_share"] = Figure(sum(fibre), len(fibre), 0)
    told = [outage for key in links for outage in window.spoken["links"][key]]
    begun = sum(window.start <= start < window.end for start, _, _ in told)
    sums = [window.sum("links", key) for key in links]
    up, k, x = (sum(map(of, sums)) for of in (good, known, unknown))
    out["outage_count"] = Figure(begun, 0, x, kind="count", told=k)
    out["mtbf"] = Figure(up / 3600, begun, x, kind="between", told=k)
    restored = [end - start for start, end, how in told if how == "restored" and window.start <= end < window.end]
    out["mttr"] = Figure(sum(restored) / 60_000, len(restored), 0, kind="mean")
    return out
