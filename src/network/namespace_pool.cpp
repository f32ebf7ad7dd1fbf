// SPDX-License-Identifier: Apache-2.0
// Making network namespaces, ahead and on the spot.
#include "network/namespace_pool.h"

#include "base/log.h"
#include "base/random.h"
#include "kernel/netlink_namespace.h"
#include "network/big_tcp.h"
#include "network/net_sysctls.h"
#include "network/network.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include <fcntl.h>

namespace berth::network {
namespace {

using kernel::LinkState;
using kernel::NetworkNamespaceScope;
using kernel::RouteBatch;
using kernel::RouteSocket;

constexpr int loopback_index = 1; // in every network namespace
constexpr std::size_t veth_suffix_bytes = 4;
constexpr std::size_t veth_suffix_digits = 7; // Docker's "veth" and seven digits
constexpr auto longest_wait_for_carrier = std::chrono::milliseconds(50);
constexpr auto pause_between_looks = std::chrono::microseconds(200);
// Making a namespace takes the kernel's network configuration lock and a processor, both of which a
// container that has just been given one needs to start: refilling waits until nobody takes, but
// not long, and not at all once half is gone.
constexpr auto refill_quiet_time = std::chrono::milliseconds(20);
constexpr auto longest_delay = std::chrono::milliseconds(200);
constexpr auto pause_after_failure = std::chrono::seconds(1);

struct NewNamespace {
    UniqueFd netns;
    RouteSocket inside;
};

// Also where the kernel has none.
Result<void> disable_ipv6(NetSysctls& net, const std::string& interface) {
    Result<void> disabled = net.write("net.ipv6.conf." + interface + ".disable_ipv6", "1");
    return !disabled.ok() && disabled.error().error_number() == ENOENT ? ok() : disabled;
}

// REQUIRES: the thread is in the namespace.
Result<void> configure(const NamespacePool::Sysctls& sysctls) {
    NetSysctls net;
    for (const auto& [name, value] : sysctls) {
        TRY_CONTEXT(net.write(name, value), "set " + name);
    }
    // Interfaces without an IPv6 address get no link-local one either; lo keeps ::1.
    return disable_ipv6(net, "default");
}

Result<void> raise_loopback(RouteSocket& inside) {
    RouteBatch loopback_up;
    loopback_up.change_link(loopback_index, {.state = LinkState::Up});
    return inside.execute(loopback_up);
}

Result<NewNamespace> create_namespace(const NamespacePool::Sysctls& sysctls) {
    NetworkNamespaceScope scope = TRY(NetworkNamespaceScope::enter_new());
    RouteSocket inside = TRY(RouteSocket::open());
    TRY(configure(sysctls));
    return NewNamespace{scope.take(), std::move(inside)};
}

Result<bool> is_operational(RouteSocket& socket, int index) {
    const std::optional<kernel::Link> link = TRY(socket.find_link(index));
    return link && link->operational;
}

// The kernel notices behind our backs that both ends are up, and upon that that the bridge is; only
// then they send and the bridge forwards. A frame sent before is lost, and ARP asks again only
// after a second.
Result<void> wait_until_forwarding(
    RouteSocket& host, const NamespaceTemplate& shape, int near, RouteSocket& inside, int far) {
    const auto deadline = std::chrono::steady_clock::now() + longest_wait_for_carrier;
    while (std::chrono::steady_clock::now() < deadline) {
        const std::optional<kernel::Link> port = TRY(host.find_link(near));
        if (port && port->forwarding && TRY(is_operational(inside, far))) {
            const std::optional<kernel::Link> bridge = TRY(host.find_link(shape.bridge_index));
            if (bridge && bridge->operational) {
                // Only now, with a port, it can allow them; that of an earlier port may have been
                // taken back by the kernel for a port of somebody else's that is gone again.
                if (shape.big_tcp && lacks_big_packets(*bridge)) {
                    allow_big_packets(host, {bridge->index});
                }
                return ok();
            }
        }
        std::this_thread::sleep_for(pause_between_looks);
    }
    return ok(); // it will come; the container's first packets may have to be sent twice
}

Result<void> make_pair(RouteSocket& host, kernel::VethPair pair) {
    RouteBatch creation;
    creation.add_veth(pair);
    Result<void> made = host.execute(creation);
    if (!made.ok() && made.error().error_number() == EINVAL && pair.gso_ipv4_max_size) {
        // No kernel is known that has the attribute and refuses it for a veth pair, but a container
        // starts without it, too.
        pair.gso_ipv4_max_size.reset();
        RouteBatch again;
        again.add_veth(pair);
        return host.execute(again);
    }
    return made;
}

// Everything but the namespace: the pair, its far end up, its near end forwarding on the bridge.
Result<AttachedInterface> plug_in(
    RouteSocket& host,
    FdRef netns,
    RouteSocket inside,
    const NamespaceTemplate& shape,
    const std::string& interface_name) {
    const std::string name = "veth" + random_hex(veth_suffix_bytes).substr(0, veth_suffix_digits);
    TRY(make_pair(
        host,
        {.name = name,
         .peer_name = interface_name,
         .peer_netns = netns,
         .mtu = shape.mtu,
         .master = shape.bridge_index,
         .peer_mac = std::nullopt,
         .gso_ipv4_max_size = shape.big_tcp ? std::optional(big_packet_size) : std::nullopt}));
    const std::optional<kernel::Link> near = TRY(host.find_link(name));
    const std::optional<kernel::Link> far = TRY(inside.find_link(interface_name));
    if (!near || !far) {
        return internal_error("the veth pair " + name + " vanished while it was made");
    }
    RouteBatch far_up;
    far_up.change_link(far->index, {.state = LinkState::Up});
    TRY(inside.execute(far_up));
    // A bridge's port has no use for IPv6; its routes would be looked through for each other port.
    NetSysctls sysctls;
    TRY(disable_ipv6(sysctls, name));
    RouteBatch near_up;
    near_up.change_link(near->index, {.state = LinkState::Up});
    if (!shape.loose) {
        put_port_options(near_up, near->index, shape.isolated);
    }
    TRY(host.execute(near_up));
    if (!shape.loose) {
        TRY(wait_until_forwarding(host, shape, near->index, inside, far->index));
    }
    return AttachedInterface{std::move(inside), name, near->index, far->index};
}

Result<PreparedNamespace>
prepare(RouteSocket& host, const NamespaceTemplate& shape, const NamespacePool::Sysctls& sysctls) {
    NewNamespace made = TRY(create_namespace(sysctls));
    TRY(raise_loopback(made.inside));
    if (shape.bridge_index == 0 && !shape.loose) {
        return PreparedNamespace{std::move(made.netns), std::move(made.inside), {}};
    }
    AttachedInterface attached =
        TRY(plug_in(host, made.netns, std::move(made.inside), shape, "eth0"));
    return PreparedNamespace{
        std::move(made.netns),
        std::move(attached.inside),
        std::move(attached.host_interface),
        attached.host_index,
        attached.inside_index};
}

// A loose one joins a bridge.
Result<void>
join_bridge(RouteSocket& host, PreparedNamespace& prepared, const NamespaceTemplate& shape) {
    if (shape.mtu != default_mtu) {
        RouteBatch far;
        far.change_link(prepared.inside_index, {.mtu = shape.mtu});
        TRY(prepared.inside.execute(far));
    }
    RouteBatch near;
    near.change_link(
        prepared.host_index,
        {.mtu = shape.mtu != default_mtu ? std::optional(shape.mtu) : std::nullopt,
         .master = shape.bridge_index,
         // Loose pairs are made with the larger one.
         .gso_ipv4_max_size = shape.big_tcp ? std::nullopt : std::optional(ordinary_packet_size)});
    put_port_options(near, prepared.host_index, shape.isolated);
    TRY(host.execute(near));
    return wait_until_forwarding(
        host, shape, prepared.host_index, prepared.inside, prepared.inside_index);
}

using Clock = std::chrono::steady_clock;

struct Shelf {
    NamespaceTemplate shape;
    std::size_t size = 0;
    std::deque<PreparedNamespace> ready{};
    Clock::time_point first_taken{}; // since it was full
    Clock::time_point last_taken{};
    bool filling = true; // until it is full

