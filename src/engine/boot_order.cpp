// SPDX-License-Identifier: Apache-2.0
// Kahn's way through the graph of needs.
#include "engine/boot_order.h"

#include "engine/config_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace berth::engine {
namespace {

using Definitions = std::vector<std::shared_ptr<const ContainerDefinition>>;

class Directory {
  public:
    explicit Directory(const Definitions& definitions) {
        for (std::size_t i = 0; i < definitions.size(); ++i) {
            by_id_.emplace(definitions[i]->id, i);
            by_name_.emplace(definitions[i]->name, i);
        }
    }

    // As requests name containers: a whole id, a name, the beginning of one id.
    std::optional<std::size_t> find(const std::string& text) const {
        if (const auto found = by_id_.find(text); found != by_id_.end()) {
            return found->second;
        }
        const std::string name = text.starts_with('/') ? text.substr(1) : text;
        if (const auto found = by_name_.find(name); found != by_name_.end()) {
            return found->second;
        }
        const auto first = by_id_.lower_bound(text);
        if (text.empty() || first == by_id_.end() || !first->first.starts_with(text)) {
            return std::nullopt;
        }
        const auto second = std::next(first);
        const bool is_unique = second == by_id_.end() || !second->first.starts_with(text);
        return is_unique ? std::optional(first->second) : std::nullopt;
    }

  private:
    std::map<std::string, std::size_t> by_id_;
    std::map<std::string, std::size_t> by_name_;
};

std::set<std::size_t>
needs_of(const ContainerDefinition& definition, const Directory& directory, std::size_t own) {
    std::set<std::size_t> needs;
    const auto add = [&](const std::string& text) {
        const auto found = directory.find(text);
        if (found && *found != own) {
            needs.insert(*found);
        }
        return found.has_value();
    };
    const HostConfig& host = definition.host_config;
    for (const std::string& mode : {host.network_mode, host.ipc_mode, host.pid_mode}) {
        add(container_of_mode(mode));
    }
    for (const std::string& source : host.volumes_from) {
        add(source.substr(0, source.find(':')));
    }
    for (const ContainerLink& link : definition.links) {
        (void)(add(link.id) || add(link.name));
    }
    return needs;
}

} // namespace

BootOrder::BootOrder(const Definitions& definitions)
    : missing_(definitions.size())
    , dependents_(definitions.size()) {
    const Directory directory(definitions);
    for (std::size_t i = 0; i < definitions.size(); ++i) {
        const std::set<std::size_t> needs = needs_of(*definitions[i], directory, i);
        missing_[i] = needs.size();
        for (const std::size_t need : needs) {
            dependents_[need].push_back(i);
        }
    }
    break_circles();
}

void BootOrder::break_circles() {
    std::vector<std::size_t> missing = missing_;
    std::vector<std::size_t> reached = take_first();
    std::vector<bool> is_reached(missing.size());
    for (std::size_t i = 0; i < reached.size(); ++i) {
        is_reached[reached[i]] = true;
        for (const std::size_t dependent : dependents_[reached[i]]) {
            if (--missing[dependent] == 0) {
                reached.push_back(dependent);
            }
        }
    }
    for (std::size_t i = 0; i < missing_.size(); ++i) {
        if (is_reached[i]) {
            continue;
        }
        for (const std::size_t dependent : std::exchange(dependents_[i], {})) {
            --missing_[dependent];
        }
    }
}

std::vector<std::size_t> BootOrder::take_first() {
    std::vector<std::size_t> first;
    for (std::size_t i = 0; i < missing_.size(); ++i) {
        if (missing_[i] == 0) {
            first.push_back(i);
        }
    }
    return first;
}

std::vector<std::size_t> BootOrder::finish(std::size_t number) {
    std::vector<std::size_t> ready;
    for (const std::size_t dependent : dependents_[number]) {
        if (--missing_[dependent] == 0) {
            ready.push_back(dependent);
        }
    }
    return ready;
}

} // namespace berth::engine
