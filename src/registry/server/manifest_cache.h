// SPDX-License-Identifier: Apache-2.0
// The bytes of manifests that were asked for lately: most requests to a registry are for few of
// them. Manifests never change, so nothing has to be thrown out but what is too much.
#pragma once

#include "base/synchronized.h"

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace berth::registry {

// Thread-safe.
class ManifestCache {
  public:
    using Bytes = std::shared_ptr<const std::string>;

    explicit ManifestCache(std::size_t limit = 32U << 20)
        : limit_(limit) {}

    // nullptr when it is not there.
    Bytes find(const std::string& digest) {
        auto state = state_.lock();
        auto found = state->by_digest.find(digest);
        if (found == state->by_digest.end()) {
            return nullptr;
        }
        state->order.splice(state->order.begin(), state->order, found->second);
        return found->second->second;
    }

    void put(const std::string& digest, Bytes bytes) {
        auto state = state_.lock();
        if (bytes->size() > limit_ / 4 || state->by_digest.contains(digest)) {
            return;
        }
        state->size += bytes->size();
        state->order.emplace_front(digest, std::move(bytes));
        state->by_digest.emplace(digest, state->order.begin());
        while (state->size > limit_) {
            state->size -= state->order.back().second->size();
            state->by_digest.erase(state->order.back().first);
            state->order.pop_back();
        }
    }

  private:
    using Order = std::list<std::pair<std::string, Bytes>>; // newest first

    struct State {
        Order order;
        std::unordered_map<std::string, Order::iterator> by_digest;
        std::size_t size = 0;
    };

    std::size_t limit_;
    Synchronized<State> state_;
};

} // namespace berth::registry
