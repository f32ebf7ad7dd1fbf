// SPDX-License-Identifier: Apache-2.0
// BuildKit's own API, as buildx speaks it on /grpc: its services Control and LLBBridge, with one
// frontend (dockerfile.v0) and one exporter (the engine's images).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "build/rpc.h"

#include <memory>
#include <stop_token>

namespace berth::api {

class BuildKit;

// Thread-safe. Calls run on threads of the transport's.
class BuildKitServer {
    struct Private {};

  public:
    // Both outlive the object.
    static Result<std::unique_ptr<BuildKitServer>>
    create(BuildKit& buildkit, build::RpcTransport& transport);
    ~BuildKitServer();
    BuildKitServer(Private, BuildKit& buildkit);
    BuildKitServer(const BuildKitServer&) = delete;
    BuildKitServer& operator=(const BuildKitServer&) = delete;

    // Serves a connection until it ends or stop fires.
    Result<void> serve(const std::stop_token& stop, UniqueFd socket);

  private:
    struct State;

    std::unique_ptr<State> state_;
    std::unique_ptr<build::RpcServer> server_; // last: its handlers use the state
};

} // namespace berth::api
