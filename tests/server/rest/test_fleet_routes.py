"""Alerts and models over REST."""

from pathlib import Path

from clients import Client
from model_figures import FILE, figures
from records import DEVICE, reading, status

from server.alerts.notifiers import Webhooks
from server.alerts.rules import load
from server.alerts.worker import Evaluator

RULES = """
[[rule]]
name = "anger"
label = "ANG"
above = 0.6
below = 0.4
webhook = "http://127.0.0.1:1/secret"
"""


def test_alerts_show_rules_and_states_and_no_address(client: Client, tmp_path: Path) -> None:
    """A raised alert says when and with which mean; the address that it notifies stays a secret."""
    assert client.get("/api/v1/alerts") == {"running": False, "rules": [], "alerts": []}
    (tmp_path / "alerts.toml").write_text(RULES)
    now = client.store.now()
    client.store.write([(DEVICE, status()), *((DEVICE, reading(seq, now - 60_000 + seq)) for seq in range(12))])
    Evaluator(client.store, load(tmp_path / "alerts.toml"), Webhooks(), None).evaluate_all()

    told = client.get("/api/v1/alerts")

    (rule,), (alert,) = told["rules"], told["alerts"]
    assert told["running"]
    assert (rule["name"], rule["above"], rule["over_minutes"], rule["notifies"]) == ("anger", 0.6, 5, "webhook")
    assert (alert["rule"], alert["name"], alert["raised"], alert["mean"]) == ("anger", "Kitchen", True, 0.7)
    assert alert["raised_at"] == alert["changed_at"]
    assert "secret" not in client.ask("/api/v1/alerts").text


def test_the_figures_of_the_models_are_those_of_bundles_and_results(client: Client) -> None:
    """The file is up to date, and REST answers it: every shipped model with its intervals on each corpus."""
    assert FILE.read_text() == figures(), "run python tests/support/model_figures.py"
    models = {model["name"]: model for model in client.get("/api/v1/models")["models"]}
    assert models.keys() >= {"ang-hap-neu-9", "six-6"}
    for model in models.values():
        assert [corpus["corpus"] for corpus in model["corpora"]] == ["CREMA-D", "RAVDESS", "EmoDB"]
        for corpus in model["corpora"]:
            low, high = corpus["uar_interval"]
            assert model["chance"] < low < corpus["uar"] < high
