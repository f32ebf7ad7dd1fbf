"""The package installed: systemd's socket and service, who may use them, and containers that outlive the engine. Runs in
the virtual machine with systemd (tests/vm/suite), each test after the one before it: the machine is the fixture.
"""
import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from engine import BUILD, wait_until  # noqa: E402
from engine_fixtures import rootfs_tar  # noqa: E402,F401

SOCKET = pathlib.Path("/run/berth/berth.sock")


def sh(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{journal()}"
    return done.stdout.strip()


def journal():
    return subprocess.run(["journalctl", "--no-pager", "-n", "60", "-u", "berth.service", "-u", "berth.socket"], capture_output=True, text=True).stdout


def berth(*words, **options):
    return sh("/usr/bin/berth", *words, **options)


def shown(name, unit="berth.service"):
    return sh("systemctl", "show", "--value", "-p", name, unit)


def state(container):
    return json.loads(berth("inspect", container))[0]["State"]


def install():
    sh("dpkg", "-i", next(BUILD.glob("*.deb")))


def wait_for_another(pid):
    wait_until("another engine", lambda: shown("MainPID") not in (pid, "0") and shown("ActiveState") == "active")


@pytest.fixture(scope="module", autouse=True)
def installed(rootfs_tar):  # noqa: F811
    install()
    berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
    yield
    sh("dpkg", "--purge", "berth")


def test_installing_starts_it_for_its_group_alone():
    assert [shown("ActiveState", unit) for unit in ("berth.service", "berth.socket")] == ["active", "active"]
    assert [sh("systemctl", "is-enabled", unit) for unit in ("berth.service", "berth.socket")] == ["enabled", "enabled"]
    assert (SOCKET.owner(), SOCKET.group(), oct(SOCKET.stat().st_mode & 0o777)) == ("root", "berth", "0o660")
    assert "permission denied" in subprocess.run(["runuser", "-u", "worker", "--", "berth", "ps"], capture_output=True, text=True).stderr
    sh("usermod", "-aG", "berth", "worker")
    assert sh("runuser", "-u", "worker", "--", "berth", "ps", "-q") == ""


def test_containers_are_no_part_of_the_service():
    """Neither its priority when memory runs out, nor its control group."""
    id = berth("run", "-d", "--name=apart", "busybox", "sleep", "1000")
    assert berth("exec", "apart", "cat", "/proc/1/oom_score_adj") == "0"
    pid = state("apart")["Pid"]
    assert f"docker-{id}.scope" in pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    assert pathlib.Path(f"/proc/{shown('MainPID')}/oom_score_adj").read_text().strip() == "-500"
    berth("rm", "-f", "apart")


def test_a_killed_engine_comes_back_to_its_containers():
    berth("run", "-d", "--name=lasting", "--restart=always", "busybox", "sleep", "100000")
    before, engine = state("lasting"), shown("MainPID")
    sh("kill", "-KILL", engine)
    assert state("lasting") == before  # the socket is systemd's: the client is served by the next engine
    wait_for_another(engine)
    assert pathlib.Path(f"/proc/{before['Pid']}").exists() and shown("NRestarts") != "0"


def test_reload_reads_daemon_json():
    engine = shown("MainPID")
    path = pathlib.Path("/etc/berth/daemon.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"labels": ["shelf=third"]}')
    sh("systemctl", "reload", "berth.service")
    wait_until("the label", lambda: "shelf=third" in berth("info"))
    assert shown("MainPID") == engine
    path.unlink()


def test_an_upgrade_leaves_containers_running():
    before, engine = state("lasting"), shown("MainPID")
    install()
    wait_for_another(engine)
    assert state("lasting") == before


def test_docker_clients_find_a_second_name_of_the_socket():
    """As docs/installation.md says."""
    override = pathlib.Path("/etc/systemd/system/berth.socket.d/override.conf")
    override.parent.mkdir()
    override.write_text("[Socket]\nListenStream=/run/docker.sock\n")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "berth.socket", "berth.service")
    for path in ("/run/docker.sock", SOCKET):
        assert "lasting" in berth("-H", f"unix://{path}", "ps", "-a")
    override.unlink()
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "berth.socket", "berth.service")


def test_a_configuration_that_is_wrong_is_told_and_does_not_go_on_for_ever():
    path = pathlib.Path("/etc/berth/daemon.json")
    path.write_text('{"mtu": "wide"}')
    sh("systemctl", "restart", "berth.service", check=False)
    wait_until("the end of all attempts", lambda: shown("ActiveState") == "failed")
    assert "mtu" in journal()
    path.unlink()
    sh("systemctl", "reset-failed", "berth.service", "berth.socket")
    sh("systemctl", "restart", "berth.socket", "berth.service")
    wait_until("the container", lambda: state("lasting")["Running"])


def test_a_stop_ends_containers_and_a_start_brings_them_back():
    trap = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.2; done"
    berth("run", "-d", "--name=polite", "busybox", "sh", "-c", trap)
    wait_until("the trap", lambda: "ready" in berth("logs", "polite"))
    before = state("lasting")
    sh("systemctl", "stop", "berth.socket", "berth.service")
    assert not pathlib.Path(f"/proc/{before['Pid']}").exists() and not SOCKET.exists()
    assert sh("pgrep", "-c", "berth", check=False) == "0"
    sh("systemctl", "start", "berth.socket")
    assert state("polite")["ExitCode"] == 7 and "told" in berth("logs", "polite")  # and this has started the engine
    wait_until("the container", lambda: state("lasting")["Running"])
    assert state("lasting")["StartedAt"] > before["StartedAt"]


def test_removal_stops_all_and_keeps_the_data():
    sh("dpkg", "-r", "berth")
    assert sh("pgrep", "-c", "berth", check=False) == "0" and not SOCKET.exists()
    assert shown("LoadState") in ("masked", "not-found")
    assert pathlib.Path("/var/lib/berth/metadata.db").exists()
    install()
    wait_until("the container", lambda: state("lasting")["Running"])
    assert set(re.findall(r"lasting|polite", berth("ps", "-a"))) == {"lasting", "polite"}
    berth("rm", "-f", "lasting", "polite")
