// SPDX-License-Identifier: Apache-2.0
// Volumes as archives, clones of them, and mounts of containers: beyond docker's commands.
#include "base/file.h"
#include "cli/archive_output.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/mount_flag.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

#include <memory>

#include <fcntl.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

std::string volume_path(const std::string& name, const char* what) {
    return "/berth/volumes/" + percent_encode(name) + "/" + what;
}

Result<std::unique_ptr<ByteSource>> open_volume_archive(const std::string& path) {
    if (path.empty() || path == "-") {
        return std::make_unique<FdSource>(FdRef::unowned(STDIN_FILENO));
    }
    auto file = open_file(path, O_RDONLY);
    if (!file.ok()) {
        return std::move(file).error().as(ErrorKind::NotFound);
    }
    return std::make_unique<FdSource>(std::move(*file));
}

struct NewVolumeFlags {
    std::vector<std::string> labels;
    std::vector<std::string> options;

    void declare(Flags& flags) {
        flags.list("label", 0, labels, "Set metadata for the new volume");
        flags.list("opt", 'o', options, "Set driver specific options of the new volume");
    }
};

} // namespace

Result<int> volume_export(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string output;
    bool pause = false;
    flags.text("output", 'o', output, "Write to a file, instead of STDOUT");
    flags.boolean("pause", 'p', pause, "Pause running containers that use it meanwhile");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    const std::string path = output == "-" ? "" : output;
    TRY_CONTEXT(check_archive_output(path), "failed to export volume");
    Query query;
    query.add("pause", pause);
    const auto source =
        TRY(session.stream({.target = volume_path(names[0], "export") + query.text()}));
    TRY(write_archive(*source, path));
    return 0;
}

Result<int> volume_import(Session& session, const Invocation& invocation) {
    Flags flags;
    NewVolumeFlags wanted;
    wanted.declare(flags);
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 2);
    Query query;
    for (const std::string& label : wanted.labels) {
        query.add("label", label);
    }
    for (const std::string& option : wanted.options) {
        query.add("opt", option);
    }
    const auto archive = TRY(open_volume_archive(names.size() > 1 ? names[1] : ""));
    const auto answer = TRY(session.stream(
        {.method = "POST",
         .target = volume_path(names[0], "import") + query.text(),
         .content_type = "application/x-tar",
         .body = archive.get()}));
    TRY(read_to_end(*answer, 1U << 20));
    TRY(print(names[0] + "\n"));
    return 0;
}

Result<int> volume_clone(Session& session, const Invocation& invocation) {
    Flags flags;
    NewVolumeFlags wanted;
    bool pause = false;
    wanted.declare(flags);
    flags.boolean("pause", 'p', pause, "Pause running containers that use the source meanwhile");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 2, .most = 2);
    Query query;
    query.add("pause", pause);
    json::Object body{
        {"Name", names[1]},
        {"DriverOpts", pairs_of(wanted.options)},
        {"Labels", pairs_of(wanted.labels)}};
    const json::Value made = TRY(
        session.post(volume_path(names[0], "clone") + query.text(), json::Value(std::move(body))));
    TRY(print(text_of(made, "Name") + "\n"));
    return 0;
}

// "type=…" and the like is --mount's form, all else --volume's: a path has no "=" before its ":".
Result<int> mount_add(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 2, .most = 2);
    const std::string& text = names[1];
    json::Object body;
    if (text.substr(0, text.find(':')).find('=') != std::string::npos && !text.starts_with('/')) {
        body["Mount"] = TRY(parse_mount_flag(text));
    } else {
        body["Bind"] = absolute_volume_flag(text);
    }
    TRY(session.post(
        "/berth/containers/" + percent_encode(names[0]) + "/mounts", json::Value(std::move(body))));
    return 0;
}

Result<int> mount_rm(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 2, .most = 2);
    Query query;
    query.add("target", names[1]);
    TRY(session.remove("/berth/containers/" + percent_encode(names[0]) + "/mounts" + query.text()));
    return 0;
}

} // namespace berth::cli::commands
