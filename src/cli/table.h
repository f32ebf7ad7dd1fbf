// SPDX-License-Identifier: Apache-2.0
// Text tables as docker prints them, and its words for sizes and ages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// Columns are as wide as their widest cell plus three spaces, the last one is not padded.
class Table {
  public:
    explicit Table(std::vector<std::string> header);

    void row(std::vector<std::string> cells);

    std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

// Decimal units and so many significant digits, as go-units: 1.23GB, 77.8MB, 0B. Docker's listings
// have three, its sums four.
std::string human_size(std::int64_t bytes, int digits = 3);

// Binary units and four significant digits: 1.5MiB, 0B.
std::string binary_size(double bytes);

// Cells counted as a terminal shows them: one a UTF-8 sequence.
std::size_t display_width(std::string_view text);

// Shortens to `width` cells with an ellipsis, as docker does for COMMAND.
std::string ellipsis(std::string_view text, std::size_t width);

// "sha256:0123…" -> the first twelve digits.
std::string short_id(std::string_view id);

} // namespace berth::cli
