// SPDX-License-Identifier: Apache-2.0
// The grammar of --mount and --volume, for run, create and mount add.
#pragma once

#include "base/result.h"
#include "codec/json.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// "type=bind,src=/a,dst=/b,ro": the API's Mount. Fields are CSV, as docker reads them.
// InvalidArgument in docker's words.
Result<json::Object> parse_mount_flag(const std::string& text);

// One line of CSV: quotes hold commas, and two quotes are one.
Result<std::vector<std::string>> csv_fields(std::string_view text);

// "./here:/there:ro" with a source that the engine, which has another working directory,
// understands.
std::string absolute_volume_flag(const std::string& text);

} // namespace berth::cli
