"""The engine and the runtime on a kernel where SELinux enforces a policy: labels of processes and files, and what they keep from whom.

Runs in the virtual machine (tests/vm/suite --selinux), which has no policy yet: a small one of our own (tests/vm/selinux) is
loaded first. What is denied here with a container's label is allowed without, so it is the label that denies.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from engine import BIN, Engine, wait_until  # noqa: E402
from engine_fixtures import nothing_left, rootfs_tar  # noqa: E402,F401
from runtime_fixtures import rootfs, runtime  # noqa: E402,F401
from tars import tar_of  # noqa: E402

sys.path.insert(0, str(HERE.parent / "system"))
from test_userns import remapped  # noqa: E402

SELINUX = pathlib.Path("/sys/fs/selinux")
PROCESS, FILE, HOST = "system_u:system_r:container_t:", "system_u:object_r:container_file_t:", "system_u:object_r:host_file_t:s0"
UNCONFINED = "system_u:system_r:host_t:s0-s0:c0.c1023"
CATEGORIES = re.compile(r"s0:c(\d+),c(\d+)")
ATTRIBUTE = "security.selinux"
CURRENT = ["cat", "/proc/self/attr/current"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Stays until the machine ends."""
    folder = tmp_path_factory.mktemp("policy")
    subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", SELINUX], check=True)
    categories = "\n".join(f"category c{number};" for number in range(1024))
    source, compiled = folder / "policy.conf", folder / "policy"
    source.write_text((HERE / "selinux/policy.conf").read_text().replace("@CATEGORIES@", categories))
    subprocess.run(["checkpolicy", "-M", "-U", "allow", "-o", compiled, source], check=True, stdout=subprocess.DEVNULL)
    (SELINUX / "load").write_bytes(compiled.read_bytes())
    os.setxattr("/dev/null", ATTRIBUTE, b"system_u:object_r:null_device_t:s0")
    os.setxattr(BIN / "berth-init", ATTRIBUTE, b"system_u:object_r:bin_t:s0")
    contexts = pathlib.Path("/etc/selinux/berth/contexts")
    contexts.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "selinux/lxc_contexts", contexts)
    (contexts.parent.parent / "config").write_text("SELINUX=enforcing\nSELINUXTYPE=berth\n")
    (SELINUX / "enforce").write_text("1")


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar, policy):
    with Engine(tmp_path_factory.mktemp("engine"), "--selinux-enabled") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


@pytest.fixture
def shared():
    """A folder of the host's on ext4; the tests' others are on a tmpfs."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        (folder / "below").mkdir()
        (folder / "below/file").write_text("of the host\n")
        yield folder


def label(path):
    return os.getxattr(path, ATTRIBUTE, follow_symlinks=False).rstrip(b"\0").decode()


def label_of_process(pid):
    return pathlib.Path(f"/proc/{pid}/attr/current").read_text().rstrip("\0\n")


def labels(engine, container):
    shown = engine.inspect(container)
    return shown["ProcessLabel"], shown["MountLabel"]


def start(engine, *flags):
    return engine.berth("run", "-d", *flags, "busybox", "sleep", "1000").stdout.strip()


def current(engine, *flags):
    return engine.berth("run", "--rm", *flags, "busybox", *CURRENT).stdout.rstrip("\0\n")


def inside(engine, container, *command):
    return engine.berth("exec", container, *command, check=False)


def build(engine, *lines, **files):
    """What is said while busybox:latest and these lines become built:latest."""
    context = tar_of({"Dockerfile": "\n".join(("FROM busybox", *lines)) + "\n", **files})
    status, text = engine.request("POST", "/build?t=built", context, {"Content-Type": "application/x-tar"})
    answers = [json.loads(line) for line in text.splitlines()]
    assert status == 200 and "error" not in answers[-1], text
    return "".join(answer.get("stream", "") for answer in answers)


def process_of(*command):
    """The pid of the one program that has these arguments."""
    def found():
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().split(b"\0")[:-1] == [argument.encode() for argument in command]:
                    return int(path.parent.name)
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended
    return wait_until("process", found)


def label_inside(engine, container, path):
    """Of a file as the container's mounts have it."""
    pid = engine.inspect(container)["State"]["Pid"]
    return label(f"/proc/{pid}/root{path}")


