// SPDX-License-Identifier: Apache-2.0
// Lookup in Docker's order: full id, name, unique prefix of an id.
#include "engine/container_index.h"

#include "base/verify.h"

#include <algorithm>

namespace berth::engine {

ContainerView view_of(LiveContainer& container) {
    auto state = container.state.lock();
    return {state->definition, state->life, state->exec_ids};
}

Result<void> check_in_reach(const LiveState& state) {
    if (state.out_of_reach.empty()) {
        return ok();
    }
    return not_implemented(
        "container " + state.definition->id +
        " runs and cannot be managed by this engine: " + state.out_of_reach);
}

Result<ContainerPtr> ContainerIndex::find(const std::string& text) const {
    const std::string name = text.starts_with('/') ? text.substr(1) : text;
    if (text.empty()) {
        return invalid_argument("invalid name or ID supplied: \"\"");
    }
    if (const std::size_t slash = name.rfind('/'); slash != std::string::npos) {
        return find_by_link(name.substr(0, slash), name.substr(slash + 1));
    }
    auto tables = tables_.lock();
    if (auto found = tables->by_id.find(name); found != tables->by_id.end()) {
        return found->second;
    }
    if (auto found = tables->ids_by_name.find(name); found != tables->ids_by_name.end()) {
        // A reserved name has no container yet.
        if (auto container = tables->by_id.find(found->second); container != tables->by_id.end()) {
            return container->second;
        }
    }
    auto first = name.empty() ? tables->by_id.end() : tables->by_id.lower_bound(name);
    if (first == tables->by_id.end() || !first->first.starts_with(name)) {
        return not_found("No such container: " + text);
    }
    if (auto second = std::next(first);
        second != tables->by_id.end() && second->first.starts_with(name)) {
        return invalid_argument("Multiple IDs found with provided prefix: " + text);
    }
    return first->second;
}

Result<ContainerPtr>
ContainerIndex::find_by_link(const std::string& owner, const std::string& alias) const {
    if (owner.find('/') == std::string::npos && !owner.empty()) {
        const auto linking = find(owner);
        if (linking.ok()) {
            const auto definition = view_of(**linking).definition;
            for (const ContainerLink& link : definition->links) {
                if (link.alias == alias) {
                    return find_linked(link);
                }
            }
        }
    }
    return not_found("No such container: " + owner + "/" + alias);
}

Result<ContainerPtr> ContainerIndex::find_linked(const ContainerLink& link) const {
    auto tables = tables_.lock();
    auto found = tables->by_id.find(link.id);
    if (found == tables->by_id.end()) {
        const auto named = tables->ids_by_name.find(link.name);
        if (named != tables->ids_by_name.end()) {
            found = tables->by_id.find(named->second);
        }
    }
    if (found == tables->by_id.end()) {
        return not_found("No such container: " + link.name);
    }
    return found->second;
}

Result<void> ContainerIndex::reserve_name(const std::string& name, const std::string& id) {
    auto tables = tables_.lock();
    auto [entry, is_new] = tables->ids_by_name.emplace(name, id);
    if (!is_new) {
        return conflict(
            "Conflict. The container name \"/" + name + "\" is already in use by container \"" +
            entry->second +
            "\". You have to remove (or rename) that container to be able to reuse that name.");
    }
    tables->names_by_id.emplace(id, name);
    return ok();
}

void ContainerIndex::release_name(const std::string& name) {
    auto tables = tables_.lock();
    const auto entry = tables->ids_by_name.extract(name);
    if (entry.empty()) {
        return;
    }
    const auto [first, last] = tables->names_by_id.equal_range(entry.mapped());
    const auto named =
        std::find_if(first, last, [&](const auto& each) { return each.second == name; });
    VERIFY(named != last);
    tables->names_by_id.erase(named);
}

void ContainerIndex::add(ContainerPtr container) {
    const bool has_links = !view_of(*container).definition->links.empty();
    auto tables = tables_.lock();
    if (has_links) {
        tables->linking.insert(container->id);
    }
    tables->by_id.insert_or_assign(container->id, std::move(container));
}

void ContainerIndex::remove(const std::string& id) {
    auto tables = tables_.lock();
    tables->by_id.erase(id);
    tables->linking.erase(id);
    const auto [first, last] = tables->names_by_id.equal_range(id);
    for (auto named = first; named != last; named = tables->names_by_id.erase(named)) {
        tables->ids_by_name.erase(named->second);
    }
}

std::vector<ContainerPtr> ContainerIndex::all() const {
    auto tables = tables_.lock();
    std::vector<ContainerPtr> result;
    result.reserve(tables->by_id.size());
    for (const auto& [id, container] : tables->by_id) {
        result.push_back(container);
    }
    return result;
}

std::vector<ContainerPtr> ContainerIndex::linking() const {
    auto tables = tables_.lock();
    std::vector<ContainerPtr> result;
    for (const std::string& id : tables->linking) {
        if (const auto found = tables->by_id.find(id); found != tables->by_id.end()) {
            result.push_back(found->second);
        }
    }
    return result;
}

std::size_t ContainerIndex::size() const {
    return tables_.lock()->by_id.size();
}

} // namespace berth::engine
