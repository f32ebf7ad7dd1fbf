// SPDX-License-Identifier: Apache-2.0
// Images by name: listing, tags, removal, pull and push.
#include "base/strings.h"
#include "base/time.h"
#include "cli/commands/commands.h"
#include "cli/commands/image_tree.h"
#include "cli/commands/pull.h"
#include "cli/document_stream.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "oci/reference.h"

namespace berth::cli::commands {

namespace {

constexpr const char* none = "<none>";

json::Object image_row(
    const json::Value& image,
    const std::string& repository,
    const std::string& tag,
    const std::string& digest,
    bool truncate) {
    std::string id = text_of(image, "Id");
    json::Object row;
    row["Repository"] = repository;
    row["Tag"] = tag;
    row["Digest"] = digest;
    row["ID"] = truncate ? short_id(id) : id;
    row["CreatedSince"] = ago(number_of(image, "Created"));
    row["CreatedAt"] = format_rfc3339(Timestamp::from_seconds(number_of(image, "Created")));
    row["Size"] = human_size(number_of(image, "Size"));
    return row;
}

// One row a tag; one with <none> for an image without names.
void add_image_rows(
    std::vector<json::Object>& rows,
    const json::Value& image,
    bool truncate,
    std::string_view wanted) {
    std::string digest = none;
    for (const json::Value& entry : list_of(image, "RepoDigests")) {
        if (std::optional<Cut> parts =
                cut(entry.is_string() ? std::string_view(entry.get_string()) : "", "@")) {
            digest = parts->after;
        }
    }
    bool named = false;
    for (const json::Value& entry : list_of(image, "RepoTags")) {
        std::string name = entry.is_string() ? std::string(entry.get_string()) : "";
        std::optional<Cut> parts = cut_last(name, ":");
        if (!parts || name == "<none>:<none>") {
            continue;
        }
        named = true;
        if (!wanted.empty() && name != wanted && parts->before != wanted) {
            continue;
        }
        rows.push_back(image_row(
            image, std::string(parts->before), std::string(parts->after), digest, truncate));
    }
    if (!named && wanted.empty()) {
        rows.push_back(image_row(image, none, none, digest, truncate));
    }
}

// What pull and push have alike.
struct TransferFlags {
    bool quiet = false;
    bool all_tags = false;
    bool untrusted = true;
    std::string platform;
};

// With --all-tags the name alone, else a tag or digest, which may be the default one.
Result<oci::Reference> choose_tag(const std::string& name, const TransferFlags& chosen) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(name));
    if (chosen.all_tags && !reference.is_name_only()) {
        return invalid_argument("tag can't be used with --all-tags/-a");
    }
    if (!chosen.untrusted) {
        return not_implemented("content trust is not implemented: signatures are not looked at");
    }
    if (chosen.all_tags) {
        return reference;
    }
    if (reference.is_name_only() && !chosen.quiet) {
        TRY(print("Using default tag: latest\n"));
    }
    return reference.with_default_tag();
}

std::string image_path(const std::string& name, std::string_view action) {
    return "/images/" + percent_encode(name) + (action.empty() ? "" : "/" + std::string(action));
}

} // namespace

Result<int> images(Session& session, const Invocation& invocation) {
    Flags flags;
    bool all = false;
    bool digests = false;
    bool no_trunc = false;
    bool quiet = false;
    std::vector<std::string> filters;
    std::string format;
    flags.boolean("all", 'a', all, "Show all images (default hides intermediate images)");
    flags.boolean("digests", 0, digests, "Show digests");
    flags.list("filter", 'f', filters, "Filter output based on conditions provided");
    flags.text("format", 0, format, "Format output using a custom template");
    flags.boolean("no-trunc", 0, no_trunc, "Don't truncate output");
    flags.boolean("quiet", 'q', quiet, "Only show image IDs");
    bool tree = false;
    flags.boolean("tree", 0, tree, "List multi-platform images as a tree");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 1);
    if (tree) {
        TRY(check_tree_flags({{"format", !format.empty()}, {"quiet", quiet}}));
    }
    Query query;
    query.add("all", all);
    query.add("manifests", tree);
    std::string parameter = TRY(filters_parameter(filters));
    if (!parameter.empty()) {
        query.add("filters", parameter);
    }
    json::Value list = TRY(session.get("/images/json" + query.text()));
    if (tree) {
        TRY(print_image_tree(list, arguments.empty() ? "" : arguments[0], no_trunc));
        return 0;
    }
    std::vector<json::Object> rows;
    for (const json::Value& image : list.is_array() ? list.get_array() : json::Array()) {
        add_image_rows(rows, image, !no_trunc, arguments.empty() ? "" : arguments[0]);
    }
    if (quiet && format.empty()) {
        format = "{{.ID}}";
    }
    std::vector<Column> columns = {{"Repository", "REPOSITORY"}, {"Tag", "TAG"}};
    if (digests) {
        columns.push_back({"Digest", "DIGEST"});
    }
    columns.push_back({"ID", "IMAGE ID"});
    columns.push_back({"CreatedSince", "CREATED"});
    columns.push_back({"Size", "SIZE"});
    TRY(print_rows(columns, rows, format));
    return 0;
}

