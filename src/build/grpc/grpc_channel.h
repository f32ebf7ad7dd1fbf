// SPDX-License-Identifier: Apache-2.0
// gRPC's client over a socket that is connected already.
#pragma once

#include "build/rpc.h"

namespace berth::build {

Result<std::unique_ptr<RpcChannel>> make_grpc_channel(UniqueFd socket);

} // namespace berth::build
