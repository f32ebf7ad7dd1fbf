"""Many containers with everybody who can watch one: whether any of them notices what happens to the engine.

Each container runs `teller`, which writes numbered lines; so what was lost, doubled or mixed up is seen afterwards in the
log, in what followers and attached clients got, and in what execs said.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile

from c_programs import compile_static
from engine import BIN, DEADLINE, Terminal, is_connected, wait_until

TELLER = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t ended, hungry;
static void on_signal(int number) { if (number == SIGTERM) ended = 1; else hungry = 1; }
static void tell(int fd, const char* word, unsigned long n) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s %lu ", word, n);
    memset(line + length, 'x', n * 37 % 300);
    length += n * 37 % 300;
    line[length++] = '\n';
    for (char* at = line; length > 0;) {
        ssize_t done = write(fd, at, length);
        if (done < 0) continue;  /* a signal */
        at += done;
        length -= done;
    }
}
int main(int argc, char** argv) {  /* teller MILLISECONDS EXIT-CODE [LINES] */
    long pause = atol(argv[1]);
    unsigned long limit = argc > 3 ? strtoul(argv[3], NULL, 10) : 0, n = 0;
    struct timespec time = {pause / 1000, pause % 1000 * 1000000};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    while (!ended && (limit == 0 || n < limit)) {
        tell(1, "line", ++n);
        if (n % 7 == 0) tell(2, "error", n);
        nanosleep(&time, NULL);
        while (hungry) memset(malloc(1 << 20), 1, 1 << 20);
    }
    tell(1, "end", n);
    return atoi(argv[2]);
}
"""

LINE = re.compile(rb"(line|error|end) (\d+) (x*)\n")


def import_teller(engine, rootfs_tar, folder):
    """The image "teller": busybox with that program in it."""
    program = compile_static(TELLER, folder / "teller")
    path = folder / "teller.tar"
    path.write_bytes(pathlib.Path(rootfs_tar).read_bytes())
    with tarfile.open(path, "a") as tar:
        tar.add(program, "bin/teller")
    engine.berth("import", "-c", 'CMD ["sh"]', str(path), "teller")


def said(n, end):
    """(stdout, stderr) of a teller up to its line n."""
    def line(word, number):
        return f"{word} {number} {'x' * (number * 37 % 300)}\n"
    output = "".join(line("line", number) for number in range(1, n + 1)) + (line("end", n) if end else "")
    return output.encode(), "".join(line("error", number) for number in range(7, n + 1, 7)).encode()


def last_number(output):
    """Of the last whole line."""
    found = LINE.findall(output[-2000:])
    return int(found[-1][1]) if found else 0


class Watcher:
    """A client whose output is kept."""

    def __init__(self, engine, folder, name, *arguments):
        self.name, self.arguments = name, [str(word) for word in arguments]
        self.paths = folder / f"{name}.out", folder / f"{name}.err"
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.process = subprocess.Popen([str(BIN / "berth"), *self.arguments], env=engine.environment,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def output(self):
        return self.paths[0].read_bytes(), self.paths[1].read_bytes()

    def number(self):
        return last_number(self.output()[0])

    def wait(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.arguments} does not end; it has {self.output()[0][-300:]!r}, "
                                 f"{self.output()[1][-300:]!r}") from None


def expect_tail(output, whole, what):
    """What an attached client has is the log from some line on."""
    assert output and whole.endswith(output), f"{what}: {output[:200]!r} … {output[-200:]!r}"
    assert len(output) == len(whole) or whole[-len(output) - 1:-len(output)] == b"\n", what


