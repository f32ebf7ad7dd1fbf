"""A full disk: the cause is named, nothing half-made remains after the next start, and the engine goes on serving."""
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from engine import Engine, Registry, file_list, wait_until

CAUSE = "no space left on device"
SIZE = 64 << 20


class SmallDisk:
    """An engine whose data root is a file system of 64 MiB of its own."""

    def __init__(self, folder):
        self.engine = Engine(folder)
        self.engine.data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.engine.data)], check=True)
        self.filler = self.engine.data / "filler"

    def leave(self, size):
        """Takes all of the disk but size bytes."""
        self.filler.unlink(missing_ok=True)
        status = os.statvfs(self.engine.data)
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_bsize - size)

    def leave_no_files(self):
        """No new file or directory can be made, as on a disk whose last block is taken."""
        status = os.statvfs(self.engine.data)
        self.remount(f"nr_inodes={status.f_files - status.f_ffree}")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.engine.data)], check=True)

    def check_after_restart(self, before):
        """The filler goes, the engine starts again, and only the files of before are there."""
        assert self.engine.request("GET", "/_ping")[0] == 200
        self.engine.stop()
        self.filler.unlink(missing_ok=True)
        self.remount("nr_inodes=100000")
        # What had been finished and nobody needs goes behind the start, where it need not be a day old first.
        self.engine.flags = [*self.engine.flags, "--gc-delay=0s", "--gc-unused-for=0s"]
        self.engine.start()
        wait_until("clean data root", lambda: file_list(self.engine.data) == before)


@pytest.fixture
def disk(tmp_path, rootfs_tar):
    small = SmallDisk(tmp_path)
    try:
        with small.engine as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield small
    finally:
        subprocess.run(["umount", "-l", str(small.engine.data)], check=False)


@pytest.fixture(scope="module")
def big_tar(tmp_path_factory):
    """A root file system with 16 MiB that do not compress."""
    folder = tmp_path_factory.mktemp("big")
    (folder / "noise").write_bytes(os.urandom(16 << 20))
    with tarfile.open(folder / "big.tar", "w") as tar:
        tar.add(folder / "noise", "noise")
    return folder / "big.tar"


@pytest.fixture(scope="module")
def big_archive(tmp_path_factory, big_tar):
    """That image as `save` writes it, and a registry that has it as big:latest."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "registry").mkdir()
    with Engine(folder) as engine, Registry(folder / "registry") as registry:
        image = f"{registry.address}/big:latest"
        engine.berth("import", str(big_tar), image)
        engine.berth("push", image)
        engine.berth("save", "-o", str(folder / "big-image.tar"), image)
        yield folder / "big-image.tar", image


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_pull(disk, big_archive, client):
    image = big_archive[1]
    run = getattr(disk.engine, client)
    before = file_list(disk.engine.data)
    disk.leave(4 << 20)
    done = run("pull", image, check=False)
    assert done.returncode == 1 and CAUSE in done.stderr, done.stderr
    assert disk.engine.request("GET", f"/images/{image}/json")[0] == 404
    disk.check_after_restart(before)
    run("pull", image)


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_load(disk, big_archive, client):
    archive = big_archive[0]
    run = getattr(disk.engine, client)
    before = file_list(disk.engine.data)
    disk.leave(4 << 20)
    done = run("load", "-i", archive, check=False)
    assert done.returncode == 1 and CAUSE in done.stderr, done.stderr
    disk.check_after_restart(before)
    run("load", "-i", archive)


def test_import(disk, big_tar):
    before = file_list(disk.engine.data)
    disk.leave(4 << 20)
    done = disk.engine.berth("import", big_tar, "big", check=False)
    assert done.returncode == 1 and CAUSE in done.stderr, done.stderr
    disk.check_after_restart(before)
    disk.engine.berth("import", big_tar, "big")


@pytest.mark.parametrize("client", ["berth", "docker"])
@pytest.mark.parametrize("step, words", [
    ("COPY noise /noise", CAUSE),
    ("RUN dd if=/dev/zero of=/zeros bs=1M count=16", "non-zero code: 1"),
])
def test_build(disk, big_tar, tmp_path, client, step, words):
    run = getattr(disk.engine, client)
    context = tmp_path / "context"
    context.mkdir()
    shutil.copy(big_tar.parent / "noise", context / "noise")
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN echo first > /first\n{step}\n")
    if step.startswith("RUN"):
        (context / "noise").write_bytes(b"")
    before = file_list(disk.engine.data)
    disk.leave(4 << 20)
    done = run("build", "-t", "built", context, check=False)
    assert done.returncode == 1 and words in done.stderr, done.stdout + done.stderr
    assert CAUSE in (done.stdout + done.stderr).lower()
    assert disk.engine.request("GET", "/images/built/json")[0] == 404
    disk.engine.stop()
    disk.filler.unlink()
    disk.engine.start()
    left = [name for name in file_list(disk.engine.data) if name.startswith(("tmp/", "blobs/partial/"))]
    assert left == []
    assert len(before) > 0
    run("build", "-t", "built", context)


def test_a_container_that_writes(disk):
    disk.engine.berth("run", "-d", "--name", "neighbour", "busybox", "sleep", "1000")
    disk.leave(2 << 20)
    done = disk.engine.berth("run", "--name", "writer", "busybox", "dd", "if=/dev/zero", "of=/zeros", "bs=1M", "count=8", check=False)
    assert done.returncode == 1 and CAUSE in done.stderr.lower(), done.stderr
    # The disk is full now: what runs goes on, its output and its end are known, and room can be made.
    assert disk.engine.berth("exec", "neighbour", "echo", "here").stdout == "here\n"
    disk.engine.berth("rm", "writer")
    disk.engine.berth("stop", "-t", "0", "neighbour")
    assert disk.engine.inspect("neighbour")["State"]["ExitCode"] == 137
    assert disk.engine.berth("run", "--rm", "busybox", "echo", "again").stdout == "again\n"


def test_create(disk):
    before = file_list(disk.engine.data)
    disk.leave(0)
    disk.leave_no_files()
    status, body = disk.engine.request("POST", "/containers/create?name=full", {"Image": "busybox"})
    assert status == 500 and CAUSE in body["message"], (status, body)
    done = disk.engine.docker("run", "--name", "full", "busybox", "true", check=False)
    assert done.returncode == 125 and CAUSE in done.stderr, done.stderr
    done = disk.engine.berth("run", "--name", "full", "busybox", "true", check=False)
    assert done.returncode == 125 and CAUSE in done.stderr, done.stderr
    assert json.loads(disk.engine.run("curl", "-s", "--unix-socket", disk.engine.socket, "http://x/containers/json?all=1").stdout) == []
    disk.check_after_restart(before)
    disk.engine.berth("run", "--name", "full", "busybox", "true")


def test_an_engine_starts_and_removes_on_a_full_disk(disk):
    disk.engine.berth("create", "--name", "old", "busybox")
    disk.engine.stop()
    disk.leave(0)
    disk.leave_no_files()
    disk.engine.start()
    disk.engine.berth("rm", "old")
    disk.engine.berth("rmi", "busybox")
