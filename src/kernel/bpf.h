// SPDX-License-Identifier: Apache-2.0
// eBPF by bpf(2): programs as lists of instructions, and hash tables that they share with us.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace berth::kernel {

bpf_insn bpf_instruction(
    int code,
    std::uint8_t destination,
    std::uint8_t source,
    std::int64_t offset = 0,
    std::int64_t value = 0);

// The system call. The error is in errno.
long bpf_call(int command, bpf_attr& attributes);

// The name has at most 15 bytes. A program that the kernel's verifier refuses is InvalidArgument.
// `attach` is asked of programs whose type has several places to be put at.
Result<UniqueFd> load_bpf_program(
    bpf_prog_type type,
    std::string_view name,
    std::span<const bpf_insn> program,
    bpf_attach_type attach = BPF_CGROUP_INET_INGRESS);

// Puts the program at a version 2 control group, for all processes in it and below, beside what
// others have put there. It is gone with the last descriptor of what is answered, and so with this
// process. Linux 5.7.
Result<UniqueFd> link_bpf_to_cgroup(FdRef program, FdRef cgroup, bpf_attach_type attach);

// Puts the program at an interface of this thread's network namespace, for all that it receives,
// behind what others have put there (tcx). Gone as above. Linux 6.6.
Result<UniqueFd> link_bpf_to_interface(FdRef program, int index);

// BPF_MAP_TYPE_PROG_ARRAY with one place, for the program that others go on with
// (bpf_tail_call(2), index 0). The place is empty again when the last descriptor of it is closed.
Result<UniqueFd> make_bpf_continuation(std::string_view name);
Result<void> set_bpf_continuation(FdRef place, FdRef program);
Result<void> clear_bpf_continuation(FdRef place);

// BPF_MAP_TYPE_ARRAY: one 32-bit word, 0 at first, that a program finds without a look-up.
Result<UniqueFd> make_bpf_word(std::string_view name);
Result<void> set_bpf_word(FdRef word, std::uint32_t value);

// BPF_MAP_TYPE_PERCPU_ARRAY: zeros, for what a program notes on each processor.
Result<UniqueFd> make_bpf_notes(std::string_view name, std::size_t value_size, std::uint32_t count);

// BPF_MAP_TYPE_SK_STORAGE: a value of 32-bit words at each socket that a program gives one; it goes
// with the socket.
Result<UniqueFd> make_bpf_socket_storage(std::string_view name, std::size_t words);

// BPF_MAP_TYPE_HASH. Lives as long as this or a program that uses it. Thread-safe.
class BpfHash {
  public:
    struct Shape {
        std::string_view name; // at most 15 bytes
        std::size_t key_size = 0;
        std::size_t value_size = 0;
        std::uint32_t limit = 0; // entries; memory is taken for those that there are
    };

    static Result<BpfHash> create(const Shape& shape);

    // ResourceExhausted (E2BIG) when it is full.
    Result<void> put(std::span<const std::byte> key, std::span<const std::byte> value) const;
    // Changes a value that is there; NotFound when there is none.
    Result<void> replace(std::span<const std::byte> key, std::span<const std::byte> value) const;
    // The value's bytes; NotFound when there is none. REQUIRES: as many as the shape says.
    Result<void> get(std::span<const std::byte> key, std::span<std::byte> value) const;
    // NotFound when there is none.
    Result<void> remove(std::span<const std::byte> key) const;

    FdRef fd() const { return fd_; }

  private:
    Result<void> write(
        std::span<const std::byte> key,
        std::span<const std::byte> value,
        std::uint64_t flags) const;

    explicit BpfHash(UniqueFd fd)
        : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

} // namespace berth::kernel
