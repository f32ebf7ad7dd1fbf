// SPDX-License-Identifier: Apache-2.0
// The sink is a plain function, so where it writes lies in this file. One thread.
#include "runtime/command_line/log_output.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/json.h"

#include <boost/json/object.hpp>

#include <map>

#include <fcntl.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

struct Output {
    UniqueFd file; // empty: standard error
    bool as_json = false;
};

Output& output() {
    static Output instance;
    return instance;
}

std::string_view level_name(log::Level level) {
    return level == log::Level::Warn ? "warning" : log::to_string(level);
}

// logrus: members in the order of their names, the time in whole seconds.
std::string
json_line(log::Level level, std::string_view message, std::span<const log::Field> fields) {
    std::map<std::string, std::string> members;
    for (const log::Field& field : fields) {
        members[std::string(field.key)] = field.value;
    }
    members["level"] = level_name(level);
    members["msg"] = message;
    members["time"] = format_rfc3339(Timestamp{Timestamp::now().seconds() * 1'000'000'000});
    json::Object object;
    for (const auto& [key, value] : members) {
        object[key] = value;
    }
    return json::serialize(json::Value(std::move(object)));
}

std::string
text_line(log::Level level, std::string_view message, std::span<const log::Field> fields) {
    std::string line = "time=\"" +
                       format_rfc3339(Timestamp{Timestamp::now().seconds() * 1'000'000'000}) +
                       "\" level=" + std::string(level_name(level)) +
                       " msg=" + json::serialize(json::Value(message));
    for (const log::Field& field : fields) {
        line += " " + std::string(field.key) + "=" + json::serialize(json::Value(field.value));
    }
    return line;
}

void write_line(log::Level level, std::string_view message, std::span<const log::Field> fields) {
    const Output& target = output();
    std::string line =
        target.as_json ? json_line(level, message, fields) : text_line(level, message, fields);
    line += "\n";
    // Nobody is left to tell when the log cannot be written.
    [[maybe_unused]] Result<void> written =
        write_all(target.file ? FdRef(target.file) : FdRef::unowned(STDERR_FILENO), line);
}

} // namespace

Result<void> open_log(const LogOptions& options) {
    log::set_sink(write_line);
    log::set_level(options.debug ? log::Level::Debug : log::Level::Info);
    if (!options.format.empty() && options.format != "text" && options.format != "json") {
        return invalid_argument("invalid log-format: " + options.format);
    }
    output().as_json = options.format == "json";
    if (!options.path.empty() && options.path != "/dev/stderr") {
        output().file = TRY(open_file(options.path, O_WRONLY | O_CREAT | O_APPEND | O_SYNC, 0644));
    }
    return ok();
}

void report(const Error& error) {
    log::error(error.message());
    if (output().file) {
        [[maybe_unused]] Result<void> written =
            write_all(FdRef::unowned(STDERR_FILENO), error.message() + "\n");
    }
}

} // namespace berth::runtime::command_line
