#!/usr/bin/env python3
"""Compares a collector's figures with a recomputation from the definitions' text alone, on random worlds.

    compare.py PROGRAM [--seed N] [--worlds N] [--level N] [--jobs N] [--keep FOLDER]

Prints every difference with its evidence and ends with 1 if there is any. Nobody who writes here reads the collector's code:
what it knows is what `rusta-collector kpi definitions` and the rules of the data dictionary say.
"""
import argparse, collections, concurrent.futures, contextlib, datetime, io, json, os, pathlib, random, shutil, sys, tempfile, time, traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import days, kpis, places, registry, states, worlds
from collector import MOST_BYTES, MOST_FRAMES, Collector, rusta

MOST_PRINTED = int(os.environ.get("RUSTA_AUDIT_PRINT", "5"))
MONTHS = [31] * 6 + [30] * 5 + [29]


def jalali(t):
    """The Jalali day of a Unix time, as text; right from 1404 to 1407."""
    day = (worlds.day_start(t) + worlds.TEHRAN) // worlds.DAY
    start = datetime.date(2025, 3, 21).toordinal() - 719_163
    for year, length in ((1404, 365), (1405, 365), (1406, 365), (1407, 365)):
        if day - start < length:
            left = day - start
            for month, days in enumerate(MONTHS, 1):
                if left < days:
                    return f"{year}-{month:02}-{left + 1:02}"
                left -= days
        start += length
    raise ValueError(t)


def at(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone(datetime.timedelta(seconds=worlds.TEHRAN))).strftime("%m-%d %H:%M:%S") if t is not None else "-"


