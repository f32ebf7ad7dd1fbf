"""Sizes of volumes by project quotas: on an ext4 that has them, mounted by the test. The kernel must have them, too."""
import fcntl
import os
import shutil
import struct
import subprocess

import pytest

from engine import Engine

FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_FSSETXATTR = 0x401C5820


def project_of(path, new=None):
    """The project of a directory, which gets a new one where that is given."""
    directory = os.open(path, os.O_RDONLY)
    try:
        fields = list(struct.unpack("IIIII8s", fcntl.ioctl(directory, FS_IOC_FSGETXATTR, b"\0" * 28)))
        if new is not None:
            fields[3] = new
            fcntl.ioctl(directory, FS_IOC_FSSETXATTR, struct.pack("IIIII8s", *fields))
    finally:
        os.close(directory)
    return fields[3]


@pytest.fixture
def quota_engine(tmp_path, rootfs_tar):
    disk, place = tmp_path / "disk", tmp_path / "place"
    place.mkdir()
    disk.touch()
    subprocess.run(["truncate", "-s", "256M", disk], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-O", "project,quota", disk], check=True)
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-a", "-q", "loop", "quota_v2"], check=False)
    if subprocess.run(["mount", "-o", "loop,prjquota", disk, place], capture_output=True).returncode != 0:
        pytest.skip("the kernel has no project quotas")
    try:
        with Engine(place) as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield engine
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_sizes_are_project_quotas(quota_engine):
    engine = quota_engine
    engine.berth("volume", "create", "-o", "size=8m", "small")
    engine.berth("volume", "create", "-o", "size=16m", "larger")
    engine.berth("volume", "create", "free")
    data = {name: engine.data / "volumes" / name / "_data" for name in ("small", "larger", "free")}
    projects = {name: project_of(path) for name, path in data.items()}
    assert projects["small"] != projects["larger"] and projects["free"] == 0 and 0 not in (
        projects["small"], projects["larger"])
    # A directory like any other: nothing is mounted for it.
    assert not (engine.data / "volumes" / "small" / "disk.img").exists()

    def written(name):
        engine.berth("run", "--rm", "-v", f"{name}:/v", "busybox", "dd", "if=/dev/zero", "of=/v/big", "bs=1M", "count=30",
                     check=False)
        return (data[name] / "big").stat().st_size >> 20

    assert 7 <= written("small") <= 8
    assert 15 <= written("larger") <= 16
    assert written("free") == 30
    # What is deleted can be written again, and a volume of the same name starts anew.
    engine.berth("run", "--rm", "-v", "small:/v", "busybox", "rm", "/v/big")
    assert 7 <= written("small") <= 8
    engine.berth("volume", "rm", "small")
    engine.berth("volume", "create", "small")
    assert project_of(data["small"]) == 0 and written("small") == 30


def test_a_container_that_changes_its_project_takes_no_limit_from_others(quota_engine):
    """Root in a container can do so with what it owns."""
    engine = quota_engine
    for name in ("evil", "good"):
        engine.berth("volume", "create", "-o", "size=8m", name)
    evil, good = (engine.data / "volumes" / name / "_data" for name in ("evil", "good"))
    taken = project_of(good)
    project_of(evil, new=taken)
    engine.berth("volume", "rm", "evil")
    engine.berth("run", "--rm", "-v", "good:/v", "busybox", "dd", "if=/dev/zero", "of=/v/big", "bs=1M", "count=30",
                 check=False)
    assert 7 <= (good / "big").stat().st_size >> 20 <= 8
    # Nor does it choose the projects of others: the next ones are not beyond the last there is.
    project_of(good, new=0xFFFFFFFE)
    for name in ("next", "last"):
        engine.berth("volume", "create", "-o", "size=8m", name)
        assert taken < project_of(engine.data / "volumes" / name / "_data") < taken + 10
        assert not (engine.data / "volumes" / name / "disk.img").exists()
