"""SIGKILL for a running engine at its n-th system call of a kind: no timing decides where it dies, and n can be any."""
import ctypes
import errno
import os
import platform
import signal
import threading

PTRACE_SYSCALL, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GET_SYSCALL_INFO = 24, 17, 0x4206, 0x4207, 0x420E
PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACECLONE = 1, 8
PTRACE_EVENT_STOP = 128
SYSCALL_ENTRY = 1
WALL, WNOTHREAD = 0x40000000, 0x20000000

# What changes names and makes things last, what writes bytes, and what takes directories away.
NUMBERS = {
    "x86_64": {"removing": {84},
               "naming": {74, 75, 77, 82, 83, 84, 86, 87, 88, 90, 91, 165, 166, 258, 263, 264, 265, 266, 268, 285, 316, 429, 442},
               "writing": {1, 2, 18, 20, 40, 190, 257, 280, 296, 326, 437}},
    "aarch64": {"removing": {35},
                "naming": {33, 34, 35, 36, 37, 38, 39, 40, 46, 47, 52, 53, 82, 83, 276, 429, 442},
                "writing": {5, 56, 64, 66, 68, 70, 71, 88, 285, 437}},
}[platform.machine()]
NAMING = NUMBERS["naming"]
CHANGING = NUMBERS["naming"] | NUMBERS["writing"]
REMOVING = NUMBERS["removing"]

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class SyscallInfo(ctypes.Structure):
    _fields_ = [("op", ctypes.c_uint8), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64),
                ("number", ctypes.c_uint64), ("arguments", ctypes.c_uint64 * 6)]


def ptrace(request, task, address=None, data=None):
    """False when the task is gone, or on its way out: such a one cannot be seized."""
    if libc.ptrace(request, task, address, data) >= 0:
        return True
    gone = {errno.ESRCH, errno.EPERM} if request == PTRACE_SEIZE else {errno.ESRCH}
    if ctypes.get_errno() in gone:
        return False
    raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


class Killer:
    """Counts the calls of all threads of a process from its construction on, and kills the process as it enters the
    one with the number at; 0 only counts. As a context manager it lets the process go at the end."""

    def __init__(self, pid, calls=frozenset(CHANGING), at=0):
        self.pid, self.calls, self.at = pid, calls, at
        self.count = 0
        self.killed = False
        self.error = None
        self.ending = False
        self.ready = threading.Event()
        # All requests for a tracee come from the thread that took it; when that ends, the kernel lets them go.
        self.thread = threading.Thread(target=self.trace, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        if self.error:
            raise self.error
        return self

    def __exit__(self, *_):
        self.ending = True
        while self.thread.is_alive():
            # Whatever the process does ends the wait; a signal that it ignores is enough.
            try:
                os.kill(self.pid, signal.SIGURG)
            except ProcessLookupError:
                pass
            self.thread.join(0.05)
        if self.error:
            raise self.error

    def trace(self):
        try:
            self.seize()
            self.ready.set()
            while not self.ending and self.step():
                pass
        except Exception as error:  # for the thread that waits
            self.error = error
        self.ready.set()

    def seize(self):
        seen = set()
        while new := {int(name) for name in os.listdir(f"/proc/{self.pid}/task")} - seen:
            for task in new:
                if ptrace(PTRACE_SEIZE, task, None, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE):
                    ptrace(PTRACE_INTERRUPT, task)
            seen |= new

    def step(self):
        try:
            task, status = os.waitpid(-1, WALL | WNOTHREAD)
        except ChildProcessError:
            return False
        if not os.WIFSTOPPED(status):
            return task != self.pid
        number = os.WSTOPSIG(status)
        if number == signal.SIGTRAP | 0x80:
            self.look_at(task)
        event = status >> 16
        ptrace(PTRACE_SYSCALL, task, None, 0 if event or number == signal.SIGTRAP | 0x80 else number)
        return True

    def look_at(self, task):
        info = SyscallInfo()
        if not ptrace(PTRACE_GET_SYSCALL_INFO, task, ctypes.sizeof(info), ctypes.addressof(info)):
            return
        if info.op != SYSCALL_ENTRY or info.number not in self.calls or self.killed:
            return
        self.count += 1
        if self.count == self.at:
            self.killed = True
            os.kill(self.pid, signal.SIGKILL)
