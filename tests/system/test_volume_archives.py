"""berth volume export, import and clone: backups that are whole, of one moment, and leave nothing half-made."""
import io
import os
import tarfile

import pytest

from engine import wait_until

MAKE = """
mkdir -p /d/deep/er && echo text > /d/deep/er/file && ln /d/deep/er/file /d/hard && ln -s deep/er /d/link
mkfifo /d/pipe; mknod /d/null c 1 3; chmod 4750 /d/hard; chown 5:6 /d/deep; chmod 700 /d; chown 7:8 /d
echo literal > /d/.wh.name; mknod /d/whiteout c 0 0
dd if=/dev/zero of=/d/sparse bs=1 count=1 seek=64M 2> /dev/null
touch -d '2001-02-03 04:05:06' /d/deep/er/file
"""
LOOK = ("cd /d; find . | sort | while read -r f; do stat -c '%n %f %u %g %s %h %t %T %Y' \"$f\"; "
        "[ -f \"$f\" ] && md5sum < \"$f\"; [ -L \"$f\" ] && readlink \"$f\"; done; true")


def look(engine, volume):
    """Everything about what is in it but directories' sizes and times of what the tests do not set."""
    text = engine.berth("run", "--rm", "-v", f"{volume}:/d:ro,nocopy", "busybox", "sh", "-c", LOOK).stdout
    lines = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 9 and int(words[1], 16) & 0o170000 == 0o040000:
            words[4] = "-"
        lines.append(" ".join(words))
    return lines


@pytest.fixture
def filled(engine):
    engine.berth("run", "--rm", "-v", "filled:/d", "busybox", "sh", "-c", MAKE)
    wait_until("idle volume", lambda: engine.berth("ps", "-aq").stdout == "")
    yield "filled"
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("unpause", *left, check=False)
        engine.berth("rm", "-f", *left)
    engine.berth("volume", "rm", *engine.berth("volume", "ls", "-q").stdout.split())
    assert list((engine.data / "volumes").iterdir()) == []


def test_an_export_comes_back_as_it_was(engine, filled, tmp_path):
    archive = tmp_path / "backup.tar"
    engine.berth("volume", "export", filled, "-o", archive)
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        assert "deep/er/file" in names and ".wh.name" in names
    assert engine.berth("volume", "import", "--label", "from=backup", "restored", archive).stdout == "restored\n"
    assert look(engine, "restored") == look(engine, filled)
    assert os.stat(engine.data / "volumes" / "restored" / "_data" / "sparse").st_blocks * 512 < 1 << 20
    assert '"from": "backup"' in engine.berth("volume", "inspect", "restored").stdout
    # Through pipes, and compressed.
    run = f"berth volume export {filled} | gzip | berth volume import piped -"
    assert engine.run("sh", "-c", run).stdout == "piped\n"
    assert look(engine, "piped") == look(engine, filled)
    taken = engine.berth("volume", "import", "piped", archive, check=False)
    assert taken.returncode == 1 and "a volume of that name is there already" in taken.stderr


