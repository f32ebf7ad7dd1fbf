// SPDX-License-Identifier: Apache-2.0
// Established connections come first. The chains for new ones part by whether they come from a
// container and go to one, so that each packet is compared with few sets.
#include "network/firewall_forward.h"

#include "network/connection_bound.h"
#include "network/firewall_names.h"
#include "network/foreign_chains.h"

#include <array>

#include <netinet/in.h>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpFamily;
using kernel::IpPrefix;
using kernel::NftBatch;
using kernel::NftHook;

constexpr std::uint8_t icmp = IPPROTO_ICMP;
constexpr std::uint8_t echo_request = 8;
constexpr std::uint8_t echo_request_v6 = 128;

IpPrefix multicast_v6() {
    std::array<std::uint8_t, 16> bytes{0xff};
    return {IpAddress::from_bytes(bytes), 8};
}

// Between the containers of a network. This sees what goes through the host on purpose, or, with
// br_netfilter, everything. A destination that nobody has would fill the host's neighbor table, one
// unanswered question for each.
void write_among(NftBatch& batch) {
    const std::string chain = "among";
    batch.add_chain(chain);
    for (const IpFamily family : families) {
        batch.rule(chain)
            .if_destination_and_output_in(family, of(members_set, family))
            .jump("pass");
    }
    batch.rule(chain).if_destination_in({IpAddress::from_v4(0xe0000000), 4}).jump("pass");
    batch.rule(chain).if_destination_in({IpAddress::from_v4(0xffffffff), 32}).jump("pass");
    batch.rule(chain).if_destination_in(multicast_v6()).jump("pass");
    batch.rule(chain).drop();
}

// What lets packets into all but internal networks.
void write_accepted_mark(NftBatch& batch, const FirewallContent& content, const std::string& from) {
    if (const std::optional<PacketMark>& mark = content.options.accepted_mark) {
        batch.rule(from).if_mark_is(mark->value, mark->mask).jump("marked");
    }
}

// To a container, from anywhere. Each new connection to a published port comes by here: what lets
// these in goes first.
void write_to_containers(NftBatch& batch, const FirewallContent& content) {
    batch.add_chain("to_internal");
    batch.rule("to_internal").if_input_and_output_in(trusted_set).jump("pass");
    batch.rule("to_internal").drop();

    const std::string chain = "to_containers";
    batch.add_chain(chain);
    batch.rule(chain).if_output_in(internal_set).jump("to_internal");
    batch.rule(chain).if_destination_changed().jump("pass");
    write_accepted_mark(batch, content, chain);
    batch.rule(chain).if_input_and_output_in(trusted_set).jump("pass");
    for (const IpFamily family : families) {
        const bool v4 = family == IpFamily::V4;
        batch.rule(chain).if_destination_port_in(family, of(routed_ports_set, family)).jump("pass");
        batch.rule(chain)
            .if_output_in(of(routed_set, family))
            .if_family(family)
            .if_protocol(v4 ? icmp : icmp_v6)
            .if_icmp_type(v4 ? echo_request : echo_request_v6)
            .jump("pass");
        batch.rule(chain)
            .if_input_not_in(bridges_set)
            .if_output_in(of(unprotected_set, family))
            .if_family(family)
            .jump("pass");
    }
    batch.rule(chain).drop();
}

void write_from_containers(NftBatch& batch, const FirewallContent& content) {
    std::string chain = "between_containers";
    batch.add_chain(chain);
    write_accepted_mark(batch, content, chain);
    batch.rule(chain).if_input_and_output_in(trusted_set).jump("pass");
    batch.rule(chain).if_input_and_output_in(open_pairs_set).jump("among");
    // Containers that are kept apart send all that is for each other to the host (bridge.cpp).
    batch.rule(chain)
        .if_input_and_output_in(loops_set)
        .if_flow_in(IpFamily::V4, links_set)
        .jump("pass");
    batch.rule(chain).if_input_in(internal_set).drop();
    batch.rule(chain).jump("to_containers");

    chain = "from_containers";
    batch.add_chain(chain);
    batch.rule(chain).if_new().jump(bounds_chain);
    batch.rule(chain).if_output_in(bridges_set).jump("between_containers");
    batch.rule(chain).if_input_in(internal_set).drop();
    batch.rule(chain).jump("pass");
}

} // namespace

void write_forward(NftBatch& batch, const FirewallContent& content) {
    // What is let through says so to the chains of others: see foreign_chains.h.
    batch.add_chain("pass");
    batch.rule("pass").add_to_mark(let_through_mark).accept();

    // All but the first packets of connections.
    batch.add_chain("known");
    batch.rule("known").if_input_in(bridges_set).jump("pass");
    batch.rule("known").if_output_in(bridges_set).jump("pass");

    if (content.options.accepted_mark) {
        batch.add_chain("marked");
        batch.rule("marked").if_input_in(internal_set).return_to_caller();
        batch.rule("marked").if_output_in(internal_set).return_to_caller();
        batch.rule("marked").jump("pass");
    }
    write_among(batch);
    write_to_containers(batch, content);
    write_from_containers(batch, content);

    const std::string chain = "forward";
    add_base_chain(
        batch,
        content,
        chain,
        {.type = "filter",
         .hook = NftHook::Forward,
         .priority = forward_priority(content.options)});
    batch.rule(chain).if_established().jump("known");
    batch.rule(chain).if_input_in(bridges_set).jump("from_containers");
    batch.rule(chain).if_output_in(bridges_set).jump("to_containers");
}

} // namespace berth::network
