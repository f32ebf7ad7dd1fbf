// SPDX-License-Identifier: Apache-2.0
// The engine itself: version, info, events; and the registry program.
#include "base/strings.h"
#include "base/time.h"
#include "cli/child.h"
#include "cli/commands/commands.h"
#include "cli/demultiplexer.h"
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/template.h"

#include <algorithm>

namespace berth::cli::commands {

namespace {

json::Value client_version() {
    return json::Value(json::Object{
        {"Version", BERTH_VERSION},
        {"ApiVersion", "1.44"},
        {"Os", "linux"},
        {"Arch", BERTH_ARCHITECTURE},
        {"Context", "default"}});
}

std::string
line(std::string_view label, const std::string& value, std::size_t indent, std::size_t width) {
    std::string text(indent, ' ');
    text += std::string(label) + ":";
    text.resize(std::max(text.size() + 1, indent + width), ' ');
    return text + value + "\n";
}

std::string version_text(const json::Value& client, const json::Value& server) {
    std::string text = "Client:\n";
    text += line("Version", text_of(client, "Version"), 1, 19);
    text += line("API version", text_of(client, "ApiVersion"), 1, 19);
    text += line("OS/Arch", text_of(client, "Os") + "/" + text_of(client, "Arch"), 1, 19);
    if (server.is_null()) {
        return text;
    }
    const json::Value* platform = json::find(server, "Platform");
    text += "\nServer: " + (platform ? text_of(*platform, "Name") : "") + "\n Engine:\n";
    text += line("Version", text_of(server, "Version"), 2, 18);
    text += line(
        "API version",
        text_of(server, "ApiVersion") + " (minimum version " + text_of(server, "MinAPIVersion") +
            ")",
        2,
        18);
    text += line("Git commit", text_of(server, "GitCommit"), 2, 18);
    text += line("Built", text_of(server, "BuildTime"), 2, 18);
    text += line("OS/Arch", text_of(server, "Os") + "/" + text_of(server, "Arch"), 2, 18);
    return text;
}

std::string info_text(const json::Value& info) {
    std::string text = "Server:\n";
    auto add = [&](std::string_view label, const std::string& value) {
        text += " " + std::string(label) + ": " + value + "\n";
    };
    auto number = [&](std::string_view name) { return std::to_string(number_of(info, name)); };
    add("Containers", number("Containers"));
    text += "  Running: " + number("ContainersRunning") +
            "\n  Paused: " + number("ContainersPaused") +
            "\n  Stopped: " + number("ContainersStopped") + "\n";
    add("Images", number("Images"));
    add("Server Version", text_of(info, "ServerVersion"));
    add("Storage Driver", text_of(info, "Driver"));
    for (const json::Value& pair : list_of(info, "DriverStatus")) {
        if (pair.is_array() && pair.get_array().size() == 2 && pair.get_array()[0].is_string() &&
            pair.get_array()[1].is_string()) {
            text += "  " + std::string(pair.get_array()[0].get_string()) + ": " +
                    std::string(pair.get_array()[1].get_string()) + "\n";
        }
    }
    for (auto [label, name] :
         {std::pair<const char*, const char*>{"Logging Driver", "LoggingDriver"},
          {"Cgroup Driver", "CgroupDriver"},
          {"Cgroup Version", "CgroupVersion"},
          {"Default Runtime", "DefaultRuntime"},
          {"Init Binary", "InitBinary"},
          {"Kernel Version", "KernelVersion"},
          {"Operating System", "OperatingSystem"},
          {"OSType", "OSType"},
          {"Architecture", "Architecture"}}) {
        add(label, text_of(info, name));
    }
    add("CPUs", number("NCPU"));
    char memory[32];
    std::snprintf(
        memory,
        sizeof memory,
        "%.4gGiB",
        static_cast<double>(number_of(info, "MemTotal")) / (1U << 30));
    add("Total Memory", memory);
    add("Name", text_of(info, "Name"));
    add("ID", text_of(info, "ID"));
    add("Docker Root Dir", text_of(info, "DockerRootDir"));
    add("Debug Mode", flag_of(info, "Debug") ? "true" : "false");
    add("Live Restore Enabled", flag_of(info, "LiveRestoreEnabled") ? "true" : "false");
    for (const json::Value& warning : list_of(info, "Warnings")) {
        text += warning.is_string() ? std::string(warning.get_string()) + "\n" : "";
    }
    return text;
}

Result<int>
print_document(const json::Value& document, const std::string& format, const std::string& text) {
    if (format.empty()) {
        TRY(print(text));
    } else if (format == "json") {
        TRY(print(json::serialize(document) + "\n"));
    } else {
        Template parsed = TRY(Template::parse(format));
        std::string rendered = TRY(parsed.render(document));
        TRY(print(rendered + "\n"));
    }
    return 0;
}

std::string event_line(const json::Value& event) {
    const json::Value* actor = json::find(event, "Actor");
    const json::Value* attributes = actor ? json::find(*actor, "Attributes") : nullptr;
    std::vector<std::string> pairs;
    if (attributes && attributes->is_object()) {
        for (const auto& [key, value] : attributes->get_object()) {
            pairs.push_back(
                std::string(key) + "=" +
                (value.is_string() ? std::string(value.get_string()) : ""));
        }
    }
    std::sort(pairs.begin(), pairs.end());
    std::string text = format_rfc3339_fixed({number_of(event, "timeNano")}) + " " +
                       text_of(event, "Type") + " " + text_of(event, "Action") + " " +
                       (actor ? text_of(*actor, "ID") : "");
    return text + (pairs.empty() ? "" : " (" + join(pairs, ", ") + ")") + "\n";
}

} // namespace

Result<int> version(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string format;
    flags.text("format", 'f', format, "Format output using a custom template");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    json::Value client = client_version();
    Result<json::Value> server = session.get("/version");
    json::Value known = server.ok() ? *server : json::Value(nullptr);
    json::Value both(json::Object{{"Client", client}, {"Server", known}});
    TRY(print_document(both, format, version_text(client, known)));
    // What is known of the client is printed also when there is no engine, and then the failure.
    if (!server.ok()) {
        return std::move(server).error();
    }
    return 0;
}

Result<int> info(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string format;
    flags.text("format", 'f', format, "Format output using a custom template");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    json::Value document = TRY(session.get("/info"));
    return print_document(document, format, info_text(document));
}

Result<int> events(Session& session, const Invocation& invocation) {
    Flags flags;
    std::vector<std::string> filters;
    std::string format;
    std::string since;
    std::string until;
    flags.list("filter", 'f', filters, "Filter output based on conditions provided");
    flags.text("format", 0, format, "Format output using a custom template");
    flags.text("since", 0, since, "Show all events created since timestamp");
    flags.text("until", 0, until, "Stream events until this timestamp");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    Query query;
    for (auto [name, text] :
         {std::pair<const char*, std::string&>{"since", since}, {"until", until}}) {
        if (!text.empty()) {
            query.add(name, TRY(time_parameter(text)));
        }
    }
    std::string parameter = TRY(filters_parameter(filters));
    if (!parameter.empty()) {
        query.add("filters", parameter);
    }
    std::unique_ptr<ByteSource> source = TRY(session.stream({.target = "/events" + query.text()}));
    DocumentStream documents(*source);
    while (std::optional<json::Value> event = TRY(documents.next())) {
        TRY(print_document(*event, format, event_line(*event)));
    }
    return 0;
}

Result<int> registry(Session& session, const Invocation& invocation) {
    std::vector<std::string> arguments = invocation.arguments;
    bool help = !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h");
    if (!help) {
        arguments.insert(arguments.begin(), "serve");
    }
    return become(session.options().executable, "berth-registry", arguments);
}

} // namespace berth::cli::commands
