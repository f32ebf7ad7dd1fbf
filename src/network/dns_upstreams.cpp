// SPDX-License-Identifier: Apache-2.0
// Which servers, and in which order.
#include "network/dns_upstreams.h"

#include "base/log.h"

#include <algorithm>

namespace berth::network {
namespace {

constexpr std::size_t most_servers = 3;
constexpr auto time_at_the_end = std::chrono::seconds(10);
constexpr auto time_between_looks = std::chrono::seconds(1);

bool same_time(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

} // namespace

DnsUpstreams::DnsUpstreams(std::vector<Nameserver> servers)
    : servers_(std::move(servers)) {
    servers_.resize(std::min(servers_.size(), most_servers));
}

std::vector<Nameserver> DnsUpstreams::in_order(Clock::time_point now) const {
    std::vector<Nameserver> ordered = servers_;
    std::stable_partition(ordered.begin(), ordered.end(), [&](const Nameserver& server) {
        const auto silent = silent_until_.find(server);
        return silent == silent_until_.end() || silent->second <= now;
    });
    return ordered;
}

void DnsUpstreams::note_silence(const Nameserver& server, Clock::time_point now) {
    if (std::find(servers_.begin(), servers_.end(), server) != servers_.end()) {
        silent_until_[server] = now + time_at_the_end;
    }
}

HostUpstreams::Stamp HostUpstreams::Stamp::of(const std::string& path) {
    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) {
        return {};
    }
    return {status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

bool HostUpstreams::Stamp::operator==(const Stamp& other) const {
    return inode == other.inode && size == other.size && same_time(modified, other.modified) &&
           same_time(changed, other.changed);
}

HostUpstreams::HostUpstreams(std::string etc_path, std::string resolved_path)
    : etc_path_(std::move(etc_path))
    , resolved_path_(std::move(resolved_path)) {}

bool HostUpstreams::refresh(Clock::time_point now) {
    const bool first = looked_at_ == Clock::time_point();
    if (!first && now - looked_at_ < time_between_looks) {
        return false;
    }
    looked_at_ = now;
    const Stamp etc = Stamp::of(etc_path_);
    const Stamp resolved = Stamp::of(resolved_path_);
    if (!first && etc == etc_stamp_ && resolved == resolved_stamp_) {
        return false;
    }
    etc_stamp_ = etc;
    resolved_stamp_ = resolved;
    const Result<std::string> text = read_host_resolv_conf(etc_path_, resolved_path_);
    if (!text.ok()) {
        log::debug(
            "the host's resolvers cannot be read, keeping those known",
            {{"error", text.error().message()}});
        return false;
    }
    std::vector<Nameserver> addresses;
    for (const std::string& nameserver : parse_resolv_conf(*text).nameservers) {
        addresses.push_back(*Nameserver::parse(nameserver)); // the parser has left no other
    }
    DnsUpstreams servers(std::move(addresses));
    if (servers == servers_) {
        return false;
    }
    servers_ = std::move(servers);
    return true;
}

} // namespace berth::network
