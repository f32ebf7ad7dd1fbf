// SPDX-License-Identifier: Apache-2.0
// Lookup in Docker's order: full id, name, unique prefix of an id.
#include "engine/container_index.h"

namespace berth::engine {

ContainerView view_of(LiveContainer& container) {
    auto state = container.state.lock();
    return {state->definition, state->life, state->exec_ids};
}

Result<ContainerPtr> ContainerIndex::find(const std::string& text) const {
    const std::string name = text.starts_with('/') ? text.substr(1) : text;
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

Result<void> ContainerIndex::reserve_name(const std::string& name, const std::string& id) {
    auto tables = tables_.lock();
    auto [entry, is_new] = tables->ids_by_name.emplace(name, id);
    if (!is_new) {
        return conflict(
            "Conflict. The container name \"/" + name + "\" is already in use by container \"" +
            entry->second +
            "\". You have to remove (or rename) that container to be able to reuse that name.");
    }
    return ok();
}

void ContainerIndex::release_name(const std::string& name) {
    tables_.lock()->ids_by_name.erase(name);
}

void ContainerIndex::add(ContainerPtr container) {
    auto tables = tables_.lock();
    tables->by_id.insert_or_assign(container->id, std::move(container));
}

void ContainerIndex::remove(const std::string& id) {
    auto tables = tables_.lock();
    tables->by_id.erase(id);
    std::erase_if(tables->ids_by_name, [&id](const auto& entry) { return entry.second == id; });
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

std::size_t ContainerIndex::size() const {
    return tables_.lock()->by_id.size();
}

} // namespace berth::engine
