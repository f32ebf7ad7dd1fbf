// SPDX-License-Identifier: Apache-2.0
// bpf-helpers(7), bpf_redirect_peer; tc-bpf(8), direct action.
#include "network/bridge_program.h"

#include "base/file.h"
#include "base/strings.h"
#include "network/bpf_assembler.h"
#include "network/flow_table.h"

#include <linux/pkt_cls.h>

#include <cstddef>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

namespace berth::network {
namespace {

using kernel::BpfHash;

constexpr std::size_t ip_place = sizeof(ethhdr);
constexpr std::int64_t noted_interfaces = 64; // a power of two: the notes of the others are theirs

// What an interface's last frame was like: a cache line. The frame's header stands so that its
// words are as aligned as in the frame, whose IP header is.
struct alignas(64) Note {
    std::uint32_t generation = 0; // 0: nothing
    std::uint32_t interface = 0;
    std::uint32_t receiver = 0; // an interface, too; 0: nobody of the network
    std::uint16_t protocol = 0; // of transport
    std::array<std::uint8_t, sizeof(ethhdr)> header{};
    std::array<std::uint8_t, 32> addresses{}; // of IPv4: 8
    std::uint32_t gateway = 0; // an interface, too; 0: it is not for the gateway either
};

static_assert(sizeof(Note) == 64 && offsetof(Note, header) % 4 == 2);

constexpr int source_key = -32; // on the program's stack, from its frame pointer
constexpr int target_key = -64;
constexpr int heard_place = -80;
constexpr int generation_place = -84;
constexpr int index_place = -88;
constexpr int protocol_place = -92;
constexpr int gateway_place = -96;

constexpr auto context = BPF_REG_6;
constexpr auto ether_type = BPF_REG_7;
constexpr auto receiver = BPF_REG_8; // an interface
constexpr auto note = BPF_REG_9;
constexpr auto packet = BPF_REG_2;
constexpr auto packet_end = BPF_REG_3;
constexpr auto scratch = BPF_REG_4;
constexpr auto other = BPF_REG_5;

// Where the addresses of both families are, one behind the other.
struct Family {
    std::size_t header_size;
    std::size_t protocol; // in the frame, as the next two
    std::size_t source;
    std::size_t target;
    std::size_t address_size;
};

constexpr Family v4{
    .header_size = sizeof(iphdr),
    .protocol = ip_place + offsetof(iphdr, protocol),
    .source = ip_place + offsetof(iphdr, saddr),
    .target = ip_place + offsetof(iphdr, daddr),
    .address_size = 4};
constexpr Family v6{
    .header_size = sizeof(ip6_hdr),
    .protocol = ip_place + offsetof(ip6_hdr, ip6_nxt),
    .source = ip_place + offsetof(ip6_hdr, ip6_src),
    .target = ip_place + offsetof(ip6_hdr, ip6_dst),
    .address_size = 16};

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

    // Bytes of the stack, a multiple of two, to the interface's note.
    void note_down(std::size_t member, int stack_offset, std::size_t size) {
        for (std::size_t done = 0; done < size; done += 2) {
            add(BPF_LDX | BPF_MEM | BPF_H,
                scratch,
                BPF_REG_10,
                stack_offset + static_cast<int>(done));
            store_at(BPF_H, note, member + done, scratch);
        }
    }

    void add_to(std::uint8_t reg, std::size_t value) {
        add(BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, static_cast<std::int64_t>(value));
    }

    void give_up_if_shorter_than(std::size_t size) {
        move(scratch, packet);
        add_to(scratch, size);
        give_up_if_register(BPF_JGT, scratch, packet_end);
    }

    void give_up_unless_transport(std::size_t protocol_offset) {
        load(BPF_B, scratch, packet, protocol_offset);
        add(BPF_JMP | BPF_JEQ | BPF_K, scratch, 0, 2, IPPROTO_TCP);
        add(BPF_JMP | BPF_JEQ | BPF_K, scratch, 0, 1, IPPROTO_UDP);
        give_up_if(BPF_JNE, scratch, IPPROTO_SCTP);
    }

    void load_frame() {
        load_context(packet, offsetof(__sk_buff, data));
        load_context(packet_end, offsetof(__sk_buff, data_end));
    }

