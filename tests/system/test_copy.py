"""docker cp and berth cp: files in and out of containers, whatever these do meanwhile."""
import hashlib
import io
import os
import pathlib
import subprocess
import tarfile
import threading

import pytest

from copies import Archives, check_client, check_reading, check_writing, members_of, tar_of
from engine import SANITIZED, Terminal, wait_until

# Two links change their place without end: one leads to the host's names for /etc, one to where a file is wanted.
SWAP = r"""
mkdir -p /work/real /work/away; echo inside > /work/real/file; ln -s / /work/link
while true; do
    mv /work/dir /work/away/d 2>/dev/null; mv -T /work/link /work/dir 2>/dev/null
    mv -T /work/dir /work/link 2>/dev/null; mv /work/away/d /work/dir 2>/dev/null
    rm -rf /work/victim; ln -s ../../../../../../../../../../$HOST /work/victim; rm -rf /work/victim; mkdir /work/victim
    rm -rf /work/victim; ln -s $HOST /work/victim; rm -f /work/victim; echo -n > /work/victim
done
"""


@pytest.fixture
def archives(engine):
    yield Archives(engine.socket, engine.berth)
    left = engine.berth("ps", "-aq").stdout.split()
    if left:
        engine.berth("rm", "-f", "-v", *left)
    if "vol" in engine.berth("volume", "ls", "-q").stdout.split():
        engine.berth("volume", "rm", "vol")


def test_reading(archives):
    check_reading(archives)


def test_writing(archives):
    check_writing(archives)


@pytest.mark.parametrize("client", ["docker", "berth"])
def test_the_clients(archives, engine, tmp_path, client):
    archives.docker = getattr(engine, client)
    check_client(archives, str(tmp_path))


def test_every_kind_of_entry_survives_both_ways(archives, engine, tmp_path):
    engine.berth("run", "-d", "--name", "run", "busybox", "sleep", "1000")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(1 << 30)
        file.seek(700 << 20)
        file.write(b"data")
    subprocess.run(["tar", "-C", tmp_path, "--sparse", "-cf", tmp_path / "sparse.tar", "sparse"], check=True)
    assert archives.request("PUT", "run", "/tmp", (tmp_path / "sparse.tar").read_bytes())[0] == 200
    sizes = engine.berth("exec", "run", "stat", "-c", "%s %b", "/tmp/sparse").stdout.split()
    assert sizes[0] == str(1 << 30) and int(sizes[1]) < 1000
    long = "n" * 200 + "/" + "m" * 200
    assert archives.put("run", "/tmp", ("d", {"type": tarfile.DIRTYPE, "mode": 0o2750, "uid": 3, "gid": 4, "mtime": 77}, b""),
                        ("d/f", {"mode": 0o600, "uid": 70000, "mtime": -5}, b"1"), ("d/h", {"type": tarfile.LNKTYPE, "linkname": "d/f"}, b""),
                        ("d/c", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "mode": 0o666}, b""),
                        ("d/b", {"type": tarfile.BLKTYPE, "devmajor": 7, "devminor": 5}, b""), ("d/p", {"type": tarfile.FIFOTYPE}, b""),
                        ("d/up", {"type": tarfile.SYMTYPE, "linkname": "../../etc/passwd"}, b""), ("d/" + long, {}, b"deep"),
                        ("d/cap", {"pax_headers": {"SCHILY.xattr.security.capability": capability.decode("latin-1")}}, b"x"),
                        ("d/user", {"pax_headers": {"SCHILY.xattr.user.note": "text"}}, b"x")) == (200, "")
    members = archives.get("run", "/tmp/d")[1]
    assert (members["d"].mode, members["d"].uid, members["d"].gid, members["d"].mtime) == (0o2750, 3, 4, 77)
    assert members["d/f"].uid == 70000 and members["d/f"].mtime == -5 and members["d/h"].linkname == "d/f"
    assert members["d/c"].ischr() and (members["d/c"].devmajor, members["d/c"].devminor) == (1, 3)
    assert members["d/b"].isblk() and members["d/p"].isfifo() and members["d/up"].linkname == "../../etc/passwd"
    assert members["d/" + long].size == 4 and members["d/user"].pax_headers["SCHILY.xattr.user.note"] == "text"
    assert "SCHILY.xattr.security.capability" in members["d/cap"].pax_headers


