"""Real services from Debian's packages: nginx, PostgreSQL, Redis and a program that needs all three, in one image.

Other people's command lines (docker compose) come from the root of tests/support/peers, as in tests/conformance.
"""
import os
import subprocess

import pytest

from engine import BUILD, ROOT, Engine

PEERS = ROOT / "tests/support/peers"
IMAGE = BUILD / "services.tar"  # tests/services/make_image


class Services(Engine):
    """An engine whose folder other people's programs see at /data."""

    def begin_compose(self, *arguments, file="compose.yaml", environment=None):
        environment = {**os.environ, **(environment or {}), "BERTH_PEERS_DATA": str(self.folder), "DOCKER_HOST": "unix:///data/berth.sock"}
        return subprocess.Popen([PEERS, "in", "docker", "compose", "--progress=plain", "-f", f"/data/{file}", *arguments], env=environment,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def compose(self, *arguments, check=True, input=None, **options):
        process = self.begin_compose(*arguments, **options)
        try:
            output = process.communicate(input, timeout=300)
        finally:
            process.kill()
        done = subprocess.CompletedProcess(arguments, process.returncode, *output)
        if check and done.returncode != 0:
            logs = self.compose("logs", "--tail=20", check=False, **options).stdout
            raise AssertionError(f"{arguments}: {done.stdout}\n{done.stderr}\n{logs}\n{self.log()[-3000:]}")
        return done


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Services(tmp_path_factory.mktemp("engine")) as running:
        running.berth("import", IMAGE, "services:latest", timeout=300)
        yield running
