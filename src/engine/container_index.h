// SPDX-License-Identifier: Apache-2.0
// All containers by id, id prefix and name. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/live_container.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace berth::engine {

class ContainerIndex {
  public:
    // An id, a unique prefix of one, a name with or without slash, or the name that a link gives
    // it: "web/alias". NotFound "No such container: x"; InvalidArgument for a prefix of several.
    Result<ContainerPtr> find(const std::string& text) const;

    // The other end of a link.
    Result<ContainerPtr> find_linked(const ContainerLink& link) const;
    // Those that have links, which are few or none.
    std::vector<ContainerPtr> linking() const;

    // Names are taken first and given to a container second, so that two creations at a time cannot
    // both succeed. Conflict in Docker's words.
    Result<void> reserve_name(const std::string& name, const std::string& id);
    void release_name(const std::string& name);

    // REQUIRES: the name is reserved for this id.
    void add(ContainerPtr container);
    void remove(const std::string& id);

    std::vector<ContainerPtr> all() const;
    std::size_t size() const;

  private:
    Result<ContainerPtr> find_by_link(const std::string& owner, const std::string& alias) const;

    struct Tables {
        std::map<std::string, ContainerPtr> by_id;
        std::map<std::string, std::string> ids_by_name;
        std::multimap<std::string, std::string> names_by_id; // two while it is renamed
        std::set<std::string> linking;                       // ids
    };

    Synchronized<Tables> tables_;
};

} // namespace berth::engine
