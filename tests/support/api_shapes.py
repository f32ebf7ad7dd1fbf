"""The members of answers, version by version, as dockerd 28.5 has them (tests/api/shapes.json): what a client of any version finds.

tests/api/test_shapes.py asks Berth, tests/conformance/test_api_shapes.py dockerd, which writes the file when BERTH_TEST_RECORD=1."""
import json
import pathlib
import time

from engine import UnixConnection, wait_until

RECORD = pathlib.Path(__file__).resolve().parent.parent / "api" / "shapes.json"
VERSIONS = range(24, 52)
# Maps whose keys are names of somebody's.
MAPS = {"Labels", "Networks", "Ports", "PortBindings", "ExposedPorts", "Volumes", "Options", "Runtimes", "IndexConfigs", "Containers", "Sysctls",
        "Tmpfs", "Annotations", "networks", "stats", "DriverOpts", "Data", "Config.Labels"}
ENDPOINTS = ["/version", "/info", "/containers/json?all=1&size=1", "/containers/shape/json?size=1", "/containers/shape/top",
             "/containers/shape/stats?stream=0&one-shot=1", "/images/json", "/images/busybox/json", "/images/busybox/history", "/networks",
             "/networks/shape", "/volumes", "/volumes/shape", "/exec/<exec>/json", "/system/df", "/events?since=1&until=<now>"]


def members(value, place=""):
    """Names of all members of a document; of a list those of any element; keys of maps are "*"."""
    if isinstance(value, dict):
        last = place.rsplit(".", 1)[-1]
        for name, inner in value.items():
            path = f"{place}.{'*' if last in MAPS else name}"
            yield path
            yield from members(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner, place + "[]")


class Shapes:
    def __init__(self, socket):
        self.socket = socket

    def ask(self, method, target, body=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 400, (target, text)
        if "/events" in target:
            return [json.loads(line) for line in text.splitlines()]
        return json.loads(text) if text.strip() else None

    def find(self):
        """{endpoint: {version: members}}, the first version whole and the others by what came and went."""
        self.ask("POST", "/v1.51/volumes/create", {"Name": "shape", "Labels": {"a": "b"}})
        self.ask("POST", "/v1.51/networks/create", {"Name": "shape", "Labels": {"a": "b"}})
        body = {"Image": "busybox", "Cmd": ["sleep", "10000"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}},
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 3600 * 10 ** 9},
                "HostConfig": {"NetworkMode": "shape", "Binds": ["shape:/v"], "PortBindings": {"80/tcp": [{"HostPort": ""}]},
                               "Mounts": [{"Type": "tmpfs", "Target": "/t"}]}}
        self.ask("POST", "/v1.51/containers/create?name=shape", body)
        self.ask("POST", "/v1.51/containers/shape/start")
        self.ask("POST", "/v1.51/networks/bridge/connect", {"Container": "shape"})
        execution = self.ask("POST", "/v1.51/containers/shape/exec", {"Cmd": ["true"]})["Id"]
        self.ask("POST", f"/v1.51/exec/{execution}/start", {"Detach": True})
        wait_until("end of the exec", lambda: not self.ask("GET", f"/v1.51/exec/{execution}/json")["Running"])
        wait_until("its event", lambda: any(event["Action"] == "exec_die" for event in self.ask(
            "GET", f"/v1.51/events?since=1&until={time.time():.9f}")))
        now = f"{time.time():.9f}"
        found = {}
        for endpoint in ENDPOINTS:
            known = set()
            found[endpoint] = {}
            for minor in VERSIONS:
                here = set(members(self.ask("GET", f"/v1.{minor}" + endpoint.replace("<exec>", execution).replace("<now>", now))))
                if here != known:
                    found[endpoint][f"1.{minor}"] = {"came": sorted(here - known), "went": sorted(known - here)}
                known = here
        self.ask("DELETE", "/v1.51/containers/shape?force=1")
        self.ask("DELETE", "/v1.51/volumes/shape")
        self.ask("DELETE", "/v1.51/networks/shape")
        return found
