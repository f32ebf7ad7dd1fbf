"""Every operation of the API's specification: it is there, its answers have the shape that stands there, bodies are read as Go reads them.

What Docker itself does otherwise than its specification stands here, with the reason."""
import io
import json
import tarfile

import pytest

from engine import UnixConnection
from specification import Specification, kind_of, nested, wrong_value

SPECIFICATION = Specification.read()
OPERATIONS = SPECIFICATION.operations
WITH_BODY = [operation for operation in OPERATIONS if SPECIFICATION.body(*operation) is not None]
NAMES = {"id": "nosuch", "name": "nosuch"}
# A node in no swarm refuses before it reads anything; managed plugins are not there.
SWARM = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs")
REFUSED = {
    ("GET", "/plugins/privileges"): 501, ("POST", "/plugins/pull"): 501, ("POST", "/plugins/create"): 501,
    ("POST", "/swarm/init"): 501, ("POST", "/swarm/join"): 501,
}
# They say so where they are not there yet.
NOT_YET = {("GET", "/containers/{id}/attach/ws"), *((method, "/containers/{id}/archive") for method in ("HEAD", "GET", "PUT"))}
# Beside what stands in the specification of 1.56, as from dockerd 29: for programs that ask without a version; what it was made on.
BESIDE = {("GET", "/system/df"): {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}, ("GET", "/images/{name}/json"): {"Parent"}}
QUERIES = {("GET", "/events"): "?since=1&until=1", ("POST", "/containers/{id}/resize"): "?h=10&w=10",
           ("POST", "/exec/{id}/resize"): "?h=10&w=10", ("GET", "/containers/{id}/logs"): "?stdout=1",
           ("POST", "/commit"): "?container=nosuch", ("GET", "/images/search"): "?term=x&limit=1000",
           ("GET", "/images/get"): "?names=nosuch", ("POST", "/images/create"): "?fromSrc=ftp://nosuch"}


def ask(engine, method, target, body=None, headers=None, version="1.56"):
    if body is not None:
        headers = {"Content-Type": "application/json", **(headers or {})}
    return engine.request(method, f"/v{version}{target}", body, headers)


def check(operation, status, document):
    beside = BESIDE.get(operation, set())
    if status < 400 and isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in beside}
    assert SPECIFICATION.errors(*operation, status, document) == [], document


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_is_there_and_its_errors_have_their_shape(engine, operation):
    """With names of nothing, and without a body."""
    method, path = operation
    status, document = ask(engine, method, path.format(**NAMES) + QUERIES.get(operation, ""))
    assert document != {"message": "page not found"}
    if path.startswith(SWARM):
        assert status == REFUSED.get(operation, 503), document
    elif status in (501, 503):
        assert operation in REFUSED or operation in NOT_YET or operation == ("PUT", "/volumes/{name}"), document
    if status >= 400 and method != "HEAD":
        check(operation, status, document)
        assert len(document["message"]) > 5, document


@pytest.fixture(scope="module")
def things(engine):
    """Names for the specification's {id} and {name}, of things that are there."""
    def create(name, **body):
        status, document = ask(engine, "POST", f"/containers/create?name={name}", {"Image": "busybox", **body})
        assert status == 201, document
        return document["Id"]

    running = create("running", Cmd=["sh", "-c", "echo said; echo it >&2; exec sleep 1000"], Env=["A=b"], Labels={"a": "b"},
                     Healthcheck={"Test": ["CMD", "true"], "Interval": 1000000000000}, ExposedPorts={"80/tcp": {}},
                     HostConfig={"PortBindings": {"80/tcp": [{"HostPort": ""}]}, "Memory": 64 << 20, "Binds": ["data:/data"],
                                 "Mounts": [{"Type": "tmpfs", "Target": "/scratch"}]})
    terminal = create("terminal", Cmd=["sleep", "1000"], Tty=True)
    for container in (running, terminal):
        assert ask(engine, "POST", f"/containers/{container}/start")[0] == 204
    done = create("done", Cmd=["sh", "-c", "echo x > /new; rm /etc/group"])
    assert ask(engine, "POST", f"/containers/{done}/start")[0] == 204
    assert ask(engine, "POST", f"/containers/{done}/wait")[1]["StatusCode"] == 0
    status, network = ask(engine, "POST", "/networks/create", {"Name": "net", "Labels": {"a": "b"}, "IPAM": {
        "Config": [{"Subnet": "10.99.0.0/24", "Gateway": "10.99.0.1"}]}})
    assert status == 201, network

    def execute(**body):
        return ask(engine, "POST", f"/containers/{running}/exec", {"Cmd": ["sleep", "1000"], **body})[1]["Id"]

    on_terminal = execute(Tty=True, AttachStdout=True)
    assert ask(engine, "POST", f"/exec/{on_terminal}/start", {"Detach": True, "Tty": True})[0] == 200
    yield {"running": running, "done": done, "terminal": terminal, "network": network["Id"], "exec": execute(), "on_terminal": on_terminal,
           "build": context(b"FROM busybox\nLABEL a=b\n")}
    for name in ("running", "terminal", "done"):
        ask(engine, "DELETE", f"/containers/{name}?force=1&v=1")


