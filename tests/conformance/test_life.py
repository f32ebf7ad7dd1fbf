"""A container's life as three runtimes tell it: states, answers and exit codes must be equal."""
import json
import os

import pytest

from peers_view import RUNTIME
from test_comparison import RUNTIMES, Bundle, change_nothing, observe, sections_of, unexpected


class Life:
    """A bundle whose container is called `one` under one runtime."""

    def __init__(self, peers, runtime, args, change=change_nothing):
        self.peers, self.runtime = peers, runtime
        self.bundle = Bundle(peers, change)
        self.bundle.config["process"]["args"] = args
        self.bundle.fresh()

    def __call__(self, *words, check=True, **options):
        return self.peers.run(self.runtime, "--root", "/run/compared", *words, check=check, **options)

    def create(self, *flags):
        # The container's streams are the creator's: none may be a pipe that the test reads.
        done = self.peers.run("sh", "-c", '"$@" </dev/null >/tmp/life.out 2>&1', "_", self.runtime, "--root", "/run/compared",
                              "create", "--bundle", self.bundle.folder, *flags, "one", check=False)
        assert done.returncode == 0, self.peers.path("/tmp/life.out").read_text()

    def state(self):
        return json.loads(self("state", "one").stdout)

    def wait_for_stop(self):
        from engine import wait_until
        wait_until("stopped container", lambda: self.state()["status"] == "stopped")


