// SPDX-License-Identifier: Apache-2.0
// Look-ups by moby's rules (libnetwork's Sandbox.ResolveName): for a.b.c first "a.b.c" in every
// network of the container, in their order, then "a.b" in the network "c", then "a" in "b.c". A
// link stands before a name, and hides it.
#include "network/dns_names.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::network {
namespace {

// Each of a record's names once, as look-ups know them.
std::vector<std::string> names_of(const DnsRecord& record) {
    std::vector<std::string> names{to_lower(record.name)};
    for (const std::string& alias : record.aliases) {
        names.push_back(to_lower(alias));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    std::erase(names, "");
    return names;
}

} // namespace

void DnsNames::forget(Network& network, const std::string& record_id) {
    const auto found = network.records.find(record_id);
    if (found == network.records.end()) {
        return;
    }
    const RecordRef record = found->second;
    network.records.erase(found);
    for (const std::string& name : names_of(*record)) {
        const auto entry = network.names.find(name);
        std::erase(entry->second, record);
        if (entry->second.empty()) {
            network.names.erase(entry);
        }
    }
    std::erase_if(network.owners, [&](const auto& owner) { return owner.second == record; });
}

void DnsNames::add(const std::string& network_id, const DnsRecord& record) {
    const auto shared = std::make_shared<const DnsRecord>(record);
    auto networks = networks_.lock();
    Network& network = (*networks)[network_id];
    forget(network, record.id);
    network.records.emplace(record.id, shared);
    for (std::string& name : names_of(record)) {
        network.names[std::move(name)].push_back(shared);
    }
    for (const kernel::IpAddress& address : record.addresses) {
        network.owners[address] = shared;
    }
}

void DnsNames::remove(const std::string& network_id, const std::string& record_id) {
    auto networks = networks_.lock();
    const auto network = networks->find(network_id);
    if (network == networks->end()) {
        return;
    }
    forget(network->second, record_id);
    if (network->second.records.empty()) {
        networks->erase(network);
    }
}

void DnsNames::remove_network(const std::string& network_id) {
    networks_.lock()->erase(network_id);
}

const std::vector<DnsNames::RecordRef>* DnsNames::find_in(
    const Networks& all,
    const std::vector<DnsNetwork>& networks,
    std::string_view name,
    std::string_view network_name) {
    for (const bool by_link : {true, false}) {
        for (const DnsNetwork& network : networks) {
            if (!network_name.empty() && !equals_ignoring_case(network_name, network.name)) {
                continue;
            }
            const auto link =
                std::find_if(network.links.begin(), network.links.end(), [&](const auto& entry) {
                    return equals_ignoring_case(entry.first, name);
                });
            if ((link != network.links.end()) != by_link) {
                continue;
            }
            const auto records = all.find(network.id);
            if (records == all.end()) {
                continue;
            }
            const auto found = by_link ? records->second.names.find(to_lower(link->second))
                                       : records->second.names.find(name);
            if (found != records->second.names.end()) {
                return &found->second;
            }
        }
    }
    return nullptr;
}

const std::vector<DnsNames::RecordRef>* DnsNames::find_records(
    const Networks& all, const std::vector<DnsNetwork>& networks, std::string_view name) {
    if (const auto* records = find_in(all, networks, name, {})) {
        return records;
    }
    for (std::size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0;
         dot = name.rfind('.', dot - 1)) {
        if (const auto* records =
                find_in(all, networks, name.substr(0, dot), name.substr(dot + 1))) {
            return records;
        }
    }
    return nullptr;
}

std::optional<std::vector<kernel::IpAddress>>
DnsNames::find(const std::vector<DnsNetwork>& networks, std::string_view name) const {
    auto all = networks_.lock();
    const std::vector<RecordRef>* records = find_records(*all, networks, name);
    if (records == nullptr) {
        return std::nullopt;
    }
    std::vector<kernel::IpAddress> addresses;
    for (const RecordRef& record : *records) {
        for (const kernel::IpAddress& address : record->addresses) {
            if (records->size() == 1 ||
                std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
                addresses.push_back(address);
            }
        }
    }
    return addresses;
}

std::string DnsNames::find_pointer(
    const std::vector<DnsNetwork>& networks, const kernel::IpAddress& address) const {
    auto all = networks_.lock();
    for (const DnsNetwork& network : networks) {
        const auto records = all->find(network.id);
        if (records == all->end()) {
            continue;
        }
        const auto owner = records->second.owners.find(address);
        if (owner != records->second.owners.end()) {
            return owner->second->name + "." + network.name;
        }
    }
    return {};
}

std::vector<DnsService>
DnsNames::find_services(const std::vector<DnsNetwork>& networks, std::string_view name) const {
    // "_service._protocol.name"
    const std::optional<Cut> service = cut(name, ".");
    const std::optional<Cut> protocol = service ? cut(service->after, ".") : std::nullopt;
    if (!protocol || !service->before.starts_with('_') || !protocol->before.starts_with('_')) {
        return {};
    }
    auto all = networks_.lock();
    const std::vector<RecordRef>* records = find_records(*all, networks, protocol->after);
    std::vector<DnsService> found;
    if (records == nullptr) {
        return found;
    }
    for (const RecordRef& record : *records) {
        for (const DnsPort& port : record->ports) {
            if (!equals_ignoring_case(port.name, service->before.substr(1)) ||
                !equals_ignoring_case(port.protocol, protocol->before.substr(1))) {
                continue;
            }
            for (const kernel::IpAddress& address : record->addresses) {
                found.push_back({port.port, record->name, address});
            }
        }
    }
    return found;
}

} // namespace berth::network
