"""A version of the registry as the figures need it; numbers are paragraphs of the rules' text."""
import datetime

from worlds import DAY, NETWORKS, TEHRAN

GENERATIONS = {"lte": 4, "td_lte": 4, "nr": 5, "umts": 3, "gsm": 2}     # 7.2
LIMITS_MS = {**dict.fromkeys(("fibre", "fibre_gpon", "dsl", "radio", "ethernet"), 300), "vsat": 900}     # 7.2; else 600


class Registry:
    def __init__(self, start, rows, works):
        self.start, self.works = start, works
        self.regions = {row["code"]: row for row in rows["regions.csv"]}
        self.sites = {row["code"]: row for row in rows["sites.csv"]}
        self.links = {(row["site_code"], row["name"]): row for row in rows["links.csv"]}
        self.nodes = {row["code"]: row for row in rows.get("nodes.csv", [])}
        self.calendars = rows.get("calendars", {})

    def inside(self, region, code):
        while code and code != region:
            code = self.regions[code]["parent_code"] if code in self.regions else ""
        return bool(code)

    def may_speak(self, speaker, site):
        """3.5: whether a site's agents may speak of another site."""
        row = self.sites.get(speaker)
        if not row or site not in self.sites:
            return False
        about = row.get("vantage_for", "")
        if not about:
            level = {"core": "province", "farmandari": "county", "pop": "county"}.get(row["kind"])
            about = self.above(row["region_code"], level) if level else "none"
        return about == site or about in self.regions and self.inside(about, self.sites[site]["region_code"])

    def above(self, code, kind):
        while code and self.regions[code]["kind"] != kind:
            code = self.regions[code]["parent_code"]
        return code or "none"

    def link_seen(self, series, site):
        """3.5: the link of a site that a series from outside speaks of."""
        links = self.links_of(site)
        named = [link for link in links if link["name"] == series["target"].rsplit("/", 1)[-1] and "/" in series["target"]]
        network = [link for link in links if NETWORKS[link["network"]] == series["network"]]
        primary = [link for link in links if link["role"] == "primary"]
        return next((link["name"] for link in named + network + primary), None)

    def links_of(self, site):
        return [row for row in self.links.values() if row["site_code"] == site]

    def limit_ms(self, link):
        return LIMITS_MS.get(link["access"], 600)

    def generation(self, link):
        return GENERATIONS.get(link["access"], 0)

    def hangs_on(self, code, node):
        while code and code != node:
            code = self.nodes[code].get("parent", "") if code in self.nodes else ""
        return bool(code)

    def covers(self, work, link):
        """8.1"""
        kind, code = work["covers"]
        site = self.sites[link["site_code"]]
        return {"link": lambda: (link["site_code"], link["name"]) == code, "site": lambda: site["code"] == code,
                "region": lambda: self.inside(code, site["region_code"]), "node": lambda: self.hangs_on(link.get("parent", ""), code)}[kind]()

    def work_on(self, link, start, end, announced):
        """Stretches of work on a link inside [start, end), in milliseconds; `announced` or on short notice."""
        out = []
        for work in self.works:
            if self.covers(work, link):
                for at, until in occurrences(work, end // 1000):
                    if (at - work["announced"] >= DAY) == announced and at * 1000 < end and until * 1000 > start:
                        out.append((max(at * 1000, start), min(until * 1000, end)))
        return out

    def closed(self, site, start, end):
        """8.4: when a site is closed on a day, in milliseconds."""
        calendar = self.calendars.get(self.sites[site].get("calendar", ""))
        if not calendar:
            return []
        day = datetime.date.fromordinal((start // 1000 + TEHRAN) // DAY + 719_163)
        hours = None if day.isoformat() in calendar["holidays"] else calendar["week"].get(day.strftime("%A").lower())
        if not hours:
            return [(start, end)]
        opens, closes = (start + seconds * 1000 for seconds in hours)
        return [(start, opens), (closes, end)]


def occurrences(work, end):
    at, until = work["from"], work["until"]
    while at < end:
        yield at, until
        if not work.get("weekly"):
            return
        at, until = at + 7 * DAY, until + 7 * DAY
