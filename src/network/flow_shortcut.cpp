// SPDX-License-Identifier: Apache-2.0
// The thread that learns of long connections, lends them the short way and asks after them.
#include "network/flow_shortcut.h"

#include "base/log.h"
#include "base/synchronized.h"
#include "kernel/bpf_ring.h"
#include "network/flow_inspector.h"
#include "network/flow_program.h"

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <utility>

#include <poll.h>

namespace berth::network {
namespace {

constexpr std::size_t most_flows = 1024;
constexpr std::size_t most_news = 256; // that are looked into in a round: some 50 us each
constexpr std::size_t ring_bytes = 64U << 10;
constexpr int round_ms = 1000;
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t lease = 3 * second;
constexpr int idle_rounds_allowed = 3;
constexpr int idle_rounds_of_uplinks = 60;

// CLOCK_MONOTONIC, which bpf_ktime_get_coarse_ns() tells as of the last tick.
std::uint64_t monotonic_now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
}

// One that takes the short way.
struct LedFlow : Flow {
    std::uint64_t heard_of = 0; // when it has last said that it is in use
    int idle_rounds = 0;
};

struct Parts {
    FlowTable flows;
    FlowNews news;
    UniqueFd outward; // at veth pairs, by the continuation
    UniqueFd inward;  // at interfaces to the outside
    UniqueFd continuation;
    FlowInspector inspector;
    Pipe stop;
};

Result<Parts> make_parts() {
    FlowTable flows = TRY(FlowTable::create(2 * most_flows));
    FlowNews news = TRY(FlowNews::create(ring_bytes));
    UniqueFd outward = TRY(kernel::load_bpf_program(
        BPF_PROG_TYPE_SCHED_CLS, "berth_outward", flow_program(flows, &news)));
    UniqueFd inward = TRY(kernel::load_bpf_program(
        BPF_PROG_TYPE_SCHED_CLS, "berth_inward", flow_program(flows, nullptr)));
    UniqueFd continuation = TRY(kernel::make_bpf_continuation("berth_goes_on"));
    TRY(kernel::set_bpf_continuation(continuation, outward));
    FlowInspector inspector = TRY(FlowInspector::open());
    Pipe stop = TRY(Pipe::create());
    return Parts{
        .flows = std::move(flows),
        .news = std::move(news),
        .outward = std::move(outward),
        .inward = std::move(inward),
        .continuation = std::move(continuation),
        .inspector = std::move(inspector),
        .stop = std::move(stop)};
}

} // namespace

struct FlowShortcut::State {
    struct Uplink {
        UniqueFd link;
        int idle_rounds = 0;
    };

    // Under the lock, so that nobody who has left is given a way.
    struct Members {
        std::map<int, ShortcutMember> by_interface;
        std::map<FlowKey, LedFlow> flows; // by the outward key
        bool open = true;
        UniqueFd busy_program; // set once
    };

    std::optional<Parts> parts{};
    Synchronized<Members> members{};
    // The thread's own.
    std::map<int, Uplink> uplinks{};
    std::map<int, UniqueFd> busy{}; // links of the program at members' interfaces
    // Since the last round.
    std::set<FlowKey> refused{};
    std::size_t news_heard = 0;
    std::thread thread{};

