// SPDX-License-Identifier: Apache-2.0
// The program by itself, packet by packet (BPF_PROG_TEST_RUN): what it changes to the last bit, and
// which packets it leaves alone.
#include "network/flow_program.h"
#include "network/flow_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::IpAddress;
using kernel::IpFamily;
using kernel::MacAddress;
using Bytes = std::vector<std::uint8_t>;

constexpr int loopback_index = 1;                     // lo, which the packets come in by
constexpr std::uint64_t one_second = 1'000'000'000;   // of nanoseconds
constexpr std::uint64_t a_tick_and_more = 20'000'000; // programs ask for the time of the last one
constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t tcp_bytes = 20;

// The further it is from the fields' defaults, the better it is seen what becomes of them.
struct Packet {
    MacAddress to{{2, 0, 0, 0, 0, 1}};
    MacAddress from{{2, 0, 0, 0, 0, 2}};
    kernel::FlowTuple tuple{};
    std::uint8_t hops = 61;
    std::uint8_t traffic_class = 0x2e;
    std::uint8_t flags = TH_ACK | TH_PUSH;
    std::string payload = "some bytes, and an odd number of them";
};

void put_u16(Bytes& bytes, std::size_t number) {
    bytes.push_back(static_cast<std::uint8_t>(number >> 8U & 0xffU));
    bytes.push_back(static_cast<std::uint8_t>(number & 0xffU));
}

void put(Bytes& bytes, std::span<const std::uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
}

// RFC 1071.
std::uint16_t checksum(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8U : std::uint32_t{bytes[i]};
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return static_cast<std::uint16_t>(~sum);
}

void set_u16(Bytes& bytes, std::size_t place, std::uint16_t number) {
    bytes[place] = static_cast<std::uint8_t>(number >> 8U);
    bytes[place + 1] = static_cast<std::uint8_t>(number & 0xffU);
}

Bytes tcp_segment(const Packet& packet) {
    Bytes segment;
    put_u16(segment, packet.tuple.source_port);
    put_u16(segment, packet.tuple.destination_port);
    put(segment, std::array<std::uint8_t, 8>{1, 2, 3, 4, 5, 6, 7, 8}); // sequence numbers
    segment.push_back(tcp_bytes / 4 << 4U);
    segment.push_back(packet.flags);
    put_u16(segment, 500); // window
    put_u16(segment, 0);
    put_u16(segment, 0);
    segment.insert(segment.end(), packet.payload.begin(), packet.payload.end());
    Bytes pseudo;
    put(pseudo, packet.tuple.source.bytes());
    put(pseudo, packet.tuple.destination.bytes());
    put_u16(pseudo, segment.size());
    put_u16(pseudo, IPPROTO_TCP);
    put(pseudo, segment);
    set_u16(segment, 16, checksum(pseudo));
    return segment;
}

Bytes ip_header(const Packet& packet, std::size_t payload) {
    Bytes header;
    if (packet.tuple.source.is_v4()) {
        header = {0x45, packet.traffic_class};
        put_u16(header, 20 + payload);
        put(header, std::array<std::uint8_t, 4>{0x12, 0x34, 0x40, 0}); // id, "don't fragment"
        header.push_back(packet.hops);
        header.push_back(IPPROTO_TCP);
        put_u16(header, 0);
    } else {
        header = {
            static_cast<std::uint8_t>(0x60 | packet.traffic_class >> 4U),
            static_cast<std::uint8_t>(packet.traffic_class << 4U | 0xaU),
            0xbc,
            0xde}; // flow label abcde
        put_u16(header, payload);
        header.push_back(IPPROTO_TCP);
        header.push_back(packet.hops);
    }
    put(header, packet.tuple.source.bytes());
    put(header, packet.tuple.destination.bytes());
    if (packet.tuple.source.is_v4()) {
        set_u16(header, 10, checksum(header));
    }
    return header;
}

Bytes frame_of(const Packet& packet) {
    const Bytes segment = tcp_segment(packet);
    Bytes frame;
    put(frame, packet.to.bytes);
    put(frame, packet.from.bytes);
    put_u16(frame, packet.tuple.source.is_v4() ? ETH_P_IP : ETH_P_IPV6);
    put(frame, ip_header(packet, segment.size()));
    put(frame, segment);
    return frame;
}

std::uint64_t monotonic_now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * one_second +
           static_cast<std::uint64_t>(time.tv_nsec);
}

