"""Containers in user namespaces (--userns-remap): root in them is nobody on the machine, and everything else stays as it is."""
import contextlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

from engine import BIN, Engine, mounts_below, wait_until

FIRST, SIZE = 300000, 65536
GROUP = 400000
USER = "bertha"  # has ids, and no account


@contextlib.contextmanager
def subordinate_ids(folder, uids=f"{USER}:{FIRST}:{SIZE}\n", gids=f"{USER}:{GROUP}:{SIZE}\n"):
    """Files of our own in the place of the machine's; the mount namespace is the testbed's."""
    places = []
    for name, text in (("subuid", uids), ("subgid", gids)):
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
        places.append(f"/etc/{name}")
    try:
        yield
    finally:
        for place in places:
            subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def remapped(folder, rootfs_tar, *flags):
    with subordinate_ids(folder), Engine(folder, f"--userns-remap={USER}", *flags) as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with remapped(tmp_path_factory.mktemp("userns"), rootfs_tar) as running:
        yield running


@pytest.fixture
def own_engine(tmp_path, rootfs_tar):
    with remapped(tmp_path, rootfs_tar) as running:
        yield running


def sh(engine, container, script, *flags):
    return engine.berth("exec", *flags, container, "sh", "-c", script).stdout


def box(engine, name, *flags, command=("sleep", "1000")):
    engine.berth("run", "-d", "--name", name, *flags, "busybox", *command)
    return engine.inspect(name)["State"]["Pid"]


def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_text()


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def members(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {entry.name.strip("/"): (entry.uid, entry.gid) for entry in archive}


def run_raw(engine, *command):
    return subprocess.run([BIN / "berth", *command], env=engine.environment, capture_output=True, check=True).stdout


# --- what it is ---

def test_root_in_a_container_is_nobody_on_the_machine(engine):
    pid = box(engine, "box")
    assert proc(pid, "uid_map").split() == ["0", str(FIRST), str(SIZE)]
    assert proc(pid, "gid_map").split() == ["0", str(GROUP), str(SIZE)]
    status = dict(line.split(":", 1) for line in proc(pid, "status").splitlines())
    assert status["Uid"].split() == [str(FIRST)] * 4 and status["Gid"].split() == [str(GROUP)] * 4
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert sh(engine, "box", "id -u; id -g; stat -c %u:%g / /bin/busybox /etc/hosts /proc/1") == "0\n0\n" + "0:0\n" * 4
    assert sh(engine, "box", "id -u; touch /tmp/x; stat -c %u:%g /tmp/x", "-u", "guest") == "1000\n1000:1000\n"
    other = box(engine, "other")
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink(f"/proc/{other}/ns/user")  # each its own
    info = json.loads(engine.berth("info", "--format", "{{json .SecurityOptions}}").stdout)
    assert "name=userns" in info


def test_the_host_mode_opts_out(engine):
    pid = box(engine, "box", "--userns=host")
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
    assert engine.inspect("box")["HostConfig"]["UsernsMode"] == "host"
    run = ["run", "--rm", "--userns=host"]
    assert "devices" in engine.berth(*run, "--privileged", "busybox", "sh", "-c", "ls -d /sys/devices").stdout
    assert engine.berth(*run, "--network=host", "--pid=host", "--ipc=host", "busybox", "id", "-u").stdout == "0\n"


@pytest.mark.parametrize("flags, words", [
    (["--privileged"], "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace "
                       "when running privileged mode"),
    (["--network=host"], "cannot share the host's network namespace when user namespaces are enabled"),
    (["--pid=host"], "cannot share the host PID namespace when user namespaces are enabled"),
    (["--userns=private"], "--userns: invalid USER mode"),
])
def test_what_goes_with_no_user_namespace_is_refused(engine, flags, words):
    refused = engine.berth("create", *flags, "busybox", check=False)
    assert refused.returncode != 0 and words in refused.stderr
    assert engine.berth("ps", "-aq").stdout == ""


def test_a_bad_mode_is_the_clients_mistake(engine):
    status, answer = engine.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"UsernsMode": "mine"}})
    assert (status, answer["message"]) == (400, "invalid USER mode: mine")


