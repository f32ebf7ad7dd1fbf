// SPDX-License-Identifier: Apache-2.0
// Networks and volumes.
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

namespace berth::cli::commands {

namespace {

struct ListFlags {
    bool quiet = false;
    bool no_trunc = false;
    std::vector<std::string> filters;
    std::string format;

    void declare(Flags& flags) {
        flags.list("filter", 'f', filters, "Provide filter values (e.g. \"driver=bridge\")");
        flags.text("format", 0, format, "Format output using a custom template");
        flags.boolean("no-trunc", 0, no_trunc, "Do not truncate the output");
        flags.boolean("quiet", 'q', quiet, "Only display IDs or names");
    }

    Result<std::string> query() const {
        Query query;
        std::string parameter = TRY(filters_parameter(filters));
        if (!parameter.empty()) {
            query.add("filters", parameter);
        }
        return query.text();
    }
};

} // namespace

Result<int> network_ls(Session& session, const Invocation& invocation) {
    Flags flags;
    ListFlags chosen;
    chosen.declare(flags);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    std::string query = TRY(chosen.query());
    json::Value list = TRY(session.get("/networks" + query));
    std::vector<json::Object> rows;
    for (const json::Value& network : list.is_array() ? list.get_array() : json::Array()) {
        std::string id = text_of(network, "Id");
        json::Object row;
        row["ID"] = chosen.no_trunc ? id : short_id(id);
        row["Name"] = text_of(network, "Name");
        row["Driver"] = text_of(network, "Driver");
        row["Scope"] = text_of(network, "Scope");
        rows.push_back(std::move(row));
    }
    std::string format = chosen.quiet && chosen.format.empty() ? "{{.ID}}" : chosen.format;
    TRY(print_rows(
        {{"ID", "NETWORK ID"}, {"Name", "NAME"}, {"Driver", "DRIVER"}, {"Scope", "SCOPE"}},
        rows,
        format));
    return 0;
}

Result<int> volume_ls(Session& session, const Invocation& invocation) {
    Flags flags;
    ListFlags chosen;
    chosen.declare(flags);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    std::string query = TRY(chosen.query());
    json::Value list = TRY(session.get("/volumes" + query));
    std::vector<json::Object> rows;
    for (const json::Value& volume : list_of(list, "Volumes")) {
        json::Object row;
        row["Driver"] = text_of(volume, "Driver");
        row["Name"] = text_of(volume, "Name");
        row["Mountpoint"] = text_of(volume, "Mountpoint");
        const json::Value* labels = json::find(volume, "Labels");
        row["Labels"] = labels != nullptr ? joined_labels(*labels) : std::string();
        // As docker shows what only `system df` counts.
        for (const char* name : {"Links", "Size", "Availability", "Group", "Status"}) {
            row[name] = "N/A";
        }
        row["Scope"] = text_of(volume, "Scope");
        rows.push_back(std::move(row));
    }
    std::string format = chosen.quiet && chosen.format.empty() ? "{{.Name}}" : chosen.format;
    TRY(print_rows({{"Driver", "DRIVER"}, {"Name", "VOLUME NAME"}}, rows, format));
    return 0;
}

Result<int> volume_create(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string driver = "local";
    std::vector<std::string> labels;
    std::vector<std::string> options;
    flags.text("driver", 'd', driver, "Specify volume driver name");
    flags.list("label", 0, labels, "Set metadata for a volume");
    flags.list("opt", 'o', options, "Set driver specific options");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .most = 1);
    json::Object body{
        {"Name", names.empty() ? "" : names[0]},
        {"Driver", driver},
        {"DriverOpts", pairs_of(options)},
        {"Labels", pairs_of(labels)}};
    json::Value created = TRY(session.post("/volumes/create", json::Value(std::move(body))));
    TRY(print(text_of(created, "Name") + "\n"));
    return 0;
}

Result<int> volume_rm(Session& session, const Invocation& invocation) {
    Flags flags;
    bool force = false;
    flags.boolean("force", 'f', force, "Force the removal of one or more volumes");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    Query query;
    query.add("force", force);
    int exit_code = 0;
    for (const std::string& name : names) {
        Result<json::Value> removed =
            session.remove("/volumes/" + percent_encode(name) + query.text());
        if (removed.ok()) {
            TRY(print(name + "\n"));
        } else {
            print_error("berth: " + removed.error().message() + "\n");
            exit_code = 1;
        }
    }
    return exit_code;
}

} // namespace berth::cli::commands
