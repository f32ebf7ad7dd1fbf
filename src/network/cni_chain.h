// SPDX-License-Identifier: Apache-2.0
// The operations on a chain of CNI plugins: each is told what it is configured to do, what this
// container wants of it, and what those before it have made.
// https://github.com/containernetworking/cni/blob/main/SPEC.md#section-3-execution-of-network-configurations
#pragma once

#include "base/result.h"
#include "codec/json.h"
#include "kernel/netlink_address.h"
#include "network/cni_configuration.h"
#include "network/cni_plugin.h"
#include "network/resolv_conf.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::network {

// One container's place in a CNI network: all that its end needs to be told.
struct CniAttachment {
    std::string id; // CNI_CONTAINERID
    std::string interface_name;
    std::string arguments;            // CNI_ARGS
    std::vector<std::string> ips{};   // the addresses that are asked for, as args
    json::Object capability_values{}; // by capability: what goes to those plugins that have it
    std::string configuration{};      // the list, with the version in use
    json::Value result{};             // null: ADD was not seen to end

    // For the disk.
    std::string text() const;
    static Result<CniAttachment> parse(std::string_view text);
};

// What a chain's result says of the container's interface.
struct CniResult {
    std::optional<kernel::IpPrefix> v4;
    std::optional<kernel::IpPrefix> v6;
    std::optional<kernel::IpAddress> gateway_v4;
    std::optional<kernel::IpAddress> gateway_v6;
    std::vector<kernel::IpAddress> addresses; // all of them
    std::string host_interface;               // "": none is told of
    std::uint32_t mtu = 0;                    // 0: not told
    ResolvConf dns{};

    static Result<CniResult> read(const json::Value& result, const std::string& interface_name);
};

// The highest version that the configuration and all its plugins have. A configuration of one
// version is believed. NotFound for a plugin that is not there.
Result<std::string> negotiate_cni_version(
    const CniPlugins& plugins, const CniConfiguration& configuration, const CniPatience& patience);

// Unavailable, with the plugin's words, when one of them cannot take containers. Versions before
// 1.1.0 cannot be asked.
Result<void> cni_status(
    const CniPlugins& plugins,
    const CniConfiguration& configuration,
    const std::string& version,
    const CniPatience& patience);

// The last plugin's result. After an Error a part may be there: cni_delete().
Result<json::Value> cni_add(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience);

// In reverse order, all of them, although one fails: the first Error. `netns` may be empty: the
// container's is no more.
Result<void> cni_delete(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience);

// Whether all is as ADD has left it. Fine where it cannot be asked.
Result<void> cni_check(
    const CniPlugins& plugins,
    const CniAttachment& attachment,
    const std::string& netns,
    const CniPatience& patience);

// Another value of one capability while the container runs: the plugins that have it are told of
// the end of the old one, and then of the new one.
Result<void> cni_change(
    const CniPlugins& plugins,
    CniAttachment& attachment,
    std::string_view capability,
    const json::Value& value,
    const std::string& netns,
    const CniPatience& patience);

// All that belongs to other attachments than these (id and interface) goes. Fine where it cannot be
// asked.
Result<void> cni_collect(
    const CniPlugins& plugins,
    const CniConfiguration& configuration,
    const std::string& version,
    const std::vector<std::pair<std::string, std::string>>& valid,
    const CniPatience& patience);

} // namespace berth::network
