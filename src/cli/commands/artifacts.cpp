// SPDX-License-Identifier: Apache-2.0
// artifact: files in a registry, alone or about an image there.
#include "base/file.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "codec/tar.h"
#include "oci/reference.h"

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli::commands {

namespace {

// PATH or PATH:MEDIA/TYPE.
struct ArtifactFile {
    std::string path;
    std::string media_type;
};

ArtifactFile parse_file(const std::string& text) {
    const auto parts = cut_last(text, ":");
    if (parts && parts->after.find('/') != std::string_view::npos && !exists(text)) {
        return {std::string(parts->before), std::string(parts->after)};
    }
    return {text, {}};
}

std::string base_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

// The files as a tar, made while it is read: the daemon takes them from there.
class FilesSource final : public ByteSource {
  public:
    explicit FilesSource(std::vector<ArtifactFile> files)
        : files_(std::move(files)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        while (position_ == pending_.size()) {
            if (ended_) {
                return std::size_t{0};
            }
            TRY(make_more());
        }
        const std::size_t count = pending_.copy(buffer.data(), buffer.size(), position_);
        position_ += count;
        return count;
    }

  private:
    class Pending final : public ByteSink {
      public:
        explicit Pending(std::string& target)
            : target_(target) {}

        Result<void> write(std::string_view bytes) override {
            target_ += bytes;
            return ok();
        }

      private:
        std::string& target_;
    };

    Result<void> make_more() {
        pending_.clear();
        position_ = 0;
        if (!source_) {
            return next_file();
        }
        buffer_.resize(256U << 10);
        const std::size_t count = TRY(source_->read(buffer_));
        if (count == 0) {
            source_.reset();
            return ok();
        }
        return writer_.write(std::string_view(buffer_).substr(0, count));
    }

    Result<void> next_file() {
        if (next_ == files_.size()) {
            ended_ = true;
            return writer_.finish();
        }
        const ArtifactFile& file = files_[next_++];
        UniqueFd fd = TRY(open_file(file.path, O_RDONLY));

        struct stat status {};

        if (::fstat(fd.get(), &status) != 0) {
            return errno_error(file.path);
        }
        if (!S_ISREG(status.st_mode)) {
            return invalid_argument(file.path + " is no plain file");
        }
        tar::Header header;
        header.name = base_name(file.path);
        header.size = static_cast<std::uint64_t>(status.st_size);
        TRY(writer_.write_header(header));
        source_ = std::make_unique<FdSource>(std::move(fd));
        return ok();
    }

    std::vector<ArtifactFile> files_;
    std::size_t next_ = 0;
    std::string pending_;
    std::size_t position_ = 0;
    bool ended_ = false;
    std::string buffer_;
    std::unique_ptr<FdSource> source_;
    Pending sink_{pending_};
    tar::Writer writer_{sink_};
};

// The folder that a file of this name belongs into, made where it is absent. No link is followed:
// the names are a stranger's.
Result<UniqueFd> enter_parent(FdRef root, const std::string& name) {
    UniqueFd current(::openat(root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!current) {
        return errno_error("open the folder for " + name);
    }
    const auto parts = split(name, '/');
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i].empty() || parts[i] == "." || parts[i] == "..") {
            return invalid_argument("the artifact has a file with the name \"" + name + "\"");
        }
        if (i + 1 == parts.size()) {
            break;
        }
        const std::string part(parts[i]);
        if (::mkdirat(current.get(), part.c_str(), 0777) != 0 && errno != EEXIST) {
            return errno_error("make folder " + name);
        }
        UniqueFd child(
            ::openat(current.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child) {
            return errno_error("open folder of " + name);
        }
        current = std::move(child);
    }
    return current;
}

// Under a temporary name first: a transfer that breaks off leaves what was there.
Result<void> write_entry(FdRef root, const tar::Header& header, tar::Reader& reader) {
    const UniqueFd folder = TRY(enter_parent(root, header.name));
    const std::string name = base_name(header.name);
    const std::string temporary = ".berth-" + std::to_string(::getpid()) + ".part";
    UniqueFd file(::openat(
        folder.get(),
        temporary.c_str(),
        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
        0666));
    if (!file) {
        return errno_error("write " + header.name);
    }
    FdSink sink(std::move(file));
    auto copied = copy(reader, sink);
    if (!copied.ok() ||
        ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) != 0) {
        Error error = copied.ok() ? errno_error("write " + header.name)
                                  : std::move(copied).error().with_context(header.name);
        (void)::unlinkat(folder.get(), temporary.c_str(), 0);
        return error;
    }
    return ok();
}

} // namespace

