// SPDX-License-Identifier: Apache-2.0
// --userns-remap: whose subordinate ids (subuid(5), subgid(5)) containers get. "default" is the
// user dockremap, as with dockerd; neither it nor its ranges are made here.
#pragma once

#include "base/result.h"
#include "kernel/owner_map.h"

#include <string>
#include <string_view>

namespace berth::engine {

struct RemapOwner {
    std::string user; // a name or a number
    std::string group;
};

// "default", "user", "user:group", with numbers or names; InvalidArgument otherwise.
Result<RemapOwner> parse_userns_remap(std::string_view text);

// root is mapped to itself by dockerd, which is no mapping.
bool maps_nothing(const RemapOwner& owner);

// What it looks at; other places for tests.
struct SubordinateFiles {
    std::string users = "/etc/subuid";
    std::string groups = "/etc/subgid";
    std::string root = "/"; // whose etc/passwd says which name has which number
};

// The ranges of the user, those of the container lowest first: InvalidArgument, with what is
// missing where, when there are none or they cannot be used.
Result<kernel::IdMaps>
subordinate_ids(const RemapOwner& owner, const SubordinateFiles& files = SubordinateFiles());

} // namespace berth::engine
