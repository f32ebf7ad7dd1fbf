// SPDX-License-Identifier: Apache-2.0
// What lies on the engine's disk: how much it is, and whether it is whole.
// Sums as in https://github.com/docker/cli/blob/v28.2.2/cli/command/formatter/disk_usage.go
#include "base/strings.h"
#include "base/time.h"
#include "cli/commands/commands.h"
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

#include <algorithm>

namespace berth::cli::commands {

namespace {

std::string exact_size(std::int64_t bytes) {
    return human_size(bytes, 4);
}

struct Sum {
    std::int64_t total = 0;
    std::int64_t active = 0;
    std::int64_t size = 0;
    std::int64_t reclaimable = 0;
};

enum class Percentage : bool { No, Yes };

json::Object
sum_row(std::string_view type, const Sum& sum, Percentage percentage = Percentage::Yes) {
    std::string reclaimable = exact_size(sum.reclaimable);
    if (sum.size > 0 && percentage == Percentage::Yes) {
        reclaimable += " (" + std::to_string(sum.reclaimable * 100 / sum.size) + "%)";
    }
    return json::Object{
        {"Type", type},
        {"TotalCount", std::to_string(sum.total)},
        {"Active", std::to_string(sum.active)},
        {"Size", exact_size(sum.size)},
        {"Reclaimable", reclaimable}};
}

Sum sum_images(const json::Value& usage) {
    Sum sum{.size = number_of(usage, "LayersSize")};
    std::int64_t used = 0;
    for (const json::Value& image : list_of(usage, "Images")) {
        ++sum.total;
        if (number_of(image, "Containers") > 0) {
            ++sum.active;
            used += number_of(image, "Size") - number_of(image, "SharedSize");
        }
    }
    sum.reclaimable = sum.size - used;
    return sum;
}

Sum sum_containers(const json::Value& usage) {
    Sum sum;
    for (const json::Value& container : list_of(usage, "Containers")) {
        const std::string state = text_of(container, "State");
        const bool active = state == "running" || state == "paused" || state == "restarting";
        const std::int64_t size = number_of(container, "SizeRw");
        ++sum.total;
        sum.active += active ? 1 : 0;
        sum.size += size;
        sum.reclaimable += active ? 0 : size;
    }
    return sum;
}

std::int64_t volume_number(const json::Value& volume, std::string_view name) {
    const json::Value* data = json::find(volume, "UsageData");
    return data != nullptr ? number_of(*data, name) : 0;
}

Sum sum_volumes(const json::Value& usage) {
    Sum sum;
    for (const json::Value& volume : list_of(usage, "Volumes")) {
        const std::int64_t size = std::max<std::int64_t>(volume_number(volume, "Size"), 0);
        const bool active = volume_number(volume, "RefCount") > 0;
        ++sum.total;
        sum.active += active ? 1 : 0;
        sum.size += size;
        sum.reclaimable += active ? 0 : size;
    }
    return sum;
}

Sum sum_build_cache(const json::Value& usage) {
    Sum sum;
    for (const json::Value& record : list_of(usage, "BuildCache")) {
        const bool active = flag_of(record, "InUse");
        const std::int64_t size = flag_of(record, "Shared") ? 0 : number_of(record, "Size");
        ++sum.total;
        sum.active += active ? 1 : 0;
        sum.size += size;
        sum.reclaimable += active ? 0 : size;
    }
    return sum;
}

Result<void> print_images(const json::Value& usage) {
    std::vector<json::Object> rows;
    for (const json::Value& image : list_of(usage, "Images")) {
        const std::int64_t size = number_of(image, "Size");
        const std::int64_t shared = number_of(image, "SharedSize");
        json::Object row{
            {"Repository", "<none>"},
            {"Tag", "<none>"},
            {"ID", short_id(text_of(image, "Id"))},
            {"CreatedSince", ago(number_of(image, "Created"))},
            {"Size", human_size(size)},
            {"SharedSize", exact_size(shared)},
            {"UniqueSize", exact_size(size - shared)},
            {"Containers", std::to_string(number_of(image, "Containers"))}};
        // The first name alone, as docker prints them here.
        const json::Array& names = list_of(image, "RepoTags");
        if (!names.empty() && names[0].is_string()) {
            if (auto parts = cut_last(std::string_view(names[0].get_string()), ":")) {
                row["Repository"] = std::string(parts->before);
                row["Tag"] = std::string(parts->after);
            }
        }
        rows.push_back(std::move(row));
    }
    TRY(print("Images space usage:\n\n"));
    return print_rows(
        {{"Repository", "REPOSITORY"},
         {"Tag", "TAG"},
         {"ID", "IMAGE ID"},
         {"CreatedSince", "CREATED"},
         {"Size", "SIZE"},
         {"SharedSize", "SHARED SIZE"},
         {"UniqueSize", "UNIQUE SIZE"},
         {"Containers", "CONTAINERS"}},
        rows,
        "");
}

Result<void> print_containers(const json::Value& usage) {
    std::vector<json::Object> rows;
    for (const json::Value& container : list_of(usage, "Containers")) {
        std::int64_t local = 0;
        for (const json::Value& mount : list_of(container, "Mounts")) {
            local += text_of(mount, "Driver") == "local" ? 1 : 0;
        }
        std::vector<std::string> names;
        for (const json::Value& name : list_of(container, "Names")) {
            const std::string text = name.is_string() ? std::string(name.get_string()) : "";
            names.push_back(text.starts_with('/') ? text.substr(1) : text);
        }
        const std::string image = text_of(container, "Image");
        rows.push_back(json::Object{
            {"ID", short_id(text_of(container, "Id"))},
            {"Image", image.starts_with("sha256:") ? short_id(image) : image},
            {"Command", "\"" + ellipsis(text_of(container, "Command"), 20) + "\""},
            {"LocalVolumes", std::to_string(local)},
            {"Size", human_size(number_of(container, "SizeRw"))},
            {"RunningFor", ago(number_of(container, "Created"))},
            {"Status", text_of(container, "Status")},
            {"Names", join(names, ",")}});
    }
    TRY(print("\nContainers space usage:\n\n"));
    return print_rows(
        {{"ID", "CONTAINER ID"},
         {"Image", "IMAGE"},
         {"Command", "COMMAND"},
         {"LocalVolumes", "LOCAL VOLUMES"},
         {"Size", "SIZE"},
         {"RunningFor", "CREATED"},
         {"Status", "STATUS"},
         {"Names", "NAMES"}},
        rows,
        "");
}

Result<void> print_volumes(const json::Value& usage) {
    std::vector<json::Object> rows;
    for (const json::Value& volume : list_of(usage, "Volumes")) {
        const std::int64_t size = volume_number(volume, "Size");
        rows.push_back(json::Object{
            {"Name", text_of(volume, "Name")},
            {"Links", std::to_string(volume_number(volume, "RefCount"))},
            {"Size", size < 0 ? "N/A" : exact_size(size)}});
    }
    TRY(print("\nLocal Volumes space usage:\n\n"));
    return print_rows({{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}}, rows, "");
}

Timestamp time_of(const json::Value& record, std::string_view name) {
    return parse_rfc3339(text_of(record, name)).value_or(Timestamp());
}

Result<void> print_build_cache(const json::Value& usage) {
    TRY(print("\nBuild cache usage: " + exact_size(sum_build_cache(usage).size) + "\n\n"));
    std::vector<const json::Value*> records;
    for (const json::Value& record : list_of(usage, "BuildCache")) {
        records.push_back(&record);
    }
    // The ones that were not used for longest first.
    std::stable_sort(records.begin(), records.end(), [](const auto* a, const auto* b) {
        return time_of(*a, "LastUsedAt") < time_of(*b, "LastUsedAt");
    });
    std::vector<json::Object> rows;
    for (const json::Value* record : records) {
        const std::string id = text_of(*record, "ID").substr(0, 12);
        rows.push_back(json::Object{
            {"ID", id + (flag_of(*record, "InUse") ? "*" : "")},
            {"CacheType", text_of(*record, "Type")},
            {"Size", human_size(number_of(*record, "Size"))},
            {"CreatedSince", ago(time_of(*record, "CreatedAt").seconds())},
            {"LastUsedSince", ago(time_of(*record, "LastUsedAt").seconds())},
            {"UsageCount", std::to_string(number_of(*record, "UsageCount"))},
            {"Shared", flag_of(*record, "Shared") ? "true" : "false"}});
    }
    return print_rows(
        {{"ID", "CACHE ID"},
         {"CacheType", "CACHE TYPE"},
         {"Size", "SIZE"},
         {"CreatedSince", "CREATED"},
         {"LastUsedSince", "LAST USED"},
         {"UsageCount", "USAGE"},
         {"Shared", "SHARED"}},
        rows,
        "");
}

Result<void> print_problem(const json::Value& problem) {
    std::vector<std::string> images;
    for (const json::Value& image : list_of(problem, "Images")) {
        images.emplace_back(image.is_string() ? image.get_string() : "");
    }
    std::string line = text_of(problem, "Kind") + " " + text_of(problem, "Subject") + ": " +
                       text_of(problem, "Message");
    if (!images.empty()) {
        line += "; of " + join(images, ", ");
    }
    const std::string remedy = text_of(problem, "Remedy");
    if (flag_of(problem, "Repaired")) {
        line += " (repaired: " + remedy + ")";
    } else if (!remedy.empty()) {
        line += " (not repaired: " + remedy + ")";
    }
    return print(line + "\n");
}

} // namespace

Result<int> system_df(Session& session, const Invocation& invocation) {
    Flags flags;
    bool verbose = false;
    std::string format;
    flags.text("format", 0, format, "Format output using a custom template");
    flags.boolean("verbose", 'v', verbose, "Show detailed information on space usage");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    const json::Value usage = TRY(session.get("/system/df"));
    if (verbose && !format.empty()) {
        return not_implemented("system df -v takes no --format");
    }
    if (verbose) {
        TRY(print_images(usage));
        TRY(print_containers(usage));
        TRY(print_volumes(usage));
        TRY(print_build_cache(usage));
        return 0;
    }
    TRY(print_rows(
        {{"Type", "TYPE"},
         {"TotalCount", "TOTAL"},
         {"Active", "ACTIVE"},
         {"Size", "SIZE"},
         {"Reclaimable", "RECLAIMABLE"}},
        {sum_row("Images", sum_images(usage)),
         sum_row("Containers", sum_containers(usage)),
         sum_row("Local Volumes", sum_volumes(usage)),
         sum_row("Build Cache", sum_build_cache(usage), Percentage::No)},
        format));
    return 0;
}

Result<int> system_check(Session& session, const Invocation& invocation) {
    Flags flags;
    bool repair = false;
    bool deep = false;
    flags.boolean("deep", 0, deep, "Compare every file of every layer too");
    flags.boolean("repair", 0, repair, "Repair what can be repaired from what is there");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    Query query;
    query.add("repair", repair);
    query.add("deep", deep);
    const auto answer =
        TRY(session.stream({.method = "POST", .target = "/berth/system/check" + query.text()}));
    DocumentStream documents(*answer);
    std::int64_t left = 0;
    while (std::optional<json::Value> message = TRY(documents.next())) {
        if (const std::string error = text_of(*message, "error"); !error.empty()) {
            return internal_error(error);
        }
        const json::Value* aux = json::find(*message, "aux");
        if (const json::Value* problem = aux ? json::find(*aux, "Problem") : nullptr) {
            TRY(print_problem(*problem));
        } else if (const json::Value* sum = aux ? json::find(*aux, "Summary") : nullptr) {
            left = number_of(*sum, "Problems") - number_of(*sum, "Repaired");
            TRY(print(
                "Checked " + text_of(*sum, "Blobs") + " blobs (" +
                human_size(number_of(*sum, "BlobBytes")) + "), " + text_of(*sum, "Layers") +
                " layers, " + text_of(*sum, "Images") + " images: " + text_of(*sum, "Problems") +
                " problems, " + text_of(*sum, "Repaired") + " repaired\n"));
        }
    }
    return left == 0 ? 0 : 1;
}

} // namespace berth::cli::commands
