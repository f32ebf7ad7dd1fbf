"""Package, run and ship: the same voyage with berth and with the unmodified docker command line."""
import os
import socket
import subprocess

import pytest

from engine import Terminal, docker_client, BIN, wait_until

DOCKERFILE = """\
FROM busybox AS build
ARG GREETING=ahoy
RUN echo "$GREETING from the build" > /page.html
FROM busybox
LABEL purpose=voyage
ENV PAGE=/www/index.html
WORKDIR /www
COPY --from=build /page.html index.html
COPY static/ /www/static/
EXPOSE 8080
CMD ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"]
"""


@pytest.fixture
def context(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("static content\n")
    (tmp_path / "static" / "secret.key").write_text("not for the image\n")
    (tmp_path / ".dockerignore").write_text("**/*.key\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def fetch(port, path="/"):
    return subprocess.run(["curl", "-sS", "--fail", "--retry", "50", "--retry-delay", "0", "--retry-all-errors",
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_build_run_and_ship(engine, registry, context, client):
    run = getattr(engine, client)
    built = run("build", "-t", "voyage", "--build-arg", "GREETING=hello", str(context))
    assert "Successfully tagged voyage:latest" in built.stdout
    again = run("build", "-t", "voyage", "--build-arg", "GREETING=hello", str(context))
    assert "Using cache" in again.stdout and "Running in" not in again.stdout

    container = run("run", "-d", "--name", f"web-{client}", "-p", "127.0.0.1::8080", "voyage").stdout.strip()
    assert len(container) == 64
    port = run("port", f"web-{client}", "8080/tcp").stdout.strip().rsplit(":", 1)[1]
    assert fetch(port) == "hello from the build\n"
    assert fetch(port, "/static/a.txt") == "static content\n"
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["curl", "-sS", "--fail", f"http://127.0.0.1:{port}/static/secret.key"], capture_output=True, check=True)

    listed = run("ps").stdout
    assert container[:12] in listed and "voyage" in listed and f"127.0.0.1:{port}->8080/tcp" in listed
    assert "response:200" in wait_until("log line", lambda: run("logs", f"web-{client}").stderr)

    run("stop", "-t", "1", f"web-{client}")
    assert f"web-{client}" in run("ps", "-a", "--filter", "status=exited").stdout
    run("rm", f"web-{client}")

    shipped = f"{registry.address}/{client}/voyage:1"
    run("tag", "voyage", shipped)
    pushed = run("push", shipped).stdout
    assert "digest: sha256:" in pushed
    run("rmi", shipped, "voyage")
    assert engine.request("GET", "/images/voyage/json")[0] == 404
    pulled = run("pull", shipped).stdout
    assert "Status: Downloaded newer image" in pulled
    assert run("run", "--rm", shipped, "cat", "/www/index.html").stdout == "hello from the build\n"


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_exec_on_a_terminal(engine, client):
    engine.berth("run", "-d", "--name", "target", "busybox", "sleep", "1000")
    program = BIN / "berth" if client == "berth" else docker_client()
    terminal = Terminal([program, "exec", "-it", "target", "sh"], engine.environment)
    terminal.expect("# ")
    terminal.send("tty; stty size; echo mark$((6*7))\n")
    terminal.expect("/dev/pts/")
    terminal.expect("40 132")
    terminal.expect("mark42")
    terminal.send("exit 7\n")
    assert terminal.wait() == 7


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_run_on_a_terminal_and_detach(engine, client):
    program = BIN / "berth" if client == "berth" else docker_client()
    terminal = Terminal([program, "run", "-it", "--name", f"detach-{client}", "busybox", "sh"], engine.environment)
    terminal.expect("# ")
    terminal.send("echo one$((1+1))\n")
    terminal.expect("one2")
    terminal.send("\x10\x11")  # ctrl-p ctrl-q
    assert terminal.wait() == 0
    assert engine.inspect(f"detach-{client}")["State"]["Running"]
    terminal = Terminal([program, "attach", f"detach-{client}"], engine.environment)
    terminal.send("echo two$((2+2))\n")
    terminal.expect("two4")
    terminal.send("exit 3\n")
    assert terminal.wait() == 3


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_streams_and_exit_codes(engine, client):
    run = getattr(engine, client)
    done = run("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 5)
    done = run("run", "--rm", "-i", "busybox", "cat", input="line\n" * 100000)
    assert done.stdout == "line\n" * 100000
    assert run("run", "--rm", "busybox", "nonsense", check=False).returncode == 127
    assert run("run", "--rm", "busybox", "/etc/passwd", check=False).returncode == 126
    killed = "sh -c 'kill -9 $$'; exit $?"
    assert run("run", "--rm", "busybox", "sh", "-c", killed, check=False).returncode == 137


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_dockerfile_beside_its_context(engine, client, tmp_path):
    """docker's client adds it to the context's tar, which then ends without padding."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context/file").write_text("of the context\n")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY file /file\n")
    run = getattr(engine, client)
    run("build", "-t", f"beside:{client}", "-f", str(tmp_path / "Dockerfile"), str(tmp_path / "context"))
    assert run("run", "--rm", f"beside:{client}", "cat", "/file").stdout == "of the context\n"


@pytest.mark.parametrize("program", [BIN / "berth", docker_client()], ids=["berth", "docker"])
def test_a_context_on_standard_input(engine, program, tmp_path):
    """A Dockerfile alone, or an archive."""
    (tmp_path / "Other").write_text("FROM busybox\nCOPY Other /file\n")
    for form, flag in (("tar", ""), ("tar.gz", "z"), ("tar.xz", "J")):
        subprocess.run(["tar", f"-c{flag}f", tmp_path / f"context.{form}", "-C", tmp_path, "Other"], check=True)
        built = engine.run("sh", "-c", f'exec {program} build -q -t given:{form} -f Other - <"$0"', tmp_path / f"context.{form}").stdout.strip()
        assert engine.inspect(f"given:{form}")["Id"] == built
    engine.run(program, "build", "-t", "given:alone", "-", input="FROM busybox\nRUN echo alone > /file\n")
    assert engine.berth("run", "--rm", "given:alone", "cat", "/file").stdout == "alone\n"
    done = engine.run(program, "build", "-f", "Other", "-", input="FROM busybox\n", check=False)
    assert done.returncode != 0 and "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles" in done.stderr


def test_save_load_and_import(engine, tmp_path):
    archive = tmp_path / "image.tar"
    identity = engine.inspect("busybox")["Id"]
    engine.berth("save", "-o", str(archive), "busybox:latest")
    engine.berth("tag", "busybox:latest", "other:1")
    engine.berth("rmi", "other:1")
    loaded = engine.docker("load", "-i", str(archive)).stdout
    assert "Loaded image: busybox:latest" in loaded
    assert engine.inspect("busybox")["Id"] == identity
    copied = subprocess.run(["skopeo", "inspect", "--config", f"docker-archive:{archive}"], capture_output=True, text=True)
    assert copied.returncode == 0, copied.stderr


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_debians_registry_as_the_other_side(engine, client, tmp_path):
    run = getattr(engine, client)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "config.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {tmp_path}/data\nhttp:\n  addr: 127.0.0.1:{port}\n")
    peer = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "config.yml")], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    try:
        wait_until("registry", lambda: subprocess.run(["curl", "-sf", f"http://127.0.0.1:{port}/v2/"],
                                                      capture_output=True).returncode == 0)
        name = f"127.0.0.1:{port}/peer/busybox:1"
        run("tag", "busybox:latest", name)
        run("push", name)
        identity = engine.inspect(name)["Id"]
        run("rmi", name)
        run("pull", name)
        assert engine.inspect(name)["Id"] == identity
        run("rmi", name)
    finally:
        peer.terminate()
        peer.wait()


def test_hello_needs_nothing(engine):
    assert "Berth" in engine.berth("run", "--rm", "berth/hello").stdout
