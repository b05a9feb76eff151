"""Holds what is under dashboards/ against the services' own descriptions, as far as they are to be had as packages.

Grafana's dashboards go through Grafana's SDK, which is made from its schema: what comes out must be what went in, so
that no member is unknown to it. Their expressions go through a parser of PromQL. Run in an environment with
grafana-foundation-sdk and promql-parser.
"""

import json
import pathlib
import re
import sys

import promql_parser
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER = pathlib.Path(__file__).parent.parent / "dashboards" / "grafana"

# Members of an annotation that the schema leaves to its source.
OF_PROMETHEUS = {".annotations.list[0].step", ".annotations.list[0].titleFormat"}


def missing(wanted, found, path=""):
    """Paths of what `wanted` has and `found` has not, or has otherwise."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            if name not in found:
                # The encoder leaves out what is null.
                if value is not None:
                    yield f"{path}.{name}"
            else:
                yield from missing(value, found[name], f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, (value, other) in enumerate(zip(wanted, found)):
            yield from missing(value, other, f"{path}[{place}]")
    elif wanted != found:
        yield f"{path}: {wanted!r} came back as {found!r}"


def main():
    register_default_plugins()
    problems, expressions = [], 0
    for file in sorted(FOLDER.glob("*.json")):
        wanted = json.loads(file.read_text())
        found = json.loads(json.dumps(Dashboard.from_json(wanted), cls=JSONEncoder))
        problems += [f"{file.name}: the schema has no {path}" for path in missing(wanted, found) if path not in OF_PROMETHEUS]
        for panel in wanted["panels"]:
            for target in panel["targets"]:
                # Grafana fills this in before Prometheus sees it.
                expression = target["expr"].replace("$__rate_interval", "1m")
                expressions += 1
                try:
                    promql_parser.parse(re.sub(r"\$(\w+)", r"\1", expression))
                except ValueError as error:
                    problems.append(f"{file.name}: {expression}: {error}")
    print("\n".join(problems) or f"{expressions} expressions and their dashboards are right")
    return 1 if problems or not expressions else 0


sys.exit(main())