def context(dockerfile):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
    return file.getvalue()


# What succeeds, in this order: operation, what stands for its name, query, body, status.
SUCCESSES = [
    (("GET", "/_ping"), None, "", None, 200),
    (("HEAD", "/_ping"), None, "", None, 200),
    (("GET", "/version"), None, "", None, 200),
    (("GET", "/info"), None, "", None, 200),
    (("GET", "/containers/json"), None, "?all=1&size=1", None, 200),
    (("GET", "/containers/{id}/json"), "running", "?size=1", None, 200),
    (("GET", "/containers/{id}/json"), "done", "", None, 200),
    (("GET", "/containers/{id}/top"), "running", "", None, 200),
    (("GET", "/containers/{id}/logs"), "running", "?stdout=1&stderr=1", None, 200),
    (("GET", "/containers/{id}/changes"), "done", "", None, 200),
    (("GET", "/containers/{id}/export"), "done", "", None, 200),
    (("GET", "/containers/{id}/stats"), "running", "?stream=0&one-shot=1", None, 200),
    (("GET", "/containers/{id}/stats"), "done", "?stream=0", None, 200),
    (("POST", "/containers/{id}/resize"), "terminal", "?h=30&w=90", None, 200),
    (("POST", "/containers/{id}/start"), "running", "", None, 304),
    (("POST", "/containers/{id}/stop"), "done", "", None, 304),
    (("POST", "/containers/{id}/update"), "running", "", {"Memory": 32 << 20, "MemorySwap": 64 << 20}, 200),
    (("POST", "/containers/{id}/pause"), "running", "", None, 204),
    (("POST", "/containers/{id}/unpause"), "running", "", None, 204),
    (("POST", "/containers/{id}/attach"), "done", "?logs=1&stdout=1", None, 200),
    (("POST", "/containers/{id}/wait"), "done", "", None, 200),
    (("POST", "/containers/{id}/exec"), "running", "", {"Cmd": ["true"], "Env": ["A=b"], "WorkingDir": "/"}, 201),
    (("GET", "/exec/{id}/json"), "exec", "", None, 200),
    (("GET", "/exec/{id}/json"), "on_terminal", "", None, 200),
    (("POST", "/exec/{id}/start"), "exec", "", {"Detach": True}, 200),
    (("POST", "/exec/{id}/resize"), "on_terminal", "?h=30&w=90", None, 200),
    (("POST", "/containers/create"), None, "?name=other", {"Image": "busybox", "HostConfig": None, "NetworkingConfig": {}}, 201),
    (("POST", "/containers/{id}/rename"), "other", "?name=another", None, 204),
    (("POST", "/containers/{id}/restart"), "terminal", "?t=0", None, 204),
    (("POST", "/containers/{id}/kill"), "terminal", "?signal=KILL", None, 204),
    (("DELETE", "/containers/{id}"), "another", "", None, 204),
    (("POST", "/commit"), None, "?container=done&repo=committed&tag=1", {"Labels": {"c": "d"}}, 201),
    (("GET", "/images/json"), None, "?all=1&shared-size=1&manifests=1&identity=1", None, 200),
    (("GET", "/images/{name}/json"), "busybox", "", None, 200),
    (("GET", "/images/{name}/json"), "committed:1", "?manifests=1", None, 200),
    (("GET", "/images/{name}/attestations"), "busybox", "?statement=1", None, 200),
    (("GET", "/images/{name}/history"), "committed:1", "", None, 200),
    (("POST", "/images/{name}/tag"), "busybox", "?repo=127.0.0.1:1/x&tag=1", None, 201),
    (("POST", "/images/{name}/push"), "127.0.0.1:1/x", "?tag=1", None, (200, 500)),  # nobody listens there
    (("GET", "/images/{name}/get"), "busybox", "", None, 200),
    (("GET", "/images/get"), None, "?names=busybox&names=committed:1", None, 200),
    (("POST", "/images/load"), None, "", b"", 200),
    (("POST", "/build"), None, "?t=built", "build", 200),
    (("GET", "/system/df"), None, "?verbose=1", None, 200),
    (("GET", "/system/df"), None, "", None, 200),
    (("POST", "/build/prune"), None, "?all=1", None, 200),
    (("DELETE", "/images/{name}"), "built", "", None, 200),
    (("POST", "/images/prune"), None, "", None, 200),
    (("GET", "/volumes"), None, "", None, 200),
    (("POST", "/volumes/create"), None, "", {"Name": "volume", "Labels": {"a": "b"}}, 201),
    (("GET", "/volumes/{name}"), "volume", "", None, 200),
    (("DELETE", "/volumes/{name}"), "volume", "", None, 204),
    (("POST", "/volumes/prune"), None, "", None, 200),
    (("GET", "/networks"), None, "", None, 200),
    (("POST", "/networks/create"), None, "", {"Name": "second"}, 201),
    (("POST", "/networks/{id}/connect"), "network", "", {"Container": "running", "EndpointConfig": {"Aliases": ["a"]}}, 200),
    (("GET", "/networks/{id}"), "network", "?verbose=1", None, 200),
    (("GET", "/containers/json"), None, "", None, 200),
    (("GET", "/containers/{id}/json"), "running", "", None, 200),
    (("POST", "/networks/{id}/disconnect"), "network", "", {"Container": "running", "Force": False}, 200),
    (("DELETE", "/networks/{id}"), "second", "", None, 204),
    (("POST", "/networks/prune"), None, "", None, 200),
    (("POST", "/containers/prune"), None, "", None, 200),
    (("GET", "/plugins"), None, "", None, 200),
]
# Not among them, because nothing succeeds here or because other tests have them: registries that are not there, upgrades, copies.
ELSEWHERE = {
    ("POST", "/images/create"): "test_transfers.py", ("GET", "/images/search"): "test_search.py", ("POST", "/auth"): "test_registry.py",
    ("GET", "/distribution/{name}/json"): "test_registry.py", ("GET", "/events"): "test_events.py",
    ("GET", "/containers/{id}/attach/ws"): "a websocket", ("HEAD", "/containers/{id}/archive"): "copies",
    ("GET", "/containers/{id}/archive"): "copies", ("PUT", "/containers/{id}/archive"): "copies",
    ("PUT", "/volumes/{name}"): "cluster volumes, of swarms", ("POST", "/session"): "tests/clients/test_buildkit.py",
}


