// SPDX-License-Identifier: Apache-2.0
// Parsing of berthd's command line by the rules of pflag, which dockerd uses.
#include "engine/daemon_config.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/daemon_options.h"
#include "engine/subordinate_ids.h"

#include <limits>

namespace berth::engine {
namespace {

class FlagParser {
  public:
    explicit FlagParser(std::span<const std::string> arguments)
        : arguments_(arguments) {}

    Result<void> parse(ParsedDaemonFlags& parsed, GivenOptions& given) {
        while (position_ < arguments_.size()) {
            const std::string& argument = arguments_[position_++];
            if (argument == "--" || !argument.starts_with('-') || argument == "-") {
                return invalid_argument("accepts no arguments");
            }
            if (argument.starts_with("--")) {
                TRY(parse_long(std::string_view(argument).substr(2), parsed, given));
            } else {
                TRY(parse_short(argument, parsed, given));
            }
        }
        return ok();
    }

  private:
    static bool
    is_action(std::string_view name, std::string_view value, ParsedDaemonFlags& parsed) {
        static constexpr std::pair<std::string_view, DaemonAction> actions[] = {
            {"help", DaemonAction::ShowHelp},
            {"version", DaemonAction::ShowVersion},
            {"validate", DaemonAction::Validate}};
        for (const auto& [action_name, action] : actions) {
            if (name == action_name) {
                if (parse_go_bool(value).value_or(false)) {
                    parsed.action = action;
                }
                return true;
            }
        }
        return false;
    }

    Result<void> parse_long(std::string_view text, ParsedDaemonFlags& parsed, GivenOptions& given) {
        auto parts = cut(text, "=");
        const std::string_view name = parts ? parts->before : text;
        if (is_action(name, parts ? parts->after : "true", parsed)) {
            return ok();
        }
        const DaemonOption* option = find_option_by_flag(name);
        if (option == nullptr) {
            return invalid_argument("unknown flag: --" + std::string(name));
        }
        std::string value;
        if (parts) {
            value = parts->after;
        } else if (option->shape == OptionShape::Switch) {
            value = "true";
        } else if (position_ < arguments_.size()) {
            value = arguments_[position_++];
        } else {
            return invalid_argument("flag needs an argument: --" + std::string(name));
        }
        return apply(*option, std::move(value), parsed, given);
    }

    Result<void>
    parse_short(const std::string& argument, ParsedDaemonFlags& parsed, GivenOptions& given) {
        for (std::size_t i = 1; i < argument.size(); ++i) {
            const char letter = argument[i];
            if (letter == 'v' || letter == 'h') {
                parsed.action = letter == 'v' ? DaemonAction::ShowVersion : DaemonAction::ShowHelp;
                continue;
            }
            const DaemonOption* option = find_option_by_shorthand(letter);
            if (option == nullptr) {
                return invalid_argument(
                    std::string("unknown shorthand flag: '") + letter + "' in " + argument);
            }
            std::string_view rest = std::string_view(argument).substr(i + 1);
            if (option->shape == OptionShape::Switch && !rest.starts_with('=')) {
                TRY(apply(*option, "true", parsed, given));
                continue;
            }
            if (rest.starts_with('=')) {
                rest.remove_prefix(1);
            } else if (rest.empty()) {
                if (position_ == arguments_.size()) {
                    return invalid_argument(
                        std::string("flag needs an argument: '") + letter + "' in " + argument);
                }
                rest = arguments_[position_++];
            }
            return apply(*option, std::string(rest), parsed, given);
        }
        return ok();
    }

    static Result<void> apply(
        const DaemonOption& option,
        std::string value,
        ParsedDaemonFlags& parsed,
        GivenOptions& given) {
        auto applied = option.apply(parsed.config, option, value);
        if (!applied.ok()) {
            if (applied.error().kind() == ErrorKind::NotImplemented) {
                return applied;
            }
            std::string name = "--" + std::string(option.flag);
            if (option.shorthand != 0) {
                name = std::string("-") + option.shorthand + ", " + name;
            }
            return invalid_argument(
                "invalid argument \"" + value + "\" for \"" + name +
                "\" flag: " + applied.error().message());
        }
        given[&option].push_back(std::move(value));
        return ok();
    }

