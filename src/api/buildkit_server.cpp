// SPDX-License-Identifier: Apache-2.0
// moby.buildkit.v1.Control and moby.buildkit.v1.frontend.LLBBridge, call by call.
// A client like buildx calls Control/Solve without a frontend and stays in it, calls
// LLBBridge/Solve with the Dockerfile frontend beside it, follows Control/Status, and says with
// LLBBridge/Return what Control/Solve shall export.
#include "api/buildkit_server.h"

#include "api/buildkit.h"
#include "api/buildkit_solve.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "build/proto/control.pb.h"
#include "build/proto/gateway.pb.h"
#include "build/proto/session.pb.h"
#include "kernel/socket.h"

#include <array>
#include <cerrno>
#include <map>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::api {

namespace {

namespace control = build::control;
namespace gateway = build::gateway;

constexpr std::size_t connection_limit = 128;
constexpr std::size_t tunnel_read_bytes = 32U << 10;
// moby/buildkit client/buildid/metadata.go
constexpr const char* build_id_key = "buildkit-controlapi-buildid";

template <class Message>
Result<Message> read_message(build::RpcCall& call) {
    std::string bytes;
    Message message;
    if (!call.read(bytes) || !message.ParseFromString(bytes)) {
        return invalid_argument("the request of " + call.method() + " cannot be read");
    }
    return message;
}

template <class Message>
Result<void> reply(build::RpcCall& call, const Message& message) {
    (void)call.write(message.SerializeAsString()); // a caller that is gone needs none
    return ok();
}

std::vector<std::string> values_of(const build::RpcCall& call, std::string_view name) {
    std::vector<std::string> values;
    for (const auto& [key, value] : call.metadata()) {
        if (key == name) {
            values.push_back(value);
        }
    }
    return values;
}

void set_time(control::Time& time, Timestamp timestamp) {
    constexpr std::int64_t second = 1'000'000'000;
    time.set_seconds(timestamp.nanoseconds / second);
    time.set_nanos(static_cast<std::int32_t>(timestamp.nanoseconds % second));
}

void set_version(control::BuildkitVersion& version) {
    version.set_package("github.com/moby/buildkit");
    version.set_version(BERTH_VERSION "-berth");
}

// The capabilities that clients ask for before they use them.
constexpr std::array<const char*, 7> frontend_capabilities{
    "solve.base",
    "return",
    "returnmap",
    "proto.refarray",
    "gateway.evaluate.solve",
    "gateway.evaluate",
    "frontend.inputs"};

} // namespace

struct BuildKitServer::State {
    explicit State(BuildKit& given)
        : buildkit(given) {}

    using Handle = Result<void> (State::*)(build::RpcCall&);

    Result<void> handle(build::RpcCall& call);

    Result<void> info(build::RpcCall& call);
    Result<void> list_workers(build::RpcCall& call);
    Result<void> solve(build::RpcCall& call);
    Result<void> status(build::RpcCall& call);
    Result<void> disk_usage(build::RpcCall& call);
    Result<void> prune(build::RpcCall& call);

    Result<void> session(build::RpcCall& call);

    Result<void> ping(build::RpcCall& call);
    Result<void> frontend_solve(build::RpcCall& call);
    Result<void> frontend_return(build::RpcCall& call);
    Result<void> evaluate(build::RpcCall& call);

    control::WorkerRecord worker() const;
    Result<std::shared_ptr<Solve>> solve_of(const build::RpcCall& call);
    Result<build::Builder*> builder() const;

    BuildKit& buildkit;
    std::string worker_id = random_hex(12);
    Solves solves;
    std::mutex mutex;
    std::size_t connections = 0;
};

