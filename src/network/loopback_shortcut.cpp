// SPDX-License-Identifier: Apache-2.0
// bpf-helpers(7), bpf_sk_storage_get, bpf_get_netns_cookie; BPF_PROG_TYPE_CGROUP_SOCK_ADDR.
#include "network/loopback_shortcut.h"

#include "base/file.h"
#include "base/log.h"
#include "kernel/cgroup.h"
#include "kernel/netlink_message.h"
#include "network/bpf_assembler.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::BpfHash;
using kernel::IpFamily;
using kernel::struct_bytes;

constexpr std::uint32_t most_ports = 1U << 16;
constexpr std::uint32_t loopback_v4 = 0x7f000001; // host order
constexpr std::uint32_t mapped_mark = 0xffff;     // ::ffff:a.b.c.d, the third word; host order

// Everything is in network order, as the kernel has it: a port is in the lower half of its word.
struct Key {
    std::uint32_t family = 0;
    std::uint32_t port = 0;
};

using Words = std::array<std::uint32_t, 4>;

// IPv4: in the last word.
struct Target {
    Words address{};
    std::uint32_t port = 0;
};

// At a socket. In the form of the socket's family: IPv4 in IPv6 is mapped.
struct Asked {
    Words address{};
    std::uint32_t port = 0;
    Words led_to{};
    std::uint32_t led_to_port = 0;
};

constexpr int key_place = -8; // on the program's stack, from its frame pointer

constexpr auto context = BPF_REG_6;
constexpr auto found = BPF_REG_7; // a Target
constexpr auto scratch = BPF_REG_8;
constexpr auto socket_register = BPF_REG_9;

constexpr std::size_t word(std::size_t of, std::size_t number) {
    return of + number * sizeof(std::uint32_t);
}

constexpr std::size_t user_address(IpFamily family, std::size_t number) {
    return family == IpFamily::V4 ? offsetof(bpf_sock_addr, user_ip4)
                                  : word(offsetof(bpf_sock_addr, user_ip6), number);
}

// The words of an address that a socket of this family has.
constexpr std::size_t first_word(IpFamily family) {
    return family == IpFamily::V4 ? 3 : 0;
}

void give_up_unless_equal(BpfAssembler& code, std::size_t offset, std::uint32_t value) {
    code.load(BPF_W, scratch, context, offset);
    // Compared as 32 bits: the instruction's own value would be extended by its sign.
    code.add(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, static_cast<std::int32_t>(value));
    code.give_up_if_register(BPF_JNE, scratch, BPF_REG_1);
}

struct Chosen {
    IpFamily socket_family;
    IpFamily address_family;
    std::uint64_t netns;
    bool first_of_family; // of the programs for such sockets
};

// A socket that is used for another connection: what it asked for the last time is over.
void forget_asked(BpfAssembler& code, FdRef storage) {
    code.set_table(BPF_REG_1, storage);
    code.load(BPF_DW, BPF_REG_2, context, offsetof(bpf_sock_addr, sk));
    code.call(BPF_FUNC_sk_storage_delete);
}

// Goes on only for a TCP connection to this family's loopback address in our namespace.
void choose(BpfAssembler& code, const Chosen& chosen) {
    give_up_unless_equal(code, offsetof(bpf_sock_addr, type), SOCK_STREAM);
    give_up_unless_equal(code, offsetof(bpf_sock_addr, protocol), IPPROTO_TCP);
    if (chosen.socket_family == IpFamily::V4) {
        give_up_unless_equal(code, user_address(IpFamily::V4, 3), htonl(loopback_v4));
    } else {
        const bool mapped = chosen.address_family == IpFamily::V4;
        const Words loopback{
            0, 0, mapped ? htonl(mapped_mark) : 0, htonl(mapped ? loopback_v4 : 1)};
        for (std::size_t i = 0; i < loopback.size(); ++i) {
            give_up_unless_equal(code, user_address(IpFamily::V6, i), loopback[i]);
        }
    }
    code.move(BPF_REG_1, context);
    code.call(BPF_FUNC_get_netns_cookie);
    code.set_wide(BPF_REG_1, chosen.netns);
    code.give_up_if_register(BPF_JNE, BPF_REG_0, BPF_REG_1);
}

