// SPDX-License-Identifier: Apache-2.0
// The input is an unnamed file instead of a pipe: a plugin that does not read it cannot block us.
#include "network/cni_plugin.h"

#include "base/file.h"
#include "base/strings.h"
#include "kernel/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace berth::network {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t answer_limit = 1U << 20;
constexpr std::size_t words_limit = 1024; // of an error: they go to clients and into the log
constexpr std::size_t chunk_size = 16U << 10;
constexpr std::size_t most_rest_rounds = 128; // more than pipes hold
constexpr int answer_depth = 32;

// Error codes of the specification.
constexpr std::int64_t incompatible_version = 1;
constexpr std::int64_t unsupported_field = 2;
constexpr std::int64_t unknown_container = 3;
constexpr std::int64_t invalid_configuration = 7;
constexpr std::int64_t try_again_later = 11;
constexpr std::int64_t not_available = 50;
constexpr std::int64_t limited_connectivity = 51;

ErrorKind kind_of(std::int64_t code) {
    switch (code) {
    case incompatible_version:
    case unsupported_field:
    case invalid_configuration:
        return ErrorKind::InvalidArgument;
    case try_again_later:
    case not_available:
    case limited_connectivity:
        return ErrorKind::Unavailable;
    }
    return ErrorKind::Internal;
}

// The last ones of a long text.
std::string last_words(std::string_view text) {
    const std::string_view words = trim(text);
    return std::string(words.substr(words.size() - std::min(words.size(), words_limit)));
}

std::string first_words(std::string_view text) {
    return std::string(trim(text).substr(0, words_limit));
}

Result<UniqueFd> input_file(const json::Value& input) {
    UniqueFd file(::memfd_create("cni", MFD_CLOEXEC));
    if (!file) {
        return errno_error("memfd_create");
    }
    TRY(write_all(file, json::serialize(input)));
    if (::lseek(file.get(), 0, SEEK_SET) < 0) {
        return errno_error("configuration of a CNI plugin");
    }
    return file;
}

