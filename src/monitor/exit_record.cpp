// SPDX-License-Identifier: Apache-2.0
// exit.json, written by hand: four numbers need no JSON library in a monitor that has gone quiet.
#include "monitor/exit_record.h"

#include "base/file.h"
#include "base/strings.h"

#include <cerrno>

namespace berth::monitor {
namespace {

constexpr std::size_t record_limit = 4096;

// The value after "name": in a flat object of numbers and booleans.
Result<std::string_view> value_of(std::string_view text, std::string_view name) {
    const auto found = cut(text, "\"" + std::string(name) + "\":");
    if (!found) {
        return Error(ErrorKind::DataLoss, "exit.json has no " + std::string(name));
    }
    return trim(found->after.substr(0, found->after.find_first_of(",}")));
}

template <class T>
Result<T> number_of(std::string_view text, std::string_view name) {
    auto number = parse_number<T>(TRY(value_of(text, name)));
    if (!number.ok()) {
        return std::move(number).error().as(ErrorKind::DataLoss).with_context("exit.json");
    }
    return number;
}

} // namespace

Result<void> write_exit_record(const std::string& path, const Exited& exit) {
    const std::string text = "{\"exit_code\":" + std::to_string(exit.code) +
                             ",\"signal\":" + std::to_string(exit.signal) +
                             ",\"oom_killed\":" + (exit.oom_killed ? "true" : "false") +
                             ",\"finished_at\":" + std::to_string(exit.time.nanoseconds) + "}\n";
    return replace_file(path, text, 0600, Sync::No);
}

Result<std::optional<Exited>> read_exit_record(const std::string& path) {
    const Result<std::string> read = read_file(path, record_limit);
    if (!read.ok()) {
        if (read.error().error_number() == ENOENT) {
            return std::optional<Exited>();
        }
        return Error(read.error());
    }
    const std::string& text = read.value();
    Exited exit;
    exit.code = TRY(number_of<std::int32_t>(text, "exit_code"));
    exit.signal = TRY(number_of<std::int32_t>(text, "signal"));
    exit.oom_killed = TRY(value_of(text, "oom_killed")) == "true";
    exit.time.nanoseconds = TRY(number_of<std::int64_t>(text, "finished_at"));
    return std::optional(std::move(exit));
}

} // namespace berth::monitor