// A client that has bound its socket has said where it wants to come from, which the container's
// address may not be reached by.
void give_up_if_bound(BpfAssembler& code, IpFamily socket_family) {
    code.load(BPF_DW, socket_register, context, offsetof(bpf_sock_addr, sk));
    code.load(BPF_W, scratch, socket_register, offsetof(bpf_sock, bound_dev_if));
    code.give_up_if(BPF_JNE, scratch, 0);
    if (socket_family == IpFamily::V4) {
        code.load(BPF_W, scratch, socket_register, offsetof(bpf_sock, src_ip4));
        code.give_up_if(BPF_JNE, scratch, 0);
        return;
    }
    for (std::size_t i = 0; i < Words().size(); ++i) {
        code.load(BPF_W, scratch, socket_register, word(offsetof(bpf_sock, src_ip6), i));
        code.give_up_if(BPF_JNE, scratch, 0);
    }
}

// r0: the socket's Asked.
void find_asked(BpfAssembler& code, FdRef storage, std::uint64_t flags) {
    code.set_table(BPF_REG_1, storage);
    code.move(BPF_REG_2, socket_register);
    code.set(BPF_REG_3, 0);
    code.set(BPF_REG_4, static_cast<std::int64_t>(flags));
    code.call(BPF_FUNC_sk_storage_get);
    code.give_up_if(BPF_JEQ, BPF_REG_0, 0);
}

// Asked and context get their new content.
void lead(BpfAssembler& code, const Chosen& chosen) {
    const IpFamily socket_family = chosen.socket_family;
    const bool mapped = socket_family != chosen.address_family;
    for (std::size_t i = first_word(socket_family); i < Words().size(); ++i) {
        const std::size_t place = user_address(socket_family, i);
        code.load(BPF_W, scratch, context, place);
        code.store_at(BPF_W, BPF_REG_0, word(offsetof(Asked, address), i), scratch);
        if (mapped && i < 3) {
            code.set(scratch, i == 2 ? static_cast<std::int64_t>(htonl(mapped_mark)) : 0);
        } else {
            code.load(BPF_W, scratch, found, word(offsetof(Target, address), i));
        }
        code.store_at(BPF_W, BPF_REG_0, word(offsetof(Asked, led_to), i), scratch);
        code.store_at(BPF_W, context, place, scratch);
    }
    constexpr std::size_t port = offsetof(bpf_sock_addr, user_port);
    code.load(BPF_W, scratch, context, port);
    code.store_at(BPF_W, BPF_REG_0, offsetof(Asked, port), scratch);
    code.load(BPF_W, scratch, found, offsetof(Target, port));
    code.store_at(BPF_W, BPF_REG_0, offsetof(Asked, led_to_port), scratch);
    code.store_at(BPF_W, context, port, scratch);
}

constexpr std::int64_t go_on = 1; // with the call

std::vector<bpf_insn> connect_program(const BpfHash& ports, FdRef storage, const Chosen& chosen) {
    BpfAssembler code;
    code.move(context, BPF_REG_1);
    if (chosen.first_of_family) {
        forget_asked(code, storage);
    }
    choose(code, chosen);
    code.set(scratch, chosen.address_family == IpFamily::V4 ? AF_INET : AF_INET6);
    code.store(BPF_W, key_place + static_cast<int>(offsetof(Key, family)), scratch);
    code.load(BPF_W, scratch, context, offsetof(bpf_sock_addr, user_port));
    code.store(BPF_W, key_place + static_cast<int>(offsetof(Key, port)), scratch);
    code.look_up(ports.fd(), key_place);
    code.move(found, BPF_REG_0);
    give_up_if_bound(code, chosen.socket_family);
    find_asked(code, storage, BPF_SK_STORAGE_GET_F_CREATE);
    lead(code, chosen);
    return code.finish(go_on);
}

// Tells what was asked for, where the peer is what that became.
std::vector<bpf_insn> name_program(FdRef storage, IpFamily socket_family) {
    BpfAssembler code;
    code.move(context, BPF_REG_1);
    code.load(BPF_DW, socket_register, context, offsetof(bpf_sock_addr, sk));
    find_asked(code, storage, 0);
    code.move(found, BPF_REG_0);
    constexpr std::size_t port = offsetof(bpf_sock_addr, user_port);
    const auto compare = [&code](std::size_t place, std::size_t expected) {
        code.load(BPF_W, scratch, context, place);
        code.load(BPF_W, BPF_REG_1, found, expected);
        code.give_up_if_register(BPF_JNE, scratch, BPF_REG_1);
    };
    const auto replace = [&code](std::size_t place, std::size_t value) {
        code.load(BPF_W, scratch, found, value);
        code.store_at(BPF_W, context, place, scratch);
    };
    compare(port, offsetof(Asked, led_to_port));
    for (std::size_t i = first_word(socket_family); i < Words().size(); ++i) {
        compare(user_address(socket_family, i), word(offsetof(Asked, led_to), i));
    }
    replace(port, offsetof(Asked, port));
    for (std::size_t i = first_word(socket_family); i < Words().size(); ++i) {
        replace(user_address(socket_family, i), word(offsetof(Asked, address), i));
    }
    return code.finish(go_on);
}

