"""One life of everything, and the events that dockerd 28.5 tells of it (tests/api/events.json): type, action, names of attributes.

tests/api/test_events.py runs it on Berth, tests/conformance/test_api_events.py on dockerd, which writes the file when
BERTH_TEST_RECORD=1."""
import io
import json
import pathlib
import tarfile
import time

from engine import UnixConnection, wait_until

RECORD = pathlib.Path(__file__).resolve().parent.parent / "api" / "events.json"
VERSION = "/v1.51"


def root_tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        tar.addfile(entry, io.BytesIO())
    return data.getvalue()


def context():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        text = b"FROM busybox\nLABEL built=yes\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return data.getvalue()


class Life:
    def __init__(self, socket):
        self.socket = socket

    def ask(self, method, target, body=None, content_type="application/json"):
        connection = UnixConnection(self.socket)
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, VERSION + target, data, {"Content-Type": content_type} if body is not None else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 400, (method, target, answer.status, text)
        try:
            return json.loads(text)
        except ValueError:
            return text

    def live(self):
        """The image busybox is there. All events since the beginning."""
        since = time.time()
        self.ask("POST", "/volumes/create", {"Name": "life"})
        self.ask("POST", "/networks/create", {"Name": "life"})
        body = {"Image": "busybox", "Cmd": ["sleep", "10000"], "Tty": True, "Labels": {"label": "of-it"},
                "HostConfig": {"Binds": ["life:/v"]}}
        self.ask("POST", "/containers/create?name=life", body)
        self.ask("POST", "/containers/life/start")
        self.ask("POST", "/networks/life/connect", {"Container": "life"})
        self.ask("POST", "/networks/life/disconnect", {"Container": "life"})
        self.ask("POST", "/containers/life/resize?h=20&w=30")
        self.ask("GET", "/containers/life/top")
        execution = self.ask("POST", "/containers/life/exec", {"Cmd": ["true"]})["Id"]
        self.ask("POST", f"/exec/{execution}/start", {"Detach": True})
        wait_until("end of the exec", lambda: not self.ask("GET", f"/exec/{execution}/json")["Running"])
        for target in ("pause", "unpause", "rename?name=later"):
            self.ask("POST", f"/containers/life/{target}")
        self.ask("POST", "/containers/later/update", {"Memory": 64 << 20, "MemorySwap": 128 << 20})
        self.ask("POST", "/commit?container=later&repo=life&tag=committed&comment=said")
        self.ask("GET", "/containers/later/export")
        self.ask("POST", "/containers/later/attach?logs=1&stdout=1")
        self.ask("POST", "/containers/later/restart?t=0")
        self.ask("POST", "/containers/later/kill?signal=KILL")
        self.ask("POST", "/containers/later/wait")
        self.ask("POST", "/containers/later/start")
        self.ask("POST", "/containers/later/stop?t=0")
        self.ask("DELETE", "/containers/later")
        self.ask("POST", "/containers/prune")
        self.ask("DELETE", "/volumes/life")
        self.ask("POST", "/volumes/prune")
        self.ask("DELETE", "/networks/life")
        self.ask("POST", "/networks/prune")
        self.ask("POST", "/images/busybox/tag?repo=life&tag=tagged")
        self.ask("GET", "/images/life:tagged/get")
        self.ask("DELETE", "/images/life:tagged")
        self.ask("DELETE", "/images/life:committed")
        self.ask("POST", "/images/create?fromSrc=-&repo=life&tag=imported", root_tar(), "application/x-tar")
        saved = self.ask("GET", "/images/life:imported/get")
        self.ask("DELETE", "/images/life:imported")
        self.ask("POST", "/images/load", saved, "application/x-tar")
        self.ask("DELETE", "/images/life:imported")
        self.ask("POST", "/build?version=1&t=life:built", context(), "application/x-tar")
        self.ask("DELETE", "/images/life:built")
        self.ask("POST", "/images/prune")
        return self.events(since)

    def events(self, since):
        connection = UnixConnection(self.socket)
        connection.request("GET", f"{VERSION}/events?since={since:.9f}&until={time.time():.9f}")
        lines = connection.getresponse().read().splitlines()
        connection.close()
        found = []
        for line in lines:
            event = json.loads(line)
            found.append([event["Type"], event["Action"], sorted(event["Actor"]["Attributes"])])
        return found