    void give_up_if_another(int size, std::size_t packet_offset, std::size_t member) {
        load(size, scratch, packet, packet_offset);
        load(size == BPF_B ? BPF_H : size, other, note, member);
        give_up_if_register(BPF_JNE, scratch, other);
    }
};

void load_generation(Assembler& code, std::uint8_t to, FdRef generation) {
    code.set_word_address(to, generation);
    code.load(BPF_W, to, to, 0);
}

void give_up_if_tagged(Assembler& code) {
    code.load_context(scratch, offsetof(__sk_buff, vlan_present));
    code.give_up_if(BPF_JNE, scratch, 0);
}

void give_up_unless_noted(Assembler& code, const Family& family) {
    code.give_up_if_shorter_than(ip_place + family.header_size);
    code.give_up_if_another(BPF_B, family.protocol, offsetof(Note, protocol));
    for (std::size_t i = 0; i < 2 * family.address_size; i += 4) {
        code.give_up_if_another(BPF_W, family.source + i, offsetof(Note, addresses) + i);
    }
    for (std::size_t i = 0; i < sizeof(ethhdr); i += i == 0 ? 2 : 4) {
        code.give_up_if_another(i == 0 ? BPF_H : BPF_W, i, offsetof(Note, header) + i);
    }
}

// Finds the interface's note and the receiver in it. Gives up where the frame is not as that says.
void read_note(Assembler& code, const BridgeTables& tables) {
    code.load_context(receiver, offsetof(__sk_buff, ifindex)); // of the sender, here
    code.move(scratch, receiver);
    code.add(BPF_ALU64 | BPF_AND | BPF_K, scratch, 0, 0, noted_interfaces - 1);
    code.store(BPF_W, index_place, scratch);
    code.find(tables.notes, index_place);
    code.move(note, BPF_REG_0);
    code.give_up_if(BPF_JEQ, note, 0);
    load_generation(code, scratch, tables.generation);
    code.load(BPF_W, other, note, offsetof(Note, generation));
    code.give_up_if_register(BPF_JNE, scratch, other);
    code.load(BPF_W, other, note, offsetof(Note, interface));
    code.give_up_if_register(BPF_JNE, receiver, other);
    give_up_if_tagged(code);
    code.load_frame();
    code.load_context(ether_type, offsetof(__sk_buff, protocol));
    const std::size_t if_v6 = code.place();
    code.add(BPF_JMP | BPF_JNE | BPF_K, ether_type, 0, 0, htons(ETH_P_IP));
    give_up_unless_noted(code, v4);
    const std::size_t after_v4 = code.place();
    code.add(BPF_JMP | BPF_JA, 0, 0);
    code.land(if_v6);
    code.give_up_if(BPF_JNE, ether_type, htons(ETH_P_IPV6));
    give_up_unless_noted(code, v6);
    code.land(after_v4);
    code.load(BPF_W, receiver, note, offsetof(Note, receiver));
}

// What is known of the frame, into both keys.
void read_addresses(Assembler& code, const Family& family) {
    constexpr auto address = static_cast<int>(offsetof(MemberKey, address));
    code.give_up_if_shorter_than(ip_place + family.header_size);
    code.give_up_unless_transport(family.protocol);
    code.store(BPF_H, protocol_place, scratch);
    code.copy(family.source, source_key + address, family.address_size);
    code.copy(family.target, target_key + address, family.address_size);
}

void read_frame(Assembler& code) {
    code.load_frame();
    code.load_context(ether_type, offsetof(__sk_buff, protocol));
    const std::size_t if_v4 = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_K, ether_type, 0, 0, htons(ETH_P_IP));
    code.give_up_if(BPF_JNE, ether_type, htons(ETH_P_IPV6));
    read_addresses(code, v6);
    const std::size_t after_v6 = code.place();
    code.add(BPF_JMP | BPF_JA, 0, 0);
    code.land(if_v4);
    read_addresses(code, v4);
    code.land(after_v6);
    constexpr auto mac = static_cast<int>(offsetof(MemberKey, mac));
    code.copy(offsetof(ethhdr, h_source), source_key + mac, ETH_ALEN);
    code.copy(offsetof(ethhdr, h_dest), target_key + mac, ETH_ALEN);
    for (const int key : {source_key, target_key}) {
        code.store(BPF_H, key + static_cast<int>(offsetof(MemberKey, ether_type)), ether_type);
    }
}

