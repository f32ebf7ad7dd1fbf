// SPDX-License-Identifier: Apache-2.0
// bpf-helpers(7): bpf_redirect_peer, bpf_redirect_neigh, bpf_l4_csum_replace, bpf_csum_update;
// RFC 1624. The program is one after the other for both versions of IP, from the same source: what
// differs between them is in Version4, Version6 and the functions that take these.
#include "network/flow_program.h"

#include "network/bpf_assembler.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::IpFamily;

constexpr auto context = BPF_REG_6;
constexpr auto way = BPF_REG_7; // a FlowWayRecord
constexpr auto now = BPF_REG_8;
constexpr auto sum_flags = BPF_REG_8; // when the time is not needed any more
constexpr auto packet = BPF_REG_9;    // its Ethernet header
constexpr auto scratch = BPF_REG_1;
constexpr auto spare = BPF_REG_2;

constexpr std::size_t word = sizeof(std::uint32_t);
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

struct Version4 {
    using Address = Ipv4Word;
    static constexpr IpFamily family = IpFamily::V4;
    static constexpr int address_family = AF_INET;
    static constexpr int ether_type = ETH_P_IP;
    static constexpr std::size_t header_bytes = sizeof(iphdr); // without options
    static constexpr std::size_t protocol = offsetof(iphdr, protocol);
    static constexpr std::size_t hops = offsetof(iphdr, ttl);
    static constexpr std::size_t source = offsetof(iphdr, saddr);
    static constexpr std::size_t destination = offsetof(iphdr, daddr);
};

struct Version6 {
    using Address = Ipv6Words;
    static constexpr IpFamily family = IpFamily::V6;
    static constexpr int address_family = AF_INET6;
    static constexpr int ether_type = ETH_P_IPV6;
    static constexpr std::size_t header_bytes = sizeof(ip6_hdr); // without extension headers
    static constexpr std::size_t protocol = offsetof(ip6_hdr, ip6_nxt);
    static constexpr std::size_t hops = offsetof(ip6_hdr, ip6_hlim);
    static constexpr std::size_t source = offsetof(ip6_hdr, ip6_src);
    static constexpr std::size_t destination = offsetof(ip6_hdr, ip6_dst);
};

// Of packets, from the Ethernet header on, and of the program's stack, from its frame pointer.
template <class Version>
struct Layout {
    using Key = FlowKeyRecord<typename Version::Address>;
    using Way = FlowWayRecord<typename Version::Address>;
    static constexpr std::size_t ip = sizeof(ethhdr);
    static constexpr std::size_t tcp = ip + Version::header_bytes;
    static constexpr std::size_t tcp_flags = tcp + 13;
    static constexpr std::size_t tcp_data_offset = tcp + 12;
    static constexpr std::size_t tcp_check = tcp + offsetof(tcphdr, check);
    // Written anew: as far as the ports, or as the checksum.
    static constexpr std::size_t up_to_ports = tcp + word;
    static constexpr std::size_t up_to_check = tcp_check + sizeof(tcphdr::check);

    static constexpr int key = -static_cast<int>(sizeof(Key));
    static constexpr int header = key - 2 - static_cast<int>(up_to_check);
    static constexpr int neighbor = header - 2 - static_cast<int>(sizeof(bpf_redir_neigh));
    static constexpr int tick = neighbor - 4;
    static constexpr int mark = neighbor - 8; // of packets that are in no flow
    static constexpr int count = neighbor - 12;
    // Words on the stack must be aligned.
    static_assert((header + static_cast<int>(ip)) % 4 == 0 && neighbor % 4 == 0);
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

    void load_stack(std::uint8_t to, int offset) {
        add(BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_10, offset);
    }

    // From the packet, or from the way, to the stack.
    void copy(int size, std::uint8_t base, std::size_t offset, std::int64_t stack_offset) {
        load(size, scratch, base, offset);
        store(size, stack_offset, scratch);
    }

    void
    copy_words(std::uint8_t base, std::size_t offset, std::int64_t stack_offset, std::size_t size) {
        for (std::size_t i = 0; i < size; i += word) {
            copy(BPF_W, base, offset + i, stack_offset + static_cast<std::int64_t>(i));
        }
    }
};

