"""docker build and docker compose build over BuildKit's protocols, built by Berth: docker 20.10 (which has BuildKit's client
in itself) from Debian 12, and docker with the buildx and compose plugins from the root of tests/support/peers."""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from c_programs import compile_static
from certificates import Authority
from engine import BUILD, DEADLINE, ROOT, Engine, Registry, wait_until

PEERS = ROOT / "tests/support/peers"


def old_docker():
    """docker 20.10 of Debian 12, unpacked by tests/clients/fetch."""
    program = BUILD / "clients/docker/usr/bin/docker"
    if not program.exists():
        pytest.skip("docker 20.10 is a package of Debian 12's")
    return program


class Client:
    """A docker command line as its users have it."""

    def __init__(self, engine, folder, program, environment):
        self.engine, self.folder, self.program = engine, folder, program
        self.environment = {**engine.environment, "DOCKER_CONFIG": str(folder), **environment}

    def begin(self, *words, environment=None, stdin=subprocess.DEVNULL, **options):
        return subprocess.Popen([str(self.program), *(str(word) for word in words)], env={**self.environment, **(environment or {})},
                                stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)

    def run(self, *words, check=True, **options):
        process = self.begin(*words, **options)
        output, _ = process.communicate(timeout=DEADLINE)
        if check:
            assert process.returncode == 0, f"{words}: {output}\n{self.engine.log()[-3000:]}"
        return process.returncode, output

    def build(self, context, *words, **options):
        return self.run("build", "--progress=plain", *words, context, **options)


