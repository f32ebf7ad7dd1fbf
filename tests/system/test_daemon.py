"""The daemon's flags, its configuration file and its start."""
import json
import os
import subprocess

import pytest

from engine import BIN, Engine


def run(*arguments, **options):
    return subprocess.run([str(BIN / "berthd"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, **options)


def test_unknown_flag():
    done = run("--frobnicate")
    assert done.returncode != 0 and "unknown flag: --frobnicate" in done.stderr


def test_unknown_key(tmp_path):
    (tmp_path / "daemon.json").write_text('{"frobnicate": true}')
    done = run("--config-file", str(tmp_path / "daemon.json"), "--validate")
    assert done.returncode != 0 and "frobnicate" in done.stderr


def test_flag_and_key_conflict(tmp_path):
    (tmp_path / "daemon.json").write_text('{"data-root": "/x"}')
    done = run("--config-file", str(tmp_path / "daemon.json"), "--data-root", "/y", "--validate")
    assert done.returncode != 0 and "data-root" in done.stderr


def test_validate(tmp_path):
    (tmp_path / "daemon.json").write_text('{"data-root": "/x", "debug": true, "insecure-registries": ["a:5000"]}')
    done = run("--config-file", str(tmp_path / "daemon.json"), "--validate")
    assert done.returncode == 0 and "configuration OK" in done.stdout + done.stderr


def test_flags_of_dockers_helpers_are_noted(tmp_path):
    with Engine(tmp_path, "--containerd=/x.sock", "--userland-proxy=false", "--init-path=/x") as engine:
        assert "containerd" in engine.log()


def test_two_engines_side_by_side(tmp_path, rootfs_tar):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Engine(tmp_path / "a") as first, Engine(tmp_path / "b") as second:
        for engine in (first, second):
            engine.berth("import", str(rootfs_tar), "busybox")
            engine.berth("run", "-d", "--name", "same", "busybox", "sleep", "100")
        assert first.inspect("same")["Id"] != second.inspect("same")["Id"]
        assert len(first.berth("ps", "-q").stdout.split()) == 1


def test_called_as_dockerd(tmp_path):
    link = tmp_path / "dockerd"
    os.symlink(BIN / "berthd", link)
    done = subprocess.run([str(link), "--version"], capture_output=True, text=True)
    assert done.returncode == 0


def test_pid_file_of_nobody_and_of_a_daemon(tmp_path):
    pid_file = tmp_path / "berth.pid"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with subprocess.Popen(["sleep", "1000"]) as other, subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        for pid in (other.pid, ended.pid):
            pid_file.write_text(str(pid))
            with Engine(tmp_path / "a", f"--pidfile={pid_file}") as engine:
                assert pid_file.read_text() == str(engine.process.pid)
                done = run(f"--pidfile={pid_file}", f"--data-root={tmp_path}/b", f"--host=unix://{tmp_path}/b.sock")
                assert done.returncode == 1
                assert f"process with PID {engine.process.pid} is still running" in done.stderr
        other.kill()


def test_same_data_root_twice(tmp_path):
    with Engine(tmp_path) as engine:
        done = run(*engine.flags[:2], f"--host=unix://{tmp_path}/other.sock")
        assert done.returncode != 0 and str(engine.data) in done.stderr


def test_old_and_new_api_versions(tmp_path):
    with Engine(tmp_path) as engine:
        version = engine.request("GET", "/version")[1]
        highest = int(version["ApiVersion"].split(".")[1])
        for minor in range(24, highest + 1):
            status, body = engine.request("GET", f"/v1.{minor}/containers/json")
            assert (status, body) == (200, [])
        assert engine.docker("version", "--format", "{{.Server.APIVersion}}").stdout.strip() == version["ApiVersion"]
