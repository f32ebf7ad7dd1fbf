"""Engines, registries and clients for the tests: real processes, waited for by their events."""
import fcntl
import http.client
import io
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import termios
import time

from c_programs import compile_static

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BERTH_BUILD", ROOT / "build" / "release"))
BIN = BUILD / "bin"
DEADLINE = 60


def is_sanitized():
    cache = BUILD / "CMakeCache.txt"
    return cache.exists() and re.search(r"^BERTH_SANITIZE:\w+=.", cache.read_text(), re.MULTILINE) is not None


SANITIZED = is_sanitized()
# The environment of a program whose leaks cannot be looked for.
WITHOUT_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def wait_until(what, condition, deadline=DEADLINE):
    """Asks again and again; only for things that have no event to wait for."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {deadline} s")
        select.select([], [], [], 0.02)


def is_connected(pid):
    """Whether a client has opened a connection."""
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:") for name in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return False


def file_list(folder):
    """All names below a data root but the metadata's own files, to see what an operation left there. A layer's image
    may stay mounted when nobody needs it any more: what is in it does not count, nor the empty directories for containers to come."""
    names = []
    for path, directories, files in os.walk(folder):
        if pathlib.Path(path) == pathlib.Path(folder) and "spare" in directories:
            directories.remove("spare")
        if pathlib.Path(path).parent.name == "layers" and "mount" in directories:
            directories.remove("mount")
        names += [str(pathlib.Path(path, name).relative_to(folder)) for name in directories + files]
    return sorted(name for name in names if not name.startswith("metadata.db") and name != "filler")


def mounts_below(folder):
    """Mount points below a data root. A layer's image may stay mounted for the next container, which is none's mount."""
    places = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    images = re.compile(re.escape(str(folder)) + r"/layers/[^/]+/mount")
    return [place for place in places if place.startswith(str(folder)) and not images.fullmatch(place)]


def without_ages(listing):
    """Two listings may differ by the seconds in between, and so by the width of that column."""
    listing = re.sub(r"(Less than a second|About a minute|\d+ (?:second|minute)s?)( ago)? *", "", listing)
    return re.sub("   +", "  ", listing)


UDP_ECHO = r"""
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int argc, char** argv) {
    char data[2048];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 9000)}, peer;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(s, (struct sockaddr*)&own, sizeof own) < 0) return 1;
    for (;;) {
        socklen_t size = sizeof peer;
        ssize_t got = recvfrom(s, data, sizeof data, 0, (struct sockaddr*)&peer, &size);
        if (got > 0) sendto(s, data, got, 0, (struct sockaddr*)&peer, size);
    }
}
"""


def busybox_rootfs(folder):
    busybox = shutil.which("busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    path = folder / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "tmp", "root", "dev", "proc", "sys", "var", "home"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        if shutil.which("gcc"):  # the virtual machine has none, nor the tests that want this program
            tar.add(compile_static(UDP_ECHO, folder / "udp-echo"), "bin/udp-echo")
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo("bin/" + applet)
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/home:/bin/sh\n"),
                           ("etc/group", "root:x:0:\nguest:x:1000:\nextra:x:2000:guest\n")):
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self.path))


def docker_client():
    """The unmodified docker command line: the machine's, or Debian's package unpacked beside the build."""
    if os.environ.get("BERTH_TEST_WITHOUT_DOCKER"):
        import pytest
        pytest.skip("no docker client in the virtual machine")
    found = shutil.which("docker")
    if found:
        return found
    folder = BUILD / "docker-client"
    program = folder / "usr" / "bin" / "docker"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Debian 12 has the client in docker.io, Debian 13 in docker-cli.
        subprocess.run("apt-get -q download docker-cli 2>/dev/null || apt-get -q download docker.io || "
                       "{ apt-get -q update && { apt-get -q download docker-cli || apt-get -q download docker.io; }; }; "
                       "dpkg -x docker*.deb . && rm docker*.deb", shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return str(program)


class Engine:
    bridges = 0

    def __init__(self, folder, *flags, name="berthd"):
        self.folder = pathlib.Path(folder)
        Engine.bridges += 1
        self.number = Engine.bridges
        self.prefix = f"10.{200 + self.number // 250}.{self.number % 250}."  # of the default bridge's addresses
        self.socket = self.folder / "berth.sock"
        self.data = self.folder / "data"
        # Socket paths are short: 107 bytes at most. /run is the testbed's own.
        self.exec = pathlib.Path(f"/run/berth-{self.number}")
        self.flags = [f"--data-root={self.data}", f"--exec-root={self.exec}", f"--host=unix://{self.socket}",
                      f"--pidfile={self.folder}/berthd.pid", f"--bridge=brt{self.number}",
                      f"--bip={self.prefix}1/24",
                      # None outside of a testbed: the driver's default.
                      *([f"--cgroup-parent={parent}"] if (parent := os.environ["BERTH_TEST_CGROUP"]) else []), *flags]
        self.environment = dict(os.environ, DOCKER_HOST=f"unix://{self.socket}", DOCKER_BUILDKIT="0",
                                DOCKER_CLI_HINTS="false", PATH=f"{BIN}:{os.environ['PATH']}")
        self.program = name
        self.programs = BIN  # where the engine's and its monitors' program lie
        self.process = None
        self.enter = []  # words before the engine's command, which lead it elsewhere

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            left = self.berth("ps", "-aq", check=False).stdout.split()
            if left:
                self.berth("rm", "-f", "-v", *left, check=False)
        self.stop()

    def start(self):
        log = open(self.folder / "berthd.log", "ab")
        self.process = subprocess.Popen([*self.enter, str(self.programs / "berthd"), *self.flags], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, env=self.environment)
        log.close()
        wait_until("engine", self.answers)

    def answers(self):
        assert self.process.poll() is None, "the engine ended:\n" + self.log()
        try:
            return self.request("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def log(self):
        return (self.folder / "berthd.log").read_text(errors="replace")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            finally:
                self.process.kill()
                self.process = None

    def kill(self):
        """SIGKILL: the engine gets no chance to do anything."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def run(self, *command, check=True, input=None, timeout=DEADLINE * 2, **options):
        done = subprocess.run([str(word) for word in command], env=self.environment, text=True, input=input,
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True,
                              timeout=timeout, **options)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()[-3000:]}"
        return done

    def berth(self, *arguments, **options):
        return self.run(BIN / "berth", *arguments, **options)

    def docker(self, *arguments, **options):
        return self.run(docker_client(), *arguments, **options)

    def request(self, method, target, body=None, headers=None):
        """(status, decoded JSON or text)"""
        connection = UnixConnection(self.socket)
        try:
            headers = dict(headers or {})
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(data)
        except ValueError:
            return answer.status, data.decode(errors="replace")

    def inspect(self, container):
        return json.loads(self.berth("inspect", container).stdout)[0]

    def remove_all(self):
        """All containers, whatever they do, and all volumes."""
        left = self.berth("ps", "-aq").stdout.split()
        if left:
            self.berth("rm", "-f", "-v", *left)
        volumes = self.berth("volume", "ls", "-q").stdout.split()
        if volumes:
            self.berth("volume", "rm", *volumes)


