"""Programs that take logs: rsyslog and journald themselves, and for what Debian has none to run of (GELF, fluentd's forward
protocol) and for details of syslog receivers by their specifications, which collect what comes until they are closed."""
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import zlib

from engine import BUILD, wait_until


class Receiver:
    """kind: tcp, tls, udp, unix or unixgram. A stream's connections are handed to take_stream, datagrams to take."""

    def __init__(self, kind="tcp", path=None, port=0, tls=None):
        self.kind, self.path, self.tls, self.messages, self.lock = kind, path, tls, [], threading.Lock()
        self.connections, self.closing = [], False
        datagram = kind in ("udp", "unixgram")
        family = socket.AF_UNIX if path else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
        if not path:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if datagram:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(str(path) if path else ("127.0.0.1", port))
        self.port = None if path else self.socket.getsockname()[1]
        if not datagram:
            self.socket.listen(64)
        self.thread = threading.Thread(target=self.datagrams if datagram else self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closing = True
        for held in [self.socket, *self.connections]:
            try:
                held.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            held.close()
        if self.kind == "udp":  # recv() is not woken by the close
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", ("127.0.0.1", self.port))
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
        self.thread.join(10)

    def datagrams(self):
        while not self.closing:
            try:
                data = self.socket.recv(1 << 17)
            except OSError:
                return
            if data:
                self.add(data)

    def accept(self):
        while not self.closing:
            try:
                connection, _ = self.socket.accept()
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                if self.tls and not self.closing:
                    continue
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        rest = b""
        while True:
            try:
                data = connection.recv(1 << 16)
                if not data:
                    return
                rest = self.take_stream(connection, rest + data)  # which may answer
            except OSError:
                return

    def add(self, message):
        message = self.decode(message)
        if message is not None:
            with self.lock:
                self.messages.append(message)

    def decode(self, message):
        return message

    def take_stream(self, connection, data):
        """Adds whole messages; gives back what is left."""
        *whole, rest = data.split(b"\n")
        for message in whole:
            self.add(message)
        return rest

    def wait(self, count, deadline=60):
        wait_until(f"{count} messages (there are {len(self.messages)})", lambda: len(self.messages) >= count, deadline)
        with self.lock:
            return list(self.messages)


class Syslog(Receiver):
    def take_stream(self, connection, data):
        if not data[:1].isdigit():
            return super().take_stream(connection, data)
        while b" " in data:  # RFC 5425: the size stands before each message
            size, rest = data.split(b" ", 1)
            if len(rest) < int(size):
                break
            self.add(rest[:int(size)])
            data = rest[int(size):]
        return data


class Gelf(Receiver):
    def __init__(self, *arguments, **options):
        self.chunks, self.sizes = {}, []
        super().__init__(*arguments, **options)

    def decode(self, message):
        self.sizes.append(len(message))
        if message[:2] == b"\x1e\x0f":
            name, index, count = message[2:10], message[10], message[11]
            parts = self.chunks.setdefault(name, {})
            parts[index] = message[12:]
            if len(parts) < count:
                return None
            message = b"".join(parts[i] for i in range(count))
        if message[:2] == b"\x1f\x8b":
            message = gzip.decompress(message)
        elif message[:1] == b"\x78":
            message = zlib.decompress(message)
        return json.loads(message)

    def take_stream(self, connection, data):
        *whole, rest = data.split(b"\0")
        for message in whole:
            self.add(message)
        return rest


class Short(Exception):
    pass


def unpack(data, at=0):
    """One MessagePack value: (value, where it ends)."""
    def need(size):
        if at + size > len(data):
            raise Short
        return data[at:at + size]

    def number(form, start):
        size = struct.calcsize(form)
        if start + size > len(data):
            raise Short
        return struct.unpack_from(form, data, start)[0], start + size

    def text(size, start):
        if start + size > len(data):
            raise Short
        return data[start:start + size].decode(errors="replace"), start + size

    def items(count, start):
        values = []
        for _ in range(count):
            value, start = unpack(data, start)
            values.append(value)
        return values, start

    kind = need(1)[0]
    if kind < 0x80:
        return kind, at + 1
    if kind < 0x90 or kind == 0xdf:
        count, start = (kind & 15, at + 1) if kind < 0x90 else number(">I", at + 1)
        values, end = items(2 * count, start)
        return dict(zip(values[::2], values[1::2])), end
    if kind < 0xa0 or kind == 0xdd:
        count, start = (kind & 15, at + 1) if kind < 0xa0 else number(">I", at + 1)
        return items(count, start)
    if kind < 0xc0:
        return text(kind & 31, at + 1)
    if kind == 0xd7:
        _, start = number(">b", at + 1)
        seconds, start = number(">I", start)
        nanoseconds, start = number(">I", start)
        return seconds + nanoseconds / 1e9, start
    if kind == 0xc0:
        return None, at + 1
    forms = {0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
    if kind in forms:
        return number(forms[kind], at + 1)
    if kind in (0xdc, 0xde):
        count, start = number(">H", at + 1)
        values, end = items(count if kind == 0xdc else 2 * count, start)
        return (values if kind == 0xdc else dict(zip(values[::2], values[1::2]))), end
    size, start = number({0xd9: ">B", 0xda: ">H", 0xdb: ">I"}[kind], at + 1)
    return text(size, start)


class Fluentd(Receiver):
    """Events as (tag, time, record). acknowledge: answer entries that ask for it."""

    def __init__(self, *arguments, acknowledge=True, **options):
        self.acknowledge, self.seen = acknowledge, []
        super().__init__(*arguments, **options)

    def take_stream(self, connection, data):
        while True:
            try:
                entry, end = unpack(data)
            except Short:
                return data
            data = data[end:]
            is_batch = isinstance(entry[1], list)
            events = entry[1] if is_batch else [entry[1:3]]
            options = (entry[2:] if is_batch else entry[3:]) or [{}]
            chunk = (options[0] or {}).get("chunk")
            if chunk:
                self.seen.append(chunk)
                if not self.acknowledge:
                    continue
            for time, record in events:
                self.add((entry[0], time, record))
            if chunk:
                name = chunk.encode()
                connection.sendall(b"\x81\xa3ack" + b"\xd9" + bytes([len(name)]) + name)


def skip(reason):
    import pytest  # whoever only fetches programs may have none
    pytest.skip(reason)


def rsyslog_program():
    """(program, folder of its libraries): the machine's, or Debian's package unpacked beside the build, as far as it can be had."""
    found = shutil.which("rsyslogd")
    if found or os.environ.get("BERTH_TEST_WITHOUT_DOCKER"):
        return found, None
    root = (BUILD / "rsyslog").resolve()
    if not (root / "usr/sbin/rsyslogd").exists():
        root.mkdir(parents=True, exist_ok=True)
        fetch = "apt-get -q download rsyslog libestr0 libfastjson4"
        subprocess.run(f"{{ {fetch} || {{ apt-get -q update && {fetch}; }}; }} && for file in *.deb; do dpkg -x $file .; done && rm *.deb",
                       shell=True, cwd=root, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    libraries = next(iter((root / "usr/lib").glob("*-linux-gnu*")), None)
    return (root / "usr/sbin/rsyslogd" if libraries else None), libraries


@contextlib.contextmanager
def rsyslogd(folder, out):
    """A running rsyslogd that writes app|facility|severity|message lines; gives its port."""
    program, libraries = rsyslog_program()
    if not program:
        skip("no rsyslogd")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "rsyslog.conf").write_text(
        f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}")\n'
        f'template(name="t" type="string" string="%app-name%|%syslogfacility-text%|%syslogseverity-text%|%msg%\\n")\n'
        f'*.* action(type="omfile" file="{out}" template="t" asyncWriting="off" flushOnTXEnd="on")\n')
    command = [program, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"]
    environment = dict(os.environ)
    if libraries:
        command += ["-M", libraries / "rsyslog"]
        environment["LD_LIBRARY_PATH"] = str(libraries)
    server = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens():
        assert server.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    try:
        wait_until("rsyslogd", listens)
        yield port
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def journald():
    """systemd's own, in the testbed's /run; gives a function that asks it for entries."""
    program = pathlib.Path("/lib/systemd/systemd-journald")
    if not program.exists() or not pathlib.Path("/etc/machine-id").exists():
        skip("no systemd-journald")
    for folder in ("/run/systemd/journal", "/run/log/journal"):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def entries(*matches):
        done = subprocess.run(["journalctl", "-D", "/run/log/journal", "-o", "json", "-a", *matches], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]
    try:
        wait_until("journald", pathlib.Path("/run/systemd/journal/socket").exists)
        yield entries
    finally:
        server.kill()
        server.wait()
        pathlib.Path("/run/systemd/journal/socket").unlink(missing_ok=True)


def server_context(folder, name="127.0.0.1"):
    """TLS for a receiver: (context, the authority's file)."""
    key, certificate = folder / "server.key", folder / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=logs", "-addext", f"subjectAltName=IP:{name}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
