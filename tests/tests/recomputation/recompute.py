"""Recomputes a month from raw rounds and compares it with what the collector says, to the last second.

It shares nothing with the collector: rounds come from a file of what was sent, the registry from its CSV files; states
follow the rules of the domain as written below. The collector's answers are read from its database's tables and from
`rusta-collector kpi --json`.

Rules, for each link and Tehran day, in the order of observation, over the day with three hours before it and one after
(where a site says nothing that long: from or to a quarter of an hour around its nearest round, up to eight days away; of
a silence longer than that nothing is known):
- a round is evidence for two and a quarter intervals of its target, at least two minutes; rounds of one instant are judged
  together;
- down: since anything proved the path, every anchor with evidence failed three times or more in a row, for 90 s or more; from
  the latest first failure since then. After a silence, an anchor heard before it is waited for, one and a quarter interval;
- up again: an anchor answers three times in a row, or once after the router was off; from the first answer;
- unknown: no evidence, from the end of the last; not while a router that was off has not answered yet;
- another boot, and 90 s or more between the end of the last report of the old one and its start: down from that report on;
- work announced a day ahead takes the place of a link's down and unknown, and, where it covers every link of a site, of the
  reach of the national network that is down or unknown; what was measured up inside it is up;
- closing hours take the place of a site's states;
- announced work inside an outage does not split it;
- degraded: three bad of the last five slots of five minutes; ends after three clean ones in a row.
"""

import bisect
import csv
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

DAY = 86_400
TEHRAN = 12_600
SLOT_MS = 300_000
LEAD_IN, LOOK_AHEAD, EDGE, REACH = 3 * 3_600_000, 3_600_000, 900_000, 8
ANCHORS = {"gateway", "pop", "core", "nin"}
ANSWERED = {"ok", "refused", "tls_failed", "clock_fault", "unexpected", "malformed"}
SILENT = {"not_run", "not_permitted", "system_error"}
SLOW_US = {"vsat": 900_000, "fibre_gpon": 300_000, "fibre": 300_000, "ethernet": 300_000, "dsl": 300_000, "radio": 300_000}


