// SPDX-License-Identifier: Apache-2.0
// bpf-helpers(7): bpf_redirect_peer, bpf_redirect_neigh, bpf_l4_csum_replace; RFC 1624.
#include "network/flow_program.h"

#include "network/bpf_assembler.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::FlowTuple;
using kernel::IpAddress;

constexpr auto context = BPF_REG_6;
constexpr auto way = BPF_REG_7; // a FlowWay
constexpr auto now = BPF_REG_8;
constexpr auto packet = BPF_REG_9; // its Ethernet header
constexpr auto scratch = BPF_REG_1;
constexpr auto spare = BPF_REG_2;

constexpr std::size_t ip_place = sizeof(ethhdr);
constexpr std::size_t tcp_place = ip_place + sizeof(iphdr);
constexpr std::size_t flags_place = tcp_place + 13;
constexpr std::size_t data_offset_place = tcp_place + 12;
constexpr std::size_t header_bytes = tcp_place + 4; // as far as the ports

constexpr int key_place = -24;    // on the program's stack, from its frame pointer
constexpr int header_place = -66; // so that the IPv4 header's words are aligned
static_assert((header_place + static_cast<int>(ip_place)) % 4 == 0);
static_assert(header_place + static_cast<int>(header_bytes) <= key_place);

constexpr int mark_place = -4; // of packets that are in no flow
constexpr int count_place = -8;
constexpr int neighbor_place = -88; // a bpf_redir_neigh
static_assert(neighbor_place + static_cast<int>(sizeof(bpf_redir_neigh)) <= header_place);

constexpr std::int64_t plain_header = 0x45; // version 4, no options
constexpr std::int64_t urgent_flag = 0x20;
constexpr std::int64_t begins_or_ends = TH_FIN | TH_SYN | TH_RST;
constexpr std::int64_t ordinary_every = 1'000'000'000;
// Of a connection's packets on one processor: those that are told of. A short one ends before, and
// costs nobody anything; a long one that cannot be led is asked after now and then.
constexpr std::int64_t told_first = 64;
constexpr std::int64_t told_again = 512; // each so many, a power of two
constexpr std::int64_t counted_bits = 8; // connections at a time: others take their places

struct FlowCount {
    std::uint32_t mark = 0; // of the connection
    std::uint32_t packets = 0;
};

class Assembler : public BpfAssembler {
  public:
    void load_context(std::uint8_t to, std::size_t offset) { load(BPF_W, to, context, offset); }

    void compute(int operation, std::uint8_t to, std::int64_t value) {
        add(BPF_ALU64 | operation | BPF_K, to, 0, 0, value);
    }

    void compute_with(int operation, std::uint8_t to, std::uint8_t from) {
        add(BPF_ALU64 | operation | BPF_X, to, from);
    }

    std::size_t jump_if(int condition, std::uint8_t reg, std::int64_t value) {
        const std::size_t from = place();
        add(BPF_JMP | condition | BPF_K, reg, 0, 0, value);
        return from;
    }

    std::size_t jump() {
        const std::size_t from = place();
        add(BPF_JMP | BPF_JA, 0, 0);
        return from;
    }

    void give_up() {
        set(BPF_REG_0, 0);
        give_up_if(BPF_JEQ, BPF_REG_0, 0);
    }

    void stack_address(std::uint8_t to, int offset) {
        move(to, BPF_REG_10);
        compute(BPF_ADD, to, offset);
    }

    // From the packet, or from the way, to the stack.
    void copy(int size, std::uint8_t base, std::size_t offset, std::int64_t stack_offset) {
        load(size, scratch, base, offset);
        store(size, stack_offset, scratch);
    }
};

// Goes on for a whole TCP segment in IPv4 without options, and notes its key.
void read_packet(Assembler& code) {
    code.load_context(scratch, offsetof(__sk_buff, vlan_present));
    code.give_up_if(BPF_JNE, scratch, 0);
    code.load_context(scratch, offsetof(__sk_buff, protocol));
    code.give_up_if(BPF_JNE, scratch, htons(ETH_P_IP));
    code.load_context(packet, offsetof(__sk_buff, data));
    code.load_context(BPF_REG_3, offsetof(__sk_buff, data_end));
    code.move(BPF_REG_4, packet);
    code.compute(BPF_ADD, BPF_REG_4, tcp_place + sizeof(tcphdr));
    code.give_up_if_register(BPF_JGT, BPF_REG_4, BPF_REG_3);
    code.load(BPF_B, scratch, packet, ip_place);
    code.give_up_if(BPF_JNE, scratch, plain_header);
    code.load(BPF_B, scratch, packet, ip_place + offsetof(iphdr, protocol));
    code.give_up_if(BPF_JNE, scratch, IPPROTO_TCP);
    code.load(BPF_H, scratch, packet, ip_place + offsetof(iphdr, frag_off));
    code.compute(BPF_AND, scratch, htons(IP_MF | IP_OFFMASK));
    code.give_up_if(BPF_JNE, scratch, 0);
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.store(BPF_W, key_place, scratch);
    const auto copy = [&code](std::size_t from, std::size_t member) {
        code.copy(BPF_W, packet, from, key_place + static_cast<int>(member));
    };
    copy(ip_place + offsetof(iphdr, saddr), offsetof(FlowKey, source));
    copy(ip_place + offsetof(iphdr, daddr), offsetof(FlowKey, destination));
    copy(tcp_place, offsetof(FlowKey, source_port));
}

