// SPDX-License-Identifier: Apache-2.0
// Ports of containers that may run: port add and port rm.
#include "base/strings.h"
#include "cli/command.h"
#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/published_port.h"
#include "cli/query.h"
#include "cli/session.h"

#include <string>
#include <vector>

namespace berth::cli::commands {

namespace {

std::string text_of(const json::Value& object, std::string_view name) {
    const json::Value* value = json::find(object, name);
    return value && value->is_string() ? std::string(value->get_string()) : "";
}

std::string path_of(const std::string& container) {
    return "/berth/containers/" + percent_encode(container) + "/ports";
}

// What -p would make of the arguments behind the container's name.
Result<json::Object> bindings_of(const std::vector<std::string>& arguments) {
    json::Object exposed;
    json::Object bindings;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        TRY(add_published_port(arguments[i], exposed, bindings));
    }
    return bindings;
}

} // namespace

Result<int> port_add(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2);
    json::Object bindings = TRY(bindings_of(arguments));
    const json::Value answer = TRY(
        session.post(path_of(arguments[0]), json::Object{{"PortBindings", std::move(bindings)}}));
    const json::Value* ports = json::find(answer, "Ports");
    std::string lines;
    for (const auto& [inside, published] :
         ports && ports->is_object() ? ports->get_object() : json::Object()) {
        for (const json::Value& binding :
             published.is_array() ? published.get_array() : json::Array()) {
            const std::string ip = text_of(binding, "HostIp");
            lines += std::string(inside) + " -> " +
                     (ip.find(':') == std::string::npos ? ip : "[" + ip + "]") + ":" +
                     text_of(binding, "HostPort") + "\n";
        }
    }
    TRY(print(lines));
    return 0;
}

Result<int> port_rm(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2);
    for (const auto& [port, list] : TRY(bindings_of(arguments))) {
        for (const json::Value& binding : list.get_array()) {
            Query query;
            query.add("port", port);
            query.add("hostip", text_of(binding, "HostIp"));
            query.add("hostport", text_of(binding, "HostPort"));
            TRY(session.remove(path_of(arguments[0]) + query.text()));
        }
    }
    return 0;
}

} // namespace berth::cli::commands
