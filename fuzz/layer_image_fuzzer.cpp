// SPDX-License-Identifier: Apache-2.0
// A layer's tar as an EROFS image, beside what the extractor makes of it: one takes the archive
// when the other does, both count the same, the image's index can be made again from its tar, and
// the tar from its frame and files.
#include "base/file.h"
#include "base/verify.h"
#include "store/frame_recorder.h"
#include "store/layer_extractor.h"
#include "store/layer_file.h"
#include "store/tar_frame.h"
#include "store/tree_removal.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using berth::store::ExtractionLimits;
    using berth::store::FramedTar;
    using berth::store::FrameRecorder;
    using berth::store::LayerExtractor;
    using berth::store::LayerFile;
    using berth::store::remove_tree_of;
    static std::string parent = berth::TemporaryDirectory::create("/tmp").value().release();
    static const int at_exit = std::atexit([] { (void)remove_tree_of(parent); });
    (void)at_exit;
    const std::string tree = parent + "/tree";
    const std::string image = parent + "/image";
    if (!berth::make_directories(tree).ok()) {
        return 0;
    }
    const ExtractionLimits limits{.entries = 1000, .bytes = 1U << 20};
    berth::StringSource source(std::string(data, data + size));
    auto written = LayerFile::write(image, source, {.extraction = limits});
    berth::StringSource again(std::string(data, data + size));
    auto extractor = LayerExtractor::create(tree, limits);
    VERIFY(extractor.ok());
    auto root = berth::open_file(tree, O_RDONLY | O_DIRECTORY);
    VERIFY(root.ok());
    auto recorder = FrameRecorder::create(again, parent, *root);
    VERIFY(recorder.ok());
    const auto extracted = extractor->extract(**recorder);
    // Without root the extractor cannot set owners or make devices.
    if (geteuid() == 0 && extracted.ok()) {
        VERIFY(written.ok());
    }
    if (written.ok() && extracted.ok()) {
        VERIFY(written->size() == extractor->size());
        VERIFY(written->take_implied_directories() == extractor->take_implied_directories());
    }
    if (extracted.ok()) {
        VERIFY((*recorder)->finish().ok());
        auto made = FramedTar::open(parent, tree);
        VERIFY(made.ok());
        const auto bytes = berth::read_to_end(**made, 1U << 30);
        VERIFY(bytes.ok() && *bytes == std::string(data, data + size));
    }
    if (written.ok()) {
        VERIFY(written->tar_bytes() == size);
        VERIFY(written->adopt({}, {.extraction = limits}).ok());
        VERIFY(LayerFile::open(image).ok());
    }
    (void)unlink(image.c_str());
    (void)unlink(berth::store::frame_of(parent).c_str());
    (void)remove_tree_of(parent + "/replaced");
    VERIFY(remove_tree_of(tree).ok());
    return 0;
}
