// SPDX-License-Identifier: Apache-2.0
// Making and removing networks, and putting containers into them.
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/run_networks.h"
#include "cli/session.h"

#include <array>
#include <optional>

#include <arpa/inet.h>

namespace berth::cli::commands {

namespace {

// An address of either family with a prefix length, as far as the sorting of flags needs it.
struct Prefix {
    int family = 0;
    std::array<unsigned char, 16> bytes{};
    int length = 0;

    static std::optional<Prefix> parse(std::string_view text) {
        const auto parts = cut(text, "/");
        const std::string address(parts ? parts->before : text);
        Prefix prefix;
        prefix.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
        prefix.length = prefix.family == AF_INET ? 32 : 128;
        if (::inet_pton(prefix.family, address.c_str(), prefix.bytes.data()) != 1) {
            return std::nullopt;
        }
        if (parts) {
            const auto length = parse_number<int>(parts->after);
            if (!length.ok() || *length < 0 || *length > prefix.length) {
                return std::nullopt;
            }
            prefix.length = *length;
        }
        return prefix;
    }

    bool contains(const Prefix& other) const {
        if (other.family != family) {
            return false;
        }
        for (int bit = 0; bit < length; ++bit) {
            const auto byte = static_cast<std::size_t>(bit / 8);
            const int mask = 0x80 >> (bit % 8);
            if ((bytes[byte] & mask) != (other.bytes[byte] & mask)) {
                return false;
            }
        }
        return true;
    }
};

struct CreateFlags {
    bool attachable = false;
    bool config_only = false;
    bool ingress = false;
    bool internal = false;
    bool ipv4 = true;
    bool ipv6 = false;
    std::string config_from;
    std::string driver = "bridge";
    std::string ipam_driver = "default";
    std::string scope;
    std::vector<std::string> aux_addresses;
    std::vector<std::string> gateways;
    std::vector<std::string> ip_ranges;
    std::vector<std::string> ipam_options;
    std::vector<std::string> labels;
    std::vector<std::string> options;
    std::vector<std::string> subnets;

