// SPDX-License-Identifier: Apache-2.0
// Unpacks a layer's tar into a fresh directory; nothing beside that directory may appear.
#include "base/file.h"
#include "base/verify.h"
#include "store/layer_extractor.h"
#include "store/tree_removal.h"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::string parent = berth::TemporaryDirectory::create("/tmp").value().release();
    static const int at_exit = std::atexit([] { (void)berth::store::remove_tree_of(parent); });
    (void)at_exit;
    std::string layer = parent + "/layer";
    if (!berth::make_directories(layer).ok()) {
        return 0;
    }
    std::string bytes(data, data + size);
    berth::StringSource source(std::move(bytes));
    berth::store::ExtractionLimits limits{.entries = 1000, .bytes = 1U << 20};
    auto extractor = berth::store::LayerExtractor::create(layer, limits);
    if (extractor.ok()) {
        (void)extractor->extract(source);
    }
    VERIFY(berth::list_directory(parent).value() == std::vector<std::string>{"layer"});
    VERIFY(berth::store::remove_tree_of(layer).ok());
    return 0;
}
