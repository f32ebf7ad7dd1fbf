"""berth mount add and rm: mounts that come to containers while they run, and leave them."""
import pathlib
import subprocess

import pytest

from engine import wait_until


def run(engine, *flags, name="box"):
    engine.berth("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def sh(engine, command, name="box", check=True):
    return engine.berth("exec", name, "sh", "-c", command, check=check)


@pytest.fixture(autouse=True)
def no_volumes_left(request):
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").remove_all()


@pytest.mark.parametrize("flags", [[], ["--read-only"], ["--privileged"]], ids=["plain", "read-only", "privileged"])
def test_a_volume_comes_and_goes(engine, flags):
    run(engine, *flags)
    engine.berth("mount", "add", "box", "data:/new/place")
    sh(engine, "echo hello > /new/place/file")
    shown = engine.inspect("box")
    assert [(mount["Type"], mount["Name"], mount["Destination"], mount["RW"]) for mount in shown["Mounts"]] == [
        ("volume", "data", "/new/place", True)]
    assert shown["HostConfig"]["Binds"] == ["data:/new/place"]
    assert "volume is in use" in engine.berth("volume", "rm", "data", check=False).stderr
    # Other containers see what was written, and the same place is not mounted twice.
    assert engine.berth("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/file").stdout == "hello\n"
    again = engine.berth("mount", "add", "box", "other:/new/place", check=False)
    assert again.returncode == 1 and "Duplicate mount point: /new/place" in again.stderr
    assert engine.berth("volume", "ls", "-q").stdout == "data\n"
    engine.berth("restart", "-t", "0", "box")
    assert sh(engine, "cat /new/place/file").stdout == "hello\n"
    engine.berth("mount", "rm", "box", "/new/place/")
    assert sh(engine, "ls /new/place").stdout == ""
    assert engine.inspect("box")["Mounts"] == [] and not engine.inspect("box")["HostConfig"]["Binds"]
    engine.berth("volume", "rm", "data")
    engine.berth("restart", "-t", "0", "box")
    assert sh(engine, "ls /new/place").stdout == ""
    gone = engine.berth("mount", "rm", "box", "/new/place", check=False)
    assert gone.returncode == 1 and "container box has no mount at /new/place" in gone.stderr


def test_every_kind_of_mount(engine, tmp_path):
    (tmp_path / "file").write_text("a file\n")
    engine.docker("build", "-t", "content", "-", input="FROM busybox\nRUN echo from image > /file\n")
    run(engine)
    engine.berth("mount", "add", "box", f"{tmp_path}:/bound:ro")
    engine.berth("mount", "add", "box", f"{tmp_path}/file:/etc/one-file")
    engine.berth("mount", "add", "box", "type=tmpfs,dst=/memory,tmpfs-size=1m,tmpfs-mode=1777")
    engine.berth("mount", "add", "box", "type=image,src=content,dst=/image")
    engine.berth("mount", "add", "box", f"type=bind,src={tmp_path}/not/there,dst=/made,bind-create-src")
    engine.berth("mount", "add", "box", "/anonymous")
    assert sh(engine, "cat /bound/file /etc/one-file /image/file").stdout == "a file\na file\nfrom image\n"
    assert "Read-only" in sh(engine, "touch /bound/x", check=False).stderr
    assert "Read-only" in sh(engine, "touch /image/x", check=False).stderr
    assert " 1024 " in sh(engine, "df -k /memory | tail -1").stdout
    wanted = ["/anonymous", "/bound", "/etc/one-file", "/image", "/made", "/memory"]
    assert [mount["Destination"] for mount in engine.inspect("box")["Mounts"]] == wanted
    engine.berth("restart", "-t", "0", "box")
    assert sh(engine, "cat /bound/file /etc/one-file /image/file").stdout == "a file\na file\nfrom image\n"
    for target in wanted:
        engine.berth("mount", "rm", "box", target)
    assert sh(engine, "ls -A /bound /image /memory; cat /etc/one-file").stdout == "/bound:\n\n/image:\n\n/memory:\n"
    engine.berth("rm", "-f", "box")
    engine.berth("rmi", "-f", "content")
    assert (tmp_path / "not/there").is_dir()


def test_a_container_that_does_not_run_gets_it_at_its_start(engine):
    engine.berth("create", "--name", "box", "busybox", "sh", "-c", "ls /data; touch /data/file")
    engine.berth("mount", "add", "box", "data:/data")
    assert engine.berth("start", "-a", "box").stdout == ""
    assert engine.berth("start", "-a", "box").stdout == "file\n"
    engine.berth("mount", "rm", "box", "/data")
    assert engine.berth("start", "-a", "box").stdout == ""


def test_mounts_from_the_start_can_be_taken_too(engine):
    run(engine, "-v", "data:/data", "-v", "data:/again", "--tmpfs", "/t")
    sh(engine, "touch /data/file /t/file")
    engine.berth("mount", "rm", "box", "/data")
    assert sh(engine, "ls /data; ls /again").stdout == "file\n"
    assert "volume is in use" in engine.berth("volume", "rm", "data", check=False).stderr
    engine.berth("mount", "rm", "box", "/again")
    engine.berth("volume", "rm", "data")
    engine.berth("mount", "rm", "box", "/t")
    assert sh(engine, "ls /t").stdout == ""
    assert engine.inspect("box")["HostConfig"].get("Tmpfs") in (None, {})


def test_what_lies_below_stays_visible_and_known(engine):
    run(engine, "-v", "data:/data/sub")
    for command in (["add", "box", "type=tmpfs,dst=/data"], ["rm", "box", "/data"]):
        if command[0] == "rm":
            engine.berth("mount", "rm", "box", "/data/sub")
            engine.berth("mount", "add", "box", "type=tmpfs,dst=/data")
            engine.berth("mount", "add", "box", "data:/data/sub")
        refused = engine.berth("mount", *command, check=False)
        assert refused.returncode == 1 and "has a mount below /data, at /data/sub" in refused.stderr
        assert " /data/sub " in sh(engine, "cat /proc/mounts").stdout
    engine.berth("mount", "rm", "box", "/data/sub")
    engine.berth("mount", "rm", "box", "/data")
    assert " /data" not in sh(engine, "cat /proc/mounts").stdout


def test_a_new_volume_gets_the_images_content(engine):
    engine.docker("build", "-t", "content", "-", input="FROM busybox\nRUN mkdir /data && echo from image > /data/file\n")
    engine.berth("run", "-d", "--name", "box", "content", "sleep", "1000")
    engine.berth("mount", "add", "box", "fresh:/data")
    assert sh(engine, "cat /data/file; echo more > /data/new").stdout == "from image\n"
    assert engine.berth("run", "--rm", "-v", "fresh:/d", "busybox", "ls", "/d").stdout == "file\nnew\n"
    engine.berth("rm", "-f", "box")
    engine.berth("rmi", "content")


def test_wrong_ones_are_refused_and_leave_nothing(engine, tmp_path):
    (tmp_path / "file").write_text("x")
    run(engine)
    before = sh(engine, "cat /proc/mounts").stdout
    for mount, words in (
            ("new:/proc/x", "mount point /proc/x"),
            ("new:/proc", "is inside /proc"),
            ("new:/", "destination can't be '/'"),
            ("new:relative", "mount path must be absolute"),
            (f"{tmp_path}/file:/etc", "not a directory"),
            (f"{tmp_path}:/etc/passwd", "ot a directory"),
            ("type=bind,src=/not/there,dst=/x", "bind source path does not exist: /not/there"),
            ("type=volume,src=new,dst=/x,volume-subpath=none", "cannot access path"),
            ("type=image,src=absent,dst=/x", "No such image"),
            ("type=volume,src=new,dst=/x,volume-driver=nosuch", 'plugin "nosuch" not found')):
        refused = engine.berth("mount", "add", "box", mount, check=False)
        assert refused.returncode == 1 and words in refused.stderr, (mount, refused.stderr)
        left = engine.berth("volume", "ls", "-q").stdout.split()
        if left:
            engine.berth("volume", "rm", *left)  # nobody holds it
    assert engine.inspect("box")["Mounts"] == []
    assert sh(engine, "cat /proc/mounts").stdout == before
    assert "No such container" in engine.berth("mount", "add", "absent", "new:/x", check=False).stderr


# ---- hostile containers ----

def test_links_in_the_container_lead_nowhere_else(engine):
    """CVE-2018-15664, CVE-2021-30465, CVE-2026-42306: the place is resolved in the container's own root."""
    run(engine)
    sh(engine, "ln -s /run/outside /absolute; ln -s ../../../../run/outside /relative; mkdir /dangling; "
               "ln -s /run/made /dangling/link; ln -s / /root-link; ln -s /proc /proc-link; ln -s /proc/self/root /magic")
    host = {path.name for path in pathlib.Path("/run").iterdir()}
    for target in ("/absolute", "/relative/below", "/dangling/link"):
        engine.berth("mount", "add", "box", f"data:{target}", check=False)
    assert {path.name for path in pathlib.Path("/run").iterdir()} == host
    assert not [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if "outside" in line]
    for target, words in (("/root-link", "leads to the root"), ("/proc-link", "is inside /proc"),
                          ("/proc-link/sys", "mount point"), ("/magic/x", "mount point")):
        refused = engine.berth("mount", "add", "box", f"other:{target}", check=False)
        assert refused.returncode == 1 and words in refused.stderr, (target, refused.stderr)


def test_masks_stay_where_they_are(engine):
    """A container exchanges what leads to its mount for a link to /proc: taking the mount away must not uncover what a
    mask hides there."""
    run(engine, "--tmpfs", "/a/scsi")
    before = sh(engine, "cat /proc/mounts").stdout
    assert " /proc/scsi " in before or " /proc/acpi " in before
    masked = "scsi" if " /proc/scsi " in before else "acpi"
    run(engine, "--tmpfs", f"/a/{masked}", name="box2")
    sh(engine, "mv /a /b && ln -s /proc /a", name="box2")
    refused = engine.berth("mount", "rm", "box2", f"/a/{masked}", check=False)
    assert refused.returncode == 1 and "nothing that was mounted for the container" in refused.stderr
    assert f" /proc/{masked} " in sh(engine, "cat /proc/mounts", name="box2").stdout
    assert len(engine.inspect("box2")["HostConfig"]["Tmpfs"]) == 1


def test_nothing_reaches_the_host_through_a_shared_mount(engine):
    shared = pathlib.Path("/run/shared-with-containers")
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared], check=True)
    subprocess.run(["mount", "--make-shared", shared], check=True)
    try:
        (shared / "sub").mkdir()
        run(engine, "-v", f"{shared}:/s:rshared")
        sh(engine, "ln -s /s/sub /harmless")
        refused = engine.berth("mount", "add", "box", "type=tmpfs,dst=/harmless", check=False)
        assert refused.returncode == 1 and "shared with the host" in refused.stderr
        assert f"{shared}/sub" not in pathlib.Path("/proc/mounts").read_text()
    finally:
        engine.berth("rm", "-f", "box")
        subprocess.run(["umount", "-l", shared], check=True)
        shared.rmdir()


