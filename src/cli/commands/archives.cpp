// SPDX-License-Identifier: Apache-2.0
// Images as files: load, save, import, and base images made from a distribution's packages.
#include "base/file.h"
#include "base/strings.h"
#include "cli/archive_output.h"
#include "cli/build_context.h"
#include "cli/child.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "oci/reference.h"

#include <array>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

Result<UniqueFd> open_input(const std::string& path) {
    Result<UniqueFd> file = open_file(path, O_RDONLY);
    if (!file.ok()) {
        return std::move(file).error().as(ErrorKind::NotFound);
    }
    return file;
}

bool is_directory(const std::string& path) {
    struct stat status {};

    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// What `load` sends: a file or standard input as it is, a folder with an image layout as a tar.
Result<std::unique_ptr<ByteSource>> open_image_archive(const std::string& path) {
    if (path.empty()) {
        return std::make_unique<FdSource>(FdRef::unowned(STDIN_FILENO));
    }
    if (!is_directory(path)) {
        return std::make_unique<FdSource>(TRY(open_input(path)));
    }
    if (!exists(path + "/oci-layout") && !exists(path + "/manifest.json")) {
        return invalid_argument(
            path + " is no image: it has neither an oci-layout nor a manifest.json");
    }
    return open_build_context(
        {.folder = path, .dockerfile = {}, .dockerfile_name = {}, .obey_ignore_file = false});
}

Result<void> add_repository(Query& query, const std::string& text) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(text));
    query.add("repo", reference.familiar_name());
    query.add("tag", reference.with_default_tag().tag());
    return ok();
}

// Gives back bytes that were read ahead before the rest of the source.
class PrefixedSource final : public ByteSource {
  public:
    PrefixedSource(std::string prefix, ByteSource& rest)
        : prefix_(std::move(prefix))
        , rest_(rest) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        if (prefix_.empty()) {
            return rest_.read(buffer);
        }
        std::size_t size = prefix_.copy(buffer.data(), buffer.size());
        prefix_.erase(0, size);
        return size;
    }

  private:
    std::string prefix_;
    ByteSource& rest_;
};

struct BootstrapFlags {
    std::string include;
    std::string mirror;
    std::string variant = "minbase";
};

// Debian's release numbers as people write them in tags.
Result<std::string> suite_of(const oci::Reference& reference) {
    if (reference.familiar_name() != "debian") {
        return not_implemented(
            "cannot bootstrap " + reference.familiar() +
            ": debian:<suite> is known, such as debian:bookworm");
    }
    std::string tag = reference.with_default_tag().tag();
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> releases{{
        {"11", "bullseye"},
        {"12", "bookworm"},
        {"13", "trixie"},
        {"14", "forky"},
        {"latest", "stable"},
        {"unstable", "sid"},
    }};
    for (const auto& [number, suite] : releases) {
        if (tag == number) {
            return std::string(suite);
        }
    }
    return tag;
}

Result<int>
bootstrap_image(Session& session, const BootstrapFlags& flags, const std::string& name) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(name)).with_default_tag();
    const std::string suite = TRY(suite_of(reference));
    std::vector<std::string> arguments = {
        "mmdebstrap", "--quiet", "--variant=" + flags.variant, "--format=tar"};
    if (!flags.include.empty()) {
        arguments.push_back("--include=" + flags.include);
    }
    // What the official images do: no recommended packages, no services started at installation.
    const std::string policy = "--customize-hook=printf '#!/bin/sh\\nexit 101\\n' > "
                               "\"$1/usr/sbin/policy-rc.d\"; chmod +x \"$1/usr/sbin/policy-rc.d\"";
    arguments.insert(
        arguments.end(),
        {"--aptopt=APT::Install-Recommends \"false\"",
         policy,
         "--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"",
         suite,
         "-"});
    if (!flags.mirror.empty()) {
        arguments.push_back(flags.mirror);
    }
    // A failed bootstrap must not become an empty image: nothing is sent before the first byte is
    // there.
    Result<ChildOutput> child = ChildOutput::start(arguments);
    if (!child.ok()) {
        return child.error().kind() == ErrorKind::NotFound
                   ? not_found("mmdebstrap is not installed: apt-get install mmdebstrap")
                   : std::move(child).error();
    }
    std::array<char, 512> first;
    Result<std::size_t> got = child->read(first);
    if (!got.ok() || *got == 0) {
        return Error(
            ErrorKind::Unavailable,
            "cannot make " + reference.familiar() + ": " +
                (got.ok() ? "mmdebstrap wrote nothing" : got.error().message()) +
                "; are the distribution's packages reachable?");
    }
    PrefixedSource source(std::string(first.data(), *got), *child);
    Query query;
    query.add("fromSrc", "-");
    TRY(add_repository(query, name));
    query.add("changes", "CMD [\"bash\"]");
    query.add("message", "bootstrapped with mmdebstrap");
    std::unique_ptr<ByteSource> answer = TRY(session.stream(
        {.method = "POST",
         .target = "/images/create" + query.text(),
         .content_type = "application/x-tar",
         .body = &source}));
    TRY(print_progress(*answer));
    return 0;
}

} // namespace

