// SPDX-License-Identifier: Apache-2.0
// The process gets the context as a descriptor: what it does to it, it does for its sender. It
// tells errno by its exit code.
#include "kernel/server_question.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/process.h"
#include "kernel/server_answer.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace berth::kernel {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of one that was killed: it is in the kernel, which looks up now and then.
constexpr milliseconds end_patience{2000};

enum class Woken : std::uint8_t { Answered, Stopped, OutOfTime };

Result<Woken> wait_for(const Child& sent, milliseconds patience, const std::stop_token& stop) {
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    const std::stop_callback on_stop(stop, [&wake] { eventfd_write(wake.get(), 1); });
    const steady_clock::time_point end = steady_clock::now() + patience;
    while (true) {
        const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
        if (left.count() <= 0) {
            return Woken::OutOfTime;
        }
        std::array<pollfd, 2> polled{
            pollfd{sent.pidfd().get(), POLLIN, 0}, pollfd{wake.get(), POLLIN, 0}};
        if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0 &&
            errno != EINTR) {
            return errno_error("poll");
        }
        if (polled[0].revents != 0) {
            return Woken::Answered;
        }
        if (polled[1].revents != 0) {
            return Woken::Stopped;
        }
    }
}

// One that does not end even now is left to the kernel: nobody shall wait for it.
void call_back(Child sent) {
    if (sent.kill(SIGKILL).ok()) {
        const auto ended = wait_for(sent, end_patience, {});
        if (!ended.ok() || *ended != Woken::Answered) {
            sent.release();
        }
    }
}

Result<void>
ask(const ServerQuestions& questions,
    std::vector<std::string> arguments,
    std::vector<std::pair<int, int>> fds,
    const std::stop_token& stop) {
    const UniqueFd null = TRY(open_file("/dev/null", O_RDWR));
    for (const int standard : {0, 1, 2}) {
        fds.emplace_back(null.get(), standard);
    }
    arguments.insert(arguments.begin(), "berth-server-question");
    Child sent = TRY(spawn(
        {.arguments = std::move(arguments),
         .program = questions.program,
         .environment = std::vector<std::string>(),
         .fds = std::move(fds),
         .new_session = true}));
    switch (TRY(wait_for(sent, questions.patience, stop))) {
    case Woken::Answered:
        break;
    case Woken::Stopped:
        call_back(std::move(sent));
        return Error(ErrorKind::Cancelled, "the server did not answer before this was called off");
    case Woken::OutOfTime:
        call_back(std::move(sent));
        return Error(
            ErrorKind::DeadlineExceeded,
            "the server has not answered for " +
                std::to_string(
                    std::chrono::duration_cast<std::chrono::seconds>(questions.patience).count()) +
                " s");
    }
    const ExitStatus status = TRY(sent.wait());
    if (status.signal != 0) {
        return internal_error("asking the server ended by signal " + std::to_string(status.signal));
    }
    return status.code == 0 ? ok() : Result<void>(Error::from_errno("server", status.code));
}

} // namespace

Result<void> create_file_system_within(
    const ServerQuestions& questions, FdRef context, const std::stop_token& stop) {
    if (questions.program.empty()) {
        return create_file_system(context);
    }
    return ask(questions, {create_word}, {{context.get(), context_fd}}, stop);
}

Result<void> reach_server_within(
    const ServerQuestions& questions, const std::string& path, const std::stop_token& stop) {
    if (questions.program.empty()) {
        return reach_server(path);
    }
    return ask(questions, {reach_word, path}, {}, stop);
}

} // namespace berth::kernel
