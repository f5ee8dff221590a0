"""Alerts and models over REST."""

from pathlib import Path

import msgspec
from clients import Client
from model_figures import FILE, corpus, figures, taught_by
from records import DEVICE, reading, status

from models import bundle
from server.alerts.notifiers import Webhooks
from server.alerts.rules import load
from server.alerts.worker import Evaluator
from training import catalogue, results

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
    shipped = [bundle.load(path).manifest for path in bundle.SHIPPED.iterdir() if path.is_dir()]
    assert models.keys() == {manifest.name for manifest in shipped}
    for manifest in shipped:
        model = models[manifest.name]
        own = {told["corpus"] for told in model["corpora"] if told["own"]}
        assert {told["corpus"] for told in model["corpora"]} == {"CREMA-D", "RAVDESS", "EmoDB"}
        scored = [name for name in catalogue.taught(manifest) if name in catalogue.SCORED]
        assert own == {catalogue.CORPORA[name].title for name in scored}
        for told in model["corpora"]:
            low, high = told["uar_interval"]
            assert model["chance"] < low < told["uar"] < high


def test_the_page_is_told_of_each_corpus_that_taught_a_model() -> None:
    """A model of two corpora says so, in both languages, and neither is elsewhere."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    two = {"crema-d": {"title": "CREMA-D"}, "emodb": {"title": "EmoDB"}}
    speakers = {"train": [*range(1001, 1073), 203, *range(208, 217)], "test": []}
    taught = msgspec.structs.replace(manifest, measured={"corpora": two, "speakers": speakers})
    own = results.read_elsewhere(results.LATENCY.parent)[manifest.name]["crema-d"]

    assert taught_by(taught) == "CREMA-D and EmoDB: acted English and German sentences of 82 speakers"
    more = {**two, "prompts": {"title": "Asterisk's prompts"}}
    measured = {"corpora": more, "speakers": {"train": [*speakers["train"], 301, 302], "test": []}}
    said = taught_by(msgspec.structs.replace(manifest, measured=measured))
    assert said.startswith("CREMA-D, EmoDB and Asterisk's prompts: acted English and German sentences of 82 ")
    assert said.endswith("and announcements of 2")
    assert (corpus("emodb", own)["own"], corpus("emodb", own)["language"]) == (True, "de")
