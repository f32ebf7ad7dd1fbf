"""Volumes: options of the local driver, sizes, flags of mounts, owners. With the real docker client where it knows them."""
import json
import os
import pathlib
import subprocess

import pytest

from engine import BIN, wait_until


def mounted(path):
    """What is mounted at exactly this path, in the tests' own namespace (the engine's)."""
    lines = [line.split(" - ") for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    return [right.split()[0] for left, right in lines if left.split()[4] == str(path)]


def data(engine, name):
    return engine.data / "volumes" / name / "_data"


@pytest.fixture(autouse=True)
def no_volumes_left(request):
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").remove_all()


# ---- the local driver's options ----

def test_tmpfs_volume_is_mounted_while_it_is_used(engine):
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000,mode=700",
                  "memory")
    assert mounted(data(engine, "memory")) == []
    engine.docker("run", "-d", "--name", "one", "-v", "memory:/m", "busybox", "sleep", "1000")
    assert mounted(data(engine, "memory")) == ["tmpfs"]
    found = engine.docker("exec", "one", "sh", "-c", "stat -c '%u %a' /m; df -k /m | tail -1; touch /m/kept").stdout
    assert found.startswith("1000 700\n") and " 1024 " in found
    # A second container sees the same, and the first one's end does not take it away.
    engine.docker("run", "-d", "--name", "two", "-v", "memory:/m", "busybox", "sleep", "1000")
    engine.docker("rm", "-f", "one")
    assert engine.docker("exec", "two", "ls", "/m").stdout == "kept\n"
    engine.docker("rm", "-f", "two")
    wait_until("unmount", lambda: mounted(data(engine, "memory")) == [])
    assert engine.docker("run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m").stdout == ""
    inspected = json.loads(engine.docker("volume", "inspect", "memory").stdout)[0]
    assert inspected["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,mode=700"}


def test_a_restart_keeps_the_mount(engine):
    """The end of the run before is cleaned up when the next one may be there already."""
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.docker("run", "-d", "--name", "one", "-v", "memory:/m", "-v", "memory:/n", "busybox", "sleep", "1000")
    for _ in range(5):
        engine.docker("restart", "-t", "0", "one")
    engine.docker("exec", "one", "touch", "/m/kept")
    for _ in range(3):
        assert engine.docker("run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m").stdout == "kept\n"
    engine.berth("mount", "rm", "one", "/n")
    assert mounted(data(engine, "memory")) == ["tmpfs"]
    engine.docker("rm", "-f", "one")
    wait_until("unmount", lambda: mounted(data(engine, "memory")) == [])


def test_bind_volume_shows_a_host_directory(engine, tmp_path):
    (tmp_path / "there").write_text("from the host\n")
    engine.docker("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro", "bound")
    assert engine.docker("run", "--rm", "-v", "bound:/b", "busybox", "cat", "/b/there").stdout == "from the host\n"
    refused = engine.docker("run", "--rm", "-v", "bound:/b", "busybox", "touch", "/b/new", check=False)
    assert "Read-only file system" in refused.stderr
    engine.docker("volume", "rm", "bound")
    assert (tmp_path / "there").read_text() == "from the host\n"


def test_failed_mounts_are_told_in_dockers_words(engine):
    engine.docker("volume", "create", "-o", "type=none", "-o", "device=/not/there", "-o", "o=bind", "missing")
    failed = engine.docker("run", "--rm", "-v", "missing:/m", "busybox", "true", check=False)
    path = data(engine, "missing")
    assert (f"error while mounting volume '{path}': failed to mount local volume: mount /not/there:{path}, "
            "flags: 0x1000: no such file or directory") in failed.stderr
    engine.docker("volume", "create", "-o", "type=nosuchfs", "-o", "device=x", "-o", "o=password=secret,a=b,PASS=secret", "odd")
    failed = engine.docker("run", "--rm", "-v", "odd:/m", "busybox", "true", check=False)
    path = data(engine, "odd")
    assert (f"failed to mount local volume: mount x:{path}, data: password=********,a=b,PASS=********: no such device"
            in failed.stderr), failed.stderr
    assert "secret" not in failed.stderr
    # Nothing was left: neither a container nor a use of the volume.
    assert engine.docker("ps", "-aq").stdout == ""
    assert engine.docker("volume", "rm", "missing", "odd").stdout == "missing\nodd\n"


