"""Wrong input gets Docker's status and a sentence that names the thing and the cause."""
import http.server
import socket
import threading

import pytest


def message(answer):
    status, body = answer
    return status, body["message"] if isinstance(body, dict) else body


@pytest.mark.parametrize("method, target, body, status, words", [
    ("POST", "/containers/create", {"Image": "absent"}, 404, "No such image: absent:latest"),
    ("POST", "/containers/create", {"Image": "Bad//Ref"}, 400, "invalid reference format"),
    ("POST", "/containers/create", "{", 400, "invalid JSON at line 1, column 2: "),
    ("POST", "/containers/create", "[]", 400, "invalid JSON: expected an object"),
    ("POST", "/containers/create", {"Image": 5}, 400, "invalid JSON: Image: expected a string, found a number"),
    ("POST", "/containers/create", {}, 400, "config cannot be empty in order to create a container"),
    ("POST", "/containers/create?name=b/ad", {"Image": "busybox"}, 400, "Invalid container name (b/ad), only [a-zA-Z0-9]"),
    ("POST", "/images/create?fromImage=BAD", None, 400, "repository name (library/BAD) must be lowercase"),
    # A registry that is not there is dockerd's 500.
    ("POST", "/images/create?fromImage=127.0.0.1:1/absent&tag=1", None, 500,
     'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
    ("POST", "/images/busybox/tag?repo=a&tag=b:c", None, 400, "invalid tag format"),
    ("GET", "/images/absent:1/get", None, 404, "reference does not exist: absent:1"),
    ("GET", "/containers/absent/json", None, 404, "No such container: absent"),
    ("POST", "/containers/absent/start", None, 404, "No such container: absent"),
    ("GET", "/images/absent/json", None, 404, "No such image: absent"),
    ("DELETE", "/images/absent", None, 404, "No such image: absent"),
    ("GET", "/networks/absent", None, 404, "network absent not found"),
    ("GET", "/exec/absent/json", None, 404, "No such exec instance: absent"),
    ("POST", "/containers/absent/kill?signal=SIGFOO", None, 400, "cannot kill container: absent: invalid signal: SIGFOO"),
    ("GET", "/nothing/here", None, 404, "page not found"),
    ("GET", "/v1.10/info", None, 400, "too old"),
    ("GET", "/v9.99/info", None, 400, "too new"),
])
def test_api_errors(engine, method, target, body, status, words):
    headers = {"Content-Type": "application/json"}
    got, text = message(engine.request(method, target, body, headers))
    assert got == status, text
    assert words in text


@pytest.mark.parametrize("client", ["berth", "docker"])
@pytest.mark.parametrize("arguments, code, words", [
    (["run", "--nonsense", "busybox"], 125, "unknown flag: --nonsense"),
    (["run", "-p", "70000:80", "busybox"], 125, "70000"),
    (["run", "--pull=never", "absent"], 125, "No such image"),
    (["run", "busyBox"], 125, "must be lowercase"),
    (["rm", "absent"], 1, "No such container: absent"),
    (["pull", "127.0.0.1:1/absent"], 1, "connection refused"),
    (["push", "absent"], 1, "An image does not exist locally with the tag: absent"),
    (["run", "--rm", "--network", "absent", "busybox", "true"], 125, "failed to set up container networking: network absent not found"),
    (["create", "--pull=never", "absent"], 1, "No such image"),
    (["run", "--rm", "-m", "abc", "busybox"], 125, 'invalid argument "abc" for "-m, --memory" flag: invalid size: \'abc\''),
    (["run", "--rm", "-e", "=", "busybox"], 125, 'invalid argument "=" for "-e, --env" flag: invalid environment variable: ='),
    (["run", "--rm", "--dns", "name", "busybox"], 125, 'invalid argument "name" for "--dns" flag: '),
    (["run", "--rm", "--log-driver", "absent", "busybox"], 125, 'error looking up logging plugin absent: plugin "absent" not found'),
    (["run", "--rm", "-v", "/etc/passwd:/etc", "busybox"], 125, 'error mounting "/etc/passwd" to rootfs at "/etc"'),
    (["run", "--rm", "-v", "/etc/passwd:/etc", "busybox"], 125, "not a directory: Are you trying to mount a directory onto a file"),
    (["run", "--rm", "-v", "/etc:/etc/passwd", "busybox"], 125, "not a directory: Are you trying to mount a directory onto a file"),
    (["start", "absent", "nothing"], 1, "failed to start containers: absent, nothing"),
    (["run", "--rm", "busybox", "absent"], 127, 'exec: "absent": executable file not found in $PATH'),
    (["run", "--rm", "busybox", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
])
def test_client_errors(engine, client, arguments, code, words):
    done = getattr(engine, client)(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    if client == "berth":
        assert "berth: " in done.stderr


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_exec_exit_codes(engine, client):
    engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    engine.berth("create", "--name", "other", "busybox")
    run = getattr(engine, client)
    for arguments, code, words in (
            (["exec", "host", "absent"], 127, "executable file not found in $PATH"),
            (["exec", "host", "/etc/passwd"], 126, "permission denied"),
            (["exec", "-w", "/absent", "host", "true"], 127,
             'start container process: chdir to cwd ("/absent") set in config.json failed: no such file or directory'),
            (["exec", "-w", "/etc/passwd", "host", "true"], 127,
             "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? "
             "Check if the specified host path exists and is the expected type"),
            (["exec", "-d", "-w", "/absent", "host", "true"], 1, "no such file or directory"),
            (["exec", "host", "/etc"], 126, 'exec: "/etc": is a directory: permission denied'),
            (["exec", "-e", "=", "host", "true"], 125,
             'invalid argument "=" for "-e, --env" flag: invalid environment variable: ='),
            (["exec", "host", "sh", "-c", "exit 7"], 7, ""),
            (["exec", "other", "true"], 1, "is not running"),
            (["rename", "host", "other"], 1, 'Error when allocating new name: Conflict. The container name "/other" is already in use')):
        done = run(*arguments, check=False)
        assert done.returncode == code and words in done.stdout + done.stderr, done


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_unknown_names_are_told_as_they_were_given(engine, client):
    """Sentence, stream and exit code are Docker 28's."""
    container = engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000").stdout.strip()
    for arguments, sentence in (
            (["exec", "-u", "nosuchuser", "host", "id"], "unable to find user nosuchuser: no matching entries in passwd file"),
            (["exec", "-d", "-u", "nosuchuser", "host", "id"], "unable to find user nosuchuser: no matching entries in passwd file"),
            (["exec", "-u", "root:nogroup9", "host", "id"], "unable to find group nogroup9: no matching entries in group file"),
            (["rm", "host"], 'cannot remove container "host": container is running: stop the container before removing or force remove'),
            (["rm", container[:12]], f'cannot remove container "{container[:12]}": container is running: '
                                     "stop the container before removing or force remove"),
            (["save", "nope"], "No such image: nope"),
            (["save", "busybox", "nope:v1"], "reference does not exist: nope:v1")):
        done = getattr(engine, client)(*arguments, check=False)
        prefix = "berth: " if client == "berth" else "Error response from daemon: "
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{prefix}{sentence}\n")
    assert engine.inspect("host")["ExecIDs"] is None


def test_a_failed_start_is_told_once(engine):
    """The client that waits beside its start hears of the failure from the start alone, as from Docker."""
    done = engine.docker("run", "--rm", "--network", "absent", "busybox", "true", check=False)
    assert "Error waiting" not in done.stderr and done.stderr.count("network absent not found") == 1, done.stderr
    assert engine.berth("ps", "-aq").stdout == ""


def test_name_in_use(engine):
    engine.berth("create", "--name", "twice", "busybox")
    done = engine.docker("create", "--name", "twice", "busybox", check=False)
    assert 'The container name "/twice" is already in use' in done.stderr and done.returncode == 1


def test_port_in_use(engine):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = engine.docker("run", "--name", "late", "-p", f"{port}:80", "busybox", "true", check=False)
        assert done.returncode == 125 and "address already in use" in done.stderr, done.stderr
    # Nothing half-made remains: the same container starts once the port is free.
    engine.berth("start", "-a", "late")


def test_port_of_another_container(engine):
    engine.berth("run", "-d", "--name", "first", "-p", "127.0.0.1:18080:80", "busybox", "sleep", "100")
    done = engine.berth("run", "-p", "127.0.0.1:18080:80", "busybox", "true", check=False)
    assert done.returncode == 125 and "port is already allocated" in done.stderr, done.stderr


@pytest.mark.parametrize("text, words", [
    ("FROM busybox\nFROBNICATE\n", "dockerfile parse error on line 2: unknown instruction: FROBNICATE\n"),
    ("FROM busybox\nRUNN true\n", "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)\n"),
    ("RUN true\n", "no build stage in current context"),
    ("", "cannot be empty"),
    ("FROM busybox\nCOPY absent /\n", "absent"),
    ("FROM busybox\nRUN exit 3\n", "returned a non-zero code: 3"),
])
def test_dockerfile_errors(engine, tmp_path, text, words):
    (tmp_path / "Dockerfile").write_text(text)
    for client in (engine.berth, engine.docker):
        done = client("build", str(tmp_path), check=False)
        # A failed step's exit code is the client's own.
        assert done.returncode == (3 if "exit 3" in text else 1) and words in done.stderr, done.stderr


def test_wrong_media_type(engine, registry):
    import json
    import urllib.request
    url = f"http://{registry.address}/v2/odd/manifests/1"
    request = urllib.request.Request(url, json.dumps({"schemaVersion": 2, "mediaType": "text/odd"}).encode(),
                                     {"Content-Type": "text/odd"}, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code in (400, 415)


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_pull_of_a_wrong_media_type(engine, client):
    body = b'{"schemaVersion": 2, "mediaType": "text/odd"}'

    class Odd(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/odd")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = getattr(engine, client)("pull", f"127.0.0.1:{server.server_port}/odd", check=False)
        server.shutdown()
    assert done.returncode == 1 and "unsupported manifest media type text/odd" in done.stderr, done.stderr


def test_a_body_of_a_wrong_media_type(engine):
    got, text = message(engine.request("POST", "/containers/create", '{"Image": "busybox"}', {"Content-Type": "text/plain"}))
    assert (got, text) == (400, "unsupported Content-Type header (text/plain): must be 'application/json'")


def test_a_load_that_breaks_off_leaves_nothing(engine, tmp_path):
    archive = tmp_path / "image.tar"
    engine.berth("save", "-o", str(archive), "busybox:latest")
    data = archive.read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: len(data) // 2])
    before = engine.berth("images", "-aq", "--no-trunc").stdout
    assert engine.berth("load", "-i", str(tmp_path / "cut.tar"), check=False).returncode == 1
    assert engine.berth("images", "-aq", "--no-trunc").stdout == before
