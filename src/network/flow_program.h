// SPDX-License-Identifier: Apache-2.0
// The eBPF programs of flow_shortcut.h. Internal.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/bpf.h"
#include "kernel/bpf_ring.h"
#include "network/flow_table.h"

#include <cstddef>
#include <vector>

namespace berth::network {

// How long connections are heard of: the program counts their packets, on each processor, and
// leaves the key of those that have many in the ring.
struct FlowNews {
    kernel::BpfRing ring;
    UniqueFd counts;

    static Result<FlowNews> create(std::size_t ring_bytes);
};

// BPF_PROG_TYPE_SCHED_CLS. Packets that are in no flow go on. With something to tell the news to it
// is what bridge_program.h goes on with, and they go on as that would let them.
std::vector<bpf_insn> flow_program(const FlowTable& flows, const FlowNews* news);

} // namespace berth::network