@pytest.mark.parametrize("options, words", [
    (["type=tmpfs"], 'missing required option: "device"'),
    (["device=/x"], 'missing required option: "type"'),
    (["o=bind"], 'missing required option: "device"'),
    (["color=red"], 'invalid option: "color"'),
    (["size=much"], "invalid size: 'much'"),
    (["type=cifs", "device=//host:445/share", "o="], "port not allowed in CIFS device URL, include 'port' in 'o='"),
])
def test_wrong_options_are_refused(engine, options, words):
    flags = [word for option in options for word in ("-o", option)]
    refused = engine.docker("volume", "create", *flags, "wrong", check=False)
    assert refused.returncode == 1 and words in refused.stderr, refused.stderr
    assert engine.docker("volume", "ls", "-q").stdout == ""
    assert list((engine.data / "volumes").iterdir()) == []


def test_cluster_volumes_want_a_swarm(engine):
    status, answer = engine.request("POST", "/volumes/create", {"Name": "cluster", "ClusterVolumeSpec": {"Group": "x"}})
    assert status == 503 and answer["message"].startswith("This node is not a swarm manager.")
    status, answer = engine.request("PUT", "/volumes/some?version=1", {"Spec": {}})
    assert (status, answer["message"]) == (
        503, "volume update only valid for cluster volumes, but swarm is unavailable")
    short = engine.docker("volume", "create", "x", check=False)
    assert "create x: volume name is too short, names should be at least two alphanumeric characters" in short.stderr


def test_a_name_belongs_to_one_driver(engine):
    engine.docker("volume", "create", "mine")
    refused = engine.docker("volume", "create", "-d", "elsewhere", "mine", check=False)
    assert "driver 'local' already has volume 'mine': volume name must be unique" in refused.stderr
    absent = engine.docker("volume", "create", "-d", "elsewhere", "other", check=False)
    assert 'error looking up volume plugin elsewhere: plugin "elsewhere" not found' in absent.stderr


def test_an_unknown_driver_is_not_found_at_creation_either(engine):
    status, answer = engine.request("POST", "/containers/create", {
        "Image": "busybox", "HostConfig": {"VolumeDriver": "elsewhere", "Binds": ["other:/b"]}})
    assert (status, answer["message"]) == (
        404, 'create other: error looking up volume plugin elsewhere: plugin "elsewhere" not found')
    # Which is no reason to pull the image.
    refused = engine.berth("create", "--volume-driver", "elsewhere", "-v", "other:/b", "busybox", check=False)
    assert refused.returncode == 1 and "Unable to find image" not in refused.stderr


