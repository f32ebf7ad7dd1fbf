// SPDX-License-Identifier: Apache-2.0
// COPY, ADD and WORKDIR. The sources' digest is the cache's key, so that files that did not change
// cost their reading and nothing else.
#include "base/strings.h"
#include "build/config_instructions.h"
#include "build/dockerfile_lines.h"
#include "build/remote_file.h"
#include "build/stage_executor.h"
#include "codec/compression.h"
#include "codec/sha256.h"
#include "codec/tar.h"
#include "kernel/path.h"
#include "runtime/user.h"
#include "store/layer_extractor.h"

#include <algorithm>

#include <fcntl.h>

namespace berth::build {

namespace {

bool is_git_url(std::string_view text) {
    return text.starts_with("git://") || text.starts_with("git@");
}

// Whether ADD unpacks the file: a tar archive, compressed or not.
Result<bool> is_archive(const SourceTree& tree, const SourcePath& source) {
    if (source.is_directory) {
        return false;
    }
    FdSource file(TRY(tree.open(source, O_RDONLY | O_NONBLOCK)));
    auto decompressed = compression::Decompressor::create(file);
    if (!decompressed.ok()) {
        return false;
    }
    tar::Reader reader(**decompressed);
    const auto header = reader.next();
    return header.ok() && header->has_value();
}

} // namespace

struct StageExecutor::CopyPlan {
    struct Inline {
        std::string name;
        std::string content;
    };