class Line:
    """One link, or one site's reach of the national network, over one window."""

    def __init__(self, targets, slow_us, begin):
        # By target: interval, lifetime, newest round, run of failures and answers with their first times.
        life = lambda interval: max(2 * interval + interval // 4, 120_000)
        self.targets = {name: [interval, life(interval), None, 0, None, 0, None] for name, interval in targets.items()}
        self.heard = []
        # The instant whose rounds are not judged yet; until when the agent looked, and since when without a gap.
        self.pending, self.looked, self.looks_since, self.proved = None, None, None, -1
        self.slow_us, self.over = slow_us, False
        self.state, self.since, self.off = "unknown", begin, False
        self.said = [(begin, "unknown")]
        self.open, self.closed, self.void, self.degraded = None, [], None, False

    def say(self, at, state):
        while self.said and self.said[-1][0] >= at:
            self.said.pop()
        if not self.said or self.said[-1][1] != state:
            self.said.append((at, state))

    def forget_quality(self, at):
        self.open, self.closed, self.void, self.degraded = None, [], at // SLOT_MS, False

    def turn(self, state, since, at):
        since = max(since, self.since)
        self.state, self.since, self.off = state, since, False
        self.forget_quality(at)
        self.say(since, state)

    def close_slot(self, at):
        if self.open is None or self.open[0] >= at // SLOT_MS:
            return
        index, sent, received, rtts = self.open
        self.open = None
        if sent:
            loss = 1 - received / sent
            rtts.sort()
            rtt = rtts[-(-len(rtts) * 95 // 100) - 1] if rtts else 0
            if loss >= 0.05 or rtt >= self.slow_us:
                verdict = "bad"
            elif loss < 0.02 and rtt < self.slow_us * 0.8:
                verdict = "clean"
            else:
                verdict = "fair"
            self.closed.append((index, verdict))
        self.closed = [slot for slot in self.closed if slot[0] > index - 5]
        verdicts = [verdict for _, verdict in self.closed]
        if verdicts.count("bad") >= 3:
            self.degraded = True
        if verdicts[-3:] == ["clean"] * 3:
            self.degraded = False
        end = (index + 1) * SLOT_MS
        if self.degraded and self.said[-1][1] == "up":
            self.say(end, "degraded")
        elif not self.degraded and self.said[-1][1] == "degraded":
            self.say(end, "up")

    def decide(self, at):
        while True:
            fresh = [t for t in self.heard if t[2] + t[1] >= at]
            if not fresh:
                if self.off and not self.over:
                    return
                ends = [t[2] + t[1] for t in self.heard] + ([self.looked] if self.off else [])
                if self.state == "unknown" or not ends:
                    return
                self.turn("unknown", max(ends), at)
            elif self.state == "down":
                need = 1 if self.off else 3
                restored = [t[6] for t in fresh if t[5] >= need]
                if not restored:
                    return
                self.turn("up", min(restored), at)
            else:
                answered = [t[6] for t in fresh if t[5]] if self.state == "unknown" else []
                if answered:
                    self.turn("up", min(answered), at)
                    continue
                awaited = lambda t: t[2] + t[1] < at and t[2] < self.looks_since and self.looked - self.looks_since < t[0] + t[0] // 4
                if any(t[3] < 3 for t in fresh) or any(awaited(t) for t in self.heard):
                    return
                since = max(t[4] for t in fresh)
                if max(t[2] for t in fresh) - since < 90_000:
                    return
                self.turn("down", since, at)

    def judge(self):
        if self.pending is not None:
            at, self.pending = self.pending, None
            self.decide(at)

    def look(self, at):
        """The agent looked until here, and everything it saw was taken in."""
        if self.pending is not None and self.pending < at:
            self.judge()
        if self.looked is not None and at <= self.looked:
            return
        if self.looked is None or at - self.looked > min([t[1] for t in self.heard], default=0):
            self.looks_since = at
        self.looked = at
        self.close_slot(at)
        self.decide(at)

    def end(self, at):
        """Nothing more is heard of the time before."""
        self.judge()
        self.over = True
        self.close_slot(at)
        self.decide(at)

    def round(self, at, name, answered, sent, received, rtt):
        target = self.targets.get(name)
        if answered is None or (target is not None and target[2] is not None and at <= target[2]):
            return
        self.look(at)
        self.pending = at
        if target is None:
            # A round of a service says that the agent looks, and nothing of the path.
            return
        if target[2] is None:
            self.heard.append(target)
        elif at - target[2] > target[1]:
            target[3] = target[5] = 0
        target[2] = at
        if answered:
            target[5] += 1
            if target[5] == 1:
                target[6] = at
            self.proved = max(self.proved, at)
            for other in self.heard:
                if other[4] is None or other[4] <= self.proved:
                    other[3] = 0
        else:
            target[5] = 0
            # Of a round at the moment of a proof nobody can say which came first.
            if at > self.proved:
                target[3] += 1
                if target[3] == 1:
                    target[4] = at
        slot = at // SLOT_MS
        if self.void is None or slot > self.void:
            if self.open is None:
                self.open = (slot, 0, 0, [])
            if self.open[0] == slot:
                if sent is None:
                    sent, received = 1, int(answered)
                index, all_sent, all_received, rtts = self.open
                if rtt is not None:
                    rtts.append(rtt)
                self.open = (index, all_sent + sent, all_received + min(received, sent), rtts)

    def rebooted(self, began, first):
        self.judge()
        if not self.heard or began - self.looked < 90_000 or began > first:
            return
        since = self.looked
        for target in self.heard:
            target[2:] = [None, 0, None, 0, None]
        self.heard = []
        # Its first round says that it is on again: the outage is known until then at least.
        self.looked = self.looks_since = first
        self.state, self.since = "down", min(self.since, since) if self.state == "down" else since
        self.off = True
        self.forget_quality(first)
        self.say(since, "down")

    def spans(self, begin, end):
        spans = []
        for (at, state), until in zip(self.said, [change[0] for change in self.said[1:]] + [end]):
            lo, hi = max(at, begin) // 1000, min(until, end) // 1000
            if lo < hi:
                spans.append((lo, hi, state))
        return merge(spans)


def merge(spans):
    merged = []
    for lo, hi, state in spans:
        if merged and merged[-1][1] == lo and merged[-1][2] == state:
            merged[-1] = (merged[-1][0], hi, state)
        else:
            merged.append((lo, hi, state))
    return merged


def sweep(lists, lo, hi, name):
    """Names each piece between two neighbouring bounds of several lists of spans."""
    bounds = sorted({lo, hi} | {span[0] for spans in lists for span in spans} | {span[1] for spans in lists for span in spans})
    places = [0] * len(lists)
    out = []
    for a, b in zip(bounds, bounds[1:]):
        held = []
        for at, spans in enumerate(lists):
            while places[at] < len(spans) and spans[places[at]][1] <= a:
                places[at] += 1
            inside = places[at] < len(spans) and spans[places[at]][0] <= a
            held.append(spans[places[at]][2] if inside else None)
        out.append((a, b, name(held)))
    return merge(out)


def site_state(roles, states):
    pairs = [(role, state or "unknown") for role, state in zip(roles, states)]
    if not pairs:
        return "not_in_service"
    of = lambda role: [state for known, state in pairs if known == role]
    if "up" in of("primary"):
        return "up"
    if "degraded" in of("primary"):
        return "degraded"
    carried = [state for _, state in pairs if state in ("up", "degraded")]
    if carried:
        lost = of("primary") and all(state in ("down", "maintenance") for state in of("primary"))
        return "degraded" if lost or "up" not in of("backup") else "up"
    everything = [state for _, state in pairs]
    if "unknown" in everything:
        return "unknown"
    return "maintenance" if "maintenance" in everything else "down"


def village_state(states, nin):
    states = [state or "unknown" for state in states]
    if any(state in ("up", "degraded") for state in states):
        return "degraded" if nin == "down" else "up"
    return "down" if states and all(state in ("down", "maintenance") for state in states) else "unknown"


def nin_state(states):
    states = [state for state in states if state is not None]
    if any(state in ("up", "degraded") for state in states):
        return "up"
    if not states or "unknown" in states:
        return "unknown"
    return "maintenance" if all(state == "maintenance" for state in states) else "down"


CLASSES = ("up", "degraded", "down", "unknown", "maintenance", "not_in_service")


def seconds(spans):
    total = dict.fromkeys(CLASSES, 0)
    for lo, hi, state in spans:
        total[state] += hi - lo
    return tuple(total[name] for name in CLASSES)


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


class Registry:
    def __init__(self, folder):
        self.regions = {row["code"]: row for row in read(folder / "regions.csv")}
        self.sites = {row["code"]: row for row in read(folder / "sites.csv")}
        self.links = defaultdict(list)
        for row in read(folder / "links.csv"):
            self.links[row["site_code"]].append(row)
        self.villages = [c for c, r in self.regions.items() if r["kind"] == "village" and r["inhabited"] != "false"]
        self.in_policy = defaultdict(list)
        for code, site in self.sites.items():
            if site["kind"] in ("village", "dehyari"):
                self.in_policy[site["region_code"]].append(code)

    def is_within(self, region, ancestor):
        while region:
            if region == ancestor:
                return True
            region = self.regions[region]["parent_code"]
        return False


def load_rounds(folder):
    """By site: its rounds."""
    series = []
    for site, link, target, rung, probe, interval_s in csv.reader(open(folder / "series.csv", newline="")):
        series.append((site, target, link, rung, probe, int(interval_s) * 1000))
    boots = [int(line) for line in open(folder / "boots.csv")]
    looks = defaultdict(set)
    for number, until, life_at in csv.reader(open(folder / "looks.csv", newline="")):
        looks[series[int(number)][0]].add((int(until), int(life_at)))
    verdicts = defaultdict(lambda: False, dict.fromkeys(ANSWERED, True) | dict.fromkeys(SILENT))
    rounds = defaultdict(list)
    with open(folder / "rounds.csv") as file:
        for line in file:
            number, boot, at, outcome, sent, received, rtt = line.rstrip("\n").split(",")
            site, *named = series[int(number)]
            rounds[site].append((int(at), *named, boot, boots[int(boot)], verdicts[outcome],
                                 int(sent) if sent else None, int(received) if received else None, int(rtt) if rtt else None))
    return rounds, looks


def site_days(job):
    site, rounds, looks, links, days, maintenance, hours = job
    looks = sorted(looks)
    rounds.sort(key=lambda r: (r[0], r[1], r[2]))
    times = [r[0] for r in rounds]
    out = {}
    asks = any(r[3] == "nin" for r in rounds)
    for day in days:
        begin, end = (day * DAY - TEHRAN) * 1000, ((day + 1) * DAY - TEHRAN) * 1000
        lo, hi = begin - LEAD_IN, end + LOOK_AHEAD
        last = first = None
        if bisect.bisect_left(times, begin) == bisect.bisect_left(times, lo):
            before = bisect.bisect_left(times, lo) - 1
            if before >= 0 and times[before] >= lo - REACH * DAY * 1000:
                last = times[before]
        if bisect.bisect_left(times, end) == bisect.bisect_left(times, hi):
            after = bisect.bisect_left(times, hi)
            if after < len(times) and times[after] < hi + REACH * DAY * 1000:
                first = times[after]
        is_silent = bisect.bisect_left(times, lo) == bisect.bisect_left(times, hi)
        if last is not None and first is not None and is_silent and is_long(last, first):
            last = first = None
        lo = lo if last is None else last - EDGE
        hi = hi if first is None else first + EDGE
        out[day] = site_day(rounds[bisect.bisect_left(times, lo):bisect.bisect_left(times, hi)],
                            looks[bisect.bisect_left(looks, (lo, 0)):bisect.bisect_left(looks, (hi + 1, 0))], links, begin, end, maintenance,
                            closed(day, hours), asks)
    return site, out


def is_long(last, first):
    """Tells whether a silence is so long that neither end lies within eight days of the day the other lies in."""
    day_of = lambda at: (at // 1000 + TEHRAN) // DAY
    begin, end = (day_of(first) * DAY - TEHRAN) * 1000, ((day_of(last) + 1) * DAY - TEHRAN) * 1000
    return last < begin - LEAD_IN - REACH * DAY * 1000 and first >= end + LOOK_AHEAD + REACH * DAY * 1000


def closed(day, hours):
    """When a site with working hours is closed on a day."""
    lo, hi = day * DAY - TEHRAN, (day + 1) * DAY - TEHRAN
    if hours is None:
        return []
    # 1970-01-01 was a Thursday; Monday is 0.
    if (day + 3) % 7 not in hours["weekdays"]:
        return [(lo, hi, "not_in_service")]
    return [(lo, lo + hours["opens_s"], "not_in_service"), (lo + hours["closes_s"], hi, "not_in_service")]


def site_day(rounds, looks, links, begin, end, maintenance, closed, asks):
    start = min([begin] + [rounds[0][0]] if rounds else [begin])
    lines = {}
    for link in links:
        targets = {r[1]: r[5] for r in rounds if r[2] == link["name"] and r[3] in ANCHORS}
        lines[link["name"]] = Line(targets, SLOW_US.get(link["access"], 600_000), start)
    nin, boot, boot_at, looks = None, None, None, list(reversed(looks))
    every = lambda: list(lines.values()) + ([nin] if nin else [])
    for at, target, link, rung, probe, interval, life, life_at, answered, sent, received, rtt in rounds:
        while looks and looks[-1][0] <= at:
            until, began = looks.pop()
            # A report of another life is no sign of the one before: that is noticed by its first round.
            if boot is None or began <= boot_at:
                for line in every():
                    line.judge()
                    line.look(until)
        if boot is None:
            boot, boot_at = life, life_at
        elif life != boot and life_at > boot_at:
            boot, boot_at = life, life_at
            for line in every():
                line.rebooted(life_at, at)
        if probe == "modem":
            continue
        lines[link].round(at, target, answered, sent, received, rtt)
        if rung == "nin":
            if nin is None:
                nin = Line({r[1]: r[5] for r in rounds if r[3] == "nin"}, 600_000, start)
            nin.round(at, target, answered, sent, received, rtt)
    last = max([end] + [rounds[-1][0]] if rounds else [end])
    for line in every():
        for until, began in reversed(looks):
            if boot is not None and began > boot_at:
                continue
            line.judge()
            line.look(until)
        line.end(last)
    lo, hi = begin // 1000, end // 1000
    over = lambda states: states[1] or states[0]
    work = lambda states: states[1] if states[1] and states[0] not in ("up", "degraded") else states[0]
    spans, late, ahead_of = {}, {}, {}
    for name, line in lines.items():
        held = line.spans(begin, end)
        here = [(max(a, lo), min(b, hi), ahead) for l, a, b, ahead in maintenance if l == name and a < hi and b > lo]
        ahead_of[name] = [(a, b, "maintenance") for a, b, ahead in here if ahead]
        for window in ahead_of[name]:
            held = sweep([held, [window]], lo, hi, work)
        spans[name] = held
        late[name] = seconds([(max(a, x), min(b, y), state) for a, b, ahead in here if not ahead
                              for x, y, state in held if x < b and y > a])
    roles = [link["role"] or "primary" for link in links]
    site = sweep(list(spans.values()), lo, hi, lambda states: site_state(roles, states))
    site = sweep([site, closed], lo, hi, over) if closed else site
    reach = nin.spans(begin, end) if nin else []
    if all(state == "unknown" for _, _, state in reach):
        # A site that is not to look at the national network does not tell; one that is and says nothing leaves it unknown.
        if not asks:
            return spans, site, None, late
        reach = [(lo, hi, "unknown")]
    everywhere = sweep(list(ahead_of.values()), lo, hi, lambda states: "maintenance" if all(states) else None)
    for window in everywhere:
        reach = sweep([reach, [window]], lo, hi, work) if window[2] else reach
    return spans, site, reach, late


def outages(spans):
    """Stretches of down: start, end or none while it lasts, whether it was restored."""
    out, began, seen = [], None, None
    for lo, hi, state in merge(spans):
        if state == "down":
            began, seen = lo if began is None else began, hi
        elif began is not None and state in ("up", "degraded"):
            out.append((began, lo, True))
            began = None
        elif began is not None and state != "maintenance":
            # Nobody saw its end: it was seen down until then.
            out.append((began, seen, False))
            began = None
    return out + ([(began, None, None)] if began is not None else [])


class Comparison:
    def __init__(self):
        self.compared, self.wrong = defaultdict(int), []

    def check(self, what, name, ours, theirs):
        self.compared[what] += 1
        if ours != theirs:
            self.wrong.append(f"{what} {name}: recomputed {ours}, collector {theirs}")


def main():
    plan = json.loads(Path(sys.argv[1]).read_text())
    registries = [(version["from_day"], Registry(Path(version["folder"]))) for version in plan["versions"]]
    days = range(plan["first_day"], plan["end_day"])
    # The last evidence of a link lives on into the day after: an outage may end there.
    told = range(plan["first_day"], plan["end_day"] + 1)
    month = range(plan["month_first_day"], plan["month_end_day"])
    registry_of = lambda day: [registry for first, registry in registries if first <= day][-1]
    announced = defaultdict(list)
    for row in plan["maintenance"]:
        announced[row["site"]].append((row["link"], row["from_s"], row["until_s"], row["a_day_ahead"]))
    rounds, looks = load_rounds(Path(plan["rounds"]))
    last = registries[-1][1]
    hours = lambda site: plan["hours"] if last.sites[site]["calendar"] == "office" else None
    jobs = [(site, rounds[site], looks[site], last.links[site], told, announced[site], hours(site)) for site in last.sites]
    print(f"{sum(map(len, rounds.values()))} rounds of {len(rounds)} sites")
    with Pool() as pool:
        sites = dict(pool.imap_unordered(site_days, jobs, chunksize=4))

    # Days of villages of which a site says nothing of the national network: whether it is to look is its profile's word, which
    # this script does not read, so there only what does not hang on it is compared.
    villages, doubtful = {}, set()
    for day in told:
        registry, lo, hi = registry_of(day), day * DAY - TEHRAN, (day + 1) * DAY - TEHRAN
        for village in registry.villages:
            members = registry.in_policy[village]
            if members:
                lists = [spans for site in members for spans in sites[site][day][0].values()]
                reach = [sites[site][day][2] for site in members if sites[site][day][2] is not None]
                nin = sweep(reach, lo, hi, nin_state) if reach else None
                if any(all(state in ("unknown", "maintenance") for _, _, state in one) for one in reach):
                    doubtful.add((village, day))
                villages[village, day] = (
                    sweep(lists + ([nin] if nin else []), lo, hi,
                          lambda states, n=len(lists): village_state(states[:n], states[n] if len(states) > n else None)), nin)

    found = Comparison()
    db = sqlite3.connect(f"file:{plan['database']}?mode=ro", uri=True)
    compare_days(found, db, registry_of, days, sites, villages, doubtful)
    compare_outages(found, db, last, told, sites, villages)
    compare_figures(found, plan, registries, month, sites, villages)
    for line in found.wrong[:40]:
        print(line)
    print(f"compared {dict(found.compared)}, {len(found.wrong)} differences")
    sys.exit(1 if found.wrong else 0)


def compare_days(found, db, registry_of, days, sites, villages, doubtful):
    stored = {}
    sql = """SELECT o.kind, o.code, o.link, d.day, d.up, d.degraded, d.down, d.unknown, d.maintenance, d.not_in_service
             FROM daily_seconds d JOIN objects o ON o.id = d.object"""
    for kind, code, link, day, *counts in db.execute(sql + " WHERE d.kind <= 4"):
        stored[kind, code, link, day] = tuple(counts)
    ours = {}
    for day in days:
        for site in registry_of(day).sites:
            spans, whole, _, _ = sites[site][day]
            ours[2, site, "", day] = seconds(whole)
            ours.update({(1, site, link, day): seconds(held) for link, held in spans.items()})
    for (village, day), (spans, nin) in villages.items():
        if day not in days:
            continue
        ours[3, village, "", day] = seconds(spans)
        if nin is not None:
            ours[4, village, "", day] = seconds(nin)
    names = {1: "link", 2: "site", 3: "village", 4: "national network"}
    for key, counts in ours.items():
        # A day without a row was never measured.
        theirs = stored.pop(key, None)
        if (key[1], key[3]) in doubtful and key[0] in (3, 4):
            if key[0] == 4:
                continue
            counts = (counts[0] + counts[1], 0, *counts[2:])
            theirs = theirs and (theirs[0] + theirs[1], 0, *theirs[2:])
        found.check(f"{names[key[0]]} days", key, counts if theirs else counts[:3], theirs or (0, 0, 0))
    for key, counts in stored.items():
        if key[3] in days:
            found.check(f"{names[key[0]]} days", key, None, counts)


def compare_outages(found, db, last, days, sites, villages):
    stored = defaultdict(list)
    sql = """SELECT o.kind, o.code, o.link, x.started_at, x.ended_at, x.restored
             FROM outages x JOIN objects o ON o.id = x.object ORDER BY x.started_at"""
    for kind, code, link, started, ended, restored in db.execute(sql):
        end = None if ended is None else ended // 1000
        stored[kind, code, link].append((started // 1000, end, None if restored is None else bool(restored)))
    for site in last.sites:
        for link in last.links[site]:
            spans = [span for day in days for span in sites[site][day][0][link["name"]]]
            found.check("outages of a link", (site, link["name"]), outages(spans), stored[1, site, link["name"]])
        spans = [span for day in days for span in sites[site][day][1]]
        found.check("outages of a site", site, outages(spans), stored[2, site, ""])
    for village in {village for village, _ in villages}:
        spans = [span for day in days for span in villages.get((village, day), ([], None))[0]]
        found.check("outages of a village", village, outages(spans), stored[3, village, ""])


def compare_figures(found, plan, registries, month, sites, villages):
    def figures(kpi, weight=None):
        command = plan["collector"] + ["kpi", "--json", "--period", plan["period"], "--id", kpi]
        answer = subprocess.run(command + (["--weight", weight] if weight else []), capture_output=True, text=True, check=True)
        return {item["region"]["code"]: item for item in json.loads(answer.stdout)["items"] if item["part"] is None}

    parts = []
    for at, (first, registry) in enumerate(registries):
        end = registries[at + 1][0] if at + 1 < len(registries) else month.stop
        part = range(max(first, month.start), min(end, month.stop))
        if part:
            parts.append((registry, part))
    last = parts[-1][0]
    successor = {region["previous_code"]: code for code, region in last.regions.items() if region.get("previous_code")}
    places = {code for registry, _ in parts for code, r in registry.regions.items() if r["kind"] in ("province", "county")}
    lo, hi = month.start * DAY - TEHRAN, month.stop * DAY - TEHRAN

    def of_villages(registry, part, village):
        total = [0] * 6
        for day in part:
            counts = seconds(villages[village, day][0]) if (village, day) in villages else (0, 0, 0, DAY, 0, 0)
            total = [a + b for a, b in zip(total, counts)]
        return total

    month_of = {(at, village): of_villages(registry, part, village)
                for at, (registry, part) in enumerate(parts) for village in registry.villages}
    share, connected = figures("connected_share_period"), figures("villages_connected_month")
    by_household = figures("connected_share_period", "household")
    available, links_available = figures("availability_contract"), figures("availability_link")
    count, mttr, saidi, saifi = (figures(kpi) for kpi in ("outage_count", "mttr", "saidi", "saifi"))
    for place in sorted(places):
        inside = [(at, village) for at, village in month_of if parts[at][0].is_within(village, place)]
        households = lambda at, village: int(parts[at][0].regions[village]["households"] or 0)
        pooled = lambda weight: tuple(sum(weight(*key) * sum(month_of[key][i] for i in which) for key in inside)
                                      for which in ((0, 1), (0, 1, 2), (3,)))
        triple = lambda item: (item["numerator"], item["denominator"], item["unknown"])
        found.check("connected_share_period", place, pooled(lambda *_: 1), triple(share[place]))
        found.check("connected_share_period by household", place, pooled(households), triple(by_household[place]))

        if place in last.regions:
            whole = defaultdict(lambda: [0] * 6)
            for (at, village), counts in month_of.items():
                of = village if parts[at][0] is last else successor.get(village, village)
                if of in last.regions and last.is_within(of, place):
                    whole[of] = [a + b for a, b in zip(whole[of], counts)]
            measured = [c for c in whole.values() if sum(c[:3]) and sum(c[:3]) >= 0.5 * (sum(c[:3]) + c[3])]
            yes = sum(c[0] + c[1] >= 0.9 * sum(c[:3]) for c in measured)
            found.check("villages_connected_month", place, (yes, len(measured), len(whole) - len(measured)), triple(connected[place]))

        of_sites, of_links, began, restored = [0] * 2, [0] * 2, 0, []
        for registry, part in parts:
            part_lo, part_hi = part.start * DAY - TEHRAN, part.stop * DAY - TEHRAN
            for site, row in registry.sites.items():
                if not registry.is_within(row["region_code"], place):
                    continue
                for day in part:
                    spans, whole_site, _, late = sites[site][day]
                    # Work announced late is left out of the plain figure of links, and stays in the contract's of sites.
                    without = lambda link: [a - b for a, b in zip(seconds(spans[link]), late[link])]
                    for total, counts in [(of_sites, seconds(whole_site))] + [(of_links, without(link)) for link in spans]:
                        total[0] += counts[0] + counts[1]
                        total[1] += sum(counts[:3])
                for link in registry.links[site]:
                    spans = [span for day in sites[site] for span in sites[site][day][0][link["name"]]]
                    for start, end, was_restored in outages(sorted(spans)):
                        began += part_lo <= start < part_hi
                        if was_restored and part_lo <= end < part_hi:
                            restored.append((end - start) / 60)
        found.check("availability_contract", place, tuple(of_sites), triple(available[place])[:2])
        found.check("availability_link", place, tuple(of_links), triple(links_available[place])[:2])
        found.check("outage_count", place, began, count[place]["numerator"])
        found.check("mttr", place, (len(restored), round(sum(restored), 6)),
                    (mttr[place]["denominator"], round(mttr[place]["numerator"], 6)))

        minutes = interruptions = base = 0
        for at, (registry, part) in enumerate(parts):
            part_lo, part_hi = part.start * DAY - TEHRAN, part.stop * DAY - TEHRAN
            for village in registry.villages:
                if not registry.is_within(village, place):
                    continue
                weight = households(at, village)
                # A household is measured for the share of the month in which its village is known.
                base += weight * sum(month_of[at, village][:3]) / (hi - lo)
                # A village is one thing under its old code and its new one.
                codes = [village, successor.get(village), registry.regions[village].get("previous_code")]
                every = sorted({(day, code) for code in codes if code for day in range(month.start - 9, month.stop + 9)
                                if (code, day) in villages})
                spans = [span for day, code in every for span in villages[code, day][0]]
                for start, end, _ in outages(spans):
                    end = hi if end is None else end
                    minutes += weight * max(0, min(end, part_hi) - max(start, part_lo)) / 60
                    interruptions += weight * (part_lo <= start < part_hi and end - start >= 300)
        close = lambda item: (round(item["numerator"], 4), round(item["denominator"], 4))
        found.check("saidi", place, (round(minutes, 4), round(base, 4)), close(saidi[place]))
        found.check("saifi", place, (round(interruptions, 4), round(base, 4)), close(saifi[place]))


if __name__ == "__main__":
    main()