def is_denied(done):
    return done.returncode != 0 and "Permission denied" in done.stderr


def test_the_engine_says_that_it_has_selinux(engine):
    assert (SELINUX / "enforce").read_text() == "1"
    assert label_of_process("self") == UNCONFINED
    options = engine.request("GET", "/info")[1]["SecurityOptions"]
    assert "name=selinux" in options and "name=apparmor" not in options
    assert "selinux" in engine.berth("info").stdout


def test_processes_have_the_containers_label_and_categories_of_its_own(engine):
    levels = []
    for container in (start(engine), start(engine)):
        process, mount = labels(engine, container)
        level = process.removeprefix(PROCESS)
        assert CATEGORIES.fullmatch(level) and mount == FILE + level
        levels.append(level)
        assert label_of_process(engine.inspect(container)["State"]["Pid"]) == process
        assert inside(engine, container, *CURRENT).stdout.rstrip("\0\n") == process
        assert engine.berth("exec", "--privileged", container, *CURRENT).stdout.rstrip("\0\n") == process
        assert current(engine, f"--pid=container:{container}") == process
    assert levels[0] != levels[1]


@pytest.mark.parametrize("flags", [["-t"], ["--init"], ["--security-opt=no-new-privileges"], ["--read-only"], ["--user=guest"],
                                   ["--ipc=private"], ["--ipc=none"], ["--network=none"]])
def test_no_other_option_takes_the_label_away(engine, flags):
    assert current(engine, *flags).strip().startswith(PROCESS)


def test_all_of_a_containers_files_have_its_mount_label(engine):
    container = start(engine, "--tmpfs=/scratch", "-v", "data:/data", "--device=/dev/zero")
    _, mount = labels(engine, container)
    for path in ("/", "/bin/busybox", "/etc/passwd", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/scratch", "/dev",
                 "/dev/shm", "/dev/pts", "/dev/mqueue", "/dev/null", "/dev/zero"):
        assert label_inside(engine, container, path) == mount, path
    assert label_inside(engine, container, "/data") == FILE + "s0"  # volumes are for all
    engine.berth("exec", container, "sh", "-ec",
                 "for f in /root/f /scratch/f /dev/shm/f /data/f /etc/hosts; do echo x >> $f; cat $f >/dev/null; done")
    assert label_inside(engine, container, "/root/f") == label_inside(engine, container, "/dev/shm/f") == mount
    assert engine.berth("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/f").stdout == "x\n"


def test_images_and_copies_are_the_containers(engine, tmp_path):
    container = start(engine, "--mount=type=image,src=busybox,dst=/image")
    assert label_inside(engine, container, "/image/etc/passwd") == labels(engine, container)[1]
    (tmp_path / "file").write_text("of the host\n")
    engine.berth("cp", tmp_path / "file", f"{container}:/root/file")
    assert engine.berth("exec", container, "cat", "/root/file", "/image/etc/group").stdout.startswith("of the host\nroot:")


def test_who_shares_a_network_may_read_its_files(engine):
    one = start(engine)
    two = start(engine, f"--network=container:{one}")
    assert labels(engine, one)[0] != labels(engine, two)[0]
    for container in (one, two):
        engine.berth("exec", container, "cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")


def test_labels_stay_in_the_machine(engine, tmp_path):
    engine.berth("run", "--name", "changed", "-v", "data:/home", "busybox", "sh", "-c", "echo x > /home/f; echo x > /root/f; echo x >> /etc/group")
    assert engine.berth("diff", "changed").stdout.split() == ["C", "/etc/group", "C", "/root", "A", "/root/f"]
    engine.berth("commit", "changed", "committed")
    engine.berth("save", "-o", tmp_path / "saved.tar", "committed")
    engine.berth("export", "-o", tmp_path / "exported.tar", "changed")
    engine.berth("volume", "export", "data", "-o", tmp_path / "volume.tar")
    for path in tmp_path.glob("*.tar"):
        assert b"selinux" not in path.read_bytes(), path
    assert engine.berth("run", "--rm", "committed", "cat", "/root/f").stdout == "x\n"
    engine.berth("rmi", "committed")
    # Whoever gets the archive back may read it.
    engine.berth("volume", "import", "back", tmp_path / "volume.tar")
    assert engine.berth("run", "--rm", "-v", "back:/d", "busybox", "cat", "/d/f").stdout == "x\n"


