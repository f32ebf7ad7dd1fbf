// SPDX-License-Identifier: Apache-2.0
// Layout: Documentation/bpf/ringbuf.rst.
#include "kernel/bpf_ring.h"

#include "base/verify.h"
#include "kernel/bpf.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

std::size_t page_size() {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// The kernel's counters, which go up only.
std::atomic_ref<std::uint64_t> counter_at(std::byte* page) {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(page));
}

} // namespace

Result<BpfRing> BpfRing::create(std::string_view name, std::size_t bytes) {
    bpf_attr attributes{};
    VERIFY(name.size() < sizeof attributes.map_name);
    attributes.map_type = BPF_MAP_TYPE_RINGBUF;
    attributes.max_entries = static_cast<std::uint32_t>(bytes);
    std::ranges::copy(name, attributes.map_name);
    UniqueFd fd(static_cast<int>(bpf_call(BPF_MAP_CREATE, attributes)));
    if (!fd) {
        return errno_error("make the ring " + std::string(name));
    }
    const std::size_t page = page_size();
    void* consumer = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (consumer == MAP_FAILED) {
        return errno_error("map the ring " + std::string(name));
    }
    void* producer = ::mmap(
        nullptr, page + 2 * bytes, PROT_READ, MAP_SHARED, fd.get(), static_cast<off_t>(page));
    if (producer == MAP_FAILED) {
        Error error = errno_error("map the ring " + std::string(name));
        ::munmap(consumer, page);
        return error;
    }
    return BpfRing(
        std::move(fd), bytes, static_cast<std::byte*>(consumer), static_cast<std::byte*>(producer));
}

BpfRing::BpfRing(BpfRing&& other) noexcept
    : fd_(std::move(other.fd_))
    , bytes_(other.bytes_)
    , consumer_(std::exchange(other.consumer_, nullptr))
    , producer_(std::exchange(other.producer_, nullptr)) {}

BpfRing::~BpfRing() {
    if (consumer_ != nullptr) {
        ::munmap(consumer_, page_size());
        ::munmap(producer_, page_size() + 2 * bytes_);
    }
}

void BpfRing::read(const std::function<void(std::span<const std::byte>)>& visit) const {
    constexpr std::size_t header_size = BPF_RINGBUF_HDR_SZ;
    const std::byte* records = producer_ + page_size();
    std::uint64_t done = counter_at(consumer_).load(std::memory_order_acquire);
    while (done < counter_at(producer_).load(std::memory_order_acquire)) {
        const std::size_t place = done & (bytes_ - 1);
        auto* header = reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(records + place));
        const std::uint32_t word =
            std::atomic_ref<std::uint32_t>(*header).load(std::memory_order_acquire);
        if ((word & BPF_RINGBUF_BUSY_BIT) != 0) {
            return; // its writer wakes the reader
        }
        const std::size_t size = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        if ((word & BPF_RINGBUF_DISCARD_BIT) == 0) {
            visit({records + place + header_size, size});
        }
        done += (header_size + size + 7) / 8 * 8;
        counter_at(consumer_).store(done, std::memory_order_release);
    }
}

} // namespace berth::kernel
