// SPDX-License-Identifier: Apache-2.0
// bpf(2).
#include "kernel/bpf.h"

#include "base/verify.h"

#include <linux/btf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

// Of the types that describe_words() tells the kernel.
constexpr std::uint32_t word_type = 1;
constexpr std::uint32_t words_type = 2;

// BTF, without which a storage is refused: an int of 32 bits, and an array of them.
Result<UniqueFd> describe_words(std::size_t words) {
    struct Types {
        btf_type word{};
        std::uint32_t word_bits = 32;
        btf_type array{};
        btf_array array_of{};
    };

    static constexpr char names[] = "\0int"; // offset 0: no name

    struct {
        btf_header header{};
        Types types{};
        char strings[sizeof names]{};
    } all;

    all.header.magic = BTF_MAGIC;
    all.header.version = BTF_VERSION;
    all.header.hdr_len = sizeof all.header;
    all.header.type_len = sizeof all.types;
    all.header.str_off = sizeof all.types;
    all.header.str_len = sizeof names;
    all.types.word.name_off = 1;
    all.types.word.info = BTF_KIND_INT << 24U;
    all.types.word.size = sizeof(std::uint32_t);
    all.types.array.info = BTF_KIND_ARRAY << 24U;
    all.types.array_of.type = word_type;
    all.types.array_of.index_type = word_type;
    all.types.array_of.nelems = static_cast<std::uint32_t>(words);
    std::ranges::copy(names, all.strings);

    bpf_attr attributes{};
    attributes.btf = reinterpret_cast<std::uintptr_t>(&all);
    // Without what the compiler has put behind the last member.
    attributes.btf_size =
        static_cast<std::uint32_t>(sizeof all.header + sizeof all.types + sizeof names);
    UniqueFd fd(static_cast<int>(bpf_call(BPF_BTF_LOAD, attributes)));
    if (!fd) {
        return errno_error("describe a storage's type");
    }
    return fd;
}

Result<UniqueFd> make_map(std::string_view name, bpf_attr attributes) {
    VERIFY(name.size() < sizeof attributes.map_name);
    std::ranges::copy(name, attributes.map_name);
    UniqueFd fd(static_cast<int>(bpf_call(BPF_MAP_CREATE, attributes)));
    if (!fd) {
        return errno_error("make the table " + std::string(name));
    }
    return fd;
}

Result<UniqueFd>
make_array(std::string_view name, bpf_map_type type, std::size_t value_size, std::uint32_t count) {
    bpf_attr attributes{};
    attributes.map_type = type;
    attributes.key_size = sizeof(std::uint32_t);
    attributes.value_size = static_cast<std::uint32_t>(value_size);
    attributes.max_entries = count;
    return make_map(name, attributes);
}

// Of an array with one place.
Result<void> set_only_value(FdRef array, std::uint32_t value) {
    const std::uint32_t index = 0;
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(array.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(&index);
    attributes.value = reinterpret_cast<std::uintptr_t>(&value);
    attributes.flags = BPF_ANY;
    return bpf_call(BPF_MAP_UPDATE_ELEM, attributes) < 0
               ? Result<void>(errno_error("fill an array"))
               : ok();
}

} // namespace

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

