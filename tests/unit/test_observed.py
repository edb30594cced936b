"""What is deployed for operators: alert rules and the dashboard."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.prometheus import DEPLOYED, promtool

DASHBOARD: dict[str, Any] = json.loads((DEPLOYED / "grafana" / "dashboards" / "ecurie.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWING = [panel for panel in PANELS if panel["type"] != "row"]
RULES = yaml.safe_load((DEPLOYED / "prometheus" / "ecurie.rules.yml").read_text())["groups"][0]["rules"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "ecurie.rules.yml"),
        ("test", "rules", "ecurie.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_takes_what_is_deployed(arguments: tuple[str, ...]) -> None:
    assert "SUCCESS" in promtool(*arguments)


def test_grafana_finds_its_data_source_and_the_dashboard() -> None:
    """Where the compose file puts them."""
    folder = DEPLOYED / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((folder / "dashboards" / "ecurie.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    cases = yaml.safe_load((DEPLOYED / "prometheus" / "ecurie.rules.test.yml").read_text())["tests"]
    fired = {
        asked["alertname"] for case in cases for asked in case["alert_rule_test"] if asked.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in RULES}


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """Its own types drop what they do not know."""
    read = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    assert _without_defaults(read, DASHBOARD) == DASHBOARD


def _without_defaults(read: Any, asked: Any) -> Any:
    """What was read of the fields that were written."""
    if isinstance(asked, dict) and isinstance(read, dict):
        return {key: _without_defaults(read.get(key), value) for key, value in asked.items()}
    if isinstance(asked, list) and isinstance(read, list):
        return [_without_defaults(*pair) for pair in zip(read, asked, strict=True)]
    return read


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_panels_ask_the_data_source_that_is_chosen() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource", "datasource", "prometheus",
    )  # fmt: skip
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in SHOWING:
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])].count(
            source
        ) == 1 + len(panel["targets"])
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
