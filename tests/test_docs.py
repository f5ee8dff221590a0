"""The documents say what the code does."""

import re
from pathlib import Path

import pytest
import settings_table

import models.bundle
import moodwire
from broker.messages import (
    MAX_BATCH,
    MAX_PAYLOAD_BYTES,
    MAX_SEQ,
    Command,
    CommandResponse,
    DroppedSpan,
    Health,
    Heard,
    LiveState,
    ModelCommand,
    Reading,
    SetCommand,
    Status,
    Stored,
    decode,
)
from broker.topics import (
    COMMANDS,
    FROM_DEVICE,
    HOME_ASSISTANT_STATUS,
    RESPONSES,
    SERVER_STATUS,
    command,
    command_response,
    home_assistant,
    topic,
)
from common.notice import NOTICE
from device.delivery.send_window import MAX_UNCONFIRMED
from training import catalogue, results
from training.results import Elsewhere

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("[a-z]*/README.md")])


def test_the_settings_page_is_that_of_the_code() -> None:
    """Every setting stands there with its default and its meaning."""
    assert settings_table.PAGE.read_text() == settings_table.page(), "python tests/support/settings_table.py writes it"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """No link to a file of the project is broken."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(document: Path) -> None:
    """Each `moodwire …` and `make …` in a document is a command that there is."""
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in re.findall(r"`(?:[A-Z_]+=\S+ )*moodwire ([a-z]+(?: [a-z]+)*)", text):
        assert moodwire._match(words.split()), f"moodwire {words}"
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, f"make {target}"


def test_the_wire_is_documented_as_it_is() -> None:
    """Topics and limits of the contract's page are those of the code."""
    text = (ROOT / "broker" / "README.md").read_text()

    kinds = [kind for kind in FROM_DEVICE if kind not in RESPONSES]
    names = [topic("<id>", kind) for kind in (*kinds, "stored", "generation", "state")]
    names += [home_assistant("<id>"), HOME_ASSISTANT_STATUS, SERVER_STATUS]
    names += [name("<id>", "pause").replace("pause", "<name>") for name in (command, command_response)]
    for name in names:
        assert f"| `{name}` |" in text, name
    for command_name in COMMANDS:
        assert f"| `{command_name}` | `{{" in text, command_name
    for number in (MAX_PAYLOAD_BYTES, MAX_SEQ, MAX_BATCH, MAX_UNCONFIRMED):
        assert f"{number:,}" in text or str(number) in text, number


def test_the_wire_s_page_names_every_field_and_its_examples_are_right() -> None:
    """No field of a message is missing, and what is shown as a message is one."""
    text = (ROOT / "broker" / "README.md").read_text()
    commands = (SetCommand, ModelCommand, CommandResponse)
    for kind in (Reading, Heard, Status, Health, DroppedSpan, LiveState, Stored, *commands):
        for field in kind.__struct_fields__:
            assert re.search(rf'[`"]{field}[`"]', text), f"{kind.__name__}.{field}"

    shown = [block.encode() for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    for payload, kind in zip(shown, (Reading, Status, Stored, LiveState), strict=True):
        decode(payload, kind)
    for name, payload in re.findall(r"^\| `(pause|resume|set|model)` \| `(.*?)` \|", text, re.MULTILINE):
        decode(payload.encode(), {"set": SetCommand, "model": ModelCommand}.get(name, Command))


def test_the_threat_model_names_only_tests_that_there_are() -> None:
    """Each test in docs/security.md exists, and each attack names one or says what is not defended."""
    text = (ROOT / "docs" / "security.md").read_text()
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    attacks = text.partition("| attack |")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in attacks.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "attack"]

    assert sorted(set(re.findall(r"`(test_\w+)`", text)) - there) == []
    assert [row for row in rows if len(row) != 4 or not ("`test_" in row[2] or row[3])] == []
    assert len(rows) > 30


