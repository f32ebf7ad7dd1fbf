// SPDX-License-Identifier: Apache-2.0
// Images as archives: what docker load reads (docker-archive and OCI layout, compressed or not),
// what docker save writes (both in one), and images made from a root file system's tar or a single
// static program.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "oci/image_config.h"
#include "oci/reference.h"
#include "store/image_store.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

struct LoadedImage {
    oci::Digest id;
    std::vector<oci::Reference> names; // empty: Docker prints the id
};

struct ArchiveProgress {
    std::string layer; // short diff id or the entry's name
    std::uint64_t current = 0;
    std::uint64_t total = 0;
};

using ArchiveProgressCallback = std::function<void(const ArchiveProgress&)>;

struct LoadOptions {
    ArchiveProgressCallback progress;
    std::vector<oci::Platform> platforms; // empty: all that are in the archive
};

struct SaveOptions {
    std::vector<oci::Platform> platforms; // empty: all that are here
};

// InvalidArgument for something that is no image archive, with Docker's words where it has some.
Result<std::vector<LoadedImage>> load_archive(
    std::stop_token stop, ImageStore& images, ByteSource& archive, const LoadOptions& options = {});

// Images by name or id, as the user wrote them: a name is kept in the archive, an id has none, a
// name without a tag stands for all its tags. Of a name for several platforms the index goes in,
// unless platforms are chosen, and all images that are here.
Result<void> save_archive(
    std::stop_token stop,
    ImageStore& images,
    std::span<const std::string> names,
    ByteSink& sink,
    const SaveOptions& options = {});

struct ImportOptions {
    oci::ImageConfig config; // platform and defaults; rootfs and history are filled in
    std::string message;
    std::vector<oci::Reference> names;
};

// A root file system's tar, compressed or not, becomes an image of one layer.
Result<Image>
import_rootfs(std::stop_token stop, ImageStore& images, ByteSource& tar, ImportOptions options);

// An image that holds one static program, /hello, and runs it. The same bytes give the same id.
Result<Image>
create_program_image(ImageStore& images, std::string_view program, const oci::Reference& name);

} // namespace berth::store