def test_what_is_masked_is_empty_and_not_denied(engine):
    for path in ("/proc/keys", "/proc/timer_list"):
        assert engine.berth("run", "--rm", "busybox", "cat", path).stdout == "", path
    for path in ("/proc/acpi", "/sys/firmware"):
        if os.path.isdir(path):
            assert engine.berth("run", "--rm", "busybox", "ls", path).stdout == "", path


def test_the_session_keyring_is_the_containers(engine):
    shown = engine.berth("run", "--rm", "--security-opt=systempaths=unconfined", "busybox", "cat", "/proc/keys").stdout
    assert "_ses" in shown


def test_a_bind_is_denied_without_a_label(engine, shared):
    bind = ["-v", f"{shared}:/b"]
    container = start(engine, *bind)
    assert is_denied(inside(engine, container, "cat", "/b/below/file"))
    assert is_denied(inside(engine, container, "touch", "/b/new"))
    assert engine.berth("run", "--rm", "--security-opt=label=disable", *bind, "busybox", "cat", "/b/below/file").stdout == "of the host\n"
    assert label(shared) == label(shared / "below/file") == HOST


def test_z_labels_for_all_containers(engine, shared):
    bind = ["-v", f"{shared}:/b:z"]
    one, two = start(engine, *bind), start(engine, *bind)
    for path in (shared, shared / "below", shared / "below/file"):
        assert label(path) == FILE + "s0"
    for container in (one, two):
        assert inside(engine, container, "cat", "/b/below/file").stdout == "of the host\n"
    engine.berth("exec", one, "sh", "-c", "echo of one > /b/new")
    assert engine.berth("exec", two, "cat", "/b/new").stdout == "of one\n"


def test_Z_labels_for_one_container(engine, shared):
    one = start(engine, "-v", f"{shared}:/b:Z")
    for path in (shared, shared / "below", shared / "below/file"):
        assert label(path) == labels(engine, one)[1]
    two = start(engine, "-v", f"{shared}:/b")
    assert inside(engine, one, "cat", "/b/below/file").stdout == "of the host\n"
    assert is_denied(inside(engine, two, "cat", "/b/below/file"))
    # A file by itself, too.
    start(engine, "-v", f"{shared}/below/file:/f:z")
    assert label(shared / "below/file") == FILE + "s0" and label(shared / "below") == labels(engine, one)[1]
    # Who has the same categories is let in.
    level = labels(engine, one)[0].removeprefix(PROCESS)
    three = start(engine, f"--security-opt=label=level:{level}", "-v", f"{shared}:/b")
    assert inside(engine, three, "cat", "/b/below/file").stdout == "of the host\n"


def test_the_systems_directories_are_not_labeled(engine):
    before = label("/usr")
    done = engine.berth("run", "--rm", "-v", "/usr:/b:z", "busybox", "true", check=False)
    assert done.returncode != 0 and "SELinux relabeling of /usr is not allowed" in done.stderr
    assert label("/usr") == before


def test_volumes_are_for_all_unless_Z_is_asked_for(engine):
    engine.berth("run", "--rm", "-v", "data:/home", "busybox", "sh", "-c", "echo x > /home/f")
    one = start(engine, "-v", "data:/d:Z")
    assert label_inside(engine, one, "/d/f") == labels(engine, one)[1]
    assert inside(engine, one, "cat", "/d/f").stdout == "x\n"
    # As with Docker, whoever takes it next without :Z has it for all again.
    assert engine.berth("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/f").stdout == "x\n"


