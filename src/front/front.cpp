// SPDX-License-Identifier: Apache-2.0
// A process that ended is reaped in the engine's loop, and only there: the loop watches its pidfd.
#include "front/front.h"

#include "base/file.h"
#include "base/log.h"
#include "base/synchronized.h"
#include "front/identity_session.h"
#include "front/protocol.h"
#include "kernel/process.h"
#include "kernel/socket.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace berth::front {

namespace {

using Clock = std::chrono::steady_clock;

// One that ends sooner waits for the next connection to be started again.
constexpr std::chrono::seconds shortest_life{1};

// Room for the connections of a flood that the front has not looked at yet: some KiB each.
constexpr int queued_bytes = 16 << 20;

// Nothing of the engine's, but how the machine's OpenSSL is configured, and where the sanitizers of
// a test build write to.
std::vector<std::string> front_environment() {
    std::vector<std::string> environment;
    for (const char* name :
         {"OPENSSL_CONF", "OPENSSL_MODULES", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
        if (const char* value = std::getenv(name)) {
            environment.push_back(std::string(name) + "=" + value);
        }
    }
    return environment;
}

bool is_gone(const Error& error) {
    const int number = error.error_number();
    return number == EPIPE || number == ECONNRESET || number == ENOTCONN;
}

} // namespace

struct Front::Process {
    Process(kernel::Child started, UniqueFd socket)
        : child(std::move(started))
        , control(std::move(socket)) {}

    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    // It is not the engine's to end.
    ~Process() { child.release(); }

    kernel::Child child;
    UniqueFd control;
    Clock::time_point since = Clock::now();
};

struct Front::State : std::enable_shared_from_this<Front::State> {
    State(io::EventLoop& engine_loop, std::string path)
        : loop(engine_loop)
        , program(std::move(path)) {}

    io::EventLoop& loop;
    const std::string program;
    std::mutex mutex;
    std::shared_ptr<Process> process; // nullptr: none was started, or it has ended
    std::string tls;                  // the message; empty: there is no TLS
    bool is_closed = false;           // the engine ends

    // These REQUIRE the lock.
    Result<void> launch();
    Result<void> use_tls(const http::TlsMaterial& material);
    Result<void> send(std::string_view message, std::span<const int> descriptors);

    void watch(const std::shared_ptr<Process>& started);
    void note_end(const std::shared_ptr<Process>& ended);
};

Result<void> Front::State::launch() {
    kernel::SocketPair pair = TRY(kernel::socket_pair(SOCK_SEQPACKET | SOCK_NONBLOCK));
    // Not allowed to everybody: then it is what the system gives.
    setsockopt(pair.first.get(), SOL_SOCKET, SO_SNDBUFFORCE, &queued_bytes, sizeof(queued_bytes));
    const UniqueFd null = TRY(open_file("/dev/null", O_RDWR));
    kernel::SpawnOptions spawn{
        .arguments = {"berth-front", std::string(protocol_version)},
        .program = program,
        .environment = front_environment(),
        .fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {pair.second.get(), control_fd}},
        .working_directory = "/",
        .new_session = true};
    kernel::Child child = TRY_CONTEXT(kernel::spawn(spawn), "cannot start " + program);
    auto started = std::make_shared<Process>(std::move(child), std::move(pair.first));
    if (!tls.empty()) {
        TRY(kernel::send_with_descriptors(started->control, tls, {}));
    }
    process = started;
    loop.post([self = shared_from_this(), started] { self->watch(started); });
    return ok();
}

void Front::State::watch(const std::shared_ptr<Process>& started) {
    auto watched =
        loop.add(started->child.pidfd(), EPOLLIN, [self = shared_from_this(), started](auto) {
            self->loop.remove(started->child.pidfd());
            self->note_end(started);
        });
    if (!watched.ok()) {
        log::warn("cannot watch berth-front, ignoring", {{"error", watched.error().message()}});
    }
}

