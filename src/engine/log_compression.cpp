// SPDX-License-Identifier: Apache-2.0
// A compressed file gets its name before the plain one loses it, so a reader finds one of them. The
// writer may rotate meanwhile: files of records never change their numbers, and those of json-file
// are found again by their inode, under the lock that renaming takes.
#include "engine/log_compression.h"

#include "base/file.h"
#include "codec/compression.h"
#include "codec/stream.h"
#include "io/json_log_files.h"
#include "io/log_format.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr std::size_t buffer_size = 128U << 10;
constexpr std::uint64_t memory_limit = 32U << 20; // compressed
constexpr std::size_t json_file_limit = 1000;

Result<void> decompress_into(FdRef compressed, FdRef plain) {
    if (lseek(compressed.get(), 0, SEEK_SET) < 0) {
        return errno_error("lseek");
    }
    FdSource source(compressed);
    FdSink sink(plain);
    auto decompressor =
        TRY(compression::Decompressor::create(source, compression::DecompressionLimits::none()));
    TRY(copy(*decompressor, sink));
    return ok();
}

struct Candidate {
    std::string path;
    UniqueFd fd;

    struct stat status {};

    std::uint64_t number = 0;
};

std::optional<Candidate> open_candidate(const std::string& path, std::uint64_t number) {
    Candidate candidate{.path = path, .number = number};
    Result<UniqueFd> opened = open_file(path, O_RDONLY | O_NOFOLLOW);
    if (!opened.ok() || fstat(opened.value().get(), &candidate.status) != 0 ||
        !S_ISREG(candidate.status.st_mode)) {
        return std::nullopt;
    }
    candidate.fd = std::move(opened).value();
    return candidate;
}

// Oldest first.
std::vector<Candidate> find_candidates(const io::LogOptions& log) {
    std::vector<Candidate> found;
    const auto consider = [&found](const std::string& path, std::uint64_t number) {
        if (auto candidate = open_candidate(path, number)) {
            found.push_back(std::move(*candidate));
        }
    };
    if (log.form == io::LogForm::Json) {
        for (std::size_t number = log.max_files; number > 0; --number) {
            consider(io::json_log_path(log.json_file, number), number);
        }
        return found;
    }
    std::vector<std::uint64_t> numbers = io::log_file_numbers(log.directory);
    if (!numbers.empty()) {
        numbers.pop_back(); // it is written
    }
    for (const std::uint64_t number : numbers) {
        consider(io::log_file_path(log.directory, number), number);
    }
    return found;
}

Result<void> compress_file(const Candidate& candidate, FdRef target, const std::stop_token& stop) {
    FdSink sink(target);
    auto compressor = TRY(compression::Compressor::create(sink, compression::Format::Gzip));
    std::vector<char> buffer(buffer_size);
    off_t offset = 0;
    while (true) {
        const ssize_t count = pread(candidate.fd.get(), buffer.data(), buffer.size(), offset);
        if (count < 0) {
            return errno_error("read " + candidate.path);
        }
        if (count == 0) {
            break;
        }
        if (stop.stop_requested()) {
            return Error(ErrorKind::Cancelled, "the engine stops");
        }
        TRY(compressor->write({buffer.data(), static_cast<std::size_t>(count)}));
        offset += count;
    }
    TRY(compressor->finish());
    // --since passes over whole files by their time.
    const std::array<timespec, 2> times{candidate.status.st_atim, candidate.status.st_mtim};
    return futimens(target.get(), times.data()) == 0 ? ok() : errno_error("futimens");
}

Result<void>
publish_json(const io::LogOptions& log, const Candidate& candidate, const std::string& made) {
    const auto lock = io::try_lock_json_log(log.directory);
    if (!lock) {
        return Error(ErrorKind::Unavailable, "the log is being rotated");
    }
    const auto number = io::find_json_log(log.json_file, candidate.status.st_ino, json_file_limit);
    if (!number || *number == 0) {
        return Error(ErrorKind::NotFound, "the log file has gone");
    }
    const std::string path = io::json_log_path(log.json_file, *number);
    if (std::rename(made.c_str(), (path + io::compressed_log_suffix).c_str()) != 0) {
        return errno_error("rename " + made);
    }
    (void)unlink(path.c_str());
    return ok();
}

Result<void>
publish_records(const io::LogOptions& log, const Candidate& candidate, const std::string& made) {
    const std::string path = io::compressed_log_path(log.directory, candidate.number);
    if (std::rename(made.c_str(), path.c_str()) != 0) {
        return errno_error("rename " + made);
    }
    (void)unlink(candidate.path.c_str());
    // The writer has removed the number meanwhile, and does not come back to it.
    const std::vector<std::uint64_t> numbers = io::log_file_numbers(log.directory);
    if (!numbers.empty() && candidate.number + log.max_files <= numbers.back() &&
        log.backlog == io::LogBacklog::DropOldest) {
        io::remove_log_file(log.directory, candidate.number);
    }
    return ok();
}

Result<void>
compress_one(const io::LogOptions& log, const Candidate& candidate, const std::stop_token& stop) {
    const std::string made = log.directory + "/compressing";
    UniqueFd target = TRY(open_file(made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640));
    auto done = compress_file(candidate, target, stop);
    if (done.ok()) {
        done = log.form == io::LogForm::Json ? publish_json(log, candidate, made)
                                             : publish_records(log, candidate, made);
    }
    if (!done.ok()) {
        (void)unlink(made.c_str());
    }
    return done;
}

} // namespace

Result<UniqueFd> decompress_log(const std::string& directory, UniqueFd compressed) {
    struct stat status {};

    if (fstat(compressed.get(), &status) != 0) {
        return errno_error("stat a compressed log");
    }
    Result<UniqueFd> file = open_file(directory, O_RDWR | O_TMPFILE, 0600);
    if (file.ok() && decompress_into(compressed, file.value()).ok()) {
        return file;
    }
    if (static_cast<std::uint64_t>(status.st_size) > memory_limit) {
        return Error(ErrorKind::Unavailable, "no room to decompress a log in " + directory);
    }
    UniqueFd memory(memfd_create("berth-log", MFD_CLOEXEC)); // a full disk
    if (!memory) {
        return errno_error("memfd_create");
    }
    TRY(decompress_into(compressed, memory));
    return memory;
}

Result<bool> compress_rotated_logs(
    const io::LogOptions& log, std::chrono::milliseconds quiet, const std::stop_token& stop) {
    bool has_younger = false;
    for (const Candidate& candidate : find_candidates(log)) {
        if (stop.stop_requested()) {
            return false;
        }
        const Timestamp modified{
            candidate.status.st_mtim.tv_sec * 1'000'000'000 + candidate.status.st_mtim.tv_nsec};
        const std::int64_t age = Timestamp::now().nanoseconds - modified.nanoseconds;
        if (age < std::chrono::nanoseconds(quiet).count()) {
            has_younger = true;
            continue;
        }
        const auto compressed = compress_one(log, candidate, stop);
        if (!compressed.ok() && compressed.error().kind() == ErrorKind::Unavailable) {
            has_younger = true;
        } else if (!compressed.ok() && compressed.error().kind() != ErrorKind::NotFound) {
            return compressed.error();
        }
    }
    return has_younger;
}

} // namespace berth::engine
