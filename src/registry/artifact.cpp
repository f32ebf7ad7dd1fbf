// SPDX-License-Identifier: Apache-2.0
// Files pass through the blob store: a push needs the digest before the first byte and perhaps the
// bytes again, and a pull must not hand out what nobody has verified. The lease keeps them for that
// long; then they are garbage.
#include "registry/artifact.h"

#include "base/strings.h"
#include "codec/tar.h"
#include "oci/manifest.h"
#include "registry/progress_reporter.h"
#include "registry/stored_upload.h"
#include "store/store.h"

#include <algorithm>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::string_view title_annotation = "org.opencontainers.image.title";
constexpr std::string_view any_bytes = "application/octet-stream";
// What ORAS writes where nobody names a type: a manifest without a configuration must have one.
constexpr std::string_view unknown_type = "application/vnd.unknown.artifact.v1";
constexpr std::string_view empty_config = "{}";
constexpr std::size_t name_limit = 1024;

bool is_control(char letter) {
    const auto number = static_cast<unsigned char>(letter);
    return number < 0x20 || number == 0x7f;
}

// A name is what the receiver makes a file of, and writes to a terminal.
Result<void> check_name(const std::string& name) {
    bool good = !name.empty() && name.size() <= name_limit && name.front() != '/' &&
                std::none_of(name.begin(), name.end(), is_control);
    for (const std::string_view part : split(name, '/')) {
        good = good && !part.empty() && part != "." && part != "..";
    }
    if (good) {
        return ok();
    }
    std::string shown = name.substr(0, 200);
    std::replace_if(shown.begin(), shown.end(), is_control, '?');
    return invalid_argument("artifact: \"" + shown + "\" is no name for a file in a folder");
}

Client client_for(const oci::Reference& name, Action action, const ClientOptions& options) {
    return {name.registry(), name.path(), action, options};
}

std::string tag_or_digest(const oci::Reference& reference) {
    return reference.has_digest() ? reference.digest().to_string()
                                  : reference.with_default_tag().tag();
}

class ArtifactPusher {
  public:
    ArtifactPusher(
        std::stop_token stop,
        store::Store& store,
        const ArtifactPush& request,
        const ClientOptions& options,
        ProgressReporter& reporter)
        : stop_(std::move(stop))
        , store_(store)
        , request_(request)
        , reporter_(reporter)
        , client_(client_for(request.reference, Action::Push, options))
        , lease_(store.images().lease()) {}

    Result<oci::Digest> run(ByteSource& files) {
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::oci_manifest;
        manifest.artifact_type = request_.type.empty() ? unknown_type : request_.type;
        manifest.annotations = request_.annotations;
        if (!request_.subject.empty()) {
            manifest.subject = TRY(client_.find_manifest(stop_, request_.subject));
            if (!manifest.subject) {
                return not_found(
                    "the subject " + request_.subject + " is not in " +
                    request_.reference.familiar_name());
            }
        }
        manifest.layers = TRY(take(files));
        manifest.config.media_type = oci::media_type::oci_empty;
        manifest.config.digest = TRY(store_.blobs().put(lease_, empty_config)).digest;
        manifest.config.size = static_cast<std::int64_t>(empty_config.size());
        manifest.config.data = "e30=";
        for (const oci::Descriptor& layer : manifest.layers) {
            TRY(push_blob(layer, layer.annotations.at(std::string(title_annotation))));
        }
        TRY(push_blob(manifest.config, ""));
        const std::string bytes = manifest.serialize();
        oci::Digest digest = oci::Digest::of(bytes);
        const oci::Reference& name = request_.reference;
        TRY(client_.put_manifest(
            stop_, name.has_tag() ? name.tag() : digest.to_string(), manifest.media_type, bytes));
        return digest;
    }

  private:
    Result<std::vector<oci::Descriptor>> take(ByteSource& files) {
        std::vector<oci::Descriptor> layers;
        tar::Reader reader(files);
        while (std::optional<tar::Header> header = TRY(reader.next())) {
            if (header->type != tar::EntryType::File) {
                return invalid_argument("artifact: " + header->name + " is no plain file");
            }
            TRY(check_name(header->name));
            if (layers.size() == oci::ManifestLimits::descriptors) {
                return Error(
                    ErrorKind::ResourceExhausted,
                    "an artifact has at most " + std::to_string(oci::ManifestLimits::descriptors) +
                        " files");
            }
            const store::BlobInfo blob = TRY(store_.blobs().ingest(lease_, reader));
            oci::Descriptor layer;
            const std::size_t number = layers.size();
            layer.media_type =
                number < request_.media_types.size() && !request_.media_types[number].empty()
                    ? request_.media_types[number]
                    : any_bytes;
            layer.digest = blob.digest;
            layer.size = static_cast<std::int64_t>(blob.size);
            layer.annotations.emplace(title_annotation, header->name);
            layers.push_back(std::move(layer));
        }
        TRY(reader.drain());
        return layers;
    }

