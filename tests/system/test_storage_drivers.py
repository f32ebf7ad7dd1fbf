"""The storage drivers beside overlay2: btrfs, on a btrfs file system in a file, and vfs."""
import json
import shutil
import subprocess

import pytest

from engine import Engine, file_list, wait_until


def btrfs_disk(folder):
    """A btrfs file system of 1 GiB, mounted on the folder. The loop device goes with the mount, the mount with the testbed."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("mkfs.btrfs is not installed (btrfs-progs)")
    image = folder.parent / "btrfs.img"
    with open(image, "wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    image.unlink()
    if done.returncode != 0 and "btrfs" not in open("/proc/filesystems").read():
        pytest.skip("this kernel has no btrfs")
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["btrfs", "vfs"])
def driven(request, tmp_path, rootfs_tar):
    """An engine with that storage driver."""
    running = Engine(tmp_path, f"--storage-driver={request.param}")
    running.driver = request.param
    on_btrfs = request.param == "btrfs"
    if on_btrfs:
        btrfs_disk(running.data)
    try:
        with running:
            running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield running
    finally:
        if on_btrfs:
            subprocess.run(["umount", "-l", str(running.data)], check=False)


def changes(engine, container):
    return sorted(engine.berth("diff", container).stdout.splitlines())


def build(engine, folder, name, *steps):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("\n".join(steps) + "\n")
    engine.berth("build", "-t", name, folder)


def subvolumes(engine):
    done = subprocess.run(["btrfs", "subvolume", "list", str(engine.data)], capture_output=True, text=True, check=True)
    return sorted(line.split(" path ")[1] for line in done.stdout.splitlines())


def test_a_life_on_the_driver(driven, tmp_path):
    engine = driven
    status, info = engine.request("GET", "/info")
    assert status == 200 and info["Driver"] == engine.driver
    build(engine, tmp_path / "context", "built", "FROM busybox", "RUN echo built >/built; ln /built /etc/twin; rm -r /home",
          "RUN chmod 700 /root; ln -s /built /link", "COPY Dockerfile /copy")
    seen = engine.berth("run", "--rm", "built", "sh", "-c", "cat /link; stat -c %h /etc/twin; stat -c %a /root; ls -d /home || head -n 1 /copy")
    assert seen.stdout == "built\n2\n700\nFROM busybox\n"
    engine.berth("run", "--name", "box", "built", "sh", "-c", "echo new >/made; rm /built; chmod 755 /root; dd if=/dev/zero of=/big bs=1M count=3")
    assert changes(engine, "box") == ["A /big", "A /made", "C /root", "D /built"]
    # Another container of the image sees nothing of it.
    assert engine.berth("run", "--rm", "built", "sh", "-c", "cat /built; ls /made || true").stdout == "built\n"
    row = json.loads(engine.berth("ps", "-a", "-s", "--format", "json").stdout)
    assert row["Size"].startswith("3.15MB (virtual "), row
    usage = engine.request("GET", "/system/df")[1]
    assert [container["SizeRw"] for container in usage["Containers"]] == [(3 << 20) + len("new\n")]
    assert usage["LayersSize"] > 0
    engine.berth("commit", "box", "committed")
    assert engine.berth("run", "--rm", "committed", "cat", "/made", "/etc/twin").stdout == "new\nbuilt\n"
    engine.berth("start", "-a", "box")
    archive = tmp_path / "saved.tar"
    engine.berth("save", "-o", archive, "committed")
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout


def test_containers_outlive_the_engine(driven):
    engine = driven
    engine.berth("run", "-d", "--name", "box", "busybox", "sh", "-c", "while :; do sleep 1; done")
    engine.kill()
    engine.start()
    engine.berth("exec", "box", "sh", "-c", "echo still >/here")
    assert changes(engine, "box") == ["A /here"]
    engine.berth("stop", "-t", "0", "box")
    engine.stop()
    engine.start()
    engine.berth("start", "box")
    assert engine.berth("exec", "box", "cat", "/here").stdout == "still\n"
    engine.berth("rm", "-f", "box")


def test_nothing_remains(driven, tmp_path):
    engine = driven
    for round_ in range(3):
        build(engine, tmp_path / "context", f"built{round_}", "FROM busybox", f"RUN echo {round_} >/file; mkdir -p /a/b/c")
        engine.berth("run", f"built{round_}", "sh", "-c", "echo x >/a/b/c/d")
    engine.berth("create", "busybox")
    assert "0 problems" in engine.berth("system", "check").stdout
    engine.berth("container", "prune", "-f")
    engine.berth("system", "prune", "-a", "-f", "--volumes")
    assert engine.berth("images", "-aq").stdout == ""
    wait_until("empty disk", lambda: not [name for name in file_list(engine.data)
                                          if name.startswith(("layers/", "blobs/sha256/", "snapshots/", "tmp/"))])
    if engine.driver == "btrfs":
        assert subvolumes(engine) == []
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout


def test_a_container_s_own_subvolumes_go_with_it(driven):
    engine = driven
    if engine.driver != "btrfs":
        pytest.skip("subvolumes are btrfs's")
    engine.berth("create", "--name", "box", "busybox", "true")
    roots = [engine.data / path for path in subvolumes(engine) if path.startswith("snapshots/")]
    assert len(roots) == 1 and roots[0].name == "rootfs"
    for path in ("one", "one/two", "one/two/three"):
        subprocess.run(["btrfs", "-q", "subvolume", "create", roots[0] / path], check=True)
    (roots[0] / "one" / "two" / "file").write_text("x")
    subprocess.run(["btrfs", "property", "set", roots[0] / "one" / "two", "ro", "true"], check=True)
    assert changes(engine, "box") == ["A /one", "A /one/two", "A /one/two/file", "A /one/two/three"]
    engine.berth("rm", "box")
    wait_until("no snapshots", lambda: not [path for path in subvolumes(engine) if not path.startswith("layers/")])


def test_killed_while_containers_come_and_go(driven):
    engine = driven
    for delay in (0.02, 0.05, 0.1, 0.2):
        with subprocess.Popen(["sh", "-c", 'while :; do berth rm -f "$(berth create busybox true)"; done'], env=engine.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            try:
                client.wait(delay)
            except subprocess.TimeoutExpired:
                engine.kill()
            client.kill()
        engine.start()
        assert "0 problems" in engine.berth("system", "check", "--deep").stdout
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", *left)
    wait_until("no snapshots", lambda: not [name for name in file_list(engine.data) if name.startswith(("snapshots/", "tmp/"))])


def test_another_driver_is_refused_while_containers_are_there(driven):
    engine = driven
    engine.berth("create", "--name", "box", "busybox", "true")
    engine.stop()
    done = engine.run("berthd", *[flag for flag in engine.flags if "storage-driver" not in flag], "--storage-driver=overlay2", check=False)
    assert done.returncode != 0
    assert f'1 writable layers in {engine.data} were made by storage driver "{engine.driver}"' in done.stderr, done.stderr
    # Without the flag it is the driver that was.
    engine.flags.remove(f"--storage-driver={engine.driver}")
    engine.start()
    assert engine.request("GET", "/info")[1]["Driver"] == engine.driver
    engine.berth("rm", "box")


def test_an_unknown_or_impossible_driver_is_refused(engine, tmp_path):
    done = engine.run("berthd", "--storage-driver=zfs", f"--data-root={tmp_path}/x", check=False)
    assert done.returncode != 0 and 'storage driver "zfs" is not supported: there are overlay2, btrfs and vfs' in done.stderr
    done = engine.run("berthd", "--storage-driver=btrfs", f"--data-root={tmp_path}/x", check=False)
    assert done.returncode != 0 and "is not on a btrfs file system" in done.stderr
