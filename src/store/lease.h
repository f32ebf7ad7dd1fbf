// SPDX-License-Identifier: Apache-2.0
// Leases keep content from the garbage collector while an operation (a pull, a build, a load) is
// putting it together and nothing names it yet. They live in memory: when the engine dies, so do
// the operations, and what they left is swept.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "oci/digest.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>

namespace berth::store {

class Leases;

// What a lease or a root can hold: a blob by its digest, a layer (with its parents) by its chain
// id.
enum class ContentKind : std::uint8_t { Blob, Layer };

struct ContentKey {
    ContentKind kind;
    oci::Digest digest;

    auto operator<=>(const ContentKey&) const = default;
};

// Everything added stays until the lease ends. Take the lease first and ask whether the content is
// there second; then it cannot vanish in between. Thread-safe; never add while a database session
// is open, since the collector takes the two locks the other way round.
class Lease {
  public:
    Lease(Lease&&) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();

    void add_blob(const oci::Digest& digest) { add({ContentKind::Blob, digest}); }

    void add_layer(const oci::Digest& chain_id) { add({ContentKind::Layer, chain_id}); }

    void add(const ContentKey& key);

  private:
    friend class Leases;
    struct State;
    explicit Lease(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// Thread-safe.
class Leases {
  public:
    Leases();
    ~Leases();

    Lease create();
    bool holds(const ContentKey& key) const;
    std::set<ContentKey> all() const;

    // While a Watch lives, unless_held() also spares what was held for a moment since: an operation
    // may begin, name its content and end while a collection goes on.
    class Watch {
      public:
        explicit Watch(const Leases& leases);
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;
        ~Watch();

      private:
        const Leases& leases_;
    };

    // Runs remove unless somebody holds the key, with the table locked: a lease that is added
    // meanwhile waits, and then finds the content gone. `remove` must be short (a rename, a row).
    Result<bool>
    unless_held(const ContentKey& key, const std::function<Result<void>()>& remove) const;

  private:
    friend class Lease;

    // Shared with the leases, which may outlive this object.
    struct Table {
        std::map<ContentKey, std::size_t> holders;
        std::set<ContentKey> seen; // since the first of the watches began
        int watches = 0;
    };

    std::shared_ptr<Synchronized<Table>> table_;
};

} // namespace berth::store
