// SPDX-License-Identifier: Apache-2.0
// cp, after docker's cli/command/container/cp.go: what is copied where is decided here, the engine
// only packs and unpacks.
#include "base/strings.h"
#include "cli/archive_output.h"
#include "cli/commands/commands.h"
#include "cli/copy_paths.h"
#include "cli/listing.h"
#include "cli/local_archive.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "cli/table.h"
#include "codec/base64.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr std::string_view stat_header = "X-Docker-Container-Path-Stat";

struct CopyOptions {
    bool archive = false;
    bool follow_link = false;
    bool quiet = false;
};

// Of Go's os.FileMode.
constexpr std::int64_t mode_directory = std::int64_t{1} << 31;
constexpr std::int64_t mode_link = std::int64_t{1} << 27;
constexpr std::int64_t mode_device = std::int64_t{1} << 26;

struct RemoteStat {
    std::int64_t mode = 0;
    std::string link_target;
};

std::string archive_target(const CopyArgument& argument, const std::string& more = {}) {
    return "/containers/" + percent_encode(argument.container) +
           "/archive?path=" + percent_encode(argument.path) + more;
}

Result<RemoteStat> decode_stat(const std::string& header) {
    const std::string text = TRY(base64_decode(header));
    const json::Value document = TRY_CONTEXT(json::parse(text), "the daemon's answer");
    return RemoteStat{
        .mode = number_of(document, "mode"), .link_target = text_of(document, "linkTarget")};
}

Result<RemoteStat> remote_stat(Session& session, const CopyArgument& argument) {
    std::string header;
    TRY(session.stream(
        {.method = "HEAD",
         .target = archive_target(argument),
         .wanted_header = stat_header,
         .header_value = &header}));
    return decode_stat(header);
}

std::string from_directory_of(const std::string& path, const std::string& target) {
    return target.starts_with('/') ? target
                                   : clean_path(split_path_entry(path).directory + "/" + target);
}

// Counts what passes, for the line at the end.
class CountedSource final : public ByteSource {
  public:
    explicit CountedSource(ByteSource& source)
        : source_(source) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        const std::size_t got = TRY(source_.read(buffer));
        count_ += static_cast<std::int64_t>(got);
        return got;
    }

    std::int64_t count() const { return count_; }

  private:
    ByteSource& source_;
    std::int64_t count_ = 0;
};

void report(const CopyOptions& options, std::int64_t bytes, const std::string& place) {
    if (!options.quiet) {
        print_error("Successfully copied " + human_size(bytes) + " to " + place + "\n");
    }
}

// docker's ValidateOutputPath.
Result<void> check_output(const std::string& path) {
    struct stat status {};

    const std::string directory = split_path_entry(clean_path(path)).directory;
    if (::stat(directory.c_str(), &status) < 0 && errno == ENOENT) {
        return invalid_argument(
            "invalid output path: directory \"" + directory + "\" does not exist");
    }
    if (::stat(path.c_str(), &status) == 0 &&
        (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))) {
        return invalid_argument(
            "invalid output path: \"" + path +
            "\" must be a directory or a regular file: got a device");
    }
    return ok();
}

Result<void>
copy_from(Session& session, CopyArgument from, const std::string& to, const CopyOptions& options) {
    const bool to_stdout = to == "-";
    if (!to_stdout) {
        TRY(check_output(to));
    }
    CopyEnd source{.path = from.path, .exists = true, .asked_name = {}};
    if (options.follow_link) {
        const auto stat = remote_stat(session, from);
        if (stat.ok() && (stat->mode & mode_link) != 0) {
            source = follow_link(from.path, from_directory_of(from.path, stat->link_target));
            from.path = source.path;
        }
    }
    std::string header;
    const auto content = TRY(session.stream(
        {.target = archive_target(from), .wanted_header = stat_header, .header_value = &header}));
    if (to_stdout) {
        return write_archive(*content, "");
    }
    source.is_directory = (TRY(decode_stat(header)).mode & mode_directory) != 0;
    const CopyEnd place = TRY(local_destination(to));
    CopyPlan plan = TRY(plan_copy(source, place));
    // A link was followed, but its own name is asked for.
    if (plan.old_name.empty() && !source.asked_name.empty()) {
        plan.new_name = source.asked_name;
    }
    if (!source.asked_name.empty()) {
        plan.old_name = split_path_entry(source.path).name;
    }
    CountedSource counted(*content);
    TRY(extract_local(counted, plan));
    report(options, counted.count(), keep_ending(place.path, to));
    return ok();
}

