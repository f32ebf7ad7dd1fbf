// SPDX-License-Identifier: Apache-2.0
// The engine itself: version, info, events; and the registry program.
#include "base/build_commit.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/child.h"
#include "cli/commands/commands.h"
#include "cli/demultiplexer.h"
#include "cli/document_stream.h"
#include "cli/event_follow.h"
#include "cli/info_text.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/template.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace berth::cli::commands {

namespace {

json::Value client_version() {
    return json::Value(json::Object{
        {"Version", BERTH_VERSION},
        {"ApiVersion", "1.49"},
        {"GitCommit", build_commit()},
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

// "Wed Nov 25 17:13:28 2026" for the engine's RFC 3339 time.
std::string build_time(const std::string& text) {
    std::tm time{};
    if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time) == nullptr) {
        return text;
    }
    timegm(&time); // finds the day of the week
    char words[64];
    const std::size_t size = std::strftime(words, sizeof words, "%a %b %e %H:%M:%S %Y", &time);
    return std::string(words, size);
}

std::string version_text(const json::Value& client, const json::Value& server) {
    std::string text = "Client:\n";
    text += line("Version", text_of(client, "Version"), 1, 19);
    text += line("API version", text_of(client, "ApiVersion"), 1, 19);
    text += line("Git commit", text_of(client, "GitCommit"), 1, 19);
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
    const std::string commit = text_of(server, "GitCommit");
    text += commit.empty() ? "" : line("Git commit", commit, 2, 18);
    text += line("Built", build_time(text_of(server, "BuildTime")), 2, 18);
    text += line("OS/Arch", text_of(server, "Os") + "/" + text_of(server, "Arch"), 2, 18);
    const bool experimental = flag_of(server, "Experimental");
    return text + line("Experimental", experimental ? "true" : "false", 2, 18);
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
    const int code = TRY(print_document(document, format, info_text(document)));
    for (const std::string& warning : texts_of(json::find(document, "Warnings"))) {
        if (format.empty()) {
            print_error(warning + "\n");
        }
    }
    return code;
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
    if (!until.empty()) {
        query.add("until", TRY(time_parameter(until)));
    }
    std::string parameter = TRY(filters_parameter(filters));
    if (!parameter.empty()) {
        query.add("filters", parameter);
    }
    const auto show = [&format](const json::Value& event) -> Result<void> {
        TRY(print_document(event, format, event_line(event)));
        return ok();
    };
    if (!since.empty()) {
        since = TRY(time_parameter(since));
    }
    TRY(follow_events(session, query, since, show));
    return 0;
}

Result<int> registry(Session& session, const Invocation& invocation) {
    std::vector<std::string> arguments = invocation.arguments;
    std::string first = arguments.empty() ? std::string() : arguments[0];
    bool complete = first == "--help" || first == "-h" || first == "gc" || first == "serve";
    if (!complete) {
        arguments.insert(arguments.begin(), "serve");
    }
    return become(session.options().executable, "berth-registry", arguments);
}

} // namespace berth::cli::commands
