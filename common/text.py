"""Text that people see and machines pass on: what a name may hold, and how foreign text is made harmless.

The rules for names follow the Nickname profile of PRECIS (RFC 8266), without its folding of case and of wide letters.
"""

import re
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_NAME = 64
"""Characters of a name."""
_LONGEST_QUOTE = 80
_JOINERS = "\u200c\u200d"
"""Persian and Indian scripts need them between letters, and emoji between their parts."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
"""Letters and marks by category that nobody can see."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
_FORMULA_WIDE = ("\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")


def tidy(name: str) -> str:
    """Return a name as it is kept and compared: in NFC, a run of spaces as one plain space, without spaces around."""
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in unicodedata.normalize("NFC", name))
    return re.sub(" +", " ", spaced).strip(" ")


def check_name(name: str) -> None:
    """Check that a name can be shown on one line.

    Raises:
        ValueError: it is empty, too long, or has an invisible or a control character; the text says what to do.
    """
    kept = tidy(name)
    if not 1 <= len(kept) <= MAX_NAME:
        raise ValueError(f"name {quote(name)} has {len(kept)} characters: use 1 to {MAX_NAME}")
    for place, char in enumerate(kept):
        if _is_unseen(kept, place):
            raise ValueError(f"name {quote(name)} has the invisible character U+{ord(char):04X}: leave it out")


def clean(text: str) -> str:
    """Return text with each control or invisible character replaced, so that it fits on one line of anything."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(REPLACEMENT if _is_unseen(text, place) else char for place, char in enumerate(text))


def quote(text: str) -> str:
    """Return text in quotation marks for a sentence: control characters as escapes, and shortened where it is long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…")


def csv_cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before what would begin one.

    Source: OWASP, CSV Injection.
    """
    clean_text = clean(text)
    return f"'{clean_text}" if text.lstrip(" ").startswith(_FORMULA + _FORMULA_WIDE) else clean_text


def _is_unseen(text: str, place: int) -> bool:
    """Return whether a character is a control, is invisible, turns the direction of writing, or is no character."""
    char = text[place]
    if " " <= char <= "~":
        return False
    category = unicodedata.category(char)
    if char in _JOINERS:
        around = text[place - 1 : place] + text[place + 1 : place + 2]
        return len(around) < 2 or around.isascii() or any(unicodedata.category(other)[0] in "ZC" for other in around)
    return category in {"Cc", "Cf", "Cs", "Zl", "Zp"} or char in _BLANK or _is_noncharacter(ord(char))


def _is_noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
