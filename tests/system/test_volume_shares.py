"""Volumes on network file systems, with real servers: what one container writes another one reads, and the server has it; a
server that is not there or goes away is told, and holds nobody up. The virtual machine's kernel has the file systems."""
import pathlib
import subprocess
import time

import pytest

from engine import BIN, Engine, mounts_below, wait_until
from shares import ADDRESS, NfsServer, SmbServer, run

# What a user waits for at most, also in the virtual machine, which is slow.
PATIENCE = 60


@pytest.fixture(autouse=True)
def nothing_mounted(engine):
    yield
    engine.remove_all()
    wait_until("empty folder", lambda: list((engine.data / "volumes").iterdir()) == [])
    assert mounts_below(engine.data / "volumes") == []


@pytest.fixture(scope="module")
def nfs_server():
    with NfsServer() as server:
        yield server


@pytest.fixture(scope="module")
def smb_server():
    with SmbServer() as server:
        yield server


@pytest.fixture
def nfs(nfs_server):
    return nfs_server.renew()


@pytest.fixture
def smb(smb_server):
    return smb_server.renew()


def create(engine, name, type_, device, options):
    engine.berth("volume", "create", "-o", f"type={type_}", "-o", f"device={device}", "-o", f"o={options}", name)


def create_smb(engine, name, smb, *more):
    create(engine, name, "cifs", f"//{ADDRESS}/share", ",".join(
        [f"addr={ADDRESS}", f"username={smb.user}", f"password={smb.password}", *more]))


def type_of_mount(engine, name):
    place = str(engine.data / "volumes" / name / "_data")
    lines = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return next((words[2] for words in lines if words[1] == place), None)


def share(engine, name, server, user="root"):
    """One container writes, another one that runs at the same time reads and writes, and the server has it all."""
    engine.berth("run", "-d", "--name", "one", "-u", user, "-v", f"{name}:/s", "busybox", "sh", "-c",
                 "mkdir /s/sub && echo first > /s/sub/file && sleep 1000")
    wait_until("file at the server", (server.export / "sub" / "file").exists)
    done = engine.berth("run", "--rm", "-u", user, "-v", f"{name}:/s", "busybox", "sh", "-c",
                        "cat /s/sub/file; echo second >> /s/sub/file; dd if=/dev/zero of=/s/big bs=64k count=32 2> /dev/null")
    assert done.stdout == "first\n"
    assert engine.berth("exec", "one", "cat", "/s/sub/file").stdout == "first\nsecond\n"
    # Of a subpath, too, and read-only.
    mount = f"type=volume,src={name},dst=/s,volume-subpath=sub,readonly"
    refused = engine.berth("run", "--rm", "-u", user, "--mount", mount, "busybox", "sh", "-c", "cat /s/file; touch /s/new",
                           check=False)
    assert refused.stdout == "first\nsecond\n" and "Read-only file system" in refused.stderr
    engine.berth("rm", "-f", "one")
    wait_until("unmount", lambda: type_of_mount(engine, name) is None)
    assert (server.export / "sub" / "file").read_text() == "first\nsecond\n"
    assert (server.export / "big").stat().st_size == 2 << 20
    engine.berth("volume", "rm", name)
    assert (server.export / "sub" / "file").exists()


def fails_at_once(engine, name, *wanted):
    begin = time.monotonic()
    failed = engine.berth("run", "--rm", "-v", f"{name}:/s", "busybox", "true", check=False)
    assert failed.returncode == 125 and time.monotonic() - begin < PATIENCE
    path = engine.data / "volumes" / name / "_data"
    for words in (f"error while mounting volume '{path}': failed to mount local volume: mount ", *wanted):
        assert words in failed.stderr, failed.stderr
    assert engine.berth("ps", "-aq").stdout == "" and mounts_below(engine.data / "volumes") == []
    return failed.stderr