@pytest.fixture(scope="module", params=["docker 20.10", "buildx"])
def client(request, engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    if request.param == "docker 20.10":
        return Client(engine, folder, old_docker(), {"DOCKER_BUILDKIT": "1"})
    root = pathlib.Path(subprocess.run([PEERS, "root"], check=True, capture_output=True, text=True).stdout.strip())
    (folder / "cli-plugins").mkdir()
    for plugin in ("docker-buildx", "docker-compose"):
        shutil.copy(root / "usr/libexec/docker/cli-plugins" / plugin, folder / "cli-plugins" / plugin)
    return Client(engine, folder, root / "usr/bin/docker", {"DOCKER_BUILDKIT": ""})


@pytest.fixture
def context(tmp_path):
    def make(dockerfile, **files):
        folder = tmp_path / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder
    return make


def shown(engine, image, *command):
    return engine.berth("run", "--rm", image, *command).stdout


def contexts_left(engine):
    return [name for name in os.listdir(engine.data / "tmp") if name.startswith("tmp-")] if (engine.data / "tmp").exists() else []


def test_an_image_has_what_its_dockerfile_says(engine, client, context):
    folder = context("FROM busybox\nARG WORD=none\nCOPY . /context\nRUN echo $WORD > /word && ls -l /context\n"
                     "ENV NAME=value\nLABEL a=b\nCMD [\"cat\", \"/word\"]\n", one="1", two="22", ignored="x")
    (folder / "sub").mkdir()
    (folder / "sub/deep ü").write_text("deep" * 100_000)
    (folder / "sub/link").symlink_to("../one")
    os.chmod(folder / "two", 0o751)
    os.utime(folder / "two", (1_000_000_000, 1_000_000_000))
    (folder / ".dockerignore").write_text("# no\nignored\n*.log\n")
    (folder / "a.log").write_text("log")
    iid = folder.parent / "iid"
    client.build(folder, "-t", "first", "-t", "second:tag", "--build-arg", "WORD=word", "--label", "c=d", "--iidfile", iid)
    image = json.loads(engine.berth("image", "inspect", "first").stdout)[0]
    assert iid.read_text() == image["Id"]
    assert sorted(image["RepoTags"]) == ["first:latest", "second:tag"]
    assert image["Config"]["Labels"] == {"a": "b", "c": "d"} and "NAME=value" in image["Config"]["Env"]
    assert shown(engine, "first") == "word\n"
    assert sorted(shown(engine, "first", "find", "/context", "!", "-type", "d").split("\n")[:-1]) == sorted(
        ["/context/.dockerignore", "/context/Dockerfile", "/context/one", "/context/two", "/context/sub/deep ü", "/context/sub/link"])
    assert shown(engine, "first", "cat", "/context/sub/deep ü") == "deep" * 100_000
    assert shown(engine, "first", "cat", "/context/sub/link") == "1"
    assert shown(engine, "first", "stat", "-c", "%a %u %Y", "/context/two") == "751 0 1000000000\n"
    assert not contexts_left(engine)


def test_a_second_build_is_cached_up_to_what_changed(client, context):
    dockerfile = "FROM busybox\nRUN echo early\nCOPY file /file\nRUN cat /file\n"
    folder = context(dockerfile, file=f"first {client.program}")
    _, output = client.build(folder, "-t", "cached")
    assert f"first {client.program}" in output
    _, output = client.build(folder, "-t", "cached")
    assert output.count("CACHED") == 3 and "first" not in output.replace("first}", "")
    context(dockerfile, file=f"second content for {client.program}")
    _, output = client.build(folder, "-t", "cached")
    assert output.count("CACHED") == 1 and "second content" in output, output
    _, output = client.build(folder, "-t", "cached", "--no-cache")
    assert "CACHED" not in output, output


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_archive_comes_by_standard_input(engine, client, context, suffix):
    folder = context("FROM busybox\nRUN exit 3\n", file="from the archive", ignored="x")
    (folder / "other").write_text("FROM busybox\nCOPY . /context\nRUN cat /context/file\n")
    (folder / ".dockerignore").write_text("ignored\n")
    archive = folder.parent / f"context.{suffix}"
    subprocess.run(["tar", "-caf", archive, "-C", folder, "."], check=True)
    with open(archive, "rb") as stdin:
        client.build("-", "-t", "archived", "-f", "other", stdin=stdin)
    assert shown(engine, "archived", "cat", "/context/file") == "from the archive"
    assert "ignored" not in shown(engine, "archived", "ls", "/context").split()
    archive.write_bytes(archive.read_bytes()[:600] if suffix == "tar.gz" else archive.read_bytes()[:1500])
    with open(archive, "rb") as stdin:
        code, output = client.build("-", "-t", "broken", stdin=stdin, check=False)
    assert code != 0 and "ERROR" in output, output
    assert not contexts_left(engine)


def test_a_dockerfile_alone_comes_by_standard_input(engine, client, tmp_path):
    (tmp_path / "text").write_text("FROM busybox\nRUN echo alone > /word\n")
    with open(tmp_path / "text", "rb") as stdin:
        client.build("-", "-t", "alone", stdin=stdin)
    assert shown(engine, "alone", "cat", "/word") == "alone\n"


def test_targets_and_dockerfiles_elsewhere(engine, client, context):
    folder = context("FROM busybox AS one\nRUN echo 1 > /which\nFROM busybox AS two\nRUN exit 3\n")
    client.build(folder, "-t", "target", "--target", "one")
    assert shown(engine, "target", "cat", "/which") == "1\n"
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Other").write_text("FROM busybox\nCOPY . /all\n")
    (elsewhere / "Other.dockerignore").write_text("hidden\n")
    (folder / "hidden").write_text("")
    (folder / "seen").write_text("")
    client.build(folder, "-t", "other", "-f", elsewhere / "Other")
    assert sorted(shown(engine, "other", "ls", "/all").split()) == ["Dockerfile", "seen"]


def test_a_failing_step_is_shown_with_its_output_and_code(engine, client, context):
    folder = context("FROM busybox\nRUN echo some words && exit 7\n")
    code, output = client.build(folder, "-t", "failing", check=False)
    assert code != 0 and "some words" in output
    assert 'process "/bin/sh -c echo some words && exit 7" did not complete successfully: exit code: 7' in output
    assert engine.berth("images", "-q", "failing").stdout == ""
    code, output = client.build(context("FROM busybox\nBAZAAR\n"), check=False)
    assert code != 0 and "unknown instruction: BAZAAR" in output


def test_secrets_are_lent_and_leave_nothing(engine, client, context):
    secret = f"the-secret-of-{os.getpid()}"
    folder = context("FROM busybox\n"
                     "RUN --mount=type=secret,id=one [ $(wc -c < /run/secrets/one) = ${#ONE} ] || stat -c %a:%u /run/secrets/one\n"
                     "RUN --mount=type=secret,id=one,target=/s,mode=0440,uid=1000,required=true stat -c %a:%u /s && "
                     "md5sum < /s > /sum && grep ' /s ' /proc/mounts\n"
                     "RUN --mount=type=secret,id=none [ ! -e /run/secrets/none ]\n"
                     "RUN [ ! -e /s ] && [ ! -e /run/secrets/one ]\n")
    (folder.parent / "secret").write_text(secret)
    _, output = client.build(folder, "-t", "lent", "--no-cache", "--secret", f"id=one,src={folder.parent / 'secret'}")
    assert "440:1000" in output and "400:0" in output and "tmpfs" in output
    assert secret not in output
    # Neither in the image nor anywhere the engine writes.
    archive = folder.parent / "lent.tar"
    engine.berth("save", "-o", archive, "lent")
    assert secret.encode() not in archive.read_bytes()
    found = subprocess.run(["grep", "-rl", secret, engine.data, engine.exec, engine.folder / "berthd.log"], capture_output=True, text=True)
    assert found.stdout == ""
    assert str(engine.exec) + "/containers" not in pathlib.Path("/proc/self/mounts").read_text()
    code, output = client.build(context("FROM busybox\nRUN --mount=type=secret,id=gone,required=true true\n"), check=False)
    assert code != 0 and "secret gone: not found" in output


def test_a_secret_can_be_a_variable(engine, client, context):
    folder = context("FROM busybox\nRUN --mount=type=secret,id=one,env=WORD echo ${#WORD} characters && [ ! -e /run/secrets/one ]\n")
    (folder.parent / "secret").write_text("thirteen chars")
    _, output = client.build(folder, "-t", "variable", "--no-cache", "--secret", f"id=one,src={folder.parent / 'secret'}")
    assert "14 characters" in output
    assert "WORD" not in engine.berth("image", "inspect", "variable").stdout.replace("env=WORD", "").replace("#WORD", "")


ASK = r"""
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char** argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[9];
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, argv[1]);
    if (connect(s, (struct sockaddr*)&address, sizeof address) < 0 || write(s, "\0\0\0\1\13", 5) != 5) return 1;
    if (recv(s, answer, sizeof answer, MSG_WAITALL) != sizeof answer) return 2;
    return write(1, answer, sizeof answer) != sizeof answer;
}
"""


class Agent:
    """Answers an SSH agent's request for its identities: none."""

    def __init__(self, path):
        self.asked = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            with connection:
                while request := connection.recv(4096):
                    self.asked.append(request)
                    connection.sendall(bytes([0, 0, 0, 5, 12, 0, 0, 0, 0]))


def test_an_ssh_agent_answers_in_a_step(engine, client, context):
    folder = context("FROM busybox\nCOPY ask /\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && /ask $SSH_AUTH_SOCK | od -An -tx1\n"
                     "RUN test -z $SSH_AUTH_SOCK\n")
    compile_static(ASK, folder / "ask")
    agent = Agent(folder.parent / "agent")
    _, output = client.build(folder, "-t", "agent", "--no-cache", "--ssh", f"default={folder.parent / 'agent'}")
    assert "00 00 00 05 0c 00 00 00 00" in output
    assert bytes([0, 0, 0, 1, 11]) in agent.asked


def running_steps(engine):
    """Commands of build steps that run now."""
    return subprocess.run(["pgrep", "-f", "^sleep 4711"], capture_output=True, text=True).stdout.split()


def test_control_c_ends_the_step(engine, client, context):
    folder = context("FROM busybox\nRUN echo ready && sleep 4711\n")
    process = client.begin("build", "--progress=plain", "--no-cache", folder)
    wait_until("step", lambda: running_steps(engine))
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) != 0
    wait_until("end of the step", lambda: not running_steps(engine))
    wait_until("end of its container", lambda: not os.listdir(engine.exec / "containers"))
    assert not contexts_left(engine)


