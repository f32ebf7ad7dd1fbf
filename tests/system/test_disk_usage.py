"""What lies on the engine's disk: how much it is, whether it is whole, and how it goes."""
import contextlib
import hashlib
import os
import random
import re
import subprocess
import tarfile

import pytest

from engine import BIN, Engine, file_list, wait_until, without_ages


def answer(engine, method, target):
    status, body = engine.request(method, target)
    assert status == 200, body
    return body


def disk_use(folder):
    done = subprocess.run(["du", "-s", "-x", "--block-size=1", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def build(engine, folder, name, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM busybox\n" + "\n".join(lines) + "\n")
    tag = ["-t", name] if name else []
    engine.berth("build", "-q", *tag, folder)


def content_tar(folder, size):
    data = folder / "noise"
    data.write_bytes(random.Random(size).randbytes(size))
    with tarfile.open(folder / "noise.tar", "w") as tar:
        tar.add(data, "noise")
    return folder / "noise.tar"


def test_df_agrees_with_du(fresh_engine, tmp_path):
    engine = fresh_engine
    engine.berth("import", content_tar(tmp_path, 20 << 20), "noise")
    engine.berth("create", "--name", "one", "-v", "data:/data", "busybox", "true")
    engine.berth("run", "--name", "two", "-v", "data:/data", "busybox", "dd", "if=/dev/urandom", "of=/data/file", "bs=1M", "count=3")
    engine.berth("run", "--name", "three", "busybox", "dd", "if=/dev/urandom", "of=/file", "bs=1M", "count=5")
    build(engine, tmp_path / "a", "built", "RUN head -c 2000000 /dev/urandom > /shared")
    build(engine, tmp_path / "b", "gone", "RUN --mount=type=cache,target=/c head -c 3000000 /dev/urandom > /c/mounted",
          "RUN head -c 4000000 /dev/urandom > /cached")
    engine.berth("rmi", "gone")
    usage = answer(engine, "GET", "/system/df")
    cached = sum(record["Size"] for record in usage["BuildCache"] if not record["Shared"])
    assert 7000000 < cached < 7500000
    pairs = [
        (usage["LayersSize"] + cached, ["layers", "blobs", "build-cache"]),
        (sum(container.get("SizeRw", 0) for container in usage["Containers"]), ["snapshots"]),
        (sum(volume["UsageData"]["Size"] for volume in usage["Volumes"]), ["volumes"]),
    ]
    block = os.statvfs(engine.data).f_bsize
    for counted, folders in pairs:
        there = sum(disk_use(engine.data / folder) for folder in folders)
        # Each file and directory takes whole blocks.
        rounding = block * sum(len(file_list(engine.data / folder)) + 1 for folder in folders)
        assert counted - rounding <= there <= counted + rounding, (folders, counted, there, rounding)
    noise = [image for image in usage["Images"] if "noise:latest" in image["RepoTags"]][0]
    assert noise["SharedSize"] == 0 and noise["Size"] > 20 << 20 and noise["Containers"] == 0


@pytest.mark.parametrize("form", ["directory", "erofs"])
def test_a_sparse_file_counts_as_what_it_takes(tmp_path, rootfs_tar, form):
    with Engine(tmp_path, f"--storage-opt=overlay2.layer_form={form}") as engine:
        engine.berth("import", str(rootfs_tar), "busybox")
        build(engine, tmp_path / "a", "sparse", "RUN truncate -s 300M /hole && head -c 1000000 /dev/urandom >> /hole && cp /bin/busybox /b")
        usage = answer(engine, "GET", "/system/df")
        there = sum(disk_use(engine.data / folder) for folder in ["layers", "blobs"])
        assert abs(usage["LayersSize"] - there) <= 4096 * len(file_list(engine.data / "layers")), (usage["LayersSize"], there)
        assert usage["LayersSize"] < 50_000_000


def test_both_clients_print_the_same_df(fresh_engine, tmp_path):
    engine = fresh_engine
    engine.berth("create", "--name", "one", "-v", "data:/data", "busybox", "true")
    build(engine, tmp_path / "a", "built", "RUN head -c 2000000 /dev/urandom > /shared")
    build(engine, tmp_path / "b", "gone", "RUN --mount=type=cache,target=/c head -c 4000000 /dev/urandom > /cached")
    engine.berth("rmi", "gone")
    printed = engine.berth("system", "df").stdout
    assert printed == engine.docker("system", "df").stdout
    assert re.search(r"^Build Cache +3 +0 +4(\.0\d+)?MB +4(\.0\d+)?MB$", printed, re.M), printed
    for type_ in ("container", "image", "volume", "build-cache"):
        part = answer(engine, "GET", f"/v1.51/system/df?type={type_}")
        full = [key for key in ("Containers", "Images", "Volumes", "BuildCache") if part[key] is not None]
        assert full == [{"container": "Containers", "image": "Images", "volume": "Volumes", "build-cache": "BuildCache"}[type_]]
    mine, docker = (without_ages(client("system", "df", "-v").stdout).splitlines() for client in (engine.berth, engine.docker))
    assert [line.split() for line in mine] == [line.split() for line in docker]


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_prune(fresh_engine, tmp_path, client):
    engine = fresh_engine
    run = getattr(engine, client)
    build(engine, tmp_path / "a", None, "RUN echo dangling > /file")
    build(engine, tmp_path / "b", "named", "RUN echo named > /file")
    engine.berth("create", "--name", "old", "busybox")
    engine.berth("volume", "create", "kept")
    identity = engine.inspect("old")["Id"]
    done = run("container", "prune", "-f")
    assert done.stdout == f"Deleted Containers:\n{identity}\n\nTotal reclaimed space: 0B\n"
    done = run("image", "prune", "-f")
    assert done.stdout.startswith("Deleted Images:\ndeleted: sha256:"), done.stdout
    assert "\n\nTotal reclaimed space: " in done.stdout
    assert run("image", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
    assert "named" in engine.berth("images").stdout
    assert run("image", "prune", "-a", "-f", "--filter", "until=24h").stdout == "Total reclaimed space: 0B\n"
    done = run("system", "prune", "-a", "-f")
    assert "untagged: named:latest\n" in done.stdout and "untagged: busybox:latest\n" in done.stdout
    assert engine.berth("images", "-aq").stdout == ""
    assert engine.berth("volume", "ls", "-q").stdout == "kept\n"
    done = run("volume", "prune", "-a", "-f")
    assert done.stdout == "Deleted Volumes:\nkept\n\nTotal reclaimed space: 0B\n"
    wait_until("empty disk", lambda: not [name for name in file_list(engine.data) if name.startswith(("layers/", "blobs/sha256/", "tmp/"))])


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_the_build_cache_is_pruned_by_hand(fresh_engine, tmp_path, client):
    engine = fresh_engine
    run = getattr(engine, client)
    build(engine, tmp_path / "a", "kept", "RUN head -c 1000000 /dev/urandom > /kept")
    build(engine, tmp_path / "b", "gone", "RUN head -c 2000000 /dev/urandom > /gone", "RUN echo > /more")
    engine.berth("rmi", "gone")
    # The newest clients ask the daemon for no BuildKit either: this is all of what they print.
    nothing = "Total reclaimed space: 0B\n"
    assert run("builder", "prune", "-f", "--filter", "until=24h").stdout == nothing
    assert run("builder", "prune", "-f", "--keep-storage", "1g").stdout == nothing
    assert run("image", "prune", "-af", "--filter", "label=none").stdout == nothing
    records = answer(engine, "GET", "/system/df")["BuildCache"]
    done = run("builder", "prune", "-f")
    ids = [record["ID"] for record in reversed(records) if not record["Shared"]]
    lines = done.stdout.splitlines()
    assert lines[0] == "Deleted build cache objects:" and lines[1:3] == ids and re.match(r"Total reclaimed space: 2(\.0\d*)?MB", lines[4]), done.stdout
    build(engine, tmp_path / "a", "kept", "RUN head -c 1000000 /dev/urandom > /kept")
    assert len(answer(engine, "GET", "/system/df")["BuildCache"]) == 1
    done = run("builder", "prune", "-af")
    assert done.stdout.endswith("\n\nTotal reclaimed space: 0B\n"), done.stdout
    assert answer(engine, "GET", "/system/df")["BuildCache"] == []
    assert engine.berth("run", "--rm", "kept", "ls", "/kept").stdout == "/kept\n"


def test_system_prune_takes_the_build_cache(fresh_engine, tmp_path):
    engine = fresh_engine
    build(engine, tmp_path / "a", "kept", "RUN echo kept > /kept")
    build(engine, tmp_path / "b", "gone", "RUN echo gone > /gone")
    engine.berth("rmi", "gone")
    assert "Deleted build cache objects:\n" in engine.berth("system", "prune", "-f").stdout
    assert len(answer(engine, "GET", "/system/df")["BuildCache"]) == 1
    engine.berth("system", "prune", "-f", "-a")
    assert answer(engine, "GET", "/system/df")["BuildCache"] == []


@pytest.mark.parametrize("query, status, words", [
    ("?filters=%7B%22color%22:%5B%22red%22%5D%7D", 400, "invalid filter 'color'"),
    ("?filters=%7B%22until%22:%5B%221h%22%5D,%22unused-for%22:%5B%221h%22%5D%7D", 400, 'conflicting filters: "until" and "unused-for"'),
    ("?filters=%7B%22until%22:%5B%221h%22,%222h%22%5D%7D", 400, "filters expect only one value"),
    ("?filters=%7B%22until%22:%5B%22long%22%5D%7D", 400, "\"until\" filter expects a duration (e.g., '24h') or a timestamp"),
    ("?filters=%7B%22inuse%22:%5B%22maybe%22%5D%7D", 400, "invalid filter 'inuse=maybe'"),
    ("?reserved-space=-1", 400, "invalid reserved-space: -1"),
])
def test_bad_questions_about_the_build_cache(engine, query, status, words):
    got, body = engine.request("POST", "/build/prune" + query)
    assert got == status and words in body["message"], body


def test_records_by_version(fresh_engine, tmp_path):
    engine = fresh_engine
    build(engine, tmp_path / "a", "built", "RUN echo 1 > /one", "RUN echo 2 > /two")
    one, two = answer(engine, "GET", "/v1.44/system/df")["BuildCache"]
    assert sorted(two) == sorted(["ID", "Parents", "Type", "Description", "InUse", "Shared", "Size", "CreatedAt", "LastUsedAt", "UsageCount"])
    assert two["Parents"] == [one["ID"]] and "Parents" not in one
    old = answer(engine, "GET", "/v1.41/system/df")
    assert old["BuildCache"][1]["Parent"] == one["ID"] and "Parents" not in old["BuildCache"][1]
    assert old["BuilderSize"] == one["Size"] + two["Size"]
    assert "BuilderSize" not in answer(engine, "GET", "/v1.44/system/df")


@pytest.mark.parametrize("words", [
    ["container", "prune"], ["image", "prune"], ["image", "prune", "-a"], ["network", "prune"], ["volume", "prune"],
    ["volume", "prune", "-a"], ["builder", "prune"], ["system", "prune"], ["system", "prune", "-a", "--volumes"],
    ["system", "prune", "--filter", "label=a=b"],
])
def test_prompts_are_docker_s(engine, words):
    mine = engine.berth(*words, input="n\n", check=False)
    docker = engine.docker(*words, input="n\n", check=False)
    # Older clients have other words.
    assert mine.stdout.replace("unused build cache", "all dangling build cache") == \
        docker.stdout.replace("unused build cache", "all dangling build cache")
    assert mine.returncode == 0


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with open(path, "r+b") as file:  # what is mounted from it stays
        file.write(data)


def test_check_names_and_repairs(fresh_engine, tmp_path):
    engine = fresh_engine
    engine.berth("import", content_tar(tmp_path, 1 << 20), "noise")
    archive = tmp_path / "noise-image.tar"
    engine.berth("save", "-o", archive, "noise")
    done = engine.berth("system", "check", "--deep")
    assert done.stdout.endswith("2 layers, 2 images: 0 problems, 0 repaired\n"), done.stdout
    identity = engine.inspect("noise")["Id"].removeprefix("sha256:")
    damaged = engine.data / "blobs" / "sha256" / identity
    flip_a_bit(damaged)
    found = hashlib.sha256(damaged.read_bytes()).hexdigest()
    done = engine.berth("system", "check", check=False)
    assert done.returncode == 1
    assert f"blob sha256:{identity}: " in done.stdout and f"sha256:{found}" in done.stdout, done.stdout
    assert "of noise:latest" in done.stdout
    done = engine.berth("system", "check", "--repair")
    assert "(repaired: written again from the metadata)" in done.stdout and "1 problems, 1 repaired" in done.stdout
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout
    engine.berth("save", "-o", archive, "noise")


def test_check_repairs_what_was_built(fresh_engine, tmp_path):
    engine = fresh_engine
    build(engine, tmp_path / "context", "built", "RUN head -c 300000 /dev/urandom > /file")
    archive = tmp_path / "built.tar"
    engine.berth("save", "-o", archive, "built")
    # Its files, or its image, whose middle is in the one file.
    file = next(path for path in (engine.data / "layers").glob("*/*")
                if path.name == "layer.erofs" and 300000 < path.stat().st_size < 400000 or (path / "file").is_file())
    file = file / "file" if file.is_dir() else file
    kept = file.read_bytes()
    assert "0 problems" in engine.berth("system", "check", "--deep").stdout
    flip_a_bit(file)
    assert "0 problems" in engine.berth("system", "check").stdout
    done = engine.berth("system", "check", "--deep", check=False)
    assert done.returncode == 1 and "of built:latest" in done.stdout, done.stdout
    done = engine.docker("images", "-q", "built")
    assert done.stdout.strip()
    with open(file, "r+b") as restored:
        restored.write(kept)
    stray = engine.data / "layers" / ("0" * 64)
    stray.mkdir()
    done = engine.berth("system", "check", "--repair")
    assert f"leftover layers/{stray.name}: nothing names it (repaired: removed)\n" in done.stdout
    assert not stray.exists()


def test_check_while_images_come_and_go(fresh_engine, tmp_path):
    engine = fresh_engine
    archive = tmp_path / "busybox-image.tar"
    engine.berth("save", "-o", archive, "busybox")
    for round_ in range(4):
        build(engine, tmp_path / "context", f"built{round_}", f"RUN echo {round_} > /file")
        engine.berth("rmi", f"built{round_}")
        engine.berth("load", "-i", archive)
        assert "0 problems" in engine.berth("system", "check").stdout


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_point(fresh_engine, tmp_path, seed):
    """Builds, loads, removals and collections end with SIGKILL somewhere; then the check is clean and the same works."""
    engine = fresh_engine
    chance = random.Random(seed)
    engine.berth("import", content_tar(tmp_path, 4 << 20), "noise")
    archive = tmp_path / "image.tar"
    engine.berth("save", "-o", archive, "noise")
    base = tmp_path / "base.tar"
    engine.berth("save", "-o", base, "busybox")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN echo {seed} > /file\nCOPY Dockerfile /\n")
    commands = {
        "load": ["load", "-i", archive], "build": ["build", "-t", "built", context],
        "rmi": ["rmi", "-f", "noise"], "prune": ["image", "prune", "-a", "-f", "--filter", "label!=keep"],
        "import": ["import", tmp_path / "noise.tar", "other"],
    }
    for _ in range(5):
        name = chance.choice(sorted(commands))
        command = [str(word) for word in commands[name]]
        with subprocess.Popen([BIN / "berth", *command], env=engine.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as client:
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(chance.uniform(0.0, 0.3))
            engine.kill()
        engine.start()
        done = engine.berth("system", "check", "--deep", check=False)
        assert done.returncode == 0 and "0 problems" in done.stdout, (name, done.stdout)
        # What was removed is there again for the next round.
        for image in (archive, base):
            engine.berth("load", "-i", image)
        engine.berth(*command)
        for image in (archive, base):
            engine.berth("load", "-i", image)
