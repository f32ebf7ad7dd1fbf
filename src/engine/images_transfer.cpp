// SPDX-License-Identifier: Apache-2.0
// Images on the move: pull and push, save, load and import.
#include "engine/images_parts.h"
#include "oci/manifest.h"
#include "registry/puller.h"
#include "registry/pusher.h"
#include "store/archive.h"

namespace berth::engine {

namespace {

registry::ClientOptions
client_options(const ImagesOptions& options, const RegistryCredentials& credentials) {
    return {
        .credentials =
            {.username = credentials.username,
             .password = credentials.password,
             .identity_token = credentials.identity_token,
             .registry_token = credentials.registry_token},
        .hosts =
            {.insecure_registries = options.insecure_registries,
             .mirrors = options.registry_mirrors},
        .attempts = static_cast<int>(options.max_download_attempts),
        .user_agent = "berth",
    };
}

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

// Docker's words differ for a name alone and one with a tag or a digest.
Error no_such_archive_member(const std::string& image) {
    const auto reference = oci::Reference::parse_normalized(image);
    return not_found(
        (reference.ok() && !reference->is_name_only() ? "reference does not exist: "
                                                      : "No such image: ") +
        image);
}

void say(const ImageProgressCallback& progress, std::string status, std::string id = {}) {
    ImageProgress line;
    line.status = std::move(status);
    line.id = std::move(id);
    progress(line);
}

void say_loaded(const ImageProgressCallback& progress, std::string text) {
    ImageProgress line;
    line.stream = std::move(text);
    progress(line);
}

// fromImage and tag: the tag may be a digest, and fromImage may have either itself.
Result<oci::Reference> parse_pull(const std::string& image, const std::string& tag) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(image));
    if (tag.empty()) {
        if (reference.is_name_only()) {
            return not_implemented(
                "pulling all tags of a repository is not implemented; name one: " +
                reference.familiar_name() + ":latest");
        }
        return reference;
    }
    if (tag.find(':') != std::string::npos) {
        return reference.without_tag_and_digest().with_digest(TRY(oci::Digest::parse(tag)));
    }
    return reference.without_tag_and_digest().with_tag(tag);
}

std::size_t at_least_one(std::int64_t number) {
    return number < 1 ? 1 : static_cast<std::size_t>(number);
}

} // namespace

Result<void> Images::pull(
    std::stop_token stop,
    const std::string& image,
    const std::string& tag,
    const std::string& platform,
    const RegistryCredentials& credentials,
    const ImageProgressCallback& progress) {
    const oci::Reference reference = TRY(parse_pull(image, tag));
    const bool had_hello = TRY(parts_->images().find(reference.to_string())).has_value();
    TRY(parts_->ensure_hello(reference.to_string()));
    const std::string name = reference.familiar();
    if (is_hello(reference) && !parts_->options.hello_binary.empty()) {
        say(progress, "Pulling from " + reference.familiar_name(), reference.tag());
        say(progress,
            (had_hello ? "Status: Image is up to date for "
                       : "Status: Downloaded newer image for ") +
                name);
        return ok();
    }
    registry::PullOptions options{
        .client = client_options(parts_->options, credentials),
        .platform = {},
        .max_concurrent = at_least_one(parts_->options.max_concurrent_downloads),
    };
    if (!platform.empty()) {
        options.platform = TRY(oci::Platform::parse(platform));
    }
    const auto pulled = TRY(registry::pull(
        std::move(stop), *parts_->options.store, reference, options, forward_to(progress)));
    // An image that has no index comes whatever its platform is; moby's image_pull.go warns.
    const auto image_there = TRY(parts_->images().get(pulled.id.to_string()));
    if (auto fits = check_platform(image, image_there.config.platform, platform); !fits.ok()) {
        say(progress, "WARNING: " + fits.error().message());
    }
    parts_->publish("pull", name, reference.familiar_name());
    return ok();
}

Result<void> Images::push(
    std::stop_token stop,
    const std::string& image,
    const std::string& tag,
    const RegistryCredentials& credentials,
    const ImageProgressCallback& progress) {
    oci::Reference reference = TRY(oci::Reference::parse_normalized(image));
    if (reference.has_digest()) {
        return invalid_argument("cannot push a digest reference");
    }
    if (!tag.empty()) {
        reference = TRY(reference.without_tag_and_digest().with_tag(tag));
    }
    std::vector<oci::Reference> references;
    if (reference.has_tag()) {
        references.push_back(reference);
    } else {
        // Without a tag: every tag of the repository.
        for (const store::Image& candidate : TRY(parts_->images().list())) {
            for (const oci::Reference& name : candidate.names) {
                if (name.name() == reference.name()) {
                    references.push_back(name);
                }
            }
        }
    }
    if (references.empty()) {
        say(progress, "The push refers to repository [" + reference.name() + "]");
        return not_found(
            "An image does not exist locally with the tag: " + reference.familiar_name());
    }
    for (const oci::Reference& name : references) {
        if (!TRY(parts_->images().find(name.to_string()))) {
            say(progress, "The push refers to repository [" + name.name() + "]");
            return not_found(
                "An image does not exist locally with the tag: " + name.familiar_name());
        }
    }
    const registry::PushOptions options{
        .client = client_options(parts_->options, credentials),
        .max_concurrent = at_least_one(parts_->options.max_concurrent_uploads),
    };
    for (const oci::Reference& name : references) {
        TRY(registry::push(stop, *parts_->options.store, name, options, forward_to(progress)));
        parts_->publish("push", name.familiar(), name.familiar_name());
    }
    return ok();
}

