// SPDX-License-Identifier: Apache-2.0
// The thread that learns of long connections, lends them the short way and asks after them.
#include "network/flow_shortcut.h"

#include "base/log.h"
#include "base/synchronized.h"
#include "kernel/ip_forwarding.h"
#include "kernel/netlink_ipsec.h"
#include "network/flow_program.h"
#include "network/legacy_tables.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <poll.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::FlowTuple;
using kernel::IpAddress;
using kernel::NetlinkSocket;
using kernel::RouteSocket;
using kernel::struct_bytes;

constexpr std::size_t most_flows = 1024;
constexpr std::size_t most_news = 256; // a round: some 50 us each
constexpr std::size_t ring_bytes = 64U << 10;
constexpr int round_ms = 1000;
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t lease = 3 * second;
constexpr int idle_rounds_allowed = 3;
constexpr int idle_rounds_of_uplinks = 60;
constexpr std::string_view owner_prefix = "berth:"; // of the labels of engines' interfaces

// CLOCK_MONOTONIC, as bpf_ktime_get_ns().
std::uint64_t monotonic_now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
}

FlowTuple turned_round(const FlowTuple& tuple) {
    return {
        .source = tuple.destination,
        .destination = tuple.source,
        .source_port = tuple.destination_port,
        .destination_port = tuple.source_port};
}

struct Direction {
    FlowKey key{};
    FlowWay way{};
};

// A connection of a container's.
struct Flow {
    int host_index = 0; // of the container's veth pair
    int uplink = 0;
    Direction out{};
    Direction in{};
    std::uint64_t heard_of = 0; // when it has last said that it is in use
    int idle_rounds = 0;

    bool leads_like(const Flow& other) const {
        return uplink == other.uplink && out.key == other.out.key && in.key == other.in.key &&
               out.way.leads_like(other.out.way) && in.way.leads_like(other.in.way);
    }
};

struct Parts {
    BpfHash flows;
    FlowNews news;
    UniqueFd outward; // at veth pairs, by the continuation
    UniqueFd inward;  // at interfaces to the outside
    UniqueFd continuation;
    NetlinkSocket connections;
    RouteSocket routes;
    Pipe stop;
};

Result<Parts> make_parts() {
    BpfHash flows = TRY(BpfHash::create(
        {.name = "berth_flows",
         .key_size = sizeof(FlowKey),
         .value_size = sizeof(FlowWay),
         .limit = 2 * most_flows}));
    FlowNews news = TRY(FlowNews::create(ring_bytes));
    UniqueFd outward = TRY(kernel::load_bpf_program(
        BPF_PROG_TYPE_SCHED_CLS, "berth_outward", flow_program(flows, &news)));
    UniqueFd inward = TRY(kernel::load_bpf_program(
        BPF_PROG_TYPE_SCHED_CLS, "berth_inward", flow_program(flows, nullptr)));
    UniqueFd continuation = TRY(kernel::make_bpf_continuation("berth_goes_on"));
    TRY(kernel::set_bpf_continuation(continuation, outward));
    NetlinkSocket connections = TRY(NetlinkSocket::open(kernel::netfilter_protocol));
    RouteSocket routes = TRY(RouteSocket::open());
    Pipe stop = TRY(Pipe::create());
    return Parts{
        .flows = std::move(flows),
        .news = std::move(news),
        .outward = std::move(outward),
        .inward = std::move(inward),
        .continuation = std::move(continuation),
        .connections = std::move(connections),
        .routes = std::move(routes),
        .stop = std::move(stop)};
}

} // namespace

struct FlowShortcut::State {
    struct Uplink {
        UniqueFd link;
        int idle_rounds = 0;
    };

    // What has been asked for since the last round.
    struct Round {
        std::size_t news = 0; // that have been looked into
        std::set<FlowKey> refused;
        std::map<int, std::optional<kernel::Link>> links;
        std::map<int, bool> passable; // by the interface to the outside
    };

    // Under the lock, so that nobody who has left is given a way.
    struct Members {
        std::map<int, ShortcutMember> by_interface;
        std::map<FlowKey, Flow> flows; // by the outward key
        bool open = true;
        UniqueFd busy_program; // set once
    };

    std::optional<Parts> parts{};
    Synchronized<Members> members{};
    // The thread's own.
    std::map<int, Uplink> uplinks{};
    std::map<int, UniqueFd> busy{}; // links of the program at members' interfaces
    Round round{};
    std::thread thread{};