def test_a_client_that_is_killed_while_it_sends_leaves_nothing(engine, client, context):
    folder = context("FROM busybox\nCOPY . /all\n")
    with open(folder / "large", "wb") as file:
        file.truncate(4 << 30)
    process = client.begin("build", "--progress=plain", folder)
    wait_until("part of the context", lambda: any(
        os.path.exists(engine.data / "tmp" / name / "context/large") for name in contexts_left(engine)))
    process.kill()
    process.wait()
    wait_until("end of the build", lambda: not contexts_left(engine))
    assert engine.request("GET", "/_ping")[0] == 200


def test_builds_run_side_by_side(engine, client, context):
    folder = context("FROM busybox\nARG N\nRUN mkdir /gate; echo $N > /n\n")
    processes = [client.begin("build", "--progress=plain", "-t", f"beside:{n}", "--build-arg", f"N={n}", folder) for n in range(4)]
    for process in processes:
        assert process.wait(DEADLINE) == 0, process.stdout.read()
    assert [shown(engine, f"beside:{n}", "cat", "/n") for n in range(4)] == [f"{n}\n" for n in range(4)]


def test_compose_builds(engine, client, context):
    if not (client.folder / "cli-plugins").exists():
        pytest.skip("compose is a plugin of later versions")
    folder = context("FROM busybox\nARG WHO\nCOPY file /file\nRUN echo $WHO >> /file\n", file="of ")
    (folder / "compose.yaml").write_text("".join(
        ["services:\n"] + [f"  {name}:\n    image: composed-{name}\n    build:\n      context: .\n      args:\n        WHO: {name}\n"
                           for name in ("one", "two")]))
    client.run("compose", "--progress=plain", "-f", folder / "compose.yaml", "build")
    assert shown(engine, "composed-two", "cat", "/file") == "of two\n"