    std::string keyword; // "COPY" or "ADD"
    const SourceTree* tree = nullptr;
    std::vector<SourcePath> sources;
    std::vector<RemoteFile> remotes;
    std::vector<Inline> inlines;
    std::string destination; // absolute
    std::string chown;
    std::optional<mode_t> mode;
    bool keep_owners = false;
    bool unpack = false;
    std::string digest; // "file:…", "dir:…" or "multi:…"
};

Result<void> StageExecutor::run_copy(const Instruction& instruction) {
    CopyPlan plan;
    plan.keyword = to_string(instruction.keyword);
    plan.tree = TRY(job_.context());
    // A wrong --from is told without "COPY failed".
    const std::string_view from = instruction.flag("from");
    if (!from.empty()) {
        plan.tree = TRY(job_.source_from(std::string(from), stage_)).tree;
    }
    TRY_CONTEXT(plan_copy(instruction, plan), plan.keyword + " failed");
    const std::string created_by =
        no_operation(plan.keyword + " " + plan.digest + " in " + plan.destination + " ");
    const std::string options = plan.chown + " " + std::string(instruction.flag("chmod")) +
                                (plan.keep_owners ? " owners" : "");
    const std::string key = step_key(created_by, options);
    const bool cached = TRY(use_cached(key));
    if (cached) {
        return ok();
    }
    WorkingLayer layer =
        TRY(WorkingLayer::create(job_.store().layers(), job_.database(), state_.chain_id));
    TRY_CONTEXT(perform_copy(plan, layer), plan.keyword + " failed");
    const store::LayerInfo info = TRY(layer.commit(job_.lease()));
    return finish_step(key, created_by, info);
}

Result<void> StageExecutor::plan_copy(const Instruction& instruction, CopyPlan& plan) {
    plan.unpack = instruction.keyword == Keyword::Add;
    if (!instruction.flag("keep-git-dir").empty()) {
        return not_implemented("the flag --keep-git-dir is for git repositories");
    }
    if (instruction.flag("parents") == "true" || !instruction.repeated_flags.empty()) {
        return not_implemented("--parents and --exclude are not implemented");
    }
    plan.chown = TRY(expand(std::string(instruction.flag("chown"))));
    if (const std::string_view text = instruction.flag("chmod"); !text.empty()) {
        const std::string expanded = TRY(expand(std::string(text)));
        const auto mode = parse_number<mode_t>(expanded, 8);
        if (!mode.ok() || *mode > 07777) {
            return invalid_argument(
                "invalid chmod parameter: '" + expanded +
                "'. it should be octal string and between 0 and 07777");
        }
        plan.mode = *mode;
    }
    plan.keep_owners = !instruction.flag("from").empty() && plan.chown.empty();
    plan.destination = TRY(expand(instruction.arguments.back()));
    const bool to_directory = plan.destination.ends_with('/') || plan.destination.ends_with("/.") ||
                              plan.destination == ".";
    if (!plan.destination.starts_with('/')) {
        plan.destination = state_.image.config.working_dir + "/" + plan.destination;
    }
    plan.destination = clean_path("/" + plan.destination);
    if (to_directory && plan.destination != "/") {
        plan.destination += '/';
    }
    TRY(add_sources(instruction, plan));
    if (plan.sources.size() + plan.remotes.size() + plan.inlines.size() > 1 &&
        !plan.destination.ends_with('/')) {
        return invalid_argument(
            "When using " + plan.keyword +
            " with more than one source file, the destination must be a directory and end with a "
            "/");
    }
    return ok();
}

// The file's digest. What comes from an address is never unpacked.
Result<std::string>
StageExecutor::add_remote(const Instruction& instruction, const std::string& url, CopyPlan& plan) {
    if (instruction.keyword != Keyword::Add) {
        return invalid_argument("source can't be a URL for COPY");
    }
    if (!is_http_url(url)) {
        return not_implemented("ADD from a git repository (" + url + ") is not implemented");
    }
    std::string checksum;
    if (const std::string_view given = instruction.flag("checksum"); !given.empty()) {
        const std::string expanded = TRY(expand(std::string(given)));
        checksum = TRY_CONTEXT(oci::Digest::parse(expanded), "invalid checksum").to_string();
    }
    RemoteFile file = TRY(RemoteFile::download(
        job_.stop(), {.url = url, .parent = job_.options().data_root + "/tmp"}));
    if (!file.is_named() && plan.destination.ends_with('/')) {
        return invalid_argument("cannot determine filename for source " + url);
    }
    if (!checksum.empty() && file.digest() != checksum) {
        return invalid_argument(
            "digest mismatch for " + url + ": " + file.digest() + ", wanted " + checksum);
    }
    std::string digest = TRY(file.tree().digest(file.path(), SourceTree::Owners::Ignore));
    plan.remotes.push_back(std::move(file));
    return digest;
}

Result<void> StageExecutor::add_sources(const Instruction& instruction, CopyPlan& plan) {
    std::vector<std::string> digests;
    const auto owners = plan.keep_owners ? SourceTree::Owners::Count : SourceTree::Owners::Ignore;
    for (std::size_t i = 0; i + 1 < instruction.arguments.size(); ++i) {
        const std::string& argument = instruction.arguments[i];
        const auto mark = instruction.is_json ? std::nullopt : parse_heredoc_mark(argument);
        const auto heredoc = std::find_if(
            instruction.heredocs.begin(),
            instruction.heredocs.end(),
            [&mark](const Heredoc& candidate) {
                return mark && candidate.name == mark->heredoc.name;
            });
        if (heredoc != instruction.heredocs.end()) {
            std::string content = heredoc->content;
            if (heredoc->expand) {
                content = TRY(expand_text(content, variables(), job_.escape()));
            }
            digests.push_back("file:" + sha256_hex(heredoc->name + "\n" + content));
            plan.inlines.push_back({heredoc->name, std::move(content)});
            continue;
        }
        const std::string pattern = TRY(expand(argument));
        if (is_http_url(pattern) || is_git_url(pattern)) {
            digests.push_back(TRY(add_remote(instruction, pattern, plan)));
            continue;
        }
        for (SourcePath& source : TRY(plan.tree->find(pattern))) {
            digests.push_back(TRY(plan.tree->digest(source, owners)));
            plan.sources.push_back(std::move(source));
        }
    }
    if (digests.empty()) {
        return invalid_argument("no source files were specified");
    }
    if (!instruction.flag("checksum").empty() && (plan.remotes.empty() || digests.size() > 1)) {
        return invalid_argument(
            plan.remotes.empty() ? "checksum can't be specified for non-HTTP(S) sources"
                                 : "checksum can't be specified for multiple sources");
    }
    plan.digest = digests.size() == 1 ? digests[0] : "multi:" + sha256_hex(join(digests, ","));
    return ok();
}

Result<CopyOptions>
StageExecutor::copy_options(const CopyPlan& plan, const WorkingLayer& layer) const {
    CopyOptions options;
    options.mode = plan.mode;
    if (plan.keep_owners) {
        options.owner.reset();
    } else if (!plan.chown.empty()) {
        // "user" alone means its number for the group too, as moby's parseChownFlag has it.
        const bool has_group = plan.chown.find(':') != std::string::npos;
        const runtime::ResolvedUser user = TRY_CONTEXT(
            runtime::resolve_user(layer.root(), plan.chown),
            "unable to convert uid/gid chown string to host mapping");
        options.owner = Owner{user.uid, has_group ? user.gid : user.uid};
        if (!has_group) {
            const auto as_group =
                runtime::resolve_user(layer.root(), plan.chown + ":" + plan.chown);
            if (as_group.ok()) {
                options.owner->gid = as_group->gid;
            }
        }
    }
    return options;
}

Result<void> StageExecutor::perform_copy(const CopyPlan& plan, const WorkingLayer& layer) {
    TreeCopier copier(layer.root(), TRY(copy_options(plan, layer)));
    for (const SourcePath& source : plan.sources) {
        bool unpack = false;
        if (plan.unpack) {
            unpack = TRY(is_archive(*plan.tree, source));
        }
        if (!unpack) {
            TRY(copier.copy(*plan.tree, source, plan.destination));
            continue;
        }
        const UniqueFd directory = TRY(copier.ensure_directory(plan.destination));
        FdSource file(TRY(plan.tree->open(source, O_RDONLY | O_NONBLOCK)));
        auto decompressed =
            TRY(compression::Decompressor::create(file, job_.store().layers().limits()));
        auto extractor = TRY(store::LayerExtractor::create(kernel::fd_path(directory)));
        TRY_CONTEXT(extractor.extract(*decompressed), source.path);
    }
    for (const RemoteFile& file : plan.remotes) {
        TRY(copier.copy(file.tree(), file.path(), plan.destination));
    }
    for (const CopyPlan::Inline& file : plan.inlines) {
        TRY(copier.write(file.name, file.content, plan.destination));
    }
    return ok();
}

Result<void> StageExecutor::run_workdir(const Instruction& instruction) {
    const std::string comment = TRY(apply_to_config(
        instruction, {state_.image.config, state_.cmd_set}, variables(), job_.escape()));
    const std::string& working_dir = state_.image.config.working_dir;
    const std::string created_by = no_operation(comment);
    const std::string key = step_key(created_by);
    const bool cached = TRY(use_cached(key));
    if (cached) {
        return ok();
    }
    WorkingLayer layer =
        TRY(WorkingLayer::create(job_.store().layers(), job_.database(), state_.chain_id));
    const auto there = kernel::open_in_root(layer.root(), working_dir, O_PATH | O_DIRECTORY);
    if (there.ok()) {
        return finish_step(key, created_by, std::nullopt);
    }
    TreeCopier copier(layer.root(), {});
    TRY(copier.ensure_directory(working_dir));
    const store::LayerInfo info = TRY(layer.commit(job_.lease()));
    return finish_step(key, created_by, info);
}

} // namespace berth::build
