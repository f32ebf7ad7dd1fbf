// SPDX-License-Identifier: Apache-2.0
// A CNI network as administrators write it: a list of plugins and what each is told (a .conflist
// file), or one plugin alone (a .conf file).
// https://github.com/containernetworking/cni/blob/main/SPEC.md#section-1-network-configuration-format
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::network {

struct CniPluginConfiguration {
    std::string type;
    json::Object object; // as it was written

    bool has_capability(std::string_view name) const;
};

struct CniConfiguration {
    std::string name;
    // The versions of the specification that it may be used with and that are known here
    // (0.3.0 to 1.1.0), lowest first; never empty.
    std::vector<std::string> versions;
    bool disable_check = false;
    bool disable_gc = false;
    bool is_inline = false; // nobody else uses it
    std::vector<CniPluginConfiguration> plugins;

    // InvalidArgument names what is wrong.
    static Result<CniConfiguration> parse(std::string_view text);

    // parse() gives the same again, with this version alone.
    std::string text(const std::string& version) const;

    bool has_capability(std::string_view name) const;
};

// `where` is the configuration itself, the path of a file, or the name of a network that a file in
// `directory` defines. NotFound when there is none.
Result<CniConfiguration>
load_cni_configuration(const std::string& where, const std::string& directory);

// Whether version a is at least b. REQUIRES: versions that are known here.
bool cni_version_at_least(std::string_view a, std::string_view b);

// Of those known here the highest that all lists have, or "".
std::string highest_common_cni_version(const std::vector<std::vector<std::string>>& lists);

} // namespace berth::network
