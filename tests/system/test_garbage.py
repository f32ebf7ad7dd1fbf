"""Garbage goes by itself: what broken-off work left, and what of the build cache is over its limits. What is used stays."""
import gzip
import json
import os
import subprocess

import pytest

from engine import BIN, Engine, file_list, wait_until
from registries import CONFIG, LAYER, MANIFEST, Client, describe, digest
from tars import tar_of

AT_ONCE = ["--gc-delay=0s", "--gc-interval=0s", "--gc-unused-for=0s"]


def context(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM busybox\n" + "\n".join(lines) + "\n")
    return folder


def cache(engine):
    """Records of the build cache by what they say."""
    status, usage = engine.request("GET", "/system/df?type=build-cache")
    assert status == 200, usage
    return {record["Description"]: record for record in usage["BuildCache"]}


@pytest.fixture
def configured(tmp_path, rootfs_tar):
    """Starts an engine with a daemon.json."""
    engines = []

    def start(document, *flags):
        path = tmp_path / "daemon.json"
        path.write_text(json.dumps(document))
        engine = Engine(tmp_path, f"--config-file={path}", *flags)
        engines.append(engine)
        engine.start()
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        return engine

    yield start
    for engine in engines:
        engine.stop()


def build_noise(engine, folder, name, size=3 << 20):
    """A build that fails behind a step with so many bytes: only the cache has that step."""
    done = engine.berth("build", context(folder, f"RUN head -c {size} /dev/urandom > /{name}", "RUN false"), check=False)
    assert "returned a non-zero code: 1" in done.stdout + done.stderr
    return next(record for words, record in cache(engine).items() if words.endswith(f"> /{name}"))


def test_the_build_cache_is_cut_down_to_its_limit(configured, tmp_path):
    engine = configured({"builder": {"gc": {"defaultKeepStorage": "8MB", "policy": [{"all": True}]}}}, "--gc-interval=0s", "--gc-delay=0s")
    first = build_noise(engine, tmp_path / "a", "first")
    assert 3 << 20 <= first["Size"] < 4 << 20 and not first["Shared"] and not first["InUse"] and first["Type"] == "regular"
    build_noise(engine, tmp_path / "b", "second")
    build_noise(engine, tmp_path / "a", "first")  # is used again
    assert next(iter(cache(engine).values()))["UsageCount"] == 1
    before = len([name for name in file_list(engine.data) if name.startswith("layers/")])
    engine.berth("build", context(tmp_path / "c", "RUN head -c 3145728 /dev/urandom > /third", "RUN false"), check=False)
    wait_until("a smaller cache", lambda: len(cache(engine)) == 2)
    assert [words.split("/")[-1] for words in cache(engine)] == ["first", "third"]
    wait_until("its line", lambda: 'msg="build cache collected" records=1 bytes=3' in engine.log())
    # Young as they are, the layers have gone with it.
    wait_until("a smaller disk", lambda: len([name for name in file_list(engine.data) if name.startswith("layers/")]) <= before)
    done = engine.berth("build", context(tmp_path / "a", "RUN head -c 3145728 /dev/urandom > /first", "RUN true"))
    assert "Using cache" in done.stdout


def test_a_disabled_collector_leaves_the_build_cache(configured, tmp_path):
    engine = configured({"builder": {"gc": {"enabled": False, "policy": [{}]}}}, *AT_ONCE)
    build_noise(engine, tmp_path / "a", "kept")
    (tmp_path / "garbage.tar").write_bytes(b"garbage")
    assert engine.berth("load", "-i", tmp_path / "garbage.tar", check=False).returncode == 1
    build_noise(engine, tmp_path / "b", "kept-too")
    assert len(cache(engine)) == 2 and "build cache collected" not in engine.log()


def test_a_policy_removes_what_is_old(configured, tmp_path):
    engine = configured({"builder": {"gc": {"policy": [{"filter": ["unused-for=0s"], "keepStorage": "0"}]}}}, "--gc-interval=0s", "--gc-delay=1h")
    record = build_noise(engine, tmp_path / "a", "old")
    engine.berth("build", "-t", "named", context(tmp_path / "b", "RUN echo named > /file"))
    engine.stop()
    engine.flags = [flag for flag in engine.flags if not flag.startswith("--gc-delay")] + ["--gc-delay=0s"]
    engine.start()
    wait_until("an empty cache", lambda: record["ID"] not in [other["ID"] for other in cache(engine).values()])
    # An image has these steps, too.
    assert [words.split()[-1] for words in cache(engine)] == ["/file"]
    assert engine.berth("run", "--rm", "named", "cat", "/file").stdout == "named\n"


def layer_of(name, size):
    """A tar, compressed, and the digest of what is in it."""
    tar = tar_of({name: os.urandom(size)})
    return gzip.compress(tar, 1), digest(tar)


def test_what_a_broken_pull_left_goes_by_its_age(fresh_engine, registry, tmp_path):
    engine = fresh_engine
    engine.stop()
    engine.flags += ["--max-concurrent-downloads=1"]  # so that the first layer is there when the second fails
    engine.start()
    (first, first_id), (second, second_id) = layer_of("first", 3 << 20), layer_of("second", 1 << 20)
    pushing = Client(registry.address)
    for tag, last_id in (("good", second_id), ("bad", "sha256:" + "1" * 64)):
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [first_id, last_id]}}).encode()
        for data in (first, second, config):
            pushing.push_blob("broken", data)
        pushing.push_manifest("broken", tag, {"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config),
                                              "layers": [describe(LAYER, first), describe(LAYER, second)]})
    before = file_list(engine.data)
    assert engine.berth("pull", f"{registry.address}/broken:bad", check=False).returncode == 1
    blob = f"blobs/sha256/{digest(first).split(':')[1]}"
    assert blob in file_list(engine.data)
    # A round spares it: whoever pulls again finds it there.
    engine.stop()
    engine.flags += ["--gc-delay=0s", "--gc-interval=0s"]
    engine.start()
    done = engine.berth("pull", f"{registry.address}/broken:good")
    assert done.stdout.count("Downloading") == 0, done.stdout
    engine.berth("rmi", f"{registry.address}/broken:good")
    assert engine.berth("pull", f"{registry.address}/broken:bad", check=False).returncode == 1
    assert blob in file_list(engine.data)
    engine.stop()
    engine.flags += ["--gc-unused-for=0s"]
    engine.start()
    wait_until("a clean disk", lambda: file_list(engine.data) == before)
    assert 'msg="garbage collected" ' in engine.log()
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout
    assert engine.berth("images", "-q").stdout.count("\n") == 1