# --- whose files are ---

def test_images_are_shared_with_containers_of_the_host(engine):
    for flags in ([], ["--userns=host"]):
        made = engine.berth("run", "--rm", *flags, "busybox", "sh", "-c",
                            "stat -c %u:%g /bin/busybox /etc/passwd; echo x >> /etc/passwd; chown 33:34 /etc/group; "
                            "stat -c %u:%g /etc/passwd /etc/group")
        assert made.stdout == "0:0\n0:0\n0:0\n33:34\n"


def test_a_committed_container_keeps_its_owners(engine, tmp_path):
    box(engine, "box")
    sh(engine, "box", "mkdir /d; echo 1 > /d/root; echo 2 > /d/guest; chown 1000:2000 /d/guest; rm /etc/group; chown 5:6 /home")
    changes = engine.berth("diff", "box").stdout.splitlines()
    assert {"A /d", "A /d/root", "A /d/guest", "D /etc/group", "C /home"} <= set(changes)
    engine.berth("commit", "box", "made:latest")
    try:
        for flags in ([], ["--userns=host"]):
            seen = engine.berth("run", "--rm", *flags, "made", "stat", "-c", "%u:%g", "/d", "/d/root", "/d/guest", "/home").stdout
            assert seen == "0:0\n0:0\n1000:2000\n5:6\n"
    finally:
        engine.berth("rm", "-f", "box")
        engine.berth("rmi", "made")


def test_an_exported_container_has_its_own_owners(engine):
    box(engine, "box")
    sh(engine, "box", "echo 1 > /tmp/guest; chown 1000:2000 /tmp/guest; echo 2 > /tmp/root")
    expected = {"tmp/guest": (1000, 2000), "tmp/root": (0, 0), "bin/busybox": (0, 0), "tmp": (0, 0)}
    for step in (["stop", "-t", "0", "box"], None):
        found = members(run_raw(engine, "export", "box"))
        assert {name: found[name] for name in expected} == expected
        if step:
            engine.berth(*step)


def test_copies_have_the_owners_that_the_container_knows(engine, tmp_path):
    box(engine, "box", "-v", "shared:/shared", "-v", f"{tmp_path}:/bind")
    sh(engine, "box", "echo 1 > /home/mine; chown 1000:2000 /home/mine; cp -p /home/mine /shared/mine")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, uid in (("deep/er/root", 0), ("guest", 1000), ("stranger", 1234567)):
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = uid
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    for running in (True, False):
        if not running:
            engine.berth("stop", "-t", "0", "box")
        for place in ("/home", "/shared"):
            got = run_raw(engine, "cp", f"box:{place}/mine", "-")
            assert members(got)["mine"] == (1000, 2000)
            status = engine.request("PUT", f"/containers/box/archive?path={place}", archive.getvalue(),
                                    {"Content-Type": "application/x-tar"})[0]
            assert status == 200
        # A file of the host's own, of which the container knows no owner.
        (tmp_path / "hosts").write_text("1")
        assert members(run_raw(engine, "cp", "box:/bind/hosts", "-"))["hosts"] == (65534, 65534)
        assert engine.request("PUT", "/containers/box/archive?path=/bind", archive.getvalue())[0] == 200
        assert owner(tmp_path / "guest") == (FIRST + 1000, GROUP + 1000)
        assert owner(tmp_path / "deep") == (FIRST, GROUP)
    engine.berth("start", "box")
    for place in ("/home", "/shared"):
        assert sh(engine, "box", f"cd {place} && stat -c %u:%g deep deep/er deep/er/root guest stranger") == \
            "0:0\n0:0\n0:0\n1000:1000\n0:0\n"
    data = engine.data / "volumes" / "shared" / "_data"
    assert owner(data / "guest") == (1000, 1000) and owner(data / "deep") == (0, 0)
    engine.berth("rm", "-f", "box")
    engine.berth("volume", "rm", "shared")


