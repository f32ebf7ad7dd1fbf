// SPDX-License-Identifier: Apache-2.0
// Layouts: include/uapi/linux/pkt_sched.h (tbf), pkt_cls.h (bpf).
#include "kernel/netlink_queue.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include <arpa/inet.h>

namespace berth::kernel {
namespace {

constexpr std::uint32_t handle_of_ours = 0x10000; // 1:0
constexpr std::uint64_t smallest_burst = 16U << 10;
constexpr std::uint64_t smallest_queue = 64U << 10;
constexpr std::uint64_t largest_size = 1U << 30;

} // namespace

void add_rate_limit(RouteBatch& batch, int index, std::uint64_t bytes_per_second) {
    // Five milliseconds at once, so that a fast rate is reached with a slow clock; a tenth of a
    // second in the queue.
    const auto burst = static_cast<std::uint32_t>(
        std::clamp(bytes_per_second / 200, smallest_burst, largest_size));
    const auto queue =
        static_cast<std::uint32_t>(std::clamp(bytes_per_second / 10, smallest_queue, largest_size));
    tc_tbf_qopt options{};
    options.rate.linklayer = TC_LINKLAYER_ETHERNET; // else the kernel wants a table of times
    options.rate.rate =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes_per_second, UINT32_MAX));
    options.limit = burst + queue;
    options.buffer = burst;
    tcmsg header{};
    header.tcm_ifindex = index;
    header.tcm_handle = handle_of_ours;
    header.tcm_parent = TC_H_ROOT;

    NetlinkBatch& messages = batch.messages();
    messages.begin(
        RTM_NEWQDISC,
        NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
        struct_bytes(header),
        "limit the rate of interface " + std::to_string(index));
    messages.put_string(TCA_KIND, "tbf");
    messages.begin_nested(TCA_OPTIONS);
    const auto bytes = struct_bytes(options);
    messages.put_bytes(
        TCA_TBF_PARMS, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    messages.put_u32(TCA_TBF_BURST, burst);
    if (bytes_per_second > UINT32_MAX) {
        messages.put_bytes(
            TCA_TBF_RATE64,
            {reinterpret_cast<const std::uint8_t*>(&bytes_per_second), sizeof bytes_per_second});
    }
    messages.end_nested();
}

void add_receive_program(RouteBatch& batch, int index, FdRef program, const std::string& name) {
    constexpr std::uint32_t priority = 1;
    NetlinkBatch& messages = batch.messages();
    tcmsg header{};
    header.tcm_ifindex = index;
    header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    header.tcm_parent = TC_H_CLSACT;
    messages.begin(
        RTM_NEWQDISC,
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        struct_bytes(header),
        "make a place for programs at interface " + std::to_string(index));
    messages.put_string(TCA_KIND, "clsact");

    header.tcm_handle = 1;
    header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
    header.tcm_info = TC_H_MAKE(priority << 16U, htons(ETH_P_ALL));
    messages.begin(
        RTM_NEWTFILTER,
        NLM_F_ACK | NLM_F_CREATE,
        struct_bytes(header),
        "put a program at interface " + std::to_string(index));
    messages.put_string(TCA_KIND, "bpf");
    messages.begin_nested(TCA_OPTIONS);
    messages.put_u32(TCA_BPF_FD, static_cast<std::uint32_t>(program.get()));
    messages.put_string(TCA_BPF_NAME, name);
    messages.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    messages.end_nested();
}

} // namespace berth::kernel