// The container's end: a link that is named is followed.
Result<CopyEnd> remote_destination(Session& session, const CopyArgument& to) {
    CopyEnd end{.path = to.path, .asked_name = {}};
    auto stat = remote_stat(session, to);
    if (!stat.ok()) {
        return end; // the parent may be there
    }
    if ((stat->mode & mode_link) != 0) {
        end.path = from_directory_of(to.path, stat->link_target);
        stat = remote_stat(session, {to.container, end.path});
        if (!stat.ok()) {
            return end;
        }
    }
    if ((stat->mode & mode_device) != 0) {
        return invalid_argument(
            "destination \"" + to.container + ":" + to.path +
            "\" must be a directory or a regular file: got a device");
    }
    end.exists = true;
    end.is_directory = (stat->mode & mode_directory) != 0;
    return end;
}

Result<void> copy_to(
    Session& session, const std::string& from, const CopyArgument& to, const CopyOptions& options) {
    const CopyEnd destination = TRY(remote_destination(session, to));
    std::unique_ptr<ByteSource> archive;
    std::string directory = destination.path;
    if (from == "-") {
        if (!destination.is_directory) {
            return invalid_argument(
                "destination \"" + to.container + ":" + to.path + "\" must be a directory");
        }
        archive = std::make_unique<FdSource>(FdRef::unowned(STDIN_FILENO));
    } else {
        const CopyEnd source =
            TRY(local_source(from, options.follow_link ? Follow::Yes : Follow::No));
        const CopyPlan plan = TRY(plan_copy(source, destination));
        directory = plan.directory;
        archive = TRY(open_local_archive(source, plan));
    }
    CountedSource counted(*archive);
    TRY(session.stream(
        {.method = "PUT",
         .target = archive_target(
             {to.container, directory},
             std::string("&noOverwriteDirNonDir=true") +
                 (options.archive ? "&copyUIDGID=true" : "")),
         .content_type = "application/x-tar",
         .body = &counted}));
    if (from != "-") {
        report(options, counted.count(), to.container + ":" + destination.path);
    }
    return ok();
}

} // namespace

Result<int> cp(Session& session, const Invocation& invocation) {
    Flags flags;
    CopyOptions options;
    flags.boolean("archive", 'a', options.archive, "Archive mode (copy all uid/gid information)");
    flags.boolean("follow-link", 'L', options.follow_link, "Always follow symbol link in SRC_PATH");
    flags.boolean(
        "quiet",
        'q',
        options.quiet,
        "Suppress progress output during copy. Progress output is automatically suppressed if no "
        "terminal is attached");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 2, .most = 2);
    for (const std::string& argument : arguments) {
        if (argument.empty()) {
            return invalid_argument(
                std::string(&argument == arguments.data() ? "source" : "destination") +
                " can not be empty");
        }
    }
    if (!flags.given("quiet")) {
        options.quiet = ::isatty(STDOUT_FILENO) != 1;
    }
    const CopyArgument from = parse_copy_argument(arguments[0]);
    const CopyArgument to = parse_copy_argument(arguments[1]);
    if (!from.container.empty() && !to.container.empty()) {
        return invalid_argument("copying between containers is not supported");
    }
    if (from.container.empty() && to.container.empty()) {
        return invalid_argument("must specify at least one container source");
    }
    if (!from.container.empty()) {
        TRY(copy_from(session, from, to.path, options));
    } else {
        TRY(copy_to(session, from.path, to, options));
    }
    return 0;
}

} // namespace berth::cli::commands
