"""Random worlds: a registry, what its agents see, and in which order it arrives. All from one seed.

Times are Unix seconds; days are Tehran's (UTC+3:30 without summer time since 2022-09-21).
"""
import bisect, csv, io, pathlib, random, sys, time
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "contract"))
import rusta

TEHRAN = 12_600
DAY = 86_400
MONTH = 1_792_701_000   # 1405-08-01, over and still kept
NETWORKS = {"gov": 1, "apn": 2, "nin": 3, "internet": 4}
RUNGS = {"gateway": 7, "pop": 8, "core": 9, "nin": 10, "international": 11}
LADDERS = {"gov": ["pop", "core", "nin"], "apn": ["gateway", "pop", "core", "nin"], "nin": ["core", "nin"], "internet": ["nin", "international"]}
ICMP = [1, 2, 10, 11, 12, 13]
MODEM, RAT = 10, 74                 # a probe, a metric
OK, TIMEOUT, REFUSED, UNREACHABLE, RESOLVE, TLS, CLOCK, UNEXPECTED, MALFORMED, GONE, NOT_PERMITTED, NOT_RUN, SYSTEM = range(13)
FAILS = [TIMEOUT, UNREACHABLE, GONE]
PROVES = [REFUSED, UNEXPECTED, MALFORMED]
NOTHING = [NOT_PERMITTED, NOT_RUN, SYSTEM]


def day_start(t):
    return (t + TEHRAN) // DAY * DAY - TEHRAN


def today():
    return day_start(int(time.time()))


@dataclass
class Round:
    series: int
    at: float            # Unix
    outcome: int
    values: list


@dataclass(eq=False)
class Boot:
    id: str
    start: int           # Unix time of its monotonic zero
    first: int           # when the agent begins to look
    end: int             # when it is over
    source: int          # Clock.source of its batches: 4, 3, 2, 1 or 0
    clock: int = 0       # what a persisted clock said at the boot's beginning
    batches: list = field(default_factory=list)   # (from, until, rounds), in order; Unix

    def start_ms(self):
        return self.start * 1000

    def persisted(self):
        """The clock it was persisted with, at its first batch's beginning."""
        return self.clock + self.first - self.start

    def began_at_most(self):
        """In milliseconds: 100 millionths of the way from its first proof, the end of its first batch, are not sure (3.4, 5.5)."""
        return self.start_ms() + (round(self.batches[0][1] * 1000) - self.start_ms()) * 100 // 1_000_000

    def is_dated(self):
        return self.source in (3, 4)


@dataclass(eq=False)
class Agent:
    name: str
    site: str
    series: list
    report: int
    boots: list = field(default_factory=list)
    is_second: bool = False
    is_disowned: bool = False    # its revocation reaches back: nothing it sent counts
    number: str = ""             # who the collector says it is

    def speaks_of(self, n):
        """The site its series n speaks of (3.5)."""
        return self.series[n]["towards"] or self.site


@dataclass
class World:
    seed: int
    first: int           # Tehran midnight of the first day asked for
    days: int
    level: int           # how much of it is random: see make()
    versions: list       # (effective from: Unix, {file: rows or text})
    agents: list = field(default_factory=list)
    works: list = field(default_factory=list)

    def end(self):
        return self.first + self.days * DAY


def table(rows):
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def local(t):
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(t + TEHRAN))