def test_attributes_come_along(engine, filled, tmp_path):
    data = engine.data / "volumes" / filled / "_data"
    os.setxattr(data / "hard", "user.note", b"kept")
    os.setxattr(data / "hard", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    engine.berth("volume", "export", filled, "-o", tmp_path / "backup.tar")
    engine.berth("volume", "import", "restored", tmp_path / "backup.tar")
    engine.berth("volume", "clone", filled, "cloned")
    for name in ("restored", "cloned"):
        copy = engine.data / "volumes" / name / "_data"
        assert os.getxattr(copy / "hard", "user.note") == b"kept"
        assert os.getxattr(copy / "deep" / "er" / "file", "security.capability")


def test_a_clone_is_the_same_and_apart(engine, filled):
    assert engine.berth("volume", "clone", filled, "cloned").stdout == "cloned\n"
    assert look(engine, "cloned") == look(engine, filled)
    assert os.stat(engine.data / "volumes" / "cloned" / "_data" / "sparse").st_blocks * 512 < 1 << 20
    engine.berth("run", "--rm", "-v", "cloned:/d", "busybox", "sh", "-c", "echo changed > /d/hard")
    assert engine.berth("run", "--rm", "-v", f"{filled}:/d", "busybox", "cat", "/d/hard").stdout == "text\n"
    for source, target, words in ((filled, filled, "cannot be cloned to itself"), ("absent", "x", "no such volume"),
                                  (filled, "cloned", "there already"), (filled, "b/d", "invalid characters")):
        refused = engine.berth("volume", "clone", source, target, check=False)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr


def test_a_volume_that_is_written_is_not_read(engine, filled, tmp_path):
    engine.berth("run", "-d", "--name", "writer", "-v", f"{filled}:/d", "busybox", "sh", "-c",
                 "i=0; while true; do i=$((i+1)); echo $i > /d/one; echo $i > /d/two; done")
    wait_until("writing", (engine.data / "volumes" / filled / "_data" / "two").exists)
    for command in (["export", filled, "-o", tmp_path / "x.tar"], ["clone", filled, "cloned"]):
        refused = engine.berth("volume", *command, check=False)
        assert refused.returncode == 1 and "in use by the running container writer" in refused.stderr
    assert engine.berth("volume", "ls", "-q").stdout == f"{filled}\n"
    # Paused meanwhile, the two files are never more than one step apart.
    for number in range(5):
        archive = tmp_path / f"{number}.tar"
        engine.berth("volume", "export", "--pause", filled, "-o", archive)
        with tarfile.open(archive) as tar:
            one, two = (int(tar.extractfile(name).read() or 0) for name in ("one", "two"))
        assert one == 0 or two == 0 or one - two in (0, 1), (one, two)
    assert engine.inspect("writer")["State"]["Status"] == "running"
    engine.berth("pause", "writer")
    engine.berth("volume", "clone", filled, "cloned")
    assert engine.inspect("writer")["State"]["Status"] == "paused"


def test_a_limited_volume_is_exported_and_imported(engine, filled):
    run = f"berth volume export {filled} | berth volume import -o size=16m limited"
    engine.run("sh", "-c", run)
    assert look(engine, "limited") == look(engine, filled)
    engine.run("sh", "-c", "berth volume export limited | berth volume import again")
    assert look(engine, "again") == look(engine, filled)


def test_a_volume_of_memory_takes_no_content_that_it_would_lose(engine, filled, tmp_path):
    engine.berth("volume", "export", filled, "-o", tmp_path / "backup.tar")
    options = ["-o", "type=tmpfs", "-o", "device=tmpfs"]
    for command in (["import", *options, "memory", tmp_path / "backup.tar"], ["clone", *options, filled, "memory"]):
        refused = engine.berth("volume", *command, check=False)
        assert refused.returncode == 1 and "a tmpfs would lose its content at once" in refused.stderr
    assert engine.berth("volume", "ls", "-q").stdout == f"{filled}\n"


@pytest.mark.parametrize("damage", ["cut", "noise", "escape", "full"])
def test_a_bad_archive_leaves_nothing(engine, filled, tmp_path, damage):
    archive = tmp_path / "bad.tar"
    options = []
    if damage == "escape":
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo("../../../outside")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    else:
        engine.berth("volume", "export", filled, "-o", archive)
        with open(archive, "r+b") as file:
            if damage == "cut":
                file.truncate(70_000)
            elif damage == "noise":
                file.write(b"no archive at all" * 100)
        if damage == "full":
            with tarfile.open(archive, "w") as tar:
                entry = tarfile.TarInfo("big")
                entry.size = 4 << 20
                tar.addfile(entry, io.BytesIO(os.urandom(4 << 20)))
            options = ["-o", "size=2m"]
    refused = engine.berth("volume", "import", *options, "bad", archive, check=False)
    assert refused.returncode == 1 and refused.stderr.startswith("berth: import bad: "), refused.stderr
    assert engine.berth("volume", "ls", "-q").stdout == f"{filled}\n"
    assert [path.name for path in (engine.data / "volumes").iterdir()] == [filled]
    assert not (engine.data / "outside").exists()