def test_a_relative_volume_is_below_the_root(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /srv/data && echo of-the-image > /srv/data/file\nVOLUME srv/data\n")
    engine.docker("build", "-q", "-t", "relative", tmp_path)
    engine.docker("run", "--name", "box", "relative", "sh", "-c", "cat /srv/data/file; grep -c ' /srv/data ' /proc/mounts")
    assert engine.docker("logs", "box").stdout == "of-the-image\n1\n"
    shown = engine.inspect("box")
    assert [(mount["Type"], mount["Destination"]) for mount in shown["Mounts"]] == [("volume", "/srv/data")]
    assert shown["Config"]["Volumes"] == {"srv/data": {}}
    assert engine.docker("diff", "box").stdout == ""
    engine.docker("rm", "-v", "box")
    status, answer = engine.request("POST", "/containers/create", {"Image": "busybox", "Volumes": {".": {}}})
    assert status == 400 and "destination can't be '/'" in answer["message"]


@pytest.mark.parametrize("client", ["docker", "berth"])
@pytest.mark.parametrize("form", ["-v", "--mount"])
def test_nocopy_leaves_a_volume_empty(engine, tmp_path, client, form):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN mkdir -p /srv/data && echo of-the-image > /srv/data/file && chown -R 1000 /srv/data\n")
    engine.docker("build", "-q", "-t", "filling", tmp_path)
    run = engine.docker if client == "docker" else engine.berth

    def seen(*, copies):
        word = {"-v": "kept:/srv/data" + ("" if copies else ":nocopy"),
                "--mount": "type=volume,src=kept,dst=/srv/data" + ("" if copies else ",volume-nocopy")}[form]
        run("create", "--name", "box", form, word, "filling", "sh", "-c", "stat -c %u /srv/data; ls -A /srv/data")
        # The flag is the mount's, for those who make the container once more from what is shown.
        host = engine.inspect("box")["HostConfig"]
        if form == "--mount":
            assert host["Mounts"][0].get("VolumeOptions", {}).get("NoCopy", False) is not copies
        else:
            assert host["Binds"] == [word]
        found = run("start", "-a", "box").stdout
        run("rm", "box")
        return found

    for _ in range(2):
        assert seen(copies=False) == "0\n" and os.listdir(data(engine, "kept")) == []
    assert seen(copies=True) == "1000\nfile\n" and os.listdir(data(engine, "kept")) == ["file"]
    # What is in it stays: the flag takes nothing away.
    assert seen(copies=False) == "1000\nfile\n"


@pytest.mark.parametrize("options", [["-o", "size=8m"], ["-o", "o=size=8m,uid=1000,gid=1000"]], ids=["docker", "podman"])
def test_a_size_is_a_limit(engine, options):
    engine.docker("volume", "create", *options, "small")
    done = engine.docker("run", "--rm", "-v", "small:/v", "busybox", "sh", "-c",
                         "stat -c %u /v; ls -A /v; dd if=/dev/zero of=/v/big bs=1M count=20 2>&1; ls /v")
    assert "No space left on device" in done.stdout or "Disk quota exceeded" in done.stdout
    assert done.stdout.startswith("1000\n" if "uid" in options[1] else "0\n")
    assert "lost+found" not in done.stdout
    # It stays where it is, and what was written, too.
    assert engine.docker("run", "--rm", "-v", "small:/v", "busybox", "ls", "/v").stdout == "big\n"
    wait_until("unmount", lambda: mounted(data(engine, "small")) == [])
    engine.docker("volume", "rm", "small")
    assert list((engine.data / "volumes").iterdir()) == []


def test_mounts_outlive_the_engine(fresh_engine):
    engine = fresh_engine
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.docker("run", "-d", "--name", "kept", "-v", "memory:/m", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "lost", "-v", "other:/m", "busybox", "sleep", "1000")
    engine.docker("exec", "kept", "touch", "/m/file")
    engine.kill()
    engine.start()
    assert engine.docker("run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m").stdout == "file\n"
    assert mounted(data(engine, "memory")) == ["tmpfs"]
    in_use = engine.docker("volume", "rm", "memory", check=False)
    assert "volume is in use" in in_use.stderr
    # What ended while no engine was there is given back by the next one.
    pid = engine.inspect("kept")["State"]["Pid"]
    engine.kill()
    os.kill(pid, 9)
    wait_until("end of the container", lambda: not pathlib.Path(f"/proc/{pid}").exists())
    engine.start()
    wait_until("unmount", lambda: mounted(data(engine, "memory")) == [])


def test_an_engine_that_ends_takes_its_mounts_along(fresh_engine):
    engine = fresh_engine
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.docker("volume", "create", "-o", "size=4m", "small")
    engine.docker("run", "-d", "--init", "-v", "memory:/m", "-v", "small:/s", "busybox", "sleep", "1000")
    assert mounted(data(engine, "memory")) == ["tmpfs"]
    engine.stop()
    assert mounted(data(engine, "memory")) == [] and mounted(data(engine, "small")) == []
    engine.start()


def test_many_at_once_on_one_volume(engine):
    """Mounted by the first, unmounted by the last, whoever that is; and one creation of a name wins."""
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    command = [BIN / "berth", "run", "--rm", "-v", "memory:/m", "-v", "shared:/s", "-v", "/own", "busybox", "sh", "-c",
               "echo x >> /s/lines; touch /m/file"]
    for _ in range(3):
        running = [subprocess.Popen([str(word) for word in command], env=engine.environment) for _ in range(8)]
        assert [process.wait(120) for process in running] == [0] * 8
    wait_until("unmount", lambda: mounted(data(engine, "memory")) == [])
    assert (data(engine, "shared") / "lines").read_text() == "x\n" * 24
    wait_until("own volumes", lambda: sorted(engine.docker("volume", "ls", "-q").stdout.split()) == ["memory", "shared"])
    engine.docker("volume", "rm", "memory", "shared")


# ---- mounts ----

def test_subpaths_of_a_volume(engine):
    engine.berth("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c",
                 "mkdir -p /d/a/b; echo deep > /d/a/b/file; ln -s a/b /d/link; ln -s /etc /d/out; ln -s ../../../.. /d/up")

    def read(subpath, *command):
        return engine.berth("run", "--rm", "--mount", f"type=volume,src=data,dst=/x,volume-subpath={subpath}", "busybox",
                            *command, check=False)

    assert read("a/b", "cat", "/x/file").stdout == "deep\n"
    assert read("link", "cat", "/x/file").stdout == "deep\n"
    assert read("a/b/file", "cat", "/x").stdout == "deep\n"
    # Links lead nowhere but into the volume.
    assert "no such file or directory" in read("out", "ls", "/x").stderr.lower()
    assert read("up", "ls", "/x").stdout == "a\nlink\nout\nup\n"
    assert "no such file or directory" in read("none", "ls", "/x").stderr.lower()
    for bad in ("../x", "/abs", "a/../../b"):
        assert "subpath must be a relative path within the volume" in read(bad, "true").stderr


def test_a_subpath_that_is_exchanged_meanwhile_stays_inside(engine):
    """CVE-2024-23651, CVE-2021-30465: a container that writes the volume exchanges the subpath for a link to the host's
    root while others are started on it. Whatever they see, it is never the host's /etc."""
    (engine.data / "volumes").mkdir(exist_ok=True)
    secret = pathlib.Path("/run/secret-of-the-host")
    secret.write_text("host\n")
    attack = ("mkdir -p /d/real; echo inside > /d/real/secret-of-the-host; "
              "while true; do ln -sfn /run /d/sub; ln -sfn ../../../../../../run /d/sub; rm -f /d/sub; "
              "mv /d/real /d/sub; mv /d/sub /d/real; done")
    engine.berth("run", "-d", "--name", "attacker", "-v", "race:/d", "busybox", "sh", "-c", attack)
    seen = set()
    for _ in range(25):
        done = engine.berth("run", "--rm", "--mount", "type=volume,src=race,dst=/x,volume-subpath=sub", "busybox", "cat",
                            "/x/secret-of-the-host", check=False)
        seen.add(done.stdout)
    assert "host\n" not in seen
    secret.unlink()


def test_read_only_binds_and_what_is_mounted_in_them(engine, tmp_path):
    (tmp_path / "inner").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "inner"], check=True)
    try:
        def touch(flags):
            return engine.berth("run", "--rm", "--mount", f"type=bind,src={tmp_path},dst=/b,{flags}", "busybox", "touch",
                                "/b/inner/file", check=False)

        assert "Read-only file system" in touch("ro").stderr
        assert "Read-only file system" in touch("ro,bind-recursive=readonly,bind-propagation=rprivate").stderr
        assert touch("ro,bind-recursive=writable").returncode == 0
        assert (tmp_path / "inner" / "file").exists()
        shown = engine.berth("run", "--rm", "--mount", f"type=bind,src={tmp_path},dst=/b,bind-recursive=disabled",
                             "busybox", "ls", "/b/inner").stdout
        assert shown == ""
        for flags, words in (
                ("bind-recursive=writable", "option 'bind-recursive=writable' requires 'readonly'"),
                ("ro,bind-recursive=readonly", "requires 'bind-propagation=rprivate'"),
                ("bind-recursive=x", 'must be "enabled", "disabled", "writable", or "readonly"'),
                ("volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
                ("color=red", "unexpected key 'color' in 'color=red'")):
            refused = touch(flags)
            assert refused.returncode == 125 and words in refused.stderr, refused.stderr
    finally:
        subprocess.run(["umount", tmp_path / "inner"], check=True)


def test_images_as_mounts(engine):
    engine.docker("build", "-t", "content", "-", input="FROM busybox\nRUN mkdir /data && echo from image > /data/file\n")
    run = ["run", "--rm", "--mount"]
    assert engine.berth(*run, "type=image,src=content,dst=/i", "busybox", "cat", "/i/data/file").stdout == "from image\n"
    assert engine.berth(*run, "type=image,src=content,dst=/i,image-subpath=data", "busybox", "ls", "/i").stdout == "file\n"
    refused = engine.berth(*run, "type=image,src=content,dst=/i", "busybox", "touch", "/i/new", check=False)
    assert "Read-only file system" in refused.stderr
    assert "No such image" in engine.berth(*run, "type=image,src=absent,dst=/i", "busybox", "true", check=False).stderr
    engine.berth("create", "--name", "user", "--mount", "type=image,src=content,dst=/i", "busybox")
    assert "is using" in engine.berth("rmi", "content", check=False).stderr
    engine.berth("rm", "user")
    engine.berth("rmi", "-f", "content")
    wait_until("snapshots", lambda: list((engine.data / "snapshots").iterdir()) == [])


def test_volumes_from_takes_modes(engine):
    engine.docker("run", "-d", "--name", "source", "-v", "data:/d", "-v", "/anonymous", "busybox", "sleep", "1000")
    engine.docker("exec", "source", "touch", "/d/file")
    assert engine.docker("run", "--rm", "--volumes-from", "source", "busybox", "ls", "/d", "/anonymous").stdout == (
        "/anonymous:\n\n/d:\nfile\n")
    engine.docker("create", "--name", "heir", "--volumes-from", "source", "busybox")
    refused = engine.docker("run", "--rm", "--volumes-from", "source:ro", "busybox", "touch", "/d/x", check=False)
    assert "Read-only file system" in refused.stderr
    assert "invalid mode: rshared" in engine.docker("create", "--volumes-from", "source:rshared", "busybox",
                                                    check=False).stderr
    assert "invalid mode: nocopy" in engine.docker("create", "--volumes-from", "source:nocopy", "busybox",
                                                   check=False).stderr
    # One without a name goes with the last container that is removed with it.
    engine.docker("rm", "-f", "-v", "source")
    assert len(engine.docker("volume", "ls", "-q").stdout.split()) == 2
    engine.docker("rm", "-v", "heir")
    assert engine.docker("volume", "ls", "-q").stdout == "data\n"


def test_tmpfs_mounts_have_their_options(engine):
    done = engine.docker("run", "--rm", "--tmpfs", "/t:size=2m,mode=700,uid=1000,exec", "--mount",
                         "type=tmpfs,dst=/u,tmpfs-size=1m,tmpfs-mode=1750", "busybox", "sh", "-c",
                         "stat -c '%u %a' /t /u; grep -E ' /[tu] ' /proc/mounts").stdout
    assert done.startswith("1000 700\n0 1750\n")
    lines = {line.split()[1]: line for line in done.splitlines()[2:]}
    assert "size=2048k" in lines["/t"] and "noexec" not in lines["/t"]
    assert "size=1024k" in lines["/u"] and "noexec" in lines["/u"] and "nosuid" in lines["/u"]


TMPFS_OPTIONS = {
    "size=1m": "size=1024k", "nr_inodes=50": "nr_inodes=50", "mode=1711": "mode=1711", "uid=1000": "uid=1000", "gid=1001": "gid=1001",
    "ro": "ro", "rw": "rw", "exec": None, "noexec": "noexec", "suid": None, "nosuid": "nosuid", "dev": None, "nodev": "nodev",
    "noatime": "noatime", "nodiratime": "nodiratime", "relatime": "relatime", "strictatime": None, "sync": "sync", "dirsync": "dirsync",
    "huge=never": None, "mpol=default": None, "nr_blocks=256": "size=1024k"}


def test_every_option_of_a_tmpfs_reaches_the_kernel(engine):
    """By --tmpfs, and by the API's TmpfsOptions for what --mount has no word of its own for."""
    for option, shown in TMPFS_OPTIONS.items():
        line = engine.berth("run", "--rm", "--tmpfs", f"/t:{option}", "busybox", "grep", " /t ", "/proc/mounts").stdout
        words = line.split()[3].split(",")
        assert shown is None or shown in words, (option, line)
        assert f"no{option}" not in words, (option, line)
    for option, words in (("colour=red", "colour"), ("size=all", "size"), ("mode=x", "mode")):
        done = engine.berth("run", "--rm", "--tmpfs", f"/t:{option}", "busybox", "true", check=False)
        assert done.returncode != 0 and words in done.stderr, (option, done.stderr)
    status, made = engine.request("POST", "/containers/create", {
        "Image": "busybox", "Cmd": ["grep", " /t ", "/proc/mounts"], "HostConfig": {"Mounts": [{
            "Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1700, "Options": [["exec"]]}}]}})
    assert status == 201, made
    line = engine.berth("start", "-a", made["Id"]).stdout
    assert "size=1024k" in line and "mode=1700" in line and "noexec" not in line and "nosuid" in line


@pytest.mark.parametrize("mode, inward, outward", [("rprivate", False, False), ("private", False, False), ("rslave", True, False),
                                                   ("slave", True, False), ("rshared", True, True), ("shared", True, True)])
def test_propagation(engine, tmp_path, mode, inward, outward):
    """What is mounted on either side after the start shows on the other as the mode says."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        for name in ("of-host", "of-container"):
            (tmp_path / name).mkdir()
        engine.berth("run", "-d", "--name", "box", "--privileged", "-v", f"{tmp_path}:/b:{mode}", "busybox", "sleep", "1000")
        assert engine.inspect("box")["Mounts"][0]["Propagation"] == mode
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "of-host"], check=True)
        inside = engine.berth("exec", "box", "cat", "/proc/mounts").stdout
        assert (" /b/of-host " in inside) == inward
        engine.berth("exec", "box", "mount", "-t", "tmpfs", "tmpfs", "/b/of-container")
        assert bool(mounted(tmp_path / "of-container")) == outward
    finally:
        engine.berth("rm", "-f", "box", check=False)
        for name in ("of-host", "of-container"):
            subprocess.run(["umount", "-l", tmp_path / name], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_place_that_is_not_shared_cannot_be_shared_further(engine, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-private", tmp_path], check=True)
        for mode, words in (("rshared", "is not a shared mount"), ("rslave", "is not a shared or slave mount")):
            done = engine.berth("run", "--rm", "-v", f"{tmp_path}:/b:{mode}", "busybox", "true", check=False)
            assert done.returncode != 0 and words in done.stderr, done.stderr
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_labels_for_selinux_are_understood(engine, tmp_path):
    for mode in ("z", "Z", "ro,z", "Z,rshared"):
        engine.berth("create", "--name", "box", "-v", f"{tmp_path}:/b:{mode}", "busybox")
        assert engine.inspect("box")["Mounts"][0]["Mode"] == mode
        engine.berth("rm", "box")
    done = engine.berth("create", "-v", f"{tmp_path}:/b:z,Z", "busybox", check=False)
    assert "invalid mode: z,Z" in done.stderr


def test_anonymous_volumes_go_with_their_container(engine):
    engine.docker("run", "--rm", "-v", "/a", "busybox", "true")
    wait_until("no volumes", lambda: engine.docker("volume", "ls", "-q").stdout == "")
    engine.docker("run", "--name", "kept", "-v", "/a", "-v", "named:/n", "busybox", "true")
    engine.docker("rm", "-v", "kept")
    assert engine.docker("volume", "ls", "-q").stdout == "named\n"
    engine.docker("run", "--name", "kept", "-v", "/a", "busybox", "true")
    engine.docker("rm", "kept")
    assert len(engine.docker("volume", "ls", "-q", "-f", "dangling=true").stdout.split()) == 2
    pruned = engine.docker("volume", "prune", "-f").stdout
    assert "named" not in pruned and "Deleted Volumes:" in pruned
    assert engine.docker("volume", "ls", "-q").stdout == "named\n"
    assert "named" in engine.berth("volume", "prune", "-a", "-f").stdout


def test_a_failed_creation_leaves_no_volume_of_its_own(engine):
    # (At 404 the docker client pulls the image, with dockerd too.)
    failed = engine.berth("create", "-v", "/a", "-v", "odd:/b", "--mount",
                          "type=volume,src=bad,dst=/c,volume-driver=nosuch", "busybox", check=False)
    assert 'plugin "nosuch" not found' in failed.stderr
    left = engine.docker("volume", "ls", "-q").stdout.split()
    assert left == ["odd"] or left == []
    for name in left:
        engine.docker("volume", "rm", name)  # held by nobody


def test_events_tell_of_volumes(engine):
    since = engine.berth("info", "--format", "{{.SystemTime}}").stdout.strip()
    engine.docker("run", "--rm", "-v", "told:/v:ro", "busybox", "true")
    wait_until("no container", lambda: engine.docker("ps", "-aq").stdout == "")
    engine.docker("volume", "rm", "told")
    until = engine.berth("info", "--format", "{{.SystemTime}}").stdout.strip()
    lines = engine.docker("events", "--since", since, "--until", until, "--filter", "type=volume", "--format",
                          "{{json .}}").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["Action"] for event in events] == ["create", "mount", "unmount", "destroy"]
    attributes = events[1]["Actor"]["Attributes"]
    assert (attributes["destination"], attributes["read/write"], attributes["driver"]) == ("/v", "false", "local")


# ---- owners ----

@pytest.mark.parametrize("flags", [["-v", "own:/o:U"],
                                   ["--mount", "type=volume,src=own,dst=/o,volume-opt=berth.owner=change"]],
                         ids=["flag", "mount"])
def test_a_volume_is_given_to_the_containers_user(engine, flags):
    engine.docker("run", "--rm", "-v", "own:/o", "busybox", "sh", "-c",
                  "mkdir /o/d; echo x > /o/d/f; ln -s /etc/passwd /o/link; chmod 600 /o/d/f")
    done = engine.docker("run", "--rm", "-u", "guest", *flags, "busybox", "sh", "-c",
                         "echo more >> /o/d/f && cat /o/d/f && stat -c %u /o /o/d /o/d/f && ls -ln /o/link")
    assert done.stdout.startswith("x\nmore\n1000\n1000\n1000\n") and " 1000 " in done.stdout.splitlines()[-1]
    assert (data(engine, "own") / "d" / "f").stat().st_uid == 1000
    assert pathlib.Path("/etc/passwd").stat().st_uid == 0  # the link was not followed


def test_an_owner_is_exchanged_in_one_mount_only(engine, tmp_path):
    (tmp_path / "file").write_text("roots\n")
    os.chmod(tmp_path, 0o700)
    os.chmod(tmp_path / "file", 0o600)
    done = engine.docker("run", "--rm", "-u", "guest", "-v", f"{tmp_path}:/o:idmap", "busybox", "sh", "-c",
                         "cat /o/file && touch /o/new && stat -c %u /o /o/file /o/new", check=False)
    if "cannot be id-mapped" in done.stderr:
        pytest.skip("no id-mapped mounts on this file system")
    assert done.stdout == "roots\n1000\n1000\n1000\n"
    assert [(tmp_path / name).stat().st_uid for name in ("file", "new")] == [0, 0]
    refused = engine.docker("run", "--rm", "-u", "guest", "-v", f"{tmp_path}:/o", "busybox", "cat", "/o/file", check=False)
    assert "Permission denied" in refused.stderr