def goes_quietly(engine, server, name):
    """The server goes while a container uses the volume: the engine answers, and takes all of it away."""
    engine.berth("run", "-d", "--name", "one", "-v", f"{name}:/s", "busybox", "sh", "-c", "echo kept > /s/file; sleep 1000")
    wait_until("file at the server", lambda: (server.export / "file").exists() and (server.export / "file").read_text())
    server.go()
    begin = time.monotonic()
    assert "one" in engine.berth("ps").stdout
    assert name in engine.berth("volume", "ls").stdout
    engine.berth("volume", "inspect", name)
    engine.berth("rm", "-f", "one", timeout=PATIENCE)
    engine.berth("volume", "rm", name, timeout=PATIENCE)
    wait_until("unmount", lambda: mounts_below(engine.data / "volumes") == [])
    assert time.monotonic() - begin < PATIENCE
    server.start()


# ---- NFS ----

@pytest.mark.parametrize("type_, device, options, mounted", [
    ("nfs", ":{export}", "addr=127.0.0.1,rw,nolock", "nfs"),
    ("nfs", ":/", "addr=127.0.0.1,rw,nfsvers=4,async", "nfs4"),
    ("nfs4", "localhost:/", "addr=localhost,soft,noatime", "nfs4"),
], ids=["version 3", "version 4", "name"])
def test_nfs(engine, nfs, type_, device, options, mounted):
    create(engine, "shared", type_, device.format(export=nfs.export), options)
    assert type_of_mount(engine, "shared") is None
    engine.berth("run", "-d", "--name", "one", "-v", "shared:/s", "busybox", "sleep", "1000")
    assert type_of_mount(engine, "shared") == mounted
    engine.berth("rm", "-f", "one")
    share(engine, "shared", nfs)


def test_nfs_for_a_user_that_is_not_root(engine, nfs):
    nfs.export.chmod(0o777)
    create(engine, "shared", "nfs", ":/", f"addr={ADDRESS},nfsvers=4")
    share(engine, "shared", nfs, user="guest")
    assert (nfs.export / "sub").stat().st_uid == 1000


def test_a_server_that_trusts_no_root_is_not_asked_for_owners(engine, nfs):
    """An image has the mount's place already: the volume is not given the owner and mode that it has, as with Docker."""
    nfs.allow("root_squash")
    create(engine, "shared", "nfs", ":/", f"addr={ADDRESS},nfsvers=4")
    place = "type=volume,src=shared,dst=/home"
    refused = engine.berth("run", "--rm", "--mount", place, "busybox", "touch", "/home/file", check=False)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    (nfs.export / "there").write_text("from the server\n")
    assert engine.berth("run", "--rm", "--mount", place, "busybox", "cat", "/home/there").stdout == "from the server\n"


def test_nfs_with_wrong_words(engine, nfs):
    create(engine, "path", "nfs", ":/not/there", f"addr={ADDRESS},nfsvers=4")
    fails_at_once(engine, "path", f"mount :/not/there:", f"data: addr={ADDRESS},nfsvers=4: no such file or directory")
    create(engine, "word", "nfs", ":/", f"addr={ADDRESS},nfsvers=4,colour=red")
    fails_at_once(engine, "word", ": invalid argument", "Unknown parameter 'colour'")
    create(engine, "name", "nfs", ":/", "addr=no.such.host.invalid,nfsvers=4")
    failed = engine.berth("run", "--rm", "-v", "name:/s", "busybox", "true", check=False)
    assert "error resolving passed in network volume address: lookup no.such.host.invalid: " in failed.stderr


def test_an_nfs_server_that_is_not_there(engine, nfs):
    nfs.go()
    create(engine, "gone", "nfs", ":/", f"addr={ADDRESS},nfsvers=4")
    fails_at_once(engine, "gone", f"mount :/:", f"data: addr={ADDRESS},nfsvers=4: connection refused")
    nfs.start()
    engine.berth("run", "--rm", "-v", "gone:/s", "busybox", "true")


