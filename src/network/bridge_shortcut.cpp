// SPDX-License-Identifier: Apache-2.0
// bpf-helpers(7), bpf_redirect_peer; tc-bpf(8), direct action.
#include "network/bridge_shortcut.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kernel/netlink_queue.h"
#include "network/bpf_assembler.h"
#include "network/flow_program.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::struct_bytes;

constexpr std::uint32_t most_addresses = 1U << 14;
constexpr const char* program_name = "berth_shortcut";

// Of both tables, without holes. The addresses of IPv4 are followed by zeros.
struct Key {
    std::uint32_t scope = 0; // an interface, or a network
    std::array<std::uint8_t, ETH_ALEN> mac{};
    std::uint16_t ether_type = 0; // network order
    std::array<std::uint8_t, 16> address{};
};

static_assert(sizeof(Key) == 28);

constexpr int source_key = -32; // on the program's stack, from its frame pointer
constexpr int target_key = -64;
constexpr int heard_place = -80;

constexpr auto context = BPF_REG_6;
constexpr auto ether_type = BPF_REG_7;
constexpr auto receiver = BPF_REG_8; // an interface
constexpr auto packet = BPF_REG_2;
constexpr auto packet_end = BPF_REG_3;
constexpr auto scratch = BPF_REG_4;

// With what is particular to frames.
class Assembler : public BpfAssembler {
  public:
    void load_context(std::uint8_t to, std::size_t offset) { load(BPF_W, to, context, offset); }

    // Bytes of the packet, a multiple of two, to the stack.
    void copy(std::size_t packet_offset, std::int64_t stack_offset, std::size_t size) {
        for (std::size_t done = 0; done < size;) {
            const bool word = size - done >= 4;
            load(word ? BPF_W : BPF_H, scratch, packet, packet_offset + done);
            store(word ? BPF_W : BPF_H, stack_offset + static_cast<std::int64_t>(done), scratch);
            done += word ? 4 : 2;
        }
    }

    void give_up_if_shorter_than(std::size_t size) {
        move(scratch, packet);
        add(BPF_ALU64 | BPF_ADD | BPF_K, scratch, 0, 0, static_cast<std::int64_t>(size));
        give_up_if_register(BPF_JGT, scratch, packet_end);
    }

    void give_up_unless_transport(std::size_t protocol_offset) {
        load(BPF_B, scratch, packet, protocol_offset);
        add(BPF_JMP | BPF_JEQ | BPF_K, scratch, 0, 2, IPPROTO_TCP);
        add(BPF_JMP | BPF_JEQ | BPF_K, scratch, 0, 1, IPPROTO_UDP);
        give_up_if(BPF_JNE, scratch, IPPROTO_SCTP);
    }
};

void copy_addresses(Assembler& code, std::size_t source, std::size_t target, std::size_t size) {
    constexpr auto address = static_cast<int>(offsetof(Key, address));
    code.copy(source, source_key + address, size);
    code.copy(target, target_key + address, size);
}

// What is known of the frame, into both keys.
void read_frame(Assembler& code) {
    constexpr std::size_t behind_ether = sizeof(ethhdr);
    code.load_context(scratch, offsetof(__sk_buff, vlan_present));
    code.give_up_if(BPF_JNE, scratch, 0);
    code.load_context(packet, offsetof(__sk_buff, data));
    code.load_context(packet_end, offsetof(__sk_buff, data_end));
    code.load_context(ether_type, offsetof(__sk_buff, protocol));
    const std::size_t if_v4 = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_K, ether_type, 0, 0, htons(ETH_P_IP));
    code.give_up_if(BPF_JNE, ether_type, htons(ETH_P_IPV6));

    code.give_up_if_shorter_than(behind_ether + sizeof(ip6_hdr));
    code.give_up_unless_transport(behind_ether + offsetof(ip6_hdr, ip6_nxt));
    copy_addresses(
        code,
        behind_ether + offsetof(ip6_hdr, ip6_src),
        behind_ether + offsetof(ip6_hdr, ip6_dst),
        16);
    const std::size_t after_v6 = code.place();
    code.add(BPF_JMP | BPF_JA, 0, 0);

    code.land(if_v4);
    code.give_up_if_shorter_than(behind_ether + sizeof(iphdr));
    code.give_up_unless_transport(behind_ether + offsetof(iphdr, protocol));
    copy_addresses(
        code, behind_ether + offsetof(iphdr, saddr), behind_ether + offsetof(iphdr, daddr), 4);

    code.land(after_v6);
    code.copy(offsetof(ethhdr, h_source), source_key + static_cast<int>(offsetof(Key, mac)), 6);
    code.copy(offsetof(ethhdr, h_dest), target_key + static_cast<int>(offsetof(Key, mac)), 6);
}

