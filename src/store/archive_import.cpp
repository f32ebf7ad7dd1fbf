// SPDX-License-Identifier: Apache-2.0
// Images that are made from something else than an image: a root file system's tar, one program.
#include "codec/compression.h"
#include "codec/tar.h"
#include "store/archive.h"
#include "store/stoppable_source.h"

namespace berth::store {

namespace {

// The same everywhere, so that the image has the same id on every machine.
constexpr Timestamp program_image_created{1'735'689'600'000'000'000}; // 2025-01-01

Result<std::string> program_tar(std::string_view program) {
    StringSink sink;
    tar::Writer writer(sink);
    tar::Header header;
    header.name = "hello";
    header.mode = 0755;
    header.size = program.size();
    header.mtime = program_image_created.nanoseconds;
    TRY(writer.write_header(header));
    TRY(writer.write(program));
    TRY(writer.finish());
    return sink.take();
}

} // namespace

Result<Image>
import_rootfs(std::stop_token stop, ImageStore& images, ByteSource& tar, ImportOptions options) {
    Lease lease = images.lease();
    StoppableSource cancellable(tar, std::move(stop), "importing");
    auto decompressor =
        TRY(compression::Decompressor::create(cancellable, images.layers().limits()));
    // Nobody can make this tar again from the files, so its bytes are kept for a push.
    LayerInfo layer = TRY(images.layers().apply(lease, {}, *decompressor, {.keep_blob = true}));
    oci::ImageConfig config = std::move(options.config);
    if (config.platform.os.empty()) {
        config.platform = oci::Platform::host();
    }
    config.created = Timestamp::now();
    config.rootfs.diff_ids = {layer.diff_id};
    oci::HistoryEntry entry;
    entry.created = config.created;
    entry.comment = options.message;
    config.history = {std::move(entry)};
    NewImage image;
    image.config_json = config.serialize();
    image.names = std::move(options.names);
    return images.create(image);
}

Result<Image>
create_program_image(ImageStore& images, std::string_view program, const oci::Reference& name) {
    Lease lease = images.lease();
    StringSource tar(TRY(program_tar(program)));
    LayerInfo layer = TRY(images.layers().apply(lease, {}, tar));
    oci::ImageConfig config;
    config.platform = oci::Platform::host();
    config.created = program_image_created;
    config.config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    config.config.cmd = {"/hello"};
    config.rootfs.diff_ids = {layer.diff_id};
    oci::HistoryEntry entry;
    entry.created = config.created;
    entry.created_by = "COPY hello /";
    config.history = {std::move(entry)};
    NewImage image;
    image.config_json = config.serialize();
    image.names = {name};
    return images.create(image);
}

} // namespace berth::store
