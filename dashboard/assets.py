"""The page's files, held in memory, compressed once, under a path that changes with their content.

`/static/<digest>/js/app.js` may be kept for ever, since another content has another digest; only the page itself is
asked for anew, and answered 304 while it is the same. Modules import each other by relative paths, and so share it.
"""

import gzip
import hashlib
import posixpath
import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("static")
_PREFIX = "/static/"
_PLACE = b"{static}"
"""Stands for the path in pages."""
_PRELOAD = b"{preload}"
_LATER = b"{later}"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_IMPORT = re.compile(rb"""^(?:import|export)\b[^;'"]*?from\s+["'](\./[^"']+|\.\./[^"']+)["']""", re.MULTILINE)
_ENTRY = "js/app.js"
_WHEN_WANTED = ("js/views/", "js/i18n/")
"""Folders of modules that are loaded when they are wanted."""


class Asset(NamedTuple):
    """One file as it is sent."""

    content_type: str
    etag: str
    body: bytes
    packed: bytes
    """Compressed with gzip."""


class Assets:
    """All files below a folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + body for name, body in found.items()))
        self.prefix = f"{_PREFIX}{digest.hexdigest()[:16]}/"
        places = {_PRELOAD: _at_once(found), _LATER: _later(found), _PLACE: [self.prefix.rstrip("/")]}
        self._files: dict[str, Asset] = {}
        for name, body in found.items():
            if name.endswith((".html", ".webmanifest")):
                for place, lines in places.items():
                    body = body.replace(place, "\n    ".join(lines).encode())  # noqa: PLW2901
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            packed = gzip.compress(body, 9, mtime=0)
            self._files[name] = Asset(_TYPES[posixpath.splitext(name)[1]], etag, body, packed)

    def find(self, path: str) -> Asset | None:
        """Return the file at a path below the prefix."""
        return self._files.get(path.removeprefix(self.prefix)) if path.startswith(self.prefix) else None

    def page(self, name: str) -> Asset:
        """Return a file by its name."""
        return self._files[name]


def _at_once(found: dict[str, bytes]) -> list[str]:
    """Return a hint for each module that every view needs, so that they come side by side."""
    return [f'<link rel="modulepreload" href="{{static}}/{name}">' for name in _closure(found, _ENTRY)]


def _later(found: dict[str, bytes]) -> list[str]:
    """Return a link to each other module with the views and languages that need it; early.js makes hints of some."""
    wanted: dict[str, set[str]] = {}
    for entry in (name for name in found if name.startswith(_WHEN_WANTED)):
        for name in _closure(found, entry):
            wanted.setdefault(name, set()).add(_reason(entry))
    return [
        f'<link data-for="{" ".join(sorted(wanted[name]))}" href="{{static}}/{name}">'
        for name in sorted(wanted.keys() - set(_closure(found, _ENTRY)))
    ]


def _reason(entry: str) -> str:
    """Return what a module is for, as early.js asks: `view-device`, `view-` for the overview, or a language."""
    word = posixpath.splitext(posixpath.basename(entry))[0]
    if "/i18n/" in entry:
        return word.partition("-")[0]
    return f"view-{'' if word == 'overview' else word}"


def _closure(found: dict[str, bytes], entry: str) -> list[str]:
    """Return a module and all that it imports, so that the browser asks for them at once."""
    wanted, seen = [entry], []
    while wanted:
        name = wanted.pop(0)
        if name in seen or name not in found:
            continue
        seen.append(name)
        folder = posixpath.dirname(name)
        imported = (match[1].decode() for match in _IMPORT.finditer(found[name]))
        wanted += [posixpath.normpath(posixpath.join(folder, path)) for path in imported]
    return seen
