// SPDX-License-Identifier: Apache-2.0
// Who is led past the bridge, and the tables that say so.
#include "network/bridge_shortcut.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/verify.h"
#include "kernel/netlink_queue.h"
#include "network/bridge_program.h"

#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <arpa/inet.h>

namespace berth::network {
namespace {

using kernel::struct_bytes;

constexpr std::uint32_t most_addresses = 1U << 14;
constexpr const char* program_name = "berth_shortcut";

MemberKey key_of(int scope, const kernel::MacAddress& mac, const kernel::IpAddress& address) {
    MemberKey key{
        .scope = static_cast<std::uint32_t>(scope),
        .mac = mac.bytes,
        .ether_type = htons(address.is_v4() ? ETH_P_IP : ETH_P_IPV6)};
    std::ranges::copy(address.bytes(), key.address.begin());
    return key;
}

} // namespace

bool iptables_sees_bridged() {
    constexpr auto switches = std::to_array(
        {"/proc/sys/net/bridge/bridge-nf-call-iptables",
         "/proc/sys/net/bridge/bridge-nf-call-ip6tables"});
    return std::ranges::any_of(switches, [](const char* path) {
        const auto text = read_file(path, 16);
        return text.ok() && trim(*text) != "0";
    });
}

struct BridgeShortcut::Parts {
    BridgeTables tables;
    UniqueFd program;
    UniqueFd busy_program;
};

BridgeShortcut::BridgeShortcut(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

BridgeShortcut::~BridgeShortcut() = default;

Result<std::unique_ptr<BridgeShortcut::Parts>> BridgeShortcut::make(const ShortcutHooks& hooks) {
    auto parts = std::make_unique<Parts>(Parts{TRY(BridgeTables::create(most_addresses)), {}, {}});
    const auto load = [&](int answer) {
        return kernel::load_bpf_program(
            BPF_PROG_TYPE_SCHED_CLS, program_name, bridge_program(parts->tables, hooks, answer));
    };
    parts->program = TRY(load(TC_ACT_UNSPEC));
    parts->busy_program = TRY(load(TC_ACT_OK));
    return parts;
}

BridgeShortcut BridgeShortcut::open(const ShortcutHooks& hooks) {
    auto parts = make(hooks);
    if (parts.ok()) {
        return BridgeShortcut(std::move(*parts));
    }
    log::info(
        "no short way between containers: their frames go over the bridge",
        {{"error", parts.error().message()}});
    return BridgeShortcut(nullptr);
}

UniqueFd BridgeShortcut::take_busy_program() {
    return parts_ ? std::move(parts_->busy_program) : UniqueFd();
}

Result<void> BridgeShortcut::enter(const ShortcutMember& member) const {
    const SenderRecord sender{
        .network = static_cast<std::uint32_t>(member.network),
        .gateway = static_cast<std::uint32_t>(member.network),
        .gateway_mac = member.gateway_mac.bytes};
    const auto interface = static_cast<std::uint32_t>(member.host_index);
    for (const kernel::IpAddress& address : member.addresses) {
        const MemberKey source = key_of(member.host_index, member.mac, address);
        const MemberKey target = key_of(member.network, member.mac, address);
        TRY(parts_->tables.sources.put(struct_bytes(source), struct_bytes(sender)));
        TRY(parts_->tables.targets.put(struct_bytes(target), struct_bytes(interface)));
    }
    return ok();
}

void BridgeShortcut::withdraw(const ShortcutMember& member) const {
    for (const kernel::IpAddress& address : member.addresses) {
        // Not there: the table was full when it joined, or the way is closed.
        const MemberKey source = key_of(member.host_index, member.mac, address);
        const MemberKey target = key_of(member.network, member.mac, address);
        [[maybe_unused]] Result<void> removed = parts_->tables.sources.remove(struct_bytes(source));
        removed = parts_->tables.targets.remove(struct_bytes(target));
    }
}

// Whatever a program has noted of the tables before they were changed. REQUIRES: the lock.
void BridgeShortcut::forget_notes(Members& members) const {
    members.generation = std::max(members.generation + 1, 1U); // 0 is that of no note
    const Result<void> forgotten =
        kernel::set_bpf_word(parts_->tables.generation, members.generation);
    VERIFY(forgotten.ok());
}

void BridgeShortcut::look_again(Members& members) const {
    const ForeignRules& foreign = members.foreign;
    const bool open = !foreign.bridged && !(foreign.forwarded && iptables_sees_bridged());
    if (open == members.open) {
        return;
    }
    members.open = open;
    log::info(
        open ? "frames between containers take the short way again"
             : "rules of others judge bridged frames: they all go over the bridge");
    for (const auto& [index, member] : members.by_interface) {
        if (!open || !enter(member).ok()) {
            withdraw(member);
        }
    }
    forget_notes(members);
}

void BridgeShortcut::heed(const ForeignRules& rules) {
    if (parts_) {
        auto members = members_.lock();
        members->foreign = rules;
        look_again(*members);
    }
}

Result<void> BridgeShortcut::join(kernel::RouteSocket& host, const ShortcutMember& member) {
    if (!parts_) {
        return ok();
    }
    kernel::RouteBatch batch;
    kernel::add_receive_program(batch, member.host_index, parts_->program, program_name);
    const std::vector<int> errors = TRY(host.execute_each(batch));
    const bool placed = errors[0] == 0 || errors[0] == EEXIST;
    if (!placed || errors[1] != 0) {
        errno = placed ? errors[1] : errors[0];
        return errno_error("put a program at interface " + std::to_string(member.host_index));
    }
    auto members = members_.lock();
    look_again(*members);
    if (members->open) {
        Result<void> entered = enter(member);
        if (!entered.ok()) {
            withdraw(member);
        }
        forget_notes(*members);
        TRY(std::move(entered));
    }
    members->by_interface.insert_or_assign(member.host_index, member);
    return ok();
}

void BridgeShortcut::leave(int host_index) {
    auto members = members_.lock();
    const auto left = members->by_interface.extract(host_index);
    if (!left.empty()) {
        withdraw(left.mapped());
        forget_notes(*members);
    }
}

} // namespace berth::network
