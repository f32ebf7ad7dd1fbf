// SPDX-License-Identifier: Apache-2.0
// Images from and to registries: pull and push, of one tag or all.
#include "engine/images_parts.h"
#include "registry/puller.h"
#include "registry/pusher.h"

#include <algorithm>

namespace berth::engine {

registry::ProgressCallback forward_to(const ImageProgressCallback& progress) {
    return [&progress](const registry::Progress& step) {
        progress(
            {.id = step.id,
             .status = step.status,
             .stream = {},
             .current = step.current,
             .total = step.total,
             .has_progress = step.has_detail,
             .aux = step.aux});
    };
}

namespace {

// fromImage and tag: the tag may be a digest, and fromImage may have either itself. A name alone
// stands for all its tags.
Result<oci::Reference> parse_pull(const std::string& image, const std::string& tag) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(image));
    if (tag.empty()) {
        return reference;
    }
    if (tag.find(':') != std::string::npos) {
        const auto digest = oci::Digest::parse(tag);
        if (!digest.ok()) {
            return invalid_argument("invalid tag format");
        }
        return reference.without_tag_and_digest().with_digest(*digest);
    }
    return reference.without_tag_and_digest().with_tag(tag);
}

std::size_t at_least_one(std::int64_t number) {
    return number < 1 ? 1 : static_cast<std::size_t>(number);
}

// The references of a repository that the store has, sorted.
Result<std::vector<oci::Reference>>
names_of_repository(const store::ImageStore& images, const oci::Reference& repository) {
    std::vector<oci::Reference> names;
    for (const store::Image& image : TRY(images.list())) {
        for (const oci::Reference& name : image.names) {
            if (name.name() == repository.name()) {
                names.push_back(name);
            }
        }
    }
    std::sort(
        names.begin(), names.end(), [](const auto& a, const auto& b) { return a.tag() < b.tag(); });
    return names;
}

} // namespace

Result<std::vector<oci::Reference>> Images::Parts::tags_to_pull(
    const std::stop_token& stop,
    const oci::Reference& repository,
    const RegistryCredentials& credentials) const {
    registry::Client client(
        repository.registry(),
        repository.path(),
        registry::Action::Pull,
        client_options(present_options(), credentials));
    auto tags = client.tags(stop);
    if (!tags.ok() && tags.error().kind() == ErrorKind::NotFound) {
        return not_found(
            "repository " + repository.familiar_name() + " not found: " + tags.error().message());
    }
    std::vector<oci::Reference> references;
    for (const std::string& tag : TRY(std::move(tags))) {
        references.push_back(TRY(repository.with_tag(tag)));
    }
    return references;
}

Result<void> Images::pull(
    std::stop_token stop,
    const std::string& image,
    const std::string& tag,
    const std::string& platform,
    const RegistryCredentials& credentials,
    const ImageProgressCallback& progress) {
    const oci::Reference reference = TRY(parse_pull(image, tag));
    if (reference.familiar_name() == "scratch") {
        return Error(ErrorKind::Forbidden, "'scratch' is a reserved name");
    }
    const bool had_hello = TRY(parts_->images().find(reference.to_string())).has_value();
    TRY(parts_->ensure_hello(reference.to_string()));
    if (is_hello(reference) && !parts_->options.hello_binary.empty()) {
        say(progress, "Pulling from " + reference.familiar_name(), reference.tag());
        say(progress, registry::pull_status(!had_hello, reference));
        return ok();
    }
    const bool all = reference.is_name_only();
    const ImagesOptions present = parts_->present_options();
    registry::PullOptions options{
        .client = client_options(present, credentials),
        .platform = {},
        .max_concurrent = at_least_one(present.max_concurrent_downloads),
        .say_status = !all,
    };
    if (!platform.empty()) {
        options.platform = TRY(oci::Platform::parse(platform));
    }
    std::vector<oci::Reference> references{reference};
    if (all) {
        references = TRY(parts_->tags_to_pull(stop, reference, credentials));
    }
    bool newer = false;
    for (const oci::Reference& one : references) {
        const auto pulled = TRY(parts_->note_garbage(
            registry::pull(stop, *parts_->options.store, one, options, forward_to(progress))));
        newer = newer || pulled.newer;
        // An image that has no index comes whatever its platform is; moby's image_pull.go warns.
        const auto image_there = TRY(parts_->images().get(pulled.id.to_string()));
        if (auto fits = check_platform(image, image_there.config.platform, platform); !fits.ok()) {
            say(progress, "WARNING: " + fits.error().message());
        }
    }
    if (all) {
        say(progress, registry::pull_status(newer, reference));
    }
    parts_->publish("pull", reference.familiar(), reference.familiar_name());
    return ok();
}

Result<void> Images::push(
    std::stop_token stop,
    const std::string& image,
    const std::string& tag,
    const std::string& platform,
    const RegistryCredentials& credentials,
    const ImageProgressCallback& progress) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(image));
    if (reference.has_digest()) {
        return invalid_argument("cannot push a digest reference");
    }
    if (!tag.empty()) {
        reference = TRY(reference.without_tag_and_digest().with_tag(tag));
    }
    std::vector<oci::Reference> references{reference};
    if (!reference.has_tag()) {
        references = TRY(names_of_repository(parts_->images(), reference));
    }
    std::optional<oci::Platform> wanted;
    if (!platform.empty()) {
        wanted = TRY(oci::Platform::parse(platform));
        for (const oci::Reference& name : references) {
            TRY(parts_->get(name.familiar(), platform));
        }
    }
    say(progress, "The push refers to repository [" + reference.name() + "]");
    if (references.empty()) {
        return not_found(
            "An image does not exist locally with the tag: " + reference.familiar_name());
    }
    const ImagesOptions present = parts_->present_options();
    const registry::PushOptions options{
        .client = client_options(present, credentials),
        .max_concurrent = at_least_one(present.max_concurrent_uploads),
        .platform = wanted,
        .say_repository = false,
    };
    for (const oci::Reference& name : references) {
        TRY(registry::push(stop, *parts_->options.store, name, options, forward_to(progress)));
    }
    parts_->publish("push", reference.familiar(), reference.familiar_name());
    return ok();
}

} // namespace berth::engine