Result<std::uint64_t> own_network_cookie() {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
        return errno_error("ask for the network namespace's cookie");
    }
    return cookie;
}

bool is_carried(const BoundPort& port) {
    static const std::array loopback{
        *kernel::IpAddress::parse("127.0.0.1"), *kernel::IpAddress::parse("::1")};
    return port.protocol == Protocol::Tcp && port.host_port != 0 &&
           (port.host_ip.is_unspecified() || std::ranges::count(loopback, port.host_ip) != 0);
}

Key key_of(const BoundPort& port) {
    return {
        .family = port.host_ip.is_v4() ? std::uint32_t{AF_INET} : std::uint32_t{AF_INET6},
        .port = htons(port.host_port)};
}

} // namespace

Result<LoopbackShortcut::Parts> LoopbackShortcut::make() {
    const std::string place = TRY(kernel::cgroup_layout())->unified;
    if (place.empty()) {
        return not_implemented("there are no control groups of version 2");
    }
    const UniqueFd cgroup = TRY(open_file(place, O_RDONLY | O_DIRECTORY));
    const std::uint64_t netns = TRY(own_network_cookie());
    BpfHash ports = TRY(BpfHash::create(
        {.name = "berth_local",
         .key_size = sizeof(Key),
         .value_size = sizeof(Target),
         .limit = most_ports}));
    UniqueFd asked =
        TRY(kernel::make_bpf_socket_storage("berth_asked", sizeof(Asked) / sizeof(std::uint32_t)));
    Parts parts{.ports = std::move(ports), .asked = std::move(asked), .links = {}};
    const auto put = [&](bpf_attach_type attach,
                         const std::vector<bpf_insn>& program) -> Result<void> {
        const UniqueFd loaded = TRY(kernel::load_bpf_program(
            BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "berth_loopback", program, attach));
        parts.links.push_back(TRY(kernel::link_bpf_to_cgroup(loaded, cgroup, attach)));
        return ok();
    };
    constexpr IpFamily v4 = IpFamily::V4;
    constexpr IpFamily v6 = IpFamily::V6;
    // Names first: no connection may be led before.
    TRY(put(BPF_CGROUP_INET4_GETPEERNAME, name_program(parts.asked, v4)));
    TRY(put(BPF_CGROUP_INET6_GETPEERNAME, name_program(parts.asked, v6)));
    for (const Chosen& chosen :
         {Chosen{v4, v4, netns, true}, Chosen{v6, v6, netns, true}, Chosen{v6, v4, netns, false}}) {
        TRY(
            put(chosen.socket_family == v4 ? BPF_CGROUP_INET4_CONNECT : BPF_CGROUP_INET6_CONNECT,
                connect_program(parts.ports, parts.asked, chosen)));
    }
    return parts;
}

LoopbackShortcut LoopbackShortcut::open() {
    auto parts = make();
    if (parts.ok()) {
        return LoopbackShortcut(std::move(*parts));
    }
    log::info(
        "no short way from the loopback address to published ports: packets are translated",
        {{"error", parts.error().message()}});
    return LoopbackShortcut(std::nullopt);
}

void LoopbackShortcut::add(
    const std::vector<BoundPort>& ports, const ContainerAddresses& container) {
    for (const BoundPort& port : ports) {
        const std::optional<kernel::IpAddress>& address =
            container.of(port.host_ip.is_v4() ? IpFamily::V4 : IpFamily::V6);
        if (!parts_ || !is_carried(port) || !address) {
            continue;
        }
        Target target{.port = htons(port.container_port)};
        const auto bytes = std::as_bytes(address->bytes());
        const auto words = std::as_writable_bytes(std::span(target.address));
        std::ranges::copy(bytes, words.last(bytes.size()).begin());
        const Result<void> entered =
            parts_->ports.put(struct_bytes(key_of(port)), struct_bytes(target));
        if (!entered.ok()) {
            log::debug(
                "cannot lead a published port, leaving it to the firewall",
                {{"port", port.host_port}, {"error", entered.error().message()}});
        }
    }
}

void LoopbackShortcut::remove(const std::vector<BoundPort>& ports) {
    for (const BoundPort& port : ports) {
        if (parts_ && is_carried(port)) {
            // Not there: it found no room.
            [[maybe_unused]] const Result<void> removed =
                parts_->ports.remove(struct_bytes(key_of(port)));
        }
    }
}

} // namespace berth::network
