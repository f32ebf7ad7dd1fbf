"""SIGHUP: what the engine takes from its configuration file, what it tells, and what it leaves alone."""
import http.server
import json
import signal
import subprocess
import threading
import time

import pytest

from engine import DEADLINE, Engine, docker_client, wait_until


class Configured:
    """An engine with a configuration file that changes."""

    def __init__(self, folder, text="{}", *flags):
        self.file = folder / "daemon.json"
        self.file.write_text(text)
        self.engine = Engine(folder, f"--config-file={self.file}", *flags)

    def __enter__(self):
        self.engine.start()
        return self

    def __exit__(self, *_):
        self.engine.stop()

    def reload(self, text):
        """Returns when the engine is done with it: the event, or None where it refused."""
        def outcomes():
            log = self.engine.log()
            return log.count("Reloaded configuration"), log.count("Error reconfiguring")

        before = outcomes()
        started = time.time_ns()
        with subprocess.Popen([docker_client(), "events", "--filter", "type=daemon", "--since", str(started // 10**9), "--format", "{{json .}}"],
                              stdout=subprocess.PIPE, env=self.engine.environment) as events:
            self.file.write_text(text)
            self.engine.process.send_signal(signal.SIGHUP)
            after = wait_until("reload", lambda: outcomes() != before and outcomes())
            reloaded = after[0] > before[0]
            event = None
            while reloaded and (event is None or event["timeNano"] < started):
                event = json.loads(events.stdout.readline())  # an earlier one of the same second may come first
            events.kill()
        return event

    def info(self):
        return self.engine.request("GET", "/info")[1]


def test_takes_what_dockerd_takes_and_tells_it(tmp_path):
    with Configured(tmp_path, '{"labels": ["a=b"], "features": {"x": true}}') as daemon:
        event = daemon.reload(json.dumps({
            "debug": True, "labels": ["bar=foo"], "max-concurrent-downloads": 1, "shutdown-timeout": 10, "live-restore": True,
            "features": {"x": True, "a": False}, "runtimes": {"crun": {"path": "/usr/bin/crun"}}, "default-runtime": "crun",
            "insecure-registries": ["127.0.0.1:5001"], "registry-mirrors": ["http://127.0.0.1:5002"]}))
        # dockerd 28.5's, in its form.
        host = subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip()
        attributes = event["Actor"]["Attributes"]
        assert attributes.pop("default-cgroupns-mode") in ("host", "private")
        assert attributes == {
            "debug": "true", "default-ipc-mode": "private", "default-runtime": "crun",
            "default-shm-size": "67108864", "features": "map[a:false x:true]", "insecure-registries": '["127.0.0.1:5001"]',
            "labels": '["bar=foo"]', "live-restore": "true", "max-concurrent-downloads": "1", "max-concurrent-uploads": "5",
            "max-download-attempts": "5", "name": host, "registry-mirrors": '["http://127.0.0.1:5002"]',
            "runtimes": "crun:/usr/bin/crun", "shutdown-timeout": "10"}
        info = daemon.info()
        assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("daemon", "reload", info["ID"])
        assert info["Labels"] == ["bar=foo"] and info["Debug"] and info["LiveRestoreEnabled"]
        assert info["DefaultRuntime"] == "crun" and "crun" in info["Runtimes"]
        assert info["RegistryConfig"]["Mirrors"] == ["http://127.0.0.1:5002/"] or info["RegistryConfig"]["Mirrors"] == ["http://127.0.0.1:5002"]
        assert "127.0.0.1:5001" in info["RegistryConfig"]["IndexConfigs"]
        # What the file does not name stays, but for what has a default to go back to.
        event = daemon.reload("{}")
        attributes = event["Actor"]["Attributes"]
        assert attributes["labels"] == '["bar=foo"]' and attributes["debug"] == "true" and attributes["shutdown-timeout"] == "10"
        assert attributes["max-concurrent-downloads"] == "3" and attributes["features"] == "map[]"


@pytest.mark.parametrize("text, words", [
    ("{", "unable to configure the Docker daemon with file"),
    ('{"debug": "no"}', "must be true or false"),
    ('{"frobnicate": 1, "labels": ["new=1"]}', "the following directives don't match any configuration option: frobnicate"),
    ('{"labels": ["new"]}', "bad attribute format: new"),
    ('{"default-runtime": "absent", "labels": ["new=1"]}', "specified default runtime 'absent' does not exist"),
    ('{"data-root": "/x", "labels": ["new=1"]}', "specified both as a flag and in the configuration file: data-root"),
])
def test_an_error_changes_nothing(tmp_path, text, words):
    with Configured(tmp_path, '{"labels": ["a=b"]}') as daemon:
        before = daemon.info()
        assert daemon.reload(text) is None
        assert words in daemon.engine.log()
        after = daemon.info()
        for field in ("Labels", "Debug", "DefaultRuntime", "RegistryConfig", "LiveRestoreEnabled"):
            assert after[field] == before[field]
        assert daemon.reload('{"labels": ["c=d"]}')["Actor"]["Attributes"]["labels"] == '["c=d"]'


def test_the_log_speaks_as_it_is_told(tmp_path):
    with Configured(tmp_path) as daemon:
        def debug_lines():
            daemon.engine.request("GET", "/containers/absent/json")  # a failed request is a line for debugging
            return daemon.engine.log().count("request failed")

        assert debug_lines() == 0
        daemon.reload('{"debug": true}')
        assert debug_lines() == 1
        daemon.reload('{"debug": false, "log-level": "info"}')
        assert debug_lines() == 1
        daemon.reload('{"log-level": "debug"}')
        assert debug_lines() == 2


def test_pulls_ask_the_new_mirror(tmp_path):
    asked = []

    class Mirror(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as mirror, Configured(tmp_path) as daemon:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        daemon.reload(json.dumps({"registry-mirrors": [f"http://127.0.0.1:{mirror.server_port}"], "max-download-attempts": 1}))
        done = daemon.engine.berth("pull", "absent-from-here", check=False)
        mirror.shutdown()
    assert done.returncode == 1
    assert any(path.startswith("/v2/library/absent-from-here/") for path in asked), asked


def test_live_restore_from_now_on(tmp_path, rootfs_tar):
    with Configured(tmp_path) as daemon:
        engine = daemon.engine
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        engine.berth("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
        pid = engine.inspect("stays")["State"]["Pid"]
        daemon.reload('{"live-restore": true}')
        engine.stop()
        engine.start()
        assert engine.inspect("stays")["State"]["Pid"] == pid
        engine.berth("rm", "-f", "stays")


def test_docker_shows_the_event(tmp_path):
    with Configured(tmp_path) as daemon:
        start = int(time.time())
        daemon.reload('{"labels": ["a=b"]}')
        shown = daemon.engine.docker("events", "--since", str(start), "--until", str(int(time.time()) + 1), timeout=DEADLINE).stdout
        identity = daemon.info()["ID"]
        assert f"daemon reload {identity} (" in shown and 'labels=["a=b"]' in shown
