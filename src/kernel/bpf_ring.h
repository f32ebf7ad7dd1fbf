// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_RINGBUF (Linux 5.8): records that programs leave for this process
// (bpf_ringbuf_output). What finds no room is lost.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace berth::kernel {

// One reader.
class BpfRing {
  public:
    // The name has at most 15 bytes; `bytes` is a power of two of whole pages.
    static Result<BpfRing> create(std::string_view name, std::size_t bytes);
    BpfRing(BpfRing&& other) noexcept;
    BpfRing& operator=(BpfRing&& other) = delete;
    ~BpfRing();

    // Readable, by poll(2), when there are records.
    FdRef fd() const { return fd_; }

    // All that are there.
    void read(const std::function<void(std::span<const std::byte>)>& visit) const;

  private:
    BpfRing(UniqueFd fd, std::size_t bytes, std::byte* consumer, std::byte* producer)
        : fd_(std::move(fd))
        , bytes_(bytes)
        , consumer_(consumer)
        , producer_(producer) {}

    UniqueFd fd_;
    std::size_t bytes_;
    std::byte* consumer_; // a page: how far this has read
    std::byte* producer_; // a page: how far programs have written; behind it the records, twice
};

} // namespace berth::kernel