struct Outcome {
    std::uint32_t answer = 0;
    Bytes frame;
    bool refused = false; // by the kernel: it does not know the flag
};

struct Circumstances {
    std::uint32_t gso_size = 0;
    std::uint32_t flags = 0;
};

class FlowProgram : public testing::TestWithParam<IpFamily> {
  protected:
    // The packets of a connection to a published port, in a network namespace of the test's own.
    void in_scene(const std::function<void()>& body) {
        in_new_network([&] {
            table_.emplace(FlowTable::create(8).value());
            program_ = kernel::load_bpf_program(
                           BPF_PROG_TYPE_SCHED_CLS, "test_flows", flow_program(*table_, nullptr))
                           .value();
            enter(direction());
            body();
        });
    }

    bool v4() const { return GetParam() == IpFamily::V4; }

    std::size_t header_bytes() const { return v4() ? 20 : 40; }

    kernel::FlowTuple tuple(
        const char* source,
        const char* destination,
        std::uint16_t source_port,
        std::uint16_t destination_port) const {
        return {
            .source = *IpAddress::parse(
                (v4() ? "198.51.100." : "2001:db8:1:2:fedc:ba98:7654:") + std::string(source)),
            .destination = *IpAddress::parse(
                (v4() ? "172.17.0." : "fd00:ffff:fffe:3::") + std::string(destination)),
            .source_port = source_port,
            .destination_port = destination_port};
    }

    FlowDirection direction() const {
        return {
            .key = {.interface = loopback_index, .packets = tuple("7", "1", 40001, 8080)},
            .way =
                {.packets = tuple("7", "22", 40001, 80),
                 .interface = loopback_index,
                 .to_peer = true,
                 .mtu = 1500,
                 .mac = {{2, 0x42, 3, 4, 5, 6}},
                 .sender_mac = {{2, 0x42, 7, 8, 9, 10}}},
            .times = {
                .ordinary_at = monotonic_now() + 60 * one_second,
                .until = monotonic_now() + 120 * one_second}};
    }

    void enter(const FlowDirection& direction) { EXPECT_TRUE(table_->put(direction).ok()); }

    Packet arriving() const { return {.tuple = direction().key.packets}; }

    Outcome run(Bytes frame, const Circumstances& circumstances = {}) const {
        Outcome outcome{.frame = Bytes(frame.size())};
        __sk_buff about{};
        about.ifindex = loopback_index;
        about.gso_size = circumstances.gso_size;
        bpf_attr attributes{};
        attributes.test.prog_fd = static_cast<std::uint32_t>(program_.get());
        attributes.test.data_in = reinterpret_cast<std::uintptr_t>(frame.data());
        attributes.test.data_size_in = static_cast<std::uint32_t>(frame.size());
        attributes.test.data_out = reinterpret_cast<std::uintptr_t>(outcome.frame.data());
        attributes.test.data_size_out = static_cast<std::uint32_t>(frame.size());
        attributes.test.ctx_in = reinterpret_cast<std::uintptr_t>(&about);
        attributes.test.ctx_size_in = sizeof about;
        attributes.test.flags = circumstances.flags;
        const long done = kernel::bpf_call(BPF_PROG_TEST_RUN, attributes);
        outcome.refused = done != 0 && errno == EINVAL && circumstances.flags != 0;
        EXPECT_TRUE(done == 0 || outcome.refused) << std::strerror(errno);
        outcome.answer = attributes.test.retval;
        return outcome;
    }

    bool is_led(const Bytes& frame, const Circumstances& circumstances = {}) const {
        const Outcome outcome = run(frame, circumstances);
        const bool led = outcome.answer == TC_ACT_REDIRECT;
        EXPECT_TRUE(led || outcome.answer == static_cast<std::uint32_t>(TC_ACT_UNSPEC));
        EXPECT_TRUE(led || outcome.frame == frame) << "left alone, and changed";
        return led;
    }

    bool is_led(const Packet& packet) const { return is_led(frame_of(packet)); }

    // The same packet as the receiver shall have it, its checksums made anew.
    Bytes led(const Packet& packet, const FlowDirection& direction) const {
        Packet then = packet;
        then.to = direction.way.mac;
        then.from = direction.way.sender_mac;
        then.tuple = direction.way.packets;
        --then.hops;
        return frame_of(then);
    }

    std::optional<FlowTable> table_;
    UniqueFd program_;
};

INSTANTIATE_TEST_SUITE_P(
    BothVersions, FlowProgram, testing::Values(IpFamily::V4, IpFamily::V6), version_name);

