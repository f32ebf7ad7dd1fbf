// SPDX-License-Identifier: Apache-2.0
// Reading an image archive in one pass. What an entry is shows in its first bytes: compressed data
// or a tar's header is a layer, anything else a document.
#include "store/archive_contents.h"

#include "base/strings.h"
#include "codec/compression.h"
#include "store/archive_document.h"
#include "store/layer_extractor.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

namespace berth::store {

namespace {

constexpr std::size_t tar_block = 512;

// By the header's checksum, which old tars without a magic number have as well. An archive that
// begins with a zero block is an empty one.
bool looks_like_tar(std::string_view block) {
    if (block.size() < tar_block) {
        return false;
    }
    constexpr std::size_t field = 148;
    constexpr std::size_t field_bytes = 8;
    unsigned sum = 0;
    for (std::size_t i = 0; i < tar_block; ++i) {
        bool in_field = i >= field && i < field + field_bytes;
        sum += in_field ? unsigned{' '} : static_cast<unsigned char>(block[i]);
    }
    if (sum == field_bytes * ' ') {
        return block.find_first_not_of('\0') == std::string_view::npos;
    }
    std::string_view digits = block.substr(field, field_bytes);
    digits = trim(digits.substr(0, digits.find('\0')));
    Result<unsigned> stated = parse_number<unsigned>(digits, 8);
    return stated.ok() && *stated == sum;
}

// Bytes that were looked at, and the rest behind them.
class PeekedSource final : public ByteSource {
  public:
    PeekedSource(std::string first, ByteSource& rest)
        : first_(std::move(first))
        , rest_(rest) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        if (position_ == first_.size()) {
            return rest_.read(buffer);
        }
        std::size_t count = std::min(buffer.size(), first_.size() - position_);
        std::memcpy(buffer.data(), first_.data() + position_, count);
        position_ += count;
        return count;
    }

  private:
    std::string first_;
    ByteSource& rest_;
    std::size_t position_ = 0;
};

// Reports and can be cancelled.
class WatchedSource final : public ByteSource {
  public:
    WatchedSource(
        ByteSource& source, const std::stop_token& stop, std::function<void(std::uint64_t)> report)
        : source_(source)
        , stop_(stop)
        , report_(std::move(report)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "loading was cancelled");
        }
        std::size_t count = TRY(source_.read(buffer));
        constexpr std::uint64_t step = 512U << 10;
        std::uint64_t before = count_;
        count_ += count;
        if (before / step != count_ / step) {
            report_(count_);
        }
        return count;
    }

  private:
    ByteSource& source_;
    const std::stop_token& stop_;
    std::function<void(std::uint64_t)> report_;
    std::uint64_t count_ = 0;
};

// The first digits of "blobs/sha256/<hex>" and "<hex>/layer.tar": what Docker shows of a layer.
std::string short_name(const std::string& name) {
    constexpr std::size_t short_digits = 12;
    constexpr std::size_t digits = 64;
    for (const std::string_view part : split(name, '/')) {
        if (part.size() == digits &&
            part.find_first_not_of("0123456789abcdef") == std::string_view::npos) {
            return std::string(part.substr(0, short_digits));
        }
    }
    return name;
}

std::string parent_of(const std::string& path) {
    std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

// What "blobs/sha256/<hex>" promises. Of an algorithm that is not taken it is another file.
std::optional<oci::Digest> promised_digest(std::string_view name) {
    if (!name.starts_with(archive::blob_directory)) {
        return std::nullopt;
    }
    const auto parts = cut(name.substr(archive::blob_directory.size()), "/");
    if (!parts) {
        return std::nullopt;
    }
    auto digest =
        oci::parse_blob_digest(std::string(parts->before) + ":" + std::string(parts->after));
    return digest.ok() ? std::optional(std::move(digest).value()) : std::nullopt;
}

} // namespace

ArchiveContents::ArchiveContents(
    std::stop_token stop, ImageStore& images, Lease& lease, const ArchiveProgressCallback& progress)
    : stop_(std::move(stop))
    , images_(images)
    , lease_(lease)
    , progress_(progress)
    , unpackers_(
          {.threads = std::clamp(std::thread::hardware_concurrency(), 2U, 8U),
           .queue_limit = ArchiveLimits::entries,
           .stack_bytes = 1U << 20,
           .name = "unpack"}) {}

Result<void> ArchiveContents::read(ByteSource& archive) {
    for (const LayerInfo& layer : TRY(images_.layers().list())) {
        known_.insert(layer.diff_id);
    }
    // It may hold many layers, so only the ratio counts here.
    compression::DecompressionLimits limits = images_.layers().limits();
    limits.bytes = compression::DecompressionLimits::no_limit;
    auto decompressor = TRY(compression::Decompressor::create(archive, limits));
    tar::Reader reader(*decompressor);
    while (std::optional<tar::Header> header = TRY(reader.next())) {
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "loading was cancelled");
        }
        if (++entries_ > ArchiveLimits::entries) {
            return Error(
                ErrorKind::ResourceExhausted,
                "image archive has more than " + std::to_string(ArchiveLimits::entries) +
                    " entries");
        }
        TRY(read_entry(reader, *header));
        TRY(failure());
    }
    TRY(reader.drain());
    unpackers_.wait_idle();
    return failure();
}