def test_volumes_are_shared_and_binds_are_the_hosts(engine, tmp_path):
    bound = tmp_path / "bound"
    bound.mkdir()
    bound.chmod(0o777)
    secret = bound / "secret"
    secret.write_text("the host's")
    secret.chmod(0o600)
    mounts = ["-v", "vol:/vol", "-v", f"{bound}:/bound"]
    box(engine, "mapped", *mounts)
    box(engine, "plain", "--userns=host", *mounts)
    sh(engine, "mapped", "echo 1 > /vol/mapped; echo 1 > /bound/mapped; echo 1 > /vol/guest; chown guest /vol/guest")
    sh(engine, "plain", "echo 2 > /vol/plain; echo 2 > /bound/plain")
    for name in ("mapped", "plain"):
        assert sh(engine, name, "cd /vol && stat -c %u:%g . mapped plain guest && echo more >> plain && echo more >> mapped") == \
            "0:0\n0:0\n0:0\n1000:0\n"
    assert owner(engine.data / "volumes" / "vol" / "_data" / "mapped") == (0, 0)
    # As with dockerd: what is the host's has the host's owners, and the container's root is nobody special there.
    assert owner(bound / "mapped") == (FIRST, GROUP) and owner(bound / "plain") == (0, 0)
    assert sh(engine, "mapped", "stat -c %u:%g /bound/plain /bound/secret") == "65534:65534\n" * 2
    refused = engine.berth("exec", "mapped", "cat", "/bound/secret", check=False)
    assert "Permission denied" in refused.stderr
    engine.berth("rm", "-f", "mapped", "plain")
    engine.berth("volume", "rm", "vol")


def test_a_volume_begins_with_the_images_files_and_owners(engine):
    box(engine, "maker")
    sh(engine, "maker", "mkdir /data; echo 1 > /data/guest; chown 1000:1000 /data /data/guest")
    engine.berth("commit", "-c", "VOLUME /data", "maker", "with-data:latest")
    engine.berth("rm", "-f", "maker")
    for number, flags in enumerate(([], ["--userns=host"])):
        engine.berth("run", "--rm", *flags, "-v", f"v{number}:/data", "with-data", "true")
        data = engine.data / "volumes" / f"v{number}" / "_data"
        assert owner(data) == (1000, 1000) and owner(data / "guest") == (1000, 1000)
        assert engine.berth("run", "--rm", "-v", f"v{number}:/data", "busybox", "stat", "-c", "%u", "/data/guest").stdout == "1000\n"
    # One that comes to a container that runs.
    engine.berth("run", "-d", "--name", "late", "with-data", "sleep", "1000")
    engine.berth("mount", "add", "late", "v2:/home")
    sh(engine, "late", "touch /home/x; mkdir /other")
    engine.berth("mount", "add", "late", "v2:/new/place")
    assert sh(engine, "late", "stat -c %u:%g /home/x /new /new/place/x") == "0:0\n" * 3
    engine.berth("rm", "-f", "-v", "late")
    engine.berth("volume", "rm", "v0", "v1", "v2")
    engine.berth("rmi", "with-data")


@pytest.mark.parametrize("mode, on_disk", [("idmap", 0), ("U", 1000)])
def test_volumes_that_map_owners_do_so_too(engine, tmp_path, mode, on_disk):
    bound = tmp_path / "bound"
    bound.mkdir(0o700)
    run = ["run", "--rm", "-u", "guest", "-v", f"vol:/vol:{mode}", "-v", f"{bound}:/bound:{mode}", "busybox", "sh", "-c",
           "echo 1 > /vol/file && echo 1 > /bound/file && stat -c %u /vol /vol/file /bound /bound/file"]
    assert engine.berth(*run).stdout == "1000\n" * 4
    assert owner(engine.data / "volumes" / "vol" / "_data" / "file")[0] == on_disk
    assert owner(bound / "file")[0] == (0 if mode == "idmap" else FIRST + 1000)
    engine.berth("volume", "rm", "vol")


