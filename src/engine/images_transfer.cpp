// SPDX-License-Identifier: Apache-2.0
// Images on the move: save, load and import; and what is asked of registries beside pull and push.
#include "base/log.h"
#include "base/strings.h"
#include "engine/images_parts.h"
#include "oci/manifest.h"
#include "registry/remote_content.h"
#include "store/archive.h"

#include <functional>
#include <set>

namespace berth::engine {

namespace {

// Docker's words differ for a name alone and one with a tag or a digest.
Error no_such_archive_member(const std::string& image) {
    const auto reference = oci::Reference::parse_normalized(image);
    return not_found(
        (reference.ok() && !reference->is_name_only() ? "reference does not exist: "
                                                      : "No such image: ") +
        image);
}

void say_loaded(const ImageProgressCallback& progress, std::string text) {
    ImageProgress line;
    line.stream = std::move(text);
    progress(line);
}

// What is wrong with a tar in the words that Docker's users know, Go's.
Error in_docker_words(Error error) {
    const std::string_view message = error.message();
    const bool is_tar = message.starts_with("invalid tar archive: ");
    const bool is_short = message.ends_with("ends too early") ||
                          (is_tar && message.find(": it ends") != std::string_view::npos);
    if (!is_tar && !is_short) {
        return error;
    }
    log::debug("not a good archive", {{"error", message}});
    return {error.kind(), is_short ? "unexpected EOF" : "archive/tar: invalid tar header"};
}

template <typename T>
Result<T> in_docker_words(Result<T> outcome) {
    return outcome.ok() ? std::move(outcome)
                        : Result<T>(in_docker_words(std::move(outcome).error()));
}

// Tells of each half mebibyte that was read, and of the end.
class ReportingSource final : public ByteSource {
  public:
    ReportingSource(ByteSource& source, std::function<void(std::int64_t)> report)
        : source_(source)
        , report_(std::move(report)) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        const std::size_t count = TRY(source_.read(buffer));
        constexpr std::int64_t step = 512 << 10;
        const std::int64_t before = count_;
        count_ += static_cast<std::int64_t>(count);
        if (before / step != count_ / step || (count == 0 && !std::exchange(ended_, true))) {
            report_(count_);
        }
        return count;
    }

  private:
    ByteSource& source_;
    std::function<void(std::int64_t)> report_;
    std::int64_t count_ = 0;
    bool ended_ = false;
};

} // namespace

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

void say(const ImageProgressCallback& progress, std::string status, std::string id) {
    ImageProgress line;
    line.status = std::move(status);
    line.id = std::move(id);
    progress(line);
}

Result<void> Images::save(
    std::stop_token stop,
    const std::vector<std::string>& images,
    const std::vector<std::string>& platforms,
    ByteSink& sink) const {
    store::SaveOptions options;
    options.platforms = TRY(parse_platforms(platforms));
    std::vector<oci::Digest> ids;
    for (const std::string& image : images) {
        // Checked before the first byte, while a 404 can still be told; named as it was asked for.
        const auto id = TRY(parts_->images().find(image));
        if (!id) {
            return no_such_archive_member(image);
        }
        for (const std::string& platform : platforms) {
            if (!parts_->get(image, platform).ok()) {
                return internal_error("no suitable export target found for platform " + platform);
            }
        }
        ids.push_back(*id);
    }
    TRY(store::save_archive(std::move(stop), parts_->images(), images, sink, options));
    for (const oci::Digest& id : ids) {
        parts_->publish("save", id.to_string(), id.to_string());
    }
    return ok();
}

Result<void> Images::load(
    std::stop_token stop,
    ByteSource& archive,
    const std::vector<std::string>& platforms,
    const ImageProgressCallback& progress) {
    store::LoadOptions options;
    options.platforms = TRY(parse_platforms(platforms));
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
    options.progress = report;
    const auto loaded = TRY(in_docker_words(parts_->note_garbage(
        store::load_archive(std::move(stop), parts_->images(), archive, options))));
    std::set<std::string> said; // of several platforms a name is one image
    for (const store::LoadedImage& image : loaded) {
        const std::string id = image.id.to_string();
        parts_->publish("load", id, id);
        for (const oci::Reference& name : image.names) {
            if (said.insert(name.familiar()).second) {
                say_loaded(progress, "Loaded image: " + name.familiar() + "\n");
            }
        }
        if (image.names.empty()) {
            say_loaded(progress, "Loaded image ID: " + id + "\n");
        }
    }
    return ok();
}

Result<std::optional<oci::Reference>>
parse_new_name(const std::string& repository, const std::string& tag) {
    if (repository.empty()) {
        return std::optional<oci::Reference>();
    }
    oci::Reference name = TRY(oci::Reference::parse_normalized(repository));
    if (name.has_digest()) {
        return invalid_argument("cannot import digest reference");
    }
    if (!tag.empty()) {
        name = TRY(name.without_tag_and_digest().with_tag(tag));
    }
    return std::optional(name.with_default_tag());
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
    if (options.config.platform.os != "linux") {
        return invalid_argument("operating system is not supported");
    }
    const auto name = TRY(parse_new_name(request.repository, request.tag));
    if (name) {
        options.names.push_back(*name);
    }
    const store::Image image = TRY(in_docker_words(parts_->note_garbage(
        store::import_rootfs(std::move(stop), parts_->images(), archive, std::move(options)))));
    const std::string id = image.id.to_string();
    if (name) {
        parts_->publish("tag", id, name->familiar());
    }
    parts_->publish("import", id, id);
    return id;
}

Result<std::string> Images::import_from(
    std::stop_token stop,
    ImageImport request,
    const std::string& url,
    const ImageProgressCallback& progress) {
    TRY(parse_new_name(request.repository, request.tag)); // before anything is fetched
    const std::string address = url.find("://") == std::string::npos ? "http://" + url : url;
    if (!address.starts_with("http://") && !address.starts_with("https://")) {
        return invalid_argument(
            "Get \"" + address + "\": unsupported protocol scheme \"" +
            address.substr(0, address.find(':')) + "\"");
    }
    registry::Transport transport("berth");
    const auto answer = TRY(registry::open_remote(stop, transport, address));
    const auto length = parse_number<std::int64_t>(answer->headers().get("Content-Length"));
    say(progress, "Downloading from " + address);
    ReportingSource reporting(*answer, [&](std::int64_t current) {
        ImageProgress step;
        step.status = "Importing";
        step.current = current;
        step.total = length.ok() ? *length : -1;
        step.has_progress = true;
        progress(step);
    });
    if (request.message.empty()) {
        request.message = "Imported from " + address;
    }
    return import(std::move(stop), request, reporting);
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
        client_options(parts_->present_options(), credentials));
    return client.check_credentials(std::move(stop));
}

Result<DistributionInspect> Images::inspect_distribution(
    std::stop_token stop, const std::string& image, const RegistryCredentials& credentials) {
    const oci::Reference name = TRY(oci::Reference::parse_normalized(image)).with_default_tag();
    registry::Client client(
        name.registry(),
        name.path(),
        registry::Action::Pull,
        client_options(parts_->present_options(), credentials));
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