Result<void> BuildKitServer::State::handle(build::RpcCall& call) {
    static const std::map<std::string, Handle, std::less<>> handlers{
        {"/moby.buildkit.v1.Control/Info", &State::info},
        {"/moby.buildkit.v1.Control/ListWorkers", &State::list_workers},
        {"/moby.buildkit.v1.Control/Solve", &State::solve},
        {"/moby.buildkit.v1.Control/Status", &State::status},
        {"/moby.buildkit.v1.Control/DiskUsage", &State::disk_usage},
        {"/moby.buildkit.v1.Control/Prune", &State::prune},
        {"/moby.buildkit.v1.Control/Session", &State::session},
        {"/moby.buildkit.v1.frontend.LLBBridge/Ping", &State::ping},
        {"/moby.buildkit.v1.frontend.LLBBridge/Solve", &State::frontend_solve},
        {"/moby.buildkit.v1.frontend.LLBBridge/Return", &State::frontend_return},
        {"/moby.buildkit.v1.frontend.LLBBridge/Evaluate", &State::evaluate},
    };
    const auto found = handlers.find(call.method());
    if (found == handlers.end()) {
        return not_implemented(call.method() + " is not implemented");
    }
    // A library's exception ends this call, not the daemon.
    try {
        return (this->*found->second)(call);
    } catch (const std::exception& exception) {
        log::error(
            "call ended by an exception", {{"method", call.method()}, {"what", exception.what()}});
        return internal_error(exception.what());
    }
}

Result<build::Builder*> BuildKitServer::State::builder() const {
    if (buildkit.services().builder == nullptr) {
        return Error(ErrorKind::Unavailable, "this engine runs without a builder");
    }
    return buildkit.services().builder;
}

// ---- Control ----

Result<void> BuildKitServer::State::info(build::RpcCall& call) {
    control::InfoResponse response;
    set_version(*response.mutable_buildkit_version());
    return reply(call, response);
}

control::WorkerRecord BuildKitServer::State::worker() const {
    control::WorkerRecord record;
    record.set_id(worker_id);
    (*record.mutable_labels())["org.mobyproject.buildkit.worker.moby.host-gateway-ip"] = "";
    const oci::Platform host = oci::Platform::host();
    control::Platform& platform = *record.add_platforms();
    platform.set_os(host.os);
    platform.set_architecture(host.architecture);
    platform.set_variant(host.variant);
    set_version(*record.mutable_buildkit_version());
    return record;
}

Result<void> BuildKitServer::State::list_workers(build::RpcCall& call) {
    control::ListWorkersResponse response;
    *response.add_record() = worker();
    return reply(call, response);
}

Result<void> BuildKitServer::State::solve(build::RpcCall& call) {
    const auto request = TRY(read_message<control::SolveRequest>(call));
    auto solve = TRY(Solve::create(request));
    const Running running = TRY(buildkit.begin(solve->ref()));
    const std::stop_callback gone(call.stop(), [&running] { running.cancel(); });
    TRY(solves.add(solve));
    Result<std::string> result = solve->frontend().empty()
                                     ? solve->wait_for_result(running.token())
                                     : solve->build(buildkit, running.token(), solve->attributes());
    Result<std::map<std::string, std::string>> exported =
        result.ok() ? solve->export_image(buildkit, *result)
                    : Result<std::map<std::string, std::string>>(std::move(result).error());
    solves.finish(solve);
    if (!exported.ok()) {
        return std::move(exported).error();
    }
    control::SolveResponse response;
    response.mutable_exporter_response()->insert(exported->begin(), exported->end());
    return reply(call, response);
}

Result<void> BuildKitServer::State::status(build::RpcCall& call) {
    const auto request = TRY(read_message<control::StatusRequest>(call));
    const auto solve = TRY(solves.wait_for(call.stop(), request.ref()));
    std::string message;
    for (std::size_t number = 0; solve->status().read(call.stop(), number, message); ++number) {
        if (!call.write(message)) {
            break;
        }
    }
    return ok();
}

namespace {

void set_record(control::UsageRecord& told, const build::CacheRecord& record) {
    told.set_id(record.id);
    told.set_in_use(record.in_use);
    told.set_size(static_cast<std::int64_t>(record.size));
    set_time(*told.mutable_created_at(), record.created);
    set_time(*told.mutable_last_used_at(), record.last_used);
    told.set_usage_count(record.usage_count);
    told.set_description(record.description);
    told.set_record_type(record.type);
    told.set_shared(record.shared);
    for (const std::string& parent : record.parents) {
        told.add_parents(parent);
    }
}

} // namespace

