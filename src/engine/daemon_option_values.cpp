// SPDX-License-Identifier: Apache-2.0
// Options whose values have a form of their own.
#include "engine/daemon_option_values.h"

#include "base/strings.h"
#include "engine/subordinate_ids.h"
#include "store/layer_store.h"

namespace berth::engine {
namespace {

int digit_of(char character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    const char lower = static_cast<char>(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Each underscore of Go's number stands between two digits, or behind the prefix.
bool has_fine_underscores(std::string_view digits, bool has_prefix) {
    char before = has_prefix ? '0' : '_';
    for (const char character : digits) {
        if (character == '_' && before == '_') {
            return false;
        }
        before = character;
    }
    return before != '_';
}

// Go's strconv.ParseUint of 32 bits and base 0: 0x1f, 0b11, 017, 0o17, 1_000.
Result<std::uint32_t> parse_go_uint32(std::string_view text) {
    const auto wrong = [text](std::string_view why) {
        return invalid_argument(
            "strconv.ParseUint: parsing \"" + std::string(text) + "\": " + std::string(why));
    };
    int base = 10;
    std::string_view digits = text;
    if (text.starts_with('0') && text.size() > 1) {
        const char letter = text.size() > 2 ? static_cast<char>(text[1] | 0x20) : '\0';
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        digits.remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
    }
    if (digits.empty() || !has_fine_underscores(digits, digits.size() != text.size())) {
        return wrong("invalid syntax");
    }
    std::uint64_t value = 0;
    for (const char character : digits) {
        if (character == '_') {
            continue;
        }
        const int digit = digit_of(character);
        if (digit < 0 || digit >= base) {
            return wrong("invalid syntax");
        }
        value = value * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(digit);
        if (value > UINT32_MAX) {
            return wrong("value out of range");
        }
    }
    return static_cast<std::uint32_t>(value);
}

} // namespace

// moby's daemon/config/config_linux.go (validateFwMarkMask).
Result<void> set_accepted_mark(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    config.bridge_accept_mark.reset();
    if (value.empty()) {
        return ok();
    }
    const auto parts = cut(value, "/");
    const auto wrong = [value](std::string_view part) {
        return "invalid bridge-accept-fwmark: invalid firewall " + std::string(part) + " \"" +
               std::string(value) + "\"";
    };
    network::PacketMark mark;
    mark.value = TRY_CONTEXT(parse_go_uint32(parts ? parts->before : value), wrong("mark"));
    if (parts) {
        mark.mask = TRY_CONTEXT(parse_go_uint32(parts->after), wrong("mask"));
    }
    config.bridge_accept_mark = mark;
    return ok();
}

// "name", "name=true" or "name=false".
Result<void> set_feature(DaemonConfig& config, const DaemonOption& option, std::string_view value) {
    const auto parts = cut(value, "=");
    const std::string name(trim(parts ? parts->before : value));
    if (name.empty()) {
        return invalid_argument("invalid feature: \"" + std::string(value) + "\" has no name");
    }
    const bool is_on = parts ? TRY(parse_go_bool(parts->after)) : true;
    if (!config.features.emplace(name, is_on).second) {
        return invalid_argument("feature " + name + " was set twice");
    }
    config.ignored.emplace_back(option.flag);
    return ok();
}

Result<void>
add_nondistributable(DaemonConfig& config, const DaemonOption& option, std::string_view value) {
    config.nondistributable_artifacts.emplace_back(value);
    config.ignored.emplace_back(option.flag);
    return ok();
}

Result<void> set_storage_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    constexpr std::string_view layer_form = "overlay2.layer_form";
    const auto parts = cut(value, "=");
    if (parts && parts->before == "overlay2.size") {
        config.container_size = TRY(parse_memory_size(parts->after));
        return ok();
    }
    if (!parts || parts->before != layer_form) {
        return invalid_argument(
            "unknown storage option \"" + std::string(value) + "\"; there are " +
            std::string(layer_form) + "=auto|erofs|directory and overlay2.size=<bytes>");
    }
    TRY(store::parse_layer_form(parts->after));
    config.layer_form = parts->after;
    return ok();
}

Result<void> set_firewall(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    if (value != "pass" && value != "respect") {
        return invalid_argument(
            "invalid firewall mode \"" + std::string(value) + "\": there are pass and respect");
    }
    config.firewall = value;
    return ok();
}

Result<void> set_userns_remap(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    if (!value.empty()) {
        TRY(parse_userns_remap(value));
    }
    config.userns_remap = value;
    return ok();
}

Result<void> add_host_gateway(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    const kernel::IpAddress address = TRY(kernel::IpAddress::parse(value));
    for (const kernel::IpAddress& other : config.host_gateway_ips) {
        if (other.is_v4() == address.is_v4()) {
            return invalid_argument(
                std::string("only one ") + (address.is_v4() ? "IPv4" : "IPv6") +
                " host gateway IP address can be specified");
        }
    }
    config.host_gateway_ips.push_back(address);
    return ok();
}

Result<void> add_default_ulimit(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    Ulimit limit = TRY(parse_ulimit(value));
    std::string name = limit.name;
    config.default_ulimits.insert_or_assign(std::move(name), std::move(limit));
    return ok();
}

Result<void> add_log_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts) {
        config.log_options.insert_or_assign(std::string(value), std::string());
        return ok();
    }
    config.log_options.insert_or_assign(std::string(parts->before), std::string(parts->after));
    return ok();
}

Result<void> add_address_pool(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    config.default_address_pools.push_back(TRY(parse_address_pool(value)));
    return ok();
}

// "bridge=com.docker.network.driver.mtu=1400"
Result<void>
add_default_network_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    const auto driver = cut(value, "=");
    const auto option = driver ? cut(driver->after, "=") : std::nullopt;
    if (!option) {
        return invalid_argument(
            "invalid default network options format: \"" + std::string(value) +
            "\" must be driver=option=value");
    }
    config.default_network_options[std::string(driver->before)].insert_or_assign(
        std::string(option->before), std::string(option->after));
    return ok();
}

Result<void> add_runtime(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts || trim(parts->before).empty() || trim(parts->after).empty()) {
        return invalid_argument("invalid runtime argument: " + std::string(value));
    }
    const std::string name = to_lower(trim(parts->before));
    if (name == "runc" || name == "berth") {
        return invalid_argument("runtime name '" + name + "' is reserved");
    }
    if (!config.runtimes.emplace(name, trim(parts->after)).second) {
        return invalid_argument("runtime '" + name + "' was already defined");
    }
    return ok();
}

Result<void> add_exec_option(DaemonConfig& config, const DaemonOption&, std::string_view value) {
    auto parts = cut(value, "=");
    if (!parts || parts->before != "native.cgroupdriver") {
        return invalid_argument("Unknown option: \"" + std::string(value) + "\"");
    }
    if (parts->after != "cgroupfs" && parts->after != "systemd") {
        return invalid_argument("invalid cgroup driver: " + std::string(parts->after));
    }
    config.exec_options.emplace_back(value);
    return ok();
}

} // namespace berth::engine
