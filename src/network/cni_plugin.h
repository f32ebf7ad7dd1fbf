// SPDX-License-Identifier: Apache-2.0
// One call of a CNI plugin: a program of the host's administrator that gets a configuration on its
// standard input and answers with JSON. It is given a time and an amount that it may say; what goes
// beyond is killed, with what it has started.
// https://github.com/containernetworking/cni/blob/main/SPEC.md#section-2-execution-protocol
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/json.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace berth::network {

// Where plugins are, in the order in which they are looked for.
struct CniPlugins {
    std::vector<std::string> directories = {"/opt/cni/bin", "/usr/lib/cni"};

    // NotFound `CNI plugin "x" not found in …`. InvalidArgument for what is no plain file name.
    Result<std::string> find(const std::string& type) const;

    std::string path() const; // CNI_PATH
};

struct CniPatience {
    std::chrono::steady_clock::time_point until;
    std::optional<FdRef> stop{}; // readable: nobody waits for the answer any more
};

// What the environment tells a plugin. Empty ones are not set, but for CNI_NETNS and CNI_ARGS.
struct CniCall {
    std::string command; // "ADD"
    std::string container_id{};
    std::string netns{};
    std::string interface_name{};
    std::string arguments{};
};

// The answer; null when it said nothing. An Error has the plugin's own words. A DEL of what the
// plugin does not know is fine.
Result<json::Value> call_cni_plugin(
    const CniPlugins& plugins,
    const std::string& type,
    const CniCall& call,
    const json::Value& input,
    const CniPatience& patience);

} // namespace berth::network
