// SPDX-License-Identifier: Apache-2.0
// The servers that questions about the rest of the world go to. Not thread-safe.
#pragma once

#include "network/resolv_conf.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <sys/stat.h>

namespace berth::network {

// At most three, as resolv.conf(5) has it. One that did not answer is asked after the others for a
// while.
class DnsUpstreams {
  public:
    using Clock = std::chrono::steady_clock;

    DnsUpstreams() = default;
    explicit DnsUpstreams(std::vector<Nameserver> servers);

    std::vector<Nameserver> in_order(Clock::time_point now) const;
    void note_silence(const Nameserver& server, Clock::time_point now);

    bool operator==(const DnsUpstreams& other) const { return servers_ == other.servers_; }

  private:
    std::vector<Nameserver> servers_;
    std::map<Nameserver, Clock::time_point> silent_until_;
};

// The host's own resolvers; its files are looked at again when they have changed, at most once a
// second. Where systemd-resolved's stub is the only one, those behind it.
class HostUpstreams {
  public:
    using Clock = DnsUpstreams::Clock;

    HostUpstreams(std::string etc_path, std::string resolved_path);

    // True when the servers are others than at the last call.
    bool refresh(Clock::time_point now);

    DnsUpstreams& servers() { return servers_; }

  private:
    // What tells that a file is another one: size and times in nanoseconds, inode.
    struct Stamp {
        ino_t inode = 0;
        off_t size = 0;
        timespec modified{};
        timespec changed{};

        static Stamp of(const std::string& path);
        bool operator==(const Stamp& other) const;
    };

    std::string etc_path_;
    std::string resolved_path_;
    Stamp etc_stamp_;
    Stamp resolved_stamp_;
    Clock::time_point looked_at_{};
    DnsUpstreams servers_;
};

} // namespace berth::network
