// SPDX-License-Identifier: Apache-2.0
// Words that several listings share.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// The member as text whatever its type; "" when absent or null.
std::string text_of(const json::Value& value, std::string_view name);
std::int64_t number_of(const json::Value& value, std::string_view name);
bool flag_of(const json::Value& value, std::string_view name);
// The elements of an array member; empty when it is absent or null.
const json::Array& list_of(const json::Value& value, std::string_view name);

// "3 weeks ago" from seconds since the epoch.
std::string ago(std::int64_t created);

// "0.0.0.0:8080->80/tcp, 443/tcp", ranges joined, from the Ports of a container summary.
std::string published_ports(const json::Value& summary);

// "a=b,c=d" pairs of an object, sorted.
std::string joined_labels(const json::Value& object);

// "a=b" entries as an object; one without "=" has an empty value.
json::Object pairs_of(const std::vector<std::string>& entries);

// `--filter a=b` flags as the API's filters parameter; "" when there are none.
Result<std::string> filters_parameter(const std::vector<std::string>& filters);

} // namespace berth::cli