Result<void>
Images::save(std::stop_token stop, const std::vector<std::string>& images, ByteSink& sink) const {
    std::vector<oci::Digest> ids;
    for (const std::string& image : images) {
        // Checked before the first byte, while a 404 can still be told; named as it was asked for.
        const auto id = TRY(parts_->images().find(image));
        if (!id) {
            return no_such_archive_member(image);
        }
        ids.push_back(*id);
    }
    TRY(store::save_archive(std::move(stop), parts_->images(), images, sink));
    for (const oci::Digest& id : ids) {
        parts_->publish("save", id.to_string(), id.to_string());
    }
    return ok();
}

Result<void>
Images::load(std::stop_token stop, ByteSource& archive, const ImageProgressCallback& progress) {
    const auto report = [&progress](const store::ArchiveProgress& step) {
        progress(
            {.id = step.layer,
             .status = "Loading layer",
             .stream = {},
             .current = static_cast<std::int64_t>(step.current),
             .total = static_cast<std::int64_t>(step.total),
             .has_progress = true,
             .aux = {}});
    };
    const auto loaded =
        TRY(store::load_archive(std::move(stop), parts_->images(), archive, report));
    for (const store::LoadedImage& image : loaded) {
        const std::string id = image.id.to_string();
        parts_->publish("load", id, id);
        for (const oci::Reference& name : image.names) {
            say_loaded(progress, "Loaded image: " + name.familiar() + "\n");
        }
        if (image.names.empty()) {
            say_loaded(progress, "Loaded image ID: " + id + "\n");
        }
    }
    return ok();
}

Result<std::string>
Images::import(std::stop_token stop, const ImageImport& request, ByteSource& archive) {
    store::ImportOptions options;
    options.message = request.message;
    options.config.platform = request.platform.empty()
                                  ? oci::Platform::host()
                                  : TRY(oci::Platform::parse(request.platform));
    options.config.created = Timestamp::now();
    options.config.config = request.config;
    if (!request.repository.empty()) {
        oci::Reference name = TRY(oci::Reference::parse_normalized(request.repository));
        if (name.has_digest()) {
            return invalid_argument("cannot import digest reference");
        }
        if (!request.tag.empty()) {
            name = TRY(name.without_tag_and_digest().with_tag(request.tag));
        }
        options.names.push_back(name.with_default_tag());
    }
    const store::Image image =
        TRY(store::import_rootfs(std::move(stop), parts_->images(), archive, std::move(options)));
    const std::string id = image.id.to_string();
    parts_->publish("import", id, id);
    return id;
}

Result<std::string>
Images::check_credentials(std::stop_token stop, const RegistryCredentials& credentials) {
    // The address is a host, or a URL as old configuration files have it.
    std::string_view host = credentials.server_address;
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (host.starts_with(scheme)) {
            host.remove_prefix(scheme.size());
        }
    }
    host = host.substr(0, host.find('/'));
    if (host.empty() || host == "index.docker.io" || host == "registry-1.docker.io") {
        host = "docker.io";
    }
    registry::Client client(
        std::string(host),
        "",
        registry::Action::Pull,
        client_options(parts_->options, credentials));
    return client.check_credentials(std::move(stop));
}

Result<DistributionInspect> Images::inspect_distribution(
    std::stop_token stop, const std::string& image, const RegistryCredentials& credentials) {
    const oci::Reference name = TRY(oci::Reference::parse_normalized(image)).with_default_tag();
    registry::Client client(
        name.registry(),
        name.path(),
        registry::Action::Pull,
        client_options(parts_->options, credentials));
    const auto fetched =
        TRY(client.manifest(stop, name.has_digest() ? name.digest().to_string() : name.tag()));
    DistributionInspect result{.descriptor = fetched.descriptor, .platforms = {}};
    const auto document = TRY(oci::parse_manifest(fetched.bytes, fetched.descriptor.media_type));
    if (const auto* index = std::get_if<oci::Index>(&document)) {
        for (const oci::Descriptor& entry : index->manifests) {
            if (entry.platform) {
                result.platforms.push_back(*entry.platform);
            }
        }
        return result;
    }
    const auto source = TRY(client.open_blob(stop, std::get<oci::Manifest>(document).config));
    const std::string bytes = TRY(read_to_end(*source, oci::ManifestLimits::bytes));
    const auto config = TRY(oci::ImageConfig::parse(bytes));
    result.platforms.push_back(config.platform);
    return result;
}

} // namespace berth::engine
