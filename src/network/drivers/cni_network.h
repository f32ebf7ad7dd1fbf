// SPDX-License-Identifier: Apache-2.0
// A network that CNI plugins make: they give the addresses, the interface and the way out, and
// publish the ports. It is the one driver that starts programs.
#pragma once

#include "base/synchronized.h"
#include "network/cni_attachments.h"
#include "network/driver_parts.h"
#include "network/network_members.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace berth::network {

struct CniOptions {
    std::string name; // unique among the driver's networks: "cni-1a2b3c4d5e6f"
    // A list of plugins, the path of one, or the name of one in the configurations' directory.
    // It is read again for each container.
    std::string configuration;
    std::string directory = "/etc/cni/net.d";
    std::string description; // "name (id)" for error sentences
    bool has_rates = false;  // its containers shall have: its plugins must be able to
};

class CniNetwork final : public Network {
  public:
    // Asks the plugins whether they are there and can take containers.
    static Result<std::shared_ptr<CniNetwork>>
    create(std::shared_ptr<DriverParts> parts, const CniOptions& options);

    // Of an earlier engine, with the endpoints of containers that go on running. Its plugins are
    // not asked: without them the containers go on, too.
    static Result<std::shared_ptr<CniNetwork>> restore(
        std::shared_ptr<DriverParts> parts,
        const CniOptions& options,
        const std::vector<EndpointRecord>& known);

    Result<Endpoint> connect(const EndpointRequest& request) override;
    Result<void>
    disconnect(const std::string& endpoint_id, Detach detach = Detach::Behind) override;
    Result<std::vector<BoundPort>>
    publish(const std::string& endpoint_id, const std::vector<PortRequest>& ports) override;
    Result<void>
    unpublish(const std::string& endpoint_id, const std::vector<BoundPort>& ports) override;

    // Asks the plugins, behind, whether all is as they left it.
    void adopt(const std::string& endpoint_id, FdRef netns, const std::string& interface) override;

    const std::string& name() const override { return options_.name; }

    // Each container has its own.
    IpAddress gateway() const override { return {}; }

    std::optional<IpAddress> gateway_v6() const override { return std::nullopt; }

    std::uint32_t mtu() const override { return 0; }

    std::size_t endpoint_count() const override { return members_.lock()->places.size(); }

    const CniOptions& options() const { return options_; }

    // No endpoint joins any more. Forbidden while there are some.
    Result<void> close();
    // Endpoints that are there are taken off; where nobody else uses the plugins' network, they may
    // clear up what else they have of it.
    void tear_down();

  private:
    struct Live {
        UniqueFd netns{}; // empty: of an earlier engine's endpoint, until it is looked for
        std::vector<BoundPort> ports{};
        ContainerAddresses addresses{};
        std::string container_name{};
    };

    struct Members {
        NetworkMembers places;
        // Those with an interface: not while they are being connected or disconnected.
        std::map<std::string, Live> endpoints{};
    };

    // The last configuration that was read, and what its plugins and it agreed on.
    struct Agreed {
        std::string text{};
        std::string version{};
    };

    // A copy of what is published.
    struct Opened {
        UniqueFd netns{};
        std::vector<BoundPort> ports{};
        ContainerAddresses addresses{};
        std::string container_name{};
    };

    struct Joining;

    CniNetwork(std::shared_ptr<DriverParts> parts, CniOptions options, Members members)
        : parts_(std::move(parts))
        , options_(std::move(options))
        , members_(std::move(members)) {}

    Result<CniConfiguration> load() const;
    Result<std::string> agree(const CniConfiguration& configuration);
    Result<void> make_attachment(Joining& joining);
    Result<Endpoint> join(const EndpointRequest& request);
    Result<Endpoint> finish(const Joining& joining) const;
    std::vector<BoundPort>
    keep_ports(const std::vector<BoundPort>& ports, const ContainerAddresses& addresses);
    Result<void> take_off(const std::string& endpoint_id, UniqueFd netns, Detach detach);
    Result<Opened> opened_of(const std::string& endpoint_id) const;
    Result<void>
    change_ports(const std::string& endpoint_id, FdRef netns, const std::vector<BoundPort>& ports);
    void collect();

    std::shared_ptr<DriverParts> parts_;
    CniOptions options_;
    Synchronized<Members> members_;
    Synchronized<Agreed> agreed_{};
};

} // namespace berth::network
