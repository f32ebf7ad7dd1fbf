// SPDX-License-Identifier: Apache-2.0
// madvise(2) over what this process has mapped. A page of code that is needed again costs a minor
// fault of half a microsecond, and the kernel maps its neighbours with it: 64 KiB, and since Linux
// 6.18 the whole folio of the page cache, which may be megabytes. So the last calls, which give the
// code back and wait, are made by a copy in a page of its own.
#include "monitor/idle_memory.h"

#include "base/unique_fd.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include <link.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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

struct Wait {
    const Range* ranges = nullptr; // the program's; the code that reads it can call nothing
    std::size_t count = 0;
    pollfd waited{};
    timespec timeout{};
    const timespec* limit = nullptr; // nullptr: for ever
};

using WaitCode = void (*)(const Wait&);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool code_can_move = false; // it calls the sanitizer, from wherever it stands
#else
constexpr bool code_can_move = true;
#endif

[[gnu::always_inline]] inline void
raw_call(long number, std::uintptr_t first, std::uintptr_t second, std::uintptr_t third) {
#if defined(__x86_64__)
    register std::uintptr_t fourth __asm__("r10") = 0;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(first), "S"(second), "d"(third), "r"(fourth)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register std::uintptr_t result __asm__("x0") = first;
    register std::uintptr_t after __asm__("x1") = second;
    register std::uintptr_t then __asm__("x2") = third;
    register std::uintptr_t fourth __asm__("x3") = 0;
    register long call __asm__("x8") = number;
    __asm__ volatile("svc 0"
                     : "+r"(result)
                     : "r"(after), "r"(then), "r"(fourth), "r"(call)
                     : "memory");
#else
#error "no raw system call for this processor"
#endif
}

// Nothing but system calls, and no address of its own: it is copied. The section's name is one for
// which the linker makes symbols; clang 14 knows the last attribute in this spelling alone.
[[gnu::section("berth_idle_wait"),
  gnu::noinline,
  gnu::used]] __attribute__((no_stack_protector)) void
give_back_and_wait(const Wait& wait) {
    for (std::size_t i = 0; i < wait.count; ++i) {
        const Range& range = wait.ranges[i];
        raw_call(SYS_madvise, range.begin, range.end - range.begin, MADV_DONTNEED);
    }
    raw_call(
        SYS_ppoll,
        reinterpret_cast<std::uintptr_t>(&wait.waited),
        1,
        reinterpret_cast<std::uintptr_t>(wait.limit));
}

extern "C" const char __start_berth_idle_wait[]; // NOLINT: the linker's names
extern "C" const char __stop_berth_idle_wait[];  // NOLINT

// The copy; the code itself where the system forbids programs to make code.
WaitCode code_outside_the_program() {
    const auto size = static_cast<std::size_t>(__stop_berth_idle_wait - __start_berth_idle_wait);
    if (!code_can_move || size > page_size) {
        return give_back_and_wait;
    }
    void* page =
        mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return give_back_and_wait;
    }
    std::memcpy(page, __start_berth_idle_wait, size);
    // Never to be written and executed at the same time.
    if (mprotect(page, page_size, PROT_READ | PROT_EXEC) != 0) {
        (void)munmap(page, page_size);
        return give_back_and_wait;
    }
    __builtin___clear_cache(static_cast<char*>(page), static_cast<char*>(page) + size);
    return reinterpret_cast<WaitCode>(page); // for the rest of the process
}

} // namespace

[[gnu::noinline]] void
wait_without_memory(std::span<char> buffer, FdRef fd, int timeout_milliseconds) {
    static const WaitCode give_back_code_and_wait = code_outside_the_program();
    Image image;
    (void)dl_iterate_phdr(collect_segments, &image);
    Wait wait{
        .ranges = image.ranges.data(),
        .count = image.count,
        .waited = {.fd = fd.get(), .events = POLLIN, .revents = 0}};
    if (timeout_milliseconds >= 0) {
        wait.timeout = {
            .tv_sec = timeout_milliseconds / 1000,
            .tv_nsec = (timeout_milliseconds % 1000) * 1'000'000L};
        wait.limit = &wait.timeout;
    }
    (void)malloc_trim(0);
    const auto buffer_begin = reinterpret_cast<std::uintptr_t>(buffer.data());
    Range{buffer_begin, buffer_begin + buffer.size()}.give_back();
    const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t below = (frame - 2 * page_size) & ~(page_size - 1);
    Range{below - stack_reach, below}.give_back();
    give_back_code_and_wait(wait);
}

} // namespace berth::monitor
