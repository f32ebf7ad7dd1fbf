// SPDX-License-Identifier: Apache-2.0
// Go keeps a list that a client sent without elements, [], apart from one that it did not send,
// null, and so does what dockerd shows of a container; clients in typed languages see it.
#pragma once

#include "codec/json.h"

#include <string>
#include <vector>

namespace berth::api::wire {

// Of a create's body: the members of Config and HostConfig that are lists without elements.
std::vector<std::string> empty_lists_of(const json::Value& body);

// In an inspect: [] or {} where the client sent that, else null.
void show_empty_lists(
    json::Object& config, json::Object& host_config, const std::vector<std::string>& sent);

} // namespace berth::api::wire
