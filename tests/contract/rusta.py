#!/usr/bin/env python3
"""Reads and writes what wire/CONTRACT.md describes. Made from that text alone, with the standard library alone.

    rusta.py vectors FILE                    checks the neutral vectors, reading and writing
    rusta.py read DIR                        prints what waits in a spool, as JSON
    rusta.py write DIR < JSON                writes a spool
    rusta.py enroll URL CA TOKEN DIR         gets an identity (openssl makes the key and the request)
    rusta.py send URL DIR SPOOL [plain|dense]  uploads what waits, and prints the answers
"""
import http.client, json, os, pathlib, ssl, struct, subprocess, sys, urllib.parse, zlib

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "wire/CONTRACT.md"
U64, WRAP = (1 << 64) - 1, 1 << 64
SERIES = {1: "link", 2: "network", 3: "target", 4: "rung", 5: "probe", 6: "interval_s", 7: "metrics", 8: "towards"}
BATCH = {1: "agent", 2: "boot", 3: "sequence", 4: "covers", 5: "from_ms", 6: "span_ms", 7: "clock", 8: "reason", 9: "summary_s",
         10: "thinned", 11: "dropped", 12: "table"}
CLOCK = {1: "unix_ms", 2: "source", 3: "uncertainty_ms"}
ANSWER = {1: "server_unix_ms", 2: "assignment_version", 4: "retry_after_ms", 5: "backlog_bytes", 6: "hold", 7: "reason",
          8: "reads_dense", 9: "upload"}


def metrics():
    """The table of metrics in the text: code -> (significant?, step, base)."""
    rows = {}
    for line in CONTRACT.read_text().split("### Metrics")[1].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 7 and cells[0].isdigit():
            kind, step = cells[4].rstrip(")").split("(")
            rows[int(cells[0])] = (kind == "significant", int(step), None if cells[5] == "-" else int(cells[5]))
    return rows


METRICS = metrics()
signed = lambda n: (n & U64) - (WRAP if n & (1 << 63) else 0)


# Section 6: precision.
def rounded(value, step):
    whole, rest = divmod(abs(value), step)
    return whole + (rest * 2 >= step)


def code_of(metric, value):
    significant, step, _ = METRICS.get(metric, (False, 1, None))
    s = rounded(value, step)
    if significant and s >= 256:
        k = s.bit_length() - 8
        s = 256 + (k - 1) * 128 + ((s >> k) + (s >> (k - 1) & 1) - 128)
    return -s if value < 0 else s


def value_of(metric, code):
    significant, step, _ = METRICS.get(metric, (False, 1, None))
    s = abs(code)
    if significant and s >= 256:
        octave, place = divmod(s - 256, 128)
        s = (128 + place) << (octave + 1)
    return (-s if code < 0 else s) * step


# Protobuf, as far as needed.
def varint(n):
    out, n = bytearray(), n & U64
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def take_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        n |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return n & U64, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = take_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = take_varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif kind == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        elif kind == 2:
            length, at = take_varint(data, at)
            if at + length > len(data):
                raise ValueError("a field past the end")
            value, at = bytes(data[at:at + length]), at + length
        else:
            raise ValueError("a field of no kind")
        yield key >> 3, kind, value


def packed(value, kind):
    if kind != 2:
        return [value]
    out, at = [], 0
    while at < len(value):
        n, at = take_varint(value, at)
        out.append(n)
    return out


def put(tag, kind, value):
    if kind == 2:
        return varint(tag << 3 | 2) + varint(len(value)) + value if value else b""
    if not value:
        return b""
    return varint(tag << 3 | kind) + (varint(value) if kind == 0 else struct.pack("<Q", value))


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & U64
    return h


# Section 2.
def frame(kind, payload):
    head = struct.pack("<BBI", 1, kind, len(payload))
    return b"RU" + head + struct.pack("<I", zlib.crc32(head + payload)) + payload