Result<int> history(Session& session, const Invocation& invocation) {
    Flags flags;
    bool no_trunc = false;
    bool quiet = false;
    bool human = true;
    std::string format;
    flags.text("format", 0, format, "Format output using a custom template");
    flags.boolean("human", 'H', human, "Print sizes and dates in human readable format");
    flags.boolean("no-trunc", 0, no_trunc, "Don't truncate output");
    std::string platform;
    flags.boolean("quiet", 'q', quiet, "Only show image IDs");
    flags.text("platform", 0, platform, "Show history for the given platform");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    Query query;
    TRY(add_platform(query, platform));
    json::Value list = TRY(session.get(image_path(names[0], "history") + query.text()));
    std::vector<json::Object> rows;
    for (const json::Value& entry : list.is_array() ? list.get_array() : json::Array()) {
        std::string id = text_of(entry, "Id");
        std::string created_by = replace_all(text_of(entry, "CreatedBy"), "\t", " ");
        std::int64_t size = number_of(entry, "Size");
        json::Object row;
        row["ID"] = no_trunc || id == "<missing>" ? id : short_id(id);
        row["CreatedSince"] =
            human ? ago(number_of(entry, "Created"))
                  : format_rfc3339(Timestamp::from_seconds(number_of(entry, "Created")));
        row["CreatedBy"] = no_trunc ? created_by : ellipsis(created_by, 45);
        row["Size"] = human ? human_size(size) : std::to_string(size);
        row["Comment"] = text_of(entry, "Comment");
        rows.push_back(std::move(row));
    }
    if (quiet && format.empty()) {
        format = "{{.ID}}";
    }
    TRY(print_rows(
        {{"ID", "IMAGE"},
         {"CreatedSince", "CREATED"},
         {"CreatedBy", "CREATED BY"},
         {"Size", "SIZE"},
         {"Comment", "COMMENT"}},
        rows,
        format));
    return 0;
}

Result<int> tag(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 2, .most = 2);
    oci::Reference target = TRY(oci::Reference::parse_normalized(names[1]));
    if (target.has_digest()) {
        return invalid_argument("refusing to create a tag with a digest reference");
    }
    Query query;
    query.add("repo", target.familiar_name());
    query.add("tag", target.with_default_tag().tag());
    TRY(session.post(image_path(names[0], "tag") + query.text()));
    return 0;
}

Result<int> rmi(Session& session, const Invocation& invocation) {
    Flags flags;
    bool force = false;
    bool no_prune = false;
    flags.boolean("force", 'f', force, "Force removal of the image");
    std::vector<std::string> platforms;
    flags.boolean("no-prune", 0, no_prune, "Do not delete untagged parents");
    flags.list("platform", 0, platforms, "Remove only the given platform variant(s)");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    Query query;
    query.add("force", force);
    query.add("noprune", no_prune);
    TRY(add_platforms(query, "platforms", platforms));
    int exit_code = 0;
    for (const std::string& name : names) {
        Result<json::Value> removed = session.remove(image_path(name, "") + query.text());
        if (!removed.ok()) {
            print_error("berth: " + removed.error().message() + "\n");
            exit_code = 1;
            continue;
        }
        for (const json::Value& step : removed->is_array() ? removed->get_array() : json::Array()) {
            std::string untagged = text_of(step, "Untagged");
            TRY(print(
                untagged.empty() ? "Deleted: " + text_of(step, "Deleted") + "\n"
                                 : "Untagged: " + untagged + "\n"));
        }
    }
    return exit_code;
}