def unix(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def payloads(agent, number):
    """Every batch of an agent with its boot, encoded."""
    table = rusta.write_table(agent.series)
    name = f"{rusta.fnv(table):016x}"
    for boot in agent.boots:
        for sequence, (start, until, rounds) in enumerate(boot.batches, 1):
            ms = lambda t: round((t - boot.start) * 1000)
            told = {4: until, 3: until, 2: until + 86_400, 1: boot.clock + until - boot.start, 0: until - boot.start}[boot.source]
            yield table, boot, rusta.write_batch({
                "agent": number, "boot": boot.id, "sequence": sequence, "covers": 1, "from_ms": ms(start), "span_ms": ms(until) - ms(start),
                "clock": {"unix_ms": round(told * 1000), "source": boot.source, "uncertainty_ms": 0}, "reason": 0, "summary_s": 0, "thinned": 0,
                "dropped": 0, "table": name,
                "samples": [{"series": x.series, "at_ms": ms(x.at), "outcome": x.outcome, "values": x.values} for x in rounds]}, agent.series)


def upload(collector, agent, r):
    identity, number = collector.enroll(agent.site, agent.name, agent.is_second)
    agent.number = number
    waiting = list(payloads(agent, number))
    if not waiting:
        return                          # its place was taken before it began
    waiting += r.sample(waiting, len(waiting) // 20)
    r.shuffle(waiting)
    uploads, frames, size = [], [], 0
    for table, _, payload in waiting:
        if frames and (len(frames) >= MOST_FRAMES or size + len(payload) > MOST_BYTES):
            uploads.append((table, frames, {}))
            frames, size = [], 0
        frames.append(payload)
        size += len(payload)
    collector.send(identity, uploads + [(table, frames, {})])


class Differences:
    def __init__(self, world):
        self.world, self.count, self.checked, self.kinds = world, 0, 0, collections.Counter()

    def check(self, what, expected, seen, evidence=lambda: ""):
        self.checked += 1
        if expected != seen:
            self.count += 1
            self.kinds[" ".join(what.replace(":", "").split()[1::4])] += 1
            if self.count <= MOST_PRINTED:
                print(f"seed {self.world.seed} {what}: expected {expected}, the collector says {seen}\n{evidence()}")


def show(timeline, start, end):
    return lambda: "    mine: " + " ".join(f"{at(a / 1000)[6:]} {s}" for a, b, s in timeline if b > start and a < end)



def near(a, b):
    """Whether two numbers are one but for the last bits of a division."""
    return a == b or (a is not None and b is not None and abs(a - b) <= 1e-9 * max(abs(a), abs(b)))


STATES = {states.UP: "up_s", states.DEGRADED: "degraded_s", states.DOWN: "down_s", states.UNKNOWN: "unknown_s", states.WORK: "maintenance_s", states.CLOSED: "not_in_service_s"}


def build(world):
    """Every day of the world from its first sample on."""
    heard = [code for agent in world.agents for code in [agent.site, *(series["towards"] for series in agent.series)] if code]
    readers = {code: days.Site(world, code, world.agents) for code in dict.fromkeys(heard)}
    first = min([worlds.day_start(reader.samples[0] // 1000) for reader in readers.values() if reader.samples] + [world.first])
    first = min(first, week_of(world.first))
    versions = [registry.Registry(start, rows, world.works) for start, rows in world.versions]
    built = []
    for start in range(first, worlds.today(), worlds.DAY):
        version = ([None] + [v for v in versions if v.start <= start])[-1]
        built.append(places.Day(version, readers, start * 1000, (start + worlds.DAY) * 1000, built[-1] if built else None))
    return built


def compare(world, collector):
    found = Differences(world)
    built = build(world)
    asked = [day for day in built if world.first * 1000 <= day.start < world.end() * 1000]
    periods = [(jalali(day.start // 1000), [day]) for day in asked]
    week = week_of(world.first)
    if world.level >= 8 and week + 7 * worlds.DAY <= worlds.today():
        periods.append((jalali(world.first) + "w", [day for day in built if week * 1000 <= day.start < (week + 7 * worlds.DAY) * 1000]))
    month = jalali(world.first)[:-3]
    if world.days >= 29:
        periods.append((month, asked))
    for day in asked:
        objects(found, collector, day, jalali(day.start // 1000))
    for n, (period, of) in enumerate(periods):
        if not any(day.registry for day in of):
            continue
        window = kpis.Window(of, built)
        outages(found, collector, window, period)
        if n in (0, len(periods) - 1):
            parts(found, collector, window, period)
            commands(found, collector, period)
        regions = {code for section in window.sections for code, row in section.registry.regions.items() if row["kind"] != "village"}
        for weight in ("village", "household", "population"):
            seen = {(row["region"]["code"], row["id"]): row for row in collector.figures(period=period, weight=weight) if row["weight"] == weight}
            for region in sorted(regions & {region for region, _ in seen}):
                figures(found, seen, window, region, period, weight)
    return found


def week_of(t):
    """The Saturday on or before a Tehran midnight."""
    return t - ((t + worlds.TEHRAN) // worlds.DAY + 5) % 7 * worlds.DAY


def objects(found, collector, day, period):
    """Links, sites and villages one by one: what differs here makes a figure differ."""
    for kpi, name, key in (("availability_link_contract", "links", lambda row: (row["code"], row["link"])),
                           ("availability_contract", "sites", lambda row: row["code"]), ("connected_share_period", "villages", lambda row: row["code"])):
        for row in collector.explain(kpi, "09", period):
            if row["kind"] not in ("link", "site", "village") or not row["up_s"]:
                continue
            timeline = getattr(day, name)[key(row)]
            mine = states.seconds(timeline, day.start, day.end)
            mine, seen = {c: mine.get(s, 0) for s, c in STATES.items()}, {c: int(row[c]) for c in STATES.values()}
            found.check(f"{period} {name} {key(row)}", mine, seen, show(timeline, day.start, day.end))


def outages(found, collector, window, period):
    """Every outage of a link that begins in a window: its ends and how it ended."""
    seen = sorted((row["code"], row["link"], unix(row["from"]), unix(row["until"]), row["ended"])
                  for row in collector.explain("outage_count", "09", period) if row["kind"] == "outage")
    links = {key for section in window.sections for key in section.registry.links}
    mine = sorted((*key, start / 1000, (end or window.end) / 1000, how) for key in links for start, end, how in window.outages("links", key)
                  if window.start <= start < window.end)
    found.check(f"{period} outages 09", [one for one in mine if one not in seen], [one for one in seen if one not in mine])
    found.checked += len(mine)


BY = {"operator": ("availability_link", "availability_link_contract", "availability", "connected_share_period", "outage_count"),
      "technology": ("availability_link", "availability_link_user", "availability_user", "connected_share_period", "outage_count"),
      "network": ("availability_link", "availability"), "site_kind": ("availability", "availability_contract", "gov_buildings_connected", "sla_pass_share"),
      "band": ("availability", "connected_share_period", "villages_connected_month")}


def parts(found, collector, window, period):
    """The same figures part by part."""
    for by, ids in BY.items():
        for kpi in ids:
            rows = [row for row in collector.figures(period=period, id=kpi, by=by, weight="village") if row["region"]["code"] == "09"]
            seen = {row["part"].split("=", 1)[1]: {("09", kpi): row} for row in rows if row["part"]}
            window.part = by, None
            mine = {part for section in window.sections for part in section.parts(kpis.COUNTS[kpi], "09")}
            for part in sorted(mine | set(seen)):
                window.part = by, part
                figures(found, seen.get(part, {}), window, "09", f"{period} {by}={part}", "village", only=kpi)
    window.part = None


def commands(found, collector, period):
    """What the command prints is what the API answers."""
    asked = {"period": period, "region": "09", "weight": "household"}
    api = {row["id"]: row for row in collector.figures(**asked)}
    told = {row["id"]: row for row in json.loads(collector.run("kpi", "--json", *(word for key, value in asked.items() for word in ("--" + key, value))))["items"]}
    for kpi in sorted(api.keys() | told.keys()):
        timeless = lambda row: row and {name: value for name, value in row.items() if name != "at"}
        found.check(f"{period} {kpi} 09 by command", timeless(api.get(kpi)), timeless(told.get(kpi)))


def figures(found, seen, window, region, period, weight, only=None):
    mine = kpis.figures(window, region, weight)
    for kpi, figure in mine.items():
        if only and kpi != only:
            continue
        row = seen.get((region, kpi))
        if row is None and only and not (figure.denominator or figure.unknown):
            continue                    # a part of which nothing is counted
        if row is None:
            found.check(f"{period} {kpi} {region} by {weight}", "a figure", "none")
            continue
        for what, number in zip(("numerator", "denominator", "unknown", "value", "lo", "hi", "known_ratio", "estimate", "estimate_error"),
                                (figure.numerator, figure.denominator, figure.unknown, figure.value(), *figure.bounds(), figure.known(), *figure.estimate())):
            if what in ("lo", "hi", "known_ratio", "unknown", "denominator")[:4 if figure.kind == "given" else 5] and figure.kind in ("count", "mean", "between", "given"):
                continue
            found.check(f"{period} {kpi} {region} by {weight}: {what}", number if not near(number, row[what]) else row[what], row[what], lambda: "    " + str({key: row[key] for key in ("numerator", "denominator", "unknown", "known_ratio", "standing")}))


def run(program, seed, folder, level):
    world = worlds.make(seed, level)
    collector = Collector(program, folder)
    for n, (start, rows) in enumerate(world.versions):
        worlds.write_registry(rows, world.works, collector.folder / f"inventory{n}")
        collector.run("inventory", "import", "--effective-from", jalali(start), collector.folder / f"inventory{n}")
    collector.serve()
    try:
        r = random.Random(seed + 1)
        for agent in world.agents:
            upload(collector, agent, r)
        collector.settle()
        for agent in world.agents:
            if agent.is_disowned:
                collector.run("agents", "revoke", agent.number, "--since", "6h")
                time.sleep(2)           # taken up within a quarter of a second
                collector.settle()
        return compare(world, collector)
    finally:
        collector.stop()


def one(task):
    words, seed = task
    folder = pathlib.Path(words.keep or tempfile.mkdtemp(prefix="rusta-audit-"))
    if words.keep:
        shutil.rmtree(folder, ignore_errors=True)
    begun, out = time.monotonic(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            found = run(words.program, seed, folder, words.level)
            print(f"seed {seed}: {found.checked} figures, {found.count} differences, {time.monotonic() - begun:.1f} s {dict(found.kinds) or ''}")
        return found.count, out.getvalue()
    except Exception as fault:
        return 1, out.getvalue() + f"seed {seed}: {fault!r}\n" + traceback.format_exc()
    finally:
        if not words.keep:
            shutil.rmtree(folder, ignore_errors=True)


def tell(result):
    print(result[1], end="", flush=True)
    return result[0]


def main():
    words = argparse.ArgumentParser()
    words.add_argument("program")
    words.add_argument("--seed", type=int, default=None)
    words.add_argument("--worlds", type=int, default=1)
    words.add_argument("--level", type=int, default=6)
    words.add_argument("--jobs", type=int, default=3)
    words.add_argument("--keep")
    words = words.parse_args()
    first = words.seed if words.seed is not None else random.randrange(1 << 31)
    with concurrent.futures.ProcessPoolExecutor(words.jobs) as pool:
        said = pool.map(one, [(words, seed) for seed in range(first, first + words.worlds)])
        agreed = sum(count == 0 for count in map(tell, said))
    print(f"{agreed} of {words.worlds} worlds agreed")
    sys.exit(agreed != words.worlds)


if __name__ == "__main__":
    main()