def test_label_options(engine, shared):
    assert current(engine, "--security-opt=label=disable") == UNCONFINED
    assert current(engine, "--security-opt=label=level:s0:c100,c200") == PROCESS + "s0:c100,c200"
    reader = "--security-opt=label=type:container_reader_t"
    container = start(engine, reader, "-v", f"{shared}:/b")
    process, mount = labels(engine, container)
    assert process.startswith("system_u:system_r:container_reader_t:s0:c") and mount.startswith(FILE)
    assert inside(engine, container, "cat", "/b/below/file").stdout == "of the host\n"
    assert is_denied(inside(engine, container, "touch", "/b/new"))
    done = engine.berth("run", "--rm", "--security-opt=label=type:no_such_t", "busybox", "true", check=False)
    assert done.returncode not in (0, 1) and "no_such_t" in done.stderr
    done = engine.berth("create", "--security-opt=label=nonsense", "busybox", check=False)
    assert done.returncode != 0 and 'bad label option "nonsense"' in done.stderr


@pytest.mark.parametrize("flag", ["--privileged", "--pid=host", "--ipc=host"])
def test_who_shares_with_the_host_is_not_confined(engine, shared, flag):
    assert current(engine, flag) == UNCONFINED
    container = start(engine, flag, "-v", f"{shared}:/b")
    assert labels(engine, container) == ("", FILE + "s0:c1022,c1023")
    assert label_inside(engine, container, "/") == FILE + "s0:c1022,c1023"
    assert inside(engine, container, "cat", "/b/below/file").stdout == "of the host\n"


def test_mounts_of_a_running_container_are_labeled(engine, shared):
    container = start(engine)
    for mount, path in ((f"{shared}:/late:z", "/late"), ("type=tmpfs,dst=/t", "/t"), ("data:/data", "/data")):
        engine.berth("mount", "add", container, mount)
        engine.berth("exec", container, "touch", path + "/new")
    assert label(shared) == FILE + "s0" and label_inside(engine, container, "/t") == labels(engine, container)[1]


def test_labels_outlive_the_engine(engine):
    container = start(engine)
    before = labels(engine, container)
    engine.kill()
    engine.start()
    assert labels(engine, container) == before
    assert inside(engine, container, *CURRENT).stdout.rstrip("\0\n") == before[0]
    engine.berth("restart", "-t", "0", container)
    assert labels(engine, container) == before and label_inside(engine, container, "/") == before[1]


def test_build_steps_have_categories_of_their_own(engine):
    container = start(engine)
    step = "RUN cat /proc/self/attr/current; echo"
    output = build(engine, step + " one", step + " two")
    levels = [match.group() for match in re.finditer(PROCESS + CATEGORIES.pattern, output)]
    assert len(levels) == 2 and len({*levels, labels(engine, container)[0]}) == 3, output


def test_all_of_a_build_steps_files_have_its_mount_label(engine):
    command = ("sleep", "12345678")
    mounts = " ".join(f"--mount=type={kind},target=/{kind}" for kind in ("tmpfs", "cache", "bind"))
    other = "--mount=type=bind,from=busybox,target=/image"
    thread = threading.Thread(target=build, args=(engine, f"RUN {mounts} {other} {' '.join(command)}; true"))
    thread.start()
    pid = process_of(*command)
    try:
        process = label_of_process(pid)
        mount = FILE + process.removeprefix(PROCESS)
        assert CATEGORIES.fullmatch(process.removeprefix(PROCESS))
        for path in ("/", "/bin/busybox", "/etc/passwd", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/tmpfs", "/dev",
                     "/dev/shm", "/dev/pts", "/dev/mqueue", "/dev/null"):
            assert label(f"/proc/{pid}/root{path}") == mount, path
        for path in ("/cache", "/bind", "/bind/Dockerfile", "/image/etc/passwd"):  # for all steps
            assert label(f"/proc/{pid}/root{path}") == FILE + "s0", path
    finally:
        os.kill(pid, signal.SIGTERM)
        thread.join()


