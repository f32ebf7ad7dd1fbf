// SPDX-License-Identifier: Apache-2.0
// The same image under two names is one entry, unless only one of them stands for an index.
#include "store/archive_selection.h"

#include <algorithm>

namespace berth::store {

bool is_wanted(const oci::Platform& platform, const std::vector<oci::Platform>& wanted) {
    return wanted.empty() ||
           std::any_of(wanted.begin(), wanted.end(), [&](const oci::Platform& one) {
               return platform.normalized().runs_on(one.normalized());
           });
}

namespace {

class Selector {
  public:
    Selector(ImageStore& images, Lease& lease, const SaveOptions& options)
        : images_(images)
        , lease_(lease)
        , options_(options) {}

    // `name`: what it is called in the archive.
    Result<void> add(const std::string& text, const oci::Reference* name) {
        Selection found;
        found.images = TRY(images_.platforms(text));
        std::erase_if(found.images, [&](const Image& image) {
            return !is_wanted(image.config.platform, options_.platforms);
        });
        if (found.images.empty()) {
            return not_found("no image of " + text + " is for a platform that was asked for");
        }
        // Of platforms that were chosen the index would promise more than there is.
        if (options_.platforms.empty()) {
            found.index = TRY(images_.index(lease_, text));
        }
        auto same = std::find_if(selected.begin(), selected.end(), [&](const Selection& other) {
            return is_same(other, found);
        });
        if (same == selected.end()) {
            selected.push_back(std::move(found));
            same = std::prev(selected.end());
        }
        if (name != nullptr &&
            std::find(same->names.begin(), same->names.end(), *name) == same->names.end()) {
            same->names.push_back(*name);
        }
        return ok();
    }

    std::vector<Selection> selected;

  private:
    static bool is_same(const Selection& a, const Selection& b) {
        const bool same_index = a.index.has_value() == b.index.has_value() &&
                                (!a.index || a.index->documents.front().descriptor.digest ==
                                                 b.index->documents.front().descriptor.digest);
        return same_index && a.images.front().id == b.images.front().id &&
               a.images.size() == b.images.size();
    }

    ImageStore& images_;
    Lease& lease_;
    const SaveOptions& options_;
};

} // namespace

Result<std::vector<Selection>> select_images(
    ImageStore& images,
    Lease& lease,
    std::span<const std::string> names,
    const SaveOptions& options) {
    Selector selector(images, lease, options);
    for (const std::string& text : names) {
        auto reference = oci::Reference::parse_normalized(text);
        bool found = false;
        if (reference.ok() && reference->is_name_only()) {
            // All tags of the repository, as Docker does it.
            for (const Image& image : TRY(images.list())) {
                for (const oci::Reference& name : image.names) {
                    if (name.name() == reference->name()) {
                        TRY(selector.add(name.to_string(), &name));
                        found = true;
                    }
                }
            }
        }
        if (!found) {
            const Image image = TRY(images.get(text));
            const std::vector<oci::Reference>& known = image.names;
            auto tagged =
                reference.ok() ? std::find(known.begin(), known.end(), *reference) : known.end();
            TRY(selector.add(text, tagged == known.end() ? nullptr : &*tagged));
        }
    }
    return std::move(selector.selected);
}

} // namespace berth::store
