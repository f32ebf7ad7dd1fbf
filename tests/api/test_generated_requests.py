"""What schemathesis makes of the specification: no crash, no 500, nobody else disturbed. More with BERTH_TEST_LONG=1."""
import json
import os
import pathlib
import subprocess

from engine import BUILD, SANITIZED, Engine

PYTHON = BUILD / "schemathesis" / "bin" / "python"  # made by tools/run_tests
SECONDS = 1200 if os.environ.get("BERTH_TEST_LONG") else 90
SEED = os.environ.get("BERTH_TEST_SEED", "1")


def memory(engine):
    status = pathlib.Path(f"/proc/{engine.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


def test_generated_requests_do_no_harm(tmp_path, rootfs_tar):
    assert PYTHON.exists(), f"{PYTHON} is not there: tools/run_tests makes it, from PyPI"
    with Engine(tmp_path) as engine:
        engine.berth("import", "-c", 'CMD ["sleep", "100000"]', str(rootfs_tar), "busybox:latest")
        for name in ("one", "two"):
            engine.berth("run", "-d", "--stop-signal", "KILL", "--name", name, "busybox")
        engine.berth("create", "--name", "three", "-v", "volume:/v", "busybox")
        engine.berth("network", "create", "net")
        execution = engine.request("POST", "/containers/one/exec", {"Cmd": ["sleep", "1000"], "Tty": True})[1]["Id"]
        engine.request("POST", f"/exec/{execution}/start", {"Detach": True, "Tty": True})
        before = memory(engine)
        names = {"id": ["one", "two", "three", "net", execution], "name": ["busybox", "volume"]}
        # Beside it somebody works on.
        done = subprocess.run([PYTHON, pathlib.Path(__file__).parent / "generate_requests.py", str(engine.socket), str(SECONDS),
                               str(sum(SEED.encode())), json.dumps(names)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS * 2 + 120)
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads(done.stdout.splitlines()[-1])
        print(report["requests"], report["statuses"])
        for failure in report["failures"]:
            print(failure)
        assert report["failures"] == []
        assert engine.process.poll() is None and "ended by an exception" not in engine.log()
        assert report["requests"] > 50 and {"200", "400", "404"} <= set(report["statuses"])
        assert SANITIZED or memory(engine) < before + 100_000, "KiB"
        assert engine.request("GET", "/_ping")[0] == 200
        left = engine.request("GET", "/containers/json?all=1")[1]
        for container in left:
            engine.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