def test_image_mounts_and_tmpfs_are_the_containers(engine):
    done = engine.berth("run", "--rm", "--mount", "type=image,src=busybox,dst=/image", "--tmpfs", "/memory", "--ipc=shareable",
                        "busybox", "sh", "-c", "stat -c %u:%g /image /image/bin/busybox /memory /dev/shm; "
                        "touch /memory/x /dev/shm/x; stat -c %u:%g /memory/x /dev/shm/x")
    assert done.stdout == "0:0\n" * 6


def test_capabilities_of_files_count_in_the_container(engine):
    """What the image gives a program it has, in the container alone."""
    box(engine, "box")
    entry = tarfile.TarInfo("busybox")
    entry.size, entry.mode = os.stat("/bin/busybox").st_size, 0o755
    raw = bytes.fromhex("0100000200200000000000000000000000000000").decode("latin-1")  # cap_net_raw+ep
    with open("/bin/busybox", "rb") as program, io.BytesIO() as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, encoding="latin-1") as tar:
            entry.pax_headers = {"SCHILY.xattr.security.capability": raw}
            tar.addfile(entry, program)
        assert engine.request("PUT", "/containers/box/archive?path=/home", out.getvalue())[0] == 200
    capability = 1 << 13
    for step in ("copied", "committed"):
        seen = engine.berth("exec", "-u", "guest", "box", "/home/busybox", "cat", "/proc/self/status") if step == "copied" else \
            engine.berth("run", "--rm", "-u", "guest", "capable", "/home/busybox", "cat", "/proc/self/status")
        status = dict(line.split(":", 1) for line in seen.stdout.splitlines())
        assert int(status["CapEff"], 16) == capability, step
        engine.berth("commit", "box", "capable:latest")
    engine.berth("rm", "-f", "box")
    engine.berth("rmi", "capable")


# --- what they can do ---

def test_networks_work(engine):
    engine.berth("network", "create", "lan")
    box(engine, "server", "--network", "lan", command=("httpd", "-f", "-p", "80"))
    box(engine, "client", "--network", "lan", "-p", "127.0.0.1::80")
    assert "2 packets received" in sh(engine, "client", "ping -c 2 -i 0.1 server")
    assert sh(engine, "client", "ls /sys/class/net; cat /sys/class/net/eth0/operstate; cat /proc/sys/net/ipv4/ping_group_range "
                                "/proc/sys/net/ipv4/ip_unprivileged_port_start").split() == \
        ["eth0", "lo", "up", "0", str(SIZE - 1), "0"]
    sh(engine, "client", "httpd -p 80 -h /etc", "-u", "guest")  # a low port, without rights
    port = engine.berth("port", "client", "80").stdout.strip()
    assert "root:x:0:0" in subprocess.run(["busybox", "wget", "-qO-", f"http://{port}/passwd"], capture_output=True, text=True).stdout
    engine.berth("network", "connect", "bridge", "client")
    assert "eth1" in sh(engine, "client", "ls /sys/class/net")
    assert "hello" in engine.berth("run", "--rm", "--network", "none", "busybox", "sh", "-c", "ls /sys/class/net; echo hello").stdout
    engine.berth("rm", "-f", "server", "client")
    engine.berth("network", "rm", "lan")


def test_the_network_belongs_to_the_container(engine):
    """Its root may change it, where it has the right; nothing of the machine's is there."""
    done = engine.berth("run", "--rm", "--cap-add=NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=0", "busybox", "sh", "-c",
                        "ip link set eth0 mtu 1400 && cat /sys/class/net/eth0/mtu /proc/sys/net/ipv4/ip_forward && "
                        "ip link add dummy9 type dummy 2>/dev/null; cat /proc/sys/kernel/hostname >/dev/null")
    assert done.stdout == "1400\n0\n"
    assert not os.path.exists("/sys/class/net/dummy9")


