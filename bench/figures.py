"""What is measured of an engine, from outside: over its API socket and with a command line client."""
import http.client
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import time

API = "/v1.44"


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class RawConnection:
    """A kept connection whose requests cost the client next to nothing: http.client takes longer than the engines' quick answers."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(120)
        self.sock.connect(str(path))

    def request(self, method, target, body=b""):
        head = f"{method} {API}{target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, data = data.partition(b"\r\n\r\n")
        status = int(head[9:12])
        if length := re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE):
            pieces, missing = [data], int(length[1]) - len(data)
            while missing > 0:
                pieces.append(self.receive())
                missing -= len(pieces[-1])
            data = b"".join(pieces)
        elif status not in (204, 304):
            data = self.chunks(data)
        if status >= 400:
            raise RuntimeError(f"{method} {target}: {status} {data[:300]!r}")
        return data

    def chunks(self, data):
        pieces = []
        while True:
            while b"\r\n" not in data:
                data += self.receive()
            size, _, data = data.partition(b"\r\n")
            size = int(size, 16)
            while len(data) < size + 2:
                data += self.receive()
            if size == 0:
                return b"".join(pieces)
            pieces.append(data[:size])
            data = data[size + 2:]

    def receive(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError("the engine has closed the connection")
        return data


def load_program(name):
    """A program of this folder as a module: it has no name that import takes."""
    loader = importlib.machinery.SourceFileLoader(name, str(pathlib.Path(__file__).resolve().parent / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Subject:
    """An engine under measurement."""

    def __init__(self, name, path, client, processes="", helpers="", root=0):
        """processes and helpers: names, as regular expressions, of what descends from the process root: the
        engine's own, and those that it has beside each container."""
        self.name, self.path, self.client = name, path, client
        self.processes, self.helpers, self.root = processes, helpers, root
        self.connection = None

    def answers(self):
        try:
            return self.request("GET", "/_ping") is not None
        except (OSError, http.client.HTTPException):
            self.connection = None
            return False

    def request(self, method, target, body=None):
        if self.connection is None:
            self.connection = Connection(self.path)
        headers = {}
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json"}
        try:
            self.connection.request(method, API + target, body, headers)
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise
        if answer.will_close:
            self.connection = None
        if answer.status >= 400:
            raise RuntimeError(f"{self.name}: {method} {target}: {answer.status} {data[:300]!r}")
        return json.loads(data) if data.strip().startswith((b"{", b"[")) else data

    def run_client(self, *arguments):
        subprocess.run([self.client, *arguments], env=dict(os.environ, DOCKER_HOST=f"unix://{self.path}"), check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def prepare(self, folder):
        """An image `busybox:latest` of Debian's static busybox."""
        archive = pathlib.Path(folder) / "busybox.tar"
        busybox = shutil.which("busybox")
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox, "bin/busybox")
            for applet in ("sh", "true", "sleep", "cat"):
                entry = tarfile.TarInfo("bin/" + applet)
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        self.run_client("import", str(archive), "busybox:latest")

    def create(self, command, network="bridge"):
        return self.request("POST", "/containers/create", {
            "Image": "busybox:latest", "Cmd": command, "HostConfig": {"NetworkMode": network}})["Id"]

    def pss(self, names):
        """Proportional memory of the engine's processes of these names, MiB."""
        total = 0
        for process in descendants(self.root):
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                if re.search(names, pathlib.Path(command).name):
                    for line in (process / "smaps_rollup").read_text().splitlines():
                        if line.startswith("Pss:"):
                            total += int(line.split()[1])
            except OSError:
                pass
        return total / 1024


def descendants(root):
    """Folders in /proc of all processes below root, children before grandchildren: another engine of the machine is none of ours."""
    parents = {}
    for process in pathlib.Path("/proc").iterdir():
        try:
            if process.name.isdigit():
                parents[int(process.name)] = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, generation = [], {root}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation}
        found += sorted(generation)
    return [pathlib.Path("/proc") / str(pid) for pid in found]


def timed(function):
    begin = time.monotonic()
    result = function()
    return (time.monotonic() - begin) * 1000, result


def round_trip(subject, network):
    """create, start, wait, remove: milliseconds of each and of all."""
    create, container = timed(lambda: subject.create(["true"], network))
    start, _ = timed(lambda: subject.request("POST", f"/containers/{container}/start"))
    wait, ended = timed(lambda: subject.request("POST", f"/containers/{container}/wait"))
    assert ended["StatusCode"] == 0, ended
    remove, _ = timed(lambda: subject.request("DELETE", f"/containers/{container}?force=1&v=1"))
    return {"create": create, "start": start, "wait": wait, "remove": remove, "all": create + start + wait + remove}


def network_round(subject, number):
    """A user's bridge network is made and removed, with the rules that it has: milliseconds of each."""
    create, network = timed(lambda: subject.request("POST", "/networks/create", {"Name": f"bench{number}", "Driver": "bridge"}))
    remove, _ = timed(lambda: subject.request("DELETE", f"/networks/{network['Id']}"))
    return {"create": create, "remove": remove}


def execute(subject, container):
    def run():
        identity = subject.request("POST", f"/containers/{container}/exec",
                                   {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True})["Id"]
        connection = Connection(subject.path)
        connection.request("POST", f"{API}/exec/{identity}/start", json.dumps({"Detach": False, "Tty": False}),
                           {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()
        assert subject.request("GET", f"/exec/{identity}/json")["ExitCode"] == 0
    return timed(run)[0]


def measure(subject, runs, first):
    """Each figure's values; one warm-up of each is thrown away."""
    figures = {}

    def add(metric, value):
        figures.setdefault(metric, []).append(value)

    if first and subject.processes:
        add("idle memory, MiB PSS", subject.pss(subject.processes))
    for network in ("none", "bridge"):
        for number in range(runs + 1):
            parts = round_trip(subject, network)
            if number > 0:
                for part, value in parts.items():
                    add(f"API {part}, {network}, ms", value)
    for number in range(runs + 1):
        parts = network_round(subject, number)
        if number > 0:
            for part, value in parts.items():
                add(f"network {part}, bridge, ms", value)
    for number in range(runs + 1):
        value = timed(lambda: subject.run_client("run", "--rm", "busybox", "true"))[0]
        if number > 0:
            add("run --rm busybox true, bridge, ms", value)
    container = subject.create(["sleep", "100000"])
    subject.request("POST", f"/containers/{container}/start")
    for number in range(runs + 1):
        value = execute(subject, container)
        if number > 0:
            add("exec true, ms", value)
    if subject.helpers and first:
        time.sleep(2)  # a monitor gives its memory back when nothing happens
        add("memory beside a container, MiB PSS", subject.pss(subject.helpers))
    subject.request("DELETE", f"/containers/{container}?force=1&v=1")
    connection = RawConnection(subject.path)
    for number in range(runs * 5):
        add("GET /_ping, ms", timed(lambda: connection.request("GET", "/_ping"))[0])
    return figures