// The caller's environment, as others who run plugins pass it (proxies, PATH), and the call.
std::vector<std::string> environment_of(const CniPlugins& plugins, const CniCall& call) {
    std::vector<std::string> environment;
    bool has_path = false;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        has_path = has_path || text.starts_with("PATH=");
        if (!text.starts_with("CNI_")) {
            environment.emplace_back(text);
        }
    }
    if (!has_path) {
        environment.emplace_back(
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    environment.push_back("CNI_COMMAND=" + call.command);
    environment.push_back("CNI_PATH=" + plugins.path());
    environment.push_back("CNI_NETNS=" + call.netns);
    environment.push_back("CNI_ARGS=" + call.arguments);
    if (!call.container_id.empty()) {
        environment.push_back("CNI_CONTAINERID=" + call.container_id);
    }
    if (!call.interface_name.empty()) {
        environment.push_back("CNI_IFNAME=" + call.interface_name);
    }
    return environment;
}

// One end of a pipe that the plugin writes to.
struct Stream {
    UniqueFd end;
    std::string text{};

    // False: nothing more comes.
    bool take() {
        std::array<char, chunk_size> chunk{};
        const ssize_t got = ::read(end.get(), chunk.data(), chunk.size());
        if (got < 0) {
            return errno == EINTR || errno == EAGAIN;
        }
        text.append(chunk.data(), static_cast<std::size_t>(got));
        return got > 0;
    }
};

struct Running {
    kernel::Child child;
    Stream output;
    Stream errors;
};

// Takes what the streams have. ResourceExhausted when the answer is too long.
Result<void> take_from(Running& running, const pollfd& output, const pollfd& errors) {
    if ((output.revents & (POLLIN | POLLHUP)) != 0 && !running.output.take()) {
        running.output.end.reset();
    }
    if ((errors.revents & (POLLIN | POLLHUP)) != 0 && !running.errors.take()) {
        running.errors.end.reset();
    }
    if (running.output.text.size() > answer_limit) {
        return Error(
            ErrorKind::ResourceExhausted,
            "it answered more than " + std::to_string(answer_limit >> 20U) + " MiB");
    }
    std::string& words = running.errors.text;
    if (words.size() > 2 * words_limit) {
        words.erase(0, words.size() - words_limit);
    }
    return ok();
}

int milliseconds_until(Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

// What is still in the pipes when the program has ended. Those who inherited them are not waited
// for, and cannot keep us here by talking.
Result<void> take_rest(Running& running) {
    for (std::size_t round = 0; round < most_rest_rounds; ++round) {
        std::array<pollfd, 2> watched{
            pollfd{running.output.end.get(), POLLIN, 0},
            pollfd{running.errors.end.get(), POLLIN, 0}};
        if (::poll(watched.data(), watched.size(), 0) <= 0) {
            break;
        }
        TRY(take_from(running, watched[0], watched[1]));
    }
    return ok();
}

Result<void> follow(Running& running, const CniPatience& patience) {
    for (;;) {
        std::array<pollfd, 4> watched{
            pollfd{running.child.pidfd().get(), POLLIN, 0},
            pollfd{running.output.end.get(), POLLIN, 0},
            pollfd{running.errors.end.get(), POLLIN, 0},
            pollfd{patience.stop ? patience.stop->get() : -1, POLLIN, 0}};
        const int ready =
            ::poll(watched.data(), watched.size(), milliseconds_until(patience.until));
        if (ready < 0 && errno != EINTR) {
            return errno_error("wait for a CNI plugin");
        }
        if (ready == 0 || Clock::now() >= patience.until) {
            return Error(ErrorKind::DeadlineExceeded, "it did not answer in time");
        }
        if (watched[3].revents != 0) {
            return Error(ErrorKind::Cancelled, "its answer was not waited for");
        }
        if (ready > 0) {
            TRY(take_from(running, watched[1], watched[2]));
        }
        if (ready > 0 && watched[0].revents != 0) {
            return take_rest(running);
        }
    }
}

Result<Running> start(
    const CniPlugins& plugins,
    const std::string& program,
    const CniCall& call,
    const json::Value& input) {
    const UniqueFd configuration = TRY(input_file(input));
    Pipe output = TRY(Pipe::create());
    Pipe errors = TRY(Pipe::create());
    kernel::Child child = TRY(kernel::spawn(
        {.arguments = {program},
         .program = program,
         .environment = environment_of(plugins, call),
         .fds =
             {{configuration.get(), 0}, {output.write_end.get(), 1}, {errors.write_end.get(), 2}},
         .working_directory = "/",
         .new_session = true,
         // An engine that is killed starts again and undoes what was begun: nobody shall go on.
         .death_signal = SIGKILL}));
    return Running{
        .child = std::move(child),
        .output = {.end = std::move(output.read_end)},
        .errors = {.end = std::move(errors.read_end)}};
}

// What a plugin says that has failed.
Error said_by(const Running& running, const kernel::ExitStatus& status) {
    const std::string_view text = trim(running.output.text);
    const auto answer = json::parse(text, {.depth = answer_depth, .bytes = answer_limit});
    const json::Value* code = answer.ok() ? json::find(*answer, "code") : nullptr;
    const std::string_view message = answer.ok() ? json::find_string(*answer, "msg") : "";
    if (!message.empty()) {
        std::string words = first_words(message);
        if (const auto details = json::find_string(*answer, "details"); !details.empty()) {
            words += "; " + first_words(details);
        }
        const bool has_code = code != nullptr && code->is_int64();
        return Error(has_code ? kind_of(code->get_int64()) : ErrorKind::Internal, words);
    }
    std::string words = "it ended with status " + std::to_string(status.shell_code());
    const std::string last = last_words(running.errors.text.empty() ? text : running.errors.text);
    return internal_error(last.empty() ? words : words + ": " + last);
}

bool knows_no_container(const Running& running) {
    const auto answer =
        json::parse(trim(running.output.text), {.depth = answer_depth, .bytes = answer_limit});
    const json::Value* code = answer.ok() ? json::find(*answer, "code") : nullptr;
    return code != nullptr && code->is_int64() && code->get_int64() == unknown_container;
}

Result<json::Value>
run(const CniPlugins& plugins,
    const std::string& program,
    const CniCall& call,
    const json::Value& input,
    const CniPatience& patience) {
    Running running = TRY(start(plugins, program, call, input));
    const pid_t group = running.child.pid();
    Result<void> followed = follow(running, patience);
    if (!followed.ok()) {
        ::kill(-group, SIGKILL); // the child itself is not reaped yet, so the group is its own
        return std::move(followed).error();
    }
    const kernel::ExitStatus status = TRY(running.child.wait());
    if (status.shell_code() != 0) {
        if (call.command == "DEL" && knows_no_container(running)) {
            return json::Value();
        }
        return said_by(running, status);
    }
    const std::string_view text = trim(running.output.text);
    if (text.empty()) {
        return json::Value();
    }
    auto answer = json::parse(text, {.depth = answer_depth, .bytes = answer_limit});
    if (!answer.ok()) {
        return internal_error("its answer cannot be read: " + answer.error().message());
    }
    return answer;
}

} // namespace

Result<std::string> CniPlugins::find(const std::string& type) const {
    if (type.empty() || type.find('/') != std::string::npos || type == "." || type == ".." ||
        type.find('\0') != std::string::npos) {
        return invalid_argument("\"" + type + "\" is no name of a CNI plugin");
    }
    for (const std::string& directory : directories) {
        std::string program = directory + "/" + type;
        if (::access(program.c_str(), X_OK) == 0) {
            return program;
        }
    }
    return not_found("CNI plugin \"" + type + "\" not found in " + join(directories, ", "));
}

std::string CniPlugins::path() const {
    return join(directories, ":");
}

Result<json::Value> call_cni_plugin(
    const CniPlugins& plugins,
    const std::string& type,
    const CniCall& call,
    const json::Value& input,
    const CniPatience& patience) {
    const std::string program = TRY(plugins.find(type));
    auto answer = run(plugins, program, call, input, patience);
    if (!answer.ok()) {
        return std::move(answer).error().with_context(
            "CNI plugin " + type + " (" + call.command + ")");
    }
    return answer;
}

} // namespace berth::network