    void run();
    void hear(std::span<const std::byte> record);
    bool is_led(const FlowKey& key);
    Result<void> learn(const FlowKey& key);
    Result<void> hasten(const FlowKey& key);
    Result<std::optional<Flow>> inspect(const ShortcutMember& member, const FlowTuple& sent);
    Result<bool> may_pass_by(int uplink);
    Result<std::optional<kernel::Link>> link(int index);
    Result<void> watch(int uplink);
    void look_after_flows();
    bool look_after(Flow& flow);
    void enter(Flow& flow);
    void end(const Flow& flow) const;
    void leave_idle_uplinks(const std::set<int>& used);
    std::optional<ShortcutMember> member(int host_index);
};

std::optional<ShortcutMember> FlowShortcut::State::member(int host_index) {
    auto guard = members.lock();
    const auto found = guard->by_interface.find(host_index);
    if (found == guard->by_interface.end() || !guard->open) {
        return std::nullopt;
    }
    return found->second;
}

// Whether nothing at the interface must see what it receives, and nothing sends it elsewhere. What
// nobody tells of when it changes: iptables-legacy too.
Result<bool> FlowShortcut::State::may_pass_by(int uplink) {
    const auto known = round.passable.find(uplink);
    if (known != round.passable.end()) {
        return known->second;
    }
    const bool may = !TRY(parts->routes.has_ingress_queue(uplink)) &&
                     !TRY(kernel::has_ipsec_policies()) && !has_legacy_filter_table() &&
                     !has_legacy_packet_tables() && kernel::ipv4_forwarding().value_or(false);
    round.passable.emplace(uplink, may);
    return may;
}

Result<std::optional<kernel::Link>> FlowShortcut::State::link(int index) {
    const auto known = round.links.find(index);
    if (known != round.links.end()) {
        return known->second;
    }
    std::optional<kernel::Link> found = TRY(parts->routes.find_link(index));
    round.links.emplace(index, found);
    return found;
}

// What the kernel does with the connection whose packets the member sends so, if it is one that can
// be led: tracked, established, to another host.
Result<std::optional<Flow>>
FlowShortcut::State::inspect(const ShortcutMember& member, const FlowTuple& sent) {
    if (std::ranges::count(member.addresses, sent.source) == 0) {
        return std::nullopt;
    }
    const auto tracked = TRY(kernel::find_tcp_flow(parts->connections, sent));
    if (!tracked || !tracked->established || tracked->rewritten ||
        (tracked->original != sent && tracked->reply != sent)) {
        return std::nullopt;
    }
    const FlowTuple received = tracked->original == sent ? tracked->reply : tracked->original;
    const FlowTuple out = turned_round(received);
    // As the kernel finds it: before the source is translated.
    const auto route = TRY(parts->routes.route_of(
        {.input_index = member.network,
         .source = sent.source,
         .destination = out.destination,
         .source_port = sent.source_port,
         .destination_port = out.destination_port}));
    if (!route) {
        return std::nullopt;
    }
    const auto uplink = TRY(link(route->output_index));
    const auto pair = TRY(link(member.host_index));
    if (!uplink || !pair || uplink->mac == kernel::MacAddress() ||
        uplink->alias.starts_with(owner_prefix)) {
        return std::nullopt;
    }
    if (uplink->kind == "bridge" && iptables_sees_bridged()) {
        return std::nullopt; // what comes in by it has been translated
    }
    const auto bridge = TRY(link(pair->master));
    if (!bridge || !TRY(may_pass_by(uplink->index))) {
        return std::nullopt;
    }
    Flow flow{.host_index = member.host_index, .uplink = uplink->index};
    flow.out.key = flow_key(member.host_index, sent);
    flow.out.way = way_between(sent, out);
    flow.out.way.interface = static_cast<std::uint32_t>(uplink->index);
    flow.out.way.mtu = route->mtu != 0 ? std::min(route->mtu, uplink->mtu) : uplink->mtu;
    flow.out.way.next_hop = htonl(route->gateway.value_or(out.destination).v4());
    flow.in.key = flow_key(uplink->index, received);
    flow.in.way = way_between(received, turned_round(sent));
    flow.in.way.interface = static_cast<std::uint32_t>(member.host_index);
    flow.in.way.to_peer = 1;
    flow.in.way.mtu = std::min(pair->mtu, bridge->mtu);
    flow.in.way.mac = member.mac.bytes;
    flow.in.way.sender_mac = bridge->mac.bytes;
    return flow;
}

