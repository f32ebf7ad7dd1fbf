// SPDX-License-Identifier: Apache-2.0
// Network namespaces made ahead of demand: a namespace costs half a millisecond and a veth pair
// one more, which a starting container need not wait for. Each is complete but for its address:
// lo is up, eth0 is up and its other end forwards on the bridge. A background thread keeps the
// shelves full. Beside the shelves of single bridges there is one of loose namespaces, whose veth
// pair is on no bridge yet: they fit any bridge at the price of one request to the kernel, so that
// a thousand networks need no thousand shelves. take() makes one on the spot when both are empty.
// Thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink_route.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::network {

// What the namespaces of a shelf are made like.
struct NamespaceTemplate {
    int bridge_index = 0; // 0: no interface but lo
    std::uint32_t mtu = 1500;
    bool isolated = false; // the ports of the bridge cannot reach each other
    bool loose = false;    // a veth pair that is on no bridge yet
    bool big_tcp = true;   // the host's end and the bridge allow large packets: big_tcp.h
};

struct PreparedNamespace {
    UniqueFd netns;
    kernel::RouteSocket inside; // keeps the namespace alive: not to be kept longer than needed
    std::string host_interface; // empty for a shelf without a bridge
    int host_index = 0;
    int inside_index = 0; // of eth0
};

class NamespacePool {
  public:
    using Sysctls = std::vector<std::pair<std::string, std::string>>;
    using ShelfId = std::uint64_t;

    // Belongs to the calling thread's network namespace, where the bridges are.
    static Result<std::unique_ptr<NamespacePool>> start(Sysctls sysctls, std::size_t loose = 0);
    ~NamespacePool();
    NamespacePool(const NamespacePool&) = delete;
    NamespacePool& operator=(const NamespacePool&) = delete;

    ShelfId add_shelf(const NamespaceTemplate& shape, std::size_t size);
    // What is ready on it goes, behind.
    void remove_shelf(ShelfId shelf);

    Result<PreparedNamespace> take(ShelfId shelf);
    // For a bridge that has no shelf.
    Result<PreparedNamespace> take(const NamespaceTemplate& shape);

    // One that somebody else has made gets what those of the pool have, but for an interface.
    // `other` are sysctls that it is to have instead.
    Result<void> set_up(FdRef netns, const Sysctls& other) const;

    std::size_t ready(ShelfId shelf) const;
    bool wait_until_full(ShelfId shelf, std::chrono::milliseconds timeout) const;

  private:
    struct State;
    explicit NamespacePool(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// A veth pair whose far end, named interface_name, is in the namespace, up, but without an address.
struct AttachedInterface {
    kernel::RouteSocket inside;
    std::string host_interface;
    int host_index = 0;
    int inside_index = 0;
};

// What the port of a container needs. Of a link that is on a bridge, or is put there earlier in the
// batch.
void put_port_options(kernel::RouteBatch& batch, int port, bool isolated);

Result<AttachedInterface> attach_interface(
    kernel::RouteSocket& host,
    FdRef netns,
    const NamespaceTemplate& shape,
    const std::string& interface_name);

} // namespace berth::network
