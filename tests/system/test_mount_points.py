"""What a runtime mounts things on, and /.dockerenv: in every container, of no container's own, and in nothing that is made of one."""
import io
import os
import tarfile

import pytest

from engine import Engine


def upper_of(engine, container):
    return engine.request("GET", f"/containers/{container}/json")[1]["GraphDriver"]["Data"]["UpperDir"]


def bare_image(engine, name, extra=()):
    """busybox alone: no /etc, /proc, /sys, /dev."""
    script = "mkdir -p /only/bin && cp /bin/busybox /only/bin/ && ln -s busybox /only/bin/sh && tar -C /only -c ."
    engine.berth("run", "--name", "maker", "busybox", "sh", "-c", script + " > /bare.tar")
    archive = engine.data.parent / "bare.tar"
    engine.berth("cp", "maker:/bare.tar", archive)
    engine.berth("rm", "maker")
    with tarfile.open(archive, "a") as tar:
        for entry, data in extra:
            tar.addfile(entry, io.BytesIO(data) if data else None)
    engine.berth("import", archive, name)


@pytest.fixture
def bare(engine):
    bare_image(engine, "bare")
    yield "bare"
    engine.berth("rmi", "bare")


def test_a_start_writes_nothing(engine, bare, tmp_path):
    engine.berth("run", "--name", "one", bare, "/bin/busybox", "ls", "-A", "/")
    assert engine.berth("logs", "one").stdout.split() == [".dockerenv", "bin", "dev", "etc", "proc", "sys"]
    assert os.listdir(upper_of(engine, "one")) == [] and engine.berth("diff", "one").stdout == ""
    # The next start finds them again, as does what reads a container that does not run.
    engine.berth("start", "-a", "one")
    assert os.listdir(upper_of(engine, "one")) == []
    engine.berth("export", "-o", tmp_path / "one.tar", "one")
    with tarfile.open(tmp_path / "one.tar") as tar:
        names = tar.getnames()
    assert {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv", "dev/console", "proc", "sys"} <= set(names)
    engine.berth("rm", "one")


def test_changes_beside_them_are_the_containers(engine, bare):
    engine.berth("run", "--name", "two", bare, "sh", "-c", "/bin/busybox rm /.dockerenv; echo a >/etc/own; echo b >/proc-like")
    assert engine.berth("diff", "two").stdout.splitlines() == ["D /.dockerenv", "C /etc", "A /etc/own", "A /proc-like"]
    engine.berth("commit", "two", "changed")
    # /etc/own has a directory in an image that had none.
    seen = engine.berth("run", "--rm", "changed", "sh", "-c", "/bin/busybox cat /etc/own /etc/hostname; /bin/busybox stat -c %a:%u /etc")
    lines = seen.stdout.split()
    assert lines[0] == "a" and len(lines[1]) == 12 and lines[2] == "755:0"
    engine.berth("rm", "two")
    engine.berth("rmi", "changed")


def test_no_image_has_them(engine, bare, tmp_path):
    looks = engine.berth("run", "--rm", "--mount", f"type=image,source={bare},target=/image", "busybox", "ls", "-A", "/image")
    assert looks.stdout.split() == ["bin"]
    (tmp_path / "Dockerfile").write_text(f'FROM {bare}\nRUN ["/bin/busybox", "sh", "-c", "/bin/busybox ls -A / > /seen"]\n')
    engine.berth("build", "-t", "built", tmp_path)
    assert ".dockerenv" not in engine.berth("run", "--rm", "built", "/bin/busybox", "cat", "/seen").stdout.split()
    engine.berth("rmi", "built")


def test_the_images_own_come_first(engine, tmp_path):
    own = tarfile.TarInfo("private/etc/hosts")
    own.size = 4
    link = tarfile.TarInfo("etc")
    link.type, link.linkname = tarfile.SYMTYPE, "private/etc"
    secret = tarfile.TarInfo("sys")
    secret.type, secret.mode = tarfile.DIRTYPE, 0o700
    bare_image(engine, "own", [(own, b"mine"), (link, None), (secret, None)])
    engine.berth("create", "--name", "three", "own", "/bin/busybox", "true")
    assert engine.berth("diff", "three").stdout == ""
    engine.berth("export", "-o", tmp_path / "three.tar", "three")
    with tarfile.open(tmp_path / "three.tar") as tar:
        assert tar.getmember("etc").linkname == "private/etc" and tar.getmember("sys").mode == 0o700
        assert tar.extractfile("private/etc/hosts").read() == b"mine"
    seen = engine.berth("start", "-a", "three", check=False)
    assert seen.returncode == 0, seen.stderr
    engine.berth("rm", "three")
    engine.berth("rmi", "own")


def test_nobody_changes_the_shared_ones(engine, bare):
    script = "echo mine > /.dockerenv; echo mine > /etc/mtab2; /bin/busybox chmod 700 /etc; /bin/busybox rm -f /etc/mtab"
    engine.berth("run", "--name", "four", "--privileged", bare, "sh", "-c", script)
    seen = engine.berth("run", "--rm", bare, "sh", "-c", "/bin/busybox cat /.dockerenv; /bin/busybox stat -c %a /etc; /bin/busybox ls /etc")
    assert seen.stdout.split() == ["755", "hostname", "hosts", "mtab", "resolv.conf"]
    engine.berth("rm", "four")


def test_a_driver_that_copies_has_the_file(tmp_path, rootfs_tar):
    with Engine(tmp_path, "--storage-driver=vfs") as engine:
        engine.berth("import", str(rootfs_tar), "busybox")
        assert engine.berth("run", "--name", "five", "busybox", "ls", "-d", "/.dockerenv").stdout == "/.dockerenv\n"
        assert engine.berth("diff", "five").stdout == ""
        engine.berth("rm", "five")
