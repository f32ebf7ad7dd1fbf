// SPDX-License-Identifier: Apache-2.0
// docker load of anything: an image is complete or not there.
#include "base/file.h"
#include "base/verify.h"
#include "store/archive.h"
#include "store/store.h"

#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const berth::TemporaryDirectory root = berth::TemporaryDirectory::create("/tmp").value();
    static const auto store =
        berth::store::Store::open(
            {.root = root.path(), .snapshotter = berth::store::SnapshotterKind::Copy})
            .value();
    std::string bytes(data, data + size);
    berth::StringSource source(std::move(bytes));
    auto loaded = berth::store::load_archive({}, store->images(), source);
    if (loaded.ok()) {
        for (const berth::store::LoadedImage& image : *loaded) {
            VERIFY(store->images().get(image.id).ok());
            (void)store->images().remove(image.id);
        }
    }
    VERIFY(store->garbage_collector().collect().ok());
    return 0;
}
