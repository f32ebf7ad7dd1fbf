"""Wrong input: an exact error, and nothing left of it."""
import json

import pytest
from runtime import PROGRAM

NAME = PROGRAM.name


def refuse(runtime, bundle, words, id="one", command="create"):
    done = runtime.run(command, "--bundle", bundle, id, check=False)
    assert done.returncode == 1, done.stderr
    assert words in done.message
    assert runtime.remains() == []
    return done


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("program, words", [
    ("absent-program", 'exec: "absent-program": executable file not found in $PATH'),
    ("/bin/absent", 'exec: "/bin/absent": stat /bin/absent: no such file or directory'),
    ("/bin/not-executable", 'exec: "/bin/not-executable": permission denied'),
    ("not-executable", 'executable file not found in $PATH'),
    ("/etc", 'exec: "/etc": is a directory'),
])
def test_programs_that_cannot_run(runtime, command, program, words):
    refuse(runtime, runtime.bundle([program]), words, command=command)


def test_rootfs_that_is_a_file_or_absent(runtime, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    refuse(runtime, runtime.bundle(change=lambda config: config["root"].update(path=str(file))), "not a directory")
    refuse(runtime, runtime.bundle(change=lambda config: config["root"].update(path=str(tmp_path / "no"))),
           "no such file or directory")


@pytest.mark.parametrize("id", ["a/b", "/a", "..", "a b", "ä", "a\nb"])
def test_ids_that_are_none(runtime, id):
    refuse(runtime, runtime.bundle(), "invalid container ID format", id=id)
    done = runtime.run("delete", "--force", id, check=False)
    assert done.returncode == 1 and "invalid container ID format" in done.message


def test_empty_id(runtime):
    done = runtime.run("create", "--bundle", runtime.bundle(), "", check=False)
    assert done.returncode == 1 and "container id cannot be empty" in done.message


@pytest.mark.parametrize("paused", [False, True])
def test_id_that_is_taken(runtime, paused):
    runtime.start("one")
    if paused:
        runtime.run("pause", "one")
    before = runtime.state("one")
    done = runtime.run("create", "--bundle", runtime.bundle(), "one", check=False)
    assert done.returncode == 1 and "container with given ID already exists" in done.message
    assert runtime.state("one") == before


@pytest.mark.parametrize("command", ["start", "state", "kill", "delete", "exec", "pause", "resume", "ps", "events", "update"])
def test_container_that_is_not_there(runtime, command):
    done = runtime.run(command, "gone", *(["ls"] if command == "exec" else []), check=False)
    assert done.returncode == (255 if command == "exec" else 1)
    assert "does not exist" in done.message


def test_bundle_without_config(runtime, tmp_path):
    (tmp_path / "empty").mkdir()
    done = runtime.run("create", "--bundle", tmp_path / "empty", "one", check=False)
    assert done.returncode == 1 and "JSON specification file config.json not found" in done.message
    assert runtime.remains() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 5}', '{"ociVersion": "1.0.0"}', '{"linux": []}'])
def test_config_that_is_none(runtime, text):
    bundle = runtime.bundle()
    (bundle / "config.json").write_text(text)
    refuse(runtime, bundle, "")


def test_arguments_are_counted(runtime):
    for command, words in (("create", "requires exactly 1 argument(s)"), ("start", "requires exactly 1 argument(s)"),
                           ("kill", "requires a minimum of 1 argument(s)"), ("exec", "requires a minimum of 1 argument(s)")):
        done = runtime.run(command, check=False)
        assert done.returncode == 1 and f'"{command}" {words}' in done.message
    done = runtime.run("kill", "a", "b", "c", check=False)
    assert 'requires a maximum of 2 argument(s)' in done.message


def test_unknown_flags_and_commands(runtime):
    done = runtime.run("create", "--nonsense", "one", check=False)
    assert done.returncode == 1 and "flag provided but not defined: -nonsense" in done.message
    done = runtime.run("nonsense", check=False)
    assert done.returncode != 0
    done = runtime.run("state", "x", globals=["--nonsense"], check=False)
    assert done.returncode == 1 and "flag provided but not defined: -nonsense" in done.message


def test_console_flags_that_contradict(runtime, tmp_path):
    def terminal(config):
        config["process"]["terminal"] = True
    refuse(runtime, runtime.bundle(change=terminal), "cannot allocate tty if")
    done = runtime.run("create", "--console-socket", tmp_path / "x", "--bundle", runtime.bundle(), "one", check=False)
    assert done.returncode == 1 and "cannot use console socket if" in done.message
    done = runtime.run("run", "--console-socket", tmp_path / "x", "--bundle", runtime.bundle(change=terminal), "one",
                       check=False)
    assert done.returncode == 1 and "cannot use console socket if" in done.message
    assert runtime.remains() == []


def test_errors_in_the_log(runtime, tmp_path):
    log = tmp_path / "log"
    done = runtime.run("state", "gone", check=False, globals=["--log", log, "--log-format", "json"])
    lines = log.read_text().splitlines()
    entry = json.loads(lines[-1])
    assert set(entry) == {"level", "msg", "time"} and entry["level"] == "error"
    assert "does not exist" in entry["msg"] and "T" in entry["time"]
    assert done.stderr == entry["msg"] + "\n"
    # the same without a file, and as text
    done = runtime.run("state", "gone", check=False, globals=["--log-format", "json"])
    assert json.loads(done.stderr)["level"] == "error"
    runtime.run("state", "gone", check=False, globals=["--log", log])
    assert "level=error msg=" in log.read_text().splitlines()[-1]
    done = runtime.run("list", check=False, globals=["--log-format", "xml"])
    assert done.returncode == 1 and "xml" in done.message


def test_debug_logs_more(runtime, tmp_path):
    log = tmp_path / "log"
    runtime.run("list", globals=["--debug", "--log", log, "--log-format", "json"])
    assert any(json.loads(line)["level"] == "debug" for line in log.read_text().splitlines()) or NAME != "berth-runtime"
    log.write_text("")
    runtime.run("list", globals=["--log", log])
    assert log.read_text() == ""


@pytest.mark.ours
def test_systemd_cgroup_and_rootless_values(runtime):
    done = runtime.run("list", check=False, globals=["--rootless", "maybe"])
    assert done.returncode == 1 and "--rootless" in done.message
    for value in ("true", "false", "auto"):
        runtime.run("list", globals=["--rootless", value])
