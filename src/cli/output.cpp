// SPDX-License-Identifier: Apache-2.0
// Progress lines that rewrite themselves on a terminal, and rows in docker's formats.
#include "cli/output.h"

#include "base/file.h"
#include "base/strings.h"
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/template.h"

#include <map>

#include <unistd.h>

namespace berth::cli {

namespace {

class ProgressPrinter {
  public:
    explicit ProgressPrinter(bool terminal)
        : terminal_(terminal) {}

    Result<void> show(const json::Value& message) {
        std::string_view stream = json::find_string(message, "stream");
        if (!stream.empty()) {
            return print(stream);
        }
        std::string_view status = json::find_string(message, "status");
        if (status.empty()) {
            return ok();
        }
        std::string_view id = json::find_string(message, "id");
        std::string_view progress = json::find_string(message, "progress");
        std::string line = id.empty() ? std::string() : std::string(id) + ": ";
        line += status;
        if (id.empty()) {
            lines_.clear();
            return print(line + "\n");
        }
        if (!terminal_) {
            // A file or a pipe gets each change of state once, not every tick of a bar.
            return progress.empty() ? print(line + "\n") : ok();
        }
        if (!progress.empty()) {
            line += " " + std::string(progress);
        }
        auto [found, added] = lines_.try_emplace(std::string(id), lines_.size());
        if (added) {
            return print(line + "\n");
        }
        std::string up = std::to_string(lines_.size() - found->second);
        return print("\x1b[" + up + "A\x1b[2K\r" + line + "\x1b[" + up + "B\r");
    }

  private:
    bool terminal_;
    std::map<std::string, std::size_t> lines_;
};

} // namespace

Result<void> print(std::string_view text) {
    TRY_CONTEXT(write_all(FdRef::unowned(STDOUT_FILENO), text), "standard output");
    return ok();
}

void print_error(std::string_view text) {
    // When stderr is gone there is nobody left to tell.
    [[maybe_unused]] Result<void> written = write_all(FdRef::unowned(STDERR_FILENO), text);
}

void print_warnings(const json::Value& answer) {
    for (const json::Value& warning : list_of(answer, "Warnings")) {
        print_error(
            "WARNING: " + (warning.is_string() ? std::string(warning.get_string()) : "") + "\n");
    }
}

Result<void> print_progress(ByteSource& source, const ProgressOptions& options) {
    DocumentStream documents(source);
    ProgressPrinter printer(::isatty(STDOUT_FILENO) == 1);
    while (std::optional<json::Value> message = TRY(documents.next())) {
        std::string_view error = json::find_string(*message, "error");
        if (!error.empty()) {
            const json::Value* detail = json::find(*message, "errorDetail");
            const json::Value* code = detail ? json::find(*detail, "code") : nullptr;
            if (code && code->is_int64() && options.error_code) {
                *options.error_code = static_cast<int>(code->get_int64());
            }
            return internal_error(std::string(error));
        }
        if (const json::Value* aux = json::find(*message, "aux"); aux && options.aux) {
            *options.aux = *aux;
        }
        if (!options.quiet) {
            TRY(printer.show(*message));
        }
    }
    return ok();
}

Result<std::string> rows_text(
    const std::vector<Column>& columns,
    const std::vector<json::Object>& rows,
    std::string_view format) {
    std::string text;
    if (format == "json") {
        for (const json::Object& row : rows) {
            text += json::serialize(json::Value(row)) + "\n";
        }
        return text;
    }
    bool as_table = format.empty() || format.starts_with("table");
    if (!as_table) {
        Template row_template =
            TRY(Template::parse(replace_all(replace_all(format, "\\t", "\t"), "\\n", "\n")));
        for (const json::Object& row : rows) {
            text += TRY(row_template.render(json::Value(row))) + "\n";
        }
        return text;
    }
    // "table {{.Names}}\t{{.Status}}" chooses the columns.
    std::vector<Column> chosen;
    std::string_view wanted = trim(format.starts_with("table") ? format.substr(5) : format);
    if (wanted.empty()) {
        chosen = columns;
    } else {
        for (const std::string& part : [&] {
                 std::vector<std::string> parts;
                 std::string spread = replace_all(wanted, "\\t", "\t");
                 for (std::string_view piece : split(spread, '\t')) {
                     parts.emplace_back(trim(piece));
                 }
                 return parts;
             }()) {
            std::string name =
                replace_all(replace_all(replace_all(part, "{{", ""), "}}", ""), " ", "");
            for (const Column& column : columns) {
                if (name == "." + std::string(column.name)) {
                    chosen.push_back(column);
                    name.clear();
                }
            }
            if (!name.empty()) {
                return invalid_argument("template parsing error: no column " + part);
            }
        }
    }
    std::vector<std::string> header;
    for (const Column& column : chosen) {
        header.emplace_back(column.header);
    }
    Table table(header);
    for (const json::Object& row : rows) {
        std::vector<std::string> cells;
        for (const Column& column : chosen) {
            const json::Value* cell = row.if_contains(column.name);
            cells.emplace_back(
                cell && cell->is_string() ? std::string_view(cell->get_string())
                                          : std::string_view());
        }
        table.row(std::move(cells));
    }
    return table.text();
}

Result<void> print_rows(
    const std::vector<Column>& columns,
    const std::vector<json::Object>& rows,
    std::string_view format) {
    return print(TRY(rows_text(columns, rows, format)));
}

} // namespace berth::cli
