// SPDX-License-Identifier: Apache-2.0
// Images as the API writes them.
#include "api/wire/image.h"

#include "engine/container_config_json.h"
#include "oci/image_config.h"

#include <optional>

namespace berth::api::wire {

namespace {

struct ImageSummary {
    std::int64_t containers = -1;
    std::int64_t created = 0;
    std::string id;
    engine::StringMap labels;
    std::string parent_id;
    std::vector<std::string> repo_digests;
    std::vector<std::string> repo_tags;
    std::int64_t shared_size = -1;
    std::int64_t size = 0;
    std::optional<std::int64_t> virtual_size; // before 1.44
};

struct RootFs {
    std::string type = "layers";
    std::vector<std::string> layers;
};

struct GraphDriver {
    json::Value data;
    std::string name;
};

struct Metadata {
    Timestamp last_tag_time;
};

struct ImageInspect {
    std::string id;
    std::vector<std::string> repo_tags;
    std::vector<std::string> repo_digests;
    std::string parent;
    std::string comment;
    Timestamp created;
    std::string docker_version;
    std::string author;
    json::Value config;
    std::string architecture;
    std::string variant;
    std::string os;
    std::string os_version;
    std::int64_t size = 0;
    std::optional<std::int64_t> virtual_size; // before 1.44
    GraphDriver graph_driver;
    RootFs root_fs;
    Metadata metadata;
};

} // namespace

} // namespace berth::api::wire

namespace berth::json {

template <>
struct Fields<api::wire::ImageSummary> {
    using T = api::wire::ImageSummary;
    static constexpr auto table = std::tuple{
        field("Containers", &T::containers),
        field("Created", &T::created),
        field("Id", &T::id),
        field("Labels", &T::labels, NullWhenEmpty),
        field("ParentId", &T::parent_id),
        field("RepoDigests", &T::repo_digests),
        field("RepoTags", &T::repo_tags),
        field("SharedSize", &T::shared_size),
        field("Size", &T::size),
        field("VirtualSize", &T::virtual_size, OmitEmpty)};
};

template <>
struct Fields<api::wire::RootFs> {
    using T = api::wire::RootFs;
    static constexpr auto table =
        std::tuple{field("Type", &T::type, OmitEmpty), field("Layers", &T::layers, OmitEmpty)};
};

template <>
struct Fields<api::wire::GraphDriver> {
    using T = api::wire::GraphDriver;
    static constexpr auto table = std::tuple{field("Data", &T::data), field("Name", &T::name)};
};

template <>
struct Fields<api::wire::Metadata> {
    using T = api::wire::Metadata;
    static constexpr auto table = std::tuple{field("LastTagTime", &T::last_tag_time)};
};

template <>
struct Fields<api::wire::ImageInspect> {
    using T = api::wire::ImageInspect;
    static constexpr auto table = std::tuple{
        field("Id", &T::id),
        field("RepoTags", &T::repo_tags),
        field("RepoDigests", &T::repo_digests),
        field("Parent", &T::parent),
        field("Comment", &T::comment),
        field("Created", &T::created, OmitEmpty),
        field("DockerVersion", &T::docker_version),
        field("Author", &T::author),
        field("Config", &T::config),
        field("Architecture", &T::architecture),
        field("Variant", &T::variant, OmitEmpty),
        field("Os", &T::os),
        field("OsVersion", &T::os_version, OmitEmpty),
        field("Size", &T::size),
        field("VirtualSize", &T::virtual_size, OmitEmpty),
        field("GraphDriver", &T::graph_driver),
        field("RootFS", &T::root_fs),
        field("Metadata", &T::metadata)};
};

} // namespace berth::json

