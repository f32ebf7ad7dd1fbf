// SPDX-License-Identifier: Apache-2.0
// What the module exports.
#include "build/grpc/grpc_channel.h"
#include "build/grpc/grpc_server.h"
#include "build/rpc.h"

namespace berth::build {

namespace {

class GrpcTransport final : public RpcTransport {
  public:
    Result<std::unique_ptr<RpcChannel>> connect(UniqueFd socket) override {
        return make_grpc_channel(std::move(socket));
    }

    Result<std::unique_ptr<RpcServer>> serve(RpcHandler handler) override {
        return make_grpc_server(std::move(handler));
    }
};

} // namespace

} // namespace berth::build

extern "C" __attribute__((visibility("default"))) berth::build::RpcTransport*
berth_rpc_transport_1() {
    static berth::build::GrpcTransport transport;
    return &transport;
}
