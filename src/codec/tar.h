// SPDX-License-Identifier: Apache-2.0
// Tar streams: exact headers in, exact headers out. The reader takes ustar, pax (global and
// local), GNU long names, base-256 numbers and GNU and pax sparse files; the writer makes ustar and
// adds a pax header only for what ustar cannot hold, so that the same entries always give the same
// bytes. Names are bytes: nothing is cleaned, joined or rejected here; whoever extracts walks them
// by descriptor.
#pragma once

#include "codec/stream.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tar {

enum class EntryType : std::uint8_t {
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
};

struct Header {
    std::string name;      // without the slash that ends a directory's name
    std::string link_name; // of hard and symbolic links
    EntryType type = EntryType::File;
    std::uint32_t mode = 0644; // permission and set-id bits only
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t size = 0; // of a File's data, holes included; 0 for other types
    std::int64_t mtime = 0; // nanoseconds since the epoch
    std::uint32_t device_major = 0;
    std::uint32_t device_minor = 0;
    std::string user_name;
    std::string group_name;
    std::map<std::string, std::string> xattrs; // "security.capability" -> bytes
};

// A run of data in a sparse file.
struct Segment {
    std::uint64_t offset;
    std::uint64_t length;
};

struct Limits {
    std::size_t name_bytes = 4096;          // name and link_name each (PATH_MAX)
    std::size_t pax_bytes = 1U << 20;       // the pax headers of one entry
    std::size_t global_bytes = 16U << 10;   // the global ones, which every entry gets a copy of
    std::size_t sparse_segments = 1U << 20; // data segments of one sparse file
    std::uint64_t entry_bytes = 1ULL << 40; // size of one file
};

// Reads one entry after the other; read() gives the data of the current one, and what is not read
// is skipped by next(). DataLoss for a damaged or truncated archive, ResourceExhausted past a
// limit.
class Reader final : public ByteSource {
  public:
    // source must outlive the reader.
    explicit Reader(ByteSource& source, Limits limits = {});
    Reader(Reader&&) noexcept;
    ~Reader() override;

    // nullopt at the archive's end (two zero blocks, or the end of the source between entries, as
    // every tar accepts). The source is not drained; use drain() where the bytes must be hashed.
    Result<std::optional<Header>> next();

    // Data of the current entry, holes as zeros; 0 at its end.
    Result<std::size_t> read(std::span<char> buffer) override;

    // Passes over the hole that begins here; how long it was, 0 where data comes.
    std::uint64_t skip_hole();

    // Where the current entry's data belongs in its file; the archive has it in one piece from
    // where the source stands after next(). A file without holes is one segment.
    std::vector<Segment> segments() const;

    // Reads the source to its end.
    Result<void> drain();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

class Writer {
  public:
    // sink must outlive the writer.
    explicit Writer(ByteSink& sink)
        : sink_(sink) {}

    // REQUIRES: the previous entry's data is complete.
    Result<void> write_header(const Header& header);
    // More bytes than the header's size are InvalidArgument.
    Result<void> write(std::string_view data);
    // The two zero blocks. An entry whose data is incomplete is InvalidArgument.
    Result<void> finish();

  private:
    Result<void> finish_entry();

    ByteSink& sink_;
    std::uint64_t left_ = 0;
    std::uint32_t padding_ = 0;
};

} // namespace berth::tar
