// SPDX-License-Identifier: Apache-2.0
// After moby's volume/local/local_unix.go, with its words. A volume's "o" alone, which moby refuses
// for want of a device, is taken as Podman takes it where it says nothing but size, uid and gid.
#include "base/strings.h"
#include "engine/daemon_config.h"
#include "engine/volume_local.h"
#include "engine/volumes.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

namespace berth::engine {
namespace {

constexpr auto known_options = std::to_array<std::string_view>({"type", "o", "device", "size"});

Error missing_option(std::string_view name) {
    return invalid_argument("missing required option: \"" + std::string(name) + "\"");
}

Result<std::uint64_t> parse_size(const std::string& text) {
    return static_cast<std::uint64_t>(TRY(parse_memory_size(text)));
}

// True when all of "o" is about the volume itself.
Result<bool> take_own_options(LocalOptions& parsed, const std::string& options) {
    LocalOptions result = parsed;
    for (std::string_view option : split(options, ',')) {
        const auto pair = cut(option, "=");
        if (!pair) {
            return false;
        }
        if (pair->before == "size") {
            result.size = TRY(parse_size(std::string(pair->after)));
        } else if (pair->before == "uid") {
            result.uid = TRY(parse_number<uid_t>(pair->after));
        } else if (pair->before == "gid") {
            result.gid = TRY(parse_number<gid_t>(pair->after));
        } else {
            return false;
        }
    }
    parsed = std::move(result);
    parsed.options.clear();
    return true;
}

bool is_address(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
           inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

std::string value_of(const std::string& options, std::string_view key) {
    for (std::string_view option : split(options, ',')) {
        const auto pair = cut(option, "=");
        if (pair && pair->before == key) {
            return std::string(pair->after);
        }
    }
    return {};
}

// mount(2) takes version 3 for nfs and 4 for nfs4 where none is said, fsconfig(2) takes none.
std::string with_nfs_version(const std::string& type, const std::string& options) {
    const bool is_said = std::ranges::any_of(split(options, ','), [](std::string_view option) {
        return option.starts_with("vers=") || option.starts_with("nfsvers=") ||
               (option.size() > 1 && option[0] == 'v' && option[1] >= '2' && option[1] <= '4');
    });
    if (is_said || (type != "nfs" && type != "nfs4")) {
        return options;
    }
    return options + (options.empty() ? "" : ",") + (type == "nfs" ? "nfsvers=3" : "nfsvers=4");
}

// "//host:port/share"
struct CifsDevice {
    std::string host;
    std::string port;
    std::string rest;
};

std::optional<CifsDevice> parse_cifs_device(std::string_view device) {
    const auto start = device.find("//");
    if (start == std::string_view::npos) {
        return std::nullopt;
    }
    std::string_view rest = device.substr(start + 2);
    const auto slash = rest.find('/');
    const std::string_view authority = rest.substr(0, slash);
    CifsDevice parsed;
    parsed.rest = slash == std::string_view::npos ? "" : rest.substr(slash);
    if (authority.starts_with('[')) { // an IPv6 address
        const auto end = authority.find(']');
        parsed.host = authority.substr(0, end == std::string_view::npos ? end : end + 1);
        return parsed;
    }
    const auto colon = authority.rfind(':');
    parsed.host = authority.substr(0, colon);
    parsed.port = colon == std::string_view::npos ? "" : authority.substr(colon + 1);
    return parsed;
}

} // namespace

Result<void> check_volume_name(const std::string& name) {
    if (name.size() == 1) {
        return invalid_argument(
            "create " + name +
            ": volume name is too short, names should be at least two alphanumeric characters");
    }
    if (!Volumes::is_valid_name(name)) {
        return invalid_argument(
            "create " + name + ": \"" + name +
            "\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path");
    }
    return ok();
}

Result<LocalOptions> parse_local_options(const StringMap& options) {
    LocalOptions parsed;
    for (const auto& [name, value] : options) {
        if (std::ranges::find(known_options, name) == known_options.end()) {
            return invalid_argument("invalid option: \"" + name + "\"");
        }
    }
    const auto get = [&options](const char* name) {
        const auto found = options.find(name);
        return found == options.end() ? std::string() : found->second;
    };
    parsed.type = get("type");
    parsed.device = get("device");
    parsed.options = get("o");
    if (parsed.type == "cifs") {
        if (const auto device = parse_cifs_device(parsed.device); device && !device->port.empty()) {
            return invalid_argument("port not allowed in CIFS device URL, include 'port' in 'o='");
        }
    }
    if (options.contains("size")) {
        parsed.size = TRY(parse_size(get("size")));
    }
    if (options.contains("o") && !options.contains("type") && !options.contains("device") &&
        TRY(take_own_options(parsed, parsed.options))) {
        return parsed;
    }
    if ((options.contains("type") || options.contains("o")) && !options.contains("device")) {
        return missing_option("device");
    }
    if ((options.contains("device") || options.contains("o")) && !options.contains("type")) {
        return missing_option("type");
    }
    // All of them empty are none: a volume on the engine's own disk.
    if (!parsed.type.empty() && parsed.device.empty()) {
        return invalid_argument("missing device in volume options");
    }
    if (parsed.size != 0 && parsed.has_source()) {
        return invalid_argument(
            "size is for volumes on the engine's own disk; a size of a tmpfs goes into \"o\"");
    }
    return parsed;
}

Result<MountArguments>
mount_arguments(const LocalOptions& options, const ResolveHost& resolve_host) {
    MountArguments result{
        .device = options.device, .options = with_nfs_version(options.type, options.options)};
    if (options.type != "nfs" && options.type != "nfs4" && options.type != "cifs") {
        return result;
    }
    constexpr const char* context = "error resolving passed in network volume address";
    const std::string address = value_of(options.options, "addr");
    if (!address.empty() && !is_address(address)) {
        const std::string resolved = TRY_CONTEXT(resolve_host(address), context);
        std::vector<std::string> parts;
        for (std::string_view option : split(result.options, ',')) {
            parts.push_back(option == "addr=" + address ? "addr=" + resolved : std::string(option));
        }
        result.options = join(parts, ",");
        return result;
    }
    const auto device = parse_cifs_device(options.device);
    if (options.type == "cifs" && address.empty() && device && !device->host.empty() &&
        !device->host.starts_with('[') && !is_address(device->host)) {
        const std::string resolved = TRY_CONTEXT(resolve_host(device->host), context);
        const bool is_ipv6 = resolved.find(':') != std::string::npos;
        result.device = "//" + (is_ipv6 ? "[" + resolved + "]" : resolved) + device->rest;
    }
    return result;
}

} // namespace berth::engine
