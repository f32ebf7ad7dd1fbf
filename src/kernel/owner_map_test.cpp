// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/namespace.h"
#include "kernel/owner_map.h"
#include "kernel/path.h"

#include <gtest/gtest.h>
#include <linux/nsfs.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::kernel {
namespace {

std::string text_of_exchange(const std::string& ranges) {
    return id_map_text(exchange_of(*parse_id_map(ranges)));
}

TEST(OwnerMap, ReadsAndWritesMapsAsTheKernelHasThem) {
    const auto ranges = parse_id_map("         0     100000      65536\n 65536 300000 10\n");
    ASSERT_TRUE(ranges.ok());
    EXPECT_EQ(id_map_text(*ranges), "0 100000 65536\n65536 300000 10\n");
    EXPECT_FALSE(parse_id_map("0 1").ok());
    EXPECT_FALSE(parse_id_map("0 1 x").ok());
    EXPECT_TRUE(parse_id_map("")->empty());
}

TEST(OwnerMap, LetsTheRangesChangePlacesWithWhatIsInTheirWay) {
    EXPECT_EQ(
        text_of_exchange("0 100000 65536"),
        "0 100000 65536\n100000 0 65536\n65536 65536 34464\n165536 165536 4294801759\n");
}

TEST(OwnerMap, ExchangesRangesThatOverlapWithThemselves) {
    EXPECT_EQ(text_of_exchange("0 1000 2000"), "0 1000 2000\n2000 0 1000\n3000 3000 4294964295\n");
    EXPECT_EQ(text_of_exchange("0 0 4294967295"), "0 0 4294967295\n");
}

TEST(OwnerMap, ExchangesSeveralRangesOfDifferentSizes) {
    EXPECT_EQ(
        text_of_exchange("0 5000 10\n10 9000 30"),
        "0 5000 10\n10 9000 30\n5000 0 10\n9000 10 30\n"
        "40 40 4960\n5010 5010 3990\n9030 9030 4294958265\n");
}

TEST(OwnerMap, GivesEveryIdOneOfItsOwn) {
    const auto exchange = exchange_of(*parse_id_map("0 5000 10\n10 8 30"));
    for (std::uint32_t id :
         {0U, 5U, 9U, 10U, 37U, 38U, 39U, 40U, 5000U, 5009U, 5010U, 4294967294U}) {
        EXPECT_EQ(id_on_disk(exchange, seen_id(exchange, id)), id) << id;
    }
}

TEST(OwnerMap, TellsWhatTheContainerCallsAnOwner) {
    const auto owners = OwnerMap::create(
        {{{.inside = 0, .outside = 100000, .size = 1000}},
         {{.inside = 0, .outside = 200000, .size = 1000}}});
    ASSERT_TRUE(owners.ok()) << owners.error().message();
    EXPECT_EQ((*owners)->root_uid(), 100000U);
    EXPECT_EQ((*owners)->root_gid(), 200000U);
    EXPECT_EQ((*owners)->inside_uid(100033), 33U);
    EXPECT_EQ((*owners)->inside_gid(200033), 33U);
    EXPECT_EQ((*owners)->inside_uid(0), 65534U);
    EXPECT_TRUE((*owners)->maps_like((*owners)->maps()));
    EXPECT_FALSE((*owners)->maps_like({}));
}

TEST(OwnerMap, ShowsFilesOfAMountAsTheContainersOwn) {
    const auto directory = TemporaryDirectory::create("/tmp");
    ASSERT_TRUE(directory.ok());
    const auto owners = OwnerMap::create(
        {{{.inside = 0, .outside = 100000, .size = 1000}},
         {{.inside = 0, .outside = 200000, .size = 1000}}});
    ASSERT_TRUE(owners.ok()) << owners.error().message();
    const UniqueFd mount = clone_mount(directory->path(), Recursive::No).value();
    if (const auto mapped = (*owners)->apply_to(mount); !mapped.ok()) {
        GTEST_SKIP() << mapped.error().message();
    }
    // Root has a place too: what it makes belongs on the disk to who is in its place.
    const UniqueFd file(openat(mount.get(), "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);

    struct stat status {};

    ASSERT_EQ(stat((directory->path() + "/made").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 100000U);
    EXPECT_EQ(status.st_gid, 200000U);
    ASSERT_EQ(fchown(file.get(), 100000, 200033), 0);
    ASSERT_EQ(stat((directory->path() + "/made").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 0U);
    EXPECT_EQ(status.st_gid, 33U);
}

TEST(OwnerMap, ComposesTwoMaps) {
    const auto first = exchange_of(*parse_id_map("1000 0 1\n0 1000 1"));
    const auto second = exchange_of(*parse_id_map("0 100000 65536"));
    const auto both = compose(first, second);
    for (std::uint32_t id : {0U, 1U, 999U, 1000U, 1001U, 65536U, 100000U, 4294967294U}) {
        EXPECT_EQ(seen_id(both, id), seen_id(second, seen_id(first, id))) << id;
    }
    EXPECT_EQ(seen_id(both, 1000), 100000U);
}

TEST(Namespaces, MakesANetworkThatBelongsToAUserNamespace) {
    const auto made = make_user_and_network_namespace("0 100000 1000\n", "0 100000 1000\n");
    ASSERT_TRUE(made.ok()) << made.error().message();
    EXPECT_TRUE(open_namespace(fd_path(made->user), CLONE_NEWUSER).ok());
    EXPECT_TRUE(open_namespace(fd_path(made->network), CLONE_NEWNET).ok());
    const auto second = make_network_namespace(made->user);
    ASSERT_TRUE(second.ok()) << second.error().message();
    for (const UniqueFd* network : {&made->network, &*second}) {
        const UniqueFd owner(ioctl(network->get(), NS_GET_USERNS));

        struct stat expected {};

        struct stat found {};

        ASSERT_EQ(fstat(owner.get(), &found), 0);
        ASSERT_EQ(fstat(made->user.get(), &expected), 0);
        EXPECT_EQ(found.st_ino, expected.st_ino);
    }
}

} // namespace
} // namespace berth::kernel