void give_up_unless_plain_tcp(Assembler& code, Version4) {
    constexpr std::int64_t plain_header = 0x45; // version 4, no options
    constexpr std::size_t ip = Layout<Version4>::ip;
    code.load(BPF_B, scratch, packet, ip);
    code.give_up_if(BPF_JNE, scratch, plain_header);
    code.load(BPF_B, scratch, packet, ip + Version4::protocol);
    code.give_up_if(BPF_JNE, scratch, IPPROTO_TCP);
    code.load(BPF_H, scratch, packet, ip + offsetof(iphdr, frag_off));
    code.compute(BPF_AND, scratch, htons(IP_MF | IP_OFFMASK));
    code.give_up_if(BPF_JNE, scratch, 0);
}

// Fragments have an extension header.
void give_up_unless_plain_tcp(Assembler& code, Version6) {
    constexpr std::size_t ip = Layout<Version6>::ip;
    code.load(BPF_B, scratch, packet, ip);
    code.compute(BPF_RSH, scratch, 4);
    code.give_up_if(BPF_JNE, scratch, 6);
    code.load(BPF_B, scratch, packet, ip + Version6::protocol);
    code.give_up_if(BPF_JNE, scratch, IPPROTO_TCP);
}

// Goes on for a whole TCP segment in IP without options, and notes its key.
template <class Version>
void read_packet(Assembler& code) {
    using Places = Layout<Version>;
    using Key = typename Places::Key;
    code.load_context(packet, offsetof(__sk_buff, data));
    code.load_context(BPF_REG_3, offsetof(__sk_buff, data_end));
    code.move(BPF_REG_4, packet);
    code.compute(BPF_ADD, BPF_REG_4, Places::tcp + sizeof(tcphdr));
    code.give_up_if_register(BPF_JGT, BPF_REG_4, BPF_REG_3);
    give_up_unless_plain_tcp(code, Version());
    code.load_context(scratch, offsetof(__sk_buff, ifindex));
    code.store(BPF_W, Places::key, scratch);
    const auto copy = [&code](std::size_t from, std::size_t member, std::size_t size) {
        code.copy_words(packet, from, Places::key + static_cast<int>(member), size);
    };
    copy(Places::ip + Version::source, offsetof(Key, source), sizeof(Key::source));
    copy(Places::ip + Version::destination, offsetof(Key, destination), sizeof(Key::destination));
    copy(Places::tcp, offsetof(Key, source_port), word);
}

// What begins or ends a connection is connection tracking's, and so is all that comes after it.
template <class Version>
void end_flow_if_told(Assembler& code, const BpfHash& flows) {
    code.load(BPF_B, scratch, packet, Layout<Version>::tcp_flags);
    code.compute(BPF_AND, scratch, begins_or_ends | urgent_flag);
    const std::size_t goes_on = code.jump_if(BPF_JEQ, scratch, 0);
    code.set_table(BPF_REG_1, flows.fd());
    code.stack_address(BPF_REG_2, Layout<Version>::key);
    code.call(BPF_FUNC_map_delete_elem);
    code.give_up();
    code.land(goes_on);
}

// One packet a second goes the ordinary way, so that the kernel sees the connection live. The time
// is that of the last tick. While all goes on, it is asked for once in each tick: their number is a
// load, the time a function.
template <class Version>
void give_up_if_time_says_so(Assembler& code) {
    using Places = Layout<Version>;
    using Way = typename Places::Way;
    code.call(BPF_FUNC_jiffies64);
    code.store(BPF_W, Places::tick, BPF_REG_0);
    code.load_stack(spare, Places::tick);
    code.load(BPF_W, scratch, way, offsetof(Way, passed_in));
    const std::size_t has_passed = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_X, scratch, spare);
    code.call(BPF_FUNC_ktime_get_coarse_ns);
    code.move(now, BPF_REG_0);
    code.load(BPF_DW, scratch, way, offsetof(Way, until));
    code.give_up_if_register(BPF_JGT, now, scratch);
    code.load(BPF_DW, scratch, way, offsetof(Way, ordinary_at));
    const std::size_t goes_on = code.place();
    code.add(BPF_JMP | BPF_JLT | BPF_X, now, scratch);
    code.compute(BPF_ADD, now, ordinary_every);
    code.store_at(BPF_DW, way, offsetof(Way, ordinary_at), now);
    code.give_up();
    code.land(goes_on);
    code.load_stack(spare, Places::tick);
    code.store_at(BPF_W, way, offsetof(Way, passed_in), spare);
    code.land(has_passed);
}

