"""The test's volume plugin as a process of its own."""
import contextlib
import json
import pathlib
import subprocess
import sys

from engine import wait_until

SOCKETS = pathlib.Path("/run/docker/plugins")


class Plugin:
    def __init__(self, folder, name, scope, certificates=None):
        self.folder, self.name, self.scope = pathlib.Path(folder), name, scope
        self.socket = self.folder / "port" if certificates else SOCKETS / f"{name}.sock"
        self.certificates = [certificates] if certificates else []
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).parent / "volume_plugin.py"),
                                         str(self.socket), str(self.folder), self.scope, *map(str, self.certificates)],
                                        stdin=subprocess.DEVNULL)
        wait_until("plugin", self.socket.exists)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def calls(self, method=None):
        path = self.folder / "calls"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [asked for called, asked in lines if called == f"VolumeDriver.{method}"] if method else lines

    def users(self, volume):
        return sorted(path.name for path in (self.folder / "volumes" / volume / "users").iterdir())


@contextlib.contextmanager
def plugin(folder, name="testplugin", scope="local", certificates=None):
    """With certificates (a folder of certificates.Authority) its `socket` is a file with the port of localhost."""
    running = Plugin(folder, name, scope, certificates)
    running.start()
    try:
        yield running
    finally:
        running.stop()
