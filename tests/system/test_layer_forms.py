"""Layers as EROFS images and as directories, in one data root, chosen by a flag of the engine."""
import contextlib
import json
import pathlib
import subprocess

import pytest

import disks
from engine import Engine
from hostile import END, ImageServer, entry, image_documents


def form_of(engine):
    status, info = engine.request("GET", "/info")
    assert status == 200 and info["Driver"] == "overlay2"
    return dict(info["DriverStatus"])["Layer form"]


def layer_flag(form):
    return f"--storage-opt=overlay2.layer_form={form}"


# How an image is mounted, and a disk where the kernel does it so: none but a loop device has pages that lie on a tmpfs.
METHODS = {"loop": lambda engine: contextlib.nullcontext(),
           "file": lambda engine: disks.ext4(engine.data, engine.folder / "disk", 400 << 20)}


@pytest.fixture(params=METHODS)
def image_engine(request, tmp_path, rootfs_tar):
    engine = Engine(tmp_path, layer_flag("auto"))
    engine.data.mkdir()
    with METHODS[request.param](engine):
        with engine as running:
            if form_of(running) == "directory":
                pytest.skip("this kernel mounts no EROFS images")
            if form_of(running) != f"erofs ({request.param})":
                pytest.skip(f"here the kernel's way is {form_of(running)}")
            running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
            yield running


def mounts_in(engine):
    return [line for line in open("/proc/self/mounts") if f" {engine.data}/" in line]


def kinds(engine):
    return sorted("image" if (layer / "layer.erofs").exists() else "directory" for layer in (engine.data / "layers").iterdir())


def restart_with(engine, form):
    engine.stop()
    engine.flags = [flag for flag in engine.flags if "layer_form" not in flag] + [layer_flag(form)]
    engine.start()
    return form_of(engine)


def changes(engine, container):
    status, rows = engine.request("GET", f"/containers/{container}/changes")
    assert status == 200
    return sorted(("CAD"[row["Kind"]], row["Path"]) for row in rows)


def build(engine, folder, name, *steps):
    (folder / "Dockerfile").write_text("\n".join(steps) + "\n")
    engine.berth("build", "-t", name, folder)


def test_an_engine_that_stops_leaves_nothing_mounted(image_engine):
    engine = image_engine
    engine.berth("run", "--rm", "busybox", "true")
    assert [line.split()[2] for line in mounts_in(engine)] == ["erofs"], mounts_in(engine)
    engine.stop()
    assert mounts_in(engine) == []


def test_containers_and_builds_on_images(image_engine, tmp_path):
    engine = image_engine
    assert kinds(engine) == ["image"]
    engine.berth("run", "--name", "box", "busybox", "sh", "-c", "echo new >/made; rm -r /home; chmod 700 /root")
    assert changes(engine, "box") == [("A", "/made"), ("C", "/root"), ("D", "/home")]
    engine.berth("rm", "box")
    context = tmp_path / "context"
    context.mkdir()
    build(engine, context, "built", "FROM busybox", "RUN echo built >/built; ln /built /etc/twin; rm -r /home", "COPY Dockerfile /copy")
    seen = engine.berth("run", "--rm", "built", "sh", "-c", "cat /built; stat -c %h /etc/twin; ls -d /home || head -n 1 /copy").stdout
    assert seen == "built\n2\nFROM busybox\n"
    # One device for the whole tree, as programs that stay on one file system expect.
    assert engine.berth("run", "--rm", "built", "sh", "-c", "stat -c %d / /etc /bin/sh /built | sort -u | wc -l").stdout == "1\n"


def test_both_forms_live_in_one_data_root(image_engine, tmp_path):
    engine = image_engine
    context = tmp_path / "context"
    context.mkdir()
    assert restart_with(engine, "directory") == "directory"
    assert engine.berth("run", "--rm", "busybox", "echo", "on an image").stdout == "on an image\n"
    build(engine, context, "upper", "FROM busybox", "RUN echo x >/made")
    assert kinds(engine) == ["directory", "image"]
    assert restart_with(engine, "erofs").startswith("erofs")
    assert engine.berth("run", "--rm", "upper", "cat", "/made").stdout == "x\n"


def test_a_container_goes_on_when_the_engine_is_killed(image_engine):
    engine = image_engine
    engine.berth("run", "-d", "--name", "box", "busybox", "sh", "-c", "while :; do sleep 1; done")
    engine.kill()
    engine.start()
    assert engine.berth("exec", "box", "cat", "/proc/1/comm").stdout == "sh\n"
    engine.berth("exec", "box", "sh", "-c", "echo still >/here")
    assert changes(engine, "box") == [("A", "/here")]
    assert engine.berth("run", "--rm", "busybox", "echo", "beside").stdout == "beside\n"
    engine.berth("rm", "-f", "box")


