// SPDX-License-Identifier: Apache-2.0
// RUN: the command, its environment and mounts, and what of it is the cache's key.
#include "base/file.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "build/stage_executor.h"
#include "build/step_runner.h"
#include "kernel/path.h"

#include <algorithm>
#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace berth::build {

struct StageExecutor::RunPlan {
    RunCommand command;
    std::string inputs; // what the key needs beside the command
};

namespace {

struct MountOptions {
    std::string type = "bind";
    std::string target;
    std::string source;
    std::string from;
    std::string id;
    std::string size;
    mode_t mode = 0755;
    uid_t uid = 0;
    gid_t gid = 0;
    bool read_write = false;
    bool read_only = false;
};

Result<void> set_option(MountOptions& options, std::string_view name, std::string_view value) {
    if (name == "type") {
        options.type = value;
    } else if (name == "target" || name == "dst" || name == "destination") {
        options.target = value;
    } else if (name == "source" || name == "src") {
        options.source = value;
    } else if (name == "from") {
        options.from = value;
    } else if (name == "id") {
        options.id = value;
    } else if (name == "size") {
        options.size = value;
    } else if (name == "mode") {
        options.mode = TRY(parse_number<mode_t>(value, 8)) & 07777U;
    } else if (name == "uid") {
        options.uid = TRY(parse_number<uid_t>(value));
    } else if (name == "gid") {
        options.gid = TRY(parse_number<gid_t>(value));
    } else if (name == "rw" || name == "readwrite") {
        options.read_write = value != "false";
    } else if (name == "ro" || name == "readonly") {
        options.read_only = value != "false";
    } else if (name == "sharing") {
        if (value == "private") {
            return not_implemented("RUN --mount with sharing=private is not implemented");
        }
        if (value != "shared" && value != "locked") {
            return invalid_argument("unsupported sharing value \"" + std::string(value) + "\"");
        }
    } else {
        return invalid_argument("unexpected key '" + std::string(name) + "' in mount");
    }
    return ok();
}

Result<MountOptions> parse_mount(std::string_view text) {
    MountOptions options;
    for (const std::string_view part : split(text, ',')) {
        const auto pair = cut(part, "=");
        TRY(set_option(
            options, pair ? pair->before : part, pair ? pair->after : std::string_view("true")));
    }
    if (options.type != "bind" && options.type != "cache" && options.type != "tmpfs") {
        return invalid_argument("unsupported mount type \"" + options.type + "\"");
    }
    if (options.target.empty()) {
        return invalid_argument("target is required for RUN --mount=type=" + options.type);
    }
    return options;
}

oci::Mount tmpfs_mount(const MountOptions& options) {
    oci::Mount mount{
        .destination = options.target,
        .type = "tmpfs",
        .source = "tmpfs",
        .options = {"nosuid", "nodev"}};
    if (!options.size.empty()) {
        mount.options.push_back("size=" + options.size);
    }
    return mount;
}

} // namespace

// Asked for when the step runs: what a client lends is no part of the cache's key.
Result<void> StageExecutor::plan_lent_mount(const std::string& text, RunPlan& plan) {
    std::vector<LentMount>& lent = plan.command.lent;
    const auto agents = std::count_if(lent.begin(), lent.end(), [](const LentMount& mount) {
        return mount.kind == LentMount::Kind::Agent;
    });
    LentMount mount = TRY(parse_lent_mount(text, static_cast<std::size_t>(agents)));
    if (!mount.target.empty()) {
        if (!mount.target.starts_with('/')) {
            mount.target = state_.image.config.working_dir + "/" + mount.target;
        }
        mount.target = clean_path("/" + mount.target);
    }
    lent.push_back(std::move(mount));
    return ok();
}

// A cache's directory lies below the data root and is no part of an image; a bind shows the context
// or another stage, read-only.
Result<void> StageExecutor::plan_mount(const std::string& text, RunPlan& plan) {
    const std::string expanded = TRY(expand(text));
    for (const std::string_view part : split(expanded, ',')) {
        if (part == "type=secret" || part == "type=ssh") {
            plan.inputs += "mount " + text + "\n";
            return plan_lent_mount(expanded, plan);
        }
    }
    MountOptions options = TRY(parse_mount(expanded));
    if (!options.target.starts_with('/')) {
        options.target = state_.image.config.working_dir + "/" + options.target;
    }
    options.target = clean_path("/" + options.target);
    plan.inputs += "mount " + text + "\n";
    if (options.type == "tmpfs") {
        plan.command.mounts.push_back(tmpfs_mount(options));
        return ok();
    }
    if (options.type == "cache") {
        if (!options.from.empty() || !options.source.empty()) {
            return not_implemented("RUN --mount=type=cache with from or source is not implemented");
        }
        const std::string path = TRY(job_.use_cache_mount(
            {.id = options.id.empty() ? options.target : options.id,
             .target = options.target,
             .uid = options.uid,
             .gid = options.gid,
             .mode = options.mode}));
        plan.command.mounts.push_back(
            {.destination = options.target,
             .type = "bind",
             .source = path,
             .options = {"rbind", "rprivate", options.read_only ? "ro" : "rw"}});
        return ok();
    }
    if (options.read_write) {
        return not_implemented("RUN --mount=type=bind with rw is not implemented");
    }
    const SourceTree* tree = options.from.empty()
                                 ? TRY(job_.context())
                                 : TRY(job_.source_from(options.from, stage_)).tree;
    const auto sources = TRY(tree->find(options.source.empty() ? "." : options.source));
    plan.inputs += TRY(tree->digest(sources[0], SourceTree::Owners::Count)) + "\n";
    const UniqueFd place = TRY(tree->open(sources[0], O_PATH));
    // The real path: nothing in it is a link any more, and nobody changes these trees meanwhile.
    std::array<char, 4096> real{};
    const ssize_t length = ::readlink(kernel::fd_path(place).c_str(), real.data(), real.size());
    if (length < 0) {
        return errno_error("readlink " + kernel::fd_path(place));
    }
    plan.command.mounts.push_back(
        {.destination = options.target,
         .type = "bind",
         .source = std::string(real.data(), static_cast<std::size_t>(length)),
         .options = {"rbind", "rprivate", "ro"}});
    return ok();
}

