// SPDX-License-Identifier: Apache-2.0
// gRPC's server over sockets that are connected already.
#pragma once

#include "build/rpc.h"

namespace berth::build {

Result<std::unique_ptr<RpcServer>> make_grpc_server(RpcHandler handler);

} // namespace berth::build