def test_namespaces_are_shared_among_their_own(engine):
    pid = box(engine, "donor", "--ipc=shareable", "--sysctl", "kernel.shmmax=12345")
    for kind in ("network", "pid", "ipc"):
        other = box(engine, kind, f"--{kind}=container:donor")
        assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink(f"/proc/{other}/ns/user")
        name = {"network": "net"}.get(kind, kind)
        assert os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{other}/ns/{name}")
        assert sh(engine, kind, "stat -c %u /bin/busybox") == "0\n"
    assert sh(engine, "ipc", "cat /proc/sys/kernel/shmmax; ls /sys/class/net") == "12345\neth0\nlo\n"
    # One of the machine's may look in; one that is mapped may not look at that.
    box(engine, "plain", "--userns=host", "--network=container:donor")
    for kind, words in (("network", "network"), ("pid", "PID")):
        refused = engine.berth("run", "--rm", f"--{kind}=container:plain", "busybox", "true", check=False)
        assert f"cannot join {words} of container" in refused.stderr and "--userns=host" in refused.stderr


def test_streams_terminals_and_init(engine):
    """A user opens its own streams anew, as nginx does with its logs."""
    for user in ("root", "guest"):
        done = engine.berth("run", "--rm", "-u", user, "busybox", "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr")
        assert (done.stdout, done.stderr) == ("out\n", "err\n")
        assert engine.berth("run", "--rm", "-i", "-u", user, "busybox", "cat", "/dev/stdin", input="typed").stdout == "typed"
    box(engine, "box", "--init", "-t")
    assert "docker-init" in sh(engine, "box", "cat /proc/1/cmdline")
    assert sh(engine, "box", "echo again > /dev/stdout", "-u", "guest") == "again\n"
    terminal = engine.berth("exec", "-t", "box", "sh", "-c", "tty; stat -c %u $(tty); echo x > /dev/tty")
    assert terminal.stdout.replace("\r", "") == "/dev/pts/1\n0\nx\n"
    devices = sh(engine, "box", "echo 1 > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; ls /dev/fd | wc -l")
    assert devices.split()[:2] == ["4", "4"]


def test_limits_and_host_memory_are_as_ever(engine):
    pid = box(engine, "box", "--memory=64m", "--pids-limit=77", "--ulimit", "nofile=2000:3000", "--oom-score-adj=300", "--ipc=host")
    assert "2000" in sh(engine, "box", "ulimit -n")
    assert proc(pid, "oom_score_adj").strip() == "300"
    assert os.readlink(f"/proc/{pid}/ns/ipc") == os.readlink("/proc/self/ns/ipc")
    assert engine.berth("top", "box").stdout.count("sleep 1000") == 1
    engine.berth("pause", "box")
    engine.berth("unpause", "box")
    engine.berth("update", "--memory=128m", "--memory-swap=-1", "box")
    engine.berth("restart", "-t", "0", "box")
    assert engine.berth("stats", "--no-stream", "--format", "{{.PIDs}}", "box").stdout.strip() == "1"


def test_devices_are_there_by_any_name(engine):
    done = engine.berth("run", "--rm", "--device", "/dev/zero:/dev/mine", "--device", "/dev/full", "busybox", "sh", "-c",
                        "head -c 3 /dev/mine | wc -c; echo x 2>&1 > /dev/full || echo full; stat -c %F /dev/mine")
    assert done.stdout.split("\n")[0] == "3" and "character special file" in done.stdout and "full" in done.stdout


# --- what they cannot do ---

