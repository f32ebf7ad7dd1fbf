// SPDX-License-Identifier: Apache-2.0
// After docker/cli's opts/gpus.go, throttledevice.go and weightdevice.go, with their words.
#include "cli/run_devices.h"

#include "base/strings.h"
#include "cli/mount_flag.h"
#include "cli/run_options.h"

#include <array>
#include <set>

namespace berth::cli {
namespace {

// "vendor.com/class=name"; paths of devices begin with a slash.
bool is_cdi_name(std::string_view text) {
    const auto kind = cut(text, "=");
    return kind && !text.starts_with('/') && kind->before.find('/') != std::string_view::npos &&
           !kind->after.empty();
}

json::Object device_of(std::string_view entry) {
    std::vector<std::string_view> parts = split(entry, ':');
    std::string_view permissions = "rwm";
    std::string_view inside = parts[0];
    if (parts.size() == 2 && !parts[1].starts_with('/')) {
        permissions = parts[1];
    } else if (parts.size() >= 2) {
        inside = parts[1];
    }
    if (parts.size() == 3) {
        permissions = parts[2];
    }
    return json::Object{
        {"PathOnHost", parts[0]}, {"PathInContainer", inside}, {"CgroupPermissions", permissions}};
}

Result<std::int64_t> gpu_count(std::string_view text) {
    if (text == "all") {
        return std::int64_t{-1};
    }
    const auto count = parse_number<std::int64_t>(text);
    return count.ok() ? *count
                      : Result<std::int64_t>(invalid_argument(
                            "invalid count (" + std::string(text) +
                            "): value must be either \"all\" or an integer"));
}

json::Array words_of(std::string_view text) {
    json::Array words;
    for (const std::string_view word : split(text, ',')) {
        words.emplace_back(word);
    }
    return words;
}

Result<json::Object> options_of(std::string_view text) {
    json::Object options;
    for (const std::string& field : TRY(csv_fields(text))) {
        const auto pair = cut(field, "=");
        options[pair ? pair->before : std::string_view(field)] =
            pair ? pair->after : std::string_view();
    }
    return options;
}

// "all", "2", "device=0", "driver=nvidia,\"capabilities=compute,utility\""
Result<json::Object> gpu_request(const std::string& text) {
    json::Object request{
        {"Driver", ""},
        {"Count", 0},
        {"DeviceIDs", nullptr},
        {"Capabilities", json::Array{json::Array{"gpu"}}},
        {"Options", json::Object()}};
    std::set<std::string, std::less<>> seen;
    for (const std::string& field : TRY(csv_fields(text))) {
        const auto pair = cut(field, "=");
        const std::string key(pair ? pair->before : "count");
        const std::string_view value = pair ? pair->after : std::string_view(field);
        if (!seen.insert(key).second) {
            return invalid_argument("gpu request key '" + key + "' can be specified only once");
        }
        if (key == "count") {
            request["Count"] = TRY(gpu_count(value));
        } else if (key == "driver") {
            request["Driver"] = value;
        } else if (key == "device") {
            request["DeviceIDs"] = words_of(value);
        } else if (key == "capabilities") {
            json::Array capabilities = words_of(value);
            capabilities.emplace_back("gpu");
            request["Capabilities"] = json::Array{std::move(capabilities)};
        } else if (key == "options") {
            request["Options"] = TRY(options_of(value));
        } else {
            return invalid_argument("unexpected key '" + key + "' in '" + field + "'");
        }
    }
    if (!seen.contains("count") && !seen.contains("device")) {
        request["Count"] = 1;
    }
    return request;
}

enum class Measure : std::uint8_t { Weight, Bytes, Operations };

Result<std::int64_t> measured(std::string_view text, Measure measure) {
    if (measure == Measure::Bytes) {
        return parse_bytes(text);
    }
    return parse_number<std::int64_t>(text);
}

// "/dev/sda:1mb"
Result<json::Array> limits_of(const std::vector<std::string>& entries, Measure measure) {
    json::Array limits;
    for (const std::string& entry : entries) {
        const auto parts = cut(entry, ":");
        if (!parts || parts->before.empty()) {
            return invalid_argument("bad format: " + entry);
        }
        if (!parts->before.starts_with("/dev/")) {
            return invalid_argument("bad format for device path: " + entry);
        }
        const auto number = measured(parts->after, measure);
        const bool is_weight = measure == Measure::Weight;
        if (!number.ok() || *number < 0 ||
            (is_weight && *number != 0 && (*number < 10 || *number > 1000))) {
            return invalid_argument(
                std::string(
                    is_weight ? "invalid weight for device: " : "invalid rate for device: ") +
                entry);
        }
        limits.emplace_back(
            json::Object{{"Path", parts->before}, {is_weight ? "Weight" : "Rate", *number}});
    }
    return limits;
}

} // namespace

void DeviceFlags::declare(Flags& flags) {
    flags.number(
        "blkio-weight", 0, weight, "Block IO (relative weight), between 10 and 1000, or 0");
    flags.list("blkio-weight-device", 0, weights, "Block IO weight (relative device weight)");
    flags.list("device", 0, devices, "Add a host device to the container");
    flags.list(
        "device-cgroup-rule", 0, cgroup_rules, "Add a rule to the cgroup allowed devices list");
    flags.list(
        "device-read-bps", 0, read_bytes, "Limit read rate (bytes per second) from a device");
    flags.list(
        "device-read-iops", 0, read_operations, "Limit read rate (IO per second) from a device");
    flags.list(
        "device-write-bps", 0, write_bytes, "Limit write rate (bytes per second) to a device");
    flags.list(
        "device-write-iops", 0, write_operations, "Limit write rate (IO per second) to a device");
    flags.list("gpus", 0, gpus, "GPU devices to add to the container ('all' to pass all GPUs)");
}

Result<void> DeviceFlags::apply(json::Object& host) const {
    json::Array nodes;
    json::Array requests;
    json::Array names;
    for (const std::string& device : devices) {
        if (is_cdi_name(device)) {
            names.emplace_back(device);
        } else {
            nodes.emplace_back(device_of(device));
        }
    }
    if (!names.empty()) {
        requests.emplace_back(json::Object{{"Driver", "cdi"}, {"DeviceIDs", std::move(names)}});
    }
    for (const std::string& gpu : gpus) {
        auto request = gpu_request(gpu);
        if (!request.ok()) {
            return invalid_argument(
                "invalid argument \"" + gpu +
                "\" for \"--gpus\" flag: " + request.error().message());
        }
        requests.emplace_back(std::move(*request));
    }
    json::Array rules;
    for (const std::string& rule : cgroup_rules) {
        rules.emplace_back(rule);
    }
    if (weight) {
        host["BlkioWeight"] = *weight;
    }
    const auto add = [&host](const char* name, json::Array list) {
        if (!list.empty()) {
            host[name] = std::move(list);
        }
    };
    add("Devices", std::move(nodes));
    add("DeviceRequests", std::move(requests));
    add("DeviceCgroupRules", std::move(rules));
    add("BlkioWeightDevice", TRY(limits_of(weights, Measure::Weight)));
    add("BlkioDeviceReadBps", TRY(limits_of(read_bytes, Measure::Bytes)));
    add("BlkioDeviceWriteBps", TRY(limits_of(write_bytes, Measure::Bytes)));
    add("BlkioDeviceReadIOps", TRY(limits_of(read_operations, Measure::Operations)));
    add("BlkioDeviceWriteIOps", TRY(limits_of(write_operations, Measure::Operations)));
    return ok();
}

} // namespace berth::cli
