// SPDX-License-Identifier: Apache-2.0
// tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0).
#include "runtime/command_line/table_text.h"

#include <algorithm>

namespace berth::runtime::command_line {

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
    constexpr std::size_t least = 12;
    constexpr std::size_t gap = 3;
    std::vector<std::size_t> widths;
    for (const std::vector<std::string>& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), least);
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].size() + gap);
        }
    }
    std::string text;
    for (const std::vector<std::string>& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::string cell = row[i];
            cell.resize(i + 1 < row.size() ? widths[i] : cell.size(), ' ');
            text += cell;
        }
        text += "\n";
    }
    return text;
}

} // namespace berth::runtime::command_line
