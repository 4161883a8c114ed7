#!/usr/bin/env python3
"""Compares a collector's figures with a recomputation from the definitions' text alone, on random worlds.

    compare.py PROGRAM [--seed N] [--worlds N] [--keep FOLDER]

Prints every difference with its evidence and ends with 1 if there is any.
"""
import argparse, collections, concurrent.futures, contextlib, datetime, io, os, pathlib, pickle, random, shutil, sys, tempfile, time, traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import days, states, worlds
from collector import MOST_BYTES, MOST_FRAMES, Collector, rusta

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
    identity, number = collector.enroll(agent.site, agent.name)
    waiting = list(payloads(agent, number))
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
        self.world, self.count, self.checked = world, 0, 0

    def check(self, what, expected, seen, evidence=lambda: ""):
        self.checked += 1
        if expected != seen:
            self.count += 1
            if self.count <= 12:
                print(f"seed {self.world.seed} {what}: expected {expected}, the collector says {seen}\n{evidence()}")


def rounds_near(agent, link, t, before=100, after=330):
    """The rounds of a link's anchors near a moment, as text: second, target, + or -."""
    told = []
    for boot in agent.boots:
        for _, _, rounds in boot.batches:
            for one in rounds:
                series = agent.series[one.series]
                if series["link"] == link and t - before <= one.at <= t + after:
                    told.append((one.at, f"{at(one.at)[6:]}{series['target'].split('-')[-1][0]}{'+' if one.outcome == worlds.OK else '-' if one.outcome in worlds.FAILS else '?'}"))
    return " ".join(text for _, text in sorted(told))


def boots_near(agent, t, near=3_000):
    """Boots and gaps in what arrived of them near a moment, as text."""
    told = []
    for boot in agent.boots:
        if boot.start < t + near and boot.end > t - near and boot.batches:
            told.append(f"[{at(boot.start)} source {boot.source}: looks " + ", ".join(f"{at(a)[6:]}-{at(b)[6:]}" for a, b in looks(boot)) + "]")
    return " ".join(told)


def looks(boot):
    out = []
    for start, until, _ in boot.batches:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], until)
        else:
            out.append((start, until))
    return out


def first_difference(mine, theirs):
    for a, b in zip(mine + [None], theirs + [None]):
        if a != b:
            return (a or b)[0], a, b
    return None


def dump(world, collector, folder):
    out = {}
    for day in range(world.days):
        period = jalali(world.first + day * worlds.DAY)
        for kpi in ("availability_link_user", "outage_count"):
            out[period, kpi] = collector.explain(kpi, "09", period)
    for agent in world.agents:
        out[agent.site] = collector.get(f"/api/v1/sites/{agent.site}/series?hours=200")[1]
    pickle.dump((world, out), open(f"{folder}/{world.seed}.pickle", "wb"))


def show(timeline, start, end):
    return lambda: "    mine: " + " ".join(f"{at(a / 1000)[6:]} {s}" for a, b, s in timeline if b > start and a < end)


def compare(world, collector):
    found = Differences(world)
    whole = collections.defaultdict(list)
    for day in range(world.days):
        start, end = world.first + day * worlds.DAY, world.first + (day + 1) * worlds.DAY
        period = jalali(start)
        rows = {(row["code"], row["link"]): row for row in collector.explain("availability_link_user", "09", period) if row["kind"] == "link"}
        sites = {code: days.Site(world, code, world.agents) for code in dict.fromkeys(agent.site for agent in world.agents)}
        for agent in world.agents:
            for link in dict.fromkeys(s["link"] for s in agent.series):
                timeline = sites[agent.site].link(link, start * 1000, end * 1000)
                whole[agent, link] += timeline
                total = {name: 0 for name in (states.UP, states.DOWN, states.UNKNOWN)} | states.seconds(timeline, start * 1000, end * 1000)
                row = rows[agent.site, link]
                seen = {"up": int(row["up_s"]) + int(row["degraded_s"]), "down": int(row["down_s"]), "unknown": int(row["unknown_s"])}
                found.check(f"{period} {agent.site}/{link} seconds", total, seen, show(timeline, start * 1000, end * 1000))
    return found


def run(program, seed, folder, level):
    world = worlds.make(seed, level)
    collector = Collector(program, folder)
    for n, (start, registry) in enumerate(world.versions):
        worlds.write_registry(registry, collector.folder / f"inventory{n}")
        collector.run("inventory", "import", "--effective-from", jalali(start), collector.folder / f"inventory{n}")
    collector.serve()
    try:
        r = random.Random(seed + 1)
        for agent in world.agents:
            upload(collector, agent, r)
        collector.settle()
        if os.environ.get("DUMP"):
            dump(world, collector, os.environ["DUMP"])
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
            print(f"seed {seed}: {found.checked} figures, {found.count} differences, {time.monotonic() - begun:.1f} s")
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
    words.add_argument("--level", type=int, default=2)
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