void Front::State::note_end(const std::shared_ptr<Process>& ended) {
    const pid_t pid = ended->child.pid();
    auto status = ended->child.wait();
    const std::lock_guard lock(mutex);
    if (is_closed) {
        return;
    }
    log::error(
        "berth-front has ended, and with it the sessions that it carried",
        {{"pid", pid}, {"exit_code", status.ok() ? status->shell_code() : -1}});
    if (process == ended) {
        process = nullptr;
        if (!tls.empty() && Clock::now() - ended->since > shortest_life) {
            if (auto again = launch(); !again.ok()) {
                log::error("cannot start berth-front", {{"error", again.error().message()}});
            }
        }
    }
}

Result<void> Front::State::send(std::string_view message, std::span<const int> descriptors) {
    if (is_closed) {
        return Error(ErrorKind::Unavailable, "the engine is ending");
    }
    if (process != nullptr) {
        auto sent = kernel::send_with_descriptors(process->control, message, descriptors);
        if (sent.ok()) {
            return ok();
        }
        if (!is_gone(sent.error())) {
            return sent.error();
        }
        process = nullptr; // the loop is about to hear of it
    }
    TRY(launch());
    TRY(kernel::send_with_descriptors(process->control, message, descriptors));
    return ok();
}

Result<void> Front::State::use_tls(const http::TlsMaterial& material) {
    TRY(http::TlsContext::create(material)); // the front could tell nobody what is wrong
    std::string message = encode(UseTls{material});
    if (message.size() > message_limit) {
        return invalid_argument("the TLS certificates are too large");
    }
    TRY(send(message, {}));
    tls = std::move(message);
    return ok();
}

// What a listener has instead of certificates.
class Front::Context final : public http::TlsContext {
  public:
    Context(std::shared_ptr<Front> front, http::TlsFiles files)
        : front_(std::move(front))
        , files_(std::move(files)) {}

    Result<std::unique_ptr<http::TlsSession>> accept(UniqueFd& fd) const override {
        State& state = *front_->state_;
        files_.lock()->refresh([&state](const http::TlsMaterial& material) {
            const std::lock_guard lock(state.mutex);
            return state.use_tls(material);
        });
        kernel::SocketPair pair = TRY(kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK));
        const std::array<int, 2> descriptors{fd.get(), pair.second.get()};
        {
            const std::lock_guard lock(state.mutex);
            TRY(state.send(encode(CarryTls()), descriptors));
        }
        fd = std::move(pair.first);
        return std::unique_ptr<http::TlsSession>(std::make_unique<IdentitySession>(fd));
    }

  private:
    std::shared_ptr<Front> front_;
    mutable Synchronized<http::TlsFiles> files_;
};

Front::Front(io::EventLoop& loop, std::string program)
    : state_(std::make_shared<State>(loop, std::move(program))) {}

Front::~Front() {
    const std::lock_guard lock(state_->mutex);
    state_->is_closed = true;
    if (state_->process != nullptr) {
        state_->process->control.reset();
    }
}

Result<std::shared_ptr<http::TlsContext>>
Front::serve_tls(const std::shared_ptr<Front>& front, const http::TlsOptions& options) {
    http::TlsFiles files(options);
    const http::TlsMaterial material = TRY(files.read());
    {
        const std::lock_guard lock(front->state_->mutex);
        TRY(front->state_->use_tls(material));
    }
    return std::shared_ptr<http::TlsContext>(std::make_shared<Context>(front, std::move(files)));
}

Result<UniqueFd> Front::start(http::RelayedConnection connection) {
    VERIFY(connection.tls == nullptr && connection.websocket);
    const std::string message = encode(CarryWebsocket{
        .kind = connection.websocket->kind(),
        .received = std::move(connection.received),
        .to_send = std::move(connection.to_send)});
    if (message.size() > message_limit) {
        return Error(ErrorKind::ResourceExhausted, "too much was sent before the websocket began");
    }
    kernel::SocketPair pair = TRY(kernel::socket_pair(SOCK_STREAM));
    const std::array<int, 2> descriptors{connection.fd.get(), pair.second.get()};
    const std::lock_guard lock(state_->mutex);
    TRY(state_->send(message, descriptors));
    return std::move(pair.first);
}

pid_t Front::pid() const {
    const std::lock_guard lock(state_->mutex);
    return state_->process != nullptr ? state_->process->child.pid() : 0;
}

} // namespace berth::front
