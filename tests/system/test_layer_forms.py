"""Layers as EROFS images and as directories, in one data root, chosen by a flag of the engine."""
import json

import pytest

from engine import Engine


def form_of(engine):
    status, info = engine.request("GET", "/info")
    assert status == 200 and info["Driver"] == "overlay2"
    return dict(info["DriverStatus"])["Layer form"]


def layer_flag(form):
    return f"--storage-opt=overlay2.layer_form={form}"


@pytest.fixture
def image_engine(tmp_path, rootfs_tar):
    with Engine(tmp_path, layer_flag("auto")) as running:
        if not form_of(running).startswith("erofs"):
            pytest.skip("this kernel mounts no EROFS images")
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


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
    mounted = [line for line in open("/proc/self/mounts") if str(engine.data) in line]
    assert [line.split()[2] for line in mounted] == ["erofs"], mounted
    engine.stop()
    assert str(engine.data) not in open("/proc/self/mounts").read()


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