class Fleet:
    """`containers` tellers; clients that run, attach to, follow and exec in them; terminals."""

    def __init__(self, engine, folder, containers, attached, followed, execs, pause):
        self.engine, self.folder, self.pause = engine, folder, str(pause)
        terminals = attached // 3
        runs = attached // 3
        self.names = [f"t{number}" for number in range(containers - terminals - runs)]
        self.codes = {}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.start_teller, self.names))
        self.runs = [self.watch(f"run{number}", "run", "--name", f"run{number}", "teller", "teller", self.pause, self.code(f"run{number}"))
                     for number in range(runs)]
        self.attaches = [self.watch(f"attach-{name}", "attach", name) for name in self.names[:attached - terminals - runs]]
        self.follows = [self.watch(f"follow-{name}", "logs", "-f", *(["-t"] if number % 5 == 4 else []), name)
                        for number, name in enumerate((self.names * 50)[:followed])]
        self.execs = [self.watch(f"exec{number}", "exec", self.names[-1 - number % len(self.names)], "teller", self.pause, 200 + number % 50)
                      for number in range(execs)]
        self.waits = {name: self.watch(f"wait-{name}", "wait", name) for name in self.names[::3]}
        self.events = self.watch("events", "events", "--filter", "type=container", "--filter", "event=die", "--format", "{{json .}}")
        self.terminals = [Terminal([BIN / "berth", "run", "-it", "--name", f"term{number}", "teller", "sh"], engine.environment)
                          for number in range(terminals)]
        self.terminals.append(Terminal([BIN / "berth", "exec", "-it", self.names[0], "sh"], engine.environment))
        for terminal in self.terminals:
            terminal.expect("# ")
        for watcher in [*self.runs, *self.attaches, *self.follows, *self.execs]:
            wait_until(f"line for {watcher.arguments}", lambda watcher=watcher: b"line " in watcher.output()[0])
        for watcher in [*self.waits.values(), self.events]:
            wait_until(f"connection of {watcher.arguments}", lambda watcher=watcher: is_connected(watcher.process.pid))
        self.pids = {name: state["Pid"] for name, state in self.states().items()}
        self.gone = set()

    def code(self, name):
        return self.codes.setdefault(name, len(self.codes) % 120 + 1)

    def start_teller(self, name):
        self.engine.berth("run", "-d", "--name", name, *(["-m", "16m", "--memory-swap", "16m"] if name.endswith("3") else []),
                          "teller", "teller", self.pause, self.code(name))

    def watch(self, name, *arguments):
        return Watcher(self.engine, self.folder, f"{len(list(self.folder.glob('*.out')))}-{name}", *arguments)

    def states(self):
        ids = self.engine.berth("ps", "-aq").stdout.split()
        return {item["Name"][1:]: item["State"] for item in json.loads(self.engine.berth("inspect", *ids).stdout)}

    def signal_some(self, number, count):
        """Ends containers by their process, without the engine; with SIGUSR1 by the kernel for their memory."""
        wanted = [name for name in self.names[1:] if name not in self.gone and (name.endswith("3") or number == signal.SIGTERM)][:count]
        for name in wanted:
            os.kill(self.pids[name], number)
            if number == signal.SIGUSR1:
                self.codes[name] = 137
        for name in wanted:
            wait_until(f"end of {name}", lambda name=name: not os.path.exists(f"/proc/{self.pids[name]}/exe"))
        self.gone |= set(wanted)
        return wanted

    def check_alive(self):
        """Everybody is there, and goes on."""
        states = self.states()
        for name, pid in self.pids.items():
            if name not in self.gone:
                assert states[name]["Running"] and states[name]["Pid"] == pid, (name, states[name])
                os.kill(pid, 0)
            else:
                assert not states[name]["Running"] and states[name]["ExitCode"] == self.codes[name], (name, states[name])
                assert states[name]["OOMKilled"] == (self.codes[name] == 137), (name, states[name])
        for number, terminal in enumerate(self.terminals):
            terminal.send(f"echo typed$(({number}+1000))\n")
            terminal.expect(f"typed{number + 1000}")
        for watcher in [*self.runs, *self.attaches, *self.follows, *self.execs]:
            if not self.names_in(watcher) & self.gone:
                before = watcher.number()
                wait_until(f"more for {watcher.arguments}", lambda: watcher.number() > before)

    def names_in(self, watcher):
        return set(watcher.arguments) & set(self.names)

    def finish(self):
        """Ends everything, and looks at what everybody has got."""
        ends = [f"run{number}" for number in range(len(self.runs))] + [name for name in self.names if name not in self.gone]
        for watcher in self.execs:
            self.check_exec(watcher)
        for number, terminal in enumerate(self.terminals):
            terminal.send(f"exit {number + 5}\n")
            assert terminal.wait() == number + 5
        self.engine.berth("kill", "-s", "TERM", *ends)
        states = {}

        def all_ended():
            states.update(self.states())
            return not any(state["Running"] for state in states.values())
        wait_until("end of all containers", all_ended)
        for name, code in self.codes.items():
            assert states[name]["ExitCode"] == code, (name, states[name])
            assert states[name]["OOMKilled"] == (code == 137), (name, states[name])
        logs = {name: self.check_log(name) for name in self.codes}
        for number, watcher in enumerate(self.runs):
            assert watcher.wait() == self.codes[f"run{number}"]
            assert watcher.output() == logs[f"run{number}"]
        for watcher in self.attaches:
            name = watcher.arguments[1]
            assert watcher.wait() == self.codes[name]
            expect_tail(watcher.output()[0], logs[name][0], watcher.arguments)
        for watcher in self.follows:
            assert watcher.wait() == 0, watcher.output()[1][-300:]
            output = watcher.output()
            if "-t" in watcher.arguments:
                output = tuple(re.sub(rb"(?m)^\d{4}-\S+Z ", b"", text) for text in output)
            assert output == logs[watcher.arguments[-1]], watcher.arguments
        for name, watcher in self.waits.items():
            assert watcher.wait() == 0 and watcher.output()[0] == b"%d\n" % self.codes[name], (name, watcher.output())
        self.check_events()

    def check_exec(self, watcher):
        """It ends by a signal to its process, whose parent is the container's monitor."""
        container, code = watcher.arguments[1], int(watcher.arguments[-1])
        if container not in self.gone:
            own = " ".join(watcher.arguments[2:])
            pid = next(row[1] for row in self.engine.request("GET", f"/containers/{container}/top?ps_args=-ef")[1]["Processes"]
                       if row[-1] == own)
            os.kill(int(pid), signal.SIGTERM)
            assert watcher.wait() == code
            output = watcher.output()
            assert output == said(last_number(output[0]), end=True), watcher.arguments
        else:
            watcher.wait()
            output, errors = watcher.output()
            assert output == said(last_number(output), end=False)[0], watcher.arguments

    def check_log(self, name):
        """All lines that it can have written, once each and in order."""
        with open(self.folder / "log.out", "w+b") as out, open(self.folder / "log.err", "w+b") as err:
            subprocess.run([BIN / "berth", "logs", name], env=self.engine.environment, stdout=out, stderr=err, check=True, timeout=DEADLINE)
            out.seek(0), err.seek(0)
            log = out.read(), err.read()
        expected = said(last_number(log[0]), end=self.codes[name] != 137)
        assert log == expected, f"{name}: {log[0][-300:]!r} {log[1][-300:]!r}"
        return log

    def check_events(self):
        """Each end once, whichever engine has seen it."""
        def seen():
            dead = [json.loads(line)["Actor"]["Attributes"] for line in self.events.output()[0].splitlines()]
            return sorted((item["name"], int(item["exitCode"])) for item in dead if item["name"] in self.codes)
        try:
            wait_until("last event", lambda: len(seen()) >= len(self.codes))
        except AssertionError as late:
            missing = sorted(set(self.codes.items()) - set(seen()))
            raise AssertionError(f"{late}: of {missing}; the client: {self.events.process.poll()}, {self.events.output()[1][-500:]!r}") from None
        self.events.process.terminate()
        self.events.process.wait(DEADLINE)
        assert seen() == sorted(self.codes.items())

    def close(self):
        """For a test that has failed."""
        for watcher in [*self.runs, *self.attaches, *self.follows, *self.execs, *self.waits.values(), self.events]:
            if watcher.process.poll() is None:
                watcher.process.kill()
                watcher.process.wait(DEADLINE)
