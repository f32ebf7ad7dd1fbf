// SPDX-License-Identifier: Apache-2.0
// Images for several platforms (docs/decisions/0017-images-of-several-platforms.md): which one is
// meant, and what an API client is told of all of them.
#include "engine/images_parts.h"
#include "store/image_choice.h"

namespace berth::engine {

namespace {

std::int64_t content_size(const store::PushableManifest& manifest) {
    std::int64_t size = manifest.descriptor.size + manifest.manifest.config.size;
    for (const oci::Descriptor& layer : manifest.manifest.layers) {
        size += layer.size;
    }
    return size;
}

std::string annotation(const oci::Descriptor& descriptor, const std::string& name) {
    const auto found = descriptor.annotations.find(name);
    return found == descriptor.annotations.end() ? std::string() : found->second;
}

} // namespace

Result<std::vector<oci::Platform>> parse_platforms(const std::vector<std::string>& texts) {
    std::vector<oci::Platform> platforms;
    for (const std::string& text : texts) {
        platforms.push_back(TRY(oci::Platform::parse(text)));
    }
    return platforms;
}

std::string Images::Parts::best_name(const store::Image& image) {
    if (!image.names.empty()) {
        return image.names.front().to_string();
    }
    return image.repo_digests.empty() ? image.id.to_string()
                                      : image.repo_digests.front().to_string();
}

Result<store::Image>
Images::Parts::get(const std::string& name, const std::string& platform) const {
    if (platform.empty()) {
        return images().get(name);
    }
    const std::vector<store::Image> found = TRY(images().platforms(name));
    const oci::Platform wanted = TRY(oci::Platform::parse(platform));
    if (const store::Image* best = store::best_for(found, wanted)) {
        return *best;
    }
    TRY(check_platform(name, found.front().config.platform, platform));
    return not_found("No such image: " + name);
}

Result<ImageTarget> Images::Parts::target(const std::string& name) const {
    store::Lease lease = images().lease();
    const auto index = TRY(images().index(lease, name));
    ImageTarget target;
    auto add = [&](const oci::Descriptor& descriptor,
                   const std::optional<store::Image>& image,
                   const std::optional<store::PushableManifest>& manifest) {
        ImagePlatform platform;
        platform.descriptor = descriptor;
        platform.available = manifest.has_value();
        platform.content_size = manifest ? content_size(*manifest) : 0;
        platform.subject = annotation(descriptor, "vnd.docker.reference.digest");
        if (image) {
            platform.kind = ImagePlatform::Kind::Image;
            platform.available = true;
            platform.platform = image->config.platform;
            platform.unpacked_size = static_cast<std::int64_t>(image->size);
            platform.containers = users_of(image->id, false);
        } else if (!annotation(descriptor, "vnd.docker.reference.type").empty()) {
            platform.kind = ImagePlatform::Kind::Attestation;
        } else if (descriptor.platform) {
            platform.kind = ImagePlatform::Kind::Image;
            platform.platform = *descriptor.platform;
        }
        target.platforms.push_back(std::move(platform));
    };
    if (!index) {
        const store::Image image = TRY(images().get(name));
        const auto manifest = TRY(images().original_manifest(lease, image.id));
        if (manifest) {
            target.descriptor = manifest->descriptor;
        } else { // nobody has asked for its manifest yet
            target.descriptor.media_type = oci::media_type::oci_config;
            target.descriptor.digest = image.id;
            target.descriptor.size = static_cast<std::int64_t>(image.config_json.size());
        }
        add(target.descriptor, image, manifest);
        return target;
    }
    target.descriptor = index->documents.front().descriptor;
    for (const store::IndexEntry& entry : index->entries) {
        std::optional<store::Image> image;
        if (!entry.image.empty()) {
            image = TRY(images().get(entry.image));
        }
        std::optional<store::PushableManifest> manifest;
        if (entry.complete) {
            manifest = TRY(images().whole_manifest(
                lease, entry.descriptor.digest, entry.descriptor.media_type));
        }
        add(entry.descriptor, image, manifest);
    }
    return target;
}

} // namespace berth::engine
