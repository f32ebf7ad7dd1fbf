"""Read-only, quotas, metrics, the access log, the configuration file, sendfile, a clean stop."""
import json
import re
import signal
import subprocess

import pytest

from engine import BIN, Registry, wait_until
from registries import MANIFEST, Client, digest, image


def test_read_only(tmp_path):
    with Registry(tmp_path) as registry:
        manifest = Client(registry.address).push_image("a", "v1")
    with Registry(tmp_path, "--read-only") as registry:
        client = Client(registry.address)
        for method, target in (("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/manifests/v2"), ("DELETE", "/v2/a/manifests/v1"),
                               ("DELETE", f"/v2/a/blobs/{digest(b'layer')}")):
            answer = client.ask(method, target, manifest)
            assert (answer.status, answer.code()) == (405, "UNSUPPORTED"), (method, target)
        assert client.get("/v2/a/manifests/v1").body == manifest


def test_deletion_switched_off(tmp_path):
    with Registry(tmp_path, "--no-deletion") as registry:
        client = Client(registry.address)
        client.push_image("a", "v1")
        assert client.ask("DELETE", "/v2/a/manifests/v1").code() == "UNSUPPORTED"
        assert client.ask("DELETE", client.begin("a")).status == 204  # an upload is no content


def test_the_quota_of_a_repository(tmp_path):
    with Registry(tmp_path, "--repository-quota", "1m") as registry:
        client = Client(registry.address)
        first = b"x" * 900_000
        client.push_blob("a", first)
        location = client.begin("a")
        refused = client.put_upload(location, b"y" * 200_000, digest(b"y" * 200_000))
        assert (refused.status, refused.code()) == (403, "DENIED")
        assert refused.json()["errors"][0]["detail"] == "repository a would exceed its quota of 1048576 bytes"
        client.ask("DELETE", location)
        warned = client.ask("POST", f"/v2/a/blobs/uploads/?digest={digest(b'z' * 100_000)}", b"z" * 100_000)
        assert warned.status == 201
        assert re.fullmatch(r'299 - "repository a has used 1000000 of its 1048576 bytes"', warned.headers["warning"])
        assert client.ask("POST", f"/v2/b/blobs/uploads/?digest={digest(b'y' * 200_000)}", b"y" * 200_000).status == 201
        assert client.ask("POST", f"/v2/a/blobs/uploads/?mount={digest(b'y' * 200_000)}&from=b").status == 403
        client.ask("DELETE", f"/v2/a/blobs/{digest(first)}")
        assert client.ask("POST", f"/v2/a/blobs/uploads/?mount={digest(b'y' * 200_000)}&from=b").status == 201
    with Registry(tmp_path, "--repository-quota", "1m") as registry:  # counted anew at a start
        client = Client(registry.address)
        location = client.begin("a")
        assert client.put_upload(location, first, digest(first)).status == 403


def test_the_quota_of_all(tmp_path):
    with Registry(tmp_path, "--quota", "1m") as registry:
        client = Client(registry.address)
        shared = b"s" * 600_000
        client.push_blob("a", shared)
        assert client.ask("POST", f"/v2/b/blobs/uploads/?mount={digest(shared)}&from=a").status == 201  # counted once
        more = b"m" * 600_000
        refused = client.ask("POST", f"/v2/c/blobs/uploads/?digest={digest(more)}", more)
        assert (refused.status, refused.code()) == (403, "DENIED")
        config, manifest = image(annotations={"n": "x" * 500_000})
        client.push_blob("a", config)
        client.push_blob("a", b"layer")
        assert client.ask("PUT", "/v2/a/manifests/v1", manifest, {"Content-Type": MANIFEST}).status == 403
        for name in ("a", "b"):
            client.ask("DELETE", f"/v2/{name}/blobs/{digest(shared)}")
        assert client.ask("POST", f"/v2/c/blobs/uploads/?digest={digest(more)}", more).status == 201