Result<UniqueFd> load_bpf_program(
    bpf_prog_type type,
    std::string_view name,
    std::span<const bpf_insn> program,
    bpf_attach_type attach) {
    static constexpr char license[] = "Apache-2.0";
    bpf_attr attributes{};
    VERIFY(name.size() < sizeof attributes.prog_name);
    attributes.prog_type = type;
    attributes.expected_attach_type = attach;
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

Result<UniqueFd> link_bpf_to_cgroup(FdRef program, FdRef cgroup, bpf_attach_type attach) {
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<std::uint32_t>(program.get());
    attributes.link_create.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attributes.link_create.attach_type = attach;
    UniqueFd link(static_cast<int>(bpf_call(BPF_LINK_CREATE, attributes)));
    if (!link) {
        return errno_error("put a program at a control group");
    }
    return link;
}

Result<UniqueFd> link_bpf_to_interface(FdRef program, int index) {
    constexpr std::uint32_t tcx_ingress = 46; // BPF_TCX_INGRESS, newer than the headers of some
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<std::uint32_t>(program.get());
    attributes.link_create.target_ifindex = static_cast<std::uint32_t>(index);
    attributes.link_create.attach_type = tcx_ingress;
    UniqueFd link(static_cast<int>(bpf_call(BPF_LINK_CREATE, attributes)));
    if (!link) {
        return errno_error("put a program at interface " + std::to_string(index));
    }
    return link;
}

Result<UniqueFd> make_bpf_continuation(std::string_view name) {
    return make_array(name, BPF_MAP_TYPE_PROG_ARRAY, sizeof(std::uint32_t), 1);
}

Result<void> set_bpf_continuation(FdRef place, FdRef program) {
    return set_only_value(place, static_cast<std::uint32_t>(program.get()));
}

Result<void> clear_bpf_continuation(FdRef place) {
    const std::uint32_t index = 0;
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(place.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(&index);
    return bpf_call(BPF_MAP_DELETE_ELEM, attributes) < 0
               ? Result<void>(errno_error("take away the program to go on with"))
               : ok();
}

Result<UniqueFd> make_bpf_word(std::string_view name) {
    return make_array(name, BPF_MAP_TYPE_ARRAY, sizeof(std::uint32_t), 1);
}

Result<void> set_bpf_word(FdRef word, std::uint32_t value) {
    return set_only_value(word, value);
}

Result<UniqueFd>
make_bpf_notes(std::string_view name, std::size_t value_size, std::uint32_t count) {
    return make_array(name, BPF_MAP_TYPE_PERCPU_ARRAY, value_size, count);
}

Result<UniqueFd> make_bpf_socket_storage(std::string_view name, std::size_t words) {
    const UniqueFd types = TRY(describe_words(words));
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_SK_STORAGE;
    attributes.key_size = sizeof(int);
    attributes.value_size = static_cast<std::uint32_t>(words * sizeof(std::uint32_t));
    attributes.map_flags = BPF_F_NO_PREALLOC;
    attributes.btf_fd = static_cast<std::uint32_t>(types.get());
    attributes.btf_key_type_id = word_type;
    attributes.btf_value_type_id = words_type;
    return make_map(name, attributes);
}

Result<BpfHash> BpfHash::create(const Shape& shape) {
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_HASH;
    attributes.key_size = static_cast<std::uint32_t>(shape.key_size);
    attributes.value_size = static_cast<std::uint32_t>(shape.value_size);
    attributes.max_entries = shape.limit;
    attributes.map_flags = BPF_F_NO_PREALLOC;
    return BpfHash(TRY(make_map(shape.name, attributes)));
}

Result<void> BpfHash::write(
    std::span<const std::byte> key, std::span<const std::byte> value, std::uint64_t flags) const {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(fd_.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(key.data());
    attributes.value = reinterpret_cast<std::uintptr_t>(value.data());
    attributes.flags = flags;
    return bpf_call(BPF_MAP_UPDATE_ELEM, attributes) < 0 ? Result<void>(errno_error("fill a table"))
                                                         : ok();
}

Result<void> BpfHash::put(std::span<const std::byte> key, std::span<const std::byte> value) const {
    return write(key, value, BPF_ANY);
}

Result<void>
BpfHash::replace(std::span<const std::byte> key, std::span<const std::byte> value) const {
    return write(key, value, BPF_EXIST);
}

Result<void> BpfHash::get(std::span<const std::byte> key, std::span<std::byte> value) const {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(fd_.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(key.data());
    attributes.value = reinterpret_cast<std::uintptr_t>(value.data());
    return bpf_call(BPF_MAP_LOOKUP_ELEM, attributes) < 0
               ? Result<void>(errno_error("look into a table"))
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