    void run();
    void hear(std::span<const std::byte> record);
    bool is_led(const FlowKey& key);
    Result<void> learn(const FlowKey& key);
    Result<void> hasten(const FlowKey& key);
    Result<void> watch(int uplink);
    void look_after_flows();
    bool look_after(LedFlow& flow);
    void enter(LedFlow& flow);
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
void FlowShortcut::State::enter(LedFlow& flow) {
    const std::uint64_t now = monotonic_now();
    for (FlowDirection* direction : {&flow.out, &flow.in}) {
        direction->times = {.ordinary_at = now + second, .until = now + lease};
        if (!parts->flows.put(*direction).ok()) {
            end(flow);
            return;
        }
    }
}

void FlowShortcut::State::end(const Flow& flow) const {
    for (const FlowDirection* direction : {&flow.out, &flow.in}) {
        // Not there: the program saw the connection's end.
        [[maybe_unused]] const Result<void> removed = parts->flows.remove(direction->key);
    }
}

// What the program has taken away has ended: this is its successor.
bool FlowShortcut::State::is_led(const FlowKey& key) {
    auto guard = members.lock();
    const auto found = guard->flows.find(key);
    if (found == guard->flows.end()) {
        return false;
    }
    const bool led = parts->flows.times(key).ok();
    if (!led) {
        end(found->second);
        guard->flows.erase(found);
    }
    return led;
}

Result<void> FlowShortcut::State::learn(const FlowKey& key) {
    const std::optional<ShortcutMember> sender = member(key.interface);
    if (!sender || is_led(key)) {
        return ok();
    }
    const std::optional<Flow> flow = TRY(parts->inspector.inspect(*sender, key.packets));
    if (!flow) {
        refused.insert(key);
        return ok();
    }
    TRY(watch(flow->uplink));
    TRY(parts->inspector.let_skip_windows(key.packets));
    auto guard = members.lock();
    const auto still = guard->by_interface.find(sender->host_index);
    if (guard->open && guard->flows.size() < most_flows && still != guard->by_interface.end() &&
        still->second.addresses == sender->addresses) {
        LedFlow led{*flow};
        enter(led);
        guard->flows.insert_or_assign(key, led);
    }
    return ok();
}

// Its frames are judged by a quicker way than that of join(): of one that sends little it would be
// a waste, since the kernel waits for a grace period with it.
Result<void> FlowShortcut::State::hasten(const FlowKey& key) {
    const int index = key.interface;
    int program = -1;
    {
        auto guard = members.lock();
        program = guard->by_interface.contains(index) ? guard->busy_program.get() : -1;
        std::erase_if(busy, [&guard](const auto& entry) {
            return !guard->by_interface.contains(entry.first);
        });
    }
    refused.insert(key); // heard of, for this round
    if (program >= 0 && !busy.contains(index)) {
        busy.emplace(index, TRY(kernel::link_bpf_to_interface(FdRef::unowned(program), index)));
    }
    return ok();
}

void FlowShortcut::State::hear(std::span<const std::byte> record) {
    const std::optional<FlowKey> key = parse_flow_key(record);
    if (!key || news_heard >= most_news || refused.contains(*key)) {
        return;
    }
    ++news_heard;
    const Result<void> learned = key->packets.source.is_unspecified() ? hasten(*key) : learn(*key);
    if (!learned.ok()) {
        refused.insert(*key);
        log::debug(
            "no short way for a connection, ignoring", {{"error", learned.error().message()}});
    }
}

// Whether it goes on. What the program has taken away has ended, or may be another one by now.
bool FlowShortcut::State::look_after(LedFlow& flow) {
    std::uint64_t heard_of = 0;
    for (FlowDirection* direction : {&flow.out, &flow.in}) {
        const Result<FlowTimes> times = parts->flows.times(direction->key);
        if (!times.ok()) {
            return false;
        }
        direction->times = *times;
        heard_of += times->ordinary_at;
    }
    flow.idle_rounds = heard_of == flow.heard_of ? flow.idle_rounds + 1 : 0;
    flow.heard_of = heard_of;
    if (flow.idle_rounds > idle_rounds_allowed) {
        return false;
    }
    const std::optional<ShortcutMember> sender = member(flow.host_index);
    const auto now = sender ? parts->inspector.inspect(*sender, flow.out.key.packets)
                            : Result<std::optional<Flow>>(std::optional<Flow>());
    return now.ok() && *now && (*now)->leads_like(flow);
}

void FlowShortcut::State::look_after_flows() {
    refused.clear();
    news_heard = 0;
    parts->inspector.begin_round();
    const std::map<FlowKey, LedFlow> flows = members.lock()->flows;
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
        for (FlowDirection* direction : {&flow.out, &flow.in}) {
            direction->times.until = monotonic_now() + lease;
            // Not there: it has just ended, which the next round finds.
            [[maybe_unused]] const Result<void> prolonged = parts->flows.replace(*direction);
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
        const bool idle = uplinks.empty() && refused.empty();
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