// What begins or ends a connection is connection tracking's, and so is all that comes after it.
void end_flow_if_told(Assembler& code, const BpfHash& flows) {
    code.load(BPF_B, scratch, packet, flags_place);
    code.compute(BPF_AND, scratch, begins_or_ends | urgent_flag);
    const std::size_t goes_on = code.jump_if(BPF_JEQ, scratch, 0);
    code.set_table(BPF_REG_1, flows.fd());
    code.stack_address(BPF_REG_2, key_place);
    code.call(BPF_FUNC_map_delete_elem);
    code.give_up();
    code.land(goes_on);
}

// One packet a second goes the ordinary way, so that the kernel sees the connection live.
void give_up_if_time_says_so(Assembler& code) {
    code.call(BPF_FUNC_ktime_get_ns);
    code.move(now, BPF_REG_0);
    code.load(BPF_DW, scratch, way, offsetof(FlowWay, until));
    code.give_up_if_register(BPF_JGT, now, scratch);
    code.load(BPF_DW, scratch, way, offsetof(FlowWay, ordinary_at));
    const std::size_t goes_on = code.place();
    code.add(BPF_JMP | BPF_JLT | BPF_X, now, scratch);
    code.compute(BPF_ADD, now, ordinary_every);
    code.store_at(BPF_DW, way, offsetof(FlowWay, ordinary_at), now);
    code.give_up();
    code.land(goes_on);
}

// As forwarding does: who sends too much is told, a packet at its end is answered.
void give_up_if_too_large_or_old(Assembler& code) {
    code.load_context(scratch, offsetof(__sk_buff, gso_size));
    const std::size_t is_one = code.jump_if(BPF_JEQ, scratch, 0);
    code.load(BPF_B, spare, packet, data_offset_place);
    code.compute(BPF_RSH, spare, 4);
    code.compute(BPF_LSH, spare, 2);
    code.compute_with(BPF_ADD, scratch, spare);
    code.compute(BPF_ADD, scratch, sizeof(iphdr));
    const std::size_t compare = code.jump();
    code.land(is_one);
    code.load_context(scratch, offsetof(__sk_buff, len));
    code.compute(BPF_SUB, scratch, sizeof(ethhdr));
    code.land(compare);
    code.load(BPF_W, spare, way, offsetof(FlowWay, mtu));
    code.give_up_if_register(BPF_JGT, scratch, spare);
    code.load(BPF_B, scratch, packet, ip_place + offsetof(iphdr, ttl));
    code.give_up_if(BPF_JLE, scratch, 1);
}

void fold(Assembler& code, std::uint8_t sum, std::uint8_t carry) {
    for (int i = 0; i < 3; ++i) {
        code.move(carry, sum);
        code.compute(BPF_RSH, carry, 16);
        code.compute(BPF_AND, sum, 0xffff);
        code.compute_with(BPF_ADD, sum, carry);
    }
}

// The new Ethernet and IPv4 headers and ports, on the stack.
void compose_header(Assembler& code) {
    for (std::size_t i = 0; i < 2 * sizeof(FlowWay::mac); i += 2) {
        code.copy(BPF_H, way, offsetof(FlowWay, mac) + i, header_place + static_cast<int>(i));
    }
    code.set(scratch, htons(ETH_P_IP));
    code.store(BPF_H, header_place + static_cast<int>(offsetof(ethhdr, h_proto)), scratch);
    constexpr int ip = header_place + static_cast<int>(ip_place);
    for (std::size_t i = 0; i < offsetof(iphdr, saddr); i += 4) {
        code.copy(BPF_W, packet, ip_place + i, ip + static_cast<int>(i));
    }
    code.copy(BPF_W, way, offsetof(FlowWay, source), ip + static_cast<int>(offsetof(iphdr, saddr)));
    code.copy(
        BPF_W, way, offsetof(FlowWay, destination), ip + static_cast<int>(offsetof(iphdr, daddr)));
    code.copy(
        BPF_W, way, offsetof(FlowWay, source_port), header_place + static_cast<int>(tcp_place));
    code.load(BPF_B, scratch, packet, ip_place + offsetof(iphdr, ttl));
    code.compute(BPF_SUB, scratch, 1);
    code.store(BPF_B, ip + static_cast<int>(offsetof(iphdr, ttl)), scratch);
    code.load(BPF_H, scratch, packet, ip_place + offsetof(iphdr, check));
    code.compute(BPF_XOR, scratch, 0xffff);
    code.load(BPF_W, spare, way, offsetof(FlowWay, address_difference));
    code.compute_with(BPF_ADD, scratch, spare);
    code.compute(BPF_ADD, scratch, static_cast<std::uint16_t>(~htons(0x0100))); // of the TTL
    fold(code, scratch, spare);
    code.compute(BPF_XOR, scratch, 0xffff);
    code.store(BPF_H, ip + static_cast<int>(offsetof(iphdr, check)), scratch);
}

