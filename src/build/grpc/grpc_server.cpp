// SPDX-License-Identifier: Apache-2.0
// Calls of any method, each handled on a thread that may block. gRPC tells of reads, writes and the
// end on its own threads; a call is kept until both it and the handler are done with it.
#include "build/grpc/grpc_server.h"

#include "base/worker_pool.h"
#include "build/grpc/grpc_status.h"

#include <condition_variable>
#include <mutex>

#include <fcntl.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

namespace berth::build {

namespace {

// Calls under way of all clients together. A build has three: the solve, its status, a frontend's.
constexpr std::size_t call_limit = 192;
// A build's own work runs on them.
constexpr std::size_t call_stack_bytes = 1U << 20;

class GrpcCall final : public grpc::ServerGenericBidiReactor, public RpcCall {
  public:
    explicit GrpcCall(grpc::GenericCallbackServerContext* context)
        : context_(context)
        , method_(context->method()) {
        for (const auto& [name, value] : context->client_metadata()) {
            metadata_.emplace_back(
                std::string(name.data(), name.size()), std::string(value.data(), value.size()));
        }
    }

    // gRPC's share of the ownership.
    void keep(std::shared_ptr<GrpcCall> self) { self_ = std::move(self); }

    const std::string& method() const override { return method_; }

    const RpcMetadata& metadata() const override { return metadata_; }

    std::stop_token stop() const override { return stop_.get_token(); }

    bool read(std::string& message) override {
        grpc::ByteBuffer buffer;
        StartRead(&buffer);
        if (!reading_.wait()) {
            return false;
        }
        message = to_bytes(buffer);
        return true;
    }

    bool write(std::string_view message) override {
        const grpc::ByteBuffer buffer = to_buffer(message);
        StartWrite(&buffer);
        return writing_.wait();
    }

    void cancel() override { context_->TryCancel(); }

    // --- gRPC's ---

    void OnReadDone(bool done) override { reading_.complete(done); }

    void OnWriteDone(bool done) override { writing_.complete(done); }

    void OnCancel() override { stop_.request_stop(); }

    void OnDone() override { self_.reset(); }

  private:
    // Of one operation after the other.
    class Completion {
      public:
        void complete(bool done) {
            const std::lock_guard lock(mutex_);
            outcome_ = done;
            completed_.notify_all();
        }

        bool wait() {
            std::unique_lock lock(mutex_);
            completed_.wait(lock, [this] { return outcome_.has_value(); });
            const bool done = *outcome_;
            outcome_.reset();
            return done;
        }

      private:
        std::mutex mutex_;
        std::condition_variable completed_;
        std::optional<bool> outcome_;
    };

    grpc::GenericCallbackServerContext* context_; // gRPC's, until OnDone
    std::string method_;
    RpcMetadata metadata_;
    std::stop_source stop_;
    Completion reading_;
    Completion writing_;
    std::shared_ptr<GrpcCall> self_;
};

class Service final : public grpc::CallbackGenericService {
  public:
    explicit Service(RpcHandler handler)
        : handler_(std::move(handler)) {}

    grpc::ServerGenericBidiReactor*
    CreateReactor(grpc::GenericCallbackServerContext* context) override {
        auto call = std::make_shared<GrpcCall>(context);
        call->keep(call);
        const auto handled =
            pool_.submit([this, call] { call->Finish(to_status(handler_(*call))); });
        if (!handled.ok()) {
            call->Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls are under way"});
        }
        return call.get();
    }

  private:
    RpcHandler handler_;
    WorkerPool pool_{
        {.threads = call_limit,
         .queue_limit = call_limit,
         .stack_bytes = call_stack_bytes,
         .name = "buildkit"}};
};

class Server final : public RpcServer {
  public:
    explicit Server(RpcHandler handler)
        : service_(std::move(handler)) {}

    bool start() {
        grpc::ServerBuilder builder;
        builder.SetMaxReceiveMessageSize(static_cast<int>(rpc_message_limit));
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
        return server_ != nullptr;
    }

    ~Server() override {
        if (server_) {
            server_->Shutdown(std::chrono::system_clock::now());
        }
    }

    Result<void> add_connection(UniqueFd socket) override {
        const int flags = ::fcntl(socket.get(), F_GETFL);
        if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
            return errno_error("taking the connection over");
        }
        grpc::AddInsecureChannelFromFd(server_.get(), socket.release());
        return ok();
    }

  private:
    Service service_;
    std::unique_ptr<grpc::Server> server_;
};

} // namespace

Result<std::unique_ptr<RpcServer>> make_grpc_server(RpcHandler handler) {
    auto server = std::make_unique<Server>(std::move(handler));
    if (!server->start()) {
        return internal_error("gRPC's server does not start");
    }
    return server;
}

} // namespace berth::build