TEST_P(FlowProgram, ChangesWhatAReceiverSeesAndNothingElse) {
    in_scene([&] {
        for (const std::string payload : {"", "a", "some bytes, and an odd number of them"}) {
            Packet packet = arriving();
            packet.payload = payload;
            const Outcome outcome = run(frame_of(packet));
            EXPECT_EQ(outcome.answer, static_cast<std::uint32_t>(TC_ACT_REDIRECT));
            EXPECT_EQ(outcome.frame, led(packet, direction())) << payload;
        }
    });
}

TEST_P(FlowProgram, TranslatesEachPartOfATuple) {
    in_scene([&] {
        const std::array ways{
            tuple("7", "1", 40001, 8080), // plainly routed
            tuple("9", "1", 40001, 8080),
            tuple("7", "1", 1, 8080),
            tuple("99", "2", 65535, 80),
            tuple("7", "1", 8080, 40001)}; // the sum of both stays
        for (const kernel::FlowTuple& to : ways) {
            FlowDirection changed = direction();
            changed.way.packets = to;
            enter(changed);
            EXPECT_EQ(run(frame_of(arriving())).frame, led(arriving(), changed));
        }
    });
}

// Neighbors fill in the Ethernet header.
TEST_P(FlowProgram, SendsToNeighborsToo) {
    in_scene([&] {
        FlowDirection out = direction();
        out.way.to_peer = false;
        out.way.next_hop = out.way.packets.destination;
        out.way.mac = {};
        out.way.sender_mac = {};
        enter(out);
        const Outcome outcome = run(frame_of(arriving()));
        EXPECT_EQ(outcome.answer, static_cast<std::uint32_t>(TC_ACT_REDIRECT));
        EXPECT_EQ(outcome.frame, led(arriving(), out));
    });
}

// Of a device that has summed up the whole packet: the kernel compares both after the run.
TEST_P(FlowProgram, KeepsTheSumOfADevice) {
    in_scene([&] {
        constexpr std::uint32_t summed_up = 1U << 2U; // BPF_F_TEST_SKB_CHECKSUM_COMPLETE
        FlowDirection routed = direction();
        routed.way.packets = routed.key.packets;
        for (const FlowDirection& way : {direction(), routed}) {
            enter(way);
            const Outcome outcome = run(frame_of(arriving()), {.flags = summed_up});
            if (outcome.refused) {
                GTEST_SKIP() << "the kernel cannot run a program so";
            }
            EXPECT_EQ(outcome.answer, static_cast<std::uint32_t>(TC_ACT_REDIRECT));
            EXPECT_EQ(outcome.frame, led(arriving(), way));
        }
    });
}

// Of several segments in one packet: what stands in the checksum's place changes by the addresses
// alone, as the sender's stack would have it.
TEST_P(FlowProgram, LeavesTheSumOfSeveralSegmentsToTheirSender) {
    in_scene([&] {
        const std::size_t check = ethernet_bytes + header_bytes() + 16;
        Packet packet = arriving();
        packet.payload = std::string(2500, 'x');
        const auto sum_of_addresses = [&](const kernel::FlowTuple& tuple) {
            Bytes pseudo;
            put(pseudo, tuple.source.bytes());
            put(pseudo, tuple.destination.bytes());
            put_u16(pseudo, tcp_bytes + packet.payload.size());
            put_u16(pseudo, IPPROTO_TCP);
            return static_cast<std::uint16_t>(~checksum(pseudo));
        };
        FlowDirection routed = direction();
        routed.way.packets = routed.key.packets;
        for (const FlowDirection& way : {direction(), routed}) {
            enter(way);
            Bytes frame = frame_of(packet);
            set_u16(frame, check, sum_of_addresses(packet.tuple));
            Bytes expected = led(packet, way);
            set_u16(expected, check, sum_of_addresses(way.way.packets));
            const Outcome outcome = run(frame, {.gso_size = 1000});
            EXPECT_EQ(outcome.answer, static_cast<std::uint32_t>(TC_ACT_REDIRECT));
            EXPECT_EQ(outcome.frame, expected);
        }
    });
}

