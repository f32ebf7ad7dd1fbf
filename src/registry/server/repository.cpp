// SPDX-License-Identifier: Apache-2.0
// index.json lists every manifest of a repository, those without a tag too: what it does not list
// is a blob and no manifest.
#include "registry/server/repository.h"

#include "base/strings.h"
#include "oci/manifest.h"

namespace berth::registry {

namespace {

constexpr const char* tag_annotation = "org.opencontainers.image.ref.name";
// Ours: lets the referrers of a manifest be found without opening all of them.
constexpr const char* subject_annotation = "io.berth.registry.subject";
constexpr const char* changes_annotation = "io.berth.registry.changes";

std::string annotation(const oci::Descriptor& entry, const char* name) {
    auto found = entry.annotations.find(name);
    return found == entry.annotations.end() ? std::string() : found->second;
}

} // namespace

oci::Descriptor describe(const ManifestEntry& entry, const std::string& tag) {
    oci::Descriptor descriptor = entry.descriptor;
    if (!entry.subject.empty()) {
        descriptor.annotations[subject_annotation] = entry.subject.to_string();
    }
    if (!tag.empty()) {
        descriptor.annotations[tag_annotation] = tag;
    }
    return descriptor;
}

Result<NamedEntry> read_entry(oci::Descriptor listed) {
    NamedEntry named{.entry = {}, .tag = annotation(listed, tag_annotation)};
    if (std::string subject = annotation(listed, subject_annotation); !subject.empty()) {
        named.entry.subject = TRY(oci::Digest::parse(subject));
    }
    listed.annotations.clear();
    named.entry.descriptor = std::move(listed);
    return named;
}

Result<RepositoryIndex> RepositoryIndex::parse(const std::string& text) {
    auto document = TRY(json::decode_text<oci::Index>(text, {.bytes = index_limit}));
    RepositoryIndex index;
    for (oci::Descriptor& listed : document.manifests) {
        NamedEntry named = TRY(read_entry(std::move(listed)));
        index.put(named.entry, named.tag);
    }
    if (auto found = document.annotations.find(changes_annotation);
        found != document.annotations.end()) {
        index.changes_ = TRY(parse_number<std::uint64_t>(found->second));
    }
    return index;
}

std::string RepositoryIndex::serialize() const {
    oci::Index document;
    document.media_type = oci::media_type::oci_index;
    std::set<std::string_view> tagged;
    for (const auto& [tag, digest] : tags_) {
        document.manifests.push_back(describe(manifests_.at(digest), tag));
        tagged.insert(digest);
    }
    for (const auto& [digest, entry] : manifests_) {
        if (!tagged.contains(digest)) {
            document.manifests.push_back(describe(entry, {}));
        }
    }
    if (changes_ > 0) {
        document.annotations.emplace(changes_annotation, std::to_string(changes_));
    }
    return json::encode_text(document);
}

const ManifestEntry* RepositoryIndex::find(std::string_view tag_or_digest) const {
    auto manifest = manifests_.find(tag_or_digest);
    if (manifest == manifests_.end()) {
        auto tag = tags_.find(tag_or_digest);
        manifest = tag == tags_.end() ? manifests_.end() : manifests_.find(tag->second);
    }
    return manifest == manifests_.end() ? nullptr : &manifest->second;
}

void RepositoryIndex::put(const ManifestEntry& entry, std::string_view tag) {
    const std::string& digest = entry.descriptor.digest.to_string();
    auto [known, fresh] = manifests_.try_emplace(digest, entry);
    if (!fresh) {
        forget_referrer(known->second);
        known->second = entry;
    }
    if (!entry.subject.empty()) {
        referrers_[entry.subject.to_string()].insert(digest);
    }
    if (!tag.empty()) {
        tags_.insert_or_assign(std::string(tag), digest);
    }
}

void RepositoryIndex::forget_referrer(const ManifestEntry& entry) {
    auto subject = referrers_.find(entry.subject.to_string());
    if (subject == referrers_.end()) {
        return;
    }
    subject->second.erase(entry.descriptor.digest.to_string());
    if (subject->second.empty()) {
        referrers_.erase(subject);
    }
}

bool RepositoryIndex::remove_tag(std::string_view tag) {
    auto found = tags_.find(tag);
    if (found == tags_.end()) {
        return false;
    }
    tags_.erase(found);
    return true;
}

bool RepositoryIndex::remove_manifest(const std::string& digest) {
    auto found = manifests_.find(digest);
    if (found == manifests_.end()) {
        return false;
    }
    forget_referrer(found->second);
    std::erase_if(tags_, [&](const auto& tag) { return tag.second == digest; });
    manifests_.erase(found);
    return true;
}

std::vector<std::string> RepositoryIndex::referrers(const std::string& subject) const {
    auto found = referrers_.find(subject);
    return found == referrers_.end()
               ? std::vector<std::string>()
               : std::vector<std::string>(found->second.begin(), found->second.end());
}

} // namespace berth::registry
