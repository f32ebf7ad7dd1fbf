// SPDX-License-Identifier: Apache-2.0
// Questions and answers between threads.
#include "monitor/client_state.h"

#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace berth::monitor {
namespace {

Error lost_error() {
    return Error(ErrorKind::Unavailable, "the container's monitor is gone");
}

} // namespace

MonitorClient::State::State(io::EventLoop& loop, UniqueFd socket, MonitorHandlers handlers)
    : loop_(loop)
    , socket_(kernel::keep_apart(std::move(socket)))
    , handlers_(std::move(handlers)) {}

MonitorClient::State::~State() {
    if (child_) {
        (void)child_->release(); // the monitor outlives the engine
    }
}

void MonitorClient::State::set_child(kernel::Child child) {
    monitor_pid_ = child.pid();
    child_ = std::move(child);
    child_->keep_pidfd_apart();
}

void MonitorClient::State::begin() {
    const std::lock_guard reading(reading_);
    if (std::exchange(begun_, true)) {
        return;
    }
    if (loop_.in_loop_thread()) {
        watch();
    } else {
        loop_.post([self = shared_from_this()] { self->watch(); });
    }
}

void MonitorClient::State::watch() {
    const auto added = loop_.add(
        socket_, EPOLLIN, [self = shared_from_this()](std::uint32_t) { self->handle_readable(); });
    VERIFY(added.ok());
    watched_ = true;
}

Result<Notice> MonitorClient::State::ask(const Request& request, int descriptor) {
    return ask(request, descriptor, std::nullopt);
}

Result<Notice>
MonitorClient::State::ask_within(std::chrono::milliseconds limit, const Request& request) {
    return ask(request, -1, limit);
}

Result<Notice> MonitorClient::State::ask(const Request& request, int descriptor, Limit limit) {
    if (loop_.in_loop_thread()) {
        // The answer arrives in this thread: waiting for it would wait for ever.
        return internal_error("a monitor was asked from its event loop's thread");
    }
    std::unique_lock lock(mutex_);
    if (lost_) {
        return lost_error();
    }
    const std::uint32_t number = next_number_++;
    questions_.emplace(number, Question{});
    lock.unlock();
    const std::span<const int> descriptors(&descriptor, descriptor >= 0 ? 1 : 0);
    Result<void> sent = ok();
    {
        const std::lock_guard sending(sending_);
        sent = send_whole(
            socket_,
            encode(request, number, static_cast<std::uint16_t>(descriptors.size())),
            descriptors);
    }
    if (sent.ok()) {
        read_until_answered(number);
    }
    lock.lock();
    Question& question = questions_.at(number);
    const auto is_over = [&] { return lost_ || question.answer.has_value(); };
    bool in_time = true;
    if (sent.ok() && limit) {
        in_time = answered_.wait_for(lock, *limit, is_over);
    } else if (sent.ok()) {
        answered_.wait(lock, is_over);
    }
    Result<Notice> answer = lost_error();
    if (question.answer) {
        answer = std::move(*question.answer);
    } else if (!in_time) {
        answer = Error(ErrorKind::DeadlineExceeded, "the container's monitor does not answer");
    }
    questions_.erase(number);
    return answer;
}

bool MonitorClient::State::is_answered(std::uint32_t number) {
    const std::lock_guard lock(mutex_);
    return lost_ || questions_.at(number).answer.has_value();
}

// Returns at once when the loop reads, and when it has to: the connection has ended.
void MonitorClient::State::read_until_answered(std::uint32_t number) {
    std::unique_lock reading(reading_);
    while (!begun_ && !is_answered(number)) {
        pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        (void)poll(&readable, 1, -1);
        const Result<bool> open = read_messages();
        if (!open.ok() || !open.value()) {
            reading.unlock();
            begin();
            return;
        }
    }
}

void MonitorClient::State::handle_readable() {
    const auto self = shared_from_this(); // the watch, which holds this, may be removed
    const Result<bool> open = read_messages();
    if (!open.ok() || !open.value()) {
        lose();
    }
}

Result<bool> MonitorClient::State::read_messages() {
    const bool open = TRY(receiver_.receive(socket_));
    while (auto message = TRY(receiver_.next())) {
        handle_message(*message);
    }
    return open;
}

void MonitorClient::State::handle_message(const Message& message) {
    Result<Notice> notice = decode_notice(message.header, message.body);
    if (message.header.request == 0) {
        if (notice.ok() && loop_.in_loop_thread()) {
            tell(*notice);
        } else if (notice.ok()) {
            loop_.post([self = shared_from_this(), event = *notice] { self->tell(event); });
        }
        return;
    }
    if (notice.ok()) {
        if (auto* failed = std::get_if<Failed>(&notice.value())) {
            Error error = std::move(failed->error);
            notice = std::move(error);
        }
    }
    const std::lock_guard lock(mutex_);
    const auto question = questions_.find(message.header.request);
    if (question != questions_.end()) {
        question->second.answer = std::move(notice);
        answered_.notify_all();
    }
}

void MonitorClient::State::tell(const Notice& notice) {
    const std::lock_guard handling(handling_);
    if (abandoned_) {
        return;
    }
    if (const auto* exited = std::get_if<Exited>(&notice)) {
        if (handlers_.on_exit) {
            handlers_.on_exit(*exited);
        }
    } else if (const auto* detached = std::get_if<Detached>(&notice)) {
        if (handlers_.on_detach) {
            handlers_.on_detach(detached->exec_id);
        }
    }
}

void MonitorClient::State::tell_past_exits(const StatusReply& reply) {
    loop_.post([self = shared_from_this(), reply] {
        for (const ExecStatus& exec : reply.execs) {
            if (!exec.running) {
                self->tell(exec.exit);
            }
        }
        if (reply.phase == ContainerPhase::Exited) {
            self->tell(reply.exit);
        }
    });
}

void MonitorClient::State::lose() {
    if (std::exchange(watched_, false)) {
        loop_.remove(socket_);
    }
    {
        const std::lock_guard lock(mutex_);
        lost_ = true;
        answered_.notify_all();
    }
    reap_child();
    const std::lock_guard handling(handling_);
    if (!abandoned_ && handlers_.on_lost) {
        handlers_.on_lost();
    }
}

// A monitor that has closed its socket is about to end, but may not have yet.
void MonitorClient::State::reap_child() {
    if (!child_) {
        return;
    }
    const auto status = child_->try_wait();
    if (status.ok() && !status.value()) {
        const auto wait = [self = shared_from_this()](std::uint32_t) {
            const auto keep = self->shared_from_this(); // the loop lets go of this function
            keep->loop_.remove(keep->child_->pidfd());
            (void)keep->child_->wait();
            keep->child_.reset();
        };
        if (loop_.add(child_->pidfd(), EPOLLIN, wait).ok()) {
            return;
        }
        (void)child_->release();
    }
    child_.reset();
}

void MonitorClient::State::abandon() {
    {
        const std::lock_guard handling(handling_);
        abandoned_ = true;
    }
    // The loop sees the end of the connection, and lets go of it in its own thread.
    (void)shutdown(socket_.get(), SHUT_RDWR);
    begin();
}

} // namespace berth::monitor