def frame_at(data, at):
    """Returns (kind, payload, end), or None where no whole frame stands."""
    if data[at:at + 2] != b"RU" or at + 12 > len(data):
        return None
    version, kind, length, crc = struct.unpack_from("<BBII", data, at + 2)
    end = at + 12 + length
    if length > 65536 or end > len(data) or zlib.crc32(data[at + 2:at + 8] + data[at + 12:end]) != crc or version != 1:
        return None
    return kind, data[at + 12:end], end


# Section 5.
def read_table(payload):
    table = []
    for tag, _, value in fields(payload):
        if tag == 1:
            series = {name: "" if name in ("link", "target", "towards") else [] if name == "metrics" else 0 for name in SERIES.values()}
            for inner, kind, part in fields(value):
                if inner == 7:
                    series["metrics"] += packed(part, kind)
                elif inner in SERIES:
                    series[SERIES[inner]] = part.decode() if kind == 2 else part
            table.append(series)
    return table


def write_table(table):
    def series(s):
        names = {n: s[name].encode() for n, name in SERIES.items() if name in ("link", "target", "towards")}
        names[7] = b"".join(varint(m) for m in s["metrics"])
        return b"".join(put(n, 2, names[n]) if n in names else put(n, 0, s[SERIES[n]]) for n in SERIES)
    return b"".join(put(1, 2, series(s)) for s in table)


# Section 6: the two codings. Each gives and takes residuals by column, and the states of samples.
class Plain:
    def __init__(self, outcomes=(), absent=(), values=()):
        self.out, self.zeros, self.skipped, self.pairs = [], 0, [0, 0], [[], []]
        self.values = iter(values)
        self.sparse = [self.spread(iter(outcomes)), self.spread(iter(absent))]

    def spread(self, pairs):
        for skipped in pairs:
            yield from [0] * skipped
            yield next(pairs)
        while True:
            yield 0

    def residual(self, column, n=None):
        if n is not None:
            self.zeros += n == 0
            if n:
                self.end()
                self.out.append(n)
        elif self.zeros:
            self.zeros -= 1
            return 0
        else:
            n = next(self.values)
            self.zeros = next(self.values) if n == 0 else 0
            return n

    def end(self):
        if self.zeros:
            self.out += [0, self.zeros - 1]
            self.zeros = 0

    def state(self, series, before, state=None):
        if state is None:
            return next(self.sparse[0]), next(self.sparse[1])
        for n, value in enumerate(state):
            if value:
                self.pairs[n] += [self.skipped[n], value]
                self.skipped[n] = 0
            else:
                self.skipped[n] += 1

    def payload(self):
        self.end()
        zigzag = b"".join(varint(n << 1 if n >= 0 else (-n << 1) - 1) for n in self.out)
        return b"".join(put(20 + n, 2, b"".join(map(varint, self.pairs[n]))) for n in (0, 1)) + put(22, 2, zigzag)

    def finish(self):
        assert not self.zeros and next(self.values, None) is None, "values left over"