Result<std::string> familiar_with_tag(const std::string& reference) {
    return TRY(oci::Reference::parse_normalized(reference)).with_default_tag().familiar();
}

Result<void> pull_image(Session& session, const PullTarget& target, PullOutput output) {
    const oci::Reference& reference = target.reference;
    Query query;
    query.add("fromImage", reference.familiar_name());
    if (!reference.is_name_only()) {
        query.add("tag", reference.has_digest() ? reference.digest().to_string() : reference.tag());
    }
    if (!target.platform.empty()) {
        query.add("platform", target.platform);
    }
    std::string auth = TRY(session.registry_auth(reference.to_string()));
    std::unique_ptr<ByteSource> source = TRY(session.stream(
        {.method = "POST", .target = "/images/create" + query.text(), .registry_auth = auth}));
    if (output == PullOutput::Stdout) {
        return print_progress(*source);
    }
    // Progress of an implied pull goes to stderr: stdout belongs to the container.
    DocumentStream documents(*source);
    while (std::optional<json::Value> message = TRY(documents.next())) {
        std::string error = text_of(*message, "error");
        if (!error.empty()) {
            return internal_error(error);
        }
        bool tick = !text_of(*message, "progress").empty();
        if (output == PullOutput::Stderr && !tick) {
            std::string id = text_of(*message, "id");
            print_error((id.empty() ? "" : id + ": ") + text_of(*message, "status") + "\n");
        }
    }
    return ok();
}

Result<int> pull(Session& session, const Invocation& invocation) {
    Flags flags;
    TransferFlags chosen;
    flags.boolean("quiet", 'q', chosen.quiet, "Suppress verbose output");
    flags.boolean(
        "disable-content-trust",
        0,
        chosen.untrusted,
        "Skip image verification (there is no other way)");
    flags.boolean("all-tags", 'a', chosen.all_tags, "Download all tagged images in the repository");
    flags.text("platform", 0, chosen.platform, "Set platform if server is multi-platform capable");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    const oci::Reference reference = TRY(choose_tag(names[0], chosen));
    TRY(pull_image(
        session,
        {.reference = reference, .platform = chosen.platform},
        chosen.quiet ? PullOutput::None : PullOutput::Stdout));
    TRY(print(reference.to_string() + "\n"));
    return 0;
}

Result<int> push(Session& session, const Invocation& invocation) {
    Flags flags;
    TransferFlags chosen;
    flags.boolean("quiet", 'q', chosen.quiet, "Suppress verbose output");
    flags.boolean(
        "disable-content-trust", 0, chosen.untrusted, "Skip image signing (there is none)");
    flags.boolean("all-tags", 'a', chosen.all_tags, "Push all tags of an image to the repository");
    flags.text(
        "platform",
        0,
        chosen.platform,
        "Push this platform's manifest alone, not the index (os[/arch[/variant]])");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    const oci::Reference reference = TRY(choose_tag(names[0], chosen));
    // The daemon wants the header on every push; {} stands for "no credentials".
    std::string auth = TRY(session.registry_auth(names[0]));
    Query query;
    if (!chosen.all_tags) {
        query.add("tag", reference.tag());
    }
    TRY(add_platform(query, chosen.platform));
    std::unique_ptr<ByteSource> source = TRY(session.stream(
        {.method = "POST",
         .target = "/images/" + reference.familiar_name() + "/push" + query.text(),
         .registry_auth = auth.empty() ? "e30=" : auth}));
    json::Value aux;
    TRY(print_progress(*source, {.quiet = chosen.quiet, .aux = &aux}));
    if (chosen.quiet) {
        TRY(print(reference.to_string() + "\n"));
    }
    if (flag_of(aux, "manifestPushedInsteadOfIndex")) {
        const json::Value* index = json::find(aux, "originalIndex");
        const json::Value* manifest = json::find(aux, "selectedManifest");
        TRY(print(
            "\ni Info → Not all multiplatform-content is present and only the available "
            "single-platform image was pushed\n         " +
            (index == nullptr ? "" : text_of(*index, "digest")) + " -> " +
            (manifest == nullptr ? "" : text_of(*manifest, "digest")) + "\n"));
    }
    return 0;
}

} // namespace berth::cli::commands