def test_metrics_and_health(tmp_path):
    with Registry(tmp_path, "--metrics", "127.0.0.1:0") as registry:
        client, watcher = Client(registry.address), Client(registry.metrics)
        client.push_image("a", "v1", b"x" * 1000)
        for _ in range(3):
            client.get(f"/v2/a/blobs/{digest(b'x' * 1000)}")
        client.get("/v2/a/manifests/nope")
        client.begin("a")
        text = watcher.get("/metrics").body.decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert values['berth_registry_requests_total{resource="blob",method="GET",status="2xx"}'] == "3"
        assert values['berth_registry_requests_total{resource="manifest",method="GET",status="4xx"}'] == "1"
        assert values['berth_registry_request_duration_seconds_count{resource="blob"}'] == "3"
        assert values['berth_registry_request_duration_seconds_bucket{resource="blob",le="+Inf"}'] == "3"
        assert values["berth_registry_repositories"] == "1" and values["berth_registry_uploads"] == "1"
        assert int(values["berth_registry_sent_bytes_total"]) > 3000
        assert int(values["berth_registry_storage_bytes"]) > 1000
        for line in text.splitlines():  # the text format
            assert re.fullmatch(r"# (HELP \w+ .+|TYPE \w+ (counter|gauge|histogram))|[a-z_]+(\{[^}]*\})? [0-9.e+-]+", line), line
        assert watcher.get("/health").body == b"ok\n"
        assert watcher.get("/v2/").status == 404
        assert client.get("/metrics").status == 404


def test_what_a_head_does_not_send_is_not_counted(tmp_path):
    with Registry(tmp_path, "--metrics", "127.0.0.1:0", "--access-log", tmp_path / "log") as registry:
        client = Client(registry.address)
        named = client.push_blob("a", b"x" * 1_000_000)
        assert client.ask("HEAD", f"/v2/a/blobs/{named}").headers["content-length"] == "1000000"
        text = Client(registry.metrics).get("/metrics").body.decode()
        assert int(re.search(r"^berth_registry_sent_bytes_total (\d+)$", text, re.MULTILINE)[1]) < 1000
    assert re.search(r'"HEAD [^"]*" 200 0 ', (tmp_path / "log").read_text())


def test_an_access_log_that_nobody_reads_any_more(tmp_path):
    """A closed pipe at standard output ends no registry."""
    process = subprocess.Popen([str(BIN / "berth-registry"), "serve", "--root", str(tmp_path / "data"), "--listen", "127.0.0.1:0",
                                "--address-file", str(tmp_path / "address"), "--access-log", "-"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_until("registry", (tmp_path / "address").exists)
        client = Client((tmp_path / "address").read_text().split()[0])
        client.get("/v2/")
        process.stdout.read(1)
        process.stdout.close()
        for _ in range(3):
            assert client.get("/v2/").status == 200
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_the_number_of_repositories_is_limited(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limits": {"repositories": 2}}))
    with Registry(tmp_path, "--config", config) as registry:
        client = Client(registry.address)
        client.push_image("a", "v1")
        client.push_image("b", "v1")
        refused = client.ask("POST", "/v2/c/blobs/uploads/")
        assert (refused.status, refused.code()) == (429, "TOOMANYREQUESTS")
        client.push_image("a", "v2")


def test_the_access_log(tmp_path):
    log = tmp_path / "access.log"
    with Registry(tmp_path, "--access-log", log) as registry:
        client = Client(registry.address)
        client.get("/v2/", {"User-Agent": 'a "quoted" agent'})
        client.get("/v2/a/tags/list")
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r'127\.0\.0\.1 - "-" \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /v2/ HTTP/1\.1" 200 2 "-" '
                        r'"a \?quoted\? agent" \d+', lines[0])
    assert '"GET /v2/a/tags/list HTTP/1.1" 404 ' in lines[1]


def run(*words):
    return subprocess.run([str(BIN / "berth-registry"), *map(str, words)], capture_output=True, text=True, timeout=60)


def test_the_configuration_file(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"read-only": True, "quota": {"repository": "2k"}, "chunk-min-length": 4096}))
    with Registry(tmp_path, "--config", config) as registry:
        assert Client(registry.address).ask("POST", "/v2/a/blobs/uploads/").code() == "UNSUPPORTED"
    config.write_text(json.dumps({"quota": {"repository": "2k"}, "chunk-min-length": 4096}))
    with Registry(tmp_path, "--config", config, "--repository-quota", "1m") as registry:  # the flag counts more
        begun = Client(registry.address).ask("POST", "/v2/a/blobs/uploads/")
        assert begun.headers["oci-chunk-min-length"] == "4096"
        Client(registry.address).push_blob("a", b"x" * 10_000)


