// SPDX-License-Identifier: Apache-2.0
// Layout and wording of docker's listings.
#include "cli/table.h"

#include <algorithm>
#include <cstdio>

namespace berth::cli {

Table::Table(std::vector<std::string> header) {
    rows_.push_back(std::move(header));
}

void Table::row(std::vector<std::string> cells) {
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    // Docker's tabwriter: cells of ten at least, three of them blanks.
    constexpr std::size_t least_width = 10;
    std::vector<std::size_t> widths;
    for (const std::vector<std::string>& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()), 0);
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], display_width(row[i]));
        }
    }
    std::string text;
    for (const std::vector<std::string>& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            text += row[i];
            if (i + 1 < row.size()) {
                text.append(std::max(widths[i] + 3, least_width) - display_width(row[i]), ' ');
            }
        }
        text += '\n';
    }
    return text;
}

std::string human_size(std::int64_t bytes, int digits) {
    static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double size = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (size >= 1000.0 && unit + 1 < std::size(units)) {
        size /= 1000.0;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.*g%s", digits, size, units[unit]);
    return text;
}

std::string binary_size(double bytes) {
    static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    while (bytes >= 1024.0 && unit + 1 < std::size(units)) {
        bytes /= 1024.0;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.4g%s", bytes, units[unit]);
    return text;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

std::string ellipsis(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) {
        return std::string(text);
    }
    std::size_t cells = 0;
    std::size_t end = 0;
    while (end < text.size()) {
        if ((static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U && ++cells == width) {
            break;
        }
        ++end;
    }
    return std::string(text.substr(0, end)) + "\u2026";
}

std::string short_id(std::string_view id) {
    std::size_t colon = id.find(':');
    if (colon != std::string_view::npos) {
        id.remove_prefix(colon + 1);
    }
    return std::string(id.substr(0, 12));
}

} // namespace berth::cli