    bool is_full() const { return ready.size() >= size; }

    // When filling is to go on. REQUIRES: not full.
    Clock::time_point due() const {
        if (filling || ready.size() * 2 < size) {
            return Clock::time_point();
        }
        return std::min(last_taken + refill_quiet_time, first_taken + longest_delay);
    }

    PreparedNamespace take() {
        last_taken = Clock::now();
        if (is_full()) {
            first_taken = last_taken;
        }
        PreparedNamespace next = std::move(ready.front());
        ready.pop_front();
        return next;
    }

    void put(PreparedNamespace made) {
        ready.push_back(std::move(made));
        filling = !is_full();
    }
};

} // namespace

// With br_netfilter a connection to a published port of one's own comes back through the port it
// left by.
void put_port_options(RouteBatch& batch, int port, bool isolated) {
    batch.change_bridge_port(port, {.hairpin = true, .isolated = isolated});
}

Result<AttachedInterface> attach_interface(
    RouteSocket& host,
    FdRef netns,
    const NamespaceTemplate& shape,
    const std::string& interface_name) {
    std::optional<RouteSocket> inside;
    {
        NetworkNamespaceScope scope = TRY(NetworkNamespaceScope::enter(netns));
        inside = TRY(RouteSocket::open());
    }
    return plug_in(host, netns, *std::move(inside), shape, interface_name);
}

struct NamespacePool::State {
    Sysctls sysctls;