class Dense:
    def __init__(self, data=None):
        self.data, self.at, self.low, self.range, self.code = data, 0, 0, (1 << 32) - 1, 0
        self.bytes, self.chances, self.before = bytearray(), {}, {}
        if data is not None:
            for _ in range(4):
                self.shift()

    def shift(self):
        if self.data is None:
            if self.low >> 32:
                at = len(self.bytes) - 1
                while at >= 0:
                    self.bytes[at] = self.bytes[at] + 1 & 255
                    if self.bytes[at]:
                        break
                    at -= 1
            self.bytes.append(self.low >> 24 & 255)
            self.low = self.low << 8 & 0xffffffff
        else:
            self.code = (self.code << 8 | (self.data[self.at] if self.at < len(self.data) else 0)) & 0xffffffff
            self.at += 1

    def narrow(self, part, bit):
        if self.data is not None:
            bit = self.code < part
            self.code -= 0 if bit else part
        self.low += 0 if bit else part
        self.range = part if bit else self.range - part
        while self.range < 1 << 24:
            self.range = self.range << 8
            self.shift()
        return bool(bit)

    def bit(self, name, bit=None):
        one, seen = self.chances.get(name, (32768, 0))
        bit = self.narrow((self.range >> 16) * one, bit)
        seen = min(seen + 1, 24)
        move = ((65536 if bit else 0) - one) * 2
        step = abs(move) // (2 * seen + 3)
        self.chances[name] = min(max(one + (step if move > 0 else -step), 16), 65520), seen
        return bit

    def plain(self, bit=None):
        self.range >>= 1
        half = self.range
        if self.data is not None:
            bit = self.code < half
            self.code -= 0 if bit else half
        self.low += 0 if bit else half
        while self.range < 1 << 24:
            self.range = self.range << 8
            self.shift()
        return bool(bit)

    def residual(self, column, n=None):
        reading = n is None
        before = self.before.get(column, 0)
        if self.bit((column, "zero", before), None if reading else n == 0):
            self.before[column] = 0
            return 0
        negative = self.bit((column, "negative"), None if reading else n < 0)
        size, length = 0 if reading else abs(n), 1
        while length < 64 and self.bit((column, "longer", min(length, 24)), None if reading else length < size.bit_length()):
            length += 1
        found = 1
        for left in range(length - 2, -1, -1):
            bit = None if reading else size >> left & 1
            second = left == length - 2
            found = found << 1 | (self.bit((column, "second", min(length, 24)), bit) if second else self.plain(bit))
        self.before[column] = 1 if found <= 3 else 2
        return -found if negative else found

    def state(self, series, before, state=None):
        outcome = self.residual("outcome", state and state[0])
        mask = 0
        for place, metric in enumerate(series["metrics"]):
            mask |= self.bit(("absent", metric, before >> place & 1), state and state[1] >> place & 1) << place
        return outcome, mask

    def payload(self):
        last = self.low + self.range - 1
        zeros = next(z for z in range(32, -1, -1) if last >> z << z >= self.low)
        self.low = last >> zeros << zeros
        for _ in range(4):
            self.shift()
        columns = bytes(self.bytes).rstrip(b"\0")
        return varint(23 << 3 | 2) + varint(len(columns)) + columns

    def finish(self):
        assert self.at >= len(self.data), "columns left over"


def steps(ms):
    return (ms + 50) // 100


def expect(last, series, place, values):
    """Returns the expected code and its column."""
    metric = series["metrics"][place]
    base = METRICS.get(metric, (0, 0, None))[2]
    if base in series["metrics"][:place] and values[series["metrics"].index(base)] is not None:
        return code_of(metric, values[series["metrics"].index(base)]), metric
    return (last[metric], metric) if metric in last else (0, "first")


def read_batch(payload, table):
    batch = dict.fromkeys(BATCH.values(), 0)
    lists, columns = {20: [], 21: [], 22: []}, None
    for tag, kind, value in fields(payload):
        if tag == 7:
            inner = {CLOCK[t]: v for t, _, v in fields(value) if t in CLOCK}
            batch["clock"] = {name: inner.get(name, 0) for name in CLOCK.values()}
            batch["clock"]["unix_ms"] = signed(batch["clock"]["unix_ms"])
        elif tag in lists:
            lists[tag] += packed(value, kind)
        elif tag == 23:
            columns = value
        elif tag in BATCH:
            batch[BATCH[tag]] = value
    batch["covers"] = max(batch["covers"], 1)
    batch.update({name: f"{batch[name]:016x}" for name in ("agent", "boot", "table")})
    source = Plain(lists[20], lists[21], [n >> 1 ^ -(n & 1) for n in lists[22]]) if columns is None else Dense(columns)
    samples, last, count, counts = [], {}, 0, []
    for _ in table:
        count += source.residual("count")
        counts.append(count)
    for index, (count, series) in enumerate(zip(counts, table)):
        states, at, rows = [], steps(batch["from_ms"]), []
        for _ in range(count):
            states.append(source.state(series, states[-1][1] if states else 0))
        for n in range(count):
            at += source.residual("time" if n else "start")
            rows.append({"series": index, "at_ms": at * 100, "outcome": states[n][0], "values": [None] * len(series["metrics"])})
            at += series["interval_s"] * 10
        for place, metric in enumerate(series["metrics"]):
            for row, (_, mask) in zip(rows, states):
                if not mask >> place & 1:
                    expected, column = expect(last, series, place, row["values"])
                    last[metric] = signed(expected + source.residual(column))
                    row["values"][place] = value_of(metric, last[metric])
        samples += rows
    source.finish()
    return {**batch, "samples": samples}


