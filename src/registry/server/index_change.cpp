// SPDX-License-Identifier: Apache-2.0
// {"number":7,"put":<descriptor>}, {"number":8,"untag":"v1"}, {"number":9,"remove":"sha256:…"}
#include "registry/server/index_change.h"

#include "codec/json.h"

namespace berth::registry {

void IndexChange::apply(RepositoryIndex& index) const {
    switch (kind) {
    case Kind::Put:
        index.put(put.entry, put.tag);
        break;
    case Kind::RemoveTag:
        index.remove_tag(removed);
        break;
    case Kind::RemoveManifest:
        index.remove_manifest(removed);
        break;
    }
    index.set_changes(number);
}

std::string IndexChange::to_line() const {
    json::Object line{{"number", number}};
    switch (kind) {
    case Kind::Put:
        line["put"] = json::encode(describe(put.entry, put.tag));
        break;
    case Kind::RemoveTag:
        line["untag"] = removed;
        break;
    case Kind::RemoveManifest:
        line["remove"] = removed;
        break;
    }
    return json::serialize(line) + "\n";
}

Result<IndexChange> IndexChange::parse(std::string_view line) {
    json::Value document = TRY(json::parse(line));
    IndexChange change;
    const json::Value* number = json::find(document, "number");
    if (number == nullptr || !number->is_int64() || number->get_int64() <= 0) {
        return invalid_argument("a change has no number");
    }
    change.number = static_cast<std::uint64_t>(number->get_int64());
    if (const json::Value* put = json::find(document, "put")) {
        auto descriptor = TRY(json::decode<oci::Descriptor>(*put));
        change.put = TRY(read_entry(std::move(descriptor)));
        return change;
    }
    bool tag = json::find(document, "untag") != nullptr;
    change.kind = tag ? Kind::RemoveTag : Kind::RemoveManifest;
    change.removed = json::find_string(document, tag ? "untag" : "remove");
    if (change.removed.empty()) {
        return invalid_argument("a change says nothing");
    }
    return change;
}

Result<ReadJournal> read_journal(std::string_view text) {
    ReadJournal journal;
    while (!text.empty()) {
        std::size_t end = text.find('\n');
        auto change = end == std::string_view::npos
                          ? Result<IndexChange>(invalid_argument("cut off"))
                          : IndexChange::parse(text.substr(0, end));
        if (!change.ok()) {
            bool last = end == std::string_view::npos || end + 1 == text.size();
            return last ? Result<ReadJournal>(std::move(journal))
                        : Error(
                              ErrorKind::DataLoss,
                              "the journal is damaged at byte " + std::to_string(journal.bytes) +
                                  ": " + change.error().message());
        }
        journal.changes.push_back(std::move(*change));
        journal.bytes += end + 1;
        text.remove_prefix(end + 1);
    }
    return journal;
}

} // namespace berth::registry