def test_what_is_not_there_says_so(client, context):
    if not (client.folder / "cli-plugins").exists():
        pytest.skip("these are buildx's")
    folder = context("FROM busybox\n")
    for words, sentence in [(["--output", "type=local,dest=out"], 'the output type "local" is not implemented'),
                            (["--build-context", "other=" + str(folder)], "--build-context) are not implemented"),
                            (["--no-cache-filter", "one"], "--no-cache-filter is not implemented")]:
        code, output = client.run("buildx", "build", "--progress=plain", *words, folder, check=False)
        assert code != 0 and sentence in output, output


def upgrade(engine, target, *headers):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(engine.socket))
    connection.sendall("\r\n".join([f"POST {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    return connection, connection.recv(65536).decode(errors="replace")


def test_a_session_is_answered_as_dockerd_does(engine):
    wanted = ["Connection: Upgrade", "Upgrade: h2c"]
    connection, answer = upgrade(engine, "/session", *wanted, "X-Docker-Expose-Session-Uuid: one")
    assert answer.startswith("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    _, taken = upgrade(engine, "/session", *wanted, "X-Docker-Expose-Session-Uuid: one")
    assert taken.startswith("HTTP/1.1 400") and "session one already exists" in taken
    connection.close()
    wait_until("end of the session", lambda: upgrade(
        engine, "/session", *wanted, "X-Docker-Expose-Session-Uuid: one")[1].startswith("HTTP/1.1 101"))
    assert "no session id in request" in upgrade(engine, "/session", *wanted)[1]
    assert "no upgrade proto in request" in upgrade(engine, "/session", "X-Docker-Expose-Session-Uuid: two")[1]
    assert "no upgrade proto in request" in upgrade(engine, "/grpc")[1]
    status, answer = engine.request("POST", "/build?version=2&remote=client-session&session=nobody")
    assert status == 200 and "no active session for nobody" in (answer if isinstance(answer, str) else json.dumps(answer))


def test_the_engine_ends_while_clients_are_connected(tmp_path):
    with Engine(tmp_path) as engine:
        wanted = ["Connection: Upgrade", "Upgrade: h2c"]
        session, _ = upgrade(engine, "/session", *wanted, "X-Docker-Expose-Session-Uuid: one")
        grpc, _ = upgrade(engine, "/grpc", *wanted)
        engine.process.terminate()
        assert engine.process.wait(DEADLINE) == 0
        engine.process = None


def test_sessions_go_over_tls(client, context, tmp_path_factory, rootfs_tar):
    """There, the connections that gRPC gets are the ends of relays."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    server, mine = authority.server(), authority.client()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Engine(tmp_path_factory.mktemp("tls"), f"--host=tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={server}/ca.pem",
                f"--tlscert={server}/cert.pem", f"--tlskey={server}/key.pem") as engine:
        engine.berth("import", str(rootfs_tar), "busybox:latest")
        folder = context("FROM busybox\nCOPY large /large\nRUN wc -c /large\n", large="x" * 3_000_000)
        remote = {"DOCKER_HOST": f"tcp://localhost:{port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(mine)}
        _, output = client.build(folder, "-t", "remote", environment=remote)
        assert "3000000 /large" in output and "remote" in engine.berth("images").stdout


def test_bases_come_from_a_registry_and_images_go_there(engine, client, context, registry):
    base, built = f"{registry.address}/base", f"{registry.address}/built:{len(client.environment['DOCKER_BUILDKIT'])}"
    engine.berth("tag", "busybox", base)
    engine.berth("push", base)
    engine.berth("rmi", base)
    folder = context(f"FROM {base}\nRUN echo built > /built\n")
    if (client.folder / "cli-plugins").exists():
        client.run("buildx", "build", "--progress=plain", "--push", "-t", built, folder)
    else:
        client.build(folder, "-t", built)
        client.run("push", built)
    engine.berth("rmi", built)
    assert shown(engine, built, "cat", "/built") == "built\n"
    engine.berth("rmi", built, base)


PASSWORD = "pass-word-of-ann"


@pytest.fixture(scope="module")
def guarded(engine, tmp_path_factory):
    """A registry that wants ann's password for everything, with team/base and team/tool in it."""
    folder = tmp_path_factory.mktemp("guarded")
    entry = subprocess.run(["perl", "-e", f"print crypt('{PASSWORD}', '$2y$05$abcdefghijklmnopqrstuu')"], capture_output=True, text=True,
                           check=True).stdout
    (folder / "users").write_text(f"ann:{entry}\n")
    with Registry(folder, "--htpasswd", folder / "users") as running:
        knowing(folder / "config", {running.address: {"auth": base64.b64encode(f"ann:{PASSWORD}".encode()).decode()}})
        for name in ("base", "tool"):
            engine.berth("tag", "busybox", f"{running.address}/team/{name}")
            engine.berth("--config", folder / "config", "push", f"{running.address}/team/{name}")
            engine.berth("rmi", f"{running.address}/team/{name}")
        yield running


def knowing(folder, auths, client=None, **more):
    """A client's environment: it knows these registries' passwords and no others."""
    folder.mkdir(exist_ok=True)
    if client is not None and not (folder / "cli-plugins").exists() and (client.folder / "cli-plugins").exists():
        (folder / "cli-plugins").symlink_to(client.folder / "cli-plugins")
    (folder / "config.json").write_text(json.dumps({"auths": auths, **more}))
    return {"DOCKER_CONFIG": str(folder)}


def is_refused(done, image):
    code, output = done
    assert code != 0 and image in output and re.search("(?i)unauthorized|no basic auth credentials", output), output


def test_passwords_of_registries_come_from_the_client_alone(engine, client, context, guarded, tmp_path):
    base, tool = (f"{guarded.address}/team/{name}:latest" for name in ("base", "tool"))
    folder = context(f"FROM {base}\nCOPY --from={tool} /etc/group /group\nRUN echo built > /built\n")
    token = {"auth": base64.b64encode(f"ann:{PASSWORD}".encode()).decode()}
    right = knowing(tmp_path / "right", {guarded.address: token}, client)
    wrong = knowing(tmp_path / "wrong", {guarded.address: {"auth": base64.b64encode(b"ann:guess").decode()}}, client)
    other = knowing(tmp_path / "other", {"127.0.0.1:1": token, f"http://{guarded.address}.example": token}, client)
    for environment in (wrong, other, None):
        is_refused(client.build(folder, "-t", "private", environment=environment, check=False), f"{guarded.address}/team/")
    assert "private" not in engine.berth("images").stdout
    _, output = client.build(folder, "-t", "private", environment=right)
    assert shown(engine, "private", "cat", "/built") == "built\n" and PASSWORD not in output
    # Nothing of one client's remains for the next, in memory or on disk.
    is_refused(client.build(folder, "-t", "again", "--pull", environment=wrong, check=False), f"{guarded.address}/team/")
    is_refused(client.build(folder, "-t", "again", "--pull", check=False), f"{guarded.address}/team/")
    client.build(folder, "-t", "again", "--pull", environment=right)
    for text in (PASSWORD, token["auth"]):
        found = subprocess.run(["grep", "-rlF", text, engine.data, engine.exec, engine.folder / "berthd.log"], capture_output=True, text=True)
        assert found.stdout == ""
    engine.berth("rmi", "private", "again", base, tool, check=False)  # dockerd does not name the bases of builds


def test_passwords_may_be_a_helpers(engine, client, context, guarded, tmp_path):
    """A program beside the client keeps them, as on desktops. When it fails, its words reach the one who builds."""
    base = f"{guarded.address}/team/base:latest"
    folder = context(f"FROM {base}\nRUN echo helped > /built\n")
    helper = tmp_path / "docker-credential-safe"
    helper.write_text("#!/bin/sh\ncase $1 in\nlist) echo '{\"%s\": \"ann\"}' ;;\nget) read -r server\n"
                      "[ -e %s/locked ] && { echo the safe is locked; exit 1; }\n"
                      "echo \"{\\\"ServerURL\\\": \\\"$server\\\", \\\"Username\\\": \\\"ann\\\", \\\"Secret\\\": \\\"%s\\\"}\" ;;\n"
                      "esac\n" % (guarded.address, tmp_path, PASSWORD))
    helper.chmod(0o755)
    environment = {**knowing(tmp_path / "config", {}, client, credsStore="safe"), "PATH": f"{tmp_path}:{client.environment['PATH']}"}
    (tmp_path / "locked").write_text("")
    code, output = client.build(folder, "-t", "helped", environment=environment, check=False)
    assert code != 0 and "the safe is locked" in output, output
    (tmp_path / "locked").unlink()
    client.build(folder, "-t", "helped", environment=environment)
    assert shown(engine, "helped", "cat", "/built") == "helped\n"
    engine.berth("rmi", "helped", base, check=False)


def test_images_go_to_a_registry_that_wants_a_password(engine, client, context, guarded, tmp_path):
    if not (client.folder / "cli-plugins").exists():
        pytest.skip("--push is buildx's")
    folder, image = context("FROM busybox\nRUN echo pushed > /built\n"), f"{guarded.address}/team/built:latest"
    environment = knowing(tmp_path / "config", {guarded.address: {"auth": base64.b64encode(f"ann:{PASSWORD}".encode()).decode()}}, client)
    words = ["buildx", "build", "--progress=plain", "--push", "-t", image, folder]
    is_refused(client.run(*words, check=False), "team/built")
    client.run(*words, environment=environment)
    engine.berth("rmi", image)
    engine.berth("--config", environment["DOCKER_CONFIG"], "pull", image)
    assert shown(engine, image, "cat", "/built") == "pushed\n"
    engine.berth("rmi", image)


def test_words_may_be_no_utf8(engine, client, context):
    folder = context("")
    (folder / "Dockerfile").write_bytes(b"FROM busybox\nRUN printf '\\351\\n' && echo caf\xe9 && exit 7\n")
    classic = engine.berth("build", "--no-cache", folder, check=False)  # whose answer is JSON
    assert "\ufffd\ncaf\ufffd\n" in classic.stdout and "returned a non-zero code: 7" in classic.stderr, classic
    if os.environ.get("BERTH_TEST_REFERENCE"):
        pytest.skip("BuildKit itself cannot: string field contains invalid UTF-8")
    code, output = client.build(folder, check=False)
    assert code != 0 and "did not complete successfully: exit code: 7" in output, output
    (folder / "Dockerfile").write_bytes(b"FROM busybox\nRUN echo caf\xe9 > /word\n")
    client.build(folder, "-t", "words")
    assert shown(engine, "words", "cat", "/word") == "caf\ufffd\n"
