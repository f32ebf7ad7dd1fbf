// SPDX-License-Identifier: Apache-2.0
// berth-init: the first process of a container with --init. It starts the program, passes signals
// on, reaps orphans and ends with the program's status; tini's flags and exit codes. Called as
// "hello" it is the only program of the berth/hello image instead.
#include "bin/berth_init_calls.h"

#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include <cerrno>

#include <asm/ioctls.h>

namespace berth::init {

namespace {

constexpr char greeting[] =
    "\nHello from Berth!\n"
    "This message shows that your installation appears to be working correctly.\n\n"
    "To generate this message, Berth took the following steps:\n"
    " 1. The client asked the daemon to run the image \"berth/hello\".\n"
    " 2. The daemon has that image built in, so nothing had to be pulled.\n"
    " 3. The daemon created a new container from the image, whose only program prints\n"
    "    what you are reading.\n"
    " 4. A monitor passed that output on to your terminal.\n\n"
    "To try something more ambitious, run a shell in a container with:\n"
    " $ berth run -it debian bash\n\n";

constexpr unsigned long all_signals = ~0UL;

constexpr unsigned long bit(int signal) {
    return 1UL << (signal - 1);
}

// Faults of our own stay deadly; the terminal must not stop us.
constexpr unsigned long not_forwarded = bit(SIGFPE) | bit(SIGILL) | bit(SIGSEGV) | bit(SIGBUS) |
                                        bit(SIGABRT) | bit(SIGTRAP) | bit(SIGSYS);

struct Options {
    bool process_group = false;
    bool subreaper = false;
    bool success_for[256] = {};
    char** program = nullptr;
};

void set_mask(unsigned long mask) {
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, address(&mask), 0, sizeof mask);
}

[[noreturn]] void fail(const char* what, const char* name, int status) {
    print(2, "berth-init: ");
    print(2, what);
    print(2, name);
    print(2, "\n");
    end(status);
}

int parse_status(const char* text) {
    int number = 0;
    for (; text != nullptr && *text >= '0' && *text <= '9' && number < 256; ++text) {
        number = number * 10 + (*text - '0');
    }
    return text == nullptr || *text != '\0' || number > 255 ? -1 : number;
}

Options parse(char** arguments) {
    Options options;
    char** next = arguments + 1;
    for (; *next != nullptr && (*next)[0] == '-'; ++next) {
        if (equal(*next, "--")) {
            ++next;
            break;
        }
        if (equal(*next, "-g")) {
            options.process_group = true;
        } else if (equal(*next, "-s")) {
            options.subreaper = true;
        } else if (equal(*next, "-e") && next[1] != nullptr) {
            int status = parse_status(*++next);
            if (status < 0) {
                fail("not a valid option for -e: ", *next, 1);
            }
            options.success_for[status] = true;
        } else if (!equal(*next, "-v") && !equal(*next, "-vv") && !equal(*next, "-w")) {
            fail("unknown option ", *next, 1);
        }
    }
    options.program = next;
    if (*next == nullptr) {
        fail("usage: berth-init [-g] [-s] [-e STATUS] -- PROGRAM [ARGUMENT]", "", 1);
    }
    return options;
}

const char* path_of(char** environment) {
    for (; *environment != nullptr; ++environment) {
        const char* entry = *environment;
        if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H' &&
            entry[4] == '=') {
            return entry + 5;
        }
    }
    return "/usr/local/bin:/bin:/usr/bin";
}

bool has_slash(const char* name) {
    for (; *name != '\0'; ++name) {
        if (*name == '/') {
            return true;
        }
    }
    return false;
}

long execute(const char* file, char** arguments, char** environment) {
    return system_call(SYS_execve, address(file), address(arguments), address(environment));
}