LAW_AT_FIRST = (
    *("applicants", "pupils", "students", "medical or safety reasons", "Article 5(1)(f)", "2 August 2026"),
    *("Article 50(3)", "GDPR"),
)
LAW_IN_FULL = (
    *LAW_AT_FIRST,
    *("high-risk", "December 2027", "licence exempts nobody", "Article 2(12)", "private person at home"),
)


def test_the_law_is_told_in_full_wherever_it_is_told() -> None:
    """The model cards and the page on the law leave out nothing that a reader must know."""
    cards = [folder / "CARD.md" for folder in (ROOT / "models" / "bundles").iterdir() if folder.is_dir()]
    assert len(cards) >= 2

    for page in [ROOT / "docs" / "law.md", *cards]:
        text = " ".join(page.read_text().split())
        for phrase in LAW_IN_FULL:
            assert phrase in text, (page.name, phrase)


def test_the_first_start_tells_what_is_prohibited_and_what_is_due() -> None:
    """The notice that a first start shows names the prohibition, its exception, and the duty to inform."""
    for phrase in (*LAW_AT_FIRST, "At home, ask first"):
        assert phrase in NOTICE, phrase


def test_the_readme_names_the_two_commands_and_the_warnings() -> None:
    """What every reader must find is there."""
    text = " ".join((ROOT / "README.md").read_text().split())

    for phrase in (
        "make demo",
        "make test",
        "as actors portray it",
        "means nothing",
        *LAW_IN_FULL,
    ):
        assert phrase in text, phrase


NOISES = ("pink-10", "hum-10", "voices-10")


def test_the_readme_quotes_the_shipped_model() -> None:
    """The figures on the front page are those of the manifest beside the file."""
    text = (ROOT / "README.md").read_text()
    manifest = models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest
    measured = manifest.measured
    low, high = measured["uar_interval"]
    folds = measured["cross_validation"]

    quoted = [
        manifest.name,
        f"{measured['uar']:.1%} (95 % interval {low:.1%} to {high:.1%})",
        f"| {', '.join(format(fold['uar'], '.1%') for fold in folds['folds'])} |",
        f"| {min(measured['uar_by_background'].values()):.1%} |",
        f"| {', '.join(format(measured['uar_in_noise'][name], '.1%') for name in NOISES)} |",
        f"| {measured['uar_by_coverage']['0.7']:.1%} |",
        f"| {measured['listeners']['uar']:.1%} |",
        f"| {measured['ece']:.3f} |",
        f"{manifest.sparsity:.0%} of the weights pruned | {measured['bytes']:,} bytes, {measured['bytes_deflated']:,}",
        f"in {measured['recall']['HAP']:.0%} of its clips",
    ]
    for figure in quoted:
        assert figure.replace("%", " %").replace("95  %", "95 %") in text, figure


def elsewhere(name: str) -> dict[str, Elsewhere]:
    """Return what a shipped model is worth on each corpus, from the file of results."""
    manifest = models.bundle.load(models.bundle.find(name)).manifest
    return results.read_elsewhere(results.LATENCY.parent)[manifest.name]


def percent(value: float, digits: int = 1) -> str:
    """Return a share as the front page writes it."""
    return f"{value * 100:.{digits}f} %"


def test_the_readme_quotes_what_the_model_is_worth_elsewhere() -> None:
    """The headline names all corpora in one breath, and each row of the table is that of the file of results."""
    text = (ROOT / "README.md").read_text()
    found = elsewhere(models.bundle.DEFAULT)
    own, ravdess, emodb = (found[name] for name in ("crema-d", "ravdess", "emodb"))

    headline = (
        f"{percent(own.uar)} on strangers of its own corpus, {percent(ravdess.uar)} and {percent(emodb.uar)} on two "
        "others**"
    )
    assert headline in " ".join(text.split())
    for title, row in (("CREMA-D, its own", own), ("RAVDESS", ravdess), ("EmoDB", emodb)):
        (language,) = catalogue.CORPORA[title.partition(",")[0].lower()].languages
        recall = ", ".join(percent(row.recall[label], 0) for label in ("ANG", "HAP", "NEU"))
        cells = [
            *(title, f"{language}, {row.speakers}", percent(row.uar), f"{row.ece:.3f}"),
            *(percent(row.sure["share"] or 0), percent(row.sure["accuracy"] or 0), recall),
        ]
        assert f"| {' | '.join(cells)} |" in text, title


