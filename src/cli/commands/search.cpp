// SPDX-License-Identifier: Apache-2.0
// docker search: what Docker Hub, or an index that the term names, has under a name.
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/table.h"
#include "codec/stream.h"

namespace berth::cli::commands {

namespace {

constexpr std::size_t answer_limit = 4U << 20;
constexpr std::size_t description_width = 45;

} // namespace

Result<int> search(Session& session, const Invocation& invocation) {
    Flags flags;
    std::vector<std::string> filters;
    std::optional<std::int64_t> limit;
    bool no_trunc = false;
    std::string format;
    flags.list("filter", 'f', filters, "Filter output based on conditions provided");
    flags.text("format", 0, format, "Pretty-print search using a template");
    flags.number("limit", 0, limit, "Max number of search results");
    flags.boolean("no-trunc", 0, no_trunc, "Don't truncate output");
    BERTH_PARSE_ARGUMENTS(terms, flags, invocation, .least = 1, .most = 1);
    Query query;
    query.add("term", terms[0]);
    if (limit) {
        query.add("limit", std::to_string(*limit));
    }
    if (const std::string chosen = TRY(filters_parameter(filters)); !chosen.empty()) {
        query.add("filters", chosen);
    }
    const std::string auth = TRY(session.registry_auth(terms[0]));
    const auto answer =
        TRY(session.stream({.target = "/images/search" + query.text(), .registry_auth = auth}));
    const std::string text = TRY(read_to_end(*answer, answer_limit));
    const json::Value list = TRY(json::parse(text));
    std::vector<json::Object> rows;
    for (const json::Value& result : list.is_array() ? list.get_array() : json::Array()) {
        const std::string description = replace_all(text_of(result, "description"), "\n", " ");
        json::Object row;
        row["Name"] = text_of(result, "name");
        row["Description"] = no_trunc ? description : ellipsis(description, description_width);
        row["StarCount"] = std::to_string(number_of(result, "star_count"));
        row["IsOfficial"] = flag_of(result, "is_official") ? "[OK]" : "";
        rows.push_back(std::move(row));
    }
    TRY(print_rows(
        {{"Name", "NAME"},
         {"Description", "DESCRIPTION"},
         {"StarCount", "STARS"},
         {"IsOfficial", "OFFICIAL"}},
        rows,
        format));
    return 0;
}

} // namespace berth::cli::commands