def test_nothing_of_the_specification_is_left_out():
    covered = {operation for operation, *_ in SUCCESSES} | set(ELSEWHERE) | set(REFUSED)
    left = [operation for operation in OPERATIONS if operation not in covered and not operation[1].startswith(SWARM)]
    assert all(path.startswith("/plugins/{name}") for _, path in left), left


@pytest.mark.parametrize("case", SUCCESSES, ids=lambda case: f"{' '.join(case[0])} {case[1]}{case[2]}")
def test_success_has_the_shape_of_the_specification(engine, things, case):
    operation, name, query, body, expected = case
    method, path = operation
    value = things.get(name, name)
    body = things["build"] if body == "build" else body
    headers = {"Content-Type": "application/x-tar"} if isinstance(body, bytes) else None
    status, document = ask(engine, method, path.format(id=value, name=value) + query, body, headers)
    assert status in (expected if isinstance(expected, tuple) else (expected,)), document
    if status < 300 and method != "HEAD":
        check(operation, status, document)


# ---- bodies ----

# The least that is needed so that an operation reads its body to the end and fails only then, if at all.
BASES = {
    ("POST", "/containers/create"): {"Image": "nosuch"}, ("POST", "/networks/create"): {"Name": "bridge"},
    ("POST", "/volumes/create"): {"Name": "-"}, ("POST", "/containers/{id}/exec"): {"Cmd": ["true"]},
}
# dockerd answers these without reading a body.
UNREAD = {("POST", "/plugins/pull"), ("POST", "/plugins/{name}/upgrade"), ("POST", "/plugins/{name}/set"), ("PUT", "/volumes/{name}")}
READ = [operation for operation in WITH_BODY if operation not in UNREAD and not operation[1].startswith(SWARM)]


