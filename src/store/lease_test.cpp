// SPDX-License-Identifier: Apache-2.0
#include "store/lease.h"

#include <gtest/gtest.h>

namespace berth::store {
namespace {

const oci::Digest digest_one = oci::Digest::of("one");
const ContentKey blob_one{ContentKind::Blob, digest_one};

TEST(Lease, HoldsUntilItEnds) {
    Leases leases;
    {
        Lease lease = leases.create();
        lease.add_blob(digest_one);
        lease.add_blob(digest_one);
        EXPECT_TRUE(leases.holds(blob_one));
        EXPECT_FALSE(leases.holds({ContentKind::Layer, digest_one}));
    }
    EXPECT_FALSE(leases.holds(blob_one));
}

TEST(Lease, KeepsWhatAnotherLeaseHoldsToo) {
    Leases leases;
    Lease first = leases.create();
    first.add_blob(digest_one);
    {
        Lease second = leases.create();
        second.add_blob(digest_one);
    }
    EXPECT_TRUE(leases.holds(blob_one));
}

TEST(Lease, GoesOnAfterAMove) {
    Leases leases;
    Lease first = leases.create();
    first.add_blob(digest_one);
    Lease second = std::move(first);
    EXPECT_TRUE(leases.holds(blob_one));
    EXPECT_EQ(leases.all(), std::set<ContentKey>{blob_one});
}

TEST(Lease, MayOutliveTheTable) {
    auto leases = std::make_unique<Leases>();
    Lease lease = leases->create();
    lease.add_blob(digest_one);
    leases.reset();
    lease.add_layer(digest_one);
}

TEST(Leases, RemoveOnlyWhatNobodyHolds) {
    Leases leases;
    int removals = 0;
    auto remove = [&]() -> Result<void> {
        ++removals;
        return ok();
    };
    {
        Lease lease = leases.create();
        lease.add_blob(digest_one);
        EXPECT_FALSE(leases.unless_held(blob_one, remove).value());
    }
    EXPECT_TRUE(leases.unless_held(blob_one, remove).value());
    EXPECT_EQ(removals, 1);
}

} // namespace
} // namespace berth::store