    Result<void> push_blob(const oci::Descriptor& blob, const std::string& name) {
        if (TRY(client_.has_blob(stop_, blob.digest))) {
            tell(name, "Already exists");
            return ok();
        }
        TransferProgress transfer(reporter_, name, "Pushing", blob.size);
        const Client::Sent sent = [&](std::uint64_t bytes) {
            if (!name.empty()) {
                transfer.update(bytes);
            }
        };
        TRY(upload_stored_blob(stop_, client_, store_.blobs(), blob, sent));
        tell(name, "Pushed");
        return ok();
    }

    void tell(const std::string& name, const std::string& state) {
        if (!name.empty()) {
            reporter_.state(name, state);
        }
    }

    std::stop_token stop_;
    store::Store& store_;
    const ArtifactPush& request_;
    ProgressReporter& reporter_;
    Client client_;
    store::Lease lease_;
};

Result<std::vector<ArtifactPart>> parts_of(const FetchedManifest& fetched) {
    const auto document = TRY(oci::parse_manifest(fetched.bytes, fetched.descriptor.media_type));
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    if (manifest == nullptr) {
        return invalid_argument(
            "it is an index of several manifests: name one of them by its digest");
    }
    std::vector<ArtifactPart> parts;
    for (const oci::Descriptor& layer : manifest->layers) {
        const auto title = layer.annotations.find(std::string(title_annotation));
        ArtifactPart part{
            .descriptor = layer,
            .name =
                title == layer.annotations.end() ? std::string(layer.digest.hex()) : title->second};
        TRY(check_name(part.name));
        parts.push_back(std::move(part));
    }
    return parts;
}

} // namespace

Result<oci::Digest> push_artifact(
    std::stop_token stop,
    store::Store& store,
    const ArtifactPush& request,
    const ClientOptions& options,
    ByteSource& files,
    const ProgressCallback& progress) {
    ProgressReporter reporter(progress);
    ArtifactPusher pusher(std::move(stop), store, request, options, reporter);
    const oci::Digest digest = TRY(pusher.run(files));
    reporter.message("Digest: " + digest.to_string());
    reporter.send({.aux = json::Object{{"Digest", digest.to_string()}}});
    return digest;
}

Result<void> pull_artifact(
    std::stop_token stop,
    store::Store& store,
    const oci::Reference& reference,
    const ClientOptions& options,
    ByteSink& tar) {
    Client client = client_for(reference, Action::Pull, options);
    const auto fetched = TRY(client.manifest(stop, tag_or_digest(reference)));
    const auto parts = TRY_CONTEXT(parts_of(fetched), reference.familiar());
    store::Lease lease = store.images().lease();
    tar::Writer writer(tar);
    for (const ArtifactPart& part : parts) {
        const oci::Descriptor& blob = part.descriptor;
        lease.add_blob(blob.digest);
        if (!store.blobs().contains(blob.digest)) {
            const auto source = TRY(client.open_blob(stop, blob));
            TRY(store.blobs().ingest(
                lease,
                *source,
                {.expected = blob.digest, .expected_size = static_cast<std::uint64_t>(blob.size)}));
        }
        tar::Header header;
        header.name = part.name;
        header.size = TRY(store.blobs().size(blob.digest));
        TRY(writer.write_header(header));
        FdSource file(TRY(store.blobs().open_blob(blob.digest)));
        std::string buffer(256U << 10, '\0');
        while (const std::size_t count = TRY(file.read(buffer))) {
            TRY(writer.write(std::string_view(buffer).substr(0, count)));
        }
    }
    return writer.finish();
}

Result<ReferrerList> list_referrers(
    std::stop_token stop,
    const oci::Reference& reference,
    const std::string& type,
    const ClientOptions& options) {
    Client client = client_for(reference, Action::Pull, options);
    const auto subject = TRY(client.find_manifest(stop, tag_or_digest(reference)));
    if (!subject) {
        return not_found("manifest for " + reference.familiar() + " not found");
    }
    ReferrerList list{.subject = *subject, .referrers = {}};
    list.referrers = TRY(client.referrers(stop, subject->digest, type));
    return list;
}

} // namespace berth::registry
