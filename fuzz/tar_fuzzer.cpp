// SPDX-License-Identifier: Apache-2.0
// Archives: every entry that is read can be written and read again.
#include "codec/tar.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    berth::StringSource source(std::string(data, data + size));
    berth::tar::Reader reader(source, {.sparse_segments = 1000, .entry_bytes = 1U << 20});
    for (auto header = reader.next(); header.ok() && *header; header = reader.next()) {
        berth::StringSink sink;
        berth::tar::Writer writer(sink);
        if (!writer.write_header(**header).ok()) {
            continue; // device numbers may be too large to write
        }
        berth::StringSource copy_source(sink.take());
        berth::tar::Reader copy(copy_source);
        const auto again = copy.next();
        if (!again.ok() || !*again || (*again)->name != (*header)->name ||
            (*again)->mtime != (*header)->mtime || (*again)->xattrs != (*header)->xattrs) {
            std::abort();
        }
        (void)berth::read_to_end(reader, 1U << 20).ok();
    }
    return 0;
}
