// SPDX-License-Identifier: Apache-2.0
// getsockopt(2) of ip_tables and ip6_tables: the policy of a chain is its last entry's verdict.
#include "network/legacy_tables.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "network/foreign_chains.h"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <sys/socket.h>

namespace berth::network {
namespace {

constexpr std::size_t largest_table = 64U << 20;
constexpr int drop_verdict = -NF_DROP - 1;
constexpr const char* mark_text = "0x8000000";
static_assert(let_through_mark == 0x8000000);

struct Version4 {
    using Entry = ipt_entry;
    using Entries = ipt_get_entries;
    using Info = ipt_getinfo;
    static constexpr int family = AF_INET;
    static constexpr int level = IPPROTO_IP;
    static constexpr int get_info = IPT_SO_GET_INFO;
    static constexpr int get_entries = IPT_SO_GET_ENTRIES;
    static constexpr const char* names = "/proc/self/net/ip_tables_names";
    static constexpr const char* program = "iptables-legacy";
};

struct Version6 {
    using Entry = ip6t_entry;
    using Entries = ip6t_get_entries;
    using Info = ip6t_getinfo;
    static constexpr int family = AF_INET6;
    static constexpr int level = IPPROTO_IPV6;
    static constexpr int get_info = IP6T_SO_GET_INFO;
    static constexpr int get_entries = IP6T_SO_GET_ENTRIES;
    static constexpr const char* names = "/proc/self/net/ip6_tables_names";
    static constexpr const char* program = "ip6tables-legacy";
};

// A look at a table that is not there would load its module.
bool has_table(const char* names, std::string_view name) {
    const std::string text = read_file(names).value_or("");
    return std::ranges::any_of(
        split(text, '\n'), [name](std::string_view line) { return line == name; });
}

bool has_filter_table(const char* names) {
    return has_table(names, "filter");
}

template <class Version>
bool drops_forwarded() {
    if (!has_filter_table(Version::names)) {
        return false;
    }
    const UniqueFd socket(::socket(Version::family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    typename Version::Info info{};
    std::strcpy(info.name, "filter");
    socklen_t size = sizeof info;
    if (::getsockopt(socket.get(), Version::level, Version::get_info, &info, &size) != 0 ||
        info.size > largest_table) {
        return false;
    }
    using Entries = typename Version::Entries;
    std::vector<char> buffer(sizeof(Entries) + info.size);
    Entries head{};
    std::strcpy(head.name, "filter");
    head.size = info.size;
    std::memcpy(buffer.data(), &head, sizeof head);
    size = static_cast<socklen_t>(buffer.size());
    if (::getsockopt(socket.get(), Version::level, Version::get_entries, buffer.data(), &size) !=
        0) {
        return false;
    }
    const std::size_t policy = offsetof(Entries, entrytable) + info.underflow[NF_INET_FORWARD];
    typename Version::Entry entry{};
    if (policy + sizeof entry > buffer.size()) {
        return false;
    }
    std::memcpy(&entry, buffer.data() + policy, sizeof entry);
    xt_standard_target target{};
    if (policy + entry.target_offset + sizeof target > buffer.size()) {
        return false;
    }
    std::memcpy(&target, buffer.data() + policy + entry.target_offset, sizeof target);
    return target.verdict == drop_verdict;
}

template <class Version>
void add_obstacle(std::vector<std::string>& obstacles) {
    if (drops_forwarded<Version>()) {
        const std::string program = Version::program;
        obstacles.push_back(
            "chain FORWARD of " + program +
            " drops forwarded packets that it does not accept; containers need: " + program +
            " -I FORWARD -m mark --mark " + mark_text + "/" + mark_text + " -j ACCEPT");
    }
}

} // namespace

bool has_legacy_filter_table() {
    return has_filter_table(Version4::names) || has_filter_table(Version6::names);
}

bool has_legacy_packet_tables() {
    constexpr auto tables = std::to_array<std::string_view>({"raw", "mangle", "security"});
    return std::ranges::any_of(tables, [](std::string_view table) {
        return has_table(Version4::names, table) || has_table(Version6::names, table);
    });
}

std::vector<std::string> legacy_obstacles() {
    std::vector<std::string> obstacles;
    add_obstacle<Version4>(obstacles);
    add_obstacle<Version6>(obstacles);
    return obstacles;
}

} // namespace berth::network