@pytest.mark.parametrize("options", ["soft,timeo=10,retrans=1,actimeo=1", "hard,actimeo=1"], ids=["soft", "hard"])
def test_an_nfs_server_that_goes_away(engine, nfs, options):
    create(engine, "gone", "nfs", ":/", f"addr={ADDRESS},nfsvers=4,{options}")
    goes_quietly(engine, nfs, "gone")
    assert (nfs.export / "file").read_text() == "kept\n"


# ---- servers that never answer ----

@pytest.fixture
def silent():
    """An address that takes packets and sends none."""
    run("ip", "link", "add", "silent", "type", "dummy")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "silent")
    run("ip", "link", "set", "silent", "up")
    yield "192.0.2.2"
    run("ip", "link", "delete", "silent")


class Start:
    """`berth start` that waits for a server."""

    def __init__(self, engine, name):
        self.client = subprocess.Popen([str(BIN / "berth"), "start", name], env=engine.environment, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        wait_until("question", lambda: questions(engine))

    def ends(self, *words):
        _, said = self.client.communicate(timeout=PATIENCE)
        assert self.client.returncode == 1 and all(word in said for word in words), said


def questions(engine):
    """Processes that the engine has sent to ask a server."""
    children = pathlib.Path(f"/proc/{engine.process.pid}/task").glob("*/children")
    pids = " ".join(path.read_text() for path in children).split()
    names = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] for pid in pids if pathlib.Path(f"/proc/{pid}").exists()]
    return names.count(b"berth-server-question")


def nobody_waits(engine, name):
    """What has nothing to do with the share is done at once, and what has is answered."""
    begin = time.monotonic()
    assert "dead" in engine.berth("ps", "-a").stdout and name in engine.berth("volume", "ls").stdout
    engine.berth("volume", "inspect", name)
    engine.inspect("dead")
    engine.berth("system", "df")
    engine.berth("run", "--rm", "-v", "other:/o", "busybox", "touch", "/o/file")
    engine.berth("run", "-d", "--name", "neighbor", "-v", "/anonymous", "busybox", "sleep", "1000")
    engine.berth("rm", "-f", "-v", "neighbor")
    assert "in use" in engine.berth("volume", "rm", name, check=False).stderr
    engine.berth("volume", "rm", "other")
    engine.berth("volume", "prune", "-a", "-f")
    assert time.monotonic() - begin < PATIENCE / 2


@pytest.fixture
def dead(engine, nfs_server, silent):
    """A container on a share whose server never answers."""
    create(engine, "silent", "nfs", ":/", f"addr={silent},nfsvers=4,hard")
    engine.berth("create", "--name", "dead", "--mount", "type=volume,src=silent,dst=/s,volume-nocopy", "busybox", "true")
    return "dead"


def test_a_start_that_waits_holds_nobody_up_and_ends_with_a_removal(engine, dead):
    start = Start(engine, dead)
    nobody_waits(engine, "silent")
    begin = time.monotonic()
    engine.berth("rm", "-f", dead)
    assert time.monotonic() - begin < 15
    start.ends("the server did not answer before this was called off")
    engine.berth("volume", "rm", "silent")
    wait_until("no question", lambda: not questions(engine))


@pytest.mark.parametrize("command", [["kill"], ["stop", "-t", "1"]], ids=["kill", "stop"])
def test_a_start_that_waits_ends_with_a_kill(engine, dead, command):
    start = Start(engine, dead)
    engine.berth(*command, dead, check=False)  # there is nothing that could be killed
    start.ends("the server did not answer before this was called off")
    wait_until("no question", lambda: not questions(engine))
    engine.berth("rm", dead)


def test_a_start_that_waits_ends_some_time_after_its_client(engine, dead):
    start = Start(engine, dead)
    start.client.kill()
    start.client.wait()
    begin = time.monotonic()
    wait_until("no question", lambda: not questions(engine))
    assert 3 < time.monotonic() - begin < PATIENCE / 2
    wait_until("the failure", lambda: "called off" in engine.inspect(dead)["State"]["Error"])
    engine.berth("rm", dead)