def write_batch(batch, table, dense=False):
    sink, last, samples = Dense() if dense else Plain(), {}, sorted(batch["samples"], key=lambda s: (s["series"], s["at_ms"]))
    groups = [[s for s in samples if s["series"] == index] for index in range(len(table))]
    before = 0
    for group in groups:
        sink.residual("count", len(group) - before)
        before = len(group)
    for series, group in zip(table, groups):
        mask = 0
        for s in group:
            absent = sum(1 << place for place, value in enumerate(s["values"]) if value is None)
            sink.state(series, mask, (s["outcome"], absent))
            mask = absent
        at = steps(batch["from_ms"])
        for n, s in enumerate(group):
            sink.residual("time" if n else "start", steps(s["at_ms"]) - at)
            at = steps(s["at_ms"]) + series["interval_s"] * 10
        for place, metric in enumerate(series["metrics"]):
            code = last.get(metric)
            for s in group:
                if s["values"][place] is not None:
                    expected, column = expect(last, series, place, s["values"])
                    code = code_of(metric, s["values"][place])
                    sink.residual(column, signed(code - expected))
                    last[metric] = code
    clock = b"".join(put(n, 0, batch["clock"][name]) for n, name in CLOCK.items())
    head = b""
    for n, name in BATCH.items():
        value = 0 if name == "covers" and batch[name] == 1 else batch[name]
        if name == "clock":
            head += varint(n << 3 | 2) + varint(len(clock)) + clock
        else:
            head += put(n, 1, int(value, 16)) if name in ("agent", "boot", "table") else put(n, 0, value)
    return head + sink.payload()


# Section 3.
def read_spool(folder):
    tables, batches, done = {}, [], {}
    for path in sorted(pathlib.Path(folder).glob("*.journal")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            found = frame_at(data, at)
            if not found:
                at += 1
                continue
            kind, payload, at = found
            if kind == 1:
                tables[f"{fnv(payload):016x}"] = payload
            elif kind == 2:
                batches.append(payload)
            elif kind == 3:
                for boot in (dict_of for tag, _, dict_of in fields(payload) if tag == 1):
                    name, ranges = 0, []
                    for tag, wire, value in fields(boot):
                        name = value if tag == 1 else name
                        ranges += packed(value, wire) if tag == 4 else []
                    done.setdefault(f"{name:016x}", []).extend(zip(ranges[::2], ranges[1::2]))
    read = []
    for payload in batches:
        name = next(f"{value:016x}" for tag, _, value in fields(payload) if tag == 12)
        if name in tables:
            read.append((read_batch(payload, read_table(tables[name])), payload, tables[name]))
    reach = lambda b: (b["sequence"], b["sequence"] + b["covers"])
    covered = lambda b, by: b["boot"] == by["boot"] and reach(by)[0] <= reach(b)[0] and reach(b)[1] <= reach(by)[1] and by["covers"] > b["covers"]
    return [(b, payload, table) for b, payload, table in read
            if not any(first <= b["sequence"] < first + count for first, count in done.get(b["boot"], []))
            and not any(covered(b, by) for by, _, _ in read)]


def write_spool(folder, content):
    os.makedirs(folder, exist_ok=True)
    tables = {table["id"]: table["series"] for table in content["tables"]}
    frames = [frame(1, write_table(series)) for series in tables.values()]
    frames += [frame(2, write_batch(batch, tables[batch["table"]])) for batch in content["batches"]]
    pathlib.Path(folder, "0000000001.journal").write_bytes(b"".join(frames))


# Sections 7 and 8.
def connect(url, ca, identity=None):
    place = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=ca)
    if identity:
        context.load_cert_chain(pathlib.Path(identity, "agent.crt"), pathlib.Path(identity, "agent.key"))
    return http.client.HTTPSConnection(place.hostname, place.port or 8443, context=context, timeout=60)


