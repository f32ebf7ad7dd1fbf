"""Clones of volumes where the file system shares extents: they take no room, and are apart all the same."""
import fcntl
import os
import struct

import pytest

import disks
from engine import Engine

FS_IOC_FIEMAP, SYNC, SHARED = 0xC020660B, 1, 0x2000
MOST = 64
SIZE = 48 << 20


def extents(path):
    """(place on the disk, length, flags) of a file's."""
    file = os.open(path, os.O_RDONLY)
    try:
        told = bytearray(struct.pack("=QQIIII", 0, (1 << 64) - 1, SYNC, 0, MOST, 0) + bytes(56 * MOST))
        fcntl.ioctl(file, FS_IOC_FIEMAP, told)
    finally:
        os.close(file)
    count = struct.unpack_from("=QQIIII", told)[3]
    found = [struct.unpack_from("=QQQQQI", told, 32 + 56 * number) for number in range(count)]
    return [(physical, length, flags) for _, physical, length, _, _, flags in found]


def used(place):
    os.sync()
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.fixture(scope="module", params=["xfs", "btrfs"])
def engine(request, tmp_path_factory, rootfs_tar):
    folder = tmp_path_factory.mktemp("reflinks")
    place = folder / "place"
    place.mkdir()
    with disks.disk(request.param, place, folder / "disk", 400 << 20) as made:
        if not made:
            pytest.skip(f"no {request.param} on this machine")
        with Engine(place) as running:
            running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield running


def test_a_clone_shares_what_it_has_with_its_source(engine):
    engine.berth("run", "--rm", "-v", "one:/v", "busybox", "sh", "-c",
                 f"mkdir /v/sub; dd if=/dev/urandom of=/v/sub/big bs=1M count={SIZE >> 20} 2> /dev/null; echo small > /v/small")
    before = used(engine.folder)
    engine.berth("volume", "clone", "one", "two")
    assert used(engine.folder) - before < SIZE // 8
    one, two = (engine.data / "volumes" / name / "_data" / "sub" / "big" for name in ("one", "two"))
    places = extents(two)
    assert sum(length for _, length, _ in places) >= SIZE
    assert all(flags & SHARED for _, _, flags in places), places
    assert [place[:2] for place in extents(one)] == [place[:2] for place in places]
    # What one changes the other one does not see.
    done = engine.berth("run", "--rm", "-v", "one:/one", "-v", "two:/two", "busybox", "sh", "-c",
                        "cmp /one/sub/big /two/sub/big && echo same; "
                        "echo changed | dd of=/two/sub/big conv=notrunc 2> /dev/null; cmp -s /one/sub/big /two/sub/big || echo apart; "
                        "cat /two/small")
    assert done.stdout == "same\napart\nsmall\n"
    assert any(not flags & SHARED for _, _, flags in extents(two)) and any(flags & SHARED for _, _, flags in extents(two))
    # The clone lives on without its source.
    engine.berth("volume", "rm", "one")
    assert engine.berth("run", "--rm", "-v", "two:/two", "busybox", "head", "-c", "7", "/two/sub/big").stdout == "changed"
    engine.berth("volume", "rm", "two")


def test_many_clones_take_hardly_more_than_one(engine):
    engine.berth("run", "--rm", "-v", "one:/v", "busybox", "dd", "if=/dev/urandom", "of=/v/big", "bs=1M", f"count={SIZE >> 20}")
    before = used(engine.folder)
    names = [f"clone{number}" for number in range(8)]
    for name in names:
        engine.berth("volume", "clone", "one", name)
    assert used(engine.folder) - before < SIZE // 4
    engine.berth("volume", "rm", "one", *names)
    assert used(engine.folder) < before - SIZE // 2
