// SPDX-License-Identifier: Apache-2.0
// Unpacking uses the store's extractor: the archive is as hostile as a layer.
#include "build/build_context.h"

#include "build/directory_walk.h"
#include "build/dockerfile.h"
#include "codec/compression.h"
#include "codec/ignore_file.h"
#include "kernel/path.h"
#include "store/layer_extractor.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr std::size_t ignore_file_limit = 4U << 20;

bool is_absent(const Error& error) {
    return error.error_number() == ENOENT || error.error_number() == ENOTDIR ||
           error.error_number() == ELOOP;
}

// True when the directory is empty afterwards.
Result<bool>
remove_excluded(FdRef directory, const std::string& path, const IgnoreFile& ignore, int depth) {
    if (depth > tree_depth_limit) {
        return tree_too_deep();
    }
    std::size_t left = 0;
    for (const std::string& name : TRY(entry_names(directory))) {
        const std::string entry = path.empty() ? name : path + "/" + name;

        struct stat status {};

        if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("stat " + entry);
        }
        const bool excluded = ignore.excludes(entry);
        if (!S_ISDIR(status.st_mode)) {
            left += excluded ? 0 : 1;
            if (excluded && ::unlinkat(directory.get(), name.c_str(), 0) != 0) {
                return errno_error("remove " + entry);
            }
            continue;
        }
        const UniqueFd child(::openat(
            directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child) {
            return errno_error("open " + entry);
        }
        const bool empty = TRY(remove_excluded(child, entry, ignore, depth + 1));
        if (!excluded || !empty) {
            ++left;
        } else if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0) {
            return errno_error("remove " + entry);
        }
        // Removing entries changed the directory's time, which images show.
        const timespec times[2] = {status.st_atim, status.st_mtim};
        ::futimens(child.get(), times);
    }
    return left == 0;
}

} // namespace

Result<BuildContext> BuildContext::create(
    const std::string& parent,
    ByteSource& archive,
    const compression::DecompressionLimits& limits) {
    BuildContext context = TRY(create_empty(parent));
    auto decompressed = TRY(compression::Decompressor::create(archive, limits));
    auto extractor = TRY(store::LayerExtractor::create(context.directory_.path() + "/context"));
    TRY_CONTEXT(extractor.extract(*decompressed), "Error processing tar file");
    return context;
}

Result<BuildContext> BuildContext::create_empty(const std::string& parent) {
    TRY(make_directories(parent, 0700));
    TemporaryDirectory directory = TRY(TemporaryDirectory::create(parent));
    const std::string root = directory.path() + "/context";
    TRY(make_directories(root, 0755));
    auto tree = std::make_unique<SourceTree>(TRY(open_file(root, O_PATH | O_DIRECTORY)));
    return BuildContext(std::move(directory), std::move(tree));
}

Result<std::string> BuildContext::read_dockerfile(const std::string& name) const {
    auto file = kernel::open_in_root(tree_->root(), name, O_RDONLY | O_NONBLOCK);
    if (!file.ok() && name == "Dockerfile") {
        file = kernel::open_in_root(tree_->root(), "dockerfile", O_RDONLY | O_NONBLOCK);
    }
    if (!file.ok()) {
        return is_absent(file.error())
                   ? invalid_argument("Cannot locate specified Dockerfile: " + name)
                   : std::move(file).error();
    }
    auto text = read_all(*file, dockerfile_limit);
    if (!text.ok()) {
        return std::move(text)
            .error()
            .as(ErrorKind::InvalidArgument)
            .with_context("the Dockerfile (" + name + ")");
    }
    if (text->empty()) {
        return invalid_argument("the Dockerfile (" + name + ") cannot be empty");
    }
    return text;
}

Result<void> BuildContext::apply_ignore_file() {
    auto file = kernel::open_in_root(tree_->root(), ".dockerignore", O_RDONLY | O_NONBLOCK);
    if (!file.ok()) {
        return is_absent(file.error()) ? ok() : Result<void>(std::move(file).error());
    }
    const std::string text =
        TRY_CONTEXT(read_all(*file, ignore_file_limit), "failed to read .dockerignore");
    const IgnoreFile ignore = TRY(IgnoreFile::parse(text));
    if (ignore.empty()) {
        return ok();
    }
    TRY(remove_excluded(tree_->root(), "", ignore, 0));
    return ok();
}

} // namespace berth::build
