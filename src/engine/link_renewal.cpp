// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/delete.go (rmLink) and container_operations_unix.go (addLegacyLinks). No lock
// of another container is taken: a start that waited for another's start could wait for itself.
#include "engine/link_renewal.h"

#include "base/log.h"
#include "base/strings.h"
#include "engine/container_files.h"
#include "engine/legacy_links.h"

#include <algorithm>
#include <mutex>

namespace berth::engine {
namespace {

void complain_of_link(const std::string& id, const char* what, const Result<void>& done) {
    if (!done.ok()) {
        log::debug(
            std::string(what) + ", ignoring", {{"id", id}, {"error", done.error().message()}});
    }
}

// Without lines, the link's go.
void write_lines(
    Core& core,
    const std::string& id,
    const ContainerLink& link,
    const std::vector<std::string>& lines) {
    if (const std::string names = names_of(link, core.index); !names.empty()) {
        complain_of_link(
            id, "hosts file not updated", renew_hosts(core.directory(id), names, lines));
    }
}

} // namespace

void open_links(
    Core& core,
    const ContainerDefinition& definition,
    const std::vector<EndpointState>& endpoints) {
    const std::shared_ptr<network::Network> bridge = core.network->bridge();
    ContainerLife life;
    life.endpoints = endpoints;
    const EndpointState* own = bridge_endpoint(life);
    if (definition.links.empty() || bridge == nullptr || own == nullptr) {
        return;
    }
    for (const ContainerLink& link : definition.links) {
        if (const auto live = live_link(link, core.index)) {
            complain_of_link(
                definition.id,
                "link not opened",
                bridge->open_to_peer(
                    {.from = own->id, .to = live->endpoint, .ports = live->ports}));
        }
    }
}

void renew_links(Core& core, const LiveContainer& container) {
    for (const ContainerPtr& owner : core.index.linking()) {
        const ContainerView view = view_of(*owner);
        if (!view.life.state.is_running()) {
            continue;
        }
        bool has_changed = false;
        for (const ContainerLink& link : view.definition->links) {
            const auto other = core.index.find_linked(link);
            if (owner.get() == &container || (other.ok() && other->get() == &container)) {
                if (const auto live = live_link(link, core.index)) {
                    write_lines(core, owner->id, link, live->hosts);
                }
                has_changed = true;
            }
        }
        if (has_changed) {
            open_links(core, *view.definition, view.life.endpoints);
        }
    }
}

Result<void> remove_link(Core& core, const std::string& name) {
    const auto parts =
        cut_last(name.starts_with('/') ? std::string_view(name).substr(1) : name, "/");
    if (!parts) {
        return conflict("Conflict, cannot remove the default link name of the container");
    }
    const auto owner = core.index.find(std::string(parts->before));
    if (!owner.ok()) {
        return not_found(
            "Cannot get parent /" + std::string(parts->before) + " for link name " + name);
    }
    const std::lock_guard operation((*owner)->operation);
    const ContainerView view = view_of(**owner);
    auto changed = std::make_shared<ContainerDefinition>(*view.definition);
    std::vector<ContainerLink>& links = changed->links;
    const auto place = std::ranges::find(links, parts->after, &ContainerLink::alias);
    if (place == links.end()) {
        return not_found("No such container: " + name);
    }
    const ContainerLink link = *place;
    links.erase(place);
    TRY(core.table->update_definition(*changed));
    (*owner)->state.lock()->definition = changed;
    if (!view.life.state.is_running()) {
        return ok();
    }
    write_lines(core, changed->id, link, {});
    const auto live = live_link(link, core.index);
    const EndpointState* own = bridge_endpoint(view.life);
    const auto bridge = core.network->bridge();
    if (live && bridge != nullptr && own != nullptr) {
        TRY(bridge->close_to_peer(own->id, live->endpoint));
        open_links(core, *changed, view.life.endpoints); // another link to the same container
    }
    return ok();
}

std::multimap<std::string, std::string> link_names(const ContainerIndex& containers) {
    std::multimap<std::string, std::string> names;
    for (const ContainerPtr& owner : containers.linking()) {
        const auto definition = view_of(*owner).definition;
        for (const ContainerLink& link : definition->links) {
            if (const auto other = containers.find_linked(link); other.ok()) {
                names.emplace((*other)->id, "/" + definition->name + "/" + link.alias);
            }
        }
    }
    return names;
}

} // namespace berth::engine
