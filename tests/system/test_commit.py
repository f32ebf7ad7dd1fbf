"""commit: a container's changes as an image, as dockerd 28.5 makes it, from a clean copy and however the engine ends."""
import io
import json
import random
import tarfile
import threading
import time
import urllib.parse

import pytest

from engine import wait_until

CHANGES = ['CMD ["a"]', "ENV X=y Z=$A", "LABEL l=m", "EXPOSE 81", "VOLUME /v", "WORKDIR /w", "USER guest", "STOPSIGNAL 9",
           "ONBUILD RUN x", "HEALTHCHECK --interval=5s CMD true"]


def layer_of(engine, image, number=-1):
    """The entries of an image's layer."""
    archive = engine.data.parent / "saved.tar"
    engine.berth("save", "-o", archive, image)
    with tarfile.open(archive) as saved:
        layers = json.load(saved.extractfile("manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=io.BytesIO(saved.extractfile(layers[number]).read())) as layer:
            return {entry.name: entry for entry in layer}


def image_of(engine, name):
    status, document = engine.request("GET", f"/v1.51/images/{name}/json")
    assert status == 200, document
    return document


def history_of(engine, name):
    return engine.request("GET", f"/images/{name}/history")[1]


@pytest.fixture
def changed(engine):
    engine.berth("run", "--name", "changed", "-e", "A=1", "-l", "own=1", "--cap-add", "MKNOD", "busybox", "sh", "-c",
                 "echo hi >/new; rm /etc/group; mkdir -p /d/e; chmod 700 /d; ln /new /new2; mknod /dev2 c 1 3; touch /tmp/x")
    yield "changed"


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_commit_is_what_dockerd_makes_of_it(engine, changed, client):
    base = image_of(engine, "busybox")
    words = [word for change in CHANGES for word in ("-c", change)]
    made = getattr(engine, client)("commit", "-a", "me <me@x>", "-m", "a message", *words, changed, f"{client}-made:1").stdout.strip()
    image = image_of(engine, f"{client}-made:1")
    assert (image["Id"], image["Parent"], image["Comment"], image["Author"]) == (made, base["Id"], "a message", "me <me@x>")
    assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"] and image["Size"] == base["Size"] + 3
    assert image["Config"] == {
        "Cmd": ["a"], "Entrypoint": None, "Env": ["A=1", "X=y", "Z=1"], "ExposedPorts": {"81/tcp": {}},
        "Healthcheck": {"Interval": 5000000000, "Test": ["CMD-SHELL", "true"]}, "Labels": {"l": "m", "own": "1"},
        "OnBuild": ["RUN x"], "StopSignal": "9", "User": "guest", "Volumes": {"/v": {}}, "WorkingDir": "/w"}
    top, below = history_of(engine, f"{client}-made:1")
    assert (top["Id"], top["Comment"], top["Size"]) == (made, "a message", 3)
    assert top["CreatedBy"].startswith("sh -c echo hi >/new;") and below["Id"] == base["Id"]
    # Neither what the engine mounts on, nor what it only walked through.
    entries = layer_of(engine, f"{client}-made:1")
    assert sorted(entries) == ["d", "d/e", "dev2", "etc", "etc/.wh.group", "new", "new2", "tmp", "tmp/x"]
    assert entries["d"].mode == 0o700 and entries["new2"].islnk() and entries["dev2"].ischr()
    seen = engine.berth("run", "--rm", "-u", "root", f"{client}-made:1", "sh", "-c", "cat /new; ls /etc/group; stat -c %h /new2", check=False)
    assert seen.stdout == "hi\n2\n" and "No such file" in seen.stderr
    engine.berth("rmi", f"{client}-made:1")


def test_what_is_left_open_comes_from_the_container(engine, changed):
    def config(query, body=None):
        status, made = engine.request("POST", f"/commit?container=changed&{query}", body if body is not None else {})
        assert status == 201, made
        found = image_of(engine, made["Id"])["Config"]
        engine.berth("rmi", made["Id"])
        return found

    own = config("")
    assert own["Cmd"][:2] == ["sh", "-c"] and own["Env"] == ["A=1"] and own["Labels"] == {"own": "1"}
    body = config("", {"Cmd": ["x"], "Env": ["B=2"], "Labels": {"q": "r"}, "User": "u", "WorkingDir": "/ww"})
    assert (body["Cmd"], body["Env"], body["Labels"], body["User"], body["WorkingDir"]) == \
        (["x"], ["B=2", "A=1"], {"own": "1", "q": "r"}, "u", "/ww")
    both = config("changes=CMD%20a%0AENV%20Q%3D1&changes=USER%20zz", {"Cmd": ["x"]})
    assert (both["Cmd"], both["Env"], both["User"]) == (["/bin/sh", "-c", "a"], ["Q=1", "A=1"], "zz")
    engine.berth("create", "--name", "entry", "--entrypoint", "/bin/echo", "busybox", "word")
    none = engine.berth("commit", "-c", "ENTRYPOINT []", "entry").stdout.strip()
    assert image_of(engine, none)["Config"]["Entrypoint"] in ([], None)
    kept = engine.berth("commit", "-c", "ENTRYPOINT [\"/bin/ls\"]", "entry").stdout.strip()
    assert image_of(engine, kept)["Config"]["Entrypoint"] == ["/bin/ls"] and image_of(engine, kept)["Config"]["Cmd"] is None
    engine.berth("rm", "entry")


def test_nothing_changed_is_no_layer(engine):
    engine.berth("create", "--name", "same", "busybox")
    engine.berth("commit", "-m", "empty", "same", "same:1")
    assert image_of(engine, "same:1")["RootFS"] == image_of(engine, "busybox")["RootFS"]
    assert [step["Size"] for step in history_of(engine, "same:1")][0] == 0
    engine.berth("run", "--name", "ran", "busybox", "true")
    engine.berth("commit", "ran", "same:2")
    assert image_of(engine, "same:2")["RootFS"] == image_of(engine, "busybox")["RootFS"]
    engine.berth("run", "--name", "again", "same:2", "sh", "-c", "echo more >/more")
    engine.berth("commit", "again", "same:3")
    assert [step["Size"] for step in history_of(engine, "same:3")][:2] == [5, 0]
    assert engine.berth("run", "--rm", "same:3", "cat", "/more").stdout == "more\n"


def test_the_same_content_is_the_same_layer(engine):
    fill = ("mkdir -p /data/sub; for i in 1 2 3; do echo $i >/data/sub/$i; done; ln /data/sub/1 /data/link; rm -r /home; "
            "chmod 1777 /data; find /data | xargs touch -h -d '2020-01-01 00:00:00'")
    layers = []
    for name in ("one", "two"):
        engine.berth("run", "--name", name, "busybox", "sh", "-c", fill)
        engine.berth("commit", "-m", name, name, f"{name}:1")
        layers.append(image_of(engine, f"{name}:1")["RootFS"]["Layers"][-1])
    assert layers[0] == layers[1]


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_a_running_container_stands_still_meanwhile(engine, client):
    container = engine.berth("run", "-d", "--name", "running", "busybox", "sh", "-c", "while :; do echo x >>/file; done").stdout.strip()
    run = getattr(engine, client)
    wait_until("changes", lambda: "A /file" in engine.berth("diff", "running").stdout)
    run("commit", "running", "still:1")
    assert engine.inspect("running")["State"]["Status"] == "running"
    assert [action for action in actions_of(engine, container) if not action.startswith("exec")][-4:] == \
        ["start", "pause", "commit", "unpause"]
    run("commit", "--pause=false", "running", "still:2")
    assert actions_of(engine, container)[-2:] == ["unpause", "commit"]
    engine.berth("pause", "running")
    run("commit", "running", "still:3")
    assert engine.inspect("running")["State"]["Status"] == "paused"
    engine.berth("unpause", "running")
    engine.berth("rm", "-f", "running")


def actions_of(engine, container):
    filters = urllib.parse.quote(json.dumps({"container": [container]}))
    status, text = engine.request("GET", f"/events?since=0&until={time.time():.9f}&filters={filters}")
    assert status == 200 and isinstance(text, str)
    return [json.loads(line)["Action"] for line in text.splitlines()]


@pytest.mark.parametrize("words, message", [
    (["nope"], "Error response from daemon: No such container: nope"),
    (["changed", "BAD"], "invalid reference format: repository name (library/BAD) must be lowercase"),
    (["changed", "x@sha256:" + "a" * 64], "refusing to create a tag with a digest reference"),
    (["-c", "RUN x", "changed"], "Error response from daemon: RUN is not a valid change command"),
    (["-c", "Foo x", "changed"], "Error response from daemon: Foo is not a valid change command"),
    (["-c", "ENV", "changed"], "Error response from daemon: ENV requires at least one argument"),
    (["-c", "HEALTHCHECK FOO", "changed"], "Error response from daemon: Unknown type \"FOO\" in HEALTHCHECK (try CMD)")])
def test_refusals_are_dockers(engine, changed, words, message):
    before = engine.berth("images", "-aq").stdout
    refused = engine.docker("commit", *words, check=False)
    assert (refused.returncode, refused.stderr.strip()) == (1, message)
    own = engine.berth("commit", *words, check=False)
    assert own.returncode == 1 and message.removeprefix("Error response from daemon: ") in own.stderr
    assert engine.berth("images", "-aq").stdout == before


@pytest.mark.parametrize("target, body, status, message", [
    ("/commit", None, 400, 'invalid name or ID supplied: ""'),
    ("/commit?container=nope", {}, 404, "No such container: nope"),
    ("/commit?container=changed&repo=com&tag=bad%20tag", {}, 400, "invalid tag format"),
    ("/commit?container=changed&repo=com@sha256:" + "a" * 64, {}, 400, "cannot import digest reference")])
def test_the_api_refuses_as_dockerd_does(engine, changed, target, body, status, message):
    assert engine.request("POST", target, body) == (status, {"message": message})


def test_names_follow_dockers_rules(engine, changed):
    for query, names in (("repo=com&tag=", ["com:latest"]), ("repo=&tag=foo", []), ("repo=com:x&tag=y", ["com:y"])):
        status, made = engine.request("POST", f"/commit?container=changed&{query}", {})
        assert status == 201 and image_of(engine, made["Id"])["RepoTags"] == names


def test_a_killed_engine_leaves_nothing_half_made(fresh_engine):
    engine = fresh_engine
    container = engine.berth("run", "-d", "--name", "big", "busybox", "sh", "-c",
                             "for i in $(seq 300); do head -c 200000 /dev/urandom >/file$i; done; touch /ready; while :; do date >/now; done").stdout.strip()
    wait_until("content", lambda: engine.berth("exec", "big", "ls", "/ready", check=False).returncode == 0)
    before = engine.berth("images", "-aq").stdout
    chance = random.Random(4)
    for _ in range(6):
        commit = threading.Thread(target=lambda: engine.berth("commit", "big", "half:1", check=False))
        commit.start()
        # Random moments between the request and its end; nothing to wait for by design.
        commit.join(chance.uniform(0.0, 0.6))
        engine.kill()
        commit.join()
        engine.start()
        # A container that the killed engine had paused runs on.
        assert engine.inspect(container)["State"]["Status"] == "running"
        now = engine.berth("exec", "big", "cat", "/now").stdout
        wait_until("the container's next second", lambda: engine.berth("exec", "big", "cat", "/now").stdout != now)
        engine.berth("system", "check")
        made = engine.berth("images", "-q", "half").stdout.strip()
        if made:
            assert engine.berth("run", "--rm", "half:1", "ls", "/ready").stdout == "/ready\n"
            engine.berth("rmi", "half:1")
        assert engine.berth("images", "-aq").stdout == before
    engine.berth("commit", "big", "whole:1")
    assert engine.berth("run", "--rm", "whole:1", "sh", "-c", "ls /file* | wc -l").stdout.strip() == "300"