// The generation as it was before the tables are asked: what is noted for it must not outlive them.
void note_generation(Assembler& code, FdRef generation, std::uint8_t to) {
    load_generation(code, to, generation);
    code.store(BPF_W, generation_place, to);
    // 0, which comes into a key: so the processor may not ask the tables first.
    code.add(BPF_ALU64 | BPF_XOR | BPF_X, to, to);
}

// To what the program goes on with: BpfAssembler::finish_or_hand_up().
void bequeath(Assembler& code, std::uint8_t gateway) {
    code.store_at(BPF_W, context, BpfAssembler::bequest, gateway);
}

// r0: a SenderRecord. Whom the frame is for: the gateway, which is noted and bequeathed, or a
// member of the network. 0: nobody.
void find_receiver(Assembler& code, FdRef targets) {
    constexpr auto mac = static_cast<int>(offsetof(MemberKey, mac));
    std::vector<std::size_t> is_another;
    for (int i = 0; i < ETH_ALEN; i += 2) {
        code.add(BPF_LDX | BPF_MEM | BPF_H, scratch, BPF_REG_10, target_key + mac + i);
        const auto member = offsetof(SenderRecord, gateway_mac) + static_cast<std::size_t>(i);
        code.load(BPF_H, other, BPF_REG_0, member);
        is_another.push_back(code.place());
        code.add(BPF_JMP | BPF_JNE | BPF_X, scratch, other);
    }
    code.load(BPF_W, scratch, BPF_REG_0, offsetof(SenderRecord, gateway));
    code.store(BPF_W, gateway_place, scratch);
    bequeath(code, scratch);
    const std::size_t is_gateway = code.place();
    code.add(BPF_JMP | BPF_JA, 0, 0);
    for (const std::size_t jump : is_another) {
        code.land(jump);
    }
    code.load(BPF_W, scratch, BPF_REG_0, offsetof(SenderRecord, network));
    code.store(BPF_W, target_key, scratch);
    code.find(targets, target_key);
    const std::size_t is_none = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0);
    code.load(BPF_W, receiver, BPF_REG_0, 0);
    code.land(is_none);
    code.land(is_gateway);
}

// 0: the frame is for no member of the network.
void look_up_receiver(Assembler& code, const BridgeTables& tables) {
    note_generation(code, tables.generation, other);
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.add(BPF_ALU64 | BPF_OR | BPF_X, scratch, other);
    code.store(BPF_W, source_key, scratch);
    code.look_up(tables.sources.fd(), source_key);
    code.set(receiver, 0);
    code.store(BPF_W, gateway_place, receiver);
    find_receiver(code, tables.targets.fd());
}

void note_addresses(Assembler& code, const Family& family) {
    constexpr auto address = static_cast<int>(offsetof(MemberKey, address));
    constexpr auto noted = offsetof(Note, addresses);
    code.note_down(noted, source_key + address, family.address_size);
    code.note_down(noted + family.address_size, target_key + address, family.address_size);
}

// On this processor alone, on which nothing comes between.
void write_note(Assembler& code) {
    const std::size_t has_none = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_K, note, 0);
    constexpr auto mac = static_cast<int>(offsetof(MemberKey, mac));
    constexpr auto type = static_cast<int>(offsetof(MemberKey, ether_type));
    constexpr auto header = offsetof(Note, header);
    code.note_down(offsetof(Note, generation), generation_place, sizeof(Note::generation));
    code.note_down(offsetof(Note, interface), source_key, sizeof(Note::interface));
    code.store_at(BPF_W, note, offsetof(Note, receiver), receiver);
    code.note_down(offsetof(Note, gateway), gateway_place, sizeof(Note::gateway));
    code.note_down(offsetof(Note, protocol), protocol_place, sizeof(Note::protocol));
    code.note_down(header + offsetof(ethhdr, h_dest), target_key + mac, ETH_ALEN);
    code.note_down(header + offsetof(ethhdr, h_source), source_key + mac, ETH_ALEN);
    code.note_down(header + offsetof(ethhdr, h_proto), source_key + type, sizeof(ethhdr::h_proto));
    const std::size_t if_v6 = code.place();
    code.add(BPF_JMP | BPF_JNE | BPF_K, ether_type, 0, 0, htons(ETH_P_IP));
    note_addresses(code, v4);
    const std::size_t after_v4 = code.place();
    code.add(BPF_JMP | BPF_JA, 0, 0);
    code.land(if_v6);
    note_addresses(code, v6);
    code.land(after_v4);
    code.land(has_none);
}