def enroll(url, ca, token, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=x",
                    "-keyout", folder / "agent.key", "-out", folder / "agent.csr"], check=True, capture_output=True)
    line = connect(url, ca)
    line.request("POST", "/v1/enroll", json.dumps({"token": token, "csr_pem": (folder / "agent.csr").read_text()}))
    reply = line.getresponse()
    body = json.loads(reply.read())
    assert reply.status == 200, body
    (folder / "agent.crt").write_text(body["certificate_pem"])
    (folder / "ca.crt").write_text(body["ca_pem"])
    return {"agent": body["agent"], "site": body["site"]}


def read_answer(data):
    answer = {"missing_tables": [], "faults": []}
    for tag, kind, value in fields(data):
        if tag == 3:
            answer["missing_tables"] += [f"{n:016x}" for n in (struct.unpack(f"<{len(value) // 8}Q", value) if kind == 2 else [value])]
        elif tag == 10:
            fault = {t: v for t, _, v in fields(value)}
            answer["faults"].append({"boot": f"{fault.get(1, 0):016x}", "sequence": fault.get(2, 0), "reason": fault.get(3, 0)})
        elif tag in ANSWER:
            answer[ANSWER[tag]] = value.decode() if kind == 2 else value
    return answer


def send(url, identity, spool, coding="plain"):
    line, answers, owed = connect(url, pathlib.Path(identity, "ca.crt"), identity), [], set()
    for batch, payload, table in read_spool(spool):
        while True:
            series = read_table(table)
            body = frame(2, write_batch(batch, series, coding == "dense") if coding == "dense" else payload)
            body = (frame(1, table) if f"{fnv(table):016x}" in owed else b"") + body
            line.request("POST", "/v1/batches", body, {"content-type": "application/octet-stream", "user-agent": "contract/1"})
            reply = line.getresponse()
            answer = read_answer(reply.read())
            assert answer.get("upload") == zlib.crc32(body), answer
            answers.append({"status": reply.status, **answer})
            if reply.status != 409 or set(answer["missing_tables"]) <= owed:
                break
            owed |= set(answer["missing_tables"])
    return answers


def vectors(path):
    told = json.loads(pathlib.Path(path).read_text())
    for one in told["precision"]:
        for name, metric in (("significant(10)", 10), ("step(3600)", 27)):
            code = code_of(metric, one["value"])
            assert (code, value_of(metric, code)) == (one[name]["code"], one[name]["back"]), one
    tables = {table["name"]: table for table in told["tables"]}
    for table in tables.values():
        payload = bytes.fromhex(table["hex"])
        assert (read_table(payload), f"{fnv(payload):016x}") == (table["series"], table["id"]), table["name"]
        assert payload.startswith(write_table(table["series"])), table["name"]
    for batch in told["batches"]:
        payload, series = bytes.fromhex(batch["hex"]), tables[batch["needs"]]["series"]
        assert read_batch(payload, series) == batch["is"], batch["name"]
        assert payload.startswith(write_batch(batch["is"], series, "dense" in batch["name"])), batch["name"]
    first = bytes.fromhex(tables["first"]["hex"])
    assert frame(1, first).hex() == told["frame"]["hex"] and frame_at(bytes.fromhex(told["frame"]["hex"]), 0)[1] == first
    answer = told["answer"]
    assert read_answer(bytes.fromhex(answer["hex"])) == answer["is"], read_answer(bytes.fromhex(answer["hex"]))
    return len(told["batches"])


if __name__ == "__main__":
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "read":
        print(json.dumps([{**batch, "series": read_table(table)} for batch, _, table in read_spool(rest[0])]))
    elif what == "write":
        write_spool(rest[0], json.load(sys.stdin))
    else:
        print(json.dumps({"vectors": vectors, "enroll": enroll, "send": send}[what](*rest)))
