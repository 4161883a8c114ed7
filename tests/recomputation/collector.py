"""The real collector of one world: its registry, its agents' uploads over mTLS, and its answers."""
import csv, http.client, io, json, pathlib, signal, socket, subprocess, sys, time, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "contract"))
import rusta

MOST_FRAMES = 200  # of one upload; the contract allows 1,024 frames and 256 KiB
MOST_BYTES = 200_000


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Collector:
    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.agents, self.http, self.process = free_port(), free_port(), None
        self.config = self.folder / "collector.yaml"
        self.config.write_text(
            f"data_dir: {self.folder}/data\n"
            f"agents: {{ listen: \"127.0.0.1:{self.agents}\", names: [\"127.0.0.1\"] }}\n"
            f"http: {{ listen: \"127.0.0.1:{self.http}\", anonymous: viewer }}\n"
            "log: { retention_days: 90 }\n")

    def run(self, *words):
        done = subprocess.run([self.program, "--config", self.config, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def serve(self):
        out = open(self.folder / "serve.txt", "ab")
        self.process = subprocess.Popen([self.program, "--config", self.config, "serve"], stdout=out, stderr=out)
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "serve.txt").read_text()[-2000:])
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError("the collector does not become ready")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def get(self, path):
        line = http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)
        line.request("GET", path)
        reply = line.getresponse()
        return reply.status, reply.read().decode()

    def ask(self, path, **words):
        status, text = self.get(path + "?" + urllib.parse.urlencode(words))
        if status != 200:
            raise RuntimeError(f"{path} {words}: {status} {text[:300]}")
        return text

    def figures(self, **words):
        return json.loads(self.ask("/api/v1/kpis", **words))["items"]

    def explain(self, kpi, region, period, **words):
        return list(csv.DictReader(io.StringIO(self.ask("/api/v1/kpis/explain", id=kpi, region=region, period=period, form="csv", **words))))

    def enroll(self, site, name, second=False):
        """Returns the identity's folder and the agent's number."""
        token = self.run("agents", "token", "--bare", "--site", site, *(["--second"] if second else [])).strip()
        folder = self.folder / "identities" / name
        told = rusta.enroll(f"https://127.0.0.1:{self.agents}", str(self.folder / "data/authority/1.crt"), token, folder)
        return folder, told["agent"]

    def send(self, identity, uploads):
        """Sends each list of (table payload, batch payload, headers) as one upload."""
        line = rusta.connect(f"https://127.0.0.1:{self.agents}", str(identity / "ca.crt"), identity)
        known = set()
        for table, payloads, headers in uploads:
            body = b"".join(rusta.frame(2, payload) for payload in payloads)
            if table not in known:
                body = rusta.frame(1, table) + body
                known.add(table)
            line.request("POST", "/v1/batches", body, {"content-type": "application/octet-stream", "user-agent": "audit/1", **headers})
            reply = line.getresponse()
            answer = rusta.read_answer(reply.read())
            if reply.status != 200:
                raise RuntimeError(f"upload: {reply.status} {answer}")
        line.close()

    def settle(self, most=120):
        """Waits until every day of every site is built."""
        calm = 0
        for _ in range(int(most / 0.1)):
            text = self.get("/metrics")[1]
            waiting = [line for line in text.splitlines() if line.startswith("rusta_history_days_waiting")]
            lag = [line for line in text.splitlines() if line.startswith("rusta_engine_lag_seconds")]
            if waiting and float(waiting[0].split()[-1]) == 0 and lag and float(lag[0].split()[-1]) < 10:
                calm += 1
                if calm >= 15:
                    return
            else:
                calm = 0
            time.sleep(0.1)
        raise RuntimeError("history is not built in time")
