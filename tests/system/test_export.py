"""export: all that is in a container's file system as a tar, and nothing that is not."""
import http.client
import io
import os
import subprocess
import tarfile

import pytest

from engine import BIN, UnixConnection, docker_client, wait_until

FILL = ("echo hi >/new; chmod 4755 /new; rm /etc/group; mkdir -p /d/e; ln /new /new2; mknod /dev2 c 1 3; mkfifo /fifo; "
        "ln -s /etc/passwd /sl; echo x >/v/f; dd if=/dev/zero of=/sparse bs=1 count=0 seek=1M 2>/dev/null; rm -r /var; mkdir /var; "
        "echo y >/var/z; chown 70000:70001 /var/z; touch -d '2001-02-03 04:05:06' /var/z; touch \"/$(printf 'a\\377b')\"")


def entries(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def exported(engine, container):
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/containers/{container}/export")
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/octet-stream"
    return data


@pytest.mark.parametrize("running", [False, True])
def test_every_kind_of_file_is_in_it(engine, running):
    wait = "; touch /ready; sleep 1000" if running else ""
    flags = ["-d"] if running else []
    engine.berth("run", *flags, "--name", "kinds", "--cap-add", "MKNOD", "-v", "exported:/v", "busybox", "sh", "-c", FILL + wait)
    if running:
        wait_until("files", lambda: engine.berth("exec", "kinds", "ls", "/ready", check=False).returncode == 0)
    found = entries(exported(engine, "kinds"))
    assert found["bin/busybox"].isreg() and found["bin/busybox"].size > 100000 and found["bin/sh"].linkname == "busybox"
    assert "etc/group" not in found and not [name for name in found if ".wh." in name]
    assert (found["new"].mode, found["new"].size) == (0o4755, 3)
    assert found["new2"].islnk() and found["new2"].linkname == "new"
    assert found["dev2"].ischr() and (found["dev2"].devmajor, found["dev2"].devminor) == (1, 3)
    assert found["fifo"].isfifo() and found["sl"].linkname == "/etc/passwd"
    assert found["sparse"].size == 1 << 20 and found["d/e"].isdir()
    assert (found["var/z"].uid, found["var/z"].gid, found["var/z"].mtime) == (70000, 70001, 981173106)
    assert "a\udcffb" in found
    # The mount point of a volume, not what is in the volume; what the engine mounts is empty.
    assert found["v"].isdir() and "v/f" not in found
    assert found["etc/hosts"].size == 0 and not [name for name in found if name.startswith(("proc/", "sys/"))]
    engine.berth("rm", "-f", "-v", "kinds")
    engine.berth("volume", "rm", "exported")


def test_attributes_are_in_it(engine, tmp_path):
    engine.berth("create", "--name", "attributes", "busybox")
    upper = next(engine.data.glob("snapshots/*/upper"))
    (upper / "able").write_text("x")
    subprocess.run(["setcap", "cap_net_raw+ep", upper / "able"], check=True)
    os.setxattr(upper / "able", "user.note", b"kept\0bytes")
    found = entries(exported(engine, "attributes"))["able"].pax_headers
    assert found["SCHILY.xattr.user.note"] == "kept\0bytes" and "SCHILY.xattr.security.capability" in found
    engine.berth("rm", "attributes")


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_export_and_import_give_the_same_files(engine, tmp_path, client):
    run = getattr(engine, client)
    engine.berth("run", "--name", "there", "--cap-add", "MKNOD", "-v", "/v", "busybox", "sh", "-c", FILL)
    archive = tmp_path / "there.tar"
    assert run("export", "-o", archive, "there").stdout == ""
    assert archive.stat().st_mode & 0o777 == 0o600
    streamed = subprocess.run(["sh", "-c", f"{client_path(client)} export there | md5sum; md5sum <{archive}"], env=engine.environment,
                              capture_output=True, text=True, check=True).stdout.split()
    assert streamed[0] == streamed[2]  # twice the same bytes
    run("import", archive, "back:1")
    engine.berth("create", "--name", "back", "back:1", "sh")
    before, after = entries(archive.read_bytes()), entries(exported(engine, "back"))
    # Size, mode, owner, time, target, device.
    def facts(entry):
        return (entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.linkname, entry.devmajor, entry.devminor,
                entry.mtime if entry.name not in ("etc", "dev") else 0)
    assert {name: facts(entry) for name, entry in before.items()} == {name: facts(entry) for name, entry in after.items()}
    engine.berth("rm", "-v", "there", "back")
    engine.berth("rmi", "back:1")


def client_path(client):
    return BIN / "berth" if client == "berth" else docker_client()


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_refusals(engine, client, tmp_path):
    run = getattr(engine, client)
    engine.berth("create", "--name", "plain", "busybox")
    for words, message in (
            (["nope"], "No such container: nope"),
            (["-o", "/no/folder/x", "plain"], "failed to export container: invalid output path: stat /no/folder: no such file or directory"),
            (["-o", "/dev/null", "plain"], "failed to export container: cannot write to a character device file"),
            (["-o", tmp_path, "plain"], "failed to export container: cannot write to a directory")):
        refused = run("export", *words, check=False)
        assert refused.returncode == 1 and refused.stderr.strip().endswith(message), refused.stderr
    assert engine.request("GET", "/containers/nope/export") == (404, {"message": "No such container: nope"})
    engine.berth("rm", "plain")


def test_a_container_cannot_lead_it_outside(engine, tmp_path):
    """A folder that is a link to the host's root at one moment and a folder at the next."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    attack = (f"mkdir -p /real{tmp_path}; ln -s / /link; touch /ready; mv /real /turn; "
              "while :; do mv /turn /real; mv /link /turn; mv /turn /link; mv /real /turn; done")
    engine.berth("run", "-d", "--name", "attacker", "busybox", "sh", "-c", attack)
    wait_until("attack", lambda: engine.berth("exec", "attacker", "ls", "/ready", check=False).returncode == 0)
    for _ in range(20):
        data = exported(engine, "attacker")
        assert b"of the host" not in data
        assert not [name for name in entries(data) if name.endswith("/secret")]
    engine.berth("rm", "-f", "attacker")


def test_a_removal_meanwhile_breaks_it_off(engine):
    engine.berth("run", "--name", "leaving", "busybox", "sh", "-c", "for i in $(seq 40); do head -c 1000000 /dev/zero >/file$i; done")
    connection = UnixConnection(engine.socket)
    connection.request("GET", "/containers/leaving/export")
    answer = connection.getresponse()
    answer.read(1000)
    engine.berth("rm", "-f", "leaving")  # a client that reads slowly keeps nobody from removing it
    wait_until("end of its files", lambda: not list(engine.data.glob("snapshots/*")))
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert engine.berth("ps", "-aq").stdout == ""