void rewrite_packet(Assembler& code) {
    code.move(BPF_REG_1, context);
    code.set(BPF_REG_2, 0);
    code.stack_address(BPF_REG_3, header_place);
    code.set(BPF_REG_4, header_bytes);
    code.set(BPF_REG_5, 0);
    code.call(BPF_FUNC_skb_store_bytes);
    code.give_up_if(BPF_JNE, BPF_REG_0, 0);
    // These cannot fail: the headers are there, and this packet's alone.
    const auto correct = [&code](std::size_t member, std::int64_t flags) {
        code.load(BPF_W, BPF_REG_4, way, member);
        const std::size_t is_same = code.jump_if(BPF_JEQ, BPF_REG_4, 0);
        code.move(BPF_REG_1, context);
        code.set(BPF_REG_2, tcp_place + offsetof(tcphdr, check));
        code.set(BPF_REG_3, 0);
        code.set(BPF_REG_5, flags);
        code.call(BPF_FUNC_l4_csum_replace);
        code.land(is_same);
    };
    correct(offsetof(FlowWay, address_difference), BPF_F_PSEUDO_HDR);
    correct(offsetof(FlowWay, port_difference), 0);
}

void send_on(Assembler& code) {
    code.load(BPF_W, BPF_REG_1, way, offsetof(FlowWay, interface));
    code.load(BPF_W, BPF_REG_5, way, offsetof(FlowWay, to_peer));
    code.set(BPF_REG_2, 0);
    const std::size_t by_neighbors = code.jump_if(BPF_JEQ, BPF_REG_5, 0);
    code.call(BPF_FUNC_redirect_peer);
    code.leave();
    code.land(by_neighbors);
    code.set(BPF_REG_3, AF_INET);
    code.store(BPF_W, neighbor_place, BPF_REG_3);
    code.load(BPF_W, BPF_REG_3, way, offsetof(FlowWay, next_hop));
    code.store(BPF_W, neighbor_place + 4, BPF_REG_3);
    code.set(BPF_REG_3, 0); // as long as an address of IPv6
    for (int i = 8; i < static_cast<int>(sizeof(bpf_redir_neigh)); i += 4) {
        code.store(BPF_W, neighbor_place + i, BPF_REG_3);
    }
    code.stack_address(BPF_REG_2, neighbor_place);
    code.set(BPF_REG_3, sizeof(bpf_redir_neigh));
    code.set(BPF_REG_4, 0);
    code.call(BPF_FUNC_redirect_neigh);
    code.leave();
}

// r1: the key's words but the first in one, which is put on the stack; its place among the counts,
// too. By Fibonacci hashing, since neighbors among connections differ in a few bits.
void mark_connection(Assembler& code) {
    constexpr std::int64_t golden = 0x9e3779b1;
    code.add(BPF_LDX | BPF_MEM | BPF_W, scratch, BPF_REG_10, key_place + 4);
    for (int i = 8; i < static_cast<int>(sizeof(FlowKey)); i += 4) {
        code.add(BPF_LDX | BPF_MEM | BPF_W, spare, BPF_REG_10, key_place + i);
        code.compute_with(BPF_XOR, scratch, spare);
    }
    code.store(BPF_W, mark_place, scratch);
    code.add(BPF_ALU | BPF_MUL | BPF_K, scratch, 0, 0, golden);
    code.add(BPF_ALU | BPF_RSH | BPF_K, scratch, 0, 0, 32 - counted_bits);
    code.store(BPF_W, count_place, scratch);
}

