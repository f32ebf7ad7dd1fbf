// SPDX-License-Identifier: Apache-2.0
// What several commands print alike: text to stdout, the daemon's progress streams, formatted rows.
#pragma once

#include "base/result.h"
#include "cli/table.h"
#include "codec/json.h"
#include "codec/stream.h"

#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// Writes all of it to stdout; an Error when stdout is closed or full.
Result<void> print(std::string_view text);

void print_error(std::string_view text);

// The Warnings of an answer, one a line, to stderr.
void print_warnings(const json::Value& answer);

// Prints the JSON messages of pull, push, load, import and build: one line an id, rewritten in
// place on a terminal. Returns the error that the stream carried. `aux` gets the last {"aux": …}
// value when not null.
struct ProgressOptions {
    bool quiet = false;
    json::Value* aux = nullptr;
    int* error_code =
        nullptr; // the code of the stream's error (a build step's exit code), where it has one
};

Result<void> print_progress(ByteSource& source, const ProgressOptions& options = {});

// Rows as docker's --format and --quiet want them: a table (header and cells by column name), one
// template per row, or "json" for one document per row.
struct Column {
    std::string_view name;   // the template's field: "ID"
    std::string_view header; // the table's heading: "CONTAINER ID"
};

Result<std::string> rows_text(
    const std::vector<Column>& columns,
    const std::vector<json::Object>& rows,
    std::string_view format);
Result<void> print_rows(
    const std::vector<Column>& columns,
    const std::vector<json::Object>& rows,
    std::string_view format);

} // namespace berth::cli
