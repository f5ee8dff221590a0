"""The help of a command is for people."""

import argparse
from functools import partial

from common.help_format import HelpFormatter


def help_of(own: frozenset[str]) -> str:
    """Return the help of a command with settings as typed-settings adds them to a parser."""
    parser = argparse.ArgumentParser(
        "moodwire try", formatter_class=partial(HelpFormatter, section="device", own=own), add_help=False
    )
    options = parser.add_argument_group("TrySettings", "TrySettings options")
    options.add_argument("--mqtt-url", metavar="TEXT", help="the broker [default: mqtt://me:hunter2@host]")
    options.add_argument("--loud", "--no-loud", help="speak up [default: False]")
    options.add_argument("--password", metavar="TEXT", help="of the broker [default: (***)]")
    options.add_argument("--share", metavar="FLOAT", help="how much [default: 50%]")
    options.add_argument("folder", nargs="?", metavar="OUT", help="where to")
    return parser.format_help()


def test_defaults_are_for_people_and_tell_no_secret() -> None:
    """Yes and no stand for a switch, a percent sign for itself, and a URL is shown without its password."""
    told = help_of(frozenset())

    assert told.startswith("usage: moodwire try [folder] [options]\n\nsettings in [device]:\n")
    assert "the broker [default: mqtt://***@host]" in told
    assert "--[no-]loud" in told
    assert "speak up [default: no]" in told
    assert "of the broker\n" in told
    assert "--share NUMBER" in told
    assert "how much [default: 50%]" in told
    assert "TrySettings" not in told


def test_what_a_command_alone_has_comes_first() -> None:
    """Its own options stand under a heading of theirs, above the settings that it shares with its section."""
    own, shared = help_of(frozenset({"share"})).split("settings in [device]:\n")

    assert "options of this command:\n  --share NUMBER" in own
    assert "--share" not in shared
    assert "--mqtt-url" in shared
