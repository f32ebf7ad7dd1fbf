// SPDX-License-Identifier: Apache-2.0
// Which options a driver knows, and what becomes of those of the files. What addresses and formats
// mean is the drivers' own to check (log_driver.h).
#include "engine/log_config.h"

#include "base/file.h"
#include "base/strings.h"
#include "engine/daemon_options.h"
#include "engine/log_driver.h"
#include "engine/log_info.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>

namespace berth::engine {
namespace {

constexpr std::string_view attribute_options[] = {
    "env", "env-regex", "labels", "labels-regex", "tag"};
constexpr std::string_view file_options[] = {"compress", "max-file", "max-size"};
constexpr std::string_view fluentd_options[] = {
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-read-timeout",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout"};
constexpr std::string_view gelf_options[] = {
    "gelf-address",
    "gelf-compression-level",
    "gelf-compression-type",
    "gelf-tcp-max-reconnect",
    "gelf-tcp-reconnect-delay"};
constexpr std::string_view syslog_options[] = {
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify"};

// Of every driver: Docker takes them off before a driver sees its own.
constexpr std::string_view common_options[] = {
    "cache-compress",
    "cache-disabled",
    "cache-max-file",
    "cache-max-size",
    "max-buffer-size",
    "mode"};

struct Driver {
    std::string_view name;
    std::span<const std::string_view> options;
    bool is_remote;
};

constexpr Driver drivers[] = {
    {"fluentd", fluentd_options, true},
    {"gelf", gelf_options, true},
    {"journald", {}, true},
    {"json-file", file_options, false},
    {"local", file_options, false},
    {"none", {}, false},
    {"syslog", syslog_options, true}};

// Of other systems or other people's clouds.
constexpr std::string_view foreign_drivers[] = {"awslogs", "etwlogs", "gcplogs", "splunk"};

const Driver* find_driver(std::string_view name) {
    const auto* found = std::ranges::find(drivers, name, &Driver::name);
    return found == std::end(drivers) ? nullptr : found;
}

std::string_view option_of(const LogConfig& log, const std::string& name) {
    const auto found = log.config.find(name);
    return found == log.config.end() ? std::string_view() : found->second;
}

Error unknown_option(std::string_view driver, const std::string& name) {
    if (driver == "local") {
        return invalid_argument("unknown log opt '" + name + "' for log driver local");
    }
    const std::string quoted = driver == "gelf" ? "\"" + name + "\"" : "'" + name + "'";
    return invalid_argument(
        "unknown log opt " + quoted + " for " + std::string(driver) + " log driver");
}

// go-units' FromHumanSize: powers of a thousand, which json-file counts in.
Result<std::uint64_t> parse_human_size(std::string_view text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    std::string unit = to_lower(trim(text.substr(end)));
    if (unit.ends_with('b')) {
        unit.pop_back();
    }
    constexpr std::string_view units = "kmgtp";
    const std::size_t power = unit.empty()       ? 0
                              : unit.size() == 1 ? units.find(unit) + 1
                                                 : std::string_view::npos;
    char* number_end = nullptr;
    const std::string digits(text.substr(0, end));
    const double number = std::strtod(digits.c_str(), &number_end);
    if (digits.empty() || *number_end != '\0' || power > units.size()) {
        return invalid_argument("invalid size: '" + std::string(text) + "'");
    }
    const double size = number * std::pow(1000.0, static_cast<double>(power));
    if (size < 1 || size > 1e18) {
        return invalid_argument("max-size must be a positive number");
    }
    return static_cast<std::uint64_t>(size);
}

Result<std::uint64_t> parse_max_size(std::string_view driver, std::string_view text) {
    if (driver == "json-file") {
        return parse_human_size(text);
    }
    const std::int64_t size = TRY(parse_memory_size(text));
    if (size <= 0) {
        return invalid_argument("max-size must be a positive number");
    }
    return static_cast<std::uint64_t>(size);
}

// The three options of files, as they are named for a driver.
struct FileOptions {
    std::uint64_t max_size = 20U << 20;
    std::uint32_t max_files = 5;
    bool compress = true;
};

Result<FileOptions> file_options_of(const LogConfig& log) {
    FileOptions files;
    const bool is_json = log.type == "json-file";
    if (is_json) {
        files = {.max_size = 0, .max_files = 1, .compress = false};
    }
    const std::string prefix = is_remote_log_driver(log.type) ? "cache-" : "";
    if (const auto text = option_of(log, prefix + "max-size"); !text.empty() && text != "-1") {
        files.max_size = TRY(parse_max_size(log.type, text));
    } else if (text == "-1") {
        files.max_size = 0;
    }
    if (const auto text = option_of(log, prefix + "max-file"); !text.empty()) {
        const auto count = parse_number<std::int64_t>(text);
        if (!count.ok()) {
            return invalid_argument(
                "strconv.Atoi: parsing \"" + std::string(text) + "\": invalid syntax");
        }
        if (*count < 1 || *count > std::numeric_limits<std::uint32_t>::max()) {
            return invalid_argument("max-file cannot be less than 1");
        }
        files.max_files = static_cast<std::uint32_t>(*count);
    }
    if (const auto text = option_of(log, prefix + "compress"); !text.empty()) {
        files.compress = TRY(parse_go_bool(text));
        if (is_json && files.compress && (files.max_files < 2 || files.max_size == 0)) {
            return invalid_argument(
                "compress cannot be true when max-file is less than 2 or max-size is not set");
        }
    }
    return files;
}

Result<void> check_common_options(const LogConfig& log) {
    const std::string_view mode = option_of(log, "mode");
    if (mode != "" && mode != "blocking" && mode != "non-blocking") {
        return invalid_argument("logger: logging mode not supported: " + std::string(mode));
    }
    if (const std::string_view size = option_of(log, "max-buffer-size"); !size.empty()) {
        if (mode != "non-blocking") {
            return invalid_argument(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
        }
        TRY_CONTEXT(parse_memory_size(size), "error parsing option max-buffer-size");
    }
    const std::string_view disabled = option_of(log, "cache-disabled");
    if (!disabled.empty() && !parse_go_bool(disabled).ok()) {
        return invalid_argument(
            "invalid value for option cache-disabled: " + std::string(disabled));
    }
    return ok();
}

Result<void> check_options(const LogConfig& log, const Driver& driver) {
    TRY(check_common_options(log));
    for (const auto& [name, value] : log.config) {
        const bool known = contains(common_options, name) || contains(driver.options, name) ||
                           contains(attribute_options, name);
        if (!known) {
            return unknown_option(driver.name, name);
        }
    }
    TRY(file_options_of(log));
    // With the container's values left open: the rest shows when it starts.
    const LogInfo probe{.options = log.config, .id = std::string(64, '0')};
    TRY(log_attributes(probe));
    TRY(log_tag(probe));
    return driver.is_remote ? check_log_driver_options(log.type, probe) : ok();
}

} // namespace

std::string default_log_driver(const DaemonConfig& daemon) {
    return daemon.log_driver.empty() ? "local" : daemon.log_driver;
}

Result<void> complete_log_config(LogConfig& log, const DaemonConfig& daemon) {
    const std::string standard = default_log_driver(daemon);
    if (log.type.empty()) {
        log.type = standard;
    }
    for (const auto& [name, value] : daemon.log_options) {
        if (log.type == standard || name.starts_with("cache-")) {
            log.config.emplace(name, value);
        }
    }
    if (contains(foreign_drivers, log.type)) {
        return not_implemented("the log driver '" + log.type + "' is not part of this engine");
    }
    const Driver* driver = find_driver(log.type);
    if (driver == nullptr) {
        return invalid_argument(
            "error looking up logging plugin " + log.type + ": plugin \"" + log.type +
            "\" not found");
    }
    return log.type == "none" ? ok() : check_options(log, *driver);
}

std::vector<std::string> log_driver_names() {
    std::vector<std::string> names;
    for (const Driver& driver : drivers) {
        names.emplace_back(driver.name);
    }
    return names;
}

bool is_remote_log_driver(std::string_view type) {
    const Driver* driver = find_driver(type);
    return driver != nullptr && driver->is_remote;
}

bool is_log_readable(const LogConfig& log) {
    if (log.type == "none") {
        return false;
    }
    return !is_remote_log_driver(log.type) ||
           !parse_go_bool(option_of(log, "cache-disabled")).value_or(false);
}

bool compresses_log(const LogConfig& log) {
    const auto files = file_options_of(log);
    return log.type != "none" && files.ok() && files->compress && files->max_size != 0 &&
           files->max_files > 1;
}

std::string log_files_directory(const std::string& directory) {
    return directory + "/log";
}

io::LogOptions
log_output_options(const LogConfig& log, const std::string& id, const std::string& directory) {
    const FileOptions files = file_options_of(log).value_or(FileOptions()); // checked at creation
    io::LogOptions options{
        .directory = log_files_directory(directory),
        .max_file_size = files.max_size,
        .max_files = files.max_files};
    if (log.type == "json-file") {
        options.form = io::LogForm::Json;
        options.json_file = directory + "/" + id + "-json.log";
    }
    if (!is_remote_log_driver(log.type)) {
        return options;
    }
    // A container whose lines go to fluentd in the background never waits for it.
    const bool is_async = parse_go_bool(option_of(log, "fluentd-async")).value_or(false);
    if (option_of(log, "mode") != "non-blocking" && !is_async) {
        options.backlog = io::LogBacklog::Wait;
        return options;
    }
    // What is kept is what may wait; at least as much as was asked for.
    const auto buffer = parse_memory_size(option_of(log, "max-buffer-size")).value_or(0);
    while (options.max_file_size > 0 &&
           options.max_file_size * options.max_files < static_cast<std::uint64_t>(buffer)) {
        ++options.max_files;
    }
    return options;
}

std::string log_path(const LogConfig& log, const std::string& id, const std::string& directory) {
    if (log.type == "none") {
        return {};
    }
    return log.type == "json-file" ? directory + "/" + id + "-json.log"
                                   : log_files_directory(directory);
}

Result<void>
prepare_log_files(const LogInfo& info, const LogConfig& log, const std::string& directory) {
    const std::string files = log_files_directory(directory);
    if (log.type != "json-file") {
        return ok();
    }
    const StringMap attributes = TRY(local_log_attributes(info));
    if (attributes.empty()) {
        return ok();
    }
    TRY(make_directories(files, 0700));
    // Not in the monitor's arguments, which every user can read.
    return replace_file(
        files + "/attributes.json", encode_log_attributes(attributes), 0600, Sync::No);
}

} // namespace berth::engine