@pytest.mark.parametrize("document,words", [
    ({"htpaswd": {"file": "x"}}, 'unknown name "htpaswd"'), ({"quota": {"totl": 1}}, 'unknown name "quota.totl"'),
    ({"quota": {"total": "1x"}}, "quota.total"), ({"limits": {"head-time": 5}}, "expected a duration"),
    ({"tls": {"certificate": "x"}}, "a certificate and a key"), ({"token": {"realm": "x"}}, "a realm, a service, an issuer"),
    ({"token": {"realm": "x", "service": "x", "issuer": "x", "root-certificates": "x"}, "htpasswd": {"file": "x"}}, "together"),
    ([], "not a JSON object")])
def test_a_wrong_configuration_is_refused(tmp_path, document, words):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(document))
    done = run("serve", "--root", tmp_path / "data", "--config", config)
    assert done.returncode == 2 and words in done.stderr, done.stderr


@pytest.mark.parametrize("arguments,words", [
    ([], "a command is needed"), (["serve"], "--root is needed"), (["serve", "--root"], "flag needs an argument"),
    (["serve", "--root", "x", "--nope"], "unknown argument: --nope"), (["serve", "--root", "x", "--read-only=1"], "unknown argument"),
    (["serve", "--root", "x", "--quota", "many"], "--quota"), (["serve", "--root", "x", "--config", "/absent"], "/absent")])
def test_wrong_arguments(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_second_process_is_refused(tmp_path):
    with Registry(tmp_path):
        done = run("serve", "--root", tmp_path / "data", "--listen", "127.0.0.1:0")
        assert done.returncode == 1 and "another process" in done.stderr


@pytest.mark.skipif(subprocess.run(["which", "strace"], capture_output=True).returncode != 0, reason="strace is not installed")
def test_blobs_go_out_by_sendfile(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        data = b"x" * 5_000_000
        named = client.push_blob("a", data)
        trace = tmp_path / "trace"
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=sendfile,read,pread64,write,sendto,sendmsg", "-o", str(trace),
                                   "-p", str(registry.process.pid)], stderr=subprocess.PIPE, text=True)
        wait_until("strace", lambda: "TracerPid:\t0" not in
                   open(f"/proc/{registry.process.pid}/status").read())
        assert client.get(f"/v2/a/blobs/{named}").body == data
        tracer.send_signal(signal.SIGINT)
        tracer.wait(60)
        calls = trace.read_text()
        sent = sum(int(count) for count in re.findall(r"sendfile\(.*= (\d+)", calls))
        assert sent == len(data)
        assert sum(int(count) for count in re.findall(r"(?:write|sendto|sendmsg)\(.*= (\d+)", calls)) < 10_000


def test_a_stop_waits_for_running_requests(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        data = b"x" * 50_000_000
        named = client.push_blob("a", data)
        connection = client.connect()
        connection.request("GET", f"/v2/a/blobs/{named}")
        answer = connection.getresponse()
        first = answer.read(1000)
        registry.process.terminate()
        assert first + answer.read() == data
        assert registry.process.wait(60) == 0
