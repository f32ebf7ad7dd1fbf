"""Devices by CDI, limits of block devices, and the security options about control groups and labels."""
import json
import os
import pathlib
import stat

import pytest

from engine import Engine, busybox_rootfs


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cdi")
    (folder / "driver.so").write_text("a driver\n")
    hook = folder / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {folder}/state; env > {folder}/environment\n")
    hook.chmod(0o755)
    (folder / "vendor.yaml").write_text(f"""
cdiVersion: "0.6.0"
kind: vendor.com/gpu
containerEdits:
  env: [GPU_MODE=new]
  hooks:
  - {{hookName: createRuntime, path: {hook}, args: [hook]}}
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - {{path: /dev/gpu0, hostPath: /dev/loop-control, permissions: r}}
    mounts:
    - hostPath: {folder}/driver.so
      containerPath: /usr/lib/driver.so
      options: [ro, nosuid, nodev, bind]
""")
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory, vendor):
    folder = tmp_path_factory.mktemp("engine")
    with Engine(folder, f"--cdi-spec-dir={vendor}") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(busybox_rootfs(folder)), "busybox:latest")
        yield running


def create(engine, **host_config):
    return engine.request("POST", "/v1.51/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host_config})


def start(engine, **host_config):
    status, answer = create(engine, **host_config)
    assert status == 201, answer
    status, started = engine.request("POST", f"/containers/{answer['Id']}/start")
    return answer["Id"], status, started["message"] if status >= 400 else ""


def test_a_device_of_a_vendor(engine, vendor):
    script = "echo $GPU_MODE; cat /usr/lib/driver.so; (exec 3< /dev/gpu0) && echo read; touch /usr/lib/driver.so; exec 3> /dev/gpu0"
    done = engine.berth("run", "--rm", "-e", "GPU_MODE=old", "--device", "vendor.com/gpu=0", "busybox", "sh", "-c", script, check=False)
    assert done.stdout == "new\na driver\nread\n"
    assert "Read-only" in done.stderr and "not permitted" in done.stderr
    assert json.loads((vendor / "state").read_text())["ociVersion"]
    assert "GPU_MODE" not in (vendor / "environment").read_text()
    status, info = engine.request("GET", "/v1.51/info")
    assert info["CDISpecDirs"] == [str(vendor)] and info["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.com/gpu=0"}]
    identity, status, message = start(engine, DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0"]}])
    assert status == 204, message
    assert engine.inspect(identity)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["vendor.com/gpu=0"]


def test_devices_that_nobody_has(engine):
    _, _, message = start(engine, DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["a.b/c=d", "x.y/z=1"]}])
    assert message.endswith("CDI device injection failed: unresolvable CDI devices a.b/c=d, x.y/z=1")
    _, _, message = start(engine, DeviceRequests=[{"Count": -1, "Capabilities": [["gpu"]]}])
    assert message.endswith('could not select device driver "" with capabilities: [[gpu]]')


@pytest.fixture
def gpus(vendor):
    """Two GPUs as nvidia-ctk describes them, of other devices."""
    devices = "".join(f"""
- name: "{name}"
  containerEdits:
    deviceNodes: [{{path: /dev/nvidia{number}, hostPath: /dev/{host}}}]""" for name, number, host in (
        ("0", 0, "null"), ("1", 1, "zero"), ("GPU-abc", 1, "zero")))
    path = vendor / "nvidia.yaml"
    path.write_text(f"""
cdiVersion: "0.5.0"
kind: nvidia.com/gpu
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
devices:{devices}
- name: all
  containerEdits:
    deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/null}}, {{path: /dev/nvidia1, hostPath: /dev/zero}}]
""")
    yield path
    path.unlink()


@pytest.mark.parametrize("flag,found", [
    ("all", ["nvidia0", "nvidia1"]), ("1", ["nvidia0"]), ("2", ["nvidia0", "nvidia1"]), ("device=1", ["nvidia1"]),
    ('"device=0,GPU-abc"', ["nvidia0", "nvidia1"]), ("device=nvidia.com/gpu=0", ["nvidia0"]),
    ('all,"capabilities=utility,compute"', ["nvidia0", "nvidia1"]), ("driver=nvidia,count=1", ["nvidia0"])])
