// SPDX-License-Identifier: Apache-2.0
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md, the client's side.
#include "registry/client.h"

#include "base/strings.h"
#include "http/message.h"
#include "http/query.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/blob_source.h"
#include "registry/client_parts.h"

namespace berth::registry {

namespace {

http::Headers accept_manifests() {
    http::Headers headers;
    for (std::string_view type :
         {oci::media_type::docker_manifest,
          oci::media_type::docker_manifest_list,
          oci::media_type::oci_index,
          oci::media_type::oci_manifest}) {
        headers.add("Accept", std::string(type));
    }
    return headers;
}

std::string media_type_of(const Exchange& exchange) {
    std::string_view type = exchange.headers().get("Content-Type");
    return to_lower(trim(type.substr(0, type.find(';'))));
}

// A HEAD has no body that says why; the code is the one that a GET would have brought.
Error refusal(const Exchange& exchange) {
    return parse_api_error(exchange.status(), "").to_error();
}

Result<void> verify(const FetchedManifest& fetched, const oci::Digest& wanted) {
    if (wanted != fetched.descriptor.digest) {
        return Error(
            ErrorKind::DataLoss, "manifest verification failed for digest " + wanted.to_string());
    }
    return ok();
}

} // namespace

Client::Client(std::string registry, std::string repository, Action action, ClientOptions options)
    : parts_(std::make_unique<Parts>(
          std::move(registry), std::move(repository), action, std::move(options))) {}

Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

const std::string& Client::registry() const {
    return parts_->registry;
}

const std::string& Client::repository() const {
    return parts_->repository;
}

Result<void> Client::ping(std::stop_token stop) {
    return parts_->ping(stop);
}

Result<std::string> Client::check_credentials(std::stop_token stop) {
    TRY(parts_->ping(stop));
    if (!parts_->authorizer.has_challenges()) {
        return std::string(); // it asks nobody
    }
    std::string identity_token = TRY(parts_->authorizer.login(stop));
    std::string url = parts_->base.lock()->value().api() + "/";
    auto exchange = TRY(parts_->call(stop, {.url = url}, ""));
    if (exchange->status() / 100 != 2) {
        return Error(
            ErrorKind::Unauthorized,
            "login attempt to " + url +
                " failed with status: " + std::to_string(exchange->status()) + " " +
                std::string(http::reason_phrase(exchange->status())));
    }
    return identity_token;
}

Result<FetchedManifest> Client::manifest(std::stop_token stop, std::string_view tag_or_digest) {
    TRY(parts_->ping(stop));
    auto exchange = TRY(parts_->call(
        stop,
        {.url = parts_->url("manifests/" + std::string(tag_or_digest)),
         .headers = accept_manifests()}));
    if (exchange->status() != 200) {
        ApiError error = read_error(*exchange);
        // Some registries (and every proxy before one) answer 404 without a document.
        if (error.status == 404 && error.code.empty()) {
            error.code = "MANIFEST_UNKNOWN";
            error.message = "manifest unknown";
        }
        return error.to_error();
    }
    auto body = exchange->read_body(oci::ManifestLimits::bytes);
    if (!body.ok() && body.error().kind() == ErrorKind::ResourceExhausted) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the manifest " + parts_->repository + " " + std::string(tag_or_digest) +
                " is larger than the limit of " + std::to_string(oci::ManifestLimits::bytes) +
                " bytes");
    }
    FetchedManifest fetched;
    fetched.bytes = TRY(std::move(body));
    fetched.descriptor.media_type = media_type_of(*exchange);
    oci::Digest wanted;
    if (tag_or_digest.find(':') != std::string_view::npos) {
        wanted = TRY(oci::parse_blob_digest(tag_or_digest));
    }
    fetched.descriptor.digest =
        oci::digest_of(wanted.empty() ? "sha256" : wanted.algorithm(), fetched.bytes);
    fetched.descriptor.size = static_cast<std::int64_t>(fetched.bytes.size());
    if (!wanted.empty()) {
        TRY(verify(fetched, wanted));
    }
    // For a tag only the registry's own word tells that the bytes arrived as they left.
    auto promised = oci::Digest::parse(exchange->headers().get("Docker-Content-Digest"));
    if (promised.ok() && promised->algorithm() == fetched.descriptor.digest.algorithm()) {
        TRY(verify(fetched, *promised));
    }
    return fetched;
}