def answer(engine, operation, body):
    method, path = operation
    query = "?container=nosuch" if path == "/commit" else ""
    return ask(engine, method, path.format(**NAMES) + query, body)


@pytest.mark.parametrize("operation", READ, ids=" ".join)
def test_unknown_members_are_ignored_and_names_match_without_case(engine, operation):
    base = BASES.get(operation, {})
    plain = answer(engine, operation, base)
    assert answer(engine, operation, {**base, "NoSuchMember": {"a": [1]}, "": None}) == plain
    assert answer(engine, operation, {name.lower(): value for name, value in base.items()}) == plain
    assert answer(engine, operation, {name.upper(): value for name, value in base.items()}) == plain


@pytest.mark.parametrize("operation", READ, ids=" ".join)
def test_null_is_as_nothing(engine, operation):
    base = BASES.get(operation, {})
    plain = answer(engine, operation, base)
    for path, schema in SPECIFICATION.members(SPECIFICATION.body(*operation)):
        if path[-1] == "*" or len(path) > 2 or path[0] in base or not is_read(path):
            continue
        document = {**base, **nested(SPECIFICATION, SPECIFICATION.body(*operation), path, None)}
        status, text = answer(engine, operation, document)
        assert status == plain[0], (path, text)


def is_read(path):
    return path[0] != "ClusterVolumeSpec"  # of a swarm's manager, and there is none


@pytest.mark.parametrize("operation", READ, ids=" ".join)
def test_a_wrong_type_is_named(engine, operation):
    """400 with a sentence that names the member."""
    base = BASES.get(operation, {})
    schema = SPECIFICATION.body(*operation)
    wrong = []
    for path, inner in SPECIFICATION.members(schema):
        if not is_read(path) or ("x-nullable" in inner and kind_of(inner) == "object" and not inner.get("properties")):
            continue
        status, document = answer(engine, operation, {**base, **nested(SPECIFICATION, schema, path, wrong_value(inner))})
        name = [part for part in path if part != "*"][-1]
        if status != 400 or name.lower() not in document["message"].lower():
            wrong.append((path, status, document))
    assert wrong == []


@pytest.mark.parametrize("operation", READ, ids=" ".join)
def test_what_is_no_json_is_refused(engine, operation):
    method, path = operation
    for body in ("{", "[]", '"text"', "7", '{"a":}', "{}{}", "\xff".encode("latin-1"), "nul"):
        status, document = answer(engine, operation, body)
        assert status == 400, (body, document)
    status, document = ask(engine, method, path.format(**NAMES), "{}", {"Content-Type": "text/plain"})
    assert status == 400 and "Content-Type" in document["message"], document


def test_a_body_may_come_in_pieces(engine):
    connection = UnixConnection(engine.socket)
    connection.request("POST", "/v1.56/volumes/create", iter([b'{"Na', b'me":"', b'-"}']), {"Content-Type": "application/json"},
                       encode_chunked=True)
    assert connection.getresponse().status == 400
    connection.close()