// As buildkit's dispatchRun: a heredoc alone is the script, with "#!" a program of its own;
// otherwise the shell reads it as it stands in the Dockerfile.
Result<void> StageExecutor::plan_script(const Instruction& instruction, RunPlan& plan) {
    std::vector<std::string>& args = plan.command.args;
    args = instruction.arguments;
    if (instruction.is_json) {
        return ok();
    }
    if (!instruction.heredocs.empty() && instruction.heredocs[0].is_alone) {
        const Heredoc& heredoc = instruction.heredocs[0];
        if (heredoc.content.starts_with("#!")) {
            if (heredoc.name.find('/') != std::string::npos || heredoc.name.starts_with('.')) {
                return invalid_argument("invalid name of a heredoc: " + heredoc.name);
            }
            plan.command.script = heredoc.content;
            plan.command.script_name = heredoc.name;
            plan.inputs += heredoc.content;
            args = {"/dev/pipes/" + heredoc.name};
            return ok();
        }
        args = {heredoc.content};
    } else {
        for (const Heredoc& heredoc : instruction.heredocs) {
            args[0] += "\n" + heredoc.content + heredoc.name;
        }
    }
    const std::vector<std::string> before = shell();
    args.insert(args.begin(), before.begin(), before.end());
    return ok();
}

Result<void> StageExecutor::plan_mounts(const Instruction& instruction, RunPlan& plan) {
    for (const auto& [name, value] : instruction.repeated_flags) {
        TRY(plan_mount(value, plan));
    }
    return ok();
}

Result<void> StageExecutor::run_command(const Instruction& instruction) {
    if (state_.chain_id.empty()) {
        return invalid_argument("Please provide a source image with `from` prior to run");
    }
    RunPlan plan;
    RunCommand& command = plan.command;
    command.network_mode = job_.request().network_mode;
    if (const std::string_view network = instruction.flag("network"); !network.empty()) {
        if (network != "default" && network != "none" && network != "host") {
            return invalid_argument("invalid network mode \"" + std::string(network) + "\"");
        }
        command.network_mode = network;
    }
    if (const std::string_view security = instruction.flag("security");
        !security.empty() && security != "sandbox") {
        return not_implemented("RUN --security=" + std::string(security) + " is not implemented");
    }
    TRY(plan_script(instruction, plan));
    TRY(plan_mounts(instruction, plan));
    command.env = state_.image.config.env;
    command.user = state_.image.config.user;
    command.working_dir = state_.image.config.working_dir;

    // Arguments that the image's environment does not have; the history names them first.
    const Variables environment = variables();
    std::vector<std::string> shown;
    for (const auto& [name, value] : state_.args) {
        const bool in_image =
            environment.at(name) != value ||
            std::any_of(
                state_.image.config.env.begin(),
                state_.image.config.env.end(),
                [&name = name](const std::string& entry) { return entry.starts_with(name + "="); });
        if (!in_image) {
            shown.push_back(name + "=" + value);
        }
    }
    command.env.insert(command.env.end(), shown.begin(), shown.end());
    for (const std::string_view name : predefined_arguments) {
        const auto given = job_.request().build_args.find(std::string(name));
        if (given != job_.request().build_args.end() && given->second &&
            !state_.args.contains(name)) {
            command.env.push_back(given->first + "=" + *given->second);
        }
    }
    std::string created_by = join(command.args, " ");
    if (!shown.empty()) {
        created_by = "|" + std::to_string(shown.size()) + " " + join(shown, " ") + " " + created_by;
    }
    const std::string key = step_key(created_by, plan.inputs);
    const bool cached = TRY(use_cached(key));
    if (cached) {
        return ok();
    }
    const store::LayerInfo info = TRY(run_in_layer(std::move(command)));
    return finish_step(key, created_by, info);
}

Result<store::LayerInfo> StageExecutor::run_in_layer(RunCommand command) {
    const StepLabeling& labeling = job_.options().labeling;
    Rollback undo; // after the layer is gone
    if (labeling.is_enabled()) {
        command.labels = TRY(labeling.take());
        undo.push([&] { labeling.give_back(command.labels); });
    }
    WorkingLayer layer = TRY(WorkingLayer::create(
        job_.store().layers(), job_.database(), state_.chain_id, command.labels.mount));
    if (!command.working_dir.empty()) {
        TRY(TreeCopier(layer.root(), {}).ensure_directory(command.working_dir));
    }
    const std::string short_id = layer.id().substr(0, 12);
    job_.output(" ---> Running in " + short_id + "\n");
    StepRunner runner(job_.options(), job_.request(), job_.client());
    const int code = TRY(runner.run(job_.stop(), layer, command, [this](std::string_view bytes) {
        job_.command_output(bytes);
    }));
    if (code != 0) {
        return job_.command_failed(code, join(command.args, " "));
    }
    store::LayerInfo info = TRY(layer.commit(job_.lease()));
    job_.output(" ---> Removed intermediate container " + short_id + "\n");
    return info;
}

} // namespace berth::build
