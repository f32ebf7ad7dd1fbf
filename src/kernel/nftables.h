// SPDX-License-Identifier: Apache-2.0
// nf_tables over netlink: tables, chains, rules, sets and maps, encoded here and applied as one
// atomic transaction. Packets see the rules before it or after it, never between.
//
//   NftBatch batch("berth");
//   batch.add_table();
//   batch.add_base_chain("forward", {.type = "filter", .hook = NftHook::Forward, .priority = 0});
//   batch.rule("forward").if_established().accept();
//   TRY(batch.commit(socket));
#pragma once

#include "base/result.h"
#include "kernel/netlink_message.h"
#include "kernel/netlink_socket.h"
#include "kernel/nftables_rule.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::kernel {

// The values are NF_INET_*, and NF_NETDEV_INGRESS.
enum class NftHook : std::uint8_t {
    Ingress = 0, // of the family netdev: what a device receives, before all else
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
};

struct NftBaseChain {
    std::string type; // "filter", "nat"
    NftHook hook = NftHook::Prerouting;
    std::int32_t priority = 0;
    std::string device; // Ingress only
};

// The values are NFPROTO_*.
enum class NftFamily : std::uint8_t {
    Inet = 1, // IPv4 and IPv6
    Ipv4 = 2,
    NetDevice = 5,
    Bridge = 7,
    Ipv6 = 10,
};

// What a set's key or a map's value is made of; nft(8)'s own numbers, so that it prints them well.
enum class NftType : std::uint8_t {
    Ipv4Address = 7,
    Ipv6Address = 8,
    EtherAddress = 9,
    Protocol = 12,
    Port = 13,
    Mark = 19, // any number of four bytes
    InterfaceName = 41,
};

struct NftSet {
    std::string name;
    std::vector<NftType> key;             // more than one: a concatenation
    std::vector<NftType> data;            // empty: a plain set
    bool rules_add = false;               // elements too, not only batches
    std::chrono::milliseconds timeout{0}; // of elements that rules add
};

// Each part is padded to four bytes, as registers are.
class NftValue {
  public:
    NftValue& address(const IpAddress& address);
    NftValue& ether_address(const MacAddress& address);
    NftValue& protocol(std::uint8_t number);
    NftValue& port(std::uint16_t number);
    NftValue& interface(std::string_view name);

    const std::vector<std::uint8_t>& bytes() const { return bytes_; }

  private:
    void append(std::span<const std::uint8_t> part);

    std::vector<std::uint8_t> bytes_;
};

struct NftElement {
    NftValue key;
    NftValue data; // empty for a plain set
    // Bytes per second: a rule that finds the element goes on only for what is above. 0: for all.
    std::uint64_t rate = 0;
};

// Not thread-safe.
class NftBatch {
  public:
    explicit NftBatch(std::string table, NftFamily family = NftFamily::Inet);

    // Messages from here on are about the table of that name in the other family.
    void continue_in(NftFamily family) { family_ = family; }

    void add_table();     // fine when it exists
    void add_new_table(); // EEXIST when it exists
    // With all that is in it; ENOENT when absent. The kernel frees it when no packet can be in it
    // any more, and makes the socket's close wait for that: some 10 ms.
    void delete_table();

    // In an existing chain nothing changes.
    void add_chain(const std::string& name);
    void add_base_chain(const std::string& name, const NftBaseChain& base);
    void flush_chain(const std::string& name);

    void add_set(const NftSet& set);
    void add_elements(const std::string& set, const std::vector<NftElement>& elements);
    // ENOENT for an element that is not there; then nothing at all is done.
    void delete_elements(const std::string& set, const std::vector<NftElement>& elements);

    // The rule is complete at the end of the full expression.
    NftRule rule(const std::string& chain);
    // Before all others of the chain, with a comment as nft and iptables show it.
    NftRule rule_at_head(const std::string& chain, const std::string& comment);
    void delete_rule(const std::string& chain, std::uint64_t handle);

    // REQUIRES: socket opened for NETLINK_NETFILTER.
    Result<void> commit(NetlinkSocket& socket);

  private:
    void begin(std::uint16_t message, std::uint16_t flags, const std::string& description);
    void change_elements(
        std::uint16_t message,
        std::uint16_t flags,
        const std::string& set,
        const std::vector<NftElement>& elements);

    std::string table_;
    NftFamily family_;
    NetlinkBatch messages_;
    std::uint32_t set_ids_ = 0;
};

// NFT_MSG_* as nlmsg_type has it, with nf_tables' part of netfilter.
std::uint16_t nft_message(std::uint16_t message);

// A base chain as the kernel has it, of any family and table.
struct NftChainInfo {
    std::uint8_t family = 0; // NFPROTO_*
    std::string table;
    std::string name;
    std::optional<std::uint32_t> hook;    // absent: not a base chain
    std::optional<std::uint32_t> policy;  // NF_DROP 0, NF_ACCEPT 1
    std::optional<std::int32_t> priority; // of a base chain
    std::string type;                     // of a base chain: "filter", "nat", "route"
};

Result<std::vector<NftChainInfo>> list_nft_chains(NetlinkSocket& socket);
std::optional<NftChainInfo> parse_nft_chain(const nlmsghdr& header);

} // namespace berth::kernel