def test_an_unknown_storage_option_is_refused(engine, tmp_path):
    done = engine.run("berthd", "--storage-opt=overlay2.layer_form=tarball", f"--data-root={tmp_path}/x", check=False)
    assert done.returncode != 0 and "none of auto, erofs and directory" in done.stderr
    done = engine.run("berthd", "--storage-opt=dm.basesize=1G", f"--data-root={tmp_path}/x", check=False)
    assert done.returncode != 0 and "dm.basesize" in done.stderr


def test_what_a_pull_stores_is_pushed_bit_for_bit(image_engine, registry):
    engine = image_engine
    name = f"{registry.address}/pushed:one"
    engine.berth("tag", "busybox", name)
    engine.berth("push", name)
    before = json.loads(engine.berth("image", "inspect", name).stdout)[0]["RepoDigests"]
    engine.berth("rmi", "busybox", name)
    engine.berth("pull", name)
    engine.berth("push", name)
    assert json.loads(engine.berth("image", "inspect", name).stdout)[0]["RepoDigests"] == before


@pytest.fixture
def no_loop_devices():
    """In this run's mount namespace; on a tmpfs there is no other way to mount an image."""
    def hide():
        subprocess.run(["mount", "--bind", "/dev/null", "/dev/loop-control"], check=True)

    yield hide
    subprocess.run(["umount", "/dev/loop-control"], check=False)


def test_images_are_unpacked_where_the_kernel_mounts_none(tmp_path, rootfs_tar, registry, no_loop_devices):
    """A data root that comes from another machine: its layers are used, pushed, checked and go as ever."""
    with Engine(tmp_path, layer_flag("auto")) as engine:
        if form_of(engine) != "erofs (loop)":
            pytest.skip("the test's folder is on a file system of which images are mounted without loop devices")
        context = tmp_path / "context"
        context.mkdir()
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        build(engine, context, "upper", "FROM busybox", "RUN echo x >/made && rm -r /home && ln /made /twin", "COPY Dockerfile /tmp/d/e/f")
        engine.berth("create", "--name", "old", "upper", "cat", "/made")
        assert kinds(engine) == ["directory", "directory", "image"]
        engine.stop()
        no_loop_devices()
        engine.start()
        assert form_of(engine) == "directory"
        assert engine.berth("start", "-a", "old").stdout == "x\n"
        seen = engine.berth("run", "--rm", "upper", "sh", "-c", "cat /made; stat -c %h /twin; ls -d /home; stat -c %a /tmp", check=False)
        assert seen.stdout == "x\n2\n1777\n", seen
        # The images stay for their tars; what is made now are directories.
        build(engine, context, "top", "FROM upper", "RUN echo y >/later")
        assert engine.berth("run", "--rm", "top", "cat", "/later", "/made").stdout == "y\nx\n"
        name = f"{registry.address}/retired:one"
        engine.berth("tag", "top", name)
        engine.berth("push", name)
        engine.berth("system", "check", "--deep")
        engine.berth("rm", "old")
        engine.berth("rmi", "top", name, "upper", "busybox")
        engine.berth("builder", "prune", "-af")
        assert kinds(engine) == []
        # What comes now becomes directories, with the same content.
        engine.berth("pull", name)
        assert kinds(engine) == ["directory"] * 4
        assert engine.berth("run", "--rm", name, "cat", "/later", "/made").stdout == "y\nx\n"
        engine.berth("system", "check", "--deep")


@pytest.mark.parametrize("form", ["erofs", "directory"])
def test_128_layers(tmp_path, rootfs_tar, form):
    """Pulled, started and built upon; and what is on top is what is seen."""
    layers = [pathlib.Path(rootfs_tar).read_bytes()]
    layers += [entry(f"d/f{number}", b"%d" % number) + entry("d/top", b"%d" % number) + END for number in range(126)]
    context = tmp_path / "context"
    context.mkdir()
    count = "ls /d | wc -l; cat /d/f0 /d/f125 /d/top"
    with Engine(tmp_path, layer_flag(form)) as engine, ImageServer(*image_documents(layers)) as server:
        engine.berth("pull", server.image)
        assert kinds(engine) == ["image" if form == "erofs" else "directory"] * 127
        assert engine.berth("run", "--rm", server.image, "sh", "-c", count).stdout == "127\n0125125"
        build(engine, context, "deeper", f"FROM {server.image}", "RUN rm /d/f3 && echo more >/d/f0")
        assert len(json.loads(engine.berth("image", "inspect", "deeper").stdout)[0]["RootFS"]["Layers"]) == 128
        assert engine.berth("run", "--rm", "deeper", "sh", "-c", count).stdout == "126\nmore\n125125"
        engine.berth("system", "check", "--deep")
