// SPDX-License-Identifier: Apache-2.0
// Bytes are hashed on their way to the file. After a restart, or when the digest turns out to be of
// another algorithm, they are read back once.
#include "registry/server/upload.h"

#include "base/file.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::size_t upload_piece_bytes = 128U << 10;

// One for each thread: a new one for each request would be page faults.
std::span<char> piece_buffer() {
    thread_local std::unique_ptr<std::array<char, upload_piece_bytes>> buffer =
        std::make_unique<std::array<char, upload_piece_bytes>>();
    return *buffer;
}

Result<std::size_t> write_some(FdRef fd, std::string_view bytes, std::uint64_t position) {
    while (true) {
        ssize_t count = pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (errno != EINTR) {
            return errno_error("write an upload");
        }
    }
}

} // namespace

bool is_upload_id(std::string_view id) {
    return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::shared_ptr<Upload>> Upload::create(
    std::string id,
    std::shared_ptr<Repository> repository,
    std::string path,
    Usage& total,
    oci::Digester digester) {
    std::shared_ptr<Upload> upload(
        new Upload(std::move(id), std::move(repository), std::move(path), total));
    upload->fd_ = TRY(open_file(upload->path, O_RDWR | O_CREAT | O_EXCL, 0640));
    upload->digester_ = std::move(digester);
    return upload;
}

Result<std::shared_ptr<Upload>> Upload::resume(
    std::string id, std::shared_ptr<Repository> repository, std::string path, Usage& total) {
    std::shared_ptr<Upload> upload(
        new Upload(std::move(id), std::move(repository), std::move(path), total));
    auto fd = open_file(upload->path, O_RDWR | O_NOFOLLOW);
    if (!fd.ok()) {
        bool missing = fd.error().error_number() == ENOENT || fd.error().error_number() == ENOTDIR;
        return missing ? not_found("blob upload unknown to registry") : std::move(fd).error();
    }
    upload->fd_ = std::move(*fd);

    struct stat status {};

    if (fstat(upload->fd_.get(), &status) != 0) {
        return errno_error(upload->path);
    }
    upload->size_ = static_cast<std::uint64_t>(status.st_size);
    upload->write_behind_ = WriteBehind(upload->size_);
    upload->reserved_ = upload->size_; // since it was written, or since the start
    return upload;
}

void Upload::give_back() {
    std::uint64_t bytes = std::exchange(reserved_, 0);
    repository->usage.release(bytes);
    total_.release(bytes);
}

Result<void> Upload::reserve(std::uint64_t bytes) {
    TRY(repository->usage.reserve(bytes));
    if (auto total = total_.reserve(bytes); !total.ok()) {
        repository->usage.release(bytes);
        return total;
    }
    reserved_ += bytes;
    return ok();
}

Result<void> Upload::ensure_digester(std::string_view algorithm) {
    if (digester_ && digester_->algorithm() == algorithm) {
        return ok();
    }
    oci::Digester digester = TRY(oci::Digester::create(algorithm));
    std::span<char> buffer = piece_buffer();
    for (std::uint64_t position = 0; position < size_;) {
        ssize_t count =
            pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(position));
        if (count <= 0) {
            return count < 0 ? errno_error("read " + path)
                             : Error(ErrorKind::DataLoss, path + " became shorter");
        }
        digester.update({buffer.data(), static_cast<std::size_t>(count)});
        position += static_cast<std::uint64_t>(count);
    }
    digester_ = std::move(digester);
    return ok();
}

// To the file's end, and into the hash.
Result<void> Upload::keep(std::string_view bytes) {
    TRY(reserve(bytes.size()));
    while (!bytes.empty()) {
        auto step = write_some(fd_, bytes, size_);
        if (!step.ok()) {
            repository->usage.release(bytes.size());
            total_.release(bytes.size());
            reserved_ -= bytes.size();
            return std::move(step).error();
        }
        digester_->update(bytes.substr(0, *step));
        size_ += *step;
        bytes.remove_prefix(*step);
    }
    write_behind_.wrote_until(fd_, size_);
    return ok();
}

// Whole pieces are written, which the page cache keeps as large folios: cheaper to write, and to
// send later. What came before an error is written first.
Result<void> Upload::append(ByteSource& source) {
    TRY(ensure_digester(digester_ ? digester_->algorithm() : "sha256"));
    std::span<char> buffer = piece_buffer();
    while (true) {
        std::size_t filled = 0;
        Result<std::size_t> count = std::size_t{0};
        do {
            count = source.read(buffer.subspan(filled));
            filled += count.ok() ? *count : 0;
        } while (count.ok() && *count > 0 && filled < buffer.size());
        TRY(keep({buffer.data(), filled}));
        if (!count.ok()) {
            return std::move(count).error();
        }
        if (*count == 0) {
            return ok();
        }
    }
}

Result<oci::Digest> Upload::finish(std::string_view algorithm) {
    TRY(ensure_digester(algorithm));
    oci::Digest digest = digester_->finish();
    digester_.reset();
    if (fdatasync(fd_.get()) != 0) {
        return errno_error("sync an upload");
    }
    return digest;
}

} // namespace berth::registry
