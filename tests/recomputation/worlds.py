"""Random worlds: a registry, what its agents see, and in which order it arrives. All from one seed.

Times are Unix seconds; days are Tehran's (UTC+3:30 without summer time since 2022-09-21).
"""
import bisect, csv, io, pathlib, random, sys, time
from dataclasses import dataclass, field

TEHRAN = 12_600
DAY = 86_400
NETWORKS = {"gov": 1, "apn": 2, "nin": 3, "internet": 4}
RUNGS = {"gateway": 7, "pop": 8, "core": 9, "nin": 10, "international": 11}
LADDERS = {"gov": ["pop", "core", "nin"], "apn": ["gateway", "pop", "core", "nin"], "nin": ["core", "nin"], "internet": ["nin", "international"]}
ICMP = [1, 2, 10, 11, 12, 13]
FEW = [1, 2, 11]
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

    def is_dated(self):
        return self.source in (3, 4)


@dataclass(eq=False)
class Agent:
    name: str
    site: str
    series: list
    report: int
    boots: list = field(default_factory=list)
    revoked: bool = False


@dataclass
class World:
    seed: int
    first: int           # Tehran midnight of the first day asked for
    days: int
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


def write_registry(registry, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in registry.items():
        (folder / name).write_text(content if isinstance(content, str) else table(content))


def make_registry(r, villages):
    regions = [
        {"code": "09", "kind": "province", "parent_code": "", "name_fa": "استان", "inhabited": "yes"},
        {"code": "0901", "kind": "county", "parent_code": "09", "name_fa": "شهرستان یک", "inhabited": "yes"},
        {"code": "090101", "kind": "district", "parent_code": "0901", "name_fa": "بخش یک", "inhabited": "yes"},
        {"code": "0901010001", "kind": "rural_district", "parent_code": "090101", "name_fa": "دهستان یک", "inhabited": "yes"},
        {"code": "0901010002", "kind": "rural_district", "parent_code": "090101", "name_fa": "دهستان دو", "inhabited": "yes"},
    ]
    sites, links = [], []
    for n in range(villages):
        parent = r.choice(["0901010001", "0901010002"])
        code = f"{parent}{n + 1:06}"
        households = r.choice([4, 9, 10, 12, 15, 16, 19, 20, 21, 40, 120])
        regions.append({"code": code, "kind": "village", "parent_code": parent, "name_fa": f"روستای {n}", "households": households,
                        "population": households * r.randint(2, 5), "households_as_of": "2016-10-22", "inhabited": "yes"})
        kinds = r.choice([["village"], ["dehyari"], ["village", "dehyari"]])
        for kind in kinds:
            site = f"09-{kind[0].upper()}{n + 1:03}"
            sites.append({"code": site, "kind": kind, "region_code": code, "name_fa": f"سایت {kind} {n}", "criticality": r.choice("BBC")})
            for name, network, role in r.choice([[("l0", "apn", "primary")], [("l0", "gov", "primary")],
                                                 [("l0", "gov", "primary"), ("l1", "apn", "backup")]]):
                links.append({"site_code": site, "name": name, "network": network, "role": role,
                              "access": "lte" if network == "apn" else r.choice(["fibre", "lte", "vsat"]),
                              "operator": "mci" if network == "apn" else "tci"})
    return {"regions.csv": regions, "sites.csv": sites, "links.csv": links}


# What the line is like: (from, until, depth, loss, rtt us). Depth is the last rung that answers.
def make_line(r, start, end, busy):
    parts, at = [], start
    while at < end:
        length = int(r.expovariate(1 / (6 * 3600 / busy))) + 60
        parts.append((at, min(at + length, end), 11, 0.0, r.choice([20_000, 60_000, 150_000])))
        at += length
        length = r.choice([20, 50, 89, 90, 91, 100, 150, 179, 180, 181, 240, 290, 310, 600, 3_000, 15_000])
        depth = r.choice([0, 0, 0, 0, 7, 8, 9, 10])
        parts.append((at, min(at + length, end), depth, 0.0, 80_000))
        at += length
    return [p for p in parts if p[0] < p[1]]


def at_line(line, t):
    return line[max(bisect.bisect(line, t, key=lambda part: part[0]) - 1, 0)]


def make_rounds(r, series, lines, first, end):
    """Every round of an agent that looks from `first` until `end`."""
    rounds = []
    for n, one in enumerate(series):
        at, phase = first, r.randrange(0, min(one["interval_s"], 30))
        at += phase
        line = lines[one["link"]]
        confirm = r.random() < 0.5
        while at < end:
            _, _, depth, loss, rtt = at_line(line, at)
            good = one["rung"] <= depth
            if good:
                rounds.append(Round(n, at, OK, [3, 3, rtt - 500, rtt, rtt + 500, rtt + 900]))
            else:
                rounds.append(Round(n, at, r.choice(FAILS), [3, 0, None, None, None, None]))
            at += one["interval_s"] if good or not confirm else min(15, one["interval_s"])
    rounds.sort(key=lambda x: (x.at, x.series))
    return rounds


def ladder_series(r, links, targets):
    series, metered, pace = [], r.random() < 0.3, r.choice([[30, 60], [60], [60, 120], [120, 300], [300, 900]])
    for link in links:
        ladder = LADDERS[link["network"]][:targets]
        for name in ladder:
            interval = r.choice(pace) if not metered else (60 if name == ladder[0] else 300)
            series.append({"link": link["name"], "network": NETWORKS[link["network"]], "target": f"{link['name']}-{name}", "rung": RUNGS[name],
                           "probe": 1, "interval_s": interval, "metrics": ICMP, "towards": ""})
    return series


def make_boots(r, start, end, level):
    """Lives of a router from `start` to `end`: cuts of power, restarts of the agent, boots that never learn the time."""
    boots, at = [], start
    while at < end:
        uptime = r.choice([end - at, r.randrange(600, 12 * 3600)]) if level >= 3 else end - at
        until = min(at + uptime, end)
        boot = Boot(f"{r.getrandbits(64) | 1:016x}", at, at + r.choice([5, 20, 40, 70]), until, r.choice([3, 4]))
        if level >= 4 and boots and boots[-1].is_dated() and r.random() < 0.3:
            boot.source = r.choice([0, 1, 1, 2])
            boot.clock = r.choice([boots[-1].end, at])
        if boot.first < until:
            boots.append(boot)
        at = until + r.choice([5, 30, 60, 90, 120, 180, 300, 900, 5_000, 20_000])
    return boots


def make_agent(r, site, links, start, end, targets, level):
    series = ladder_series(r, links, targets)
    agent = Agent(site, site, series, r.choice([60, 300, 900]))
    lines = {link["name"]: make_line(r, start, end, r.choice([0.5, 1, 4])) for link in links}
    agent.boots = make_boots(r, start, end, level)
    for boot in agent.boots:
        fill(boot, agent.report, make_rounds(r, series, lines, boot.first, boot.end))
        if level >= 3:
            lose(r, boot)
    return agent


def lose(r, boot):
    """Takes away batches that never arrive: one, many in a row, the last."""
    for _ in range(r.choice([0, 0, 1, 2])):
        if len(boot.batches) > 3:
            at = r.randrange(1, len(boot.batches))
            del boot.batches[at:at + r.choice([1, 1, 2, 3, 10, 50])]


def make(seed, level=1):
    r = random.Random(seed)
    days = r.choice([1, 1, 1, 2])
    first = today() - (days + 2) * DAY
    registry = make_registry(r, r.randint(1, 3))
    world = World(seed, first, days, [(first - 20 * DAY, registry)])
    for site in registry["sites.csv"]:
        links = [link for link in registry["links.csv"] if link["site_code"] == site["code"]]
        start, end = first - r.randrange(0, 3 * 3600, 10), world.end() + r.randrange(600, 2 * 3600, 10)
        world.agents.append(make_agent(r, site["code"], links, start, end, r.choice([1] if level < 2 else [1, 2, 4]), level))
    return world


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
