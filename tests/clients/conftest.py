"""Other people's clients, unmodified, against an engine of the module's own. README.md says which."""
import os
import site
import subprocess

import pytest

from engine import BUILD, ROOT, Engine, wait_until
from engine_fixtures import nothing_left, registry, rootfs_tar  # noqa: F401
from foreign import CLIENTS

for place in CLIENTS.glob("python/venv/lib/python3*/site-packages"):
    site.addsitedir(str(place))
# Their reaper comes as an image of a registry that is not reached here; and the machine may itself be a container,
# which they would then look for in the engine.
os.environ.update(TESTCONTAINERS_RYUK_DISABLED="true", TESTCONTAINERS_HOST_OVERRIDE="localhost",
                  TESTCONTAINERS_CONNECTION_MODE="docker_host")


class Reference(Engine):
    """dockerd of the peers' root in place of berthd: BERTH_TEST_REFERENCE=1 shows that a test is right."""

    def start(self):
        with open(self.folder / "berthd.log", "ab") as log:
            self.process = subprocess.Popen(
                [ROOT / "tests/support/peers", "in", "dockerd", "--host=unix:///data/berth.sock", f"--cgroup-parent={os.environ['BERTH_TEST_CGROUP']}"],
                env={**os.environ, "BERTH_PEERS_DATA": str(self.folder), "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("dockerd", self.answers)

    def berth(self, *arguments, **options):
        return self.docker(*arguments, **options)


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with (Reference if os.environ.get("BERTH_TEST_REFERENCE") else Engine)(tmp_path_factory.mktemp("engine")) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture(scope="module")
def services(engine):
    """The image of tests/services: Debian with PostgreSQL and Python in it."""
    engine.berth("import", BUILD / "services.tar", "services:latest", timeout=300)
    return "services:latest"
