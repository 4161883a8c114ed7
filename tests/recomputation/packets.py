"""What rounds measured: packets, their times and variation, quality; numbers are paragraphs of the rules' text (11)."""
import collections, math

from states import DOWN, SLOT_MS, is_anchor
from worlds import NOTHING

SENT, RECEIVED, LEAST, MEDIAN, P90, LARGEST = 1, 2, 10, 11, 12, 13


def times_of(values):
    """11.2: the packets of one round."""
    least = values.get(LEAST) if values.get(LEAST) is not None else values.get(MEDIAN)
    if least is None:
        return []
    n = values.get(RECEIVED) or 1
    known = [(1, least)]
    for rank, value in ((math.ceil(n / 2), values.get(MEDIAN)), (math.ceil(0.9 * n), values.get(P90)), (n, values.get(LARGEST))):
        if value is not None and rank > known[-1][0]:
            known.append((rank, max(value, known[-1][1])))
    place = lambda r: math.log((r - 0.5) / n / (1 - (r - 0.5) / n))
    out = []
    for rank in range(1, n + 1):
        before = [k for k in known if k[0] <= rank][-1]
        after = next((k for k in known if k[0] > rank), None)
        if before[0] == rank or not after:
            out.append(before[1])
        else:
            part = (place(rank) - place(before[0])) / (place(after[0]) - place(before[0]))
            out.append(math.exp(math.log(before[1]) + part * (math.log(after[1]) - math.log(before[1]))))
    return [coarse(v) for v in out]


def coarse(v):
    g = 2 ** max(0, int(v).bit_length() - 4)
    return math.floor(v / g + 0.5) * g


def bucket(v):
    """11.4: (least, largest) of the bucket that holds a value."""
    if v < 32:
        return v, v
    width = 1 << (v.bit_length() - 5)
    return v // width * width, v // width * width + width - 1


class Distribution:
    def __init__(self):
        self.buckets, self.n = collections.Counter(), 0

    def add(self, values):
        for v in values:
            self.buckets[bucket(v)] += 1
            self.n += 1

    def merge(self, other):
        self.buckets.update(other.buckets)
        self.n += other.n

    def quantile(self, q):
        rank = max(1, math.ceil(q * self.n))
        for (low, high), count in sorted(self.buckets.items()):
            rank -= count
            if rank <= 0:
                return (low + high) // 2


class Measured:
    """A link's day."""

    def __init__(self):
        self.sent = self.lost = self.slots = self.good = 0
        self.times, self.variation = Distribution(), Distribution()

    def add(self, other):
        self.sent, self.lost = self.sent + other.sent, self.lost + other.lost
        self.slots, self.good = self.slots + other.slots, self.good + other.good
        self.times.merge(other.times)
        self.variation.merge(other.variation)


def measure(agents, link, timeline, start, end):
    """`timeline` says when the link was down."""
    out, slots = Measured(), collections.defaultdict(lambda: [0, 0, 0, collections.defaultdict(list)])
    downs = [(a, b) for a, b, state in timeline if state == DOWN]
    for agent in agents:
        for boot in agent.boots:
            if not boot.is_dated():
                continue
            for _, _, rounds in boot.batches:
                for one in rounds:
                    at, series = round(one.at * 1000), agent.series[one.series]
                    if not start <= at < end or agent.speaks_of(one.series) != agent.site or series["link"] != link or not is_anchor(series) or one.outcome in NOTHING:
                        continue
                    values, slot = dict(zip(series["metrics"], one.values)), slots[at // SLOT_MS]
                    slot[0] += 1
                    slot[3][id(agent), one.series] += times_of(values)
                    if values.get(SENT) is not None:
                        sent, received = values[SENT], min(values.get(RECEIVED) or 0, values[SENT])
                        slot[1], slot[2] = slot[1] + sent, slot[2] + received
                        if not any(a <= at < b for a, b in downs):
                            out.sent, out.lost = out.sent + sent, out.lost + sent - received
    for rounds, sent, received, series in slots.values():
        times, variation = Distribution(), Distribution()
        for packets in series.values():
            times.add(packets)
            if len(packets) > 1:
                variation.add([packet - min(packets) for packet in packets])
        out.times.merge(times)
        out.variation.merge(variation)
        if rounds >= 10 and sent:
            out.slots += 1
            within = lambda d, most: not d.n or d.quantile(0.95) <= most
            out.good += (sent - received) * 50 <= sent and within(times, 200_000) and within(variation, 50_000)
    return out


def mos(measured):
    """kpis.md, mos_est."""
    if not measured.times.n or not measured.variation.n or not measured.sent:
        return None
    eff = measured.times.quantile(0.5) / 2000 + 2 * measured.variation.quantile(0.5) / 1000 + 10
    r = 93.2 - eff / 40 if eff < 160 else 93.2 - (eff - 120) / 10
    r -= 2.5 * 100 * measured.lost / measured.sent
    if r < 0 or r > 100:
        return 1 if r < 0 else 4.5         # ITU-T G.107, annex B
    return min(max(1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r), 1), 4.5)