// As forwarding does: who sends too much is told, a packet at its end is answered.
template <class Version>
void give_up_if_too_large_or_old(Assembler& code) {
    using Places = Layout<Version>;
    code.load_context(scratch, offsetof(__sk_buff, gso_size));
    const std::size_t is_one = code.jump_if(BPF_JEQ, scratch, 0);
    code.load(BPF_B, spare, packet, Places::tcp_data_offset);
    code.compute(BPF_RSH, spare, 4);
    code.compute(BPF_LSH, spare, 2);
    code.compute_with(BPF_ADD, scratch, spare);
    code.compute(BPF_ADD, scratch, Version::header_bytes);
    const std::size_t compare = code.jump();
    code.land(is_one);
    code.load_context(scratch, offsetof(__sk_buff, len));
    code.compute(BPF_SUB, scratch, sizeof(ethhdr));
    code.land(compare);
    code.load(BPF_H, spare, way, offsetof(typename Places::Way, mtu));
    code.give_up_if_register(BPF_JGT, scratch, spare);
    code.load(BPF_B, scratch, packet, Places::ip + Version::hops);
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

// The header's own checksum, for the addresses and the TTL.
void compose_header_sum(Assembler& code, Version4) {
    using Places = Layout<Version4>;
    constexpr std::size_t check = Places::ip + offsetof(iphdr, check);
    code.load(BPF_H, scratch, packet, check);
    code.compute(BPF_XOR, scratch, 0xffff);
    code.load(BPF_W, spare, way, offsetof(Places::Way, address_difference));
    code.compute_with(BPF_ADD, scratch, spare);
    code.compute(BPF_ADD, scratch, static_cast<std::uint16_t>(~htons(0x0100)));
    fold(code, scratch, spare);
    code.compute(BPF_XOR, scratch, 0xffff);
    code.store(BPF_H, Places::header + static_cast<int>(check), scratch);
}

void compose_header_sum(Assembler& /*code*/, Version6) {}

// The new Ethernet and IP headers and ports, on the stack.
template <class Version>
void compose_header(Assembler& code) {
    using Places = Layout<Version>;
    using Way = typename Places::Way;
    for (std::size_t i = 0; i < 2 * sizeof(Way::mac); i += 2) {
        code.copy(BPF_H, way, offsetof(Way, mac) + i, Places::header + static_cast<int>(i));
    }
    code.set(scratch, htons(Version::ether_type));
    code.store(BPF_H, Places::header + static_cast<int>(offsetof(ethhdr, h_proto)), scratch);
    constexpr int ip = Places::header + static_cast<int>(Places::ip);
    code.copy_words(packet, Places::ip, ip, Version::source);
    const auto copy = [&code](std::size_t member, std::size_t to, std::size_t size) {
        code.copy_words(way, member, Places::header + static_cast<int>(to), size);
    };
    copy(offsetof(Way, source), Places::ip + Version::source, sizeof(Way::source));
    copy(offsetof(Way, destination), Places::ip + Version::destination, sizeof(Way::destination));
    copy(offsetof(Way, source_port), Places::tcp, word);
    code.load(BPF_B, scratch, packet, Places::ip + Version::hops);
    code.compute(BPF_SUB, scratch, 1);
    code.store(BPF_B, ip + static_cast<int>(Version::hops), scratch);
    compose_header_sum(code, Version());
}

void correct_sum_of_device(Assembler& code, Version4) {
    code.set(sum_flags, BPF_F_PSEUDO_HDR);
}

// A device may have summed up all from the IP header on (CHECKSUM_COMPLETE). What changes within
// the header of IPv4, its own checksum makes up for; in IPv6 the TCP checksum does for the
// addresses, and nothing for the hop limit. BPF_F_PSEUDO_HDR would change such a sum by the
// addresses, as IPv4 needs it (BPF_F_IPV6, which does not, is of Linux 6.16): without it the TCP
// checksum alone is changed. bpf_csum_update fails where there is no such sum.
void correct_sum_of_device(Assembler& code, Version6) {
    code.move(BPF_REG_1, context);
    code.set(BPF_REG_2, static_cast<std::uint16_t>(~htons(0x0001)));
    code.call(BPF_FUNC_csum_update);
    code.set(sum_flags, 0);
    const std::size_t has_sum = code.jump_if(BPF_JSGE, BPF_REG_0, 0);
    code.set(sum_flags, BPF_F_PSEUDO_HDR);
    code.land(has_sum);
}

template <class Version>
void write_header(Assembler& code, std::size_t size) {
    code.move(BPF_REG_1, context);
    code.set(BPF_REG_2, 0);
    code.stack_address(BPF_REG_3, Layout<Version>::header);
    code.set(BPF_REG_4, static_cast<std::int64_t>(size));
    code.set(BPF_REG_5, 0);
    code.call(BPF_FUNC_skb_store_bytes);
    code.give_up_if(BPF_JNE, BPF_REG_0, 0);
}

// One segment: its checksum may be whole, or the device's.
template <class Version>
void rewrite_segment(Assembler& code) {
    using Places = Layout<Version>;
    using Way = typename Places::Way;
    write_header<Version>(code, Places::up_to_ports);
    correct_sum_of_device(code, Version());
    // These cannot fail: the headers are there, and this packet's alone.
    const auto correct = [&code](std::size_t member, const auto& set_flags) {
        code.load(BPF_W, BPF_REG_4, way, member);
        const std::size_t is_same = code.jump_if(BPF_JEQ, BPF_REG_4, 0);
        code.move(BPF_REG_1, context);
        code.set(BPF_REG_2, Places::tcp_check);
        code.set(BPF_REG_3, 0);
        set_flags();
        code.call(BPF_FUNC_l4_csum_replace);
        code.land(is_same);
    };
    correct(offsetof(Way, address_difference), [&] { code.move(BPF_REG_5, sum_flags); });
    correct(offsetof(Way, port_difference), [&] { code.set(BPF_REG_5, 0); });
}

// Several segments in one packet have their checksums when they are sent, by one of the addresses
// alone that stands in their place (CHECKSUM_PARTIAL). What a device has put together may have
// another one, at which nobody looks: segments get new ones in any case.
template <class Version>
void rewrite_segments(Assembler& code) {
    using Places = Layout<Version>;
    constexpr auto on_stack = [](std::size_t place) {
        return Places::header + static_cast<int>(place);
    };
    constexpr std::size_t behind_ports = Places::up_to_ports;
    code.copy_words(packet, behind_ports, on_stack(behind_ports), Places::tcp_check - behind_ports);
    code.load(BPF_H, scratch, packet, Places::tcp_check);
    code.load(BPF_W, spare, way, offsetof(typename Places::Way, address_difference));
    code.compute_with(BPF_ADD, scratch, spare);
    fold(code, scratch, spare);
    code.store(BPF_H, on_stack(Places::tcp_check), scratch);
    write_header<Version>(code, Places::up_to_check);
}

template <class Version>
void rewrite_packet(Assembler& code) {
    code.load_context(scratch, offsetof(__sk_buff, gso_size));
    const std::size_t is_one = code.jump_if(BPF_JEQ, scratch, 0);
    rewrite_segments<Version>(code);
    const std::size_t is_rewritten = code.jump();
    code.land(is_one);
    rewrite_segment<Version>(code);
    code.land(is_rewritten);
}

template <class Version>
void send_on(Assembler& code) {
    using Places = Layout<Version>;
    using Way = typename Places::Way;
    code.load(BPF_W, BPF_REG_1, way, offsetof(Way, interface));
    code.load(BPF_H, BPF_REG_5, way, offsetof(Way, to_peer));
    code.set(BPF_REG_2, 0);
    const std::size_t by_neighbors = code.jump_if(BPF_JEQ, BPF_REG_5, 0);
    code.call(BPF_FUNC_redirect_peer);
    code.leave();
    code.land(by_neighbors);
    constexpr int place = Places::neighbor;
    constexpr int next_hop = place + static_cast<int>(word);
    constexpr int known = static_cast<int>(sizeof(Way::next_hop));
    for (int i = 0; i < known; i += static_cast<int>(word)) {
        code.load(BPF_W, BPF_REG_3, way, offsetof(Way, next_hop) + static_cast<std::size_t>(i));
        code.store(BPF_W, next_hop + i, BPF_REG_3);
    }
    code.set(BPF_REG_3, 0); // as long as an address of IPv6
    for (int end = next_hop + known; end < place + static_cast<int>(sizeof(bpf_redir_neigh));
         end += static_cast<int>(word)) {
        code.store(BPF_W, end, BPF_REG_3);
    }
    code.set(BPF_REG_3, Version::address_family);
    code.store(BPF_W, place, BPF_REG_3);
    code.stack_address(BPF_REG_2, place);
    code.set(BPF_REG_3, sizeof(bpf_redir_neigh));
    code.set(BPF_REG_4, 0);
    code.call(BPF_FUNC_redirect_neigh);
    code.leave();
}

// r1: the key's words but the first in one, which is put on the stack; its place among the counts,
// too. By Fibonacci hashing, since neighbors among connections differ in a few bits.
template <class Version>
void mark_connection(Assembler& code) {
    using Places = Layout<Version>;
    constexpr std::int64_t golden = 0x9e3779b1;
    constexpr int first = sizeof(Places::Key::interface);
    code.load_stack(scratch, Places::key + first);
    for (int i = 2 * first; i < static_cast<int>(sizeof(typename Places::Key)); i += first) {
        code.load_stack(spare, Places::key + i);
        code.compute_with(BPF_XOR, scratch, spare);
    }
    code.store(BPF_W, Places::mark, scratch);
    code.add(BPF_ALU | BPF_MUL | BPF_K, scratch, 0, 0, golden);
    code.add(BPF_ALU | BPF_RSH | BPF_K, scratch, 0, 0, 32 - counted_bits);
    code.store(BPF_W, Places::count, scratch);
}

template <class Version>
void tell_of_long_connection(Assembler& code, const FlowNews& news) {
    using Places = Layout<Version>;
    constexpr auto packets = BPF_REG_3;
    mark_connection<Version>(code);
    code.find(news.counts, Places::count);
    const std::size_t has_none = code.jump_if(BPF_JEQ, BPF_REG_0, 0);
    code.load_stack(scratch, Places::mark);
    code.load(BPF_W, spare, BPF_REG_0, offsetof(FlowCount, mark));
    code.load(BPF_W, packets, BPF_REG_0, offsetof(FlowCount, packets));
    const std::size_t is_counted = code.place();
    code.add(BPF_JMP | BPF_JEQ | BPF_X, scratch, spare);
    code.store_at(BPF_W, BPF_REG_0, offsetof(FlowCount, mark), scratch);
    code.set(packets, 0);
    code.land(is_counted);
    code.compute(BPF_ADD, packets, 1);
    code.store_at(BPF_W, BPF_REG_0, offsetof(FlowCount, packets), packets);
    const std::size_t is_long = code.jump_if(BPF_JEQ, packets, told_first);
    code.compute(BPF_AND, packets, told_again - 1);
    const std::size_t is_not_told = code.jump_if(BPF_JNE, packets, 0);
    code.land(is_long);
    code.set_table(BPF_REG_1, news.ring.fd());
    code.stack_address(BPF_REG_2, Places::key);
    code.set(BPF_REG_3, sizeof(typename Places::Key));
    code.set(BPF_REG_4, 0);
    code.call(BPF_FUNC_ringbuf_output);
    code.land(is_not_told);
    code.land(has_none);
}

// What to do with a packet of that version. Comes to no end of its own.
template <class Version>
void lead(Assembler& code, const FlowTable& table, const FlowNews* news) {
    using Places = Layout<Version>;
    const BpfHash& flows = table.hash(Version::family);
    read_packet<Version>(code);
    end_flow_if_told<Version>(code, flows);
    code.set_table(BPF_REG_1, flows.fd());
    code.stack_address(BPF_REG_2, Places::key);
    code.call(BPF_FUNC_map_lookup_elem);
    const std::size_t is_unknown = code.jump_if(BPF_JEQ, BPF_REG_0, 0);
    code.move(way, BPF_REG_0);
    give_up_if_time_says_so<Version>(code);
    give_up_if_too_large_or_old<Version>(code);
    compose_header<Version>(code);
    rewrite_packet<Version>(code);
    send_on<Version>(code);
    code.land(is_unknown);
    if (news != nullptr) {
        tell_of_long_connection<Version>(code, *news);
    }
    code.give_up();
}

} // namespace

Result<FlowNews> FlowNews::create(std::size_t ring_bytes) {
    kernel::BpfRing ring = TRY(kernel::BpfRing::create("berth_heard_of", ring_bytes));
    UniqueFd counts =
        TRY(kernel::make_bpf_notes("berth_counts", sizeof(FlowCount), 1U << counted_bits));
    return FlowNews{.ring = std::move(ring), .counts = std::move(counts)};
}

std::vector<bpf_insn> flow_program(const FlowTable& flows, const FlowNews* news) {
    Assembler code;
    code.move(context, BPF_REG_1);
    code.load_context(scratch, offsetof(__sk_buff, vlan_present));
    code.give_up_if(BPF_JNE, scratch, 0);
    code.load_context(scratch, offsetof(__sk_buff, protocol));
    const std::size_t is_other = code.jump_if(BPF_JNE, scratch, htons(ETH_P_IP));
    lead<Version4>(code, flows, news);
    code.land(is_other);
    code.give_up_if(BPF_JNE, scratch, htons(ETH_P_IPV6));
    lead<Version6>(code, flows, news);
    return news != nullptr ? code.finish_or_hand_up(TC_ACT_OK, context)
                           : code.finish(TC_ACT_UNSPEC);
}

} // namespace berth::network
