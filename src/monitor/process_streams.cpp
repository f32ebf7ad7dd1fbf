// SPDX-License-Identifier: Apache-2.0
// Output flows from the process to the log and all clients, input from all clients to the process.
// A watch that must wait is removed from the loop and not only masked: epoll reports hang-ups
// unasked, and the loop would spin.
#include "monitor/process_streams.h"

#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace berth::monitor {

ProcessStreams::ProcessStreams(
    io::EventLoop& loop, Scratch& scratch, Options options, Handlers handlers)
    : loop_(loop)
    , scratch_(scratch)
    , options_(options)
    , handlers_(std::move(handlers)) {}

ProcessStreams::~ProcessStreams() {
    for (Output& output : outputs_) {
        unwatch_output(output);
    }
    for (const ClientPtr& client : clients_) {
        unwatch_client(*client);
    }
    close_stdin();
    for (const auto& timer : {drain_timer_, log_timer_}) {
        if (timer) {
            loop_.cancel_timer(*timer);
        }
    }
}

Result<ProcessStreams::ProcessEnds> ProcessStreams::make_pipes() {
    ProcessEnds ends;
    if (options_.open_stdin) {
        Pipe pipe = TRY(Pipe::create());
        TRY(io::set_nonblocking(pipe.write_end));
        stdin_ = std::move(pipe.write_end);
        ends.in = std::move(pipe.read_end);
        stdin_open_ = true;
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        Pipe pipe = TRY(Pipe::create());
        TRY(io::set_nonblocking(pipe.read_end));
        outputs_[i].fd = std::move(pipe.read_end);
        outputs_[i].stream = i == 0 ? io::Stream::Stdout : io::Stream::Stderr;
        (i == 0 ? ends.out : ends.err) = std::move(pipe.write_end);
    }
    return ends;
}

void ProcessStreams::set_terminal(UniqueFd master) {
    terminal_ = std::move(master);
    stdin_open_ = options_.open_stdin;
}

Result<void> ProcessStreams::resize(io::TerminalSize size) {
    if (!options_.terminal) {
        return ok(); // as Docker: who asks does not know
    }
    if (!terminal_) {
        return conflict("the process has no terminal to resize");
    }
    return io::set_terminal_size(terminal_, size);
}

Result<void> ProcessStreams::open() {
    if (options_.terminal) {
        TRY(io::set_nonblocking(terminal_));
        // Input and output are watched apart, and the loop knows a descriptor once.
        outputs_[0].fd = TRY(terminal_.duplicate());
    }
    for (Output& output : outputs_) {
        if (output.fd) {
            watch_output(output);
        }
    }
    return ok();
}

// Output

void ProcessStreams::watch_output(Output& output) {
    if (output.watched || !output.fd || log_timer_) {
        return;
    }
    const auto added = loop_.add(output.fd, EPOLLIN, [this, &output](std::uint32_t) {
        (void)read_output(output);
        apply_limit();
        update_clients();
        check_drained();
    });
    VERIFY(added.ok());
    output.watched = true;
}

void ProcessStreams::unwatch_output(Output& output) {
    if (std::exchange(output.watched, false)) {
        loop_.remove(output.fd);
    }
}

// False when there is nothing more now.
bool ProcessStreams::read_output(Output& output) {
    if (options_.log != nullptr && !ended_ && !options_.log->has_room(scratch_.bytes().size())) {
        wait_for_log();
        return false;
    }
    const ssize_t count = read(output.fd.get(), scratch_.bytes().data(), scratch_.bytes().size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (count <= 0) { // a terminal's master says EIO once nobody has the other side open
        close_output(output);
        return false;
    }
    const std::string_view bytes(scratch_.bytes().data(), static_cast<std::size_t>(count));
    scratch_.used(bytes.size());
    if (options_.log != nullptr) {
        const auto appended = options_.log->append(output.stream, Timestamp::now(), bytes);
        if (!appended.ok()) {
            log::debug("output not logged", {{"error", appended.error().message()}});
        }
    }
    for (const ClientPtr& client : clients_) {
        client->deliver(output.stream, bytes);
    }
    return true;
}

void ProcessStreams::close_output(Output& output) {
    unwatch_output(output);
    if (output.fd && options_.log != nullptr) {
        const auto finished = options_.log->finish(output.stream);
        if (!finished.ok()) {
            log::debug("output not logged", {{"error", finished.error().message()}});
        }
    }
    output.fd.reset();
}

// Somebody has still to read what the next rotation removes: until he has, the process waits in its
// write.
void ProcessStreams::wait_for_log() {
    for (Output& output : outputs_) {
        unwatch_output(output);
    }
    if (!log_timer_) {
        log_timer_ = loop_.add_timer(log_room_interval, [this] {
            log_timer_.reset();
            if (options_.log->has_room(scratch_.bytes().size())) {
                end_wait_for_log();
            } else {
                wait_for_log();
            }
        });
    }
}

void ProcessStreams::end_wait_for_log() {
    if (log_timer_) {
        loop_.cancel_timer(*log_timer_);
        log_timer_.reset();
    }
    for (Output& output : outputs_) {
        if (!output.limited) {
            watch_output(output);
        }
    }
}

void ProcessStreams::apply_limit() {
    const std::size_t limit = ended_ ? final_queue_limit : client_queue_limit;
    std::size_t longest = 0;
    for (const ClientPtr& client : clients_) {
        longest = std::max(longest, client->queued());
    }
    for (Output& output : outputs_) {
        if (longest >= limit) {
            unwatch_output(output);
            output.limited = true;
        } else if (output.limited && longest < limit / 2) {
            output.limited = false;
            watch_output(output);
        }
    }
}

void ProcessStreams::process_ended() {
    ended_ = true;
    stdin_ends_ = true;
    stdin_pending_ = std::string();
    close_stdin();
    if (log_timer_) {
        end_wait_for_log();
    }
    apply_limit();
    drain_timer_ = loop_.add_timer(drain_limit, [this] {
        drain_timer_.reset();
        give_up();
    });
    // What is in the pipes already must not wait for the loop's next round.
    for (Output& output : outputs_) {
        while (output.watched && read_output(output)) {
            apply_limit();
        }
    }
    update_clients();
    check_drained();
}

void ProcessStreams::give_up() {
    for (Output& output : outputs_) {
        close_output(output);
    }
    check_drained();
}

void ProcessStreams::check_drained() {
    if (drained_ || !ended_ || outputs_[0].fd || outputs_[1].fd) {
        return;
    }
    drained_ = true;
    if (drain_timer_) {
        loop_.cancel_timer(*drain_timer_);
        drain_timer_.reset();
    }
    for (const ClientPtr& client : clients_) {
        client->finish();
    }
    handlers_.on_drained();
    update_clients();
}

} // namespace berth::monitor