Result<void> BuildKitServer::State::disk_usage(build::RpcCall& call) {
    control::DiskUsageResponse response;
    auto* the_builder = TRY(builder());
    for (const build::CacheRecord& record : TRY(the_builder->cache_records())) {
        set_record(*response.add_record(), record);
    }
    return reply(call, response);
}

Result<void> BuildKitServer::State::prune(build::RpcCall& call) {
    const auto request = TRY(read_message<control::PruneRequest>(call));
    if (request.filter_size() > 0) {
        return not_implemented("filters for pruning over BuildKit's API are not implemented; "
                               "docker builder prune --filter is");
    }
    build::CacheRule rule{.all = request.all()};
    rule.unused_for = std::chrono::nanoseconds(std::max<std::int64_t>(request.keep_duration(), 0));
    for (const auto& [given, target] :
         {std::pair(request.reserved_space(), &rule.reserved_space),
          std::pair(request.max_used_space(), &rule.max_used_space),
          std::pair(request.min_free_space(), &rule.min_free_space)}) {
        *target = static_cast<std::uint64_t>(std::max<std::int64_t>(given, 0));
    }
    auto* the_builder = TRY(builder());
    std::map<std::string, build::CacheRecord> before;
    for (build::CacheRecord& record : TRY(the_builder->cache_records())) {
        before.emplace(record.id, std::move(record));
    }
    const auto report = TRY(the_builder->prune_cache(call.stop(), rule));
    for (const std::string& id : report.deleted) {
        control::UsageRecord told;
        told.set_id(id);
        if (const auto known = before.find(id); known != before.end()) {
            set_record(told, known->second);
        }
        (void)call.write(told.SerializeAsString());
    }
    return ok();
}

// A session within a call: its connection's bytes are the messages.
Result<void> BuildKitServer::State::session(build::RpcCall& call) {
    const std::vector<std::string> ids = values_of(call, "x-docker-expose-session-uuid");
    build::SessionInfo info;
    info.id = ids.empty() ? "" : ids.front();
    info.methods = values_of(call, "x-docker-expose-session-grpc-method");
    const auto reservation = TRY(buildkit.sessions().reserve(info));
    auto* transport = TRY(buildkit.transport());
    kernel::SocketPair sockets = TRY(kernel::socket_pair(SOCK_STREAM));
    const FdRef near = sockets.first;
    std::jthread inward([&call, near] {
        std::string bytes;
        build::session::BytesMessage message;
        while (call.read(bytes) && message.ParseFromString(bytes) &&
               write_all(near, message.data()).ok()) {
        }
        ::shutdown(near.get(), SHUT_RDWR);
    });
    std::jthread outward([&call, near] {
        std::string buffer(tunnel_read_bytes, '\0');
        ssize_t count = 0;
        while ((count = ::read(near.get(), buffer.data(), buffer.size())) > 0) {
            build::session::BytesMessage message;
            message.set_data(buffer.data(), static_cast<std::size_t>(count));
            if (!call.write(message.SerializeAsString())) {
                break;
            }
        }
        ::shutdown(near.get(), SHUT_RDWR);
    });
    auto served =
        buildkit.sessions().serve(call.stop(), info, *transport, std::move(sockets.second));
    ::shutdown(near.get(), SHUT_RDWR);
    call.cancel();
    inward.join();
    outward.join();
    return served;
}

// ---- LLBBridge ----

Result<std::shared_ptr<Solve>> BuildKitServer::State::solve_of(const build::RpcCall& call) {
    const std::vector<std::string> ids = values_of(call, build_id_key);
    const std::string id = ids.empty() ? "" : ids.front();
    if (id.empty()) {
        return invalid_argument(
            call.method() + " belongs to a solve, which the call names none of");
    }
    return solves.wait_for(call.stop(), id);
}