namespace berth::api::wire {

namespace {

// From 1.50 on only what an OCI image may say, from 1.52 on only what it does say; before, a
// container's whole configuration.
json::Value encode_config(const json::Value& stored, ApiVersion version) {
    if (version >= ApiVersion{1, 50}) {
        auto config = json::decode<oci::ContainerDefaults>(stored);
        json::Value encoded = config.ok() ? json::encode(*config) : json::Value(json::Object{});
        if (version >= ApiVersion{1, 52}) {
            return encoded;
        }
        json::Object& members = encoded.get_object();
        for (const char* name : {"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"}) {
            members.emplace(name, nullptr);
        }
        for (const char* name : {"User", "WorkingDir"}) {
            members.emplace(name, "");
        }
        return encoded;
    }
    auto config = json::decode<engine::ContainerConfig>(stored);
    return json::encode(config.ok() ? *config : engine::ContainerConfig());
}

} // namespace

namespace {

// https://github.com/moby/moby/blob/v28.2.2/api/types/image/manifest.go
json::Value encode_manifest(const engine::ImagePlatform& manifest) {
    using Kind = engine::ImagePlatform::Kind;
    json::Object encoded{
        {"ID", manifest.descriptor.digest.to_string()},
        {"Descriptor", json::encode(manifest.descriptor)},
        {"Available", manifest.available},
        {"Size",
         json::Object{
             {"Content", manifest.content_size},
             {"Total", manifest.content_size + manifest.unpacked_size}}},
    };
    switch (manifest.kind) {
    case Kind::Image:
        encoded["Kind"] = "image";
        encoded["ImageData"] = json::Object{
            {"Platform", json::encode(manifest.platform)},
            {"Containers", json::encode(manifest.containers)},
            {"Size", json::Object{{"Unpacked", manifest.unpacked_size}}}};
        break;
    case Kind::Attestation:
        encoded["Kind"] = "attestation";
        encoded["AttestationData"] = json::Object{{"For", manifest.subject}};
        break;
    case Kind::Unknown:
        encoded["Kind"] = "unknown";
        break;
    }
    return encoded;
}

void add_target(
    json::Value& document, const std::optional<engine::ImageTarget>& target, ApiVersion version) {
    if (!target) {
        return;
    }
    json::Object& members = document.as_object();
    if (version >= ApiVersion{1, 48}) {
        members["Descriptor"] = json::encode(target->descriptor);
    }
    json::Array manifests;
    for (const engine::ImagePlatform& manifest : target->platforms) {
        manifests.push_back(encode_manifest(manifest));
    }
    members["Manifests"] = std::move(manifests);
}

// What some versions have and others have not.
void adapt_inspect(json::Object& image, ApiVersion version) {
    if (version < ApiVersion{1, 44} && image.find("Created") == image.end()) {
        image["Created"] = format_rfc3339(Timestamp());
    }
    if (version < ApiVersion{1, 45}) {
        image["ContainerConfig"] = json::encode(engine::ContainerConfig());
    }
    if (version >= ApiVersion{1, 52}) {
        for (const char* name : {"Parent", "Comment", "DockerVersion", "Author"}) {
            const auto member = image.find(name);
            if (member != image.end() && member->value().as_string().empty()) {
                image.erase(member);
            }
        }
    }
}

void null_when_empty(json::Object& image, std::string_view list) {
    if (image.at(list).as_array().empty()) {
        image[list] = nullptr;
    }
}

} // namespace

json::Value encode_image_summary(const engine::ImageSummary& image, ApiVersion version) {
    ImageSummary wire{
        .containers = image.containers,
        .created = image.created.seconds(),
        .id = image.id,
        .labels = image.labels,
        .parent_id = image.parent_id,
        .repo_digests = image.repo_digests,
        .repo_tags = image.repo_tags,
        .shared_size = image.shared_size,
        .size = image.size,
        .virtual_size = {},
    };
    if (version < ApiVersion{1, 51}) {
        wire.containers = -1;
    }
    if (version < ApiVersion{1, 43} && wire.repo_tags.empty() && wire.repo_digests.empty()) {
        wire.repo_tags = {"<none>:<none>"};
        wire.repo_digests = {"<none>@<none>"};
    }
    if (version < ApiVersion{1, 44}) {
        wire.virtual_size = image.size;
    }
    json::Value encoded = json::encode(wire);
    if (version < ApiVersion{1, 43}) {
        null_when_empty(encoded.as_object(), "RepoDigests");
    }
    add_target(encoded, image.target, version);
    return encoded;
}

json::Value encode_image_usage(const engine::ImageSummary& image, ApiVersion version) {
    json::Value encoded = encode_image_summary(image, version);
    json::Object& members = encoded.as_object();
    members["RepoTags"] = json::encode(image.repo_tags);
    members["RepoDigests"] = json::encode(image.repo_digests);
    null_when_empty(members, "RepoTags");
    null_when_empty(members, "RepoDigests");
    return encoded;
}

json::Value encode_image_inspect(const engine::ImageInspect& image, ApiVersion version) {
    ImageInspect wire{
        .id = image.id,
        .repo_tags = image.repo_tags,
        .repo_digests = image.repo_digests,
        .parent = image.parent,
        .comment = image.comment,
        .created = image.created,
        .docker_version = {},
        .author = image.author,
        .config = encode_config(image.config, version),
        .architecture = image.architecture,
        .variant = image.variant,
        .os = image.os,
        .os_version = image.os_version,
        .size = image.size,
        .virtual_size = {},
        .graph_driver = {.data = nullptr, .name = image.driver},
        .root_fs = {.type = "layers", .layers = image.layers},
        .metadata = {.last_tag_time = image.last_tag_time},
    };
    if (version < ApiVersion{1, 44}) {
        wire.virtual_size = image.size;
    }
    json::Value encoded = json::encode(wire);
    adapt_inspect(encoded.as_object(), version);
    add_target(encoded, image.target, version);
    return encoded;
}

} // namespace berth::api::wire
