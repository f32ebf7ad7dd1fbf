// SPDX-License-Identifier: Apache-2.0
// madvise(2) over what this process has mapped. A page of code that is needed again costs a minor
// fault of half a microsecond, and the kernel maps its 15 neighbours with it.
#include "monitor/idle_memory.h"

#include <array>
#include <cstdint>

#include <link.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>

namespace berth::monitor {
namespace {

constexpr std::uintptr_t page_size = 4096;

// More than a monitor ever uses; main's stack has megabytes of nothing else below it.
constexpr std::uintptr_t stack_reach = 256U << 10;

struct Range {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;

    void give_back() const {
        if (begin < end) {
            // SAFETY: see the callers: nobody needs the content, or the kernel has it in a file.
            (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
        }
    }
};

struct Image {
    std::array<Range, 8> ranges;
    std::size_t count = 0;
};

// The program's segments that were never written. SAFETY: a writable segment (RELRO too, which was
// relocated) has private pages that no file can bring back, so those are left out.
int collect_segments(dl_phdr_info* info, std::size_t, void* out) {
    auto& image = *static_cast<Image*>(out);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = info->dlpi_phdr[i];
        const bool constant = segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0;
        if (constant && image.count < image.ranges.size()) {
            const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
            image.ranges[image.count++] = {
                begin & ~(page_size - 1),
                (begin + segment.p_memsz + page_size - 1) & ~(page_size - 1)};
        }
    }
    return 1; // the first object is the program
}

} // namespace

[[gnu::noinline]] void
wait_without_memory(std::span<char> buffer, FdRef fd, int timeout_milliseconds) {
    Image image;
    (void)dl_iterate_phdr(collect_segments, &image);
    (void)malloc_trim(0);
    const auto buffer_begin = reinterpret_cast<std::uintptr_t>(buffer.data());
    Range{buffer_begin, buffer_begin + buffer.size()}.give_back();
    const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t below = (frame - 2 * page_size) & ~(page_size - 1);
    Range{below - stack_reach, below}.give_back();
    pollfd waited{.fd = fd.get(), .events = POLLIN, .revents = 0};
    for (std::size_t i = 0; i < image.count; ++i) {
        image.ranges[i].give_back();
    }
    (void)poll(&waited, 1, timeout_milliseconds);
}

} // namespace berth::monitor
