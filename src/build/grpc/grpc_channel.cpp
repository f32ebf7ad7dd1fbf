// SPDX-License-Identifier: Apache-2.0
// Every call is one of both sides' streams: on the wire the simpler kinds are the same.
#include "build/grpc/grpc_channel.h"

#include "build/grpc/grpc_status.h"

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/sync_stream.h>

namespace berth::build {

namespace {

using Calls = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
using CallFactory = grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>;

class GrpcStream final : public RpcStream {
  public:
    GrpcStream(
        std::shared_ptr<grpc::Channel> channel,
        std::string method,
        const RpcMetadata& metadata,
        std::optional<std::chrono::milliseconds> limit)
        : channel_(std::move(channel))
        , method_(std::move(method)) {
        for (const auto& [name, value] : metadata) {
            context_.AddMetadata(name, value);
        }
        if (limit) {
            context_.set_deadline(std::chrono::system_clock::now() + *limit);
        }
        const grpc::internal::RpcMethod rpc(
            method_.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING, channel_);
        calls_.reset(CallFactory::Create(channel_.get(), rpc, &context_));
    }

    ~GrpcStream() override {
        if (!finished_) {
            context_.TryCancel();
            (void)calls_->Finish();
        }
    }

    bool write(std::string_view message) override { return calls_->Write(to_buffer(message)); }

    bool read(std::string& message) override {
        grpc::ByteBuffer buffer;
        if (!calls_->Read(&buffer)) {
            return false;
        }
        message = to_bytes(buffer);
        return true;
    }

    void end_writes() override { calls_->WritesDone(); }

    Result<void> finish() override {
        finished_ = true;
        // Finish() waits for the other side's status behind all of its messages.
        grpc::ByteBuffer rest;
        while (calls_->Read(&rest)) {
        }
        return from_status(calls_->Finish());
    }

    void cancel() override { context_.TryCancel(); }

  private:
    std::shared_ptr<grpc::Channel> channel_;
    std::string method_;
    grpc::ClientContext context_;
    std::unique_ptr<Calls> calls_;
    bool finished_ = false;
};

class GrpcChannel final : public RpcChannel {
  public:
    explicit GrpcChannel(std::shared_ptr<grpc::Channel> channel)
        : channel_(std::move(channel)) {}

    std::unique_ptr<RpcStream> open(
        const std::string& method,
        const RpcMetadata& metadata,
        std::optional<std::chrono::milliseconds> limit) override {
        return std::make_unique<GrpcStream>(channel_, method, metadata, limit);
    }

  private:
    std::shared_ptr<grpc::Channel> channel_;
};

} // namespace

Result<std::unique_ptr<RpcChannel>> make_grpc_channel(UniqueFd socket) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
        return errno_error("taking the connection over");
    }
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(static_cast<int>(rpc_message_limit));
    // gRPC owns the descriptor from here on.
    auto channel =
        grpc::CreateCustomInsecureChannelFromFd("localhost", socket.release(), arguments);
    return std::make_unique<GrpcChannel>(std::move(channel));
}

} // namespace berth::build
