// SPDX-License-Identifier: Apache-2.0
// Remote calls over a connected socket, as bytes: what BuildKit's protocols need of gRPC. The
// implementation is a module of its own (grpc/), loaded when somebody first needs it: gRPC and what
// it needs would cost each start of the engine more than all else
// (docs/decisions/0041-grpc-in-a-module.md).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::build {

using RpcMetadata = std::vector<std::pair<std::string, std::string>>;

// No message is larger, in either direction.
inline constexpr std::size_t rpc_message_limit = 16U << 20;

// A call of ours. One thread may read while another writes; cancel() is for any. Destroying it
// cancels what has not ended.
class RpcStream {
  public:
    RpcStream() = default;
    RpcStream(const RpcStream&) = delete;
    RpcStream& operator=(const RpcStream&) = delete;
    virtual ~RpcStream() = default;

    // False: the call is over, and finish() knows why.
    virtual bool write(std::string_view message) = 0;
    virtual bool read(std::string& message) = 0;
    virtual void end_writes() = 0;
    // The other side's verdict. REQUIRES: nobody reads or writes any more; called once.
    virtual Result<void> finish() = 0;
    virtual void cancel() = 0;
};

// The client's side of a connection. Thread-safe.
class RpcChannel {
  public:
    RpcChannel() = default;
    RpcChannel(const RpcChannel&) = delete;
    RpcChannel& operator=(const RpcChannel&) = delete;
    virtual ~RpcChannel() = default;

    virtual std::unique_ptr<RpcStream> open(
        const std::string& method,
        const RpcMetadata& metadata,
        std::optional<std::chrono::milliseconds> limit) = 0;
};

// Somebody's call. One thread may read while another writes; cancel() is for any. The stop token
// fires when the caller has gone or given up.
class RpcCall {
  public:
    RpcCall() = default;
    RpcCall(const RpcCall&) = delete;
    RpcCall& operator=(const RpcCall&) = delete;
    virtual ~RpcCall() = default;

    virtual const std::string& method() const = 0; // "/package.Service/Method"
    virtual const RpcMetadata& metadata() const = 0;
    virtual std::stop_token stop() const = 0;
    virtual bool read(std::string& message) = 0; // false: the caller has said all
    virtual bool write(std::string_view message) = 0;
    // Reads and writes end, and the caller gets no outcome.
    virtual void cancel() = 0;
};

class RpcServer {
  public:
    RpcServer() = default;
    RpcServer(const RpcServer&) = delete;
    RpcServer& operator=(const RpcServer&) = delete;
    virtual ~RpcServer() = default; // ends all calls and waits for their handlers

    // Serves a connection until it ends.
    virtual Result<void> add_connection(UniqueFd socket) = 0;
};

// Answers one call; the outcome is its status. On a thread of its own, which may block.
using RpcHandler = std::function<Result<void>(RpcCall& call)>;

class RpcTransport {
  public:
    RpcTransport() = default;
    RpcTransport(const RpcTransport&) = delete;
    RpcTransport& operator=(const RpcTransport&) = delete;
    virtual ~RpcTransport() = default;

    virtual Result<std::unique_ptr<RpcChannel>> connect(UniqueFd socket) = 0;
    virtual Result<std::unique_ptr<RpcServer>> serve(RpcHandler handler) = 0;
};

// The module at `path`, loaded once and kept to the end. Unavailable, naming the file, when that is
// not possible.
Result<RpcTransport*> load_rpc_transport(const std::string& path);

// The module's file name; it lies beside the programs.
inline constexpr std::string_view rpc_module_name = "berth-grpc.so";
// What the module exports, and the interface's version: both come from one build.
inline constexpr const char* rpc_module_entry = "berth_rpc_transport_1";

// One message there, one back.
Result<std::string> call_once(
    RpcChannel& channel,
    const std::string& method,
    std::string_view request,
    const std::stop_token& stop,
    std::chrono::milliseconds limit);

} // namespace berth::build
