// SPDX-License-Identifier: Apache-2.0
// posix_spawn for programs that feed us, exec for programs that replace us.
#include "cli/child.h"

#include "base/file.h"

#include <cerrno>
#include <csignal>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::cli {

namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) {
        // The exec family takes char* for historical reasons and does not write.
        pointers.push_back(const_cast<char*>(argument.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

// Its standard input and output are the given descriptors; -1 leaves ours.
Result<pid_t> spawn(const std::vector<std::string>& arguments, int input, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (input >= 0) {
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    }
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t pid = -1;
    int error = ::posix_spawnp(
        &pid, arguments[0].c_str(), &actions, nullptr, pointers_to(arguments).data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        Error failure = Error::from_errno("start " + arguments[0], error);
        return error == ENOENT ? std::move(failure).as(ErrorKind::NotFound) : failure;
    }
    return pid;
}

Result<int> wait_for_end(pid_t pid, const std::string& name) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno_error("wait for " + name);
        }
    }
    return status;
}

constexpr std::size_t input_limit = 64U << 10; // what a pipe takes before anybody reads
constexpr std::size_t output_limit = 1U << 20;

} // namespace

Result<ProgramOutcome>
run_program(const std::vector<std::string>& arguments, const std::string& input) {
    if (input.size() > input_limit) {
        return invalid_argument("the input of " + arguments[0] + " is longer than 64 KiB");
    }
    Pipe in = TRY(Pipe::create());
    Pipe out = TRY(Pipe::create());
    TRY(write_all(in.write_end, input));
    in.write_end.reset();
    pid_t pid = TRY(spawn(arguments, in.read_end.get(), out.write_end.get()));
    in.read_end.reset();
    out.write_end.reset();
    auto output = read_all(out.read_end, output_limit);
    out.read_end.reset();
    int status = TRY(wait_for_end(pid, arguments[0]));
    ProgramOutcome outcome{.output = TRY(std::move(output)), .status = {}};
    if (!WIFEXITED(status)) {
        outcome.status = "signal " + std::to_string(WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        outcome.status = "exit status " + std::to_string(WEXITSTATUS(status));
    }
    return outcome;
}

ChildOutput::ChildOutput(std::string name, pid_t pid, UniqueFd output)
    : name_(std::move(name))
    , pid_(pid)
    , output_(std::move(output)) {}

ChildOutput::ChildOutput(ChildOutput&& other) noexcept
    : name_(std::move(other.name_))
    , pid_(std::exchange(other.pid_, -1))
    , output_(std::move(other.output_)) {}

ChildOutput::~ChildOutput() {
    if (pid_ > 0) {
        output_.reset();
        ::kill(pid_, SIGTERM);
        [[maybe_unused]] Result<void> ended = wait();
    }
}

Result<ChildOutput> ChildOutput::start(const std::vector<std::string>& arguments) {
    Pipe pipe = TRY(Pipe::create());
    pid_t pid = TRY(spawn(arguments, -1, pipe.write_end.get()));
    return ChildOutput(arguments[0], pid, std::move(pipe.read_end));
}

Result<void> ChildOutput::wait() {
    int status = TRY(wait_for_end(pid_, name_));
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return internal_error(
            name_ + (WIFEXITED(status)
                         ? " failed with exit code " + std::to_string(WEXITSTATUS(status))
                         : " was ended by signal " + std::to_string(WTERMSIG(status))));
    }
    return ok();
}

Result<std::size_t> ChildOutput::read(std::span<char> buffer) {
    if (pid_ <= 0) {
        return std::size_t{0};
    }
    while (true) {
        ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
        if (got > 0) {
            return static_cast<std::size_t>(got);
        }
        if (got == 0) {
            TRY(wait());
            return std::size_t{0};
        }
        if (errno != EINTR) {
            return errno_error("read from " + name_);
        }
    }
}

Error become(
    const std::string& own_executable,
    const std::string& name,
    const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {name};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::size_t slash = own_executable.rfind('/');
    if (slash != std::string::npos) {
        std::string beside = own_executable.substr(0, slash + 1) + name;
        if (exists(beside)) {
            ::execv(beside.c_str(), pointers_to(all).data());
            return errno_error("start " + beside);
        }
    }
    ::execvp(name.c_str(), pointers_to(all).data());
    return errno_error("start " + name);
}

} // namespace berth::cli