Result<int> artifact_push(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string type;
    std::string subject;
    std::vector<std::string> annotations;
    bool quiet = false;
    flags.list("annotation", 'a', annotations, "Annotation of the manifest (key=value)");
    flags.text("artifact-type", 0, type, "What it is, as a media type");
    flags.boolean("quiet", 'q', quiet, "Print the digest only");
    flags.text("subject", 0, subject, "Tag or digest in the repository that it is about");
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .least = 1);
    Query query;
    query.add("name", arguments[0]);
    query.add("type", type);
    query.add("subject", subject);
    for (const std::string& annotation : annotations) {
        query.add("annotation", annotation);
    }
    std::vector<ArtifactFile> files;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        files.push_back(parse_file(arguments[i]));
        if (!exists(files.back().path)) {
            return not_found(files.back().path + ": no such file");
        }
        query.add("mediatype", files.back().media_type);
    }
    FilesSource source(std::move(files));
    const std::string auth = TRY(session.registry_auth(arguments[0]));
    const auto answer = TRY(session.stream(
        {.method = "POST",
         .target = "/berth/artifacts/push" + query.text(),
         .content_type = "application/x-tar",
         .registry_auth = auth,
         .body = &source}));
    json::Value aux;
    TRY(print_progress(*answer, {.quiet = quiet, .aux = &aux}));
    if (quiet) {
        TRY(print(text_of(aux, "Digest") + "\n"));
    }
    return 0;
}

Result<int> artifact_pull(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string output = ".";
    flags.text("output", 'o', output, "Folder for the files (default: the current one)");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    Query query;
    query.add("name", names[0]);
    const std::string auth = TRY(session.registry_auth(names[0]));
    const auto source = TRY(
        session.stream({.target = "/berth/artifacts/pull" + query.text(), .registry_auth = auth}));
    TRY(make_directories(output, 0777));
    const UniqueFd folder = TRY(open_file(output, O_RDONLY | O_DIRECTORY));
    tar::Reader reader(*source);
    while (const auto header = TRY(reader.next())) {
        if (header->type != tar::EntryType::File) {
            return invalid_argument("the artifact's " + header->name + " is no plain file");
        }
        TRY(write_entry(folder, *header, reader));
        TRY(print(header->name + "\n"));
    }
    return 0;
}

Result<int> artifact_ls(Session& session, const Invocation& invocation) {
    Flags flags;
    std::string type;
    std::string format;
    bool no_trunc = false;
    flags.text("artifact-type", 0, type, "Only what has this type");
    flags.text("format", 0, format, "Format output using a custom template");
    flags.boolean("no-trunc", 0, no_trunc, "Don't truncate output");
    BERTH_PARSE_ARGUMENTS(names, flags, invocation, .least = 1, .most = 1);
    Query query;
    query.add("name", names[0]);
    query.add("type", type);
    const std::string auth = TRY(session.registry_auth(names[0]));
    const auto source = TRY(
        session.stream({.target = "/berth/artifacts/json" + query.text(), .registry_auth = auth}));
    const std::string text = TRY(read_to_end(*source, 64U << 20));
    const json::Value list = TRY(json::parse(text));
    std::vector<json::Object> rows;
    for (const json::Value& referrer : list_of(list, "Referrers")) {
        const std::string digest = text_of(referrer, "digest");
        const json::Value* annotations = json::find(referrer, "annotations");
        json::Object row;
        row["Digest"] = no_trunc ? digest : digest.substr(0, 19);
        row["Type"] = text_of(referrer, "artifactType");
        row["Size"] = human_size(number_of(referrer, "size"));
        row["Annotations"] = annotations == nullptr ? "" : joined_labels(*annotations);
        rows.push_back(std::move(row));
    }
    TRY(print_rows(
        {{"Digest", "DIGEST"},
         {"Type", "ARTIFACT TYPE"},
         {"Size", "MANIFEST SIZE"},
         {"Annotations", "ANNOTATIONS"}},
        rows,
        format));
    return 0;
}

} // namespace berth::cli::commands
