// SPDX-License-Identifier: Apache-2.0
// An attachment on the disk, and a result as plugins give it.
#include "kernel/network_device.h"
#include "network/cni_chain.h"

#include <algorithm>

namespace berth::network {
namespace {

using kernel::IpAddress;
using kernel::IpPrefix;

const json::Array& array_of(const json::Value& value, std::string_view name) {
    static const json::Array none;
    const json::Value* list = json::find(value, name);
    return list != nullptr && list->is_array() ? list->get_array() : none;
}

std::vector<std::string> texts_of(const json::Value& value, std::string_view name) {
    std::vector<std::string> texts;
    for (const json::Value& entry : array_of(value, name)) {
        if (entry.is_string()) {
            texts.emplace_back(entry.get_string());
        }
    }
    return texts;
}

// Whether the entry's address is the container's: one that is said to be another interface's is
// not.
bool is_of_container(
    const json::Value& entry, const json::Array& interfaces, const std::string& interface_name) {
    const json::Value* number = json::find(entry, "interface");
    if (number == nullptr || !number->is_int64()) {
        return true;
    }
    const std::int64_t index = number->get_int64();
    if (index < 0 || index >= static_cast<std::int64_t>(interfaces.size())) {
        return true;
    }
    const json::Value& interface = interfaces[static_cast<std::size_t>(index)];
    return json::find_string(interface, "name") == interface_name &&
           !json::find_string(interface, "sandbox").empty();
}

Result<void> read_address(const json::Value& entry, CniResult& result) {
    const auto address = IpPrefix::parse(json::find_string(entry, "address"));
    if (!address.ok()) {
        return internal_error(
            "the CNI plugins' result has an address that is none: " + address.error().message());
    }
    const bool is_v4 = address->address.is_v4();
    result.addresses.push_back(address->address);
    std::optional<IpPrefix>& place = is_v4 ? result.v4 : result.v6;
    if (place) {
        return ok();
    }
    place = *address;
    if (const auto text = json::find_string(entry, "gateway"); !text.empty()) {
        const auto gateway = IpAddress::parse(text);
        if (!gateway.ok()) {
            return internal_error(
                "the CNI plugins' result has a gateway that is none: " + std::string(text));
        }
        (is_v4 ? result.gateway_v4 : result.gateway_v6) = *gateway;
    }
    return ok();
}

void read_interfaces(
    const json::Array& interfaces, const std::string& interface_name, CniResult& result) {
    for (const json::Value& interface : interfaces) {
        const std::string_view name = json::find_string(interface, "name");
        if (json::find_string(interface, "sandbox").empty()) {
            if (!kernel::is_network_device_name(name)) {
                continue;
            }
            // Bridges come before what is joined to them.
            result.host_interface = name;
        } else if (name == interface_name) {
            const json::Value* mtu = json::find(interface, "mtu");
            const bool has_mtu = mtu != nullptr && mtu->is_int64() && mtu->get_int64() > 0;
            result.mtu = has_mtu ? static_cast<std::uint32_t>(mtu->get_int64()) : 0;
        }
    }
}

} // namespace

Result<CniResult> CniResult::read(const json::Value& value, const std::string& interface_name) {
    CniResult result;
    const json::Array& interfaces = array_of(value, "interfaces");
    read_interfaces(interfaces, interface_name, result);
    for (const json::Value& entry : array_of(value, "ips")) {
        if (is_of_container(entry, interfaces, interface_name)) {
            TRY(read_address(entry, result));
        }
    }
    if (const json::Value* dns = json::find(value, "dns"); dns != nullptr) {
        result.dns = {
            .nameservers = texts_of(*dns, "nameservers"),
            .search = texts_of(*dns, "search"),
            .options = texts_of(*dns, "options")};
        const std::string domain(json::find_string(*dns, "domain"));
        if (result.dns.search.empty() && !domain.empty()) {
            result.dns.search.push_back(domain);
        }
    }
    return result;
}

std::string CniAttachment::text() const {
    json::Array wanted;
    for (const std::string& ip : ips) {
        wanted.emplace_back(ip);
    }
    return json::serialize(json::Object{
        {"id", id},
        {"interface", interface_name},
        {"arguments", arguments},
        {"ips", std::move(wanted)},
        {"capabilities", capability_values},
        {"configuration", configuration},
        {"result", result}});
}

Result<CniAttachment> CniAttachment::parse(std::string_view text) {
    const json::Value document = TRY(json::parse(text));
    CniAttachment attachment{
        .id = std::string(json::find_string(document, "id")),
        .interface_name = std::string(json::find_string(document, "interface")),
        .arguments = std::string(json::find_string(document, "arguments")),
        .ips = texts_of(document, "ips")};
    attachment.configuration = json::find_string(document, "configuration");
    const json::Value* values = json::find(document, "capabilities");
    if (values != nullptr && values->is_object()) {
        attachment.capability_values = values->get_object();
    }
    if (const json::Value* result = json::find(document, "result"); result != nullptr) {
        attachment.result = *result;
    }
    if (attachment.id.empty() || attachment.interface_name.empty()) {
        return Error(ErrorKind::DataLoss, "a CNI attachment's record is not whole");
    }
    return attachment;
}

} // namespace berth::network
