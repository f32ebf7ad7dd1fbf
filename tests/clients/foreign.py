"""Suites in other languages, and where tests/clients/fetch has put what they run."""
import pathlib
import re
import subprocess

from engine import BUILD

CLIENTS = BUILD / "clients"


class Foreign:
    """A suite in another language, run once; its tests are reported one by one."""

    def __init__(self, source, declared, passed):
        self.names = re.findall(declared, pathlib.Path(source).read_text(), re.MULTILINE)
        self.passed = passed
        self.output = None

    def run(self, engine, command, **environment):
        if self.output is None:
            done = subprocess.run([str(word) for word in command], env={**engine.environment, **environment}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
            self.output = done.stdout

    def check(self, name):
        assert re.search(self.passed.format(re.escape(name)), self.output, re.MULTILINE), self.output[-6000:]