Result<int> load(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string input;
    bool quiet = false;
    flags.text("input", 'i', input, "Read from tar archive file, instead of STDIN");
    std::vector<std::string> platforms;
    flags.boolean("quiet", 'q', quiet, "Suppress the load output");
    flags.list("platform", 0, platforms, "Load only the given platform variant(s)");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 0);
    if (input.empty() && ::isatty(STDIN_FILENO) == 1) {
        return invalid_argument("requested load from stdin, but stdin is empty");
    }
    const std::unique_ptr<ByteSource> source = TRY(open_image_archive(input));
    Query query;
    query.add("quiet", quiet);
    TRY(add_platforms(query, "platform", platforms));
    std::unique_ptr<ByteSource> answer = TRY(session.stream(
        {.method = "POST",
         .target = "/images/load" + query.text(),
         .content_type = "application/x-tar",
         .body = source.get()}));
    TRY(print_progress(*answer));
    return 0;
}

Result<int> save(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string output;
    std::vector<std::string> platforms;
    flags.text("output", 'o', output, "Write to a file, instead of STDOUT");
    flags.list("platform", 0, platforms, "Save only the given platform variant(s)");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1);
    TRY_CONTEXT(check_archive_output(output), "failed to save image");
    Query query;
    for (const std::string& name : names) {
        query.add("names", name);
    }
    TRY(add_platforms(query, "platform", platforms));
    const auto source = TRY(session.stream({.target = "/images/get" + query.text()}));
    TRY(write_archive(*source, output));
    return 0;
}

Result<int> import(Session& session, const Invocation& invocation) {
    Flags flags;
    std::vector<std::string> changes;
    std::string message;
    std::string platform;
    flags.list("change", 'c', changes, "Apply Dockerfile instruction to the created image");
    flags.text("message", 'm', message, "Set commit message for imported image");
    flags.text("platform", 0, platform, "Set platform if server is multi-platform capable");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1, .most = 2);
    const bool is_remote =
        arguments[0].starts_with("http://") || arguments[0].starts_with("https://");
    Query query;
    query.add("fromSrc", is_remote ? std::string_view(arguments[0]) : "-");
    if (arguments.size() > 1) {
        TRY(add_repository(query, arguments[1]));
    }
    for (const std::string& change : changes) {
        query.add("changes", change);
    }
    query.add("message", message);
    if (!platform.empty()) {
        query.add("platform", platform);
    }
    UniqueFd file;
    if (!is_remote && arguments[0] != "-") {
        file = TRY(open_input(arguments[0]));
    }
    FdSource source(file ? FdRef(file) : FdRef::unowned(STDIN_FILENO));
    std::unique_ptr<ByteSource> answer = TRY(session.stream(
        {.method = "POST",
         .target = "/images/create" + query.text(),
         .content_type = is_remote ? "" : "application/x-tar",
         .body = is_remote ? nullptr : &source}));
    TRY(print_progress(*answer));
    return 0;
}

Result<int> bootstrap(Session& session, const Invocation& invocation) {
    Flags flags;
    BootstrapFlags chosen;
    flags.text("include", 0, chosen.include, "Packages to add, separated by commas");
    flags.text(
        "mirror",
        0,
        chosen.mirror,
        "Where to take the packages from (default: the distribution's own)");
    flags.text("variant", 0, chosen.variant, "mmdebstrap's choice of packages");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    return bootstrap_image(session, chosen, names[0]);
}

} // namespace berth::cli::commands
