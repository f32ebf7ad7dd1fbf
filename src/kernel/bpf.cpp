// SPDX-License-Identifier: Apache-2.0
// bpf(2).
#include "kernel/bpf.h"

#include "base/verify.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

bpf_insn bpf_instruction(
    int code,
    std::uint8_t destination,
    std::uint8_t source,
    std::int64_t offset,
    std::int64_t value) {
    bpf_insn made{};
    made.code = static_cast<std::uint8_t>(code);
    made.dst_reg = destination & 0xfU;
    made.src_reg = source & 0xfU;
    made.off = static_cast<std::int16_t>(offset);
    made.imm = static_cast<std::int32_t>(value);
    return made;
}

long bpf_call(int command, bpf_attr& attributes) {
    return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

Result<UniqueFd>
load_bpf_program(bpf_prog_type type, std::string_view name, std::span<const bpf_insn> program) {
    static constexpr char license[] = "Apache-2.0";
    bpf_attr attributes{};
    VERIFY(name.size() < sizeof attributes.prog_name);
    attributes.prog_type = type;
    attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
    attributes.license = reinterpret_cast<std::uintptr_t>(license);
    std::ranges::copy(name, attributes.prog_name);
    // The kernel gives up with EAGAIN when a signal comes while it checks the program.
    constexpr int attempts = 16;
    for (int i = 0; i < attempts; ++i) {
        UniqueFd fd(static_cast<int>(bpf_call(BPF_PROG_LOAD, attributes)));
        if (fd) {
            return fd;
        }
        if (errno != EAGAIN) {
            break;
        }
    }
    return errno_error("load the program " + std::string(name));
}

Result<BpfHash> BpfHash::create(const Shape& shape) {
    bpf_attr attributes{};
    VERIFY(shape.name.size() < sizeof attributes.map_name);
    attributes.map_type = BPF_MAP_TYPE_HASH;
    attributes.key_size = static_cast<std::uint32_t>(shape.key_size);
    attributes.value_size = static_cast<std::uint32_t>(shape.value_size);
    attributes.max_entries = shape.limit;
    attributes.map_flags = BPF_F_NO_PREALLOC;
    std::ranges::copy(shape.name, attributes.map_name);
    UniqueFd fd(static_cast<int>(bpf_call(BPF_MAP_CREATE, attributes)));
    if (!fd) {
        return errno_error("make the table " + std::string(shape.name));
    }
    return BpfHash(std::move(fd));
}

Result<void> BpfHash::put(std::span<const std::byte> key, std::span<const std::byte> value) const {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(fd_.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(key.data());
    attributes.value = reinterpret_cast<std::uintptr_t>(value.data());
    attributes.flags = BPF_ANY;
    return bpf_call(BPF_MAP_UPDATE_ELEM, attributes) < 0 ? Result<void>(errno_error("fill a table"))
                                                         : ok();
}

Result<void> BpfHash::remove(std::span<const std::byte> key) const {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(fd_.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(key.data());
    return bpf_call(BPF_MAP_DELETE_ELEM, attributes) < 0
               ? Result<void>(errno_error("take an entry out of a table"))
               : ok();
}

} // namespace berth::kernel
