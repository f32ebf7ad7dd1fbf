"""`--storage-opt size`: how much a container may write, by project quotas of ext4 and XFS, by quotas of btrfs, or refused."""
import ctypes
import errno
import os
import struct
import subprocess

import pytest

import disks
from engine import Engine, file_list, wait_until
from test_storage_drivers import btrfs_disk

WRITE = ["dd", "if=/dev/zero", "of=/big", "bs=1M", "count=40"]


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def quota_engine(request, tmp_path_factory, rootfs_tar):
    folder = tmp_path_factory.mktemp("size")
    place = folder / "place"
    place.mkdir()
    with disks.with_project_quotas(request.param, place, folder / "disk") as made:
        if not made:
            pytest.skip(f"no {request.param} with project quotas on this machine")
        with Engine(place) as engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield engine


@pytest.fixture(autouse=True)
def no_containers_left(request):
    yield
    if "quota_engine" in request.fixturenames:
        engine = request.getfixturevalue("quota_engine")
        left = engine.berth("ps", "-aq").stdout.split()
        if left:
            engine.berth("rm", "-f", *left)


def upper_of(engine, name):
    return engine.data / "snapshots" / engine.inspect(name)["Id"] / "upper"


def megabytes(engine, name):
    return sum(path.stat().st_size for path in upper_of(engine, name).iterdir() if path.is_file()) >> 20


def limits(engine):
    """Projects that have a limit: {number: bytes}. quotactl(2), Q_XGETNEXTQUOTA."""
    call, found, number, record = ctypes.CDLL(None, use_errno=True).syscall, {}, 0, ctypes.create_string_buffer(112)
    directory = os.open(engine.data.parent, os.O_RDONLY)
    try:
        while call(443, directory, (ord("X") << 8 | 9) << 8 | 2, number, record) == 0:
            _, _, _, project, blocks = struct.unpack_from("bbHIQ", record)
            found |= {project: blocks * 512} if blocks else {}
            number = project + 1
        assert ctypes.get_errno() == errno.ENOENT
    finally:
        os.close(directory)
    return found


def test_a_container_writes_no_more_than_it_may(quota_engine):
    engine = quota_engine
    for name, size in (("small", "8m"), ("larger", "16m")):
        done = engine.berth("run", "--name", name, "--storage-opt", f"size={size}", "busybox", *WRITE, check=False)
        assert done.returncode != 0 and ("No space left on device" in done.stderr or "Disk quota exceeded" in done.stderr), done.stderr
    engine.berth("run", "--name", "free", "busybox", *WRITE)
    assert 7 <= megabytes(engine, "small") <= 8 and 15 <= megabytes(engine, "larger") <= 16 and megabytes(engine, "free") == 40
    assert engine.inspect("small")["HostConfig"]["StorageOpt"] == {"size": "8m"}
    assert "StorageOpt" not in engine.inspect("free")["HostConfig"]
    # What the image has does not count, and what is deleted can be written again.
    engine.berth("run", "--rm", "--storage-opt", "size=8m", "busybox", "sh", "-c",
                 "for i in 1 2 3; do dd if=/dev/zero of=/f bs=1M count=6 && rm /f || exit 1; done")


def test_the_limit_outlives_stops_and_engines(quota_engine):
    engine = quota_engine
    engine.berth("run", "-d", "--name", "box", "--storage-opt", "size=8m", "busybox", "sleep", "1000")
    engine.kill()
    engine.start()
    assert engine.berth("exec", "box", *WRITE, check=False).returncode != 0
    assert 7 <= megabytes(engine, "box") <= 8
    engine.berth("restart", "-t", "0", "box")
    engine.berth("exec", "box", "rm", "/big")
    assert engine.berth("exec", "box", *WRITE, check=False).returncode != 0
    assert 7 <= megabytes(engine, "box") <= 8
    # A copy into it is no way around.
    engine.berth("exec", "box", "rm", "/big")
    refused = engine.run("sh", "-c", f"head -c 20000000 /dev/zero > {engine.data}/../big && berth cp {engine.data}/../big box:/big", check=False)
    assert refused.returncode != 0 and megabytes(engine, "box") <= 8
    (engine.data.parent / "big").unlink()