def test_gpus_are_the_devices_of_a_vendor(engine, gpus, flag, found):
    script = "echo $NVIDIA_VISIBLE_DEVICES; ls /dev | grep nvidia; cat /dev/nvidia0; head -c 4 /dev/nvidia1 | wc -c"
    done = engine.berth("run", "--rm", "--gpus", flag, "busybox", "sh", "-c", script, check=False)
    words = done.stdout.split()
    assert words[0] == "void" and words[1:-1] == found, done
    assert words[-1] == ("4" if "nvidia1" in found else "0")


def test_gpus_of_the_docker_client(engine, gpus):
    done = engine.docker("run", "--rm", "--gpus", "all", "busybox", "sh", "-c", "ls /dev | grep nvidia")
    assert done.stdout.split() == ["nvidia0", "nvidia1"]


def test_gpus_that_nobody_has(engine, gpus):
    _, status, message = start(engine, DeviceRequests=[{"Count": 3, "Capabilities": [["gpu"]]}])
    assert status >= 400 and message.endswith("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=2")
    _, status, message = start(engine, DeviceRequests=[{"Count": 1, "DeviceIDs": ["0"], "Capabilities": [["gpu"]]}])
    assert status == 400 and message.endswith("cannot set both Count and DeviceIDs on device request")
    _, _, message = start(engine, DeviceRequests=[{"Count": -1, "Capabilities": [["gpu", "tpu"]]}])
    assert message.endswith('could not select device driver "" with capabilities: [[gpu tpu]]')
    _, _, message = start(engine, DeviceRequests=[{"Driver": "amd", "Count": -1, "Capabilities": [["gpu"]]}])
    assert message.endswith('could not select device driver "amd" with capabilities: [[gpu]]')
    gpus.write_text(gpus.read_text().replace("nvidia.com", "amd.com"))
    identity, status, message = start(engine, DeviceRequests=[{"Count": 1, "Capabilities": [["gpu"]]}])
    assert status == 204, message
    assert engine.berth("exec", identity, "ls", "/dev/nvidia0").returncode == 0


def disk():
    """A block device that takes limits: whole disks do."""
    for entry in sorted(pathlib.Path("/sys/block").iterdir()):
        node = pathlib.Path("/dev") / entry.name
        if not entry.name.startswith(("loop", "ram", "zram")) and node.exists() and stat.S_ISBLK(node.stat().st_mode):
            return node
    pytest.skip("no disk here")


