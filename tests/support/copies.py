"""Checks of /containers/{id}/archive and docker cp that hold for Docker's engine and for Berth's."""
import base64
import io
import json
import os
import stat
import tarfile
import urllib.parse

from engine import UnixConnection

PREPARE = ("mkdir -p /a/b; echo x > /a/b/f; chmod 4755 /a/b/f; ln -s b /a/l; ln -s /a/nope /a/broken; ln -s /a/b/f /a/fl; "
           "ln /a/b/f /a/b/g; mkfifo /a/p; echo v > /data/v; sleep 1000")


def tar_of(*entries):
    """Of (name, attributes, bytes)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, attributes, content in entries:
            entry = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(entry, key, value)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def members_of(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


class Archives:
    def __init__(self, socket, docker):
        self.socket, self.docker = socket, docker

    def request(self, method, container, path, body=None, **query):
        """(status, PathStat or None, body)"""
        connection = UnixConnection(self.socket)
        try:
            target = f"/v1.51/containers/{container}/archive?" + urllib.parse.urlencode({"path": path, **query})
            connection.request(method, target, body)
            answer = connection.getresponse()
            data = answer.read()
            header = answer.getheader("X-Docker-Container-Path-Stat")
            found = json.loads(base64.b64decode(header)) if header else None
            if method == "GET" and answer.status == 200:
                assert answer.getheader("Content-Type") == "application/x-tar"
            return answer.status, found, data
        finally:
            connection.close()

    def get(self, container, path):
        status, found, data = self.request("GET", container, path)
        assert status == 200, (path, status, data)
        return found, members_of(data)

    def put(self, container, path, *entries, **query):
        status, _, data = self.request("PUT", container, path, tar_of(*entries), **query)
        return status, json.loads(data)["message"] if data else ""

    def message(self, method, container, path):
        status, _, data = self.request(method, container, path)
        return status, json.loads(data)["message"]


def check_reading(archives):
    docker = archives.docker
    docker("run", "-d", "--name", "run", "-v", "vol:/data", "busybox", "sh", "-c", PREPARE + " & wait")
    docker("exec", "run", "sh", "-c", "until [ -e /data/v ]; do :; done")
    # name, Go's type bits, linkTarget
    directory, link, fifo, setuid = 1 << 31, 1 << 27, 1 << 25, 1 << 23
    for path, name, bits, target in (
            ("/a", "a", directory, ""), ("/a/", "a", directory, ""), ("/a/.", ".", directory, ""), ("a/b/f", "f", setuid, ""),
            ("/a/l", "l", link, "/a/b"), ("/a/l/", "l", directory, ""), ("/a/broken", "broken", link, "/a/nope"),
            ("/a/fl", "fl", link, "/a/b/f"), ("/", "/", directory, ""), ("/a/p", "p", fifo, ""), ("/a/../a/b", "b", directory, "")):
        for method in ("HEAD", "GET"):
            status, found, data = archives.request(method, "run", path)
            assert status == 200, (method, path, data)
            assert (found["name"], found["linkTarget"]) == (name, target), path
            assert found["mode"] & ~0o777 == bits, (path, found)
            assert found["mtime"].startswith("20") and found["mtime"].endswith("Z")
    assert archives.request("HEAD", "run", "/a/b/f")[1]["size"] == 2
    assert archives.request("HEAD", "run", "/nope")[0] == 404 and archives.request("HEAD", "nonesuch", "/a")[0] == 404
    assert archives.message("GET", "run", "/nope") == (404, "Could not find the file /nope in container run")
    assert archives.message("GET", "nonesuch", "/a") == (404, "No such container: nonesuch")
    assert archives.message("GET", "run", "") == (400, "bad parameter: pathcannot be empty")
    assert archives.message("GET", "run", "/a/b/f/x")[1] == "lstat /a/b/f/x: not a directory"
    # Names in the archive begin with the last component as it was asked for.
    for path, names in (("/a", ["a", "a/b", "a/b/f", "a/b/g", "a/broken", "a/fl", "a/l", "a/p"]),
                        ("/a/b/.", [".", "./f", "./g"]), ("/a/l/", ["l", "l/f", "l/g"]), ("/a/l", ["l"]), ("/a/b/f", ["f"])):
        assert list(archives.get("run", path)[1]) == names, path
    members = archives.get("run", "/a")[1]
    assert members["a/b/f"].mode == 0o4755 and members["a/b/g"].islnk() and members["a/b/g"].linkname == "a/b/f"
    assert members["a/l"].linkname == "b" and members["a/p"].isfifo()
    assert list(archives.get("run", "/data")[1]) == ["data", "data/v"]
    assert archives.get("run", "/etc/hosts")[0]["size"] > 20
    names = list(archives.get("run", "/")[1])
    assert names[0] in ("", "/") and "/a/b/f" in names and "/data/v" in names and "/bin" in names


def check_writing(archives):
    docker = archives.docker
    docker("run", "-d", "--name", "run", "-v", "vol:/data", "-v", "/etc:/ro:ro", "busybox", "sh", "-c", PREPARE + " & wait")
    docker("create", "--name", "made", "--user", "guest", "-v", "vol:/data", "busybox", "sh")
    docker("create", "--name", "bad", "--user", "nobodyhere", "busybox", "sh")
    docker("run", "-d", "--name", "ro", "--read-only", "-v", "vol:/data", "busybox", "sleep", "1000")
    docker("exec", "run", "sh", "-c", "until [ -e /data/v ]; do :; done")
    file = ("f", {"uid": 5, "gid": 6, "mode": 0o640, "mtime": 1000}, b"hello")
    folder = ("f", {"type": tarfile.DIRTYPE, "mode": 0o755}, b"")
    assert archives.put("run", "/a", file) == (200, "")
    assert docker("exec", "run", "stat", "-c", "%u %g %a %s %Y", "/a/f").stdout == "5 6 640 5 1000\n"
    # Into a link to a directory, into a volume of one that does not run, and into one that is paused.
    assert archives.put("run", "/a/l", file) == (200, "")
    assert docker("exec", "run", "cat", "/a/b/f").stdout == "hello"
    assert archives.put("made", "/data", file) == (200, "")
    assert docker("exec", "run", "cat", "/data/f").stdout == "hello"
    docker("pause", "run")
    assert archives.get("run", "/a/f")[1]["f"].uid == 5
    assert archives.put("run", "/tmp", file) == (200, "")
    docker("unpause", "run")
    # copyUIDGID: all of it is the container's user's.
    assert archives.put("made", "/tmp", file, copyUIDGID="true") == (200, "")
    assert archives.get("made", "/tmp/f")[1]["f"].uid == 1000
    assert archives.put("bad", "/tmp", file, copyUIDGID="true") == (
        400, 'failed to look up user "nobodyhere" in container: no matching entries in passwd file')
    assert archives.put("run", "/a/b/g", file) == (400, "extraction point is not a directory")
    assert archives.put("run", "/nope", file) == (404, "Could not find the file /nope in container run")
    assert archives.put("ro", "/tmp", file) == (400, "container rootfs is marked read-only")
    assert archives.put("ro", "/data", file) == (200, "")
    assert archives.put("run", "/ro", file) == (400, "mounted volume is marked read-only")
    assert archives.put("run", "/ro/init.d", file)[1] == "mounted volume is marked read-only"
    # A directory takes the place of something else, and the other way round, unless that was refused.
    assert archives.put("run", "/a", folder, noOverwriteDirNonDir="true")[1] == 'cannot overwrite non-directory "f" with directory "/a"'
    assert archives.put("run", "/a", folder) == (200, "")
    assert archives.put("run", "/a", file, noOverwriteDirNonDir="1")[1] == 'cannot overwrite directory "f" with non-directory "/a"'
    assert archives.put("run", "/a", file) == (200, "")
    assert archives.put("run", "/a", ("../x", {}, b"1"))[1] == 'invalid entry name "../x"'
    assert archives.put("run", "/a", ("h", {"type": tarfile.LNKTYPE, "linkname": "../etc/passwd"}, b""))[1] == (
        'invalid hardlink target "../etc/passwd"')
    assert archives.put("run", "/a", ("/abs/x", {}, b"1")) == (200, "")
    assert archives.get("run", "/a/abs/x")[0]["size"] == 1
    assert archives.request("PUT", "run", "/a", b"")[0] == 200
    assert archives.request("PUT", "run", "/a", b"x" * 1000)[0] >= 400


def check_client(archives, folder):
    """docker cp, both ways."""
    docker = archives.docker
    docker("run", "-d", "--name", "run", "-v", "vol:/data", "busybox", "sh", "-c", PREPARE + " & wait")
    docker("exec", "run", "sh", "-c", "until [ -e /data/v ]; do :; done")
    os.makedirs(folder + "/dir/sub")
    for name in ("dir/x", "dir/sub/y", "file"):
        with open(f"{folder}/{name}", "w") as file:
            file.write(name)
    os.symlink("file", folder + "/link")

    def cp(*words, **options):
        done = docker("cp", *words, check=False, **options)
        # The docker client logs beside its error that it can write no more, if it comes to that before it ends.
        told = [line for line in done.stderr.splitlines() if not line.startswith('time="')]
        return "\n".join(told).strip() if done.returncode else ""

    def inside(*words):
        return docker("exec", "run", *words).stdout

    assert cp(folder + "/file", "run:/a") == "" and inside("cat", "/a/file") == "file"
    assert cp(folder + "/file", "run:/a/other") == "" and inside("cat", "/a/other") == "file"
    assert cp(folder + "/file", "run:/a/fl") == "" and inside("cat", "/a/b/f") == "file" and inside("readlink", "/a/fl") == "/a/b/f\n"
    assert cp(folder + "/dir", "run:/a") == "" and inside("cat", "/a/dir/sub/y") == "dir/sub/y"
    assert cp(folder + "/dir", "run:/a/new") == "" and inside("cat", "/a/new/x") == "dir/x"
    assert cp(folder + "/dir/.", "run:/a/l") == "" and inside("cat", "/a/b/x") == "dir/x"
    assert cp(folder + "/link", "run:/a") == "" and inside("readlink", "/a/link") == "file\n"
    assert cp("-L", folder + "/link", "run:/a/followed") == "" and inside("cat", "/a/followed") == "file"
    assert cp(folder + "/file", "run:/data") == "" and inside("cat", "/data/file") == "file"
    assert "Could not find the file /nope in container run" in cp(folder + "/file", "run:/nope/x")
    assert cp(folder + "/file", "run:/a/missing/").endswith("no such directory")
    assert cp(folder + "/dir", "run:/a/b/g").endswith("cannot copy directory")
    assert cp(folder + "/missing", "run:/a").endswith(f"lstat {folder}/missing: no such file or directory")
    assert "No such container: nonesuch" in cp(folder + "/file", "nonesuch:/a")

    out = folder + "/out"
    assert cp("run:/a/b", out) == "" and open(out + "/f").read() == "file"
    assert stat.S_IMODE(os.stat(out + "/g").st_mode) == 0o4755
    assert cp("run:/a/b", out) == "" and open(out + "/b/f").read() == "file"
    assert cp("run:/a/b/.", out) == "" and cp("run:/a/fl", out) == "" and os.readlink(out + "/fl") == "/a/b/f"
    assert cp("-L", "run:/a/fl", folder + "/copied") == "" and open(folder + "/copied").read() == "file"
    assert cp("-L", "run:/a/fl", folder + "/dir") == "" and open(folder + "/dir/fl").read() == "file"
    assert "Could not find the file /nope in container run" in cp("run:/nope", out)
    assert cp("run:/a/b/f", folder + "/none/x").endswith(f'invalid output path: directory "{folder}/none" does not exist')
    assert cp("run:/a", folder + "/file").endswith("cannot copy directory")
    assert cp("run:/a", "made:/").endswith("copying between containers is not supported")
    assert cp("/a", "/b").endswith("must specify at least one container source")
    assert cp(folder + "/file", "").endswith("destination can not be empty")
    assert cp("-", "run:/a/b/g", input="").endswith('destination "run:/a/b/g" must be a directory')