def test_tars_through_standard_input_and_output(archives, engine, tmp_path):
    engine.berth("run", "-d", "--name", "run", "busybox", "sh", "-c", "mkdir /a; echo x > /a/f; sleep 1000")
    wait_until("file", lambda: archives.request("HEAD", "run", "/a/f")[0] == 200)
    for client in (engine.docker, engine.berth):
        out = subprocess.run([*client_words(engine, client), "cp", "run:/a", "-"], env=engine.environment, capture_output=True, check=True)
        assert set(members_of(out.stdout)) == {"a", "a/f"}
        done = subprocess.run([*client_words(engine, client), "cp", "-", "run:/tmp"], env=engine.environment, input=out.stdout, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert engine.berth("exec", "run", "cat", "/tmp/a/f").stdout == "x\n"
        engine.berth("exec", "run", "rm", "-r", "/tmp/a")


def client_words(engine, client):
    from engine import BIN, docker_client
    return [docker_client() if client == engine.docker else str(BIN / "berth")]


def test_the_line_on_a_terminal_and_none_when_quiet(archives, engine, tmp_path):
    engine.berth("create", "--name", "made", "busybox", "sh")
    (tmp_path / "file").write_text("x" * 1000)
    from engine import BIN
    terminal = Terminal([BIN / "berth", "cp", tmp_path / "file", "made:/tmp"], engine.environment)
    assert terminal.expect("kB to made:/tmp").startswith("Successfully copied ")
    assert terminal.wait() == 0
    terminal = Terminal([BIN / "berth", "cp", "-q", "made:/tmp/file", tmp_path / "back"], engine.environment)
    assert terminal.wait() == 0 and terminal.text == ""
    assert (tmp_path / "back").read_text() == "x" * 1000


def test_a_tmpfs_of_a_running_container_is_seen(archives, engine):
    engine.berth("run", "-d", "--name", "run", "--read-only", "--tmpfs", "/t", "busybox", "sleep", "1000")
    assert archives.put("run", "/t", ("f", {}, b"in memory")) == (200, "")
    assert engine.berth("exec", "run", "cat", "/t/f").stdout == "in memory"
    engine.berth("exec", "run", "sh", "-c", "echo from inside > /t/g")
    assert set(archives.get("run", "/t")[1]) == {"t", "t/f", "t/g"}


def test_compressed_tars_are_unpacked_by_the_engine_itself(archives, engine, tmp_path):
    """CVE-2026-41567: no program of the container's, nor any other."""
    engine.berth("create", "--name", "made", "busybox", "sh")
    trap = b"#!/bin/sh\ntouch /tmp/berth-was-tricked\n"
    assert archives.put("made", "/bin", *((name, {"mode": 0o755}, trap) for name in ("xz", "unpigz", "gzip", "zstd"))) == (200, "")
    (tmp_path / "plain.tar").write_bytes(tar_of(("f", {}, b"hello")))
    for number, words in enumerate((["gzip", "-c"], ["bzip2", "-c"], ["xz", "-c"], ["zstd", "-c"])):
        packed = subprocess.run([*words, tmp_path / "plain.tar"], capture_output=True)
        if packed.returncode != 0:
            continue
        status, _, data = archives.request("PUT", "made", "/tmp", packed.stdout)
        assert status == 200, (words, data)
        assert archives.get("made", "/tmp/f")[0]["size"] == 5
    assert not os.path.exists("/tmp/berth-was-tricked")


def test_links_that_change_all_the_time_lead_nowhere(archives, engine, tmp_path):
    """CVE-2018-15664, CVE-2026-41568: a root process in the container exchanges what leads to the path."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "secret").write_text("of the host")
    os.chmod(host / "secret", 0o600)
    before = sorted((str(path), path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_mtime_ns) for path in host.rglob("*"))
    script = SWAP.replace("$HOST", str(host))
    engine.berth("run", "-d", "--name", "run", "busybox", "sh", "-c", script)
    wait_until("swapping", lambda: archives.request("HEAD", "run", "/work/away")[0] == 200)
    payload = tar_of(("victim", {"type": tarfile.DIRTYPE, "mode": 0o777, "uid": 99}, b""), ("victim/secret", {"mode": 0o777, "uid": 99}, b"evil"),
                     ("victim", {"mode": 0o777, "uid": 99}, b"evil"), ("dir/etc/berth-evil", {"uid": 99}, b"evil"))
    end = []

    def read():
        while not end:
            for path in ("/work/victim", "/work/victim/", "/work/victim/secret", "/work/dir/", "/work/dir/etc/hostname"):
                status, _, data = archives.request("GET", "run", path)
                assert b"of the host" not in data, path

    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as error:  # shown by the main thread
            failures.append(error)

    reader = threading.Thread(target=guarded, args=(read,))
    reader.start()
    statuses = []
    for _ in range(30 if SANITIZED else 150):
        statuses.append(archives.request("PUT", "run", "/work", payload)[0])
        statuses.append(archives.request("PUT", "run", "/work/victim/", tar_of(("secret", {"mode": 0o777, "uid": 99}, b"evil")))[0])
    end.append(True)
    reader.join()
    assert not failures, failures
    assert 200 in statuses
    after = sorted((str(path), path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_mtime_ns) for path in host.rglob("*"))
    assert after == before and (host / "secret").read_text() == "of the host"
    assert not os.path.exists("/etc/berth-evil")
    engine.berth("rm", "-f", "run")


def test_half_a_gigabyte_both_ways(archives, engine, tmp_path):
    engine.berth("run", "-d", "--name", "run", "busybox", "sleep", "1000")
    size = (64 if SANITIZED else 512) << 20
    block = os.urandom(1 << 20)
    with open(tmp_path / "big", "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
    (tmp_path / "many").mkdir()
    for number in range(2000):
        (tmp_path / "many" / f"file{number}").write_text(str(number))
    for client in (engine.docker, engine.berth):
        client("cp", str(tmp_path / "big"), "run:/tmp/big")
        client("cp", "run:/tmp/big", str(tmp_path / "back"))
        assert digest(tmp_path / "back") == digest(tmp_path / "big")
        client("cp", str(tmp_path / "many"), "run:/tmp")
        client("cp", "run:/tmp/many/.", str(tmp_path / "many-back"))
        assert {path.name: path.read_text() for path in (tmp_path / "many-back").iterdir()} == {f"file{n}": str(n) for n in range(2000)}
        engine.berth("exec", "run", "rm", "-r", "/tmp/big", "/tmp/many")
        os.unlink(tmp_path / "back")
        subprocess.run(["rm", "-r", tmp_path / "many-back"], check=True)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_nothing_is_left_behind(archives, engine):
    engine.berth("create", "--name", "made", "-v", "vol:/data", "busybox", "sh")
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    files = len(os.listdir(f"/proc/{engine.process.pid}/fd"))
    for _ in range(20):
        assert archives.put("made", "/data", ("f", {}, b"x")) == (200, "")
        archives.get("made", "/data")
        assert archives.request("GET", "made", "/nope")[0] == 404
    assert pathlib.Path("/proc/self/mountinfo").read_text().count(str(engine.data)) <= mounts.count(str(engine.data))
    assert len(os.listdir(f"/proc/{engine.process.pid}/fd")) <= files + 4
    assert "volume is in use" in engine.berth("volume", "rm", "vol", check=False).stderr
    engine.berth("rm", "made")
    engine.berth("volume", "rm", "vol")


def test_the_archive_of_a_container_that_goes_is_no_crash(archives, engine):
    engine.berth("run", "-d", "--name", "run", "-v", "vol:/data", "busybox", "sleep", "1000")
    stop = []

    def read():
        while not stop:
            archives.request("GET", "run", "/")

    reader = threading.Thread(target=read)
    reader.start()
    for command in (["restart", "-t", "0", "run"], ["stop", "-t", "0", "run"], ["start", "run"], ["rm", "-f", "run"]):
        engine.berth(*command)
    stop.append(True)
    reader.join()
    assert engine.request("GET", "/_ping")[0] == 200
    engine.berth("volume", "rm", "vol")
