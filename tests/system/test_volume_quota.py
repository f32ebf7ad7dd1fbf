"""Sizes of volumes by project quotas: on an ext4 and an XFS that have them, mounted by the test. The kernel must have them, too."""
import fcntl
import os
import struct

import pytest

import disks
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


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def quota_engine(request, tmp_path_factory, rootfs_tar):
    folder = tmp_path_factory.mktemp("quota")
    place = folder / "place"
    place.mkdir()
    with disks.with_project_quotas(request.param, place, folder / "disk") as made:
        if not made:
            pytest.skip(f"no {request.param} with project quotas on this machine")
        with Engine(place) as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield engine


@pytest.fixture(autouse=True)
def no_volumes_left(quota_engine):
    yield
    left = quota_engine.berth("ps", "-aq").stdout.split()
    if left:
        quota_engine.berth("rm", "-f", *left)
    volumes = quota_engine.berth("volume", "ls", "-q").stdout.split()
    if volumes:
        quota_engine.berth("volume", "rm", *volumes)


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


def test_a_container_sees_the_limit_and_what_is_left(quota_engine):
    """As df asks for it. (Busybox's own df asks for another place on the same disk.)"""
    engine = quota_engine
    engine.berth("volume", "create", "-o", "size=16m", "small")

    def kilobytes(*command):
        """All, and free."""
        text = engine.berth("run", "--rm", "-v", "small:/v", "busybox", "sh", "-c",
                            "; ".join([*command, "stat -f -c '%b %a %S' /v"])).stdout
        size, free, block = (int(word) for word in text.split())
        return size * block >> 10, free * block >> 10

    size, free = kilobytes()
    assert size == 16 << 10 and free > 15 << 10
    size, free = kilobytes("dd if=/dev/zero of=/v/file bs=1M count=10 2> /dev/null; sync")
    assert size == 16 << 10 and 5 << 10 <= free <= 6 << 10


def test_a_user_who_is_not_root_is_told_that_it_is_full(quota_engine):
    engine = quota_engine
    engine.berth("volume", "create", "-o", "o=size=8m,uid=1000,gid=1000", "small")
    done = engine.berth("run", "--rm", "-u", "guest", "-v", "small:/v", "busybox", "sh", "-c",
                        "for i in 1 2 3 4; do dd if=/dev/zero of=/v/$i bs=1M count=4 || break; done", check=False)
    assert "No space left on device" in done.stderr or "Disk quota exceeded" in done.stderr
    data = engine.data / "volumes" / "small" / "_data"
    assert 6 << 20 <= sum(path.stat().st_size for path in data.iterdir()) <= 8 << 20


def test_an_import_and_a_clone_that_do_not_fit_leave_nothing(quota_engine):
    engine = quota_engine
    engine.berth("run", "--rm", "-v", "big:/v", "busybox", "dd", "if=/dev/urandom", "of=/v/file", "bs=1M", "count=12")
    refused = engine.run("sh", "-c", "berth volume export big | berth volume import -o size=8m small", check=False)
    assert refused.returncode == 1 and ("o space left on device" in refused.stderr or "quota exceeded" in refused.stderr)
    assert engine.berth("volume", "ls", "-q").stdout == "big\n"
    assert [path.name for path in (engine.data / "volumes").iterdir()] == ["big"]
    # Nor does an image's content (busybox itself has more).
    engine.berth("volume", "create", "-o", "size=1m", "tiny")
    refused = engine.berth("create", "-v", "tiny:/bin", "busybox", check=False)
    assert refused.returncode == 1 and ("o space left on device" in refused.stderr or "quota exceeded" in refused.stderr)
    assert list((engine.data / "volumes" / "tiny" / "_data").iterdir()) == [] and engine.berth("ps", "-aq").stdout == ""
    engine.run("sh", "-c", "berth volume export big | berth volume import -o size=16m small")
    assert (engine.data / "volumes" / "small" / "_data" / "file").stat().st_size == 12 << 20
    assert project_of(engine.data / "volumes" / "small" / "_data") != 0
