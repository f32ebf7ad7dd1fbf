// SPDX-License-Identifier: Apache-2.0
// The clients' side of ProcessStreams: attaching, typing, leaving.
#include "monitor/process_streams.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace berth::monitor {

Result<void> ProcessStreams::attach(UniqueFd connection, AttachStreams streams) {
    if (drained_) {
        return conflict("the process has ended");
    }
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(connection.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_STREAM) {
        return invalid_argument("a client's connection must be a stream socket");
    }
    streams.multiplexed = streams.multiplexed && !options_.terminal;
    streams.want_stdin = streams.want_stdin && options_.open_stdin && !stdin_ends_;
    if (!options_.terminal) {
        streams.detach_sequence.clear(); // keys are for terminals, as with Docker
    }
    clients_.push_back(std::make_unique<AttachedClient>(std::move(connection), std::move(streams)));
    AttachedClient& client = *clients_.back();
    if (client.wants_input()) {
        feed_stdin(client.take_leftover());
    }
    update_clients();
    return ok();
}

void ProcessStreams::handle_client(AttachedClient& client, std::uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        client.hung_up = true;
    }
    if ((events & EPOLLOUT) != 0 || client.hung_up) {
        client.flush();
    }
    if (client.wants_input() && stdin_pending_.empty() &&
        (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        handle_input(client);
    }
    apply_limit();
    update_clients();
}

void ProcessStreams::handle_input(AttachedClient& client) {
    std::string typed;
    const auto outcome = client.read_input(scratch_.bytes(), typed);
    feed_stdin(typed);
    switch (outcome) {
    case AttachedClient::Input::Nothing:
    case AttachedClient::Input::Bytes:
        break;
    case AttachedClient::Input::Ended:
        handle_input_end(client);
        break;
    case AttachedClient::Input::Detached:
        client.finish();
        handlers_.on_detach();
        break;
    }
}

// https://github.com/moby/moby/blob/master/daemon/internal/stream/attach.go
// "No matter what, when stdin is closed (io.Copy unblock), close stdout and stderr", except where
// the end of this client's input is the end of the process's.
void ProcessStreams::handle_input_end(AttachedClient& client) {
    if (options_.close_stdin_with_client && !options_.terminal) {
        client.end_input();
        stdin_ends_ = true;
        flush_stdin();
    } else {
        client.finish();
    }
}

void ProcessStreams::unwatch_client(AttachedClient& client) {
    if (std::exchange(client.watched, false)) {
        loop_.remove(client.connection());
    }
}

void ProcessStreams::update_client(AttachedClient& client) {
    const bool reads = client.wants_input() && stdin_pending_.empty();
    const bool writes = client.queued() > 0;
    if (client.hung_up && !reads && !writes) {
        unwatch_client(client);
        return;
    }
    const std::uint32_t events = (reads ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U);
    if (client.watched) {
        VERIFY(loop_.modify(client.connection(), events).ok());
        return;
    }
    AttachedClient* pointer = &client;
    const auto added =
        loop_.add(client.connection(), events, [this, pointer](std::uint32_t happened) {
            handle_client(*pointer, happened);
        });
    VERIFY(added.ok());
    client.watched = true;
}

// Brings every client's watch up to date and lets go of those that are done.
void ProcessStreams::update_clients() {
    bool gone = false;
    for (auto client = clients_.begin(); client != clients_.end();) {
        const bool nothing_more = (*client)->hung_up && !(*client)->wants_input();
        if ((*client)->done() || nothing_more) {
            unwatch_client(**client);
            (*client)->close();
            client = clients_.erase(client);
            gone = true;
        } else {
            update_client(**client);
            ++client;
        }
    }
    if (gone) {
        apply_limit();
        if (drained_ && clients_.empty()) {
            handlers_.on_idle();
        }
    }
}

// Standard input of the process

const UniqueFd& ProcessStreams::stdin_fd() const {
    return options_.terminal ? terminal_ : stdin_;
}

void ProcessStreams::feed_stdin(std::string_view typed) {
    // A process that does not read any more leaves its clients writing: their input is dropped.
    if (stdin_open_ && !typed.empty()) {
        stdin_pending_ += typed;
        flush_stdin();
    }
}

void ProcessStreams::flush_stdin() {
    while (stdin_open_ && !stdin_pending_.empty()) {
        const ssize_t count = write(stdin_fd().get(), stdin_pending_.data(), stdin_pending_.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) {
            watch_stdin();
            return;
        }
        if (count < 0) {
            close_stdin();
            break;
        }
        stdin_pending_.erase(0, static_cast<std::size_t>(count));
    }
    stdin_pending_ = std::string();
    if (std::exchange(stdin_watched_, false)) {
        loop_.remove(stdin_fd());
    }
    if (stdin_ends_) {
        close_stdin();
    }
}

void ProcessStreams::watch_stdin() {
    if (stdin_watched_) {
        return;
    }
    const auto added = loop_.add(stdin_fd(), EPOLLOUT, [this](std::uint32_t) {
        flush_stdin();
        update_clients();
    });
    VERIFY(added.ok());
    stdin_watched_ = true;
}

void ProcessStreams::close_stdin() {
    if (std::exchange(stdin_watched_, false)) {
        loop_.remove(stdin_fd());
    }
    stdin_open_ = false;
    stdin_.reset(); // a terminal stays open for its output
}

} // namespace berth::monitor