void tell_of_long_connection(Assembler& code, const FlowNews& news) {
    mark_connection(code);
    code.find(news.counts, count_place);
    const std::size_t has_none = code.jump_if(BPF_JEQ, BPF_REG_0, 0);
    code.add(BPF_LDX | BPF_MEM | BPF_W, scratch, BPF_REG_10, mark_place);
    code.load(BPF_W, spare, BPF_REG_0, offsetof(FlowCount, mark));
    code.load(BPF_W, BPF_REG_3, BPF_REG_0, offsetof(FlowCount, packets));
    const std::size_t is_counted = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_X, scratch, spare);
    code.store_at(BPF_W, BPF_REG_0, offsetof(FlowCount, mark), scratch);
    code.set(BPF_REG_3, 0);
    code.land(is_counted);
    code.compute(BPF_ADD, BPF_REG_3, 1);
    code.store_at(BPF_W, BPF_REG_0, offsetof(FlowCount, packets), BPF_REG_3);
    const std::size_t is_long = code.jump_if(BPF_JEQ, BPF_REG_3, told_first);
    code.compute(BPF_AND, BPF_REG_3, told_again - 1);
    const std::size_t is_not_told = code.jump_if(BPF_JNE, BPF_REG_3, 0);
    code.land(is_long);
    code.set_table(BPF_REG_1, news.ring.fd());
    code.stack_address(BPF_REG_2, key_place);
    code.set(BPF_REG_3, sizeof(FlowKey));
    code.set(BPF_REG_4, 0);
    code.call(BPF_FUNC_ringbuf_output);
    code.land(is_not_told);
    code.land(has_none);
}

std::uint32_t word_of(const IpAddress& address) {
    return htonl(address.v4());
}

IpAddress address_of(std::uint32_t word) {
    return IpAddress::from_v4(ntohl(word));
}

std::uint32_t ports_word(const FlowTuple& tuple) {
    const std::array ports{htons(tuple.source_port), htons(tuple.destination_port)};
    std::uint32_t word = 0;
    std::memcpy(&word, ports.data(), sizeof word);
    return word;
}

std::uint32_t folded(std::uint64_t sum, unsigned bits) {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    while (sum > mask) {
        sum = (sum & mask) + (sum >> bits);
    }
    return static_cast<std::uint32_t>(sum);
}

std::uint64_t difference(std::uint32_t from, std::uint32_t to) {
    return from == to ? 0 : std::uint64_t{static_cast<std::uint32_t>(~from)} + to;
}

} // namespace

bool FlowWay::leads_like(const FlowWay& that) const {
    FlowWay same_times = that;
    same_times.ordinary_at = ordinary_at;
    same_times.until = until;
    return std::memcmp(this, &same_times, sizeof same_times) == 0;
}

FlowWay way_between(const FlowTuple& from, const FlowTuple& to) {
    const std::uint64_t addresses = difference(word_of(from.source), word_of(to.source)) +
                                    difference(word_of(from.destination), word_of(to.destination));
    const std::uint64_t ports = difference(ports_word(from), ports_word(to));
    return {
        .source = word_of(to.source),
        .destination = word_of(to.destination),
        .source_port = htons(to.source_port),
        .destination_port = htons(to.destination_port),
        .address_difference = folded(addresses, 32),
        .port_difference = folded(ports, 32)};
}

FlowKey flow_key(int interface, const FlowTuple& tuple) {
    return {
        .interface = static_cast<std::uint32_t>(interface),
        .source = word_of(tuple.source),
        .destination = word_of(tuple.destination),
        .source_port = htons(tuple.source_port),
        .destination_port = htons(tuple.destination_port)};
}

FlowTuple flow_tuple(const FlowKey& key) {
    return {
        .source = address_of(key.source),
        .destination = address_of(key.destination),
        .source_port = ntohs(key.source_port),
        .destination_port = ntohs(key.destination_port)};
}

Result<FlowNews> FlowNews::create(std::size_t ring_bytes) {
    kernel::BpfRing ring = TRY(kernel::BpfRing::create("berth_heard_of", ring_bytes));
    UniqueFd counts =
        TRY(kernel::make_bpf_notes("berth_counts", sizeof(FlowCount), 1U << counted_bits));
    return FlowNews{.ring = std::move(ring), .counts = std::move(counts)};
}

std::vector<bpf_insn> flow_program(const BpfHash& flows, const FlowNews* news) {
    Assembler code;
    code.move(context, BPF_REG_1);
    read_packet(code);
    end_flow_if_told(code, flows);
    code.set_table(BPF_REG_1, flows.fd());
    code.stack_address(BPF_REG_2, key_place);
    code.call(BPF_FUNC_map_lookup_elem);
    const std::size_t is_unknown = code.jump_if(BPF_JEQ, BPF_REG_0, 0);
    code.move(way, BPF_REG_0);
    give_up_if_time_says_so(code);
    give_up_if_too_large_or_old(code);
    compose_header(code);
    rewrite_packet(code);
    send_on(code);
    code.land(is_unknown);
    if (news != nullptr) {
        tell_of_long_connection(code, *news);
    }
    return code.finish(news != nullptr ? TC_ACT_OK : TC_ACT_UNSPEC);
}

} // namespace berth::network
