"""build --squash: one layer above the base image's, with dockerd's history."""
import io
import json
import tarfile

import pytest

from engine import Engine

DOCKERFILE = """\
FROM busybox
ENV A=b
RUN echo 1 >/one; mkdir /d /gone; echo old >/d/old; echo x >/gone/x
RUN rm /one /etc/group; rm -r /d /gone; mkdir /d; echo new >/d/new; echo 2 >/two; rm -r /home; mkdir /home; echo h >/home/h
COPY f /f
CMD ["true"]
"""


@pytest.fixture(scope="module")
def experimental(tmp_path_factory, rootfs_tar):
    """docker wants to hear that before it sends --squash."""
    with Engine(tmp_path_factory.mktemp("experimental"), "--experimental") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


def context(folder, dockerfile):
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "f").write_text("file")
    return folder


def inspect(engine, name):
    return engine.request("GET", f"/v1.51/images/{name}/json")[1]


def history(engine, name):
    return engine.request("GET", f"/images/{name}/history")[1]


def last_layer(engine, name):
    archive = engine.folder / "squashed.tar"
    engine.berth("save", "-o", archive, name)
    with tarfile.open(archive) as saved:
        layers = json.load(saved.extractfile("manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=io.BytesIO(saved.extractfile(layers[-1]).read())) as layer:
            return sorted(layer.getnames())


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_one_layer_over_the_base_image(experimental, tmp_path, client):
    engine = experimental
    run = getattr(engine, client)
    plain = run("build", "-t", "plain", context(tmp_path / "a", DOCKERFILE)).stdout
    built = run("build", "--squash", "-t", "sq:1", tmp_path / "a").stdout
    assert "Using cache" in built  # the steps are those of the same build without
    base, whole, image = inspect(engine, "busybox"), inspect(engine, "plain"), inspect(engine, "sq:1")
    assert f"Successfully built {image['Id'][7:19]}" in built and f"Successfully built {whole['Id'][7:19]}" in plain
    assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"] and image["Config"] == whole["Config"]
    assert (image["Parent"], image["Comment"]) == ("", f"merge {whole['Id']} to {base['Id']}")
    steps, before = history(engine, "sq:1"), history(engine, "plain")
    assert [step["CreatedBy"] for step in steps[1:]] == [step["CreatedBy"] for step in before]
    assert (steps[0]["CreatedBy"], steps[0]["Size"]) == ("", image["Size"] - base["Size"])
    assert [step["Size"] for step in steps[1:]] == [0] * (len(steps) - 2) + [base["Size"]]
    assert {step["Id"] for step in steps[1:]} == {"<missing>"}
    # What came and went within the build is in no layer; a directory made anew hides the base image's.
    names = last_layer(engine, "sq:1")
    assert [name for name in names if name.startswith(("d", "one", "two", "gone", "f"))] == ["d", "d/new", "f", "two"]
    assert "etc/.wh.group" in names and "home/.wh..wh..opq" in names and "home/h" in names
    listing = ["sh", "-c", "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -print | sort; cat /d/new /two /home/h"]
    assert engine.berth("run", "--rm", "sq:1", *listing).stdout == engine.berth("run", "--rm", "plain", *listing).stdout
    engine.berth("rmi", "sq:1", "plain")


def test_from_a_stage_from_scratch_and_without_files(engine, tmp_path):
    engine.berth("build", "--squash", "-t", "sq:2", context(
        tmp_path / "b", "FROM busybox AS a\nRUN echo 1 >/one\nFROM a\nRUN echo 3 >/three\nRUN echo 4 >/four\n"))
    assert [step["Size"] for step in history(engine, "sq:2")][:4] == [4, 0, 0, 2]
    engine.berth("build", "--squash", "-t", "sq:3", context(tmp_path / "c", "FROM scratch\nCOPY f /f\nCOPY f /g\n"))
    top = history(engine, "sq:3")[0]
    assert top["Comment"].startswith("create new from sha256:") and top["Size"] == 8 and len(inspect(engine, "sq:3")["RootFS"]["Layers"]) == 1
    # dockerd fails here ("cannot provide diff to non-parent"); there is nothing to squash.
    engine.berth("build", "--squash", "-t", "sq:4", context(tmp_path / "d", "FROM busybox\nENV only=env\n"))
    assert inspect(engine, "sq:4")["RootFS"] == inspect(engine, "busybox")["RootFS"]
    quiet = engine.berth("build", "--squash", "-q", tmp_path / "b").stdout.strip()
    assert quiet.startswith("sha256:") and inspect(engine, quiet)["Id"] == quiet
    # The mounts of the layers are gone with the build.
    assert not list(engine.data.glob("snapshots/*"))


def test_docker_asks_for_an_experimental_engine(engine, tmp_path):
    refused = engine.docker("build", "--squash", context(tmp_path / "e", "FROM busybox\n"), check=False)
    assert refused.returncode == 1 and "experimental" in refused.stderr


def test_limits_and_hosts_of_a_build(engine, tmp_path):
    built = engine.berth("build", "--no-cache", "--add-host", "there:10.9.8.7", "--shm-size", "8m", "-m", "64m", "--cpu-shares", "512",
                         context(tmp_path / "f", "FROM busybox\nRUN grep there /etc/hosts && df -k /dev/shm | tail -n 1\n")).stdout
    assert "10.9.8.7" in built and "8192" in built
    refused = engine.berth("build", "-m", "many", tmp_path / "f", check=False)
    assert refused.returncode != 0 and "invalid size" in refused.stderr