def test_df_shows_the_limit(quota_engine):
    engine = quota_engine
    size, free, block = (int(word) for word in engine.berth(
        "run", "--rm", "--storage-opt", "size=16m", "busybox", "sh", "-c",
        "dd if=/dev/zero of=/file bs=1M count=10 2>/dev/null; sync; stat -f -c '%b %a %S' /").stdout.split())
    assert size * block == 16 << 20 and 5 << 20 <= free * block <= 6 << 20


def test_limits_go_with_their_containers(quota_engine):
    engine = quota_engine
    before = limits(engine)
    engine.berth("create", "--name", "one", "--storage-opt", "size=8m", "busybox")
    engine.berth("create", "--name", "two", "--storage-opt", "size=9m", "busybox")
    assert sorted(limits(engine).values()) == sorted([*before.values(), 8 << 20, 9 << 20])
    engine.berth("rm", "one", "two")
    wait_until("no limits", lambda: limits(engine) == before)
    # Nor does a container that cannot be made leave one.
    refused = engine.berth("create", "--storage-opt", "size=8m", "-v", "x:/y:nonsense", "busybox", check=False)
    assert refused.returncode != 0 and limits(engine) == before


def test_a_commit_and_a_diff_are_those_of_any_container(quota_engine):
    engine = quota_engine
    engine.berth("run", "--name", "box", "--storage-opt", "size=8m", "busybox", "sh", "-c", "echo hello > /hello; rm -r /home")
    assert sorted(engine.berth("diff", "box").stdout.splitlines()) == ["A /hello", "D /home"]
    engine.berth("commit", "box", "made")
    assert engine.berth("run", "--rm", "made", "cat", "/hello").stdout == "hello\n"
    engine.berth("rmi", "-f", "made")


def test_the_engines_default(quota_engine, tmp_path_factory):
    engine = quota_engine
    engine.stop()
    engine.flags.append("--storage-opt=overlay2.size=12m")
    try:
        engine.start()
        engine.berth("run", "--name", "box", "busybox", *WRITE, check=False)
        engine.berth("run", "--name", "own", "--storage-opt", "size=20m", "busybox", *WRITE, check=False)
        assert 11 <= megabytes(engine, "box") <= 12 and 19 <= megabytes(engine, "own") <= 20
        assert "StorageOpt" not in engine.inspect("box")["HostConfig"]
    finally:
        engine.flags.pop()
        engine.stop()
        engine.start()


def test_btrfs_limits_a_subvolume(tmp_path, rootfs_tar):
    engine = Engine(tmp_path, "--storage-driver=btrfs")
    btrfs_disk(engine.data)
    try:
        with engine:
            engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            # As Docker's, the limit is on all that the root file system refers to: the image's files among it.
            done = engine.berth("run", "--name", "box", "--storage-opt", "size=24m", "busybox", *WRITE, check=False)
            assert done.returncode != 0 and "Disk quota exceeded" in done.stderr, done.stderr
            written = (engine.data / "snapshots" / engine.inspect("box")["Id"] / "rootfs" / "big").stat().st_size >> 20
            assert 10 < written < 24
            engine.berth("run", "--rm", "busybox", *WRITE)
            engine.berth("rm", "box")
            assert "0 problems" in engine.berth("system", "check").stdout
    finally:
        subprocess.run(["umount", "-l", str(engine.data)], check=False)


def test_a_disk_without_quotas_refuses_it(engine):
    status, answer = engine.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"StorageOpt": {"size": "1g"}}})
    if status == 201:
        engine.request("DELETE", f"/containers/{answer['Id']}")
        pytest.skip("this machine's own disk has project quotas")
    assert status == 501 and "--storage-opt size: a limit of size needs an ext4 or xfs file system" in answer["message"], answer
    assert "prjquota" in answer["message"]
    assert not [name for name in file_list(engine.data) if name.startswith("snapshots/")]


@pytest.mark.parametrize("options,message", [
    ({"nosuch": "1"}, "Unknown option nosuch"),
    ({"size": "much"}, "invalid size: 'much'"),
    ({"size": "-1"}, "invalid size: '-1'")])
def test_what_is_no_size_is_refused(engine, options, message):
    status, answer = engine.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"StorageOpt": options}})
    assert (status, answer) == (400, {"message": message})
