// SPDX-License-Identifier: Apache-2.0
// The builder's two tables in the store's database: steps that were done (key -> image), and
// writable layers in use, so that a restarted engine finds what a killed one left.
#pragma once

#include "base/result.h"
#include "oci/digest.h"
#include "store/database.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::build {

// Thread-safe.
class BuildDatabase {
  public:
    // database must outlive this object.
    static Result<BuildDatabase> open(store::Database& database);

    // The image that a step with this key gave; it may be gone by now.
    Result<std::optional<oci::Digest>> find_step(const std::string& key) const;
    Result<void> put_step(const std::string& key, const oci::Digest& image) const;
    // How many there were.
    Result<std::uint64_t> forget_steps() const;

    Result<void> add_work(const std::string& id) const;
    Result<void> remove_work(const std::string& id) const;
    Result<std::vector<std::string>> list_work() const;

  private:
    explicit BuildDatabase(store::Database& database)
        : database_(database) {}

    store::Database& database_;
};

} // namespace berth::build
