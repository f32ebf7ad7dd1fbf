// SPDX-License-Identifier: Apache-2.0
// Macvlan and ipvlan networks: containers with interfaces of their own on a parent interface of the
// host, as if they were machines on its network. The host's firewall and published ports do not
// come in, and the host itself reaches them only through another interface.
#pragma once

#include "base/synchronized.h"
#include "network/driver_parts.h"
#include "network/network_members.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace berth::network {

enum class SublinkKind : std::uint8_t { Macvlan, Ipvlan };

// The modes of both kinds, as Docker's options have them.
enum class SublinkMode : std::uint8_t { Bridge, Private, Vepa, Passthru, L2, L3, L3s };

enum class IpvlanFlag : std::uint8_t { Bridge, Private, Vepa };

struct SublinkOptions {
    std::string name; // unique among the driver's networks: "dm-1a2b3c4d5e6f"; a made parent's too
    std::string id{}; // the engine's, for error sentences
    SublinkKind kind = SublinkKind::Macvlan;
    SublinkMode mode = SublinkMode::Bridge;
    IpvlanFlag flag = IpvlanFlag::Bridge;
    // "eth0"; "eth0.10" is made when only eth0 is there. Empty: one without a way out is made.
    std::string parent;
    std::vector<Subnet> subnets; // without a gateway: see has_usual_gateway
    std::vector<IpAddress> reserved{};
    bool internal = false;     // no default route
    std::uint32_t mtu = 0;     // 0: the parent's
    std::string description{}; // "name (id)" for error sentences
};

// Whether the first address of a range or subnet is its gateway when none is named: where
// containers send to one. An internal network has no way out, and in layer 3 there are no
// neighbors.
bool has_usual_gateway(const SublinkOptions& options);

// What its interface is called, whoever makes it.
const std::string& parent_name(const SublinkOptions& options);

enum class ParentUse : std::uint8_t { Last, Shared }; // Shared: other networks are on it, too

class SublinkNetwork final : public Network {
  public:
    // `known` are the endpoints of an earlier engine's containers that go on running.
    static Result<std::shared_ptr<SublinkNetwork>> create(
        std::shared_ptr<DriverParts> parts,
        const SublinkOptions& options,
        const std::vector<EndpointRecord>& known = {});

    // Published ports are ignored, as Docker does: the container is on the parent's network.
    Result<Endpoint> connect(const EndpointRequest& request) override;
    Result<void>
    disconnect(const std::string& endpoint_id, Detach detach = Detach::Behind) override;
    // NotImplemented.
    Result<std::vector<BoundPort>>
    publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) override;
    Result<void>
    unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) override;

    void adopt(const std::string& endpoint_id, FdRef netns, const std::string& interface) override;

    const std::string& name() const override { return options_.name; }

    // Of the first subnet; an endpoint has that of its own.
    IpAddress gateway() const override;
    std::optional<IpAddress> gateway_v6() const override;

    // Ipvlan's layer 3 modes, which have no neighbors that could be asked.
    bool leads_out_by_interface() const override;

    std::uint32_t mtu() const override { return options_.mtu; }

    std::size_t endpoint_count() const override { return members_.lock()->places.size(); }

    const SublinkOptions& options() const { return options_; }

    int parent_index() const { return parent_.index; }

    // By this engine, for this network or for another one.
    bool has_made_parent() const { return parent_.ours; }

    // Whether the engine of this label made the interface for such networks.
    static bool is_made_parent(const kernel::Link& link, const std::string& owner);

    // No endpoint joins any more. Forbidden while there are some.
    Result<void> close();
    // A parent that was made goes, behind, with the last network on it.
    void tear_down(ParentUse use);

  private:
    struct Parent {
        int index = 0;
        std::uint32_t mtu = 0;
        bool ours = false;
    };

    struct Live {
        UniqueFd netns{}; // empty: of an earlier engine's endpoint, until it is looked for
        std::string interface_name{};
    };

    struct Members {
        NetworkMembers places;
        // Those with an interface: not while they are being connected or disconnected.
        std::map<std::string, Live> endpoints{};
    };

    SublinkNetwork(
        std::shared_ptr<DriverParts> parts, SublinkOptions options, Parent parent, Members members)
        : parts_(std::move(parts))
        , options_(std::move(options))
        , parent_(parent)
        , members_(std::move(members)) {}

    static Result<Parent> ensure_parent(DriverParts& parts, const SublinkOptions& options);
    Result<ContainerAddresses> enroll(const EndpointRequest& request);
    Result<Endpoint> wire(const EndpointRequest& request, const ContainerAddresses& addresses);
    static Result<void> unplug(const Live& live);
    Endpoint endpoint_of(const EndpointRequest& request, const ContainerAddresses& addresses) const;

    std::shared_ptr<DriverParts> parts_;
    SublinkOptions options_;
    Parent parent_;
    Synchronized<Members> members_;
};

} // namespace berth::network
