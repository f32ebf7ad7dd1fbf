"""load of what is no image: 200 and an error as the stream's message, which docker prints and ends with 1, as from dockerd 28.5."""
import gzip
import json

import pytest

from tars import tar_of


def manifest(layers, tag="x:1"):
    return json.dumps([{"Config": "abc.json", "RepoTags": [tag], "Layers": layers}]).encode()


def config(*diff_ids):
    return json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": list(diff_ids)}}).encode()


DIFF = "sha256:" + "a" * 64
# In dockerd's words; where it names a file of its own below /var/lib/docker/tmp, in ours.
CASES = {
    "garbage": (b"this is no archive\n" * 100, "archive/tar: invalid tar header"),
    "compressed garbage": (gzip.compress(b"hello" * 1000), "archive/tar: invalid tar header"),
    "numbers": (bytes(i * 7919 % 251 for i in range(20000)), "archive/tar: invalid tar header"),
    "nothing": (b"", "invalid image archive: neither manifest.json nor index.json is in it"),
    "zeros": (bytes(4096), "invalid image archive: neither manifest.json nor index.json is in it"),
    "another tar": (tar_of({"hello": b"world"}), "invalid image archive: neither manifest.json nor index.json is in it"),
    "no JSON": (tar_of({"manifest.json": b"{nope"}), "manifest.json: invalid JSON"),
    "no list": (tar_of({"manifest.json": b"{}"}), "manifest.json: expected an array, found an object"),
    "no configuration": (tar_of({"manifest.json": manifest([])}), "image archive: abc.json is not in it"),
    "a bad configuration": (tar_of({"manifest.json": manifest([]), "abc.json": b"nope"}), "image configuration: invalid JSON"),
    "a bad tag": (tar_of({"manifest.json": manifest([], "X:1:2"), "abc.json": config()}),
                  "invalid reference format: repository name (library/X) must be lowercase"),
    "no layer": (tar_of({"manifest.json": manifest(["l/layer.tar"]), "abc.json": config(DIFF)}), "image archive: layer l/layer.tar is not in it"),
    "too many layers": (tar_of({"manifest.json": manifest(["l/layer.tar"]), "abc.json": config()}),
                        "invalid manifest, layers length mismatch: expected 1, got 0"),
    "another layer": (tar_of({"manifest.json": manifest(["l/layer.tar"]), "abc.json": config(DIFF), "l/layer.tar": tar_of({"f": b"x"})}),
                      f'invalid diffID for layer 0: expected "{DIFF}", got "sha256:'),
}


def stream(engine, data, query="quiet=0"):
    status, body = engine.request("POST", f"/images/load?{query}", data, {"Content-Type": "application/x-tar"})
    assert status == 200, body
    text = body if isinstance(body, str) else json.dumps(body)
    return [json.loads(line) for line in text.splitlines()]


def check(engine, data, message):
    before = engine.berth("images", "-aq").stdout
    for quiet in "01":
        last = stream(engine, data, f"quiet={quiet}")[-1]
        assert last["error"].startswith(message) and last["errorDetail"] == {"message": last["error"]}
    for client in ("docker", "berth"):
        path = engine.folder / "load.tar"
        path.write_bytes(data)
        refused = getattr(engine, client)("load", "-i", path, check=False)
        assert refused.returncode == 1 and refused.stderr.removeprefix("berth: ").startswith(message), refused.stderr
    assert engine.berth("images", "-aq").stdout == before


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_image(engine, case):
    check(engine, *CASES[case])


def test_a_broken_image(engine):
    path = engine.folder / "good.tar"
    engine.berth("save", "-o", path, "busybox")
    good = path.read_bytes()
    for broken in (good[: len(good) // 2], gzip.compress(good)[: len(good) // 5]):
        check(engine, broken, "unexpected EOF")


def test_platforms(engine):
    path = engine.folder / "good.tar"
    engine.berth("save", "-o", path, "busybox")
    assert stream(engine, path.read_bytes(), "platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22s390x%22%7D") == []
    own = engine.request("GET", "/images/busybox/json")[1]["Architecture"]
    for client in ("docker", "berth"):
        run = getattr(engine, client)
        assert run("load", "--platform", f"linux/{own}", "-i", path).stdout == "Loaded image: busybox:latest\n"
        assert run("load", "--platform", "linux/s390x", "-i", path).stdout == ""
        for command in (("history",), ("image", "inspect")) if client == "docker" else (("history",),):
            assert "does not match the specified platform (linux/s390x)" in \
                run(*command, "--platform", "linux/s390x", "busybox", check=False).stderr
        assert "no suitable export target found for platform linux/s390x" in \
            run("save", "-o", path.with_suffix(".none"), "--platform", "linux/s390x", "busybox", check=False).stderr
    status, answer = engine.request("POST", "/images/load?platform=linux/amd64", b"")
    assert status == 400 and answer["message"].startswith("failed to parse platform: ")