    std::span<const std::string> arguments_;
    std::size_t position_ = 0;
};

DaemonConfig defaults(const std::string& program) {
    DaemonConfig config;
    if (program == "dockerd") {
        config.data_root = "/var/lib/docker";
        config.exec_root = "/var/run/docker";
        config.config_file = "/etc/docker/daemon.json";
        config.pidfile = "/var/run/docker.pid";
        config.bridge = "docker0";
        config.group = "docker";
        config.log_driver = "json-file"; // whose files others look for where dockerd was
    } else {
        config.bridge = "berth0";
    }
    return config;
}

Result<void> check(const DaemonConfig& config) {
    if (!log::parse_level(config.log_level)) {
        return invalid_argument("invalid logging level: " + config.log_level);
    }
    for (const std::string& label : config.labels) {
        if (!cut(label, "=") || label.starts_with('=')) {
            return invalid_argument("bad attribute format: " + label);
        }
    }
    if (config.max_concurrent_downloads < 0) {
        return invalid_argument(
            "invalid max concurrent downloads: " + std::to_string(config.max_concurrent_downloads));
    }
    if (config.max_concurrent_uploads < 0) {
        return invalid_argument(
            "invalid max concurrent uploads: " + std::to_string(config.max_concurrent_uploads));
    }
    if (config.max_download_attempts <= 0) {
        return invalid_argument(
            "invalid max download attempts: " + std::to_string(config.max_download_attempts));
    }
    if (config.max_layer_size <= 0) {
        return invalid_argument("invalid max-layer-size: " + std::to_string(config.max_layer_size));
    }
    if (config.max_layer_ratio < 0) {
        return invalid_argument(
            "invalid max-layer-ratio: " + std::to_string(config.max_layer_ratio));
    }
    if (config.mtu < 0) {
        return invalid_argument("invalid default MTU: " + std::to_string(config.mtu));
    }
    if (!config.bridge.empty() && !config.bip.empty() && config.bridge == "none") {
        return invalid_argument(
            "You specified -b & --bip, mutually exclusive options. Please specify only one");
    }
    if (config.default_ipc_mode != "private" && config.default_ipc_mode != "shareable") {
        return invalid_argument("ipc mode \"" + config.default_ipc_mode + "\" is not supported");
    }
    TRY(parse_socket_families("--socket-families", config.socket_families));
    for (const std::string* directory : {&config.data_root, &config.exec_root}) {
        if (!directory->starts_with('/')) {
            return invalid_argument("\"" + *directory + "\" is not an absolute path");
        }
    }
    return ok();
}

} // namespace

Result<ParsedDaemonFlags>
parse_daemon_flags(const std::string& program, std::span<const std::string> arguments) {
    ParsedDaemonFlags parsed;
    parsed.config = defaults(program);
    GivenOptions given;
    auto flags = FlagParser(arguments).parse(parsed, given);
    if (!flags.ok()) {
        if (flags.error().message() == "accepts no arguments") {
            return invalid_argument(
                "\"" + program + "\" accepts no arguments.\nSee '" + program +
                " --help'.\n\nUsage:  " + program +
                " [OPTIONS]\n\nA self-sufficient runtime for containers.");
        }
        return invalid_argument(flags.error().message() + "\nSee '" + program + " --help'.");
    }
    if (parsed.action == DaemonAction::ShowHelp || parsed.action == DaemonAction::ShowVersion) {
        return parsed;
    }
    const std::string& path = parsed.config.config_file;
    auto text = read_file(path, 1U << 20);
    if (text.ok()) {
        auto applied = apply_daemon_json(parsed.config, *text, given);
        if (!applied.ok()) {
            return std::move(applied).error().with_context(
                "unable to configure the Docker daemon with file " + path);
        }
    } else if (given.contains(find_option_by_flag("config-file"))) {
        return invalid_argument(
            "unable to configure the Docker daemon with file " + path + ": " +
            text.error().message());
    }
    TRY(check(parsed.config));
    if (parsed.action == DaemonAction::Validate && parsed.config.remaps_users()) {
        // Of the machine, and so the engine's to say when it starts; here it is what is asked.
        const RemapOwner owner = TRY(parse_userns_remap(parsed.config.userns_remap));
        TRY(subordinate_ids(owner));
    }
    if (parsed.config.pidfile.empty()) {
        parsed.config.pidfile = parsed.config.exec_root + "/berthd.pid";
    }
    if (parsed.config.hosts.empty()) {
        parsed.config.hosts.emplace_back(
            program == "dockerd" ? "unix:///var/run/docker.sock"
                                 : "unix://" + parsed.config.exec_root + "/berth.sock");
    }
    return parsed;
}

std::string daemon_help(const std::string& program) {
    std::string text = "\nUsage:  " + program +
                       " [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n";
    const auto line = [&text](char shorthand, std::string_view name, std::string_view help) {
        std::string left = shorthand != 0 ? std::string("  -") + shorthand + ", " : "      ";
        left += "--" + std::string(name);
        left.resize(std::max<std::size_t>(left.size() + 2, 46), ' ');
        text += left + std::string(help) + "\n";
    };
    static constexpr std::string_view suffixes[] = {"", " int", " string", " list", " map"};
    for (const DaemonOption& option : daemon_options()) {
        line(
            option.shorthand,
            std::string(option.flag) +
                std::string(suffixes[static_cast<std::size_t>(option.shape)]),
            option.help);
    }
    line('h', "help", "Print usage");
    line(0, "validate", "Validate daemon configuration and exit");
    line('v', "version", "Print version information and quit");
    return text;
}

// github.com/docker/go-units RAMInBytes: a number with an optional fraction, then b, k, m, g, t or
// p, each of them with an optional "b" or "ib" behind it.
Result<std::int64_t> parse_memory_size(std::string_view text) {
    const Error invalid = invalid_argument("invalid size: '" + std::string(text) + "'");
    std::string_view rest = trim(text);
    std::size_t digits = rest.find_first_not_of("0123456789.");
    const std::string_view number = rest.substr(0, digits);
    std::string unit = digits == std::string_view::npos ? "" : to_lower(trim(rest.substr(digits)));
    for (std::string_view suffix : {"ib", "b"}) {
        if (unit.ends_with(suffix)) {
            unit.resize(unit.size() - suffix.size());
            break;
        }
    }
    static constexpr std::string_view units = "kmgtp";
    double factor = 1;
    if (!unit.empty()) {
        const std::size_t power = unit.size() == 1 ? units.find(unit[0]) : std::string_view::npos;
        if (power == std::string_view::npos) {
            return invalid;
        }
        for (std::size_t i = 0; i <= power; ++i) {
            factor *= 1024;
        }
    }
    double value = 0;
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (number.empty() || error != std::errc() || end != number.data() + number.size() ||
        value * factor >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
        return invalid;
    }
    return static_cast<std::int64_t>(value * factor);
}

Result<Ulimit> parse_ulimit(std::string_view text) {
    auto parts = cut(text, "=");
    if (!parts) {
        return invalid_argument("invalid ulimit argument: " + std::string(text));
    }
    Ulimit limit{.name = std::string(parts->before)};
    auto values = cut(parts->after, ":");
    auto soft = parse_number<std::int64_t>(values ? values->before : parts->after);
    auto hard = values ? parse_number<std::int64_t>(values->after) : soft;
    if (limit.name.empty() || !soft.ok() || !hard.ok()) {
        return invalid_argument("invalid ulimit argument: " + std::string(text));
    }
    limit.soft = *soft;
    limit.hard = *hard;
    if (limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard)) {
        return invalid_argument(
            "ulimit soft limit must be less than or equal to hard limit: " +
            std::to_string(limit.soft) + " > " + std::to_string(limit.hard));
    }
    return limit;
}

Result<AddressPoolOption> parse_address_pool(std::string_view text) {
    AddressPoolOption pool;
    for (const std::string_view field : split(text, ',')) {
        const auto parts = cut(field, "=");
        const std::string_view name = parts ? trim(parts->before) : field;
        if (parts && name == "base") {
            pool.base = trim(parts->after);
        } else if (parts && name == "size" && parse_number<std::int64_t>(parts->after).ok()) {
            pool.size = *parse_number<std::int64_t>(parts->after);
        } else {
            return invalid_argument(
                "invalid default address pool \"" + std::string(text) +
                "\": it must be base=<CIDR>,size=<length>");
        }
    }
    return pool;
}

} // namespace berth::engine