// For an interface that sends much there is a quicker place: a FlowKey of which only that is set.
void tell_of_some(Assembler& code, FdRef ring) {
    constexpr std::int64_t one_in = 1024;
    code.set(scratch, 0);
    for (int offset = 4; offset < static_cast<int>(sizeof(FlowKey)); offset += 4) {
        code.store(BPF_W, heard_place + offset, scratch);
    }
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.store(BPF_W, heard_place, scratch);
    code.tell_one_in(one_in, ring, heard_place, sizeof(FlowKey));
}

// `answer`: for a frame that goes on to the bridge.
std::vector<bpf_insn> shortcut_program(
    const BpfHash& sources, const BpfHash& targets, const ShortcutHooks& hooks, int answer) {
    Assembler code;
    code.move(context, BPF_REG_1);
    code.set(scratch, 0);
    for (const int key : {source_key, target_key}) {
        for (int offset = 0; offset < 32; offset += 8) {
            code.store(BPF_DW, key + offset, scratch);
        }
    }
    read_frame(code);
    for (const int key : {source_key, target_key}) {
        code.store(BPF_H, key + static_cast<int>(offsetof(Key, ether_type)), ether_type);
    }
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.store(BPF_W, source_key, scratch);
    code.look_up(sources.fd(), source_key);
    code.load(BPF_W, scratch, BPF_REG_0, 0);
    code.store(BPF_W, target_key, scratch);
    code.look_up(targets.fd(), target_key);
    code.load(BPF_W, receiver, BPF_REG_0, 0);
    if (hooks.ring.get() >= 0 && answer == TC_ACT_UNSPEC) {
        tell_of_some(code, hooks.ring);
    }
    code.move(BPF_REG_1, receiver);
    code.set(BPF_REG_2, 0);
    code.call(BPF_FUNC_redirect_peer);
    code.leave();
    if (hooks.continuation.get() >= 0) {
        code.land_given_up();
        code.move(BPF_REG_1, context);
        code.set_table(BPF_REG_2, hooks.continuation);
        code.set(BPF_REG_3, 0);
        code.call(BPF_FUNC_tail_call);
    }
    return code.finish(answer);
}

Key key_of(int scope, const kernel::MacAddress& mac, const kernel::IpAddress& address) {
    Key key{
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

Result<BridgeShortcut::Parts> BridgeShortcut::make(const ShortcutHooks& hooks) {
    const BpfHash::Shape shape{
        .key_size = sizeof(Key), .value_size = sizeof(std::uint32_t), .limit = most_addresses};
    BpfHash::Shape sources_shape = shape;
    sources_shape.name = "berth_sources";
    BpfHash::Shape targets_shape = shape;
    targets_shape.name = "berth_targets";
    BpfHash sources = TRY(BpfHash::create(sources_shape));
    BpfHash targets = TRY(BpfHash::create(targets_shape));
    const auto load = [&](int answer) {
        return kernel::load_bpf_program(
            BPF_PROG_TYPE_SCHED_CLS,
            program_name,
            shortcut_program(sources, targets, hooks, answer));
    };
    UniqueFd program = TRY(load(TC_ACT_UNSPEC));
    UniqueFd busy_program = TRY(load(TC_ACT_OK));
    return Parts{
        std::move(sources), std::move(targets), std::move(program), std::move(busy_program)};
}

BridgeShortcut BridgeShortcut::open(const ShortcutHooks& hooks) {
    auto parts = make(hooks);
    if (parts.ok()) {
        return BridgeShortcut(std::move(*parts));
    }
    log::info(
        "no short way between containers: their frames go over the bridge",
        {{"error", parts.error().message()}});
    return BridgeShortcut(std::nullopt);
}

UniqueFd BridgeShortcut::take_busy_program() {
    return parts_ ? std::move(parts_->busy_program) : UniqueFd();
}

Result<void> BridgeShortcut::enter(const ShortcutMember& member) const {
    const auto network = static_cast<std::uint32_t>(member.network);
    const auto interface = static_cast<std::uint32_t>(member.host_index);
    for (const kernel::IpAddress& address : member.addresses) {
        const Key source = key_of(member.host_index, member.mac, address);
        const Key target = key_of(member.network, member.mac, address);
        TRY(parts_->sources.put(struct_bytes(source), struct_bytes(network)));
        TRY(parts_->targets.put(struct_bytes(target), struct_bytes(interface)));
    }
    return ok();
}

void BridgeShortcut::withdraw(const ShortcutMember& member) const {
    for (const kernel::IpAddress& address : member.addresses) {
        // Not there: the table was full when it joined, or the way is closed.
        const Key source = key_of(member.host_index, member.mac, address);
        const Key target = key_of(member.network, member.mac, address);
        [[maybe_unused]] Result<void> removed = parts_->sources.remove(struct_bytes(source));
        removed = parts_->targets.remove(struct_bytes(target));
    }
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
            return entered;
        }
    }
    members->by_interface.insert_or_assign(member.host_index, member);
    return ok();
}

void BridgeShortcut::leave(int host_index) {
    auto members = members_.lock();
    const auto left = members->by_interface.extract(host_index);
    if (!left.empty()) {
        withdraw(left.mapped());
    }
}

} // namespace berth::network