class Registry:
    """berth-registry on a free port of the loopback interface."""

    def __init__(self, folder, *flags):
        self.folder = pathlib.Path(folder)
        self.flags = flags
        self.process = None
        self.address = None
        self.metrics = None

    def __enter__(self):
        self.start()
        return self

    def start(self):
        address = self.folder / "address"
        address.unlink(missing_ok=True)
        log = open(self.folder / "registry.log", "ab")
        self.process = subprocess.Popen([str(BIN / "berth-registry"), "serve", "--listen", "127.0.0.1:0", "--root",
                                         str(self.folder / "data"), "--address-file", str(address), *map(str, self.flags)],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

        def listening():
            assert self.process.poll() is None, self.log()
            return address.exists() and address.read_text().strip()

        lines = wait_until("registry", listening).splitlines()
        self.address = lines[0]
        self.metrics = next((line.split()[1] for line in lines if line.startswith("metrics ")), None)

    def log(self):
        return (self.folder / "registry.log").read_text(errors="replace")

    def kill(self):
        """SIGKILL: the registry gets no chance to do anything."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def collect(self, *flags):
        """berth-registry gc on the same root, whether it is served or not: its report."""
        done = subprocess.run([str(BIN / "berth-registry"), "gc", "--root", str(self.folder / "data"), *flags],
                              capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(DEADLINE) in (0, -signal.SIGKILL), self.log()


class Terminal:
    """A program on a pseudo terminal, as a person has it."""

    def __init__(self, command, environment, rows=40, columns=132):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.fd = 0
            self.resize(rows, columns)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in a shell's background
            os.execvpe(str(command[0]), [str(word) for word in command], environment)
        self.text = ""

    def resize(self, rows, columns):
        """The kernel tells the program by SIGWINCH."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, wanted, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while wanted not in self.text:
            left = end - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.text!r}"
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                assert data, f"it ended without {wanted!r}: {self.text!r}"
                self.text += data.decode(errors="replace")
        before, self.text = self.text.split(wanted, 1)
        return before

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        """Until it has ended and all that it wrote is read: the kernel ends the terminal with it, after its last byte."""
        end = time.monotonic() + DEADLINE
        while True:
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], f"it does not end: {self.text!r}"
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody has its other side any more
                break
            self.text += data.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