@pytest.mark.parametrize("script", [
    "echo b > /proc/sysrq-trigger",
    "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
    "echo 0 > /proc/sys/kernel/randomize_va_space",
    "mknod /tmp/disk b 8 0 && cat /tmp/disk",
    "mount -t cgroup -o memory cgroup /mnt && echo /x > /mnt/release_agent",
    "mount -t ext4 /dev/vda /mnt",
    "chown 65536 /tmp",
    "cat /bound/secret",
    "echo changed > /bound/secret",
    "chown 0 /bound/secret",
    "chmod 4755 /bound/secret",
    "rm /closed/file",
    "mount -o remount,rw /sys",
    "dmesg -n 1",
    "hwclock -w",
    "swapoff -a && swapon /tmp/x",
    "nsenter --net=/bound/network true",
    "insmod /bin/busybox",
    "reboot -f -n",
])
def test_all_capabilities_give_nothing_on_the_machine(engine, tmp_path, script):
    """CVE-2022-0492, CVE-2022-0811, CVE-2025-52881 and their like, by a container's root that has every right it can have."""
    bound, closed = tmp_path / "bound", tmp_path / "closed"
    for folder in (bound, closed):
        folder.mkdir()
    (bound / "secret").write_text("secret")
    (bound / "secret").chmod(0o600)
    (closed / "file").write_text("kept")
    (bound / "network").touch()
    subprocess.run(["mount", "--bind", "/proc/self/ns/net", bound / "network"], check=True)
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    done = engine.berth("run", "--rm", "--cap-add=ALL", "--security-opt", "seccomp=unconfined", "--security-opt",
                        "systempaths=unconfined", "-v", f"{bound}:/bound", "-v", f"{closed}:/closed", "busybox", "sh", "-c",
                        f"mkdir -p /mnt; {script}", check=False)
    subprocess.run(["umount", bound / "network"], check=True)
    assert done.returncode not in (0, 125), done.stdout
    assert (bound / "secret").read_text() == "secret" and (bound / "secret").stat().st_mode & 0o7777 == 0o600
    assert owner(bound / "secret") == (0, 0) and (closed / "file").read_text() == "kept"
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == pattern


def test_a_set_user_id_program_of_a_containers_root_is_nobodys(engine, tmp_path):
    tmp_path.chmod(0o777)
    engine.berth("run", "--rm", "-v", f"{tmp_path}:/out", "busybox", "sh", "-c", "cp /bin/busybox /out/become; chmod 4755 /out/become")
    assert owner(tmp_path / "become") == (FIRST, GROUP)  # whoever runs it is that, and not root


def test_no_one_is_let_into_the_data_root(engine):
    """Files in it may belong to the machine's root: nobody but root may reach them."""
    assert engine.data.stat().st_mode & 0o007 == 0


# --- engines come and go ---

def test_containers_outlive_engines_with_and_without_a_mapping(own_engine):
    engine = own_engine
    pid = box(engine, "box", "-v", "vol:/vol")
    box(engine, "plain", "--userns=host")
    sh(engine, "box", "echo 1 > /home/file; chown 1000 /home/file /vol")
    flags = list(engine.flags)
    engine.kill()
    engine.flags = [flag for flag in flags if not flag.startswith("--userns-remap")]
    engine.start()
    assert engine.inspect("box")["State"]["Pid"] == pid
    # It runs on in its user namespace, and what is read and written is right.
    assert sh(engine, "box", "stat -c %u /home/file /vol") == "1000\n1000\n"
    assert members(run_raw(engine, "cp", "box:/home/file", "-"))["file"][0] == 1000
    assert members(run_raw(engine, "export", "box"))["home/file"][0] == 1000
    # From the next start on it has none.
    engine.berth("restart", "-t", "0", "box")
    now = engine.inspect("box")["State"]["Pid"]
    assert os.readlink(f"/proc/{now}/ns/user") == os.readlink("/proc/self/ns/user")
    assert sh(engine, "box", "stat -c %u /home/file /vol /bin/busybox") == "1000\n1000\n0\n"
    box(engine, "power", "--privileged")
    engine.berth("stop", "-t", "0", "power")
    engine.kill()
    engine.flags = flags
    engine.start()
    assert sh(engine, "box", "stat -c %u /home/file /vol") == "1000\n1000\n"
    engine.berth("restart", "-t", "0", "box")
    again = engine.inspect("box")["State"]["Pid"]
    assert proc(again, "uid_map").split()[1] == str(FIRST)
    assert sh(engine, "box", "stat -c %u /home/file /vol /bin/busybox") == "1000\n1000\n0\n"
    refused = engine.berth("start", "power", check=False)
    assert "privileged mode is incompatible with user namespaces" in refused.stderr
    engine.remove_all()
    assert mounts_below(engine.data) == []