TEST_P(FlowProgram, LeavesOtherPacketsAlone) {
    in_scene([&] {
        EXPECT_TRUE(is_led(arriving()));
        Packet other = arriving();
        ++other.tuple.source_port;
        EXPECT_FALSE(is_led(other)) << "another connection";
        other = arriving();
        other.tuple.source = other.tuple.destination;
        EXPECT_FALSE(is_led(other)) << "from another host";
        const auto changed = [&](std::size_t place, std::uint8_t value) {
            Bytes frame = frame_of(arriving());
            frame[place] = value;
            return frame;
        };
        const std::size_t ip = ethernet_bytes;
        EXPECT_FALSE(is_led(changed(ip + (v4() ? 9 : 6), IPPROTO_UDP)));
        EXPECT_FALSE(is_led(changed(ip, v4() ? 0x46 : 0x50))) << "options, or no IPv6";
        EXPECT_FALSE(is_led(changed(ethernet_bytes - 2, 0x81))) << "of another protocol";
        if (v4()) {
            EXPECT_FALSE(is_led(changed(ip + 6, 0x20))) << "a fragment";
            EXPECT_FALSE(is_led(changed(ip + 7, 1))) << "a later fragment";
        } else {
            for (const std::uint8_t extension : {IPPROTO_HOPOPTS, IPPROTO_FRAGMENT}) {
                EXPECT_FALSE(is_led(changed(ip + 6, extension)));
            }
        }
        Bytes cut = frame_of(arriving());
        cut.resize(ethernet_bytes + header_bytes() + tcp_bytes - 1);
        EXPECT_FALSE(is_led(cut));
        EXPECT_TRUE(is_led(arriving())) << "and the connection goes on";
    });
}

TEST_P(FlowProgram, LeavesThoseAtTheirEndToTheKernel) {
    in_scene([&] {
        for (const std::uint8_t hops : {std::uint8_t{2}, std::uint8_t{255}}) {
            Packet packet = arriving();
            packet.hops = hops;
            EXPECT_TRUE(is_led(packet));
        }
        for (const std::uint8_t hops : {std::uint8_t{1}, std::uint8_t{0}}) {
            Packet packet = arriving();
            packet.hops = hops;
            EXPECT_FALSE(is_led(packet));
        }
    });
}

TEST_P(FlowProgram, LeavesTooLargePacketsToTheKernel) {
    in_scene([&] {
        const auto large = [&](std::size_t size) {
            Packet packet = arriving();
            packet.payload = std::string(size - header_bytes() - tcp_bytes, 'x');
            return frame_of(packet);
        };
        EXPECT_TRUE(is_led(large(1500)));
        EXPECT_FALSE(is_led(large(1501)));
        // What is still to be cut into segments counts by these.
        const auto segment = static_cast<std::uint32_t>(1500 - header_bytes() - tcp_bytes);
        EXPECT_TRUE(is_led(large(3000), {.gso_size = segment}));
        EXPECT_FALSE(is_led(large(3000), {.gso_size = segment + 1}));
    });
}

TEST_P(FlowProgram, EndsWithTheConnection) {
    in_scene([&] {
        const FlowKey key = direction().key;
        for (const int flags :
             {TH_SYN, TH_FIN | TH_ACK, TH_RST, TH_RST | TH_ACK, TH_URG | TH_ACK}) {
            enter(direction());
            Packet packet = arriving();
            packet.flags = static_cast<std::uint8_t>(flags);
            EXPECT_FALSE(is_led(packet)) << flags;
            EXPECT_FALSE(table_->times(key).ok()) << flags;
            EXPECT_FALSE(is_led(arriving())) << flags;
        }
    });
}

TEST_P(FlowProgram, LetsOnePacketASecondGoTheOrdinaryWay) {
    in_scene([&] {
        FlowDirection due = direction();
        due.times.ordinary_at = monotonic_now() - a_tick_and_more;
        enter(due);
        EXPECT_FALSE(is_led(arriving()));
        EXPECT_TRUE(is_led(arriving()));
        EXPECT_GT(table_->times(due.key)->ordinary_at, due.times.ordinary_at + one_second / 2);
        due.times.until = monotonic_now() - a_tick_and_more;
        enter(due);
        EXPECT_FALSE(is_led(arriving()));
        EXPECT_FALSE(is_led(arriving()));
        // A lease that ends while packets come: the last of them is let pass within a tick.
        const std::uint64_t end = monotonic_now() + 5 * a_tick_and_more;
        enter({.key = due.key, .way = due.way, .times = {.ordinary_at = end * 2, .until = end}});
        while (monotonic_now() < end + a_tick_and_more && is_led(arriving())) {
        }
        EXPECT_GT(monotonic_now(), end);
        EXPECT_FALSE(is_led(arriving()));
    });
}

} // namespace
} // namespace berth::network