Result<void> BuildKitServer::State::ping(build::RpcCall& call) {
    TRY(solve_of(call));
    gateway::PongResponse response;
    for (const char* name : frontend_capabilities) {
        gateway::Capability& capability = *response.add_frontend_caps();
        capability.set_id(name);
        capability.set_enabled(true);
    }
    *response.add_workers() = worker();
    return reply(call, response);
}

Result<void> BuildKitServer::State::frontend_solve(build::RpcCall& call) {
    const auto request = TRY(read_message<gateway::SolveRequest>(call));
    const auto solve = TRY(solve_of(call));
    if (request.definition().def_size() > 0) {
        return not_implemented(
            "solving a low-level definition (LLB) is not implemented; build a Dockerfile");
    }
    if (request.frontend() != "dockerfile.v0") {
        return not_implemented(
            "the frontend \"" + request.frontend() + "\" is not implemented; dockerfile.v0 is");
    }
    if (request.frontend_inputs_size() > 0) {
        return not_implemented("inputs of a frontend are not implemented");
    }
    FrontendAttributes attributes(request.frontend_opt().begin(), request.frontend_opt().end());
    const std::string result = TRY(solve->build(buildkit, call.stop(), attributes));
    gateway::SolveResponse response;
    response.set_ref(result);
    if (request.allow_result_return()) {
        response.mutable_result()->mutable_ref()->set_id(result);
    }
    return reply(call, response);
}

Result<void> BuildKitServer::State::frontend_return(build::RpcCall& call) {
    const auto request = TRY(read_message<gateway::ReturnRequest>(call));
    const auto solve = TRY(solve_of(call));
    if (request.has_error() && request.error().code() != 0) {
        solve->set_result(invalid_argument(request.error().message()));
    } else if (request.result().has_ref()) {
        solve->set_result(request.result().ref().id());
    } else if (request.result().has_refs()) {
        solve->set_result(
            not_implemented("results of several platforms at once are not implemented"));
    } else {
        solve->set_result(request.result().ref_deprecated());
    }
    return reply(call, gateway::EvaluateResponse());
}

// Results are complete when they have a name.
Result<void> BuildKitServer::State::evaluate(build::RpcCall& call) {
    TRY(solve_of(call));
    return reply(call, gateway::EvaluateResponse());
}

// ---- connections ----

BuildKitServer::BuildKitServer(Private, BuildKit& buildkit)
    : state_(std::make_unique<State>(buildkit)) {}

BuildKitServer::~BuildKitServer() = default;

Result<std::unique_ptr<BuildKitServer>>
BuildKitServer::create(BuildKit& buildkit, build::RpcTransport& transport) {
    auto server = std::make_unique<BuildKitServer>(Private(), buildkit);
    server->server_ = TRY(transport.serve(
        [state = server->state_.get()](build::RpcCall& call) { return state->handle(call); }));
    return server;
}

Result<void> BuildKitServer::serve(const std::stop_token& stop, UniqueFd socket) {
    const UniqueFd watched(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!watched || !wake) {
        return errno_error("watching a connection");
    }
    {
        const std::lock_guard lock(state_->mutex);
        if (state_->connections >= connection_limit) {
            return Error(ErrorKind::ResourceExhausted, "too many connections to /grpc");
        }
        ++state_->connections;
    }
    const std::stop_callback on_stop(stop, [&wake] { eventfd_write(wake.get(), 1); });
    auto served = server_->add_connection(std::move(socket));
    while (served.ok() && !stop.stop_requested()) {
        std::array<pollfd, 2> polled{
            pollfd{watched.get(), POLLRDHUP, 0}, pollfd{wake.get(), POLLIN, 0}};
        const int ready = ::poll(polled.data(), polled.size(), -1);
        if ((ready < 0 && errno != EINTR) || (ready > 0 && polled[0].revents != 0)) {
            break;
        }
    }
    const std::lock_guard lock(state_->mutex);
    --state_->connections;
    return served;
}

} // namespace berth::api
