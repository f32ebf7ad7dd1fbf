// SPDX-License-Identifier: Apache-2.0
// Tells whether the host's routes have changed since the last look, without reading them all.
#pragma once

#include "base/result.h"

#include <memory>
#include <set>

struct mnl_socket;

namespace berth::kernel {

// Not thread-safe.
class RouteWatch {
  public:
    // Of the calling thread's network namespace.
    static Result<RouteWatch> open();

    // Routes over these links do not count. True also when the kernel had more to tell than it
    // could keep.
    bool changed(const std::set<int>& except);

  private:
    struct Closer {
        void operator()(mnl_socket* socket) const;
    };

    explicit RouteWatch(std::unique_ptr<mnl_socket, Closer> socket)
        : socket_(std::move(socket)) {}

    std::unique_ptr<mnl_socket, Closer> socket_;
};

} // namespace berth::kernel
