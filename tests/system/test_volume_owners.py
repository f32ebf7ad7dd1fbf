"""Volumes that a container's user, who is not root, can write: owners exchanged in one mount (id-mapped mounts), or changed."""
import contextlib
import os
import subprocess

import pytest

import disks

KINDS = ["ext4", "xfs", "btrfs", "tmpfs", "overlay"]
WORK = "cat /o/file && echo more >> /o/file && mkdir /o/d && echo own > /o/d/new && stat -c '%u %g' /o /o/file /o/d /o/d/new"


@contextlib.contextmanager
def mounted(kind, folder):
    place = folder / "place"
    place.mkdir()
    if kind in ("tmpfs", "overlay"):
        for name in ("lower", "upper", "work"):
            (folder / name).mkdir()
        options = "mode=700" if kind == "tmpfs" else "lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work".format(folder)
        subprocess.run(["mount", "-t", kind, "-o", options, kind, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)
        return
    with disks.disk(kind, place, folder / "disk", 400 << 20) as made:
        if not made:
            pytest.skip(f"no {kind} on this machine")
        yield place


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    with mounted(request.param, tmp_path) as made:
        volume = made / "volume"
        volume.mkdir(0o700)
        (volume / "file").write_text("roots\n")
        (volume / "file").chmod(0o600)
        (volume / "others").write_text("another one's\n")
        os.chown(volume / "others", 7, 8)
        yield request.param, volume


def owners(folder):
    return {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in (folder, *folder.rglob("*"))}


def test_an_id_mapped_volume_is_the_users_own(engine, place):
    kind, volume = place
    run = ["run", "--rm", "-u", "guest", "-v", f"{volume}:/o:idmap", "busybox", "sh", "-c", WORK]
    if kind == "overlay":  # the kernel maps none, and says so
        refused = engine.berth(*run, check=False)
        assert refused.returncode == 125 and "cannot be id-mapped by this kernel" in refused.stderr
        assert engine.berth("ps", "-aq").stdout == "" and owners(volume)["volume"] == (0, 0)
        return
    assert engine.berth(*run).stdout == "roots\n" + "1000 1000\n" * 4
    assert owners(volume) == {"volume": (0, 0), "file": (0, 0), "others": (7, 8), "d": (0, 0), "new": (0, 0)}
    # Another user sees the same as its own, root too, and in a mount without the option nothing has changed.
    for user in ("4000:5000", "root"):
        done = engine.berth("run", "--rm", "-u", user, "-v", f"{volume}:/o:idmap", "busybox", "sh", "-c",
                            "cat /o/d/new && touch /o/by-another && rm /o/by-another && stat -c '%u:%g' /o /o/others")
        assert done.stdout == f"own\n{'0:0' if user == 'root' else user}\n7:8\n"
    refused = engine.berth("run", "--rm", "-u", "guest", "-v", f"{volume}:/o", "busybox", "cat", "/o/file", check=False)
    assert "Permission denied" in refused.stderr


def test_a_volume_given_away_is_the_users_own(engine, place):
    _, volume = place
    (volume / "link").symlink_to("/etc/passwd")
    done = engine.berth("run", "--rm", "-u", "guest", "-v", f"{volume}:/o:U", "busybox", "sh", "-c", WORK)
    assert done.stdout == "roots\n" + "1000 1000\n" * 4
    assert set(owners(volume).values()) == {(1000, 1000)}
    assert os.stat("/etc/passwd").st_uid == 0


@pytest.mark.parametrize("mode", ["idmap", "U"])
def test_a_new_volume_can_be_written_at_once(engine, mode):
    """Named, anonymous by its image, of memory, of a size, at a subpath, and brought to a container that runs."""
    engine.berth("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.berth("volume", "create", "-o", "size=8m", "limited")
    owner = f"volume-opt=berth.owner={'exchange' if mode == 'idmap' else 'change'}"
    engine.berth("run", "--rm", "-v", "parent:/p", "busybox", "mkdir", "/p/sub")
    engine.berth("run", "-d", "--name", "box", "-u", "guest", "-v", f"fresh:/fresh:{mode}", "-v", f"memory:/memory:{mode}",
                 "-v", f"limited:/limited:{mode}", "--mount", f"type=volume,dst=/anonymous,{owner}",
                 "--mount", f"type=volume,src=parent,dst=/sub,volume-subpath=sub,{owner}", "busybox", "sleep", "1000")
    engine.berth("mount", "add", "box", f"late:/late:{mode}")
    for name in ("fresh", "memory", "limited", "anonymous", "sub", "late"):
        done = engine.berth("exec", "box", "sh", "-c", f"touch /{name}/file && stat -c %u /{name}/file")
        assert done.stdout == "1000\n", name
    # A restart changes nothing for the user.
    engine.berth("restart", "-t", "0", "box")
    for name in ("fresh", "late", "sub"):
        engine.berth("exec", "box", "sh", "-c", f"echo more >> /{name}/file")
    on_disk = (engine.data / "volumes" / "late" / "_data" / "file").stat().st_uid
    assert on_disk == (0 if mode == "idmap" else 1000)
    engine.berth("rm", "-f", "-v", "box")
    engine.berth("volume", "rm", *engine.berth("volume", "ls", "-q").stdout.split())
