// SPDX-License-Identifier: Apache-2.0
// Rows of images and names, for the files of ImageStore. A name may stand for several images, one
// for each platform of an index (docs/decisions/0017-images-of-several-platforms.md): the row of
// the name holds the one that it means where no platform is asked for.
#pragma once

#include "store/image_store.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::store {

inline constexpr std::string_view image_id_prefix = "sha256:";

inline constexpr std::string_view image_columns =
    "SELECT id, config, chain_id, size, parent, tagged, stored FROM images ";

// Names and the images that they mean for one platform only; a further condition may follow.
inline constexpr std::string_view platform_names =
    "SELECT p.name, p.image FROM image_platforms p JOIN image_names n ON n.name = p.name "
    "WHERE n.image != p.image";

Result<Image> read_image(const Statement& row);

Error no_such_image(const std::string& name);

bool is_hex(std::string_view text);

// Of an index's entry that is no image but says something of one, as BuildKit writes it.
inline constexpr std::string_view reference_type_annotation = "vnd.docker.reference.type";

// An attestation has an image's media types.
inline bool is_image(const oci::Descriptor& entry, const oci::Manifest& manifest) {
    return oci::media_type::is_config(manifest.config.media_type) &&
           !entry.annotations.contains(std::string(reference_type_annotation));
}

struct FoundImage {
    oci::Digest id;
    std::string name; // as the table has it; empty: found by its id
    bool by_digest = false;
};

// A name wins over an id that begins like it. A prefix of several ids: InvalidArgument.
Result<std::optional<FoundImage>> find_image(Session& session, std::string_view name);

struct NewName {
    const oci::Digest& id;
    const oci::Reference& name;
    oci::Digest index = {}; // empty: the name stands for this image alone
};

// A name that stands for the same index already gets one more platform.
Result<void> set_name(Session& session, const NewName& name);

// Everything that the name, a key of image_names, stands for.
Result<std::vector<oci::Digest>> platforms_of(Session& session, std::string_view name);

} // namespace berth::store