Result<void> ArchiveContents::failure() {
    std::lock_guard lock(mutex_);
    return failure_ ? Result<void>(*failure_) : ok();
}

Result<void> ArchiveContents::read_entry(tar::Reader& reader, const tar::Header& header) {
    std::string name = TRY(clean_entry_name(header.name));
    switch (header.type) {
    case tar::EntryType::File:
        break;
    case tar::EntryType::SymbolicLink: {
        // Old archives have the second copy of a layer as ../<id>/layer.tar.
        std::string target = parent_of(name) + "/" + header.link_name;
        links_.insert_or_assign(name, TRY(clean_entry_name(target)));
        return ok();
    }
    case tar::EntryType::HardLink:
        links_.insert_or_assign(name, TRY(clean_entry_name(header.link_name)));
        return ok();
    case tar::EntryType::Directory:
    case tar::EntryType::CharacterDevice:
    case tar::EntryType::BlockDevice:
    case tar::EntryType::Fifo:
        return ok();
    }
    std::string first(tar_block, '\0');
    first.resize(TRY(read_full(reader, first)));
    bool is_layer =
        looks_like_tar(first) || compression::detect(first) != compression::Format::None;
    PeekedSource data(std::move(first), reader);
    if (!is_layer) {
        if (header.size <= ArchiveLimits::document_bytes) {
            return read_document(data, name);
        }
        too_large_.insert(std::move(name)); // told only if an image wants it
        return ok();
    }
    return read_layer(data, name, header.size);
}

Result<void> ArchiveContents::read_document(ByteSource& data, const std::string& name) {
    std::string bytes = TRY(read_to_end(data, ArchiveLimits::document_bytes));
    documents_bytes_ += bytes.size();
    if (documents_bytes_ > ArchiveLimits::all_documents_bytes) {
        return Error(ErrorKind::ResourceExhausted, "image archive has too many documents");
    }
    std::optional<oci::Digest> promised = promised_digest(name);
    if (promised && oci::digest_of(promised->algorithm(), bytes) != *promised) {
        return Error(ErrorKind::DataLoss, name + " in the image archive is damaged");
    }
    documents_.insert_or_assign(name, std::move(bytes));
    return ok();
}

// Docker says nothing of layers that are here already.
bool ArchiveContents::is_known(const std::string& name) const {
    const std::optional<oci::Digest> promised = promised_digest(name);
    return promised && known_.contains(*promised);
}

Result<void>
ArchiveContents::read_layer(ByteSource& data, const std::string& name, std::uint64_t size) {
    const bool is_new = !is_known(name);
    const std::string shown = short_name(name);
    WatchedSource watched(data, stop_, [&](std::uint64_t current) {
        if (progress_ && is_new) {
            progress_({shown, current, size});
        }
    });
    if (layers_.contains(name)) { // the last of several entries with one name wins
        unpackers_.wait_idle();
        layers_.erase(name);
    }
    Layer& layer = layers_[name];
    auto staged = stage(watched, name, layer);
    if (!staged.ok()) {
        return finish(layer, std::move(staged).error());
    }
    if (progress_ && is_new) {
        progress_({shown, size, size});
    }
    return *staged ? finish(layer, std::move(**staged)) : ok();
}

Result<void> ArchiveContents::finish(Layer& layer, Result<StagedLayer> staged) {
    std::lock_guard lock(mutex_);
    if (staged.ok()) {
        layer.diff_id = staged->diff_id();
        layer.staged = std::move(*staged);
        return ok();
    }
    switch (staged.error().kind()) {
    case ErrorKind::Cancelled:
    case ErrorKind::ResourceExhausted:
    case ErrorKind::Internal:
        failure_ = staged.error();
        return std::move(staged).error();
    case ErrorKind::InvalidArgument:
    case ErrorKind::DataLoss:
    case ErrorKind::NotImplemented:
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden:
    case ErrorKind::NotFound:
    case ErrorKind::Conflict:
    case ErrorKind::NotModified:
    case ErrorKind::Unavailable:
    case ErrorKind::DeadlineExceeded:
        break;
    }
    layer.error = std::move(staged).error();
    return ok();
}