// For an interface that sends much there is a quicker place: a record of which only that is set.
void tell_of_some(Assembler& code, FdRef ring) {
    using Record = FlowKeyRecord<Ipv4Word>;
    constexpr std::int64_t one_in = 1024;
    code.set(scratch, 0);
    for (int offset = 4; offset < static_cast<int>(sizeof(Record)); offset += 4) {
        code.store(BPF_W, heard_place + offset, scratch);
    }
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.store(BPF_W, heard_place, scratch);
    code.tell_one_in(one_in, ring, heard_place, sizeof(Record));
}

void hand_on(Assembler& code, const ShortcutHooks& hooks, int answer) {
    if (hooks.ring.get() >= 0 && answer == TC_ACT_UNSPEC) {
        tell_of_some(code, hooks.ring);
    }
    code.move(BPF_REG_1, receiver);
    code.set(BPF_REG_2, 0);
    code.call(BPF_FUNC_redirect_peer);
    code.leave();
}

// PREEMPT_RT: a program may be interrupted by another on its processor.
bool is_realtime_kernel() {
    const auto text = read_file("/sys/kernel/realtime", 16);
    return text.ok() && trim(*text) == "1";
}

} // namespace

Result<BridgeTables> BridgeTables::create(std::uint32_t most_addresses) {
    BpfHash::Shape shape{
        .name = "berth_sources",
        .key_size = sizeof(MemberKey),
        .value_size = sizeof(SenderRecord),
        .limit = most_addresses};
    BpfHash sources = TRY(BpfHash::create(shape));
    shape.name = "berth_targets";
    shape.value_size = sizeof(std::uint32_t);
    BpfHash targets = TRY(BpfHash::create(shape));
    UniqueFd generation = TRY(kernel::make_bpf_word("berth_epoch"));
    TRY(kernel::set_bpf_word(generation, 1));
    UniqueFd notes;
    if (!is_realtime_kernel()) {
        notes = TRY(kernel::make_bpf_notes("berth_notes", sizeof(Note), noted_interfaces));
    }
    return BridgeTables{
        .sources = std::move(sources),
        .targets = std::move(targets),
        .generation = std::move(generation),
        .notes = std::move(notes)};
}

std::vector<bpf_insn>
bridge_program(const BridgeTables& tables, const ShortcutHooks& hooks, int answer) {
    Assembler code;
    code.move(context, BPF_REG_1);
    std::optional<std::size_t> is_noted_as_no_members;
    if (tables.notes) {
        read_note(code, tables);
        const std::size_t is_members = code.place();
        code.add(BPF_JMP | BPF_JNE | BPF_K, receiver, 0);
        code.load(BPF_W, scratch, note, offsetof(Note, gateway));
        bequeath(code, scratch);
        is_noted_as_no_members = code.place();
        code.add(BPF_JMP | BPF_JA, 0, 0);
        code.land(is_members);
        hand_on(code, hooks, answer);
        code.land_given_up();
    }
    code.set(scratch, 0);
    bequeath(code, scratch);
    for (const int key : {source_key, target_key}) {
        for (int offset = 0; offset < 32; offset += 8) {
            code.store(BPF_DW, key + offset, scratch);
        }
    }
    give_up_if_tagged(code);
    read_frame(code);
    look_up_receiver(code, tables);
    if (tables.notes) {
        write_note(code);
    }
    code.give_up_if(BPF_JEQ, receiver, 0);
    hand_on(code, hooks, answer);
    code.land_given_up();
    if (is_noted_as_no_members) {
        code.land(*is_noted_as_no_members);
    }
    if (hooks.continuation.get() >= 0) {
        code.move(BPF_REG_1, context);
        code.set_table(BPF_REG_2, hooks.continuation);
        code.set(BPF_REG_3, 0);
        code.call(BPF_FUNC_tail_call);
    }
    return code.finish_or_hand_up(answer, context);
}

} // namespace berth::network