def test_the_readme_quotes_what_a_baseline_is_worth() -> None:
    """Each row of the table is that of the file of results."""
    text = (ROOT / "README.md").read_text()
    for name, row in elsewhere(models.bundle.DEFAULT).items():
        warm = row.after_baseline
        if warm:
            recall = ", ".join(percent(warm.recall[label], 0) for label in ("ANG", "HAP", "NEU"))
            cells = [percent(row.uar), percent(warm.uar), percent(warm.worst_uar), f"{warm.ece:.3f}", recall]
            assert f"| {catalogue.CORPORA[name].title} | {' | '.join(cells)} |" in text, name


@pytest.mark.parametrize("page", ["README.md", "docs/decisions/pauses-do-not-count.md"])
def test_what_a_floor_does_is_told_as_it_was_measured(page: str) -> None:
    """The scores without and with the same noise under every clip are those of the file of results."""
    text = " ".join((ROOT / page).read_text().split())
    floors = elsewhere(models.bundle.DEFAULT)["ravdess"].in_floors
    nothing, noise = floors["silence"], floors["-50"]

    assert percent(noise.uar) in text
    for floor in (nothing, noise):
        assert percent(floor.recall["NEU"], 0) in text


def test_levels_in_the_decision_are_those_that_were_measured() -> None:
    """CREMA-D has one floor and three levels of speech; neutral speech elsewhere lies further above its floor."""
    text = " ".join((ROOT / "docs" / "decisions" / "pauses-do-not-count.md").read_text().split())
    found = elsewhere(models.bundle.DEFAULT)
    above = {
        name: {label: round(level.speech_dbfs - level.floor_dbfs) for label, level in row.levels.items()}
        for name, row in found.items()
    }

    assert f"a median of {round(found['crema-d'].levels['NEU'].floor_dbfs)} dBFS" in text
    own = above["crema-d"]
    assert (
        f"{own['ANG']} dB above it in angry clips, {own['HAP']} dB in happy and {own['NEU']} dB in neutral ones" in text
    )
    assert f"lies {above['ravdess']['NEU']} dB above its floor, in EmoDB {above['emodb']['NEU']} dB" in text


def test_the_readme_quotes_the_second_model() -> None:
    """What is said of six emotions is in the manifest beside that file."""
    text = " ".join((ROOT / "README.md").read_text().split())
    manifest = models.bundle.load(models.bundle.find("six")).manifest

    uar, people = manifest.measured["uar"], manifest.measured["listeners"]["uar"]
    quoted = f"is {uar:.1%} on strangers, that of people on the same clips {people:.1%}".replace("%", " %")
    assert f"`{manifest.name}`, also knows" in text
    assert quoted in text
    found = elsewhere("six")
    assert f"{percent(found['ravdess'].uar)} on RAVDESS and {percent(found['emodb'].uar)} on EmoDB" in text


def test_what_the_device_is_said_to_print_is_in_its_code() -> None:
    """Each sentence in the table of what goes wrong is one that the code can say."""
    rooms = ("common", "device", "models")
    joined = "\n".join(path.read_text() for room in rooms for path in (ROOT / room).rglob("*.py"))
    code = re.sub(r"\{[^{}\n]*\}|%[sd]", "…", re.sub(r'"\s*\n\s*f?"', "", joined))
    table = (ROOT / "docs" / "device.md").read_text().partition("## What goes wrong")[2]
    seen = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]

    quoted = [text for column in seen for text in re.findall(r"`([^`]+)`", column)]
    pieces = [piece.strip(" ,()") for text in quoted if " " in text for piece in text.split("…")]

    assert len(pieces) > 20
    assert [piece for piece in pieces if piece not in code] == []
