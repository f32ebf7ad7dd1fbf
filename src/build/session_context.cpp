// SPDX-License-Identifier: Apache-2.0
// NAME.dockerignore beside a Dockerfile NAME wins over the context's .dockerignore.
// https://docs.docker.com/build/concepts/context/#filename-and-location
#include "build/session_context.h"

#include "base/strings.h"
#include "build/session_files.h"
#include "kernel/path.h"

#include <cerrno>

#include <fcntl.h>

namespace berth::build {

namespace {

constexpr std::size_t ignore_file_limit = 4U << 20;
// Of directories that only a file or two are wanted of.
constexpr FilesLimits few_files{.bytes = 16U << 20, .entries = 10'000};

// nullopt: there is none.
Result<std::optional<std::string>>
read_optional(const BuildContext& files, const std::string& name) {
    auto file = kernel::open_in_root(files.tree().root(), name, O_RDONLY | O_NONBLOCK);
    if (!file.ok()) {
        const int number = file.error().error_number();
        if (number == ENOENT || number == ENOTDIR || number == ELOOP) {
            return std::optional<std::string>();
        }
        return std::move(file).error();
    }
    std::string text = TRY_CONTEXT(read_all(*file, ignore_file_limit), "failed to read " + name);
    return std::optional(std::move(text));
}

// The patterns as the client matches them: it knows .dockerignore's language.
std::vector<std::string> patterns_of(std::string_view text) {
    std::vector<std::string> patterns;
    if (text.starts_with("\xEF\xBB\xBF")) {
        text.remove_prefix(3);
    }
    for (std::string_view line : split(text, '\n')) {
        if (line.starts_with('#')) {
            continue;
        }
        line = trim(line);
        const bool negated = line.starts_with('!');
        std::string path = std::string(trim(negated ? line.substr(1) : line));
        if (path.empty()) {
            continue;
        }
        path = clean_path(path);
        if (path.size() > 1 && path.starts_with('/')) {
            path.erase(0, 1);
        }
        patterns.push_back(negated ? "!" + path : std::move(path));
    }
    return patterns;
}

} // namespace

Result<std::string> SessionContext::dockerfile(const ContextPlace& place, const std::string& name) {
    BuildContext files = TRY(BuildContext::create_empty(place.directory));
    FilesWanted wanted{.directory = "dockerfile", .include = {}, .exclude = {}, .follow = {}};
    wanted.follow = {name, name + ".dockerignore"};
    if (name == "Dockerfile") {
        wanted.follow.emplace_back("dockerfile");
    }
    TRY(receive_files(place.stop, *session_, wanted, files.tree().root(), few_files, received_));
    if (auto ignored = TRY(read_optional(files, name + ".dockerignore"))) {
        has_ignored_ = true;
        ignored_ = std::move(*ignored);
    }
    return files.read_dockerfile(name);
}

Result<std::string> SessionContext::ignore_file(const ContextPlace& place) const {
    if (has_ignored_) {
        return ignored_;
    }
    const BuildContext files = TRY(BuildContext::create_empty(place.directory));
    const FilesWanted wanted{
        .directory = "context", .include = {}, .exclude = {}, .follow = {".dockerignore"}};
    TRY(receive_files(place.stop, *session_, wanted, files.tree().root(), few_files, {}));
    return TRY(read_optional(files, ".dockerignore")).value_or("");
}

Result<BuildContext> SessionContext::files(const ContextPlace& place) {
    const std::string ignored = TRY(ignore_file(place));
    BuildContext files = TRY(BuildContext::create_empty(place.directory));
    const FilesWanted wanted{
        .directory = "context", .include = {}, .exclude = patterns_of(ignored), .follow = {}};
    const FilesLimits limits{.bytes = place.limits.bytes};
    TRY(receive_files(place.stop, *session_, wanted, files.tree().root(), limits, received_));
    return files;
}

} // namespace berth::build
