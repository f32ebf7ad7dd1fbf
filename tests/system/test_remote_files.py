"""ADD of files from http://: names, times, modes, the cache, and what is refused; as Docker's classic builder has it."""
import hashlib
import http.server
import threading

import pytest

CONTENT = b"hello remote\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path in ("/redirect", "/loop"):
            self.send_response(302)
            self.send_header("Location", "/file.txt" if self.path == "/redirect" else "/loop")
            self.end_headers()
            return
        if self.path == "/gone.txt":
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"no such page\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        if self.path != "/undated.txt":
            self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(self.server.content)


@pytest.fixture
def remote():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.asked = CONTENT, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def build(engine, folder, lines, *flags, client="berth", check=True):
    (folder / "Dockerfile").write_text("FROM busybox\n" + lines)
    return getattr(engine, client)("build", "-t", "remote", *flags, str(folder), check=check)


def listed(engine, path):
    """Mode, owner, size, day and name of a file of the image."""
    words = engine.berth("run", "--rm", "remote", "ls", "-ln", "--full-time", path).stdout.split()
    return words[0], f"{words[2]}:{words[3]}", int(words[4]), words[5], words[-1]


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_files_are_added(engine, tmp_path, remote, client):
    build(engine, tmp_path, f"ADD {remote.url}/file.txt /one\nADD {remote.url}/redirect?x=/y /two/\n"
                            f"ADD {remote.url}/undated.txt /three\nADD {remote.url}/ /four\n"
                            f"ARG NAME=file\nADD --chown=guest --chmod=644 {remote.url}/${{NAME}}.txt /five/\n",
          "--no-cache", client=client)
    assert listed(engine, "/one") == ("-rw-------", "0:0", len(CONTENT), "2020-01-01", "/one")
    assert listed(engine, "/two/redirect") == ("-rw-------", "0:0", len(CONTENT), "2020-01-01", "/two/redirect")
    assert listed(engine, "/three")[3] == "1970-01-01"
    assert listed(engine, "/four")[2] == len(CONTENT)
    assert listed(engine, "/five/file.txt")[:2] == ("-rw-r--r--", "1000:1000")
    assert engine.berth("run", "--rm", "remote", "cat", "/one").stdout == CONTENT.decode()
    assert not [name for name in (engine.data / "tmp").iterdir() if name.name.startswith("tmp-")]


def test_the_content_decides_about_the_cache(engine, tmp_path, remote):
    line = f"ADD {remote.url}/file.txt /one\n"
    build(engine, tmp_path, line, "--no-cache")
    assert "Using cache" in build(engine, tmp_path, line).stdout
    remote.content = b"something else\n"
    assert "Using cache" not in build(engine, tmp_path, line).stdout
    assert engine.berth("run", "--rm", "remote", "cat", "/one").stdout == "something else\n"
    assert len(remote.asked) == 3


def test_archives_stay_packed(engine, tmp_path, remote, rootfs_tar):
    remote.content = rootfs_tar.read_bytes()
    build(engine, tmp_path, f"ADD {remote.url}/rootfs.tar /packed/\n")
    assert listed(engine, "/packed/rootfs.tar")[2] == len(remote.content)


def test_checksums(engine, tmp_path, remote):
    digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    build(engine, tmp_path, f"ADD --checksum={digest} {remote.url}/file.txt /one\n")
    wrong = "sha256:" + "0" * 64
    done = build(engine, tmp_path, f"ADD --checksum={wrong} {remote.url}/file.txt /one\n", check=False)
    assert done.returncode == 1
    assert f"ADD failed: digest mismatch for {remote.url}/file.txt: {digest}, wanted {wrong}" in done.stderr


@pytest.mark.parametrize("line, sentence", [
    ("ADD {url}/gone.txt /r", "ADD failed: failed to GET {url}/gone.txt with status 404 Not Found: no such page"),
    ("ADD {url}/loop /r", 'ADD failed: Get "{url}/loop": stopped after 10 redirects'),
    ("ADD {url}/ /r/", "ADD failed: cannot determine filename for source {url}/"),
    ("ADD {url}/file.txt {url}/file.txt /r", "When using ADD with more than one source file, the destination must be a directory"),
    ("COPY {url}/file.txt /r", "COPY failed: source can't be a URL for COPY"),
    ("ADD --checksum=sha256:zz {url}/file.txt /r", "ADD failed: invalid checksum: "),
    ("ADD http://127.0.0.1:1/x /r", 'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'),
    ("COPY --from=5 /a /b", "invalid from flag value 5: index out of bounds"),
    ("COPY --from=0 /a /b", "invalid from flag value 0: refers to current build stage"),
])
def test_refusals(engine, tmp_path, remote, line, sentence):
    for client in ("berth", "docker"):
        done = build(engine, tmp_path, line.format(url=remote.url) + "\n", client=client, check=False)
        assert done.returncode == 1 and sentence.format(url=remote.url) in done.stderr, done.stderr
    assert not [name for name in (engine.data / "tmp").iterdir() if name.name.startswith("tmp-")]