    mutable std::mutex mutex;
    mutable std::condition_variable changed;
    std::map<ShelfId, Shelf> shelves;
    ShelfId loose_shelf = 0;
    std::vector<PreparedNamespace> discarded;
    ShelfId last_id = 0;
    bool stopping = false;

    std::thread thread;

    // The shelf whose turn is next, and when; nothing when all are full. REQUIRES: mutex held.
    std::optional<std::pair<Clock::time_point, ShelfId>> next_due() const {
        std::optional<std::pair<Clock::time_point, ShelfId>> next;
        for (const auto& [id, shelf] : shelves) {
            if (!shelf.is_full() && (!next || shelf.due() < next->first)) {
                next = {shelf.due(), id};
            }
        }
        return next;
    }

    // REQUIRES: mutex held.
    std::optional<PreparedNamespace> take_ready(ShelfId id) {
        const auto shelf = shelves.find(id);
        if (shelf == shelves.end() || shelf->second.ready.empty()) {
            return std::nullopt;
        }
        changed.notify_all();
        return shelf->second.take();
    }

    void fill(RouteSocket& host);
    void fill_one(std::unique_lock<std::mutex>& lock, ShelfId id, RouteSocket& host);
};

void NamespacePool::State::fill(RouteSocket& host) {
    std::unique_lock lock(mutex);
    while (!stopping) {
        std::vector<PreparedNamespace> closing = std::exchange(discarded, {});
        if (!closing.empty()) {
            lock.unlock();
            closing.clear();
            lock.lock();
            continue;
        }
        const auto next = next_due();
        if (!next) {
            changed.wait(lock);
        } else if (next->first > Clock::now()) {
            changed.wait_until(lock, next->first);
        } else {
            shelves.at(next->second).filling = true;
            fill_one(lock, next->second, host);
        }
    }
}

void NamespacePool::State::fill_one(
    std::unique_lock<std::mutex>& lock, ShelfId id, RouteSocket& host) {
    const NamespaceTemplate shape = shelves.at(id).shape;
    lock.unlock();
    Result<PreparedNamespace> made = prepare(host, shape, sysctls);
    lock.lock();
    const auto shelf = shelves.find(id);
    if (made.ok() && shelf != shelves.end()) {
        shelf->second.put(std::move(made).value());
        changed.notify_all();
    } else if (made.ok()) {
        discarded.push_back(std::move(made).value());
    } else {
        log::debug(
            "cannot prepare a network namespace, retrying", {{"error", made.error().message()}});
        changed.wait_for(lock, pause_after_failure, [&] { return stopping; });
    }
}

NamespacePool::NamespacePool(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Result<std::unique_ptr<NamespacePool>> NamespacePool::start(Sysctls sysctls, std::size_t loose) {
    auto state = std::make_unique<State>();
    state->sysctls = std::move(sysctls);
    state->loose_shelf = ++state->last_id;
    state->shelves[state->loose_shelf] =
        Shelf{.shape = {.mtu = default_mtu, .loose = true}, .size = loose};
    RouteSocket host = TRY(RouteSocket::open());
    State* shared = state.get();
    state->thread = std::thread([shared, host = std::move(host)]() mutable { shared->fill(host); });
    return std::unique_ptr<NamespacePool>(
        // The constructor is private: make_unique cannot reach it.
        std::unique_ptr<NamespacePool>(new NamespacePool(std::move(state))));
}

NamespacePool::~NamespacePool() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
    }
    state_->changed.notify_all();
    state_->thread.join();
}

