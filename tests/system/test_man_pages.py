"""What the built programs print as their flags stands in docs/man, under the right heading."""
import re
import subprocess

import pytest
from engine import BIN, ROOT

FLAG = re.compile(r"^\s+(?:(-\w), )?(--[\w-]+)(?:, (-\w))?(?: |$)", re.M)


def help_of(program, *command):
    done = subprocess.run([BIN / program, *command, "--help"], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def flags_in(text):
    return {flag for row in FLAG.findall(text) for flag in row if flag}


def section(page, heading):
    text = (ROOT / "docs/man" / page).read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"{page} has no heading {heading}"
    return set(re.findall(r"\*\*(--?[\w-]+)\*\*", found.group(1)))


def berth_commands():
    text = (ROOT / "src/cli/command_table.cpp").read_text()
    rows = re.findall(r'\{"([a-z ]+)", "[^"]*", "[^"]*", commands::(\w+)', text)
    short = {function for name, function in rows if " " not in name}
    # "container run" is "run" by its long name.
    return [name for name, function in rows if " " not in name or function not in short]


def runtime_commands():
    return re.findall(r"^   (\w+) ", help_of("berth-runtime").split("GLOBAL")[0].split("COMMANDS:")[1], re.M)


@pytest.mark.parametrize("command", berth_commands())
def test_berth_command(command):
    assert flags_in(help_of("berth", *command.split())) <= section("berth.1.md", command)


def test_berth_global_options():
    asked = flags_in(help_of("berth").split("Global Options:")[1])
    assert "--host" in asked and asked <= section("berth.1.md", "Global options")


def test_berthd_options():
    asked = flags_in(help_of("berthd"))
    assert len(asked) > 60 and asked <= section("berthd.8.md", "Options")


def test_berth_registry_options():
    asked = flags_in(help_of("berth-registry"))
    assert "--listen" in asked and asked <= section("berth-registry.8.md", "Options")


def test_berth_runtime():
    commands = runtime_commands()
    assert len(commands) == 17
    for command in commands:
        assert flags_in(help_of("berth-runtime", command)) <= section("berth-runtime.8.md", command), command
    asked = flags_in(help_of("berth-runtime").split("GLOBAL OPTIONS:")[1])
    assert "--systemd-cgroup" in asked and asked <= section("berth-runtime.8.md", "Global options")
