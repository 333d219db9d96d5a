"""The papers say what the code does: settings, and the commands a newcomer pastes."""

import re
from pathlib import Path

from cunumeric.runtime import settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(text):
    """Variables of a settings table and their defaults."""
    return dict(re.findall(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", text, re.MULTILINE))


def test_readme_lists_the_settings_and_their_defaults():
    described = table(settings.__doc__)
    assert "CUNUMERIC_NUM_THREADS" in described
    assert table(README) == described


def test_settings_describe_what_they_read():
    source = Path(settings.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r'"((?:CUNUMERIC|LEGATE)_\w+)"', source))
    assert read == set(table(settings.__doc__))


def test_newcomers_commands_are_one_line_each_and_stand_alone():
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[:2]
    for command in commands:
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && ")
    assert "examples/channel_flow.py" in commands[0]
    assert commands[1].endswith(" -m pytest\n")
