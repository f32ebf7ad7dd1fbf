"""Killing the engine loses neither container, nor log, nor attached client, nor exit code."""
import os
import signal
import subprocess

from engine import BIN, Terminal, wait_until


def test_sigkill_with_an_attached_client(fresh_engine, tmp_path):
    engine = fresh_engine
    fifo = "/tmp/gate"
    script = f"mkfifo {fifo}; echo before; read line < {fifo}; echo after $line; exit 42"
    client = subprocess.Popen([str(BIN / "berth"), "run", "--name", "survivor", "busybox", "sh", "-c", script],
                              env=engine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    assert client.stdout.readline() == b"before\n"
    pid = engine.inspect("survivor")["State"]["Pid"]

    engine.kill()
    os.kill(pid, 0)  # the container's first process is still there
    engine.start()

    state = engine.inspect("survivor")["State"]
    assert state["Running"] and state["Pid"] == pid
    # Its end may meet the container's: what it wrote is what counts.
    engine.berth("exec", "survivor", "sh", "-c", f"echo again > {fifo}", check=False)
    # The connection that was opened through the dead engine carries what the container says now.
    assert client.stdout.readline() == b"after again\n"
    client.wait(60)
    wait_until("exit", lambda: not engine.inspect("survivor")["State"]["Running"])
    assert engine.inspect("survivor")["State"]["ExitCode"] == 42
    assert engine.berth("logs", "survivor").stdout == "before\nafter again\n"
    engine.berth("rm", "survivor")


def test_exit_while_the_engine_is_dead(fresh_engine):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "leaver", "busybox", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until("trap", lambda: engine.berth("logs", "leaver").stdout == "ready\n")
    pid = engine.inspect("leaver")["State"]["Pid"]
    engine.kill()
    os.kill(pid, signal.SIGTERM)
    wait_until("end of the container", lambda: not os.path.exists(f"/proc/{pid}"))
    engine.start()
    state = engine.inspect("leaver")["State"]
    assert not state["Running"] and state["ExitCode"] == 9 and state["Status"] == "exited"


def test_attached_terminal_goes_on_typing(fresh_engine):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    terminal = Terminal([BIN / "berth", "exec", "-it", "host", "sh"], engine.environment)
    terminal.expect("# ")
    engine.kill()
    terminal.send("echo still$((40+2))\n")
    terminal.expect("still42")
    engine.start()
    terminal.send("echo more$((1+1))\n")
    terminal.expect("more2")
    terminal.send("exit\n")
    terminal.wait()


def test_published_port_after_a_restart(fresh_engine):
    engine = fresh_engine
    engine.berth("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sh", "-c", "echo hi > /index.html; httpd -f -h /")
    port = engine.berth("port", "web", "80/tcp").stdout.strip().rsplit(":", 1)[1]
    fetch = ["curl", "-sS", "--fail", "--retry", "50", "--retry-delay", "0", "--retry-all-errors", f"http://127.0.0.1:{port}/"]
    assert subprocess.run(fetch, capture_output=True, text=True).stdout == "hi\n"
    engine.kill()
    engine.start()
    assert subprocess.run(fetch, capture_output=True, text=True).stdout == "hi\n"
    engine.berth("rm", "-f", "web")
    engine.berth("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")


def test_half_made_things_are_swept(fresh_engine):
    engine = fresh_engine
    for number in range(5):
        client = subprocess.Popen([str(BIN / "berth"), "run", "--name", f"half{number}", "busybox", "sleep", "1000"],
                                  env=engine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        engine.kill()
        client.wait(60)
        engine.start()
    for name in engine.berth("ps", "-a", "--format", "{{.Names}}").stdout.split():
        engine.berth("rm", "-f", name)
    assert engine.berth("ps", "-aq").stdout == ""
    assert os.listdir(engine.exec / "containers") == []
    mounts = [line for line in open("/proc/mounts") if str(engine.data) in line]
    assert mounts == []
    assert engine.berth("run", "--rm", "busybox", "echo", "well").stdout == "well\n"