// The program is at the interface from now on. The kernel waits for a grace period there, which an
// engine's start need not do to find out whether it can.
Result<void> FlowShortcut::State::watch(int uplink) {
    const auto found = uplinks.find(uplink);
    if (found != uplinks.end()) {
        found->second.idle_rounds = 0;
        return ok();
    }
    auto link = kernel::link_bpf_to_interface(parts->inward, uplink);
    if (!link.ok()) {
        if (link.error().error_number() == EINVAL) { // before Linux 6.6
            log::info(
                "no short way for long connections to other hosts: their packets are routed",
                {{"error", link.error().message()}});
            TRY(kernel::clear_bpf_continuation(parts->continuation));
        }
        return std::move(link).error();
    }
    uplinks.emplace(uplink, Uplink{.link = std::move(*link)});
    return ok();
}

// Under the lock of the members.
void FlowShortcut::State::enter(Flow& flow) {
    const std::uint64_t now = monotonic_now();
    for (Direction* direction : {&flow.out, &flow.in}) {
        direction->way.ordinary_at = now + second;
        direction->way.until = now + lease;
        if (!parts->flows.put(struct_bytes(direction->key), struct_bytes(direction->way)).ok()) {
            end(flow);
            return;
        }
    }
}

void FlowShortcut::State::end(const Flow& flow) const {
    for (const Direction* direction : {&flow.out, &flow.in}) {
        // Not there: the program saw the connection's end.
        [[maybe_unused]] const Result<void> removed =
            parts->flows.remove(struct_bytes(direction->key));
    }
}

// What the program has taken away has ended: this is its successor.
bool FlowShortcut::State::is_led(const FlowKey& key) {
    auto guard = members.lock();
    const auto found = guard->flows.find(key);
    if (found == guard->flows.end()) {
        return false;
    }
    FlowWay there;
    const bool led =
        parts->flows.get(struct_bytes(key), std::as_writable_bytes(std::span(&there, 1))).ok();
    if (!led) {
        end(found->second);
        guard->flows.erase(found);
    }
    return led;
}

Result<void> FlowShortcut::State::learn(const FlowKey& key) {
    const std::optional<ShortcutMember> sender = member(static_cast<int>(key.interface));
    if (!sender || is_led(key)) {
        return ok();
    }
    const FlowTuple sent = flow_tuple(key);
    std::optional<Flow> flow = TRY(inspect(*sender, sent));
    if (!flow) {
        round.refused.insert(key);
        return ok();
    }
    TRY(watch(flow->uplink));
    TRY(kernel::let_flow_skip_windows(parts->connections, sent));
    auto guard = members.lock();
    const auto still = guard->by_interface.find(sender->host_index);
    if (guard->open && guard->flows.size() < most_flows && still != guard->by_interface.end() &&
        still->second.addresses == sender->addresses) {
        enter(*flow);
        guard->flows.insert_or_assign(key, *flow);
    }
    return ok();
}

// Its frames are judged by a quicker way than that of join(): of one that sends little it would be
// a waste, since the kernel waits for a grace period with it.
Result<void> FlowShortcut::State::hasten(const FlowKey& key) {
    const int index = static_cast<int>(key.interface);
    int program = -1;
    {
        auto guard = members.lock();
        program = guard->by_interface.contains(index) ? guard->busy_program.get() : -1;
        std::erase_if(busy, [&guard](const auto& entry) {
            return !guard->by_interface.contains(entry.first);
        });
    }
    round.refused.insert(key); // heard of, for this round
    if (program >= 0 && !busy.contains(index)) {
        busy.emplace(index, TRY(kernel::link_bpf_to_interface(FdRef::unowned(program), index)));
    }
    return ok();
}

void FlowShortcut::State::hear(std::span<const std::byte> record) {
    FlowKey key;
    if (record.size() < sizeof key) {
        return;
    }
    std::memcpy(&key, record.data(), sizeof key);
    if (round.news >= most_news || round.refused.contains(key)) {
        return;
    }
    ++round.news;
    const Result<void> learned = key.source == 0 ? hasten(key) : learn(key);
    if (!learned.ok()) {
        round.refused.insert(key);
        log::debug(
            "no short way for a connection, ignoring", {{"error", learned.error().message()}});
    }
}

// Whether it goes on. What the program has taken away has ended, or may be another one by now.
bool FlowShortcut::State::look_after(Flow& flow) {
    std::uint64_t heard_of = 0;
    for (Direction* direction : {&flow.out, &flow.in}) {
        FlowWay there;
        if (!parts->flows
                 .get(struct_bytes(direction->key), std::as_writable_bytes(std::span(&there, 1)))
                 .ok()) {
            return false;
        }
        direction->way = there;
        heard_of += there.ordinary_at;
    }
    flow.idle_rounds = heard_of == flow.heard_of ? flow.idle_rounds + 1 : 0;
    flow.heard_of = heard_of;
    if (flow.idle_rounds > idle_rounds_allowed) {
        return false;
    }
    const std::optional<ShortcutMember> sender = member(flow.host_index);
    const auto now = sender ? inspect(*sender, flow_tuple(flow.out.key))
                            : Result<std::optional<Flow>>(std::optional<Flow>());
    return now.ok() && *now && (*now)->leads_like(flow);
}

