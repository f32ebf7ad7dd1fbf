// SPDX-License-Identifier: Apache-2.0
// stats, as docker's: a table that is drawn again and again, or once. Samples are asked for one at
// a time, and the one before is remembered here.
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/stats_row.h"

#include <map>

#include <poll.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr int period = 1000; // milliseconds

const std::vector<Column> columns = {
    {"ID", "CONTAINER ID"},
    {"Name", "NAME"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
};

// docker's template fields beyond the table's.
std::vector<Column> all_columns() {
    std::vector<Column> all = columns;
    all.push_back({"Container", "CONTAINER"});
    return all;
}

struct StatsOptions {
    bool all = false;
    bool once = false;
    bool full_ids = false;
    std::string format;
    std::vector<std::string> names; // none: those that run
};

class StatsView {
  public:
    StatsView(Session& session, const StatsOptions& options)
        : session_(session)
        , options_(options) {}

    // A container that was named and is not there is an error; one that went is left out.
    Result<std::vector<json::Object>> sample() {
        std::vector<json::Object> rows;
        std::map<std::string, CpuSample> now;
        for (const std::string& name : TRY(names())) {
            const auto stats = session_.get(
                "/containers/" + percent_encode(name) + "/stats?stream=false&one-shot=true");
            if (!stats.ok()) {
                const bool is_gone = stats.error().kind() == ErrorKind::NotFound;
                if (is_gone && (options_.names.empty() || seen_.contains(name))) {
                    continue;
                }
                return stats.error();
            }
            const auto before = seen_.find(name);
            rows.push_back(stats_row(
                *stats,
                before == seen_.end() ? nullptr : &before->second,
                options_.names.empty() && !options_.full_ids ? name.substr(0, 12) : name,
                !options_.full_ids));
            now[name] = cpu_sample(*stats);
        }
        seen_ = std::move(now);
        return rows;
    }

  private:
    Result<std::vector<std::string>> names() {
        if (!options_.names.empty()) {
            return options_.names;
        }
        const json::Value list =
            TRY(session_.get(options_.all ? "/containers/json?all=1" : "/containers/json"));
        std::vector<std::string> ids;
        for (const json::Value& summary : list.is_array() ? list.get_array() : json::Array()) {
            ids.push_back(text_of(summary, "Id"));
        }
        return ids;
    }

    Session& session_;
    const StatsOptions& options_;
    std::map<std::string, CpuSample> seen_;
};

// Over what is there: no line of the last drawing stays, and nothing flickers.
std::string redrawn(const std::string& text) {
    std::string drawn = "\033[H";
    for (const std::string_view line : split(text, '\n')) {
        drawn.append(line).append("\033[K\n");
    }
    return drawn + "\033[J";
}

void wait_a_period() {
    ::poll(nullptr, 0, period);
}

} // namespace

Result<int> stats(Session& session, const Invocation& invocation) {
    Flags flags;
    StatsOptions options;
    flags.boolean("all", 'a', options.all, "Show all containers (default shows just running)");
    flags.text(
        "format",
        0,
        options.format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'");
    flags.boolean(
        "no-stream", 0, options.once, "Disable streaming stats and only pull the first result");
    flags.boolean("no-trunc", 0, options.full_ids, "Do not truncate output");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 0);
    options.names = names;
    const bool is_default = options.format.empty() || options.format == "table";
    const std::vector<Column> shown = is_default ? columns : all_columns();
    StatsView view(session, options);
    TRY(view.sample());
    if (options.once) {
        wait_a_period();
        const auto rows = TRY(view.sample());
        TRY(print_rows(shown, rows, options.format));
        return 0;
    }
    const bool redraws = ::isatty(STDOUT_FILENO) == 1;
    if (redraws) {
        TRY(print("\033[2J"));
    }
    while (true) {
        wait_a_period();
        const auto rows = TRY(view.sample());
        const std::string text = TRY(rows_text(shown, rows, options.format));
        TRY(print(redraws ? redrawn(text) : text));
    }
}

} // namespace berth::cli::commands
