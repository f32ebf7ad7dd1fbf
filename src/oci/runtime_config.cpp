// SPDX-License-Identifier: Apache-2.0
// Reading config.json: the tables do the work.
#include "oci/runtime_config.h"

#include <boost/json/object.hpp>

namespace berth::oci {

Result<Resources> parse_resources(const json::Value& value) {
    return json::decode<Resources>(value);
}

Result<Resources> parse_resources_text(std::string_view text) {
    return parse_resources(TRY(json::parse(text)));
}

Result<Process> parse_process(const json::Value& value) {
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
    // Sections of other operating systems say nothing to us. This one asks for another kind of
    // container; without it the process would be less isolated than was asked for.
    const json::Value* machine = json::find(document, "vm");
    if (machine != nullptr && machine->is_object() && !machine->get_object().empty()) {
        return not_implemented("config.json: vm: virtual machines are not implemented");
    }
    return TRY_CONTEXT(json::decode<RuntimeConfig>(document), "config.json");
}

std::string runtime_config_text(const RuntimeConfig& config) {
    return json::encode_text(config);
}

} // namespace berth::oci
