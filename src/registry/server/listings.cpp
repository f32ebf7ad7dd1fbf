// SPDX-License-Identifier: Apache-2.0
// Tags, repositories and referrers, in pages.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery
#include "base/strings.h"
#include "oci/digester.h"
#include "oci/manifest.h"
#include "registry/referrer.h"
#include "registry/server/call.h"
#include "registry/server/upstream.h"

#include <algorithm>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::size_t page_limit = 10'000;
constexpr std::size_t catalog_page = 100; // docker-registry's, and the next too
constexpr std::size_t catalog_limit = 1'000;
constexpr std::size_t referrers_page = 1'000;
// Of a page with referrers: they bring their annotations, and a client reads no more than that.
constexpr std::size_t referrers_bytes = 4U << 20;

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
    json::Object document,
    http::Headers headers = {}) {
    document[member] = json::encode(page.names);
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
    if (document.ok()) {
        describe_referrer(descriptor, *document);
    }
    return descriptor;
}

// What of the list one answer has.
struct ReferrerPage {
    json::Array entries;
    std::string last; // digest; "" when nothing is behind it
};

class ReferrerCollector {
  public:
    explicit ReferrerCollector(std::string_view wanted)
        : wanted_(wanted) {}

    // False when the page is full without it.
    bool add(const oci::Descriptor& descriptor) {
        if (!wanted_.empty() && descriptor.artifact_type != wanted_) {
            return true;
        }
        json::Value entry = json::encode(descriptor);
        bytes_ += json::serialize(entry).size() + 1;
        bool fits = page_.entries.empty() ||
                    (bytes_ <= referrers_bytes && page_.entries.size() < referrers_page);
        if (fits) {
            last_ = descriptor.digest.to_string();
            page_.entries.push_back(std::move(entry));
        }
        return fits;
    }

    ReferrerPage take(bool more) {
        page_.last = more ? last_ : std::string();
        return std::move(page_);
    }

  private:
    std::string_view wanted_;
    std::size_t bytes_ = 0;
    std::string last_;
    ReferrerPage page_;
};

// One manifest in memory at a time: a subject may have any number of them.
Result<ReferrerPage>
stored_referrers(const Call& call, const oci::Digest& subject, std::string_view wanted) {
    auto digests = call.storage().referrers(call.route.repository, subject);
    if (!digests.ok()) { // a repository that is not there has no referrers
        return digests.error().kind() == ErrorKind::NotFound ? Result<ReferrerPage>(ReferrerPage())
                                                             : std::move(digests).error();
    }
    std::string_view last = call.request.query.get("last");
    ReferrerCollector collector(wanted);
    for (const std::string& digest : *digests) {
        if (digest <= last) {
            continue;
        }
        auto stored = call.storage().manifest(call.route.repository, digest);
        if (!stored.ok() && stored.error().kind() == ErrorKind::NotFound) {
            continue; // went meanwhile
        }
        if (!collector.add(referrer_of(TRY(std::move(stored))))) {
            return collector.take(true);
        }
    }
    return collector.take(false);
}

// Of a cache: what the other registry says now, if it can be reached.
Result<ReferrerPage> find_referrers(
    const Call& call, const oci::Digest& subject, std::string_view wanted, http::Headers& headers) {
    Upstream* upstream = call.service.upstream;
    if (upstream == nullptr) {
        return stored_referrers(call, subject, wanted);
    }
    auto found = TRY(upstream->referrers(call, subject, wanted, headers));
    if (!found) {
        return stored_referrers(call, subject, wanted);
    }
    std::ranges::sort(*found, {}, [](const oci::Descriptor& entry) -> const std::string& {
        return entry.digest.to_string();
    });
    std::string_view last = call.request.query.get("last");
    ReferrerCollector collector(wanted);
    for (const oci::Descriptor& entry : *found) {
        if (entry.digest.to_string() > last && !collector.add(entry)) {
            return collector.take(true);
        }
    }
    return collector.take(false);
}

std::string next_referrers(const Call& call, const std::string& last, std::string_view wanted) {
    std::string link = "<" + call.request.path + "?";
    if (!wanted.empty()) {
        link += "artifactType=" + http::percent_encode(wanted) + "&";
    }
    return link + "last=" + http::percent_encode(last) + ">; rel=\"next\"";
}

Result<NamePage> find_tags(const Call& call, std::size_t count, http::Headers& headers) {
    const std::string& repository = call.route.repository;
    std::string_view last = call.request.query.get("last");
    Upstream* upstream = call.service.upstream;
    auto all = upstream != nullptr ? TRY(upstream->tags(call, headers)) : std::nullopt;
    if (!all) {
        return call.storage().tags(repository, last, count);
    }
    std::ranges::sort(*all);
    auto next = last.empty() ? all->begin() : std::ranges::upper_bound(*all, last);
    NamePage page;
    for (; next != all->end() && page.names.size() < count; ++next) {
        page.names.push_back(std::move(*next));
    }
    page.more = next != all->end();
    return page;
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
    http::Headers headers;
    auto page = find_tags(call, *count, headers);
    if (!page.ok()) {
        return call.fail(page.error(), ErrorCode::NameUnknown);
    }
    json::Object document{{"name", call.route.repository}};
    return reply_page(call, *page, *count, "tags", std::move(document), std::move(headers));
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
    oci::Index index;
    index.media_type = oci::media_type::oci_index;
    http::Headers headers{{"Content-Type", index.media_type}};
    std::string wanted(call.request.query.get("artifactType"));
    auto page = find_referrers(call, *subject, wanted, headers);
    if (!page.ok()) {
        return call.fail(page.error(), ErrorCode::NameUnknown);
    }
    if (!page->last.empty()) {
        headers.add("Link", next_referrers(call, page->last, wanted));
    }
    if (!wanted.empty()) {
        headers.add("OCI-Filters-Applied", "artifactType");
    }
    json::Value document = json::encode(index);
    document.as_object()["manifests"] = std::move(page->entries);
    return call.reply_json(200, document, std::move(headers));
}

} // namespace berth::registry