def write_registry(rows, works, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("regions.csv", "sites.csv", "links.csv", "nodes.csv"):
        if name in rows:
            (folder / name).write_text(table(rows[name]))
    clock = lambda seconds: f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    (folder / "calendars.yaml").write_text("".join(
        f"- name: {name}\n  week:\n" + "".join(f"    {day}: {clock(a)}-{clock(b)}\n" for day, (a, b) in calendar["week"].items())
        + f"  holidays: [{', '.join(calendar['holidays'])}]\n" for name, calendar in rows.get("calendars", {}).items()) or "[]\n")
    (folder / "maintenance.yaml").write_text("".join(
        f"- id: {work['id']}\n  reason: work\n  from: {local(work['from'])}\n  until: {local(work['until'])}\n  announced: {local(work['announced'])}\n"
        + ("  weekly: true\n" if work["weekly"] else "") + f"  {work['covers'][0]}s: [{'/'.join(work['covers'][1]) if work['covers'][0] == 'link' else work['covers'][1]}]\n"
        for work in works) or "[]\n")


def make_works(r, rows, start, end):
    """Planned work of every kind: announced in time and not, once and weekly, on links, sites, regions and nodes."""
    works = []
    for n in range(r.choice([0, 0, 1, 2, 4])):
        kind = r.choice(["link", "link", "site", "region", "node"])
        link = r.choice(rows["links.csv"])
        code = {"link": (link["site_code"], link["name"]), "site": link["site_code"], "region": r.choice(rows["regions.csv"][1:])["code"],
                "node": r.choice(rows["nodes.csv"])["code"]}[kind]
        weekly = r.random() < 0.2
        at = r.randrange(start - 3600, end, 60) - (7 * DAY if weekly else 0)
        works.append({"id": f"work-{n}", "covers": (kind, code), "from": at, "until": at + r.choice([60, 1800, 7200, 20_000 // 60 * 60]),
                      "announced": at - r.choice([60, 3600, DAY - 60, DAY, DAY + 60, 3 * DAY]), "weekly": weekly})
    return works


def make_calendars(r):
    office = (27_000, 52_200)
    return {"office": {"week": {day: office for day in ("saturday", "sunday", "monday", "tuesday", "wednesday")},
                       "holidays": [time.strftime("%Y-%m-%d", time.gmtime(today() - r.randrange(1, 6) * DAY + TEHRAN))]},
            "counter": {"week": {day: (28_800, 72_000) for day in ("saturday", "sunday", "monday", "tuesday", "wednesday", "thursday", "friday")}, "holidays": []}}


SPREADS = [[("l0", "apn", "primary")], [("l0", "gov", "primary")], [("l0", "gov", "primary"), ("l1", "apn", "backup")],
           [("l0", "gov", "primary"), ("l1", "nin", "primary")], [("l0", "internet", "primary")], [("l0", "nin", "primary"), ("l1", "internet", "backup")]]


def make_registry(r, villages, level):
    regions = [{"code": code, "kind": kind, "parent_code": parent, "name_fa": f"جای {code}", "inhabited": "yes"} for code, kind, parent in
               [("09", "province", ""), ("0901", "county", "09"), ("0902", "county", "09"), ("090101", "district", "0901"), ("090201", "district", "0902"),
                ("0901010001", "rural_district", "090101"), ("0901010002", "rural_district", "090101"), ("0902010001", "rural_district", "090201")]]
    nodes = [{"code": "CORE-09", "kind": "core", "name_fa": "هسته", "parent": ""}, {"code": "POP-1", "kind": "pop", "name_fa": "پاپ", "parent": "CORE-09"},
             {"code": "BTS-1", "kind": "bts", "name_fa": "دکل", "parent": "POP-1"}, {"code": "BTS-2", "kind": "bts", "name_fa": "دکل", "parent": "POP-1"}]
    sites, links = [], []

    def site(kind, code, region, calendar=""):
        name = f"09-{code}"
        sites.append({"code": name, "kind": kind, "region_code": region, "name_fa": f"سایت {code}", "criticality": r.choice("ABBC" if level >= 5 else "BBC"),
                      "calendar": calendar, "vantage_for": ""})
        for link, network, role in r.choice(SPREADS if level >= 5 else SPREADS[:3]):
            mobile = network == "apn"
            links.append({"site_code": name, "name": link, "network": network, "role": role, "operator": r.choice(["mci", "irancell"]) if mobile else "tci",
                          "access": r.choice(["lte", "umts"]) if mobile else r.choice(["fibre", "fibre_gpon", "lte", "vsat", "dsl", "radio"]),
                          "parent": r.choice(["", "BTS-1", "BTS-2", "POP-1", "CORE-09"])})

    for n in range(1, villages + 1):
        parent = r.choice(["0901010001", "0901010002", "0902010001"])
        code = f"{parent}{n:06}"
        households = r.choice([4, 9, 10, 12, 15, 16, 19, 20, 21, 40, 120])
        regions.append({"code": code, "kind": "village", "parent_code": parent, "name_fa": f"روستای {n}", "households": households,
                        "population": households * r.randint(2, 5), "households_as_of": "2016-10-22",
                        "inhabited": r.choice(["yes"] * 6 + ["no"]) if level >= 5 else "yes", "fixed_line": r.choice(["yes", "no", ""])})
        for kind in r.choice([["village"], ["dehyari"], ["village", "dehyari"]]):
            site(kind, f"{kind[0].upper()}{n:03}", code, r.choice(["", "", "office"]) if level >= 5 and kind == "dehyari" else "")
    if level >= 5:
        for kind in r.sample(["county_office", "ict_office", "farmandari", "school", "municipality"], r.randint(0, 2)):
            village = r.choice([row["code"] for row in regions if row["kind"] == "village"])
            site(kind, f"X-{kind}", village if kind in ("ict_office", "school") else "0901", r.choice(["", "office", "counter"]))
    if level >= 7:
        for row in sites:
            row["vantage_for"] = r.choice(["", "", "none", "0901", "09", r.choice(sites)["code"]])
    return {"regions.csv": regions, "sites.csv": sites, "links.csv": links, "nodes.csv": nodes, "calendars": make_calendars(r)}


# What the line is like: (from, until, depth, loss, rtt us). Depth is the last rung that answers.
def make_line(r, start, end, busy, level):
    parts, at = [], start
    loss = lambda: r.choice([0.0, 0.0, 0.019, 0.02, 0.03, 0.049, 0.05, 0.06, 0.2]) if level >= 5 else 0.0
    rtt = lambda: r.choice([20_000, 60_000, 150_000] + ([239_000, 241_000, 299_000, 301_000, 479_000, 481_000, 599_000, 601_000, 950_000] if level >= 5 else []))
    while at < end:
        length = int(r.expovariate(1 / (6 * 3600 / busy))) + 60
        while length > 0:
            part = min(length, r.choice([600, 1_200, 4_000, 15_000])) if level >= 5 else length
            parts.append((at, min(at + part, end), 11, loss(), rtt()))
            at, length = at + part, length - part
        length = r.choice([20, 24, 25, 26, 30, 50, 89, 90, 91, 100, 150, 179, 180, 181, 240, 290, 310, 600, 3_000, 15_000])
        depth = r.choice([0, 0, 0, 0, 7, 8, 9, 10])
        parts.append((at, min(at + length, end), depth, 0.0, 80_000))
        at += length
    return [p for p in parts if p[0] < p[1]]


def at_line(line, t):
    return line[max(bisect.bisect(line, t, key=lambda part: part[0]) - 1, 0)]


def kept(times):
    """Times as the wire keeps them."""
    return [rusta.value_of(10, rusta.code_of(10, t)) for t in times]


def make_rounds(r, series, lines, first, end, level):
    """Every round of an agent that looks from `first` until `end`."""
    rounds, counts = [], [r.choice([1, 3, 3, 5, 10]) if level >= 5 else 3 for _ in series]
    for n, one in enumerate(series):
        at = first + r.randrange(0, min(one["interval_s"], 30))
        if one["probe"] == MODEM:
            while at < end:
                generation = r.choice([0, 2, 3, 4, 4, 4, 5])
                for _ in range(r.choice([1, 3, 10, 30])):
                    if at < end:
                        rounds.append(Round(n, at, OK, [generation]))
                    at += one["interval_s"]
            continue
        line = lines[one.get("line", one["link"])]
        confirm = r.random() < 0.5
        while at < end:
            _, _, depth, loss, rtt = at_line(line, at)
            good = one["rung"] <= depth
            if level >= 5 and r.random() < 0.01:
                outcome = r.choice(NOTHING + PROVES + FAILS + [RESOLVE])
                rounds.append(Round(n, at, outcome, [None] * 6))
            elif good:
                sent = counts[n]
                got = sum(r.random() >= loss for _ in range(sent)) or 1
                spread = r.choice([500, 2_000, rtt // 10]) if level >= 5 else 500
                rounds.append(Round(n, at, OK, [sent, got] + kept([rtt - spread, rtt, rtt + spread, rtt + 2 * spread])))
            else:
                rounds.append(Round(n, at, r.choice(FAILS), [counts[n], 0, None, None, None, None]))
            at += one["interval_s"] if good or not confirm else min(15, one["interval_s"])
            if level >= 5 and r.random() < 0.2:
                at += r.choice([-1, 0.3, 1, 1, 2]) if one["interval_s"] > 15 else 0
    rounds.sort(key=lambda x: (x.at, x.series))
    return rounds


def ladder_series(r, links, targets, level):
    series, metered, pace = [], r.random() < 0.3, [300, 900] if level >= 9 else r.choice([[30, 60], [60], [60, 120], [120, 300], [300, 900]])
    if level >= 7 and not metered and r.random() < 0.2:
        pace = r.choice([[10], [15, 30]])          # near what confirms down at a site of class A
    for link in links:
        ladder = LADDERS[link["network"]][:targets]
        for name in ladder:
            interval = r.choice(pace) if not metered else (60 if name == ladder[0] else 300)
            series.append({"link": link["name"], "network": NETWORKS[link["network"]], "target": f"{link['name']}-{name}", "rung": RUNGS[name],
                           "probe": 1, "interval_s": interval, "metrics": ICMP, "towards": ""})
        if level >= 7 and link["network"] == "apn" and r.random() < 0.5:
            series.append({"link": link["name"], "network": NETWORKS["apn"], "target": f"{link['name']}-modem", "rung": 5,
                           "probe": MODEM, "interval_s": r.choice([60, 300]), "metrics": [RAT], "towards": ""})
    return series


def make_boots(r, start, end, level):
    """Lives of a router from `start` to `end`: cuts of power, restarts of the agent, boots that never learn the time."""
    boots, at = [], start
    while at < end:
        uptime = r.choice([end - at, r.randrange(600, 12 * 3600)]) if level >= 3 else end - at
        until = min(at + uptime, end)
        boot = Boot(f"{r.getrandbits(64) | 1:016x}", at, at + r.choice([5, 20, 40, 70]), until, r.choice([3, 4]))
        if level >= 7 and boots and boots[-1].is_dated() and r.random() < 0.3:
            boot.source = r.choice([0, 1, 1, 2])
            boot.clock = r.choice([boots[-1].end, at])
        if boot.first < until:
            boots.append(boot)
        at = until + r.choice([5, 30, 60, 90, 120, 180, 300, 900, 5_000, 20_000])
    return boots


def make_agent(r, site, links, start, end, targets, level, seen=()):
    """`seen` are links of other sites that it probes from outside."""
    series = ladder_series(r, links, targets, level)
    agent = Agent(site, site, series, 900 if level >= 9 else r.choice([60, 300, 900]))
    lines = {link["name"]: make_line(r, start, end, r.choice([0.5, 1, 4]), level) for link in links}
    for n, other in enumerate(seen):
        name = r.choice([f"to-{n}", f"to-{n}/{other['name']}", f"to-{n}/nowhere"])
        series.append({"link": links[0]["name"], "network": NETWORKS[other["network"]], "target": name, "rung": r.choice([7, 8, 9]), "probe": 1,
                       "interval_s": r.choice([60, 300, 900]), "metrics": ICMP, "towards": other["site_code"], "line": n})
        lines[n] = make_line(r, start, end, r.choice([0.5, 1, 4]), level)
    agent.boots = make_boots(r, start, end, level)
    for boot in agent.boots:
        fill(boot, agent.report, make_rounds(r, series, lines, boot.first, boot.end, level))
        if level >= 3:
            lose(r, boot)
    return agent


def lose(r, boot):
    """Takes away batches that never arrive: one, many in a row, the last."""
    for _ in range(r.choice([0, 0, 1, 2])):
        if len(boot.batches) > 3:
            at = r.randrange(1, len(boot.batches))
            del boot.batches[at:at + r.choice([1, 1, 2, 3, 10, 50])]


def split(r, rows, level):
    """The next version: a county splits, a village gets another code, counts change, some from a day that has not come."""
    later = {name: [dict(row) for row in content] if isinstance(content, list) else content for name, content in rows.items()}
    later["regions.csv"][3:3] = [{"code": "0903", "kind": "county", "parent_code": "09", "name_fa": "شهرستان نو", "inhabited": "yes"},
                                 {"code": "090301", "kind": "district", "parent_code": "0903", "name_fa": "بخش نو", "inhabited": "yes"}]
    renamed = {}
    for row in later["regions.csv"]:
        if row["code"] == "0902010001":
            row["parent_code"] = "090301"
        if row["kind"] == "village":
            if r.random() < 0.5:
                row["households"] += r.choice([1, 5, 10])
                row["households_as_of"] = r.choice(["2020-01-01", "2030-01-01"])
            if r.random() < 0.3:
                row["previous_code"] = row["code"]
                row["code"] = f"{row['code'][:-2]}7{row['code'][-1]}"
                renamed[row["previous_code"]] = row["code"]
    for site in later["sites.csv"]:
        site["region_code"] = renamed.get(site["region_code"], site["region_code"])
    return later


def make(seed, level):
    r = random.Random(seed)
    is_month = level >= 9
    days = 30 if is_month else r.choice([1, 1, 1, 2])
    first = MONTH if is_month else today() - (days + 2) * DAY
    rows = make_registry(r, r.randint(1, 2) if is_month else r.randint(1, 3), level)
    world = World(seed, first, days, level, [(first - r.choice([2, 20]) * DAY if level >= 8 and not is_month else first - 20 * DAY, rows)])
    if level >= 8 and (is_month or r.random() < 0.5):
        world.versions.append((first + (r.randint(5, 20) * DAY if is_month else r.choice([0, days - 1]) * DAY), split(r, rows, level)))
    if level >= 6:
        world.works = make_works(r, rows, first, world.end())
    for site in rows["sites.csv"]:
        links = [link for link in rows["links.csv"] if link["site_code"] == site["code"]]
        start, end = first - r.randrange(0, 3 * 3600, 10), world.end() + r.randrange(600, 2 * 3600, 10)
        if level >= 8 and r.random() < 0.1:
            continue                    # a site that nobody ever heard
        targets = lambda: r.choice([1, 2] if is_month else [1] if level < 2 else [1, 2, 4])
        others = [link for link in rows["links.csv"] if link["site_code"] != site["code"]]
        seen = r.sample(others, min(len(others), r.choice([0, 0, 1, 2]))) if level >= 7 else ()
        agent = make_agent(r, site["code"], links, start, end, targets(), level, seen)
        world.agents.append(agent)
        if level >= 7 and r.random() < 0.3:
            world.agents.append(another(r, agent, links, start, end, targets(), level))
    return world


def another(r, first, links, start, end, targets, level):
    """A second device of a site: beside the first, in its place, or one that was stolen."""
    second = make_agent(r, first.site, r.choice([links, links[:1]]), start, end, targets, level)
    second.name, second.is_second = f"{first.site}-2", True
    how = r.choice(["beside", "in its place", "stolen"])
    if how == "in its place":
        since = r.randrange(start, end)
        first.boots = [boot for boot in first.boots if boot.end <= since]
        second.boots = [boot for boot in second.boots if boot.start >= since - r.choice([0, 3600])]
    second.is_disowned = how == "stolen"
    return second


def fill(boot, report, rounds):
    """Cuts a boot's rounds into batches."""
    at, place = boot.first, 0
    while at < boot.end:
        until = min(at + report, boot.end)
        mine = []
        while place < len(rounds) and rounds[place].at < until:
            mine.append(rounds[place])
            place += 1
        boot.batches.append((at, until, mine))
        at = until
