// SPDX-License-Identifier: Apache-2.0
// A thread writes the archive into a pipe; the request's body is the pipe's other end.
#include "cli/build_context.h"

#include "base/file.h"
#include "cli/piped_source.h"
#include "codec/ignore_file.h"
#include "codec/tar.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli {

namespace {

constexpr std::int64_t nanoseconds_a_second = 1'000'000'000;

class ContextWriter {
  public:
    ContextWriter(BuildContextOptions options, ByteSink& sink)
        : options_(std::move(options))
        , writer_(sink) {}

    Result<void> write() {
        UniqueFd root = TRY(open_file(options_.folder, O_RDONLY | O_DIRECTORY));
        if (options_.obey_ignore_file) {
            TRY(read_ignore_file());
        }
        TRY(write_folder(root, ""));
        if (!options_.dockerfile.empty()) {
            tar::Header header;
            header.name = options_.dockerfile_name;
            header.size = options_.dockerfile.size();
            TRY(writer_.write_header(header));
            TRY(writer_.write(options_.dockerfile));
        }
        return writer_.finish();
    }

  private:
    // What the engine needs to build stays in the archive whatever the patterns say, as with
    // docker.
    bool is_needed(const std::string& path) const {
        return path == ".dockerignore" || path == options_.dockerfile_name;
    }

    Result<void> read_ignore_file() {
        // <Dockerfile>.dockerignore goes before the context's own.
        for (const std::string& name :
             {options_.dockerfile_name + ".dockerignore", std::string(".dockerignore")}) {
            std::string path = options_.folder + "/" + name;
            if (exists(path)) {
                std::string text = TRY(read_file(path));
                ignored_ = TRY_CONTEXT(IgnoreFile::parse(text), name);
                break;
            }
        }
        return ok();
    }

    Result<void> write_folder(FdRef folder, const std::string& prefix) {
        for (const std::string& name :
             TRY(list_directory("/proc/self/fd/" + std::to_string(folder.get())))) {
            TRY_CONTEXT(write_entry(folder, name, prefix + name), prefix + name);
        }
        return ok();
    }

    Result<void> write_entry(FdRef folder, const std::string& name, const std::string& path) {
        bool excluded = ignored_ && ignored_->excludes(path) && !is_needed(path);

        struct stat status {};

        if (::fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
            return errno_error("stat");
        }
        tar::Header header;
        header.name = path;
        header.mode = status.st_mode & 07777U;
        header.mtime = status.st_mtim.tv_sec * nanoseconds_a_second + status.st_mtim.tv_nsec;
        if (excluded && !(S_ISDIR(status.st_mode) && !ignored_->may_skip_directory(path))) {
            return ok();
        }
        if (S_ISDIR(status.st_mode)) {
            header.type = tar::EntryType::Directory;
            if (!excluded) {
                TRY(writer_.write_header(header));
            }
            UniqueFd child(::openat(
                folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!child) {
                return errno_error("open");
            }
            return write_folder(child, path + "/");
        }
        if (S_ISLNK(status.st_mode)) {
            std::array<char, 4096> target;
            ssize_t size = ::readlinkat(folder.get(), name.c_str(), target.data(), target.size());
            if (size < 0) {
                return errno_error("readlink");
            }
            header.type = tar::EntryType::SymbolicLink;
            header.link_name.assign(target.data(), static_cast<std::size_t>(size));
            return writer_.write_header(header);
        }
        if (S_ISREG(status.st_mode)) {
            return write_file(folder, name, std::move(header));
        }
        return ok();
    }

    Result<void> write_file(FdRef folder, const std::string& name, tar::Header header) {
        UniqueFd file(::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));

        struct stat status {};

        if (!file || ::fstat(file.get(), &status) < 0) {
            return errno_error("open");
        }
        header.size = static_cast<std::uint64_t>(status.st_size);
        TRY(writer_.write_header(header));
        FdSource source{FdRef(file)};
        std::uint64_t left = header.size;
        std::array<char, 65536> buffer;
        while (left > 0) {
            std::size_t wanted = std::min<std::uint64_t>(left, buffer.size());
            std::size_t got = TRY(source.read(std::span(buffer.data(), wanted)));
            if (got == 0) {
                return Error(ErrorKind::DataLoss, "the file shrank while it was read");
            }
            TRY(writer_.write(std::string_view(buffer.data(), got)));
            left -= got;
        }
        return ok();
    }

    BuildContextOptions options_;
    std::optional<IgnoreFile> ignored_;
    tar::Writer writer_;
};

constexpr std::size_t longest_dockerfile = 1U << 20;
constexpr std::size_t tar_header = 512;

// A header of tar has zeros in its fields, and no text has any. gzip, bzip2, xz, zstd.
bool is_archive(std::string_view head) {
    constexpr std::array<std::string_view, 4> compressed{
        "\x1f\x8b", "BZh", "\xfd\x37zXZ", "\x28\xb5\x2f\xfd"};
    return head.find('\0') != std::string_view::npos ||
           std::ranges::any_of(
               compressed, [head](std::string_view magic) { return head.starts_with(magic); });
}

// What was read to look at it, and what follows it.
class ResumedSource final : public ByteSource {
  public:
    ResumedSource(std::string head, FdRef rest)
        : head_(std::move(head))
        , rest_(rest) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        const std::size_t got = TRY(head_.read(buffer));
        return got > 0 || buffer.empty() ? got : rest_.read(buffer);
    }

  private:
    StringSource head_;
    FdSource rest_;
};

} // namespace

Result<std::unique_ptr<ByteSource>> open_build_context(const BuildContextOptions& options) {
    return open_piped_source(
        [options](ByteSink& sink) { return ContextWriter(options, sink).write(); });
}

Result<std::unique_ptr<ByteSource>> open_given_context(FdRef input, const std::string& dockerfile) {
    FdSource source(input);
    std::string head(tar_header, '\0');
    head.resize(TRY(read_full(source, head)));
    if (is_archive(head)) {
        return std::unique_ptr<ByteSource>(std::make_unique<ResumedSource>(std::move(head), input));
    }
    if (!dockerfile.empty()) {
        return invalid_argument(
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
    }
    head += TRY(read_to_end(source, longest_dockerfile));
    StringSink archive;
    tar::Writer writer(archive);
    tar::Header header;
    header.name = "Dockerfile";
    header.size = head.size();
    TRY(writer.write_header(header));
    TRY(writer.write(head));
    TRY(writer.finish());
    return std::unique_ptr<ByteSource>(std::make_unique<StringSource>(archive.take()));
}

} // namespace berth::cli
