"""What hostile images are made of: tars entry by entry, archives and registries with images in them, servers that misbehave, and
what a container sees of it."""
import contextlib
import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import pathlib
import stat
import tarfile
import threading

from registries import CONFIG, LAYER, MANIFEST, describe, digest

LONG = bool(os.environ.get("BERTH_TEST_LONG"))


def entry(name, data=b"", **fields):
    """One entry of a tar, with a pax header only where it needs one. Names are taken as they are."""
    info = tarfile.TarInfo(name)
    info.mtime = 1_000_000_000
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape") + data + bytes(-len(data) % 512)


def directory(name, **fields):
    return entry(name, type=tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def symlink(name, target):
    return entry(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard_link(name, target):
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def device(name, major, minor, kind=tarfile.CHRTYPE):
    return entry(name, type=kind, devmajor=major, devminor=minor, mode=0o600)


END = bytes(1024)


def config_of(layers):
    machine = os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64")
    return json.dumps({"architecture": machine, "os": "linux", "config": {"Cmd": ["sh"]},
                       "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()


def docker_archive(name, layers, config=None, layer_names=None):
    """What `docker save` writes."""
    config = config_of(layers) if config is None else config
    names = layer_names or [f"{number}/layer.tar" for number in range(len(layers))]
    parts = [entry("config.json", config)]
    parts += [entry(f"{number}/layer.tar", layer) for number, layer in enumerate(layers)]
    parts.append(entry("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()))
    return b"".join(parts) + END


def image_documents(layers, sizes=None):
    """(manifest, {digest: blob}) of an image with gzip layers; sizes may lie."""
    config = config_of(layers)
    blobs = {digest(config): config}
    described = []
    for number, layer in enumerate(layers):
        blob = gzip.compress(layer, 1, mtime=0)
        blobs[digest(blob)] = blob
        described.append(describe(LAYER, blob))
        if sizes:
            described[-1]["size"] = sizes[number]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config), "layers": described}
    return json.dumps(manifest).encode(), blobs


class Server(http.server.ThreadingHTTPServer):
    """Answers with answer(request), a handler of http.server, on a thread per connection."""
    daemon_threads = True

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    answer(self)

            do_HEAD = do_GET

            def send(self, body, kind="application/octet-stream", status=200, **headers):
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass  # clients that have had enough


class ImageServer(Server):
    """A registry with one image, bad/image:latest. twists: what is done instead, by the path's last part ("manifests",
    "config", "layer"); a function of the handler and the true body."""

    def __init__(self, manifest, blobs, /, **twists):
        self.manifest, self.blobs, self.twists = manifest, blobs, twists
        self.asked = []
        super().__init__(self.answer)

    def answer(self, handler):
        path = handler.path.split("?")[0]
        self.asked.append(path)
        if path == "/v2/":
            return self.twist("ping", handler, b"{}", "application/json")
        _, kind, name = path.rsplit("/", 2)
        if kind == "manifests" and name in ("latest", digest(self.manifest)):
            return self.twist("manifest", handler, self.manifest, MANIFEST)
        if kind == "blobs" and name in self.blobs:
            part = "config" if name == json.loads(self.manifest)["config"]["digest"] else "layer"
            return self.twist(part, handler, self.blobs[name], "application/octet-stream")
        return handler.send(b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', "application/json", 404)

    def twist(self, part, handler, body, kind):
        if part in self.twists:
            return self.twists[part](handler, body)
        start = handler.headers.get("Range", "")
        if start.startswith("bytes="):
            first = int(start[6:].split("-")[0])
            rest = f"bytes {first}-{len(body) - 1}/{len(body)}"
            return handler.send(body[first:], kind, 206, Content_Range=rest)
        return handler.send(body, kind)

    @property
    def image(self):
        return f"{self.address}/bad/image:latest"


def flip(body, at=None):
    """One bit of it."""
    at = len(body) // 2 if at is None else at
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


class FlippingProxy(Server):
    """Passes everything on to a registry, and flips one bit of each answer whose path has the word in it."""

    def __init__(self, upstream):
        self.upstream, self.word, self.flipped = upstream, None, 0
        super().__init__(self.answer)

    def answer(self, handler):
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
            connection.request(handler.command, handler.path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            length = answer.headers.get("Content-Length", len(body))
            if self.word and self.word in handler.path and body:
                self.flipped += 1
                body = flip(body)
            handler.send_response(answer.status)
            for name in ("Content-Type", "Docker-Content-Digest", "Content-Range", "WWW-Authenticate"):
                if name in answer.headers:
                    handler.send_header(name, answer.headers[name])
            handler.send_header("Content-Length", str(length))
            handler.end_headers()
            handler.wfile.write(body)
        finally:
            connection.close()


def attributes_of(path):
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def listing(root):
    """Every entry below a directory with all that belongs to it, whatever its name and depth. Directories' times are left
    out: those that no entry named have none of their own."""
    found, first_names = {}, {}
    for path, directories, files, fd in os.fwalk(root, follow_symlinks=False):
        for name in directories + files:
            status = os.lstat(name, dir_fd=fd)
            place = os.path.relpath(path, root) + "/" + name
            kind = stat.S_IFMT(status.st_mode)
            fields = [oct(status.st_mode), status.st_uid, status.st_gid, attributes_of(f"/proc/self/fd/{fd}/{name}")]
            if kind != stat.S_IFDIR:
                fields += [status.st_mtime_ns, status.st_nlink]
                if status.st_nlink > 1:
                    fields.append(first_names.setdefault(status.st_ino, place))
            if kind == stat.S_IFREG:
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as file:
                    fields += [status.st_size, hashlib.file_digest(file, "sha256").hexdigest()]
            elif kind == stat.S_IFLNK:
                fields.append(os.readlink(name, dir_fd=fd))
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                fields.append((os.major(status.st_rdev), os.minor(status.st_rdev)))
            found[place] = fields
    return found


@contextlib.contextmanager
def running(engine, image):
    """The root that a container of the image sees."""
    identity = engine.berth("run", "-d", image, "sleep", "1000").stdout.strip()
    try:
        yield pathlib.Path(f"/proc/{engine.inspect(identity)['State']['Pid']}/root")
    finally:
        engine.berth("rm", "-f", identity)


def seen(engine, image, folder):
    """The listing of a folder in a container of the image."""
    with running(engine, image) as root:
        return listing(root / folder)


def peak_memory(engine):
    """MiB of the engine so far, without what it has mapped of files."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{engine.process.pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) // 1024


def forget_peak(engine):
    """From now on peak_memory() is of what comes."""
    pathlib.Path(f"/proc/{engine.process.pid}/clear_refs").write_text("5")