void FlowShortcut::State::look_after_flows() {
    round = {};
    const std::map<FlowKey, Flow> flows = members.lock()->flows;
    std::set<int> used;
    for (auto [key, flow] : flows) {
        const bool goes_on = look_after(flow);
        auto guard = members.lock();
        const auto found = guard->flows.find(key);
        if (found == guard->flows.end()) {
            continue; // its container has left
        }
        if (!goes_on) {
            end(flow);
            guard->flows.erase(found);
            continue;
        }
        used.insert(flow.uplink);
        for (Direction* direction : {&flow.out, &flow.in}) {
            direction->way.until = monotonic_now() + lease;
            // Not there: it has just ended, which the next round finds.
            [[maybe_unused]] const Result<void> prolonged =
                parts->flows.replace(struct_bytes(direction->key), struct_bytes(direction->way));
        }
        found->second = flow;
    }
    leave_idle_uplinks(used);
}

void FlowShortcut::State::leave_idle_uplinks(const std::set<int>& used) {
    for (auto& [index, uplink] : uplinks) {
        uplink.idle_rounds = used.contains(index) ? 0 : uplink.idle_rounds + 1;
    }
    std::erase_if(uplinks, [](const auto& entry) {
        return entry.second.idle_rounds > idle_rounds_of_uplinks;
    });
}

void FlowShortcut::State::run() {
    std::uint64_t last_round = monotonic_now();
    while (true) {
        const bool idle = uplinks.empty() && round.refused.empty();
        pollfd entries[] = {
            {.fd = parts->stop.read_end.get(), .events = POLLIN, .revents = 0},
            {.fd = parts->news.ring.fd().get(), .events = POLLIN, .revents = 0}};
        ::poll(entries, std::size(entries), idle ? -1 : round_ms);
        if (entries[0].revents != 0) {
            return;
        }
        parts->news.ring.read([this](std::span<const std::byte> record) { hear(record); });
        const std::uint64_t now = monotonic_now();
        if (now - last_round >= second) {
            last_round = now;
            look_after_flows();
        }
    }
}

FlowShortcut::FlowShortcut(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

FlowShortcut::FlowShortcut(FlowShortcut&& other) noexcept = default;

FlowShortcut::~FlowShortcut() {
    if (state_ && state_->thread.joinable()) {
        state_->parts->stop.write_end.reset();
        state_->thread.join();
    }
}

FlowShortcut FlowShortcut::start() {
    auto state = std::make_unique<State>();
    Result<Parts> parts = make_parts();
    if (!parts.ok()) {
        log::info(
            "no short way for long connections to other hosts: their packets are routed",
            {{"error", parts.error().message()}});
        return FlowShortcut(std::move(state));
    }
    state->parts.emplace(std::move(*parts));
    state->thread = std::thread([raw = state.get()] { raw->run(); });
    return FlowShortcut(std::move(state));
}

ShortcutHooks FlowShortcut::hooks() const {
    if (!state_->parts) {
        return {.continuation = FdRef::unowned(-1), .ring = FdRef::unowned(-1)};
    }
    return {.continuation = state_->parts->continuation, .ring = state_->parts->news.ring.fd()};
}

void FlowShortcut::set_busy_program(UniqueFd program) {
    state_->members.lock()->busy_program = std::move(program);
}

void FlowShortcut::heed(const ForeignRules& rules) {
    auto guard = state_->members.lock();
    const bool open = !rules.bridged && !rules.forwarded && !rules.routed;
    if (!state_->parts || open == guard->open) {
        return;
    }
    guard->open = open;
    log::info(
        open ? "long connections to other hosts may take the short way again"
             : "rules of others judge packets of containers: they all take the ordinary way");
    for (const auto& [key, flow] : guard->flows) {
        state_->end(flow);
    }
    guard->flows.clear();
}

void FlowShortcut::join(const ShortcutMember& member) {
    if (state_->parts) {
        state_->members.lock()->by_interface.insert_or_assign(member.host_index, member);
    }
}

void FlowShortcut::leave(int host_index) {
    auto guard = state_->members.lock();
    if (guard->by_interface.erase(host_index) == 0) {
        return;
    }
    std::erase_if(guard->flows, [&](const auto& entry) {
        if (entry.second.host_index != host_index) {
            return false;
        }
        state_->end(entry.second);
        return true;
    });
}

} // namespace berth::network