// execvp(3); answers the error.
long find_and_execute(char** arguments, char** environment) {
    const char* name = arguments[0];
    if (has_slash(name)) {
        return execute(name, arguments, environment);
    }
    char file[4096];
    long error = -ENOENT;
    const std::size_t name_size = length(name);
    const char* folder = path_of(environment);
    while (true) {
        std::size_t size = 0;
        while (folder[size] != '\0' && folder[size] != ':') {
            ++size;
        }
        if (size + name_size + 2 <= sizeof file) {
            char* end_of_file = file;
            for (std::size_t i = 0; i < size; ++i) {
                *end_of_file++ = folder[i];
            }
            if (size > 0) {
                *end_of_file++ = '/';
            }
            for (std::size_t i = 0; i <= name_size; ++i) {
                *end_of_file++ = name[i];
            }
            long failed = execute(file, arguments, environment);
            // A file that must not be executed is remembered; the search goes on.
            error = failed == -EACCES || (failed != -ENOENT && failed != -ENOTDIR) ? failed : error;
        }
        if (folder[size] == '\0') {
            return error;
        }
        folder += size + 1;
    }
}

[[noreturn]] void run_program(const Options& options, char** environment, unsigned long mask) {
    // A process group of its own in the foreground, so that job control works in it.
    system_call(SYS_setpgid, 0, 0);
    int group = static_cast<int>(system_call(SYS_getpid));
    system_call(SYS_ioctl, 0, TIOCSPGRP, address(&group));
    set_mask(mask);
    long error = find_and_execute(options.program, environment);
    fail(
        "cannot execute ",
        options.program[0],
        error == -ENOENT   ? 127
        : error == -EACCES ? 126
                           : 1);
}

// Answers once the program itself has ended: all that ended is reaped.
bool reap(long program, int& status) {
    bool ended = false;
    while (true) {
        int raw = 0;
        long pid = system_call(SYS_wait4, -1, address(&raw), WNOHANG, 0);
        if (pid <= 0) {
            return ended;
        }
        if (pid == program) {
            ended = true;
            int signal = raw & 0x7f;
            status = signal != 0 ? 128 + signal : (raw >> 8) & 0xff;
        }
    }
}

int supervise(const Options& options, char** environment) {
    unsigned long before = 0;
    unsigned long blocked = all_signals & ~not_forwarded;
    system_call(
        SYS_rt_sigprocmask, SIG_SETMASK, address(&blocked), address(&before), sizeof blocked);
    if (options.subreaper) {
        system_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
    }
    long program = system_call(SYS_clone, SIGCHLD);
    if (program < 0) {
        fail("cannot fork", "", 1);
    }
    if (program == 0) {
        run_program(options, environment, before);
    }
    const long target = options.process_group ? -program : program;
    while (true) {
        long signal = system_call(SYS_rt_sigtimedwait, address(&blocked), 0, 0, sizeof blocked);
        int status = 0;
        if (signal == SIGCHLD) {
            if (reap(program, status)) {
                return options.success_for[status] ? 0 : status;
            }
        } else if (signal > 0 && signal != SIGTTIN && signal != SIGTTOU) {
            system_call(SYS_kill, target, signal);
        }
    }
}

bool is_hello(const char* name) {
    constexpr char wanted[] = "hello";
    constexpr std::size_t size = sizeof wanted - 1;
    std::size_t given = length(name);
    return given >= size && equal(name + given - size, wanted);
}

} // namespace

extern "C" [[noreturn]] void berth_init_main(long* stack) {
    auto** arguments = reinterpret_cast<char**>(stack + 1);
    char** environment = arguments + *stack + 1;
    if (*stack > 0 && is_hello(arguments[0])) {
        print(1, greeting);
        end(0);
    }
    if (*stack == 0) {
        end(1);
    }
    end(supervise(parse(arguments), environment));
}

} // namespace berth::init

// The kernel starts here with the arguments on the stack.
#if defined(__x86_64__)
asm(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n"
    " call berth_init_main\n");
#elif defined(__aarch64__)
asm(".globl _start\n_start:\n mov x29, #0\n mov x0, sp\n and sp, x0, #-16\n"
    " bl berth_init_main\n");
#elif defined(__riscv)
asm(".globl _start\n_start:\n mv a0, sp\n andi sp, sp, -16\n call berth_init_main\n");
#endif

// The compiler may ask for it even here.
extern "C" void* memset(void* target, int value, std::size_t size) {
    auto* bytes = static_cast<volatile unsigned char*>(target);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<unsigned char>(value);
    }
    return target;
}