@pytest.mark.parametrize("flags", [["--storage-opt=overlay2.layer_form=erofs"], ["--storage-opt=overlay2.layer_form=directory"],
                                   ["--storage-driver=vfs"]], ids=["erofs", "directory", "vfs"])
def test_every_form_of_layers(tmp_path, rootfs_tar, flags):
    with remapped(tmp_path, rootfs_tar, *flags) as engine:
        box(engine, "box")
        sh(engine, "box", "echo 1 > /home/file; chown 1000 /home/file; rm /etc/group; echo x >> /etc/passwd")
        assert sh(engine, "box", "stat -c %u /home/file /etc/passwd /bin/busybox /") == "1000\n0\n0\n0\n"
        engine.berth("commit", "box", "made:latest")
        assert engine.berth("run", "--rm", "--userns=host", "made", "stat", "-c", "%u", "/home/file", "/etc/passwd").stdout == "1000\n0\n"
        assert {"A /home/file", "C /etc/passwd", "D /etc/group"} <= set(engine.berth("diff", "box").stdout.splitlines())
        assert members(run_raw(engine, "cp", "box:/home/file", "-"))["file"][0] == 1000
        engine.remove_all()
        assert mounts_below(engine.data) == []


# --- how it is asked for ---

def berthd(*flags):
    return subprocess.run([BIN / "berthd", *flags], capture_output=True, text=True, timeout=60)


def test_default_is_the_user_dockremap(tmp_path, rootfs_tar):
    line = "dockremap:500000:70000\n"
    with subordinate_ids(tmp_path, line, line):
        (tmp_path / "daemon.json").write_text('{"userns-remap": "default"}')
        with Engine(tmp_path, f"--config-file={tmp_path}/daemon.json") as engine:
            engine.berth("import", str(rootfs_tar), "busybox:latest")
            assert engine.berth("run", "--rm", "busybox", "cat", "/proc/self/uid_map").stdout.split() == ["0", "500000", "70000"]


def test_missing_ids_are_said(tmp_path):
    with subordinate_ids(tmp_path, "other:100000:65536\n", ""):
        engine = Engine(tmp_path, "--userns-remap=default")
        done = berthd(*engine.flags)
        assert done.returncode == 1
        assert 'no subuid ranges found for user "dockremap": add a line such as "dockremap:165536:65536" to /etc/subuid' in done.stderr
        (tmp_path / "daemon.json").write_text('{"userns-remap": "default"}')
        checked = berthd("--validate", f"--config-file={tmp_path}/daemon.json")
        assert checked.returncode == 1 and "no subuid ranges found" in checked.stderr


def test_a_bad_specification_is_refused(tmp_path):
    for flags in (["--userns-remap=a:b:c"], ["--userns-remap=:"]):
        done = berthd("--validate", *flags)
        assert done.returncode == 1 and "invalid user/group specification in --userns-remap" in done.stderr
    with subordinate_ids(tmp_path):
        assert berthd("--validate", f"--userns-remap={USER}").stdout == "configuration OK\n"


def test_root_is_mapped_to_nothing(tmp_path, rootfs_tar):
    with Engine(tmp_path, "--userns-remap=root") as engine:
        engine.berth("import", str(rootfs_tar), "busybox:latest")
        assert "4294967295" in engine.berth("run", "--rm", "--privileged", "busybox", "cat", "/proc/self/uid_map").stdout
        assert "user namespaces are OFF" in engine.log()
        assert "name=userns" not in engine.berth("info").stdout
