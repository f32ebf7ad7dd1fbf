// SPDX-License-Identifier: Apache-2.0
// Leases count the holders of each piece of content in one table.
#include "store/lease.h"

namespace berth::store {

struct Lease::State {
    std::shared_ptr<Synchronized<Leases::Table>> table;
    Synchronized<std::set<ContentKey>> keys;
};

Lease::Lease(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

Lease::Lease(Lease&&) noexcept = default;

Lease::~Lease() {
    if (!state_) {
        return;
    }
    auto table = state_->table->lock();
    auto keys = state_->keys.lock();
    for (const ContentKey& key : *keys) {
        auto found = table->holders.find(key);
        if (--found->second == 0) {
            table->holders.erase(found);
        }
    }
}

void Lease::add(const ContentKey& key) {
    auto table = state_->table->lock();
    auto keys = state_->keys.lock();
    if (keys->insert(key).second) {
        ++table->holders[key];
        if (table->watches > 0) {
            table->seen.insert(key);
        }
    }
}

Leases::Leases()
    : table_(std::make_shared<Synchronized<Table>>()) {}

Leases::~Leases() = default;

Lease Leases::create() {
    auto state = std::make_unique<Lease::State>();
    state->table = table_;
    return Lease(std::move(state));
}

Leases::Watch::Watch(const Leases& leases)
    : leases_(leases) {
    ++leases_.table_->lock()->watches;
}

Leases::Watch::~Watch() {
    auto table = leases_.table_->lock();
    if (--table->watches == 0) {
        table->seen.clear();
    }
}

bool Leases::holds(const ContentKey& key) const {
    return table_->lock()->holders.contains(key);
}

std::set<ContentKey> Leases::all() const {
    std::set<ContentKey> keys;
    auto table = table_->lock();
    for (const auto& [key, count] : table->holders) {
        keys.insert(key);
    }
    return keys;
}

Result<bool>
Leases::unless_held(const ContentKey& key, const std::function<Result<void>()>& remove) const {
    auto table = table_->lock();
    if (table->holders.contains(key) || table->seen.contains(key)) {
        return false;
    }
    TRY(remove());
    return true;
}

} // namespace berth::store
