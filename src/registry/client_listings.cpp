// SPDX-License-Identifier: Apache-2.0
// Tags and referrers.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery
//
// Registries from before version 1.1 list no referrers. There the specification has clients keep
// an index of them under a tag made of the subject's digest, "sha256-<hex>": read here where the
// registry has no answer of its own, and written after a push that the registry did not confirm
// with OCI-Subject.
#include "base/strings.h"
#include "http/query.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/client.h"
#include "registry/client_parts.h"
#include "registry/referrer.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::size_t page_bytes = 4U << 20;

struct TagList {
    std::vector<std::string> tags;
};

} // namespace

} // namespace berth::registry

template <>
struct berth::json::Fields<berth::registry::TagList> {
    using T = registry::TagList;
    static constexpr auto table = std::tuple{field("tags", &T::tags)};
};

namespace berth::registry {

namespace {

// The address in <…>; rel="next". "" without one.
std::string next_page(const Exchange& exchange) {
    for (std::string_view header : exchange.headers().get_all("Link")) {
        std::size_t begin = header.find('<');
        std::size_t end = header.find('>', begin == std::string_view::npos ? 0 : begin);
        if (begin == std::string_view::npos || end == std::string_view::npos) {
            continue;
        }
        std::string rest = to_lower(header.substr(end));
        if (rest.find("rel=\"next\"") != std::string::npos ||
            rest.find("rel=next") != std::string::npos) {
            return std::string(header.substr(begin + 1, end - begin - 1));
        }
    }
    return {};
}

// Page after page of one list. take: what a page's bytes are good for, and whether more are wanted.
Result<void> each_page(
    Client::Parts& parts,
    const std::stop_token& stop,
    const Outgoing& first,
    const std::function<Result<bool>(Exchange&, const std::string&)>& take) {
    Outgoing request = first;
    std::string before;
    while (true) {
        std::string asked = request.url;
        auto exchange = TRY(parts.call(stop, request));
        if (exchange->status() != 200) {
            return read_error(*exchange).to_error();
        }
        std::string body = TRY(exchange->read_body(page_bytes));
        bool more = TRY(take(*exchange, body));
        std::string next = next_page(*exchange);
        if (!more || next.empty()) {
            return ok();
        }
        request.url = parts.absolute(next, asked);
        if (!parts.is_ours(request.url) || request.url == asked || request.url == before) {
            return invalid_argument(
                "the registry's next page is at \"" + request.url + "\", where it cannot be");
        }
        before = asked;
    }
}

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
std::string referrers_tag(const oci::Digest& subject) {
    return std::string(subject.algorithm().substr(0, 32)) + "-" +
           std::string(subject.hex().substr(0, 64));
}

// The tag's index; an empty one where there is none.
Result<oci::Index>
tagged_index(Client& client, const std::stop_token& stop, const oci::Digest& subject) {
    auto fetched = client.manifest(stop, referrers_tag(subject));
    if (!fetched.ok()) {
        return fetched.error().kind() == ErrorKind::NotFound ? Result<oci::Index>(oci::Index())
                                                             : std::move(fetched).error();
    }
    auto document = TRY(oci::parse_manifest(fetched->bytes, fetched->descriptor.media_type));
    auto* index = std::get_if<oci::Index>(&document);
    return index != nullptr
               ? Result<oci::Index>(std::move(*index))
               : invalid_argument("the tag " + referrers_tag(subject) + " is no list of referrers");
}

// As the referrers API lists it; nullopt when it refers to nothing.
struct Referrer {
    oci::Digest subject;
    oci::Descriptor descriptor;
};

std::optional<Referrer> read_referrer(std::string_view media_type, const std::string& bytes) {
    auto document = oci::parse_manifest(bytes, media_type);
    if (!document.ok()) {
        return std::nullopt;
    }
    Referrer referrer;
    referrer.descriptor.media_type = media_type;
    referrer.descriptor.digest = oci::Digest::of(bytes);
    referrer.descriptor.size = static_cast<std::int64_t>(bytes.size());
    std::visit(
        [&](const auto& of) { referrer.subject = of.subject ? of.subject->digest : oci::Digest(); },
        *document);
    describe_referrer(referrer.descriptor, *document);
    return referrer.subject.empty() ? std::nullopt : std::optional(std::move(referrer));
}

} // namespace

Result<std::vector<std::string>> Client::tags(std::stop_token stop) {
    TRY(parts_->ping(stop));
    std::vector<std::string> all;
    TRY(each_page(
        *parts_,
        stop,
        {.url = parts_->url("tags/list")},
        [&](Exchange&, const std::string& body) -> Result<bool> {
            auto page = TRY_CONTEXT(json::decode_text<TagList>(body), "list of tags");
            if (all.size() + page.tags.size() > tags_limit) {
                return Error(
                    ErrorKind::ResourceExhausted,
                    parts_->repository + " has more than the limit of " +
                        std::to_string(tags_limit) + " tags");
            }
            std::ranges::move(page.tags, std::back_inserter(all));
            return !page.tags.empty();
        }));
    return all;
}

Result<std::vector<oci::Descriptor>> Client::referrers(
    std::stop_token stop, const oci::Digest& subject, std::string_view artifact_type) {
    TRY(parts_->ping(stop));
    std::string target = "referrers/" + subject.to_string();
    if (!artifact_type.empty()) {
        target += "?artifactType=" + http::percent_encode(artifact_type);
    }
    std::vector<oci::Descriptor> found;
    auto add = [&](std::vector<oci::Descriptor> page) {
        for (oci::Descriptor& entry : page) {
            // Not every registry filters.
            if (artifact_type.empty() || entry.artifact_type == artifact_type) {
                found.push_back(std::move(entry));
            }
        }
        return found.size() < referrers_limit;
    };
    auto listed = each_page(
        *parts_,
        stop,
        {.url = parts_->url(target),
         .headers = {{"Accept", std::string(oci::media_type::oci_index)}}},
        [&](Exchange&, const std::string& body) -> Result<bool> {
            return add(TRY_CONTEXT(json::decode_text<oci::Index>(body), "referrers").manifests);
        });
    if (!listed.ok()) {
        if (listed.error().kind() != ErrorKind::NotFound) {
            return std::move(listed).error();
        }
        add(TRY(tagged_index(*this, stop, subject)).manifests);
    }
    return found;
}

// Two clients at once may overwrite each other's entry: the specification has no better.
Result<void> Client::list_referrer(
    const std::stop_token& stop,
    std::string_view media_type,
    std::string_view tag_or_digest,
    const std::string& bytes) {
    std::optional<Referrer> referrer = read_referrer(media_type, bytes);
    if (!referrer) {
        return ok();
    }
    if (auto named = oci::parse_blob_digest(tag_or_digest); named.ok()) {
        referrer->descriptor.digest = std::move(*named); // of another algorithm, perhaps
    }
    oci::Index index = TRY(tagged_index(*this, stop, referrer->subject));
    const oci::Digest& own = referrer->descriptor.digest;
    if (std::ranges::find(index.manifests, own, &oci::Descriptor::digest) !=
        index.manifests.end()) {
        return ok();
    }
    index.media_type = oci::media_type::oci_index;
    index.manifests.push_back(std::move(referrer->descriptor));
    return put_manifest(
        stop, referrers_tag(referrer->subject), index.media_type, index.serialize());
}

} // namespace berth::registry