    void declare(Flags& flags) {
        flags.boolean("attachable", 0, attachable, "Enable manual container attachment");
        flags.list("aux-address", 0, aux_addresses, "Auxiliary IPv4 or IPv6 addresses");
        flags.text("config-from", 0, config_from, "The network to copy the configuration from");
        flags.boolean("config-only", 0, config_only, "Create a configuration only network");
        flags.text("driver", 'd', driver, "Driver to manage the Network");
        flags.list("gateway", 0, gateways, "IPv4 or IPv6 Gateway for the master subnet");
        flags.boolean("ingress", 0, ingress, "Create swarm routing-mesh network");
        flags.boolean("internal", 0, internal, "Restrict external access to the network");
        flags.list("ip-range", 0, ip_ranges, "Allocate container ip from a sub-range");
        flags.text("ipam-driver", 0, ipam_driver, "IP Address Management Driver");
        flags.list("ipam-opt", 0, ipam_options, "Set IPAM driver specific options");
        flags.boolean("ipv4", 0, ipv4, "Enable or disable IPv4 address assignment");
        flags.boolean("ipv6", 0, ipv6, "Enable or disable IPv6 address assignment");
        flags.list("label", 0, labels, "Set metadata on a network");
        flags.list("opt", 'o', options, "Set driver specific options");
        flags.text("scope", 0, scope, "Control the network's scope");
        flags.list("subnet", 0, subnets, "Subnet in CIDR format that represents a network segment");
    }
};

// One IPAM configuration with its parsed subnet.
struct Pool {
    Prefix subnet;
    json::Object fields;
};

Result<std::vector<Pool>> pools_of(const std::vector<std::string>& subnets) {
    std::vector<Pool> pools;
    for (const std::string& text : subnets) {
        const auto subnet = Prefix::parse(text);
        if (!subnet || text.find('/') == std::string::npos) {
            return invalid_argument("invalid CIDR address: " + text);
        }
        for (const Pool& other : pools) {
            if (other.subnet.contains(*subnet) || subnet->contains(other.subnet)) {
                return invalid_argument(
                    "multiple overlapping subnet configuration is not supported");
            }
        }
        pools.push_back({.subnet = *subnet, .fields = {{"Subnet", text}}});
    }
    return pools;
}

// Puts each value to the subnet that contains it.
Result<void> assign(
    std::vector<Pool>& pools,
    const std::vector<std::string>& values,
    std::string_view field,
    std::string_view noun) {
    for (const std::string& text : values) {
        const auto value = Prefix::parse(text);
        Pool* home = nullptr;
        for (Pool& pool : pools) {
            if (value && pool.subnet.contains(*value)) {
                home = &pool;
            }
        }
        if (home == nullptr) {
            return invalid_argument("no matching subnet for " + std::string(noun) + " " + text);
        }
        const auto before = home->fields.find(field);
        if (before != home->fields.end()) {
            return invalid_argument(
                "cannot configure multiple " + std::string(noun) + "s (" + text + ", " +
                std::string(before->value().as_string()) + ") on the same subnet (" +
                std::string(home->fields.at("Subnet").as_string()) + ")");
        }
        home->fields[field] = text;
    }
    return ok();
}

Result<void> assign_auxiliary(std::vector<Pool>& pools, const std::vector<std::string>& values) {
    for (const std::string& text : values) {
        const auto parts = cut(text, "=");
        const auto address = Prefix::parse(parts ? parts->after : std::string_view(text));
        Pool* home = nullptr;
        for (Pool& pool : pools) {
            if (parts && address && pool.subnet.contains(*address)) {
                home = &pool;
            }
        }
        if (home == nullptr) {
            return invalid_argument("no matching subnet for aux-address " + text);
        }
        json::Value& all = home->fields["AuxiliaryAddresses"];
        if (!all.is_object()) {
            all = json::Object();
        }
        all.as_object()[std::string(parts->before)] = std::string(parts->after);
    }
    return ok();
}

Result<json::Array> ipam_config(const CreateFlags& chosen) {
    if (chosen.subnets.size() < chosen.ip_ranges.size() ||
        chosen.subnets.size() < chosen.gateways.size()) {
        return invalid_argument("every ip-range or gateway must have a corresponding subnet");
    }
    std::vector<Pool> pools = TRY(pools_of(chosen.subnets));
    TRY(assign(pools, chosen.ip_ranges, "IPRange", "range"));
    TRY(assign(pools, chosen.gateways, "Gateway", "gateway"));
    TRY(assign_auxiliary(pools, chosen.aux_addresses));
    json::Array config;
    for (Pool& pool : pools) {
        config.emplace_back(std::move(pool.fields));
    }
    return config;
}

std::string network_path(const std::string& name) {
    return "/networks/" + percent_encode(name);
}

} // namespace

Result<int> network_create(Session& session, const Invocation& invocation) {
    Flags flags;
    CreateFlags chosen;
    chosen.declare(flags);
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    json::Object body{
        {"Name", names[0]},
        {"Driver", chosen.driver},
        {"Scope", chosen.scope},
        {"Internal", chosen.internal},
        {"Attachable", chosen.attachable},
        {"Ingress", chosen.ingress},
        {"ConfigOnly", chosen.config_only},
        {"Options", pairs_of(chosen.options)},
        {"Labels", pairs_of(chosen.labels)}};
    auto addresses = TRY(ipam_config(chosen));
    body["IPAM"] = json::Object{
        {"Driver", chosen.ipam_driver},
        {"Options", pairs_of(chosen.ipam_options)},
        {"Config", std::move(addresses)}};
    if (!chosen.config_from.empty()) {
        body["ConfigFrom"] = json::Object{{"Network", chosen.config_from}};
    }
    if (flags.given("ipv4")) {
        body["EnableIPv4"] = chosen.ipv4;
    }
    if (flags.given("ipv6")) {
        body["EnableIPv6"] = chosen.ipv6;
    }
    json::Value created = TRY(session.post("/networks/create", json::Value(std::move(body))));
    TRY(print(text_of(created, "Id") + "\n"));
    return 0;
}

Result<int> network_rm(Session& session, const Invocation& invocation) {
    Flags flags;
    bool force = false;
    flags.boolean("force", 'f', force, "Do not error if the network does not exist");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    int exit_code = 0;
    for (const std::string& name : names) {
        Result<json::Value> removed = session.remove(network_path(name));
        if (removed.ok()) {
            TRY(print(name + "\n"));
        } else if (!force || removed.error().kind() != ErrorKind::NotFound) {
            print_error("berth: " + removed.error().message() + "\n");
            exit_code = 1;
        }
    }
    return exit_code;
}

Result<int> network_connect(Session& session, const Invocation& invocation) {
    Flags flags;
    NetworkAttachment attachment;
    std::optional<std::int64_t> priority;
    flags.list("alias", 0, attachment.aliases, "Add network-scoped alias for the container");
    flags.list("driver-opt", 0, attachment.driver_options, "Driver options for the network");
    flags.number("gw-priority", 0, priority, "Highest gw-priority provides the default gateway");
    flags.text("ip", 0, attachment.ip, "IPv4 address (e.g., \"172.30.100.104\")");
    flags.text("ip6", 0, attachment.ip6, "IPv6 address (e.g., \"2001:db8::33\")");
    flags.list("link", 0, attachment.links, "Add link to another container");
    flags.list(
        "link-local-ip",
        0,
        attachment.link_local_ips,
        "Add a link-local address for the container");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2, .most = 2);
    if (priority) {
        attachment.gateway_priority = std::to_string(*priority);
    }
    auto settings = TRY(attachment.settings());
    json::Object body{{"Container", arguments[1]}, {"EndpointConfig", std::move(settings)}};
    TRY(session.post(network_path(arguments[0]) + "/connect", json::Value(std::move(body))));
    return 0;
}

Result<int> network_disconnect(Session& session, const Invocation& invocation) {
    Flags flags;
    bool force = false;
    flags.boolean("force", 'f', force, "Force the container to disconnect from a network");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2, .most = 2);
    json::Object body{{"Container", arguments[1]}, {"Force", force}};
    TRY(session.post(network_path(arguments[0]) + "/disconnect", json::Value(std::move(body))));
    return 0;
}

} // namespace berth::cli::commands
