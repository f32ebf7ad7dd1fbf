// SPDX-License-Identifier: Apache-2.0
// What the files of the image service share; not for others.
#pragma once

#include "engine/events.h"
#include "engine/images.h"
#include "registry/client.h"
#include "registry/progress.h"
#include "store/store.h"

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

struct Images::Parts {
    ImagesOptions options;
    Users users;
    std::mutex hello_mutex;           // one creation of berth/hello at a time
    mutable std::mutex options_mutex; // of what a reload changes

    // As they are now.
    ImagesOptions present_options() const {
        const std::lock_guard lock(options_mutex);
        return options;
    }

    store::ImageStore& images() const { return options.store->images(); }

    store::LayerStore& layers() const { return options.store->layers(); }

    // An image event; `name` is what the attributes call it.
    void publish(
        std::string action,
        const std::string& id,
        const std::string& name,
        const StringMap& labels = {}) const;

    // Passes the outcome on.
    template <class T>
    Result<T> note_garbage(Result<T> outcome) const {
        if (!outcome.ok() && options.left_garbage) {
            options.left_garbage();
        }
        return outcome;
    }

    std::vector<std::string> users_of(const oci::Digest& id, bool running_only) const;

    // --- images_platforms.cpp ---

    // Of the name's images the one for `platform` ("": the one that the name means). NotFound in
    // Docker's words when there is none.
    Result<store::Image> get(const std::string& name, const std::string& platform) const;
    Result<ImageTarget> target(const std::string& name) const;
    // How an image is found again with all of its platforms.
    static std::string best_name(const store::Image& image);

    // What a registry has under the name, as references.
    Result<std::vector<oci::Reference>> tags_to_pull(
        const std::stop_token& stop,
        const oci::Reference& repository,
        const RegistryCredentials& credentials) const;

    Result<void> add_shared_sizes(std::vector<ImageSummary>& summaries) const;

    // Makes berth/hello when `image` names it and it is absent.
    Result<void> ensure_hello(const std::string& image);

    Result<std::vector<ImageRemoval>>
    remove(const std::string& image, const ImageRemoveOptions& options) const;

    // Frees what no image needs any more; adds a line for each layer of `candidates` that went.
    std::int64_t
    collect(const std::vector<oci::Digest>& candidates, std::vector<ImageRemoval>& removals) const;
};

std::vector<std::string> familiar(const std::vector<oci::Reference>& references);

Result<std::vector<oci::Platform>> parse_platforms(const std::vector<std::string>& texts);

// NotFound, in Docker's words, when the image `name` does not run on `platform` ("": any does).
Result<void>
check_platform(const std::string& name, const oci::Platform& found, const std::string& platform);

registry::ClientOptions
client_options(const ImagesOptions& options, const RegistryCredentials& credentials);

// `progress` must outlive it.
registry::ProgressCallback forward_to(const ImageProgressCallback& progress);

// A line of a progress stream.
void say(const ImageProgressCallback& progress, std::string status, std::string id = {});

// Whether it names the built-in image, docker.io/berth/hello:latest.
bool is_hello(const oci::Reference& reference);

// `reference` filter: whether a pattern matches the familiar name with or without its tag.
Result<bool> matches_reference(const std::string& pattern, const oci::Reference& reference);

} // namespace berth::engine
