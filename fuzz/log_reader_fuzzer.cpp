// SPDX-License-Identifier: Apache-2.0
// A log whose file holds anything: read whole and from its tail, and appended to.
#include "base/file.h"
#include "io/log_file.h"
#include "io/log_format.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using berth::io::LogReader;
    static const auto directory = berth::TemporaryDirectory::create("/dev/shm").value();
    const std::string path = berth::io::log_file_path(directory.path(), 1);
    const std::string bytes(data, data + size);
    if (!berth::replace_file(path, bytes, 0600, berth::Sync::No).ok()) {
        std::abort();
    }
    std::size_t total = 0;
    for (const auto tail : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(3)}) {
        auto reader = LogReader::open({.directory = directory.path(), .tail = tail}).value();
        while (const auto chunk = reader.next().value()) {
            total += chunk->bytes.size();
        }
    }
    auto writer = berth::io::LogWriter::open({.directory = directory.path()}).value();
    const auto now = berth::Timestamp::now();
    if (!writer.append(berth::io::Stream::Stdout, now, "appended\n").ok()) {
        std::abort();
    }
    auto reader = LogReader::open({.directory = directory.path(), .tail = 1}).value();
    const auto last = reader.next().value();
    return last && last->bytes == "appended\n" && total <= 2 * size ? 0 : (std::abort(), 0);
}
