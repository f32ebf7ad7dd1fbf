// SPDX-License-Identifier: Apache-2.0
// One set of addresses for each bound that somebody has, and two rules for it.
#include "network/connection_bound.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "network/firewall_names.h"

#include <algorithm>
#include <chrono>

namespace berth::network {
namespace {

using kernel::IpFamily;
using kernel::NftBatch;
using kernel::NftFlowPart;
using kernel::NftType;

constexpr std::chrono::milliseconds choke_time{1000};
constexpr std::uint32_t largest_part = 128;

constexpr std::uint32_t usual_tracked = 1U << 18;
constexpr std::uint32_t share_of_one = 16;
constexpr std::uint32_t fewest_connections = 1024;

std::string name_of(const char* what, IpFamily family, std::uint32_t connections) {
    return of(what, family) + "_" + std::to_string(connections);
}

void write_bound(NftBatch& batch, IpFamily family, std::uint32_t connections) {
    const NftFlowPart part{
        .family = family, .parts = (connections + largest_part - 1) / largest_part};
    const std::string bounded = bounded_set(family, connections);
    const std::string counted = name_of("connections", family, connections);
    const std::string choked = name_of("too_many", family, connections);
    const std::vector<NftType> key{address_type(family), NftType::Mark};
    batch.add_set({.name = bounded, .key = {address_type(family)}, .data = {}});
    batch.add_set({.name = counted, .key = key, .data = {}, .rules_add = true});
    batch.add_set(
        {.name = choked, .key = key, .data = {}, .rules_add = true, .timeout = choke_time});
    batch.rule(bounds_chain)
        .if_source_in_addresses(family, bounded)
        .if_part_in(part, choked)
        .drop();
    batch.rule(bounds_chain)
        .if_source_in_addresses(family, bounded)
        .if_part_has_more(part, counted, connections / part.parts)
        .add_part_to(part, choked)
        .drop();
}

} // namespace

std::string bounded_set(IpFamily family, std::uint32_t connections) {
    return name_of("bounded", family, connections);
}

void write_bounds(NftBatch& batch, const std::set<std::uint32_t>& bounds) {
    batch.flush_chain(bounds_chain);
    for (const std::uint32_t connections : bounds) {
        for (const IpFamily family : families) {
            write_bound(batch, family, connections);
        }
    }
}

bool can_count_connections(kernel::NetlinkSocket& socket, const std::string& table) {
    NftBatch batch(table + "-probe");
    batch.add_table();
    batch.add_chain(bounds_chain);
    write_bounds(batch, {fewest_connections});
    batch.delete_table(); // within the transaction that makes it: nobody ever sees it
    const Result<void> tried = batch.commit(socket);
    if (!tried.ok()) {
        log::warn(
            "the kernel does not count connections: containers have as many as they like, ignoring",
            {{"error", tried.error().message()}});
    }
    return tried.ok();
}

std::uint32_t default_connections() {
    const Result<std::string> text = read_file("/proc/sys/net/netfilter/nf_conntrack_max");
    const Result<std::uint32_t> tracked =
        text.ok() ? parse_number<std::uint32_t>(trim(*text)) : Result<std::uint32_t>(0U);
    const std::uint32_t known = tracked.ok() && *tracked != 0 ? *tracked : usual_tracked;
    return std::max(known / share_of_one, fewest_connections);
}

} // namespace berth::network
