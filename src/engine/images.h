// SPDX-License-Identifier: Apache-2.0
// Images: the service behind docker images, pull, push, tag, rmi, save, load and import, over the
// stores and the registry client. `image` arguments are a reference, an id or an id prefix. All
// methods are thread-safe and block the calling thread; the long ones take a stop token first.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/json.h"
#include "codec/stream.h"
#include "engine/container_config.h"
#include "engine/filters.h"
#include "oci/descriptor.h"
#include "oci/image_config.h"
#include "oci/platform.h"
#include "oci/reference.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {
class Store;
}

namespace berth::engine {

struct DaemonConfig;

class Events;

// What a container needs from its image.
struct ImageForContainer {
    std::string id; // sha256:…
    std::string chain_id;
    std::string architecture; // Go's name: amd64
    std::string os;
    ContainerConfig config; // the image's defaults
};

// A manifest that an image stands for: of one platform, or of something that goes with one.
struct ImagePlatform {
    enum class Kind : std::uint8_t { Image, Attestation, Unknown };

    oci::Descriptor descriptor;
    Kind kind = Kind::Unknown;
    bool available = false;              // all of its content is here
    std::int64_t content_size = 0;       // of its blobs that are here
    std::int64_t unpacked_size = 0;      // of its layers
    oci::Platform platform;              // an image's
    std::vector<std::string> containers; // of the image
    std::string subject;                 // an attestation's: the digest of what it is about
};

// What an image's name stands for: one manifest, or an index of them.
struct ImageTarget {
    oci::Descriptor descriptor;
    std::vector<ImagePlatform> platforms;
};

struct ImageSummary {
    std::string id;
    std::string parent_id;
    std::vector<std::string> repo_tags;
    std::vector<std::string> repo_digests;
    Timestamp created;
    std::int64_t size = 0;
    std::int64_t containers = -1;  // -1: not counted
    std::int64_t shared_size = -1; // -1: not asked for
    StringMap labels;
    std::optional<ImageTarget> target; // where it was asked for
};

struct ImageInspect {
    std::string id;
    std::vector<std::string> repo_tags;
    std::vector<std::string> repo_digests;
    std::string parent;
    std::string comment;
    Timestamp created;
    std::string author;
    std::string architecture;
    std::string variant;
    std::string os;
    std::string os_version;
    std::int64_t size = 0;
    json::Value config; // the image configuration's "config" as it is stored; null when absent
    std::string driver;
    std::vector<std::string> layers; // diff ids
    Timestamp last_tag_time;
    std::optional<ImageTarget> target; // where it was asked for
};

struct ImageHistoryEntry {
    std::string id; // "<missing>" for all but the top of an image
    Timestamp created;
    std::string created_by;
    std::vector<std::string> tags;
    std::int64_t size = 0;
    std::string comment;
};

struct ImageListOptions {
    bool all = false;       // intermediate images too
    Filters filters;        // before, dangling, label, reference, since, until
    bool shared = false;    // how much of each is shared with others
    bool manifests = false; // with their targets
    // Images that a name means for another platform only, as images of their own.
    bool platforms_apart = false;
};

// One line of docker rmi: exactly one of them is set.
struct ImageRemoval {
    std::string untagged;
    std::string deleted;
};

struct ImageRemoveOptions {
    bool force = false;
    bool no_prune = false;
    std::vector<std::string> platforms = {}; // of a name, these only
};

struct ImagePruneReport {
    std::vector<ImageRemoval> deleted;
    std::int64_t space_reclaimed = 0;
};

struct RegistryCredentials {
    std::string username;
    std::string password;
    std::string server_address;
    std::string identity_token;
    std::string registry_token;
};

// One message of a progress stream: a line of output (stream), or the state of the thing `id`.
struct ImageProgress {
    std::string id;
    std::string status;
    std::string stream;
    std::int64_t current = 0;
    std::int64_t total = 0;
    bool has_progress = false;
    json::Value aux; // null: none
};

using ImageProgressCallback = std::function<void(const ImageProgress&)>;

struct ImageImport {
    std::string repository; // may be empty: an image without a name
    std::string tag;
    std::string message;
    std::string platform;
    oci::ContainerDefaults config; // what containers of the image start with
};

struct ImagesOptions {
    store::Store* store = nullptr; // this and events: required, and outlive the service
    Events* events = nullptr;
    // The static program that becomes the built-in image berth/hello; "" switches that off.
    std::string hello_binary;
    std::vector<std::string> insecure_registries;
    std::vector<std::string> registry_mirrors;
    std::int64_t max_concurrent_downloads = 3;
    std::int64_t max_concurrent_uploads = 5;
    std::int64_t max_download_attempts = 5;
    // A pull, load or import has failed; may be empty.
    std::function<void()> left_garbage;
};

struct DistributionInspect {
    oci::Descriptor descriptor;
    std::vector<oci::Platform> platforms;
};

// The name of a new image; nullopt without a repository, "latest" without a tag.
Result<std::optional<oci::Reference>>
parse_new_name(const std::string& repository, const std::string& tag);

class Images {
  public:
    explicit Images(ImagesOptions options);
    ~Images();

