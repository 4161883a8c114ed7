"""Reads dashboards with Grafana's own types and writes them again; prints what got lost on the way.

A key that the types do not know is dropped silently by them, so a misspelt one shows up here. The target of an annotation is
left out: it belongs to the data source, and the types keep nothing of it.
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(given, back, place):
    if place.startswith(".annotations.") and place.endswith(".target"):
        return
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            if key in back:
                yield from lost(value, back[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is unknown"
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for number, pair in enumerate(zip(given, back)):
            yield from lost(*pair, f"{place}[{number}]")
    elif given != back:
        yield f"{place}: {given!r} became {back!r}"


plugins.register_default_plugins()
faults = 0
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        dashboard = json.load(file)
    back = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    for fault in lost(dashboard, back, ""):
        print(f"{name}: {fault}")
        faults += 1
sys.exit(1 if faults else 0)
