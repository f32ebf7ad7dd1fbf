"""An engine that is reached by TCP with TLS, and the process that encrypts for it."""
import os
import pathlib
import socket

from engine import BIN, docker_client, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tls_flags(port, server):
    """Of the engine; `server` is a folder of certificates."""
    return [f"--host=tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={server}/ca.pem", f"--tlscert={server}/cert.pem",
            f"--tlskey={server}/key.pem"]


class Remote:
    def __init__(self, engine, port, server, client):
        self.engine = engine
        self.host = f"tcp://localhost:{port}"
        self.port = port
        self.server = server
        self.client = client

    def flags(self, folder=None):
        folder = folder or self.client
        return [f"--host={self.host}", "--tlsverify", f"--tlscacert={folder}/ca.pem", f"--tlscert={folder}/cert.pem",
                f"--tlskey={folder}/key.pem"]

    def command(self, program, *arguments):
        return [{"docker": docker_client, "berth": lambda: str(BIN / "berth")}[program](), *self.flags(), *arguments]

    def run(self, program, *arguments, **options):
        return self.engine.run(*self.command(program, *arguments), **options)

    def ssl_options(self):
        """Of Debian's python3-websocket."""
        return {"ca_certs": f"{self.client}/ca.pem", "certfile": f"{self.client}/cert.pem", "keyfile": f"{self.client}/key.pem"}


def fronts_of(pid):
    """Children of the engine that are berth-front, living or not reaped."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name == "berth-front" and int(rest.split()[1]) == pid:
                found.append(int(folder.name))
    return found


def front_of(engine):
    """The one that it has, or is about to have."""
    return wait_until("front", lambda: fronts_of(engine.process.pid))[0]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors_of(pid):
    """number -> target"""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found
