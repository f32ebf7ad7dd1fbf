// SPDX-License-Identifier: Apache-2.0
// Tags, repositories and referrers, in pages.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery
#include "base/strings.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/server/call.h"

#include <algorithm>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::size_t page_limit = 10'000;
constexpr std::size_t catalog_page = 100; // docker-registry's, and the next too
constexpr std::size_t catalog_limit = 1'000;
constexpr std::size_t referrers_page = 1'000;

// ?n=<count>, at most what one page may have.
Result<std::size_t> page_size(const Call& call, std::size_t preset) {
    std::optional<std::string_view> count = call.request.query.find("n");
    return count ? std::min(TRY(parse_number<std::size_t>(*count)), page_limit)
                 : Result<std::size_t>(preset);
}

Result<void> reply_page(
    const Call& call,
    const NamePage& page,
    std::size_t count,
    std::string_view member,
    json::Object document) {
    document[member] = json::encode(page.names);
    http::Headers headers;
    if (page.more && !page.names.empty()) {
        headers.add(
            "Link",
            "<" + call.request.path + "?last=" + http::percent_encode(page.names.back()) +
                "&n=" + std::to_string(count) + ">; rel=\"next\"");
    }
    return call.reply_json(200, document, std::move(headers));
}

oci::Descriptor referrer_of(const StoredManifest& stored) {
    oci::Descriptor descriptor;
    descriptor.media_type = stored.descriptor.media_type;
    descriptor.digest = stored.descriptor.digest;
    descriptor.size = stored.descriptor.size;
    auto document = oci::parse_manifest(*stored.bytes, stored.descriptor.media_type);
    if (!document.ok()) {
        return descriptor;
    }
    if (const auto* manifest = std::get_if<oci::Manifest>(&*document)) {
        descriptor.artifact_type =
            manifest->artifact_type.empty() ? manifest->config.media_type : manifest->artifact_type;
        descriptor.annotations = manifest->annotations;
    } else {
        const auto& index = std::get<oci::Index>(*document);
        descriptor.artifact_type = index.artifact_type;
        descriptor.annotations = index.annotations;
    }
    return descriptor;
}

std::string next_referrers(const Call& call, const oci::Digest& last, std::string_view wanted) {
    std::string link = "<" + call.request.path + "?";
    if (!wanted.empty()) {
        link += "artifactType=" + http::percent_encode(wanted) + "&";
    }
    return link + "last=" + http::percent_encode(last.to_string()) + ">; rel=\"next\"";
}

} // namespace

Result<void> serve_tags(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    auto count = page_size(call, page_limit);
    if (!count.ok()) {
        return call.fail(ErrorCode::PaginationNumberInvalid, call.request.query.get("n"));
    }
    auto page = call.storage().tags(call.route.repository, call.request.query.get("last"), *count);
    return page.ok() ? reply_page(call, *page, *count, "tags", {{"name", call.route.repository}})
                     : call.fail(page.error(), ErrorCode::NameUnknown);
}

Result<void> serve_catalog(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    // docker-registry's: what is no number is as if it were not said.
    std::string_view given = call.request.query.get("n");
    std::size_t count = parse_number<std::size_t>(given).value_or(catalog_page);
    if (count > catalog_limit) {
        return call.fail(ErrorCode::PaginationNumberInvalid, given);
    }
    NamePage page = call.storage().repositories(call.request.query.get("last"), count);
    return reply_page(call, page, count, "repositories", {});
}

Result<void> serve_referrers(Call& call) {
    if (!call.reads()) {
        return call.refuse_method("GET, HEAD");
    }
    auto subject = oci::parse_blob_digest(call.route.reference);
    if (!subject.ok()) {
        return call.fail(ErrorCode::DigestInvalid, subject.error().message());
    }
    // One more tells whether there is a next page.
    auto found = call.storage().referrers(
        call.route.repository, *subject, call.request.query.get("last"), referrers_page + 1);
    if (!found.ok() && found.error().kind() != ErrorKind::NotFound) {
        return call.fail(found.error(), ErrorCode::NameUnknown);
    }
    oci::Index index;
    index.media_type = oci::media_type::oci_index;
    http::Headers headers{{"Content-Type", index.media_type}};
    std::string wanted(call.request.query.get("artifactType"));
    if (found.ok()) { // a repository that is not there has no referrers
        if (found->size() > referrers_page) {
            found->pop_back();
            headers.add("Link", next_referrers(call, found->back().descriptor.digest, wanted));
        }
        for (const StoredManifest& stored : *found) {
            oci::Descriptor descriptor = referrer_of(stored);
            if (wanted.empty() || descriptor.artifact_type == wanted) {
                index.manifests.push_back(std::move(descriptor));
            }
        }
    }
    if (!wanted.empty()) {
        headers.add("OCI-Filters-Applied", "artifactType");
    }
    return call.reply_json(200, json::encode(index), std::move(headers));
}

} // namespace berth::registry
