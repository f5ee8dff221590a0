"""The page's files: small, kept by browsers, and all of them ours."""

import re
from collections.abc import Iterator

import pytest
from dashboards import Dashboard, MadeUp, dashboard

from dashboard.assets import FOLDER, Assets

MOST_BYTES = 150_000
"""Of everything a browser loads at first, compressed."""


@pytest.fixture(scope="module")
def page() -> Iterator[Dashboard]:
    """Serve the dashboard."""
    rest = MadeUp()
    with dashboard(rest, rest) as running:
        yield running
    rest.stop()


def test_a_file_is_kept_for_ever_under_its_digest_and_the_page_is_revalidated(page: Dashboard) -> None:
    """Another content has another address, so no browser mixes two versions."""
    browser = page.browser("v-token")
    index = browser.get("/")
    (script,) = re.findall(r'src="(/static/[0-9a-f]{16}/js/app\.js)"', index.text)
    found = browser.get(script)

    assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert found.headers["Content-Encoding"] == "gzip"
    assert found.headers["Content-Type"].startswith("text/javascript")
    assert index.headers["Cache-Control"] == "no-cache"
    again = browser.get("/", headers={"If-None-Match": index.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Content-Security-Policy"] == index.headers["Content-Security-Policy"]
    assert browser.get(script.replace("/static/", "/static/0")).status_code == 404
    assert browser.get(script.replace("js/app.js", "../settings.py")).status_code == 404
    assert browser.get(script, headers={"Accept-Encoding": "identity"}).content == (FOLDER / "js/app.js").read_bytes()


def test_the_page_asks_at_once_for_all_that_it_imports(page: Dashboard) -> None:
    """Modules come side by side, not one after the other."""
    index = page.browser("v-token").get("/").text
    hinted = set(re.findall(r'modulepreload" href="/static/[0-9a-f]{16}/([^"]+)"', index))

    assert {"js/app.js", "js/api.js", "js/live.js", "js/fleet.js", "js/dom.js"} <= hinted
    assert "js/views/device.js" not in hinted
    assert re.search(r'<link data-for="view-device" href="/static/[0-9a-f]{16}/js/views/device.js">', index)


def test_the_whole_page_is_small() -> None:
    """Every file together, compressed, is less than a fortieth of the page before."""
    assets = Assets()
    names = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()]

    assert sum(len(assets.page(name).packed) for name in names) < MOST_BYTES


def test_nothing_is_inline_or_from_elsewhere() -> None:
    """The CSP would block it: no inline script, style or handler, and no address of another host."""
    for path in FOLDER.rglob("*"):
        if path.suffix in {".html", ".js", ".css", ".webmanifest"}:
            text = path.read_text()
            found = [url for url in re.findall(r"https?://[^\s\"'`)]+", text) if "www.w3.org" not in url]
            assert found == [], path
            if path.suffix == ".html":
                assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == [], path


def test_every_language_has_every_word() -> None:
    """A word that is missing would be shown in English."""
    words = {
        name: set(re.findall(r'^  "?([\w.]+)"?:', (FOLDER / f"js/i18n/{name}.js").read_text(), re.MULTILINE))
        for name in (f"{tag}{part}" for tag in ("en", "de", "it") for part in ("", "-charts"))
    }
    for part in ("", "-charts"):
        for tag in ("de", "it"):
            assert words[f"{tag}{part}"] - {"notice"} == words[f"en{part}"], f"{tag}{part}"


def test_every_word_that_a_script_names_is_in_the_catalogue() -> None:
    """No key is shown to a viewer in place of a word."""
    known = "\n".join((FOLDER / f"js/i18n/{name}.js").read_text() for name in ("en", "en-charts"))
    for path in (FOLDER / "js").rglob("*.js"):
        for key in re.findall(r'\bt\("([\w.]+)"', path.read_text()):
            assert re.search(rf'^  "?{re.escape(key)}"?:', known, re.MULTILINE) or key == "notice", f"{path}: {key}"
