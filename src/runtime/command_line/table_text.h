// SPDX-License-Identifier: Apache-2.0
// Tables as Go's text/tabwriter lays them out for runc: a column is as wide as its widest cell and
// three spaces, and at least twelve.
#pragma once

#include <string>
#include <vector>

namespace berth::runtime::command_line {

std::string table_text(const std::vector<std::vector<std::string>>& rows);

} // namespace berth::runtime::command_line