def shape(value):
    """Keys and types, without what differs from container to container."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    return type(value).__name__


def with_all_runtimes(observe_one):
    return {name: observe_one(runtime) for name, runtime in RUNTIMES.items()}


def test_state_has_the_same_keys_types_and_statuses(peers):
    def observe_one(runtime):
        life = Life(peers, runtime, ["/bin/sleep", "1000"])
        life.bundle.config["annotations"] = {"org.example": "value"}
        life.bundle.fresh()
        life.create("--pid-file", "/tmp/life.pid")
        seen = [life.state()]
        assert peers.path("/tmp/life.pid").read_text() == str(seen[0]["pid"])
        for command in ("start", "pause", "resume"):
            life(command, "one")
            seen.append(life.state())
        listed = json.loads(life("list", "--format", "json").stdout)
        processes = json.loads(life("ps", "--format", "json", "one").stdout)
        assert processes == [seen[0]["pid"]]
        life("kill", "one", "KILL")
        life.wait_for_stop()
        seen.append(life.state())
        life("delete", "one")
        assert life("state", "one", check=False).returncode == 1
        return {"shape": shape(seen[0]), "listed": shape(listed[0]),
                "statuses": [(one["status"], one["pid"] > 0, one["bundle"], one["id"], one.get("annotations")) for one in seen]}
    seen = with_all_runtimes(observe_one)
    assert seen["berth"]["statuses"] == seen["runc"]["statuses"]
    for kind in ("shape", "listed"):
        # crun says more (its systemd scope); what runc says, a caller may rely on.
        assert seen["berth"][kind] == {key: kinds for key, kinds in seen["runc"][kind].items()}


def test_the_program_behind_init_is_read_only(peers):
    """CVE-2019-5736: not just busy while it runs, for the moment after that."""
    life = Life(peers, RUNTIME, ["/bin/sleep", "1000"])
    life.create()
    try:
        flags = os.statvfs(f"/proc/{life.state()['pid']}/exe").f_flag
    finally:
        life("delete", "--force", "one")
    assert flags & os.ST_RDONLY and not os.statvfs(peers.path(RUNTIME)).f_flag & os.ST_RDONLY


REFUSED = {
    "start twice": lambda life: life("start", "one"),
    "delete a running one": lambda life: life("delete", "one"),
    "create again": lambda life: life("create", "--bundle", life.bundle.folder, "one"),
    "resume what is not paused": lambda life: life("resume", "one"),
    "an unknown signal": lambda life: life("kill", "one", "NOSUCH"),
    "state of what is not there": lambda life: life("state", "two"),
    "start what is not there": lambda life: life("start", "two"),
    "kill what is not there": lambda life: life("kill", "two", "KILL"),
    "delete what is not there": lambda life: life("delete", "two"),
    "force delete of what is not there": lambda life: life("delete", "--force", "two"),
    "exec of a missing program": lambda life: life("exec", "one", "/no/such"),
    "exec of a missing name": lambda life: life("exec", "one", "nosuch"),
    "exec of a folder": lambda life: life("exec", "one", "/bin"),
    "exec's exit code": lambda life: life("exec", "one", "sh", "-c", "exit 42"),
    "exec that a signal ends": lambda life: life("exec", "one", "sh", "-c", "kill -9 $$"),
    "exec in a missing folder": lambda life: life("exec", "--cwd", "/no/such", "one", "true"),
    "exec with nothing": lambda life: life("exec", "one"),
    "an unknown command": lambda life: life("nosuch"),
    "an unknown flag": lambda life: life("state", "--nosuch", "one"),
    "an id with a slash": lambda life: life("create", "--bundle", life.bundle.folder, "a/b"),
    "a missing bundle": lambda life: life("create", "--bundle", "/no/such", "two"),
    "pause a paused one": lambda life: life("pause", "one") and life("pause", "one"),
    "exec in a paused one": lambda life: life("exec", "one", "true"),
    "delete a paused one": lambda life: life("delete", "one"),
    "force delete of a paused one": lambda life: life("delete", "--force", "one"),
}


def test_exit_codes_are_as_with_runc_or_crun(peers):
    def observe_one(runtime):
        life = Life(peers, runtime, ["/bin/sleep", "1000"])
        life.create()
        life("start", "one")
        unchecked = Unchecked(life)
        return {name: ask(unchecked).returncode for name, ask in REFUSED.items()}
    seen = with_all_runtimes(observe_one)
    problems = [f"{name}: {code}, runc {seen['runc'][name]}, crun {seen['crun'][name]}" for name, code in seen["berth"].items()
                if code not in (seen["runc"][name], seen["crun"][name])]
    assert not problems, "\n".join(problems)


class Unchecked:
    def __init__(self, life):
        self.life, self.bundle = life, life.bundle

    def __call__(self, *words):
        return self.life(*words, check=False)


@pytest.mark.parametrize("args, code", [(["/bin/sh", "-c", "exit 7"], 7), (["/bin/sh", "-c", "kill -TERM $$; kill -9 $$"], None),
                                        (["nosuch"], None), (["/etc/passwd"], None), (["/bin"], None)],
                         ids=["exits", "signalled", "missing", "not executable", "folder"])
def test_run_ends_with_the_same_code(peers, args, code):
    seen = with_all_runtimes(lambda runtime: Life(peers, runtime, args)("run", "--bundle", "/bundles/change_nothing", "one", check=False))
    codes = {name: done.returncode for name, done in seen.items()}
    assert codes["berth"] == (codes["runc"] if code is None else code), (codes, seen["berth"].stderr)


def exec_sections(peers, runtime, flags):
    life = Life(peers, runtime, ["/bin/sleep", "1000"])
    life.create()
    life("start", "one")
    try:
        done = life("exec", *flags, "one", "/bin/sh", "/observe.sh")
    finally:
        life("delete", "--force", "one")
    seen = sections_of(done.stdout)
    seen.pop("namespaces")
    return seen


@pytest.mark.parametrize("flags", [[], ["--user", "1000:2000", "--env", "MORE=1", "--cwd", "/tmp"],
                                   ["--cap", "CAP_SYS_ADMIN", "--no-new-privs"]], ids=["plain", "user", "capability"])
def test_an_executed_process_looks_as_with_runc_and_crun(peers, flags):
    observed = with_all_runtimes(lambda runtime: exec_sections(peers, runtime, flags))
    problems = unexpected(observed)
    assert not problems, "\n".join(problems)


def on_terminal(peers, runtime, life, *words):
    terminal = peers.terminal(runtime, "--root", "/run/compared", *words)
    terminal.expect("/ # ")
    terminal.send("tty; stty size; ls -l /dev/console; exit 3\n")
    before = terminal.expect("exit 3\r\n")
    code = terminal.wait()
    return before, terminal.text.replace("\r", ""), code


def test_terminals_are_equal(peers):
    def observe_one(runtime):
        life = Life(peers, runtime, ["/bin/sh"])
        life.bundle.config["process"]["terminal"] = True
        life.bundle.fresh()
        _, text, code = on_terminal(peers, runtime, life, "run", "--bundle", life.bundle.folder, "one")
        return [" ".join(line.split()[:4] + line.split()[-1:]) for line in text.splitlines()], code
    seen = with_all_runtimes(observe_one)
    assert seen["berth"] in (seen["runc"], seen["crun"]), seen
    assert seen["berth"][0][0] == "/dev/pts/0 /dev/pts/0" and seen["berth"][1] == 3


def test_exec_has_a_terminal_of_its_own(peers):
    def observe_one(runtime):
        life = Life(peers, runtime, ["/bin/sleep", "1000"])
        life.create()
        life("start", "one")
        try:
            _, text, code = on_terminal(peers, runtime, life, "exec", "--tty", "one", "sh")
        finally:
            life("delete", "--force", "one")
        return text, code
    seen = with_all_runtimes(observe_one)
    assert seen["berth"] in (seen["runc"], seen["crun"]), seen