// A compressed layer is kept as the blob that it is, and unpacked behind the caller's back: then
// there is no layer yet. An uncompressed one is compressed when it is needed so.
Result<std::optional<StagedLayer>>
ArchiveContents::stage(ByteSource& data, const std::string& name, Layer& layer) {
    LayerStore& layers = images_.layers();
    std::optional<oci::Digest> promised = promised_digest(name);
    std::string first(compression::detect_bytes, '\0');
    first.resize(TRY(read_full(data, first)));
    compression::Format format = compression::detect(first);
    PeekedSource source(std::move(first), data);
    switch (format) {
    case compression::Format::None: {
        auto bounded = TRY(compression::Decompressor::create(source, layers.limits()));
        StagedLayer staged =
            TRY(layers.stage(lease_, *bounded, {.expected_diff_id = promised, .keep_blob = true}));
        return std::optional(std::move(staged));
    }
    case compression::Format::Gzip:
    case compression::Format::Zstd: {
        const bool gzip = format == compression::Format::Gzip;
        std::string type(gzip ? oci::media_type::oci_layer_gzip : oci::media_type::oci_layer_zstd);
        TRY(unpack_later(source, promised, std::move(type), layer));
        return std::optional<StagedLayer>();
    }
    case compression::Format::Bzip2:
    case compression::Format::Xz:
        break;
    }
    // No manifest may name such a blob.
    auto decompressor = TRY(compression::Decompressor::create(source, layers.limits()));
    StagedLayer staged = TRY(layers.stage(lease_, *decompressor, {.keep_blob = true}));
    return std::optional(std::move(staged));
}

Result<void> ArchiveContents::unpack_later(
    ByteSource& data,
    const std::optional<oci::Digest>& promised,
    std::string media_type,
    Layer& layer) {
    auto writer =
        std::make_shared<BlobWriter>(TRY(images_.blobs().writer(lease_, {.expected = promised})));
    TRY(copy(data, *writer));
    return unpackers_.submit([this, writer, type = std::move(media_type), &layer] {
        // What it says is kept where read() finds it.
        (void)finish(layer, unpack_blob(*writer, type));
    });
}

Result<StagedLayer>
ArchiveContents::unpack_blob(BlobWriter& writer, const std::string& media_type) {
    LayerStore& layers = images_.layers();
    BlobInfo blob = TRY(writer.commit());
    FdSource file(TRY(images_.blobs().open_blob(blob.digest)));
    WatchedSource watched(file, stop_, [](std::uint64_t) {});
    auto decompressor = TRY(compression::Decompressor::create(watched, layers.limits()));
    StagedLayer layer = TRY(layers.stage(lease_, *decompressor));
    TRY(layers.set_blob(layer.diff_id(), {blob.digest, blob.size, media_type}));
    return layer;
}

const std::string* ArchiveContents::document(std::string_view name) const {
    auto found = documents_.find(name);
    return found == documents_.end() ? nullptr : &found->second;
}

bool ArchiveContents::has_layer(const std::string& name) const {
    return layers_.contains(resolve(name));
}

Error ArchiveContents::no_document(const std::string& name) const {
    if (too_large_.contains(name)) {
        return {
            ErrorKind::ResourceExhausted,
            "image archive: " + name + " is no layer, and as a document larger than the limit of " +
                std::to_string(ArchiveLimits::document_bytes) + " bytes"};
    }
    return invalid_argument("image archive: " + name + " is not in it");
}

std::string ArchiveContents::resolve(const std::string& name) const {
    std::string current = name;
    for (int step = 0; step < 8; ++step) { // links of links, not of themselves
        auto link = links_.find(current);
        if (link == links_.end()) {
            break;
        }
        current = link->second;
    }
    return current;
}

Result<LayerInfo> ArchiveContents::publish(
    const oci::Digest& parent,
    const std::vector<std::string>& names,
    std::size_t number,
    const oci::Digest& expected_diff_id) {
    LayerStore& layers = images_.layers();
    const std::string& name = names.at(number);
    auto found = layers_.find(resolve(TRY(clean_entry_name(name))));
    if (found == layers_.end()) {
        return too_large_.contains(name) ? no_document(name) : no_document("layer " + name);
    }
    Layer& layer = found->second;
    if (layer.error) {
        return Error(*layer.error).with_context("image archive: layer " + name);
    }
    if (layer.diff_id != expected_diff_id) {
        return invalid_argument(
            "invalid diffID for layer " + std::to_string(number) + ": expected \"" +
            expected_diff_id.to_string() + "\", got \"" + layer.diff_id.to_string() + "\"");
    }
    oci::Digest chain_id = oci::chain_id(parent, layer.diff_id);
    lease_.add_layer(chain_id);
    if (Result<LayerInfo> existing = layers.get(chain_id); existing.ok()) {
        return existing;
    }
    if (!layer.staged) {
        return layers.publish(lease_, parent, TRY(layers.stage_again(lease_, layer.diff_id)));
    }
    StagedLayer staged = std::move(*layer.staged);
    layer.staged.reset();
    return layers.publish(lease_, parent, std::move(staged));
}

} // namespace berth::store
