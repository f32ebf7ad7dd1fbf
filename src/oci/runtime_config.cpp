// SPDX-License-Identifier: Apache-2.0
// Reading config.json: the tables do the work; here stand the members that are refused.
#include "oci/runtime_config.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace berth::oci {

namespace {

// null, "", [] and {} ask for nothing.
bool asks_for_nothing(const json::Value& value) {
    if (const auto* object = value.if_object()) {
        return object->empty();
    }
    if (const auto* array = value.if_array()) {
        return array->empty();
    }
    if (const auto* string = value.if_string()) {
        return string->empty();
    }
    return value.is_null();
}

Result<void> refuse_members(
    const json::Value& value,
    std::string_view path,
    std::initializer_list<std::string_view> names) {
    for (std::string_view name : names) {
        const json::Value* member = json::find(value, name);
        if (member != nullptr && !asks_for_nothing(*member)) {
            return not_implemented(
                "config.json: " + std::string(path) + std::string(name) + " is not implemented");
        }
    }
    return ok();
}

Result<void> refuse_in_process(const json::Value& process, std::string_view path) {
    return refuse_members(
        process,
        path,
        {"commandLine", "selinuxLabel", "ioPriority", "scheduler", "execCPUAffinity"});
}

Result<void> refuse_in_linux(const json::Value& linux_object) {
    TRY(refuse_members(
        linux_object,
        "linux.",
        {"intelRdt", "timeOffsets", "netDevices", "memoryPolicy", "mountLabel"}));
    if (const json::Value* seccomp = json::find(linux_object, "seccomp")) {
        TRY(refuse_members(*seccomp, "linux.seccomp.", {"listenerPath", "listenerMetadata"}));
    }
    if (const json::Value* personality = json::find(linux_object, "personality")) {
        TRY(refuse_members(*personality, "linux.personality.", {"flags"}));
    }
    return ok();
}

Result<void> refuse_unimplemented(const json::Value& document) {
    TRY(refuse_members(document, "", {"solaris", "windows", "vm", "zos", "freebsd"}));
    if (const json::Value* process = json::find(document, "process")) {
        TRY(refuse_in_process(*process, "process."));
    }
    if (const json::Value* mounts = json::find(document, "mounts"); mounts && mounts->is_array()) {
        for (const json::Value& mount : mounts->get_array()) {
            TRY(refuse_members(mount, "mounts[].", {"uidMappings", "gidMappings"}));
        }
    }
    if (const json::Value* linux_object = json::find(document, "linux")) {
        TRY(refuse_in_linux(*linux_object));
    }
    return ok();
}

} // namespace

Result<Resources> parse_resources(const json::Value& value) {
    return json::decode<Resources>(value);
}

Result<Resources> parse_resources_text(std::string_view text) {
    return parse_resources(TRY(json::parse(text)));
}

Result<Process> parse_process(const json::Value& value) {
    TRY(refuse_in_process(value, "process."));
    return json::decode<Process>(value);
}

Result<Process> parse_process_text(std::string_view text) {
    return parse_process(TRY(json::parse(text)));
}

std::string process_text(const Process& process) {
    return json::encode_text(process);
}

Result<RuntimeConfig> parse_runtime_config(std::string_view text) {
    json::Value document = TRY_CONTEXT(json::parse(text), "config.json");
    if (!document.is_object()) {
        return invalid_argument("config.json: expected an object");
    }
    TRY(refuse_unimplemented(document));
    return TRY_CONTEXT(json::decode<RuntimeConfig>(document), "config.json");
}

std::string runtime_config_text(const RuntimeConfig& config) {
    return json::encode_text(config);
}

} // namespace berth::oci