def test_build_steps_use_what_they_are_given(engine):
    output = build(engine, "COPY f /root/", "RUN cat /root/f && echo by a step > /root/g && echo x >> /etc/group", "FROM busybox",
                   "COPY --from=0 /root/g /root/",
                   "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cat /root/g > /t/g && cp /t/g /c/g && touch /dev/shm/f",
                   "RUN --mount=type=cache,target=/c --mount=type=bind,target=/b --mount=type=bind,from=0,target=/o "
                   "cat /c/g /b/f /o/root/f && cat /etc/hosts /etc/resolv.conf /etc/hostname > /dev/null",
                   "RUN <<S", "#!/bin/cat", "a script", "S", f="of the context\n")
    assert "by a step\nof the context\nof the context\n" in output and "#!/bin/cat\na script\n" in output


def test_a_build_step_is_denied_what_has_other_categories(engine):
    step = "RUN --mount=type=cache,id=denied,target=/c "
    build(engine, step + "echo x > /c/denied")
    (file,) = engine.data.glob("build-cache/*/denied")
    assert label(file) == FILE + "s0"
    os.setxattr(file, ATTRIBUTE, (FILE + "s0:c1,c2").encode())
    assert "can't open '/c/denied': Permission denied" in build(engine, step + "cat /c/denied || true")


def test_labels_of_build_steps_stay_in_the_machine(engine, tmp_path):
    lines = ("COPY f /root/", "RUN echo x > /root/g && echo x >> /etc/group")
    assert "Using cache" not in build(engine, *lines, f="kept")
    image = engine.request("GET", "/images/built/json")[1]["Id"]
    assert build(engine, *lines, f="kept").count("Using cache") == 2
    assert engine.request("GET", "/images/built/json")[1]["Id"] == image
    engine.berth("save", "-o", tmp_path / "saved.tar", "built")
    assert b"selinux" not in (tmp_path / "saved.tar").read_bytes()
    assert engine.berth("run", "--rm", "built", "cat", "/root/f", "/root/g").stdout == "keptx\n"


def test_build_steps_take_no_security_options(engine):
    status, answer = engine.request("POST", "/build?securityopt=%5B%22label%3Ddisable%22%5D", tar_of({"Dockerfile": "FROM busybox\n"}))
    assert status == 501 and "securityopt" in answer["message"]


def test_labels_hold_in_a_user_namespace(engine, tmp_path, rootfs_tar, shared):
    with remapped(tmp_path, rootfs_tar, "--selinux-enabled") as other:
        container = start(other, "-t", "--tmpfs=/scratch", "-v", f"{shared}:/b", "-v", "data:/data")
        process, mount = labels(other, container)
        assert process.startswith(PROCESS) and inside(other, container, *CURRENT).stdout.rstrip("\0\n") == process
        for path in ("/", "/etc/hosts", "/scratch", "/dev", "/dev/shm", "/dev/pts", "/dev/mqueue"):
            assert label_inside(other, container, path) == mount, path
        other.berth("exec", container, "touch", "/root/f", "/scratch/f", "/dev/shm/f", "/data/f")
        assert is_denied(inside(other, container, "cat", "/b/below/file"))


def test_the_runtime_takes_labels_from_config_json_and_from_a_flag(policy, runtime, rootfs, tmp_path):
    for path in (rootfs, *rootfs.rglob("*")):
        os.setxattr(path, ATTRIBUTE, (FILE + "s0").encode(), follow_symlinks=False)

    def labeled(config):
        config["process"]["selinuxLabel"], config["linux"]["mountLabel"] = PROCESS + "s0:c1,c2", FILE + "s0:c1,c2"
    runtime.start("one", change=labeled)
    pid = runtime.state("one")["pid"]
    assert label_of_process(pid) == PROCESS + "s0:c1,c2"
    assert (label(f"/proc/{pid}/root/dev"), label(f"/proc/{pid}/root/bin")) == (FILE + "s0:c1,c2", FILE + "s0")
    for flags, level in (([], "s0:c1,c2"), (["--process-label", PROCESS + "s0:c3"], "s0:c3")):
        runtime.run("exec", "--detach", "--pid-file", tmp_path / "pid", *flags, "one", "sleep", "1000")
        assert label_of_process((tmp_path / "pid").read_text()) == PROCESS + level
    done = runtime.run("exec", "--process-label", "a:b:c:s0", "one", "true", check=False)
    assert done.returncode == 255 and "SELinux label a:b:c:s0" in done.message
