// SPDX-License-Identifier: Apache-2.0
// What a container's files become: an image (commit), an archive (export), a list (diff).
#include "cli/archive_output.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "oci/reference.h"

namespace berth::cli::commands {

namespace {

std::string container_path(const std::string& name, std::string_view action) {
    return "/containers/" + percent_encode(name) + "/" + std::string(action);
}

char letter_of(std::int64_t kind) {
    constexpr std::string_view letters = "CAD"; // changed, added, deleted
    return kind >= 0 && kind < 3 ? letters[static_cast<std::size_t>(kind)] : '?';
}

} // namespace

Result<int> commit(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string author;
    std::string message;
    std::vector<std::string> changes;
    bool pause = true;
    flags.text(
        "author", 'a', author, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")");
    flags.list("change", 'c', changes, "Apply Dockerfile instruction to the created image");
    flags.text("message", 'm', message, "Commit message");
    flags.boolean("pause", 'p', pause, "Pause container during commit");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1, .most = 2);
    Query query;
    query.add("container", arguments[0]);
    if (arguments.size() > 1) {
        const oci::Reference name = TRY(oci::Reference::parse_normalized(arguments[1]));
        if (name.has_digest()) {
            return invalid_argument("refusing to create a tag with a digest reference");
        }
        query.add("repo", name.familiar_name());
        query.add("tag", name.with_default_tag().tag());
    }
    query.add("comment", message);
    query.add("author", author);
    for (const std::string& change : changes) {
        query.add("changes", change);
    }
    query.add("pause", pause);
    const json::Value made = TRY(session.post("/commit" + query.text()));
    TRY(print(text_of(made, "Id") + "\n"));
    return 0;
}

Result<int> export_container(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string output;
    flags.text("output", 'o', output, "Write to a file, instead of STDOUT");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    TRY_CONTEXT(check_archive_output(output), "failed to export container");
    const auto source = TRY(session.stream({.target = container_path(names[0], "export")}));
    TRY(write_archive(*source, output));
    return 0;
}

Result<int> diff(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    const json::Value changes = TRY(session.get(container_path(names[0], "changes")));
    std::string text;
    for (const json::Value& change : changes.is_array() ? changes.get_array() : json::Array()) {
        text += letter_of(number_of(change, "Kind"));
        text += " " + text_of(change, "Path") + "\n";
    }
    TRY(print(text));
    return 0;
}

} // namespace berth::cli::commands
