// SPDX-License-Identifier: Apache-2.0
// A thread waits for connections, and two carry each one's bytes. All end when the step does.
#include "build/session_agent.h"

#include "base/file.h"
#include "base/log.h"
#include "base/without_sigpipe.h"
#include "base/worker_pool.h"
#include "build/proto/session.pb.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr const char* forward_agent = "/moby.sshforward.v1.SSH/ForwardAgent";
// Of one step at a time; each has two threads.
constexpr std::size_t connection_limit = 16;
constexpr std::size_t read_bytes = 32U << 10;

class Forward final : public AgentForward {
  public:
    Forward(
        std::shared_ptr<ClientSession> session, std::string id, UniqueFd listener, UniqueFd wake)
        : session_(std::move(session))
        , id_(std::move(id))
        , listener_(std::move(listener))
        , wake_(std::move(wake)) {
        thread_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
    }

    ~Forward() override {
        thread_.request_stop();
        eventfd_write(wake_.get(), 1);
        thread_.join();
        {
            const std::lock_guard lock(mutex_);
            for (const auto& connection : connections_) {
                end(*connection);
            }
        }
        workers_.wait_idle();
    }

  private:
    struct Connection {
        UniqueFd socket;
        std::unique_ptr<RpcStream> stream;
        std::atomic<int> running = 2; // directions
    };

    static void end(Connection& connection) {
        connection.stream->cancel();
        ::shutdown(connection.socket.get(), SHUT_RDWR);
    }

    void accept_all(const std::stop_token& stop);
    void open_connection(UniqueFd socket);
    static void to_client(Connection& connection);
    static void to_step(Connection& connection);
    void leave(const std::shared_ptr<Connection>& connection);

    std::shared_ptr<ClientSession> session_;
    std::string id_;
    UniqueFd listener_;
    UniqueFd wake_;
    std::mutex mutex_;
    std::list<std::shared_ptr<Connection>> connections_;
    WorkerPool workers_{
        {.threads = 2 * connection_limit, .queue_limit = 2 * connection_limit, .name = "agent"}};
    std::jthread thread_;
};

void Forward::accept_all(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::array<pollfd, 2> polled{
            pollfd{listener_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
        if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
            return;
        }
        if (polled[0].revents == 0) {
            continue;
        }
        UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (socket && !stop.stop_requested()) {
            open_connection(std::move(socket));
        }
    }
}

void Forward::open_connection(UniqueFd socket) {
    auto connection = std::make_shared<Connection>();
    connection->socket = std::move(socket);
    {
        const std::lock_guard lock(mutex_);
        if (connections_.size() >= connection_limit) {
            return; // it is closed
        }
    }
    connection->stream =
        session_->channel().open(forward_agent, {{"buildkit.ssh.id", id_}}, std::nullopt);
    {
        const std::lock_guard lock(mutex_);
        connections_.push_back(connection);
    }
    for (const auto direction : {to_client, to_step}) {
        const auto started = workers_.submit([this, connection, direction] {
            direction(*connection);
            leave(connection);
        });
        if (!started.ok()) {
            end(*connection);
            leave(connection);
        }
    }
}

// The last of the two directions takes the connection away.
void Forward::leave(const std::shared_ptr<Connection>& connection) {
    if (--connection->running != 0) {
        return;
    }
    if (const auto finished = connection->stream->finish(); !finished.ok()) {
        log::debug("agent connection ended", {{"error", finished.error().message()}});
    }
    const std::lock_guard lock(mutex_);
    connections_.remove(connection);
}

void Forward::to_client(Connection& connection) {
    std::string buffer(read_bytes, '\0');
    while (true) {
        const ssize_t count = ::read(connection.socket.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            break;
        }
        session::BytesMessage message;
        message.set_data(buffer.data(), static_cast<std::size_t>(count));
        if (!connection.stream->write(message.SerializeAsString())) {
            break;
        }
    }
    connection.stream->end_writes();
}

void Forward::to_step(Connection& connection) {
    const WithoutSigpipe guard; // a step may be gone before its answer comes
    std::string bytes;
    session::BytesMessage message;
    while (connection.stream->read(bytes) && message.ParseFromString(bytes) &&
           write_all(connection.socket, message.data()).ok()) {
    }
    ::shutdown(connection.socket.get(), SHUT_RDWR);
}

} // namespace

Result<std::unique_ptr<AgentForward>>
start_agent_forward(std::shared_ptr<ClientSession> session, std::string id, UniqueFd listener) {
    UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return errno_error("eventfd");
    }
    return std::make_unique<Forward>(
        std::move(session), std::move(id), std::move(listener), std::move(wake));
}

} // namespace berth::build
