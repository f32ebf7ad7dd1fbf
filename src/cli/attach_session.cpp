// SPDX-License-Identifier: Apache-2.0
// One poll loop over stdin, the connection and a signalfd. Writes to the connection never block:
// with both directions full, a blocked write would keep the output that unblocks the other side
// from being read.
#include "cli/attach_session.h"

#include "base/file.h"
#include "cli/demultiplexer.h"
#include "cli/query.h"
#include "cli/reconnect.h"
#include "io/detach_keys.h"
#include "io/terminal.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <vector>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::cli {

namespace {

constexpr std::size_t buffer_size = 32768;
constexpr std::size_t due_limit = 64;
constexpr int due_pause = 500; // milliseconds

// What a terminal or a supervisor sends to a foreground program; the rest stays ours.
constexpr int proxied_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

} // namespace

struct AttachSession::State {
    State(Session& owner, AttachSessionOptions chosen)
        : session(owner)
        , options(std::move(chosen)) {}

    Result<void> block_signals() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        if (!options.signal_target.empty() && !options.terminal) {
            for (int number : proxied_signals) {
                sigaddset(&set, number);
            }
        }
        ::sigprocmask(SIG_BLOCK, &set, &saved_signals);
        signals = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!signals) {
            return errno_error("signalfd");
        }
        return ok();
    }

    void unblock_signals() const { ::sigprocmask(SIG_SETMASK, &saved_signals, nullptr); }

    void send_size() {
        if (options.resize_target.empty() || !options.terminal) {
            return;
        }
        Result<io::TerminalSize> size = io::terminal_size(FdRef::unowned(STDOUT_FILENO));
        if (size.ok() && size->rows > 0 && size->columns > 0) {
            Query query;
            query.add("h", std::to_string(size->rows));
            query.add("w", std::to_string(size->columns));
            const auto sent = session.post(options.resize_target + query.text());
            size_is_due = !sent.ok() && is_lost(sent.error());
        }
    }

    void send_signals() {
        while (!signals_due.empty()) {
            Query query;
            query.add("signal", std::to_string(signals_due.front()));
            const auto sent = session.post(options.signal_target + query.text());
            if (!sent.ok() && is_lost(sent.error())) {
                return;
            }
            signals_due.erase(signals_due.begin());
        }
    }

    // What an engine that was away has not heard.
    bool is_due() const { return size_is_due || !signals_due.empty(); }

    void send_due() {
        if (size_is_due) {
            send_size();
        }
        send_signals();
    }

    void handle_signals() {
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) == sizeof info) {
            auto number = static_cast<int>(info.ssi_signo);
            if (number == SIGWINCH) {
                send_size();
            } else if (signals_due.size() < due_limit) {
                signals_due.push_back(number);
            }
        }
        send_signals();
    }

    // False at the connection's end.
    Result<bool> read_connection(OutputWriter& writer) {
        std::array<char, buffer_size> buffer;
        ssize_t got = ::recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0) {
            TRY(writer.write(std::string_view(buffer.data(), static_cast<std::size_t>(got))));
            return true;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (got < 0 && errno != ECONNRESET) {
            return errno_error("connection to the daemon");
        }
        return false;
    }

    void read_input() {
        std::array<char, buffer_size> buffer;
        ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (got > 0) {
            std::string_view typed(buffer.data(), static_cast<std::size_t>(got));
            outgoing += typed;
            // The engine acts on the keys; we only have to know why the connection ends then.
            detached = detached || (options.terminal && detach_keys.feed(typed).detached);
        } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
            input_open = false;
        }
    }

    void write_connection() {
        ssize_t sent =
            ::send(connection.get(), outgoing.data(), outgoing.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            outgoing.erase(0, static_cast<std::size_t>(sent));
        } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            // The container closed its stdin; what it still prints is wanted.
            outgoing.clear();
            input_open = false;
        }
    }

    // The container's stdin ends when ours has and everything is sent.
    void finish_input() {
        if (!input_open && outgoing.empty() && !half_closed) {
            half_closed = true;
            ::shutdown(connection.get(), SHUT_WR);
        }
    }

    Session& session;
    AttachSessionOptions options;
    UniqueFd signals;
    UniqueFd connection;
    std::optional<io::RawMode> raw_mode;
    sigset_t saved_signals{};
    std::string outgoing;
    io::DetachKeyFilter detach_keys{""};
    std::vector<int> signals_due;
    bool size_is_due = false;
    bool input_open = false;
    bool half_closed = false;
    bool detached = false;
};

AttachSession::AttachSession(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

AttachSession::AttachSession(AttachSession&&) noexcept = default;

AttachSession::~AttachSession() {
    if (state_) {
        state_->unblock_signals();
    }
}

Result<AttachSession> AttachSession::create(Session& session, AttachSessionOptions options) {
    auto state = std::make_unique<State>(session, std::move(options));
    state->detach_keys =
        io::DetachKeyFilter(TRY(io::parse_detach_keys(state->options.detach_keys)));
    TRY(state->block_signals());
    if (state->options.terminal && state->options.input &&
        io::is_terminal(FdRef::unowned(STDIN_FILENO))) {
        state->raw_mode = TRY(io::RawMode::enter(FdRef::unowned(STDIN_FILENO)));
    }
    return AttachSession(std::move(state));
}

void AttachSession::send_size() {
    state_->send_size();
}

Result<AttachSession::End> AttachSession::run(Session::Hijacked hijacked) {
    State& state = *state_;
    state.connection = std::move(hijacked.fd);
    state.input_open = state.options.input;
    OutputWriter writer(
        hijacked.multiplexed && !state.options.terminal ? Multiplexed::Yes : Multiplexed::No);
    TRY(writer.write(hijacked.leftover));
    bool open = true;
    while (open) {
        state.finish_input();
        bool want_input = state.input_open && state.outgoing.size() < buffer_size;
        auto wanted = static_cast<short>(POLLIN | (state.outgoing.empty() ? 0 : POLLOUT));
        std::array<pollfd, 3> polled{
            pollfd{state.connection.get(), wanted, 0},
            pollfd{state.signals.get(), POLLIN, 0},
            pollfd{want_input ? STDIN_FILENO : -1, POLLIN, 0}};
        const int polled_now =
            ::poll(polled.data(), polled.size(), state.is_due() ? due_pause : -1);
        if (polled_now < 0 && errno != EINTR) {
            return errno_error("poll");
        }
        if (polled_now == 0) {
            state.send_due();
        }
        if (polled[1].revents != 0) {
            state.handle_signals();
        }
        if ((polled[0].revents & POLLOUT) != 0) {
            state.write_connection();
        }
        if (polled[2].revents != 0) {
            state.read_input();
        }
        if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            open = TRY(state.read_connection(writer));
        }
    }
    state.raw_mode.reset();
    state.unblock_signals(); // whoever waits for the exit code may be interrupted
    return state.detached ? End::Detached : End::Closed;
}

} // namespace berth::cli
