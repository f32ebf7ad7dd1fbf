// SPDX-License-Identifier: Apache-2.0
// Commands that look at containers: ps, logs, port, top.
#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"
#include "cli/commands/commands.h"
#include "cli/demultiplexer.h"
#include "cli/listing.h"
#include "cli/log_follow.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

#include <algorithm>
#include <cstring>
#include <ctime>

namespace berth::cli::commands {

namespace {

const std::vector<Column> ps_columns = {
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"RunningFor", "CREATED"},
    {"Status", "STATUS"},
    {"Ports", "PORTS"},
    {"Names", "NAMES"},
};

// "2026-11-25 16:54:15 +0000 UTC", as Go prints a time.
std::string local_time(std::int64_t seconds) {
    const std::time_t time = seconds;
    std::tm parts{};
    localtime_r(&time, &parts);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
    return {text, size};
}

std::string networks_of(const json::Value& summary) {
    const json::Value* settings = json::find(summary, "NetworkSettings");
    const json::Value* networks = settings ? json::find(*settings, "Networks") : nullptr;
    std::vector<std::string> names;
    if (networks && networks->is_object()) {
        for (const auto& [name, settings_there] : networks->get_object()) {
            names.emplace_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    return join(names, ",");
}

void add_mounts(json::Object& row, const json::Value& summary, bool truncate) {
    std::vector<std::string> names;
    std::int64_t local = 0;
    for (const json::Value& mount : list_of(summary, "Mounts")) {
        std::string name = text_of(mount, "Name");
        if (name.empty()) {
            name = text_of(mount, "Source");
        }
        names.push_back(truncate ? ellipsis(name, 15) : name);
        local += text_of(mount, "Driver") == "local" ? 1 : 0;
    }
    row["Mounts"] = join(names, ",");
    row["LocalVolumes"] = std::to_string(local);
}

json::Object ps_row(const json::Value& summary, bool truncate, bool with_size) {
    std::string command = text_of(summary, "Command");
    std::vector<std::string> names;
    for (const json::Value& name : list_of(summary, "Names")) {
        std::string text = name.is_string() ? std::string(name.get_string()) : "";
        if (text.starts_with('/')) {
            text.erase(0, 1);
        }
        // A second slash is a link's alias, which docker hides when it truncates.
        if (!truncate || text.find('/') == std::string::npos) {
            names.push_back(text);
        }
    }
    std::string id = text_of(summary, "Id");
    const json::Value* labels = json::find(summary, "Labels");
    json::Object row;
    row["ID"] = truncate ? short_id(id) : id;
    std::string image = text_of(summary, "Image");
    row["Image"] = truncate && image.starts_with("sha256:") ? short_id(image) : image;
    row["Command"] = "\"" + (truncate ? ellipsis(command, 20) : command) + "\"";
    row["RunningFor"] = ago(number_of(summary, "Created"));
    row["CreatedAt"] = local_time(number_of(summary, "Created"));
    row["Status"] = text_of(summary, "Status");
    row["State"] = text_of(summary, "State");
    row["Ports"] = published_ports(summary);
    row["Names"] = join(names, ",");
    row["Labels"] = labels ? joined_labels(*labels) : std::string();
    row["Networks"] = networks_of(summary);
    add_mounts(row, summary, truncate);
    row["Size"] = human_size(number_of(summary, "SizeRw"));
    if (with_size) {
        row["Size"] = human_size(number_of(summary, "SizeRw")) + " (virtual " +
                      human_size(number_of(summary, "SizeRootFs")) + ")";
    }
    return row;
}

} // namespace

Result<int> ps(Session& session, const Invocation& invocation) {
    Flags flags;
    bool all = false;
    bool latest = false;
    bool no_trunc = false;
    bool quiet = false;
    bool size = false;
    std::optional<std::int64_t> last;
    std::vector<std::string> filters;
    std::string format;
    flags.boolean("all", 'a', all, "Show all containers (default shows just running)");
    flags.list("filter", 'f', filters, "Filter output based on conditions provided");
    flags.text("format", 0, format, "Format output using a custom template");
    flags.number("last", 'n', last, "Show n last created containers (includes all states)");
    flags.boolean("latest", 'l', latest, "Show the latest created container (includes all states)");
    flags.boolean("no-trunc", 0, no_trunc, "Don't truncate output");
    flags.boolean("quiet", 'q', quiet, "Only display container IDs");
    flags.boolean("size", 's', size, "Display total file sizes");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    Query query;
    query.add("all", all);
    if (last || latest) {
        query.add("limit", std::to_string(latest ? 1 : *last));
    }
    const bool with_size = size || format.find(".Size") != std::string::npos;
    if (with_size) {
        query.add("size", true);
    }
    std::string parameter = TRY(filters_parameter(filters));
    if (!parameter.empty()) {
        query.add("filters", parameter);
    }
    json::Value list = TRY(session.get("/containers/json" + query.text()));
    std::vector<json::Object> rows;
    for (const json::Value& summary : list.is_array() ? list.get_array() : json::Array()) {
        rows.push_back(ps_row(summary, !no_trunc, with_size));
    }
    if (quiet && format.empty()) {
        format = "{{.ID}}";
    }
    std::vector<Column> columns = ps_columns;
    if (size) {
        columns.push_back({"Size", "SIZE"});
    }
    TRY(print_rows(columns, rows, format));
    return 0;
}

Result<int> logs(Session& session, const Invocation& invocation) {
    Flags flags;
    bool follow = false;
    bool timestamps = false;
    bool details = false;
    std::string since;
    std::string until;
    std::string tail = "all";
    flags.boolean("follow", 'f', follow, "Follow log output");
    flags.boolean("timestamps", 't', timestamps, "Show timestamps");
    flags.boolean("details", 0, details, "Show extra details provided to logs");
    flags.text(
        "since",
        0,
        since,
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for "
        "42 minutes)");
    flags.text(
        "until",
        0,
        until,
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" "
        "for 42 minutes)");
    flags.text("tail", 'n', tail, "Number of lines to show from the end of the logs");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    std::string path = "/containers/" + percent_encode(names[0]);
    json::Value container = TRY(session.get(path + "/json"));
    Query query;
    query.add("stdout", true);
    query.add("stderr", true);
    query.add("follow", follow);
    query.add("timestamps", timestamps);
    query.add("details", details);
    query.add("tail", tail);
    for (auto [name, text] :
         {std::pair<const char*, std::string&>{"since", since}, {"until", until}}) {
        if (!text.empty()) {
            query.add(name, TRY(time_parameter(text)));
        }
    }
    const json::Value* config = json::find(container, "Config");
    const bool terminal = config && flag_of(*config, "Tty");
    const Multiplexed plain = terminal ? Multiplexed::No : Multiplexed::Yes;
    if (follow) {
        TRY(follow_log(session, path, query, plain));
        return 0;
    }
    std::unique_ptr<ByteSource> source =
        TRY(session.stream({.target = path + "/logs" + query.text()}));
    TRY(copy_output(*source, plain));
    return 0;
}

Result<int> port(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 2);
    json::Value container = TRY(session.get("/containers/" + percent_encode(names[0]) + "/json"));
    std::string wanted = names.size() > 1 ? names[1] : "";
    if (!wanted.empty() && wanted.find('/') == std::string::npos) {
        wanted += "/tcp";
    }
    std::vector<std::string> lines;
    const json::Value* settings = json::find(container, "NetworkSettings");
    const json::Value* ports = settings ? json::find(*settings, "Ports") : nullptr;
    for (const auto& [inside, bindings] :
         ports && ports->is_object() ? ports->get_object() : json::Object()) {
        if (!bindings.is_array() || (!wanted.empty() && wanted != std::string_view(inside))) {
            continue;
        }
        for (const json::Value& binding : bindings.get_array()) {
            std::string ip = text_of(binding, "HostIp");
            std::string address = (ip.find(':') == std::string::npos ? ip : "[" + ip + "]") + ":" +
                                  text_of(binding, "HostPort");
            lines.push_back(wanted.empty() ? std::string(inside) + " -> " + address : address);
        }
    }
    if (lines.empty() && !wanted.empty()) {
        return not_found("No public port '" + wanted + "' published for " + names[0]);
    }
    // By number, as docker: 80 before 443.
    std::sort(lines.begin(), lines.end(), [](const std::string& a, const std::string& b) {
        return strverscmp(a.c_str(), b.c_str()) < 0;
    });
    TRY(print(lines.empty() ? "" : join(lines, "\n") + "\n"));
    return 0;
}

Result<int> top(Session& session, const Invocation& invocation) {
    Flags flags(Flags::Interspersed::No);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1);
    Query query;
    std::vector<std::string> ps_arguments(arguments.begin() + 1, arguments.end());
    if (!ps_arguments.empty()) {
        query.add("ps_args", join(ps_arguments, " "));
    }
    json::Value processes =
        TRY(session.get("/containers/" + percent_encode(arguments[0]) + "/top" + query.text()));
    auto cells = [](const json::Array& values) {
        std::vector<std::string> texts;
        for (const json::Value& value : values) {
            texts.emplace_back(value.is_string() ? std::string(value.get_string()) : "");
        }
        return texts;
    };
    Table table(cells(list_of(processes, "Titles")));
    for (const json::Value& process : list_of(processes, "Processes")) {
        table.row(cells(process.is_array() ? process.get_array() : json::Array()));
    }
    TRY(print(table.text()));
    return 0;
}

} // namespace berth::cli::commands
