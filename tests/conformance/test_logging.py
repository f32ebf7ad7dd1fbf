"""What the system's tests say of logging holds for dockerd: they run against it as they are."""
import json
import pathlib
import subprocess
import sys

import pytest

from engine import DEADLINE
from test_docker import Docker

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import test_log_drivers  # noqa: E402
import test_logs  # noqa: E402


class Adapter:
    """dockerd with the methods that those tests use of an engine."""

    def __init__(self, peers):
        self.peers, self.socket = peers, peers.path("/run/docker.sock")
        self.data = peers.path("/var/lib/docker")
        self.engine = Docker(peers)

    def berth(self, *words, check=True, input=None, text=True):
        done = subprocess.run(self.peers.command("docker", *words), env=dict(self.peers.environment, DOCKER_BUILDKIT="0"), input=input,
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True, timeout=DEADLINE * 2, text=text)
        assert not check or done.returncode == 0, (words, done)
        return done

    def inspect(self, container):
        shown = json.loads(self.berth("inspect", container).stdout)[0]
        if shown["LogPath"]:
            shown["LogPath"] = str(self.peers.path(shown["LogPath"]))
        return shown


@pytest.fixture(scope="module")
def engine(peers):
    running = Adapter(peers)
    running.berth("import", "-c", 'CMD ["sh"]', "-", "busybox:latest", input=open(peers.rootfs_tar, "rb").read(), text=False)
    yield running
    running.engine.close()


@pytest.fixture(autouse=True)
def nothing_left(engine):
    yield
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", "-v", *left)


test_json_file_in_dockers_bytes = test_logs.test_json_file_in_dockers_bytes
test_since_until_tail_and_streams = test_logs.test_since_until_tail_and_streams
test_none_has_nothing = test_logs.test_none_has_nothing
test_syslog_by_the_standards = test_log_drivers.test_syslog_by_the_standards
test_gelf_in_datagrams = test_log_drivers.test_gelf_in_datagrams
test_gelf_over_a_stream = test_log_drivers.test_gelf_over_a_stream
test_fluentd = test_log_drivers.test_fluentd
test_options_are_refused_by_their_names = test_log_drivers.test_options_are_refused_by_their_names
test_cache_disabled = test_log_drivers.test_cache_disabled


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_syslog_in_its_own_form(engine, tmp_path, kind):
    test_log_drivers.test_syslog_in_its_own_form(engine, tmp_path, kind)