def test_a_start_that_waits_ends_by_itself(engine, dead):
    start = Start(engine, dead)
    _, said = start.client.communicate(timeout=3 * PATIENCE)
    assert "failed to mount local volume: mount :/:" in said and "the server has not answered for 60 s" in said
    assert engine.berth("ps", "-aq", "-f", "status=created").stdout.count("\n") == 1
    wait_until("no question", lambda: not questions(engine))


def test_an_engine_ends_while_starts_wait(tmp_path, rootfs_tar, nfs_server, silent):
    """Of one that a client wants."""
    with Engine(tmp_path) as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        create(engine, "silent", "nfs", ":/", f"addr={silent},nfsvers=4,hard")
        engine.berth("create", "--name", "dead", "--mount", "type=volume,src=silent,dst=/s,volume-nocopy", "busybox", "true")
        start = Start(engine, "dead")
        begin = time.monotonic()
        engine.stop()
        assert time.monotonic() - begin < 30
        start.client.wait()
        engine.start()
        engine.berth("rm", "dead")
        engine.berth("volume", "rm", "silent")


def test_a_start_on_a_share_whose_server_went_away(engine, nfs):
    """It is mounted for another container, which can be removed meanwhile."""
    create(engine, "gone", "nfs", ":/", f"addr={ADDRESS},nfsvers=4,hard,actimeo=1")
    engine.berth("run", "-d", "--name", "one", "-v", "gone:/s", "busybox", "sleep", "1000")
    engine.berth("create", "--name", "dead", "--mount", "type=volume,src=gone,dst=/s,volume-nocopy", "busybox", "true")
    nfs.go()
    start = Start(engine, "dead")
    nobody_waits(engine, "gone")
    begin = time.monotonic()
    engine.berth("rm", "-f", "one", timeout=PATIENCE)
    engine.berth("rm", "-f", "dead", timeout=PATIENCE)
    assert time.monotonic() - begin < PATIENCE
    start.ends("the server did not answer before this was called off")
    engine.berth("volume", "rm", "gone")
    nfs.start()


# ---- CIFS ----

@pytest.mark.parametrize("more", [[], ["vers=3.1.1", "seal"]], ids=["plain", "sealed"])
def test_cifs(engine, smb, more):
    create_smb(engine, "shared", smb, "uid=1000,gid=1000", *more)
    engine.berth("run", "-d", "--name", "one", "-v", "shared:/s", "busybox", "sleep", "1000")
    assert type_of_mount(engine, "shared") == "cifs"
    engine.berth("rm", "-f", "one")
    share(engine, "shared", smb, user="guest")


def test_cifs_by_the_name_in_its_device(engine, smb):
    create(engine, "shared", "cifs", "//localhost/share", f"username={smb.user},password={smb.password}")
    share(engine, "shared", smb)


@pytest.mark.parametrize("key", ["password", "pass"])
def test_a_wrong_password_is_told_and_not_shown(engine, smb, key):
    secret = "not-the-password"
    create(engine, "wrong", "cifs", f"//{ADDRESS}/share", f"username={smb.user},{key}={secret}")
    said = fails_at_once(engine, "wrong", f"data: username={smb.user},{key}=********: ")
    assert secret not in said and secret not in engine.log()
    # An empty one is one, too.
    create(engine, "empty", "cifs", f"//{ADDRESS}/share", f"username={smb.user},{key}=")
    assert "Unknown" not in fails_at_once(engine, "empty", "permission denied")


def test_a_share_that_is_not_there(engine, smb):
    create(engine, "share", "cifs", f"//{ADDRESS}/other", f"username={smb.user},password={smb.password}")
    fails_at_once(engine, "share", "no such file or directory")
    smb.go()
    create_smb(engine, "server", smb)
    fails_at_once(engine, "server", f"mount //{ADDRESS}/share:")


def test_a_cifs_server_that_goes_away(engine, smb):
    create_smb(engine, "gone", smb, "actimeo=1", "echo_interval=1")
    goes_quietly(engine, smb, "gone")
    assert (smb.export / "file").read_text() == "kept\n"