    // Containers (ids) made from an image id; REQUIRES: set before the first remove or prune.
    using Users = std::function<std::vector<std::string>(const std::string& id, bool running_only)>;
    void set_users(Users users);

    // Registries, mirrors and bounds of transfers, for those that begin from now on.
    void reconfigure(const DaemonConfig& config);

    // NotFound "No such image: x:latest". berth/hello is made when it is asked for and absent.
    Result<ImageForContainer> for_container(const std::string& image, const std::string& platform);

    Result<std::vector<ImageSummary>> list(const ImageListOptions& options) const;
    // NotFound when the image is not for `platform` ("": any).
    Result<ImageInspect> inspect(
        const std::string& image, const std::string& platform = {}, bool manifests = false) const;
    Result<std::vector<ImageHistoryEntry>>
    history(const std::string& image, const std::string& platform = {}) const;
    Result<void>
    tag(const std::string& image, const std::string& repository, const std::string& tag);

    // Docker's rules: a reference is untagged, the last one deletes the image; an id with several
    // references needs force; containers that use the image make a Conflict.
    Result<std::vector<ImageRemoval>>
    remove(const std::string& image, const ImageRemoveOptions& options);

    // Dangling ones, with filter dangling=false all that no container uses. Filters: dangling,
    // label, label!, until.
    Result<ImagePruneReport> prune(std::stop_token stop, const Filters& filters);

    // `tag` may be a tag or a digest. A name alone: all tags of the repository.
    Result<void> pull(
        std::stop_token stop,
        const std::string& image,
        const std::string& tag,
        const std::string& platform,
        const RegistryCredentials& credentials,
        const ImageProgressCallback& progress);
    // A name alone: all tags of it that are here. Of several platforms the index where it is all
    // here, else this machine's image. NotFound when none is for `platform`.
    Result<void> push(
        std::stop_token stop,
        const std::string& image,
        const std::string& tag,
        const std::string& platform,
        const RegistryCredentials& credentials,
        const ImageProgressCallback& progress);

    // A tar with the images, as docker save writes it: for all platforms that are here, or these.
    Result<void> save(
        std::stop_token stop,
        const std::vector<std::string>& images,
        const std::vector<std::string>& platforms,
        ByteSink& sink) const;
    // All that is in it, or what is for one of the platforms.
    Result<void> load(
        std::stop_token stop,
        ByteSource& archive,
        const std::vector<std::string>& platforms,
        const ImageProgressCallback& progress);

    // A root file system's tar becomes an image; returns its id.
    Result<std::string>
    import(std::stop_token stop, const ImageImport& request, ByteSource& archive);
    // The tar comes from an address, "http://" where it names no scheme.
    Result<std::string> import_from(
        std::stop_token stop,
        ImageImport request,
        const std::string& url,
        const ImageProgressCallback& progress);

    // Whether the registry takes the credentials; Unauthorized when it does not.
    Result<std::string>
    check_credentials(std::stop_token stop, const RegistryCredentials& credentials);

    // What the registry has under the name, without pulling it.
    Result<DistributionInspect> inspect_distribution(
        std::stop_token stop, const std::string& image, const RegistryCredentials& credentials);

    std::int64_t count() const;

    struct Parts; // images_parts.h

  private:
    std::unique_ptr<Parts> parts_;
};

} // namespace berth::engine