def test_no_mount_but_its_own_is_taken_away(engine, tmp_path):
    """A container exchanges what leads to its mount for a link to what covers something for it, or to the host's."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").touch()
    shared = pathlib.Path("/run/shared-with-containers")
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared], check=True)
    subprocess.run(["mount", "--make-shared", shared], check=True)
    try:
        (shared / "sub").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "of-the-host", shared / "sub"], check=True)
        run(engine, "-v", f"{tmp_path}:/host", "-v", "cover:/host/secret", "-v", "data:/a/secret", "--tmpfs", "/b/sub",
            "-v", f"{shared}:/s:rshared")
        sh(engine, "mv /a /was-a && ln -s /host /a; mv /b /was-b && ln -s /s /b")
        for target in ("/a/secret", "/b/sub"):
            refused = engine.berth("mount", "rm", "box", target, check=False)
            assert refused.returncode == 1 and "nothing that was mounted for the container" in refused.stderr
        assert sh(engine, "ls /host/secret").stdout == ""
        assert f"of-the-host {shared}/sub " in pathlib.Path("/proc/mounts").read_text()
    finally:
        engine.berth("rm", "-f", "box", check=False)
        subprocess.run(["umount", "-l", shared / "sub"], check=False)
        subprocess.run(["umount", "-l", shared], check=True)
        shared.rmdir()


def test_a_container_that_exchanges_directories_meanwhile(engine):
    """CVE-2018-15664 raced: whatever the outcome, the host has no mount more and the container only what it was given."""
    run(engine)
    engine.berth("exec", "-d", "box", "sh", "-c",
                 "mkdir -p /race/real; while true; do mv /race /r2; ln -sfn /proc /race; rm /race; mv /r2 /race; done")
    host = pathlib.Path("/proc/mounts").read_text().count("\n")
    for _ in range(20):
        if engine.berth("mount", "add", "box", "type=tmpfs,dst=/race/real", check=False).returncode == 0:
            engine.berth("mount", "rm", "box", "/race/real", check=False)
        if engine.inspect("box")["Mounts"]:
            break
    assert pathlib.Path("/proc/mounts").read_text().count("\n") == host
    inside = sh(engine, "cat /proc/mounts").stdout
    assert " /proc/real " not in inside


# ---- engines that die ----

def test_mounts_outlive_the_engine(fresh_engine):
    engine = fresh_engine
    run(engine)
    engine.berth("mount", "add", "box", "data:/data")
    sh(engine, "touch /data/file")
    engine.kill()
    engine.start()
    assert sh(engine, "ls /data").stdout == "file\n"
    engine.berth("mount", "rm", "box", "/data")
    assert sh(engine, "ls /data").stdout == ""
    engine.berth("volume", "rm", "data")
    wait_until("idle", lambda: engine.berth("volume", "ls", "-q").stdout == "")


def test_tmpfs_of_host_config_stands_there_alone(engine):
    """As with Docker: Mounts has the tmpfs that a mount asks for."""
    status, answer = engine.request("POST", "/containers/create?name=shown", {"Image": "busybox", "HostConfig": {
        "Tmpfs": {"/asked/": "size=1m"}, "Mounts": [{"Type": "tmpfs", "Target": "/mounted"}]}})
    assert status == 201, answer
    try:
        assert [point["Destination"] for point in engine.inspect("shown")["Mounts"]] == ["/mounted"]
        listed = engine.request("GET", "/containers/json?all=1&filters=%7B%22name%22%3A%5B%22shown%22%5D%7D")[1]
        assert [point["Destination"] for point in listed[0]["Mounts"]] == ["/mounted"]
    finally:
        engine.request("DELETE", "/containers/shown")
