// SPDX-License-Identifier: Apache-2.0
// One registry as a client sees it (the distribution specification, version 2): manifests and blobs
// both ways, with authentication, retries and resumption. Over libcurl.
#pragma once

#include "base/result.h"
#include "codec/stream.h"
#include "oci/descriptor.h"
#include "oci/digest.h"
#include "oci/reference.h"
#include "registry/hosts.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// What X-Registry-Auth carries. All empty: anonymous.
struct Credentials {
    std::string username;
    std::string password;
    std::string identity_token; // an OAuth refresh token, instead of a password
    std::string registry_token; // a bearer token, used as it is
};

struct ClientOptions {
    Credentials credentials;
    HostsOptions hosts;
    // One of registry_hosts(); nullopt: the one that takes pushes. Insecure registries, and
    // 127.0.0.0/8, ::1 and localhost, may have an unverified certificate or no TLS at all: https is
    // tried first, then http.
    std::optional<RegistryHost> host = std::nullopt;
    int attempts = 5;                 // of one request that fails with 429, 5xx or on the network
    std::chrono::seconds stalled{60}; // after which a silent registry is given up
    std::string user_agent = "berth";
};

struct FetchedManifest {
    oci::Descriptor descriptor; // media type, digest and size of bytes
    std::string bytes;          // verified when it was asked for by digest
};

enum class Action : std::uint8_t { Pull, Push };

// Thread-safe: blobs may move in parallel, each on the calling thread. Errors have Docker's words;
// Unavailable when the registry cannot be reached, Unauthorized, Forbidden ("denied"), NotFound.
class Client {
  public:
    // registry: "docker.io" (whose API is at registry-1.docker.io), "localhost:5000", …
    // Everything is asked with the scope of `repository`. Does not connect yet.
    Client(std::string registry, std::string repository, Action action, ClientOptions options);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    // Finds scheme and authentication; called by the others when nobody did.
    Result<void> ping(std::stop_token stop);
    // Whether the registry accepts the credentials: the identity token that it gives, or "".
    Result<std::string> check_credentials(std::stop_token stop);

    // --- pull ---

    // By tag or digest.
    Result<FetchedManifest> manifest(std::stop_token stop, std::string_view tag_or_digest);
    // Without its bytes; nullopt when there is none.
    Result<std::optional<oci::Descriptor>>
    find_manifest(std::stop_token stop, std::string_view tag_or_digest);

    // All of the repository's, in the registry's order. At most `tags_limit`: ResourceExhausted.
    Result<std::vector<std::string>> tags(std::stop_token stop);
    // What refers to the manifest (signatures, bills of materials), of one type where that is not
    // empty: by the referrers API, or by the tag that stands for it in registries without one.
    Result<std::vector<oci::Descriptor>>
    referrers(std::stop_token stop, const oci::Digest& subject, std::string_view artifact_type);

    // The bytes of a blob from `offset`, fetched while they are read; a connection that breaks is
    // resumed with a Range. A registry that ignores Range is handled: skipped bytes are read again.
    // Not verified. The object must not outlive the client.
    Result<std::unique_ptr<ByteSource>>
    open_blob(std::stop_token stop, const oci::Descriptor& blob, std::uint64_t offset = 0);

    // --- push ---

    Result<bool> has_blob(std::stop_token stop, const oci::Digest& digest);
    // Cross-repository mount: true when the registry did it, false when it wants the bytes.
    Result<bool>
    mount_blob(std::stop_token stop, const oci::Digest& digest, std::string_view from_repository);

    // The blob's bytes from an offset: called before the first byte and again for each attempt.
    using OpenContent = std::function<Result<std::unique_ptr<ByteSource>>(std::uint64_t offset)>;
    using Sent = std::function<void(std::uint64_t bytes)>;
    Result<void> upload_blob(
        std::stop_token stop,
        const oci::Descriptor& blob,
        const OpenContent& open,
        const Sent& sent);
    // One with a subject is listed among its referrers, also where the registry does not do that.
    Result<void> put_manifest(
        std::stop_token stop,
        std::string_view tag_or_digest,
        std::string_view media_type,
        const std::string& bytes);

    const std::string& registry() const;
    const std::string& repository() const;

    struct Parts;

    static constexpr std::size_t tags_limit = 1'000'000;
    static constexpr std::size_t referrers_limit = 10'000;

  private:
    Result<void> list_referrer(
        const std::stop_token& stop,
        std::string_view media_type,
        std::string_view tag_or_digest,
        const std::string& bytes);

    std::unique_ptr<Parts> parts_;
};

} // namespace berth::registry