def test_garbage_is_collected_while_work_goes_on(fresh_engine, tmp_path):
    """Builds, loads and runs side by side with a collector that never rests: nothing that is used goes."""
    engine = fresh_engine
    engine.stop()
    engine.flags += ["--gc-delay=0s", "--gc-interval=1ms", "--gc-unused-for=0s"]
    engine.start()
    archive = tmp_path / "busybox.tar"
    engine.berth("save", "-o", archive, "busybox")
    folders = [context(tmp_path / str(number), f"RUN echo {number} > /file", "RUN cat /file > /copy", "COPY Dockerfile /") for number in range(3)]
    for _ in range(3):
        builds = [subprocess.Popen([BIN / "berth", "build", "--no-cache", "-q", "-t", f"built{number}", folder], env=engine.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                  for number, folder in enumerate(folders)]
        engine.berth("load", "-i", archive)
        for build in builds:
            _, errors = build.communicate(timeout=60)
            assert build.returncode == 0, errors
        for number in range(3):
            assert engine.berth("run", "--rm", f"built{number}", "cat", "/copy").stdout == f"{number}\n"
        engine.berth("rmi", "-f", "built0")
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout


def test_an_engine_stops_while_it_collects(fresh_engine):
    engine = fresh_engine
    engine.stop()
    engine.flags += ["--gc-delay=0s", "--gc-interval=1ms"]
    for _ in range(5):
        engine.start()
        engine.stop()
    assert "SIG" not in engine.log() and "ERROR" not in engine.log()


@pytest.mark.parametrize("document, words", [
    ({"builder": {"gc": {"defaultKeepStorage": "much"}}}, "builder.gc.defaultKeepStorage: invalid size: 'much'"),
    ({"builder": {"gc": {"policy": [{"filter": ["color=red"]}]}}}, "builder.gc.policy[0].filter: invalid filter 'color'"),
    ({"builder": {"gc": {"keep": 1}}}, '"builder.gc.keep" is not a configuration option'),
    ({"builder": 1}, 'the value of "builder" must be an object'),
    ({"gc-interval": "often"}, 'gc-interval: "often" is not a duration such as "90s"'),
])
def test_bad_limits_are_told_at_the_start(tmp_path, document, words):
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(document))
    done = subprocess.run([BIN / "berthd", "--validate", "--config-file", path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    path.write_text(json.dumps({"builder": {"gc": {"defaultKeepStorage": "20GB"}}}))
    done = subprocess.run([BIN / "berthd", "--validate", "--config-file", path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
