"""Sends an engine what schemathesis makes of the specification, and reports what no client's mistake may bring about.

usage: generate_requests.py SOCKET SECONDS SEED NAMES   (by the Python of build/schemathesis; NAMES: JSON, {"id": […], "name": […]})
Prints one line of JSON: {"requests": n, "statuses": {…}, "failures": [{request, status, answer}]}"""
import collections
import http.client
import json
import pathlib
import random
import socket
import sys
import time

import hypothesis
import requests
import schemathesis

FILE = pathlib.Path(__file__).resolve().parent / "docker-engine-api-1.56.swagger.yaml"
EXAMPLES = 12  # of one operation in a row; then comes the next
PATIENCE = 20  # seconds for the head of an answer
ENOUGH = 1 << 16
# A node in no swarm, no managed plugins; cluster volumes are a swarm's.
MAY_BE_503 = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/volumes")
MAY_BE_501 = ("/swarm/", "/plugins", "/containers", "/build", "/images")
# 500 as dockerd has it: a registry or an address that cannot be reached, on a machine without a network.
REMOTE = ("/images/create", "/push", "/auth", "/distribution/", "/images/search", "/plugins", "/build")


@schemathesis.serializer("application/x-tar")
def bytes_as_they_are(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


class Run:
    def __init__(self, path, names, seed):
        self.path, self.names = path, names
        self.random = random.Random(seed)
        self.statuses = collections.Counter()
        self.failures = []

    def send(self, case):
        """Most names of things that are there: what is behind a 404 is not reached otherwise."""
        for name in case.path_parameters or {}:
            if name in self.names and self.random.random() < 0.8:
                case.path_parameters[name] = self.random.choice(self.names[name])
        # A stop that may take years takes them, and who comes next to the container waits.
        if case.query and str(case.query.get("t", "")).lstrip("-").isdigit():
            case.query["t"] = 1
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://localhost/v1.56")).prepare()
        headers = {name: value for name, value in prepared.headers.items() if name.lower() not in ("upgrade", "connection")}
        connection = Connection(self.path)
        try:
            connection.request(prepared.method, prepared.path_url, prepared.body, headers)
            answer = connection.getresponse()
            try:
                connection.sock and connection.sock.settimeout(0.2)  # a stream that says nothing yet
                text = answer.read(ENOUGH) if prepared.method != "HEAD" else b""
            except (TimeoutError, socket.timeout):
                text = b""
            self.judge(case, prepared, answer.status, text)
        except (OSError, http.client.HTTPException) as error:
            self.fail(prepared, 0, repr(error))
        finally:
            connection.close()

    def judge(self, case, prepared, status, text):
        self.statuses[str(status)] += 1
        path = case.operation.path
        allowed = status < 500 or (status == 503 and path.startswith(MAY_BE_503)) or (status == 501 and path.startswith(MAY_BE_501)) or (
            status == 500 and any(word in path for word in REMOTE))
        if not allowed:
            self.fail(prepared, status, text.decode(errors="replace"))

    def fail(self, prepared, status, text):
        body = prepared.body.decode(errors="replace") if isinstance(prepared.body, bytes) else prepared.body
        request = f"{prepared.method} {prepared.path_url} {body if body is not None else ''}"
        self.failures.append({"request": request[:2000], "status": status, "answer": text[:500]})

    def one_round(self, operation, end):
        @hypothesis.seed(self.random.randrange(1 << 30))
        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[hypothesis.Phase.generate],
                             suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy())
        def send(case):
            if time.monotonic() < end:
                self.send(case)

        send()


def main():
    path, seconds, seed, names = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    schema = schemathesis.openapi.from_path(FILE)
    operations = [result.ok() for result in schema.get_all_operations()]
    run = Run(path, names, seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for operation in run.random.sample(operations, len(operations)):
            if time.monotonic() < end:
                run.one_round(operation, end)
    print(json.dumps({"requests": sum(run.statuses.values()), "statuses": run.statuses, "failures": run.failures}))


main()