def limits_of(engine, identity):
    """Of version 1 or 2: {file: text}."""
    pid = engine.inspect(identity)["State"]["Pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "blkio" in controllers.split(","):
            folder = pathlib.Path("/sys/fs/cgroup/blkio") / path.lstrip("/")
            return {name: (folder / f"blkio.throttle.{name}_device").read_text() for name in ("read_bps", "write_bps", "read_iops", "write_iops")}
        if controllers == "" and (folder := pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")).joinpath("io.max").exists():
            values = dict(part.split("=") for part in (folder / "io.max").read_text().split()[1:])
            return {"read_bps": values["rbps"], "write_bps": values["wbps"], "read_iops": values["riops"], "write_iops": values["wiops"]}
    pytest.skip("no controller for block devices here")


def test_limits_of_a_block_device(engine):
    device = str(disk())
    identity, status, message = start(
        engine, BlkioDeviceReadBps=[{"Path": device, "Rate": 1000001}], BlkioDeviceWriteBps=[{"Path": device, "Rate": 1000002}],
        BlkioDeviceReadIOps=[{"Path": device, "Rate": 103}], BlkioDeviceWriteIOps=[{"Path": device, "Rate": 104}])
    assert status == 204, message
    found = limits_of(engine, identity)
    for name, rate in (("read_bps", "1000001"), ("write_bps", "1000002"), ("read_iops", "103"), ("write_iops", "104")):
        assert rate in found[name], found
    assert engine.inspect(identity)["HostConfig"]["BlkioDeviceReadBps"] == [{"Path": device, "Rate": 1000001}]
    _, status, message = start(engine, BlkioDeviceReadBps=[{"Path": "/dev/nope", "Rate": 100}])
    assert status >= 400 and message.endswith("stat /dev/nope: no such file or directory")
    assert start(engine, BlkioDeviceReadBps=[{"Path": "/dev/null", "Rate": 100}])[1] >= 400


def test_a_weight_is_changed_while_it_runs(engine):
    identity, status, message = start(engine, BlkioWeight=500)
    if status >= 400:
        pytest.skip("no weights of block devices here: " + message)
    status, answer = engine.request("POST", f"/containers/{identity}/update", {"BlkioWeight": 300})
    assert status == 200, answer
    assert engine.inspect(identity)["HostConfig"]["BlkioWeight"] == 300
    pid = engine.inspect(identity)["State"]["Pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        file = pathlib.Path("/sys/fs/cgroup/blkio") / path.lstrip("/") / "blkio.bfq.weight"
        if "blkio" in controllers.split(",") and file.exists():
            assert "300" in file.read_text()


def test_what_is_refused_is_refused_in_dockers_words(engine):
    for wanted, config in (
            ("invalid isolation (hyperv): linux only supports 'default'", {"Isolation": "hyperv"}),
            ("cpu real-time runtime cannot be higher than cpu real-time period", {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000}),
            ('invalid --security-opt 2: "writable-cgroups=x"', {"SecurityOpt": ["writable-cgroups=x"]})):
        status, answer = create(engine, **config)
        if "real-time" in wanted and not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_period_us"):
            wanted = "kernel does not support CPU real-time scheduler"
        assert (status, answer["message"]) == (400, wanted)
    status, answer = create(engine, UsernsMode="private")
    assert (status, answer["message"]) == (400, "invalid USER mode: private")
    assert create(engine, UsernsMode="host")[0] == 201
    assert create(engine, Isolation="Default", Cgroup="x")[1]["Warnings"] == ["HostConfig.Cgroup has no effect: use CgroupParent"]


def test_labels_mean_nothing_without_selinux(engine):
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is here")
    for option in ("label=user:x", "label=level:s0:c1", "label:disable", "label=nonsense"):
        identity, status, _ = start(engine, SecurityOpt=[option])
        shown = engine.inspect(identity)
        assert status == 204 and (shown["ProcessLabel"], shown["MountLabel"]) == ("", "")
        assert shown["HostConfig"]["SecurityOpt"] == [option]
    # As dockerd writes it down, whatever the kernel has.
    for config in ({"Privileged": True}, {"PidMode": "host"}, {"IpcMode": "host"}):
        identity, status, message = start(engine, **config)
        assert status == 204, message
        assert engine.inspect(identity)["HostConfig"]["SecurityOpt"] == ["label=disable"]


def test_an_engine_that_is_to_use_selinux_starts_without(tmp_path, rootfs_tar):
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is here")
    (tmp_path / "shared").mkdir()
    with Engine(tmp_path, "--selinux-enabled") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        assert "SELinux cannot be enabled" in engine.log()
        assert "name=selinux" not in engine.request("GET", "/info")[1]["SecurityOptions"]
        engine.berth("run", "--rm", "-v", f"{tmp_path}/shared:/shared:Z", "-v", "data:/data:z", "busybox", "touch", "/shared/x", "/data/y")
        assert os.listxattr(tmp_path / "shared" / "x") == []


def test_a_container_may_write_to_its_control_groups_when_it_is_asked_for(engine):
    for options, access in (([], "ro"), (["writable-cgroups=true"], "rw"), (["writable-cgroups=false"], "ro")):
        identity, status, message = start(engine, SecurityOpt=options)
        assert status == 204, message
        mounts = engine.berth("exec", identity, "cat", "/proc/mounts").stdout.splitlines()
        found = [line.split()[3].split(",")[0] for line in mounts if line.split()[2] in ("cgroup", "cgroup2")]
        assert found and set(found) == {access}, (options, mounts)
