"""What a name may hold, and how foreign text is made harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import text


@pytest.mark.parametrize(
    "name", ["Kitchen", "Küche 2", "厨房", "مطبخ", "👨‍👩‍👧 room", "می‌خواهم", "W" * 64, "O'Brien <b>", "½ $x$", "=1+1"]
)
def test_names_that_people_write_are_taken(name: str) -> None:
    """Letters of all scripts, emoji made of several parts, and signs are taken as they are."""
    text.check_name(name)
    assert text.tidy(name) == name
    assert text.clean(name) == name


@pytest.mark.parametrize(
    ("char", "code"),
    [
        *[("\0", "U+0000"), ("\n", "U+000A"), ("\x1b", "U+001B"), ("\x7f", "U+007F"), ("\x85", "U+0085")],
        *[("\u2028", "U+2028"), ("\u202e", "U+202E"), ("\u2066", "U+2066"), ("\u200b", "U+200B")],
        *[("\ufeff", "U+FEFF"), ("\ufffe", "U+FFFE"), ("\ud800", "U+D800"), ("\u00ad", "U+00AD")],
        *[("\u200d", "U+200D"), ("\u3164", "U+3164"), ("\U000e0041", "U+E0041"), ("\ufdd0", "U+FDD0")],
    ],
)
def test_what_nobody_can_see_is_refused_and_replaced(char: str, code: str) -> None:
    """Controls, turns of direction, zero width and noncharacters are named by their code, and never passed on."""
    with pytest.raises(ValueError, match=rf"has the invisible character {code.replace('+', '.')}: leave it out"):
        text.check_name(f"a{char}b")
    assert text.clean(f"a{char}b") == "a\ufffdb"


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("  Kitchen ", "Kitchen"), ("a  \u00a0 b", "a b"), ("Ku\u0308che", "Küche"), ("\u3000", ""), (" ", "")],
)
def test_names_are_kept_and_compared_without_needless_spaces(given_name: str, kept: str) -> None:
    """Spaces around a name go, several become one, and a letter with its accent is one character."""
    assert text.tidy(given_name) == kept


@pytest.mark.parametrize(("name", "count"), [("", 0), ("   ", 0), ("x" * 65, 65)])
def test_an_empty_or_long_name_is_refused(name: str, count: int) -> None:
    """The sentence counts what would be kept."""
    with pytest.raises(ValueError, match=f"has {count} characters: use 1 to 64"):
        text.check_name(name)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\uff1d", "\uff0d"])
def test_no_cell_is_a_formula(start: str) -> None:
    """What a spreadsheet would calculate gets an apostrophe."""
    assert text.csv_cell(f'{start}HYPERLINK("x")').startswith("'")
    assert text.csv_cell("a=b") == "a=b"


@given(st.text(st.characters(), max_size=200))
def test_any_text_becomes_one_line(given_text: str) -> None:
    """Whatever it is, clean text is as long, on one line, writable as UTF-8, and stays as it is the second time."""
    cleaned = text.clean(given_text)
    assert len(cleaned) == len(given_text)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()
    assert text.clean(cleaned) == cleaned
    assert text.quote(given_text).isprintable()
    assert len(text.quote(given_text)) <= 80 * 10 + 2