NamespacePool::ShelfId NamespacePool::add_shelf(const NamespaceTemplate& shape, std::size_t size) {
    const std::lock_guard lock(state_->mutex);
    const ShelfId id = ++state_->last_id;
    state_->shelves[id] = Shelf{.shape = shape, .size = size};
    state_->changed.notify_all();
    return id;
}

void NamespacePool::remove_shelf(ShelfId id) {
    const std::lock_guard lock(state_->mutex);
    const auto shelf = state_->shelves.find(id);
    if (shelf == state_->shelves.end()) {
        return;
    }
    for (PreparedNamespace& unused : shelf->second.ready) {
        state_->discarded.push_back(std::move(unused));
    }
    state_->shelves.erase(shelf);
    state_->changed.notify_all();
}

Result<PreparedNamespace> NamespacePool::take(ShelfId id) {
    NamespaceTemplate shape;
    {
        const std::lock_guard lock(state_->mutex);
        const auto shelf = state_->shelves.find(id);
        if (shelf == state_->shelves.end()) {
            return Error(ErrorKind::Unavailable, "the network is being removed");
        }
        if (std::optional<PreparedNamespace> ready = state_->take_ready(id)) {
            return *std::move(ready);
        }
        shape = shelf->second.shape;
    }
    return take(shape);
}

Result<void> NamespacePool::set_up(FdRef netns, const Sysctls& other) const {
    Sysctls sysctls = other;
    for (const auto& sysctl : state_->sysctls) {
        if (std::ranges::none_of(
                other, [&](const auto& entry) { return entry.first == sysctl.first; })) {
            sysctls.push_back(sysctl);
        }
    }
    const NetworkNamespaceScope scope = TRY(NetworkNamespaceScope::enter(netns));
    RouteSocket inside = TRY(RouteSocket::open());
    TRY(configure(sysctls));
    return raise_loopback(inside);
}

Result<PreparedNamespace> NamespacePool::take(const NamespaceTemplate& shape) {
    std::optional<PreparedNamespace> loose;
    if (shape.bridge_index != 0) {
        const std::lock_guard lock(state_->mutex);
        loose = state_->take_ready(state_->loose_shelf);
    }
    // A socket of its own: many callers may be here at once.
    RouteSocket host = TRY(RouteSocket::open());
    if (loose) {
        TRY(join_bridge(host, *loose, shape));
        return *std::move(loose);
    }
    return prepare(host, shape, state_->sysctls);
}

std::size_t NamespacePool::ready(ShelfId id) const {
    const std::lock_guard lock(state_->mutex);
    const auto shelf = state_->shelves.find(id);
    return shelf == state_->shelves.end() ? 0 : shelf->second.ready.size();
}

bool NamespacePool::wait_until_full(ShelfId id, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, timeout, [&] {
        const auto shelf = state_->shelves.find(id);
        return shelf == state_->shelves.end() || shelf->second.is_full();
    });
}

} // namespace berth::network