Result<std::optional<oci::Descriptor>>
Client::find_manifest(std::stop_token stop, std::string_view tag_or_digest) {
    TRY(parts_->ping(stop));
    auto exchange = TRY(parts_->call(
        stop,
        {.method = "HEAD",
         .url = parts_->url("manifests/" + std::string(tag_or_digest)),
         .headers = accept_manifests()}));
    if (exchange->status() == 404) {
        return std::optional<oci::Descriptor>();
    }
    if (exchange->status() != 200) {
        return refusal(*exchange);
    }
    oci::Descriptor descriptor;
    descriptor.media_type = media_type_of(*exchange);
    descriptor.size =
        parse_number<std::int64_t>(exchange->headers().get("Content-Length")).value_or(0);
    if (auto digest = oci::Digest::parse(exchange->headers().get("Docker-Content-Digest"));
        digest.ok()) {
        descriptor.digest = *digest;
    }
    return std::optional<oci::Descriptor>(std::move(descriptor));
}

Result<std::unique_ptr<ByteSource>>
Client::open_blob(std::stop_token stop, const oci::Descriptor& blob, std::uint64_t offset) {
    TRY(parts_->ping(stop));
    auto source = std::make_unique<BlobSource>(*parts_, std::move(stop), blob, offset);
    TRY(source->open());
    return std::unique_ptr<ByteSource>(std::move(source));
}

Result<bool> Client::has_blob(std::stop_token stop, const oci::Digest& digest) {
    TRY(parts_->ping(stop));
    auto exchange = TRY(
        parts_->call(stop, {.method = "HEAD", .url = parts_->url("blobs/" + digest.to_string())}));
    if (exchange->status() == 200) {
        return true;
    }
    if (exchange->status() == 404) {
        return false;
    }
    return refusal(*exchange);
}

Result<bool> Client::mount_blob(
    std::stop_token stop, const oci::Digest& digest, std::string_view from_repository) {
    TRY(parts_->ping(stop));
    std::string from(from_repository);
    Outgoing request{
        .method = "POST",
        .url = parts_->url(
            "blobs/uploads/?mount=" + digest.to_string() + "&from=" + http::percent_encode(from))};
    auto exchange =
        TRY(parts_->call(stop, request, parts_->scope() + " repository:" + from + ":pull"));
    if (exchange->status() == 201) {
        return true;
    }
    if (exchange->status() == 202) {
        // An upload was begun instead; nobody will use it.
        std::string location = parts_->absolute(exchange->headers().get("Location"), request.url);
        [[maybe_unused]] auto ended = parts_->call(stop, {.method = "DELETE", .url = location});
        return false;
    }
    if (exchange->status() == 401 || exchange->status() == 403 || exchange->status() == 404) {
        return false; // not ours to read
    }
    return read_error(*exchange).to_error();
}

Result<void> Client::put_manifest(
    std::stop_token stop,
    std::string_view tag_or_digest,
    std::string_view media_type,
    const std::string& bytes) {
    TRY(parts_->ping(stop));
    auto exchange = TRY(parts_->call(
        stop,
        {.method = "PUT",
         .url = parts_->url("manifests/" + std::string(tag_or_digest)),
         .headers = {{"Content-Type", std::string(media_type)}},
         .body = bytes}));
    if (exchange->status() / 100 != 2) {
        return read_error(*exchange).to_error();
    }
    // A registry that lists referrers by itself says so.
    if (!exchange->headers().contains("OCI-Subject")) {
        TRY(list_referrer(stop, media_type, tag_or_digest, bytes));
    }
    return ok();
}

} // namespace berth::registry
