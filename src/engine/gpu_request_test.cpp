// SPDX-License-Identifier: Apache-2.0
#include "engine/gpu_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::set<std::string> nvidia{"vendor.com/device", "nvidia.com/gpu"};
const std::set<std::string> amd{"amd.com/gpu"};
const std::set<std::string> both{"amd.com/gpu", "nvidia.com/gpu"};

DeviceRequest asks_for(std::vector<std::vector<std::string>> capabilities) {
    DeviceRequest request;
    request.capabilities = std::move(capabilities);
    return request;
}

TEST(GpuRequest, GoesToTheFirstVendorWhoseFilesAreThere) {
    EXPECT_EQ(gpu_kind(asks_for({{"gpu"}}), nvidia), "nvidia.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({{"gpu"}}), amd), "amd.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({{"gpu"}}), both), "nvidia.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({{"gpu"}}), {"vendor.com/device"}), "");
}

TEST(GpuRequest, OneGroupOfCapabilitiesMustFitAsAWhole) {
    EXPECT_EQ(gpu_kind(asks_for({{"gpu", "utility", "compute"}}), nvidia), "nvidia.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({{"gpu", "tpu"}}), nvidia), "");
    EXPECT_EQ(gpu_kind(asks_for({{"gpu", "tpu"}, {"gpu"}}), nvidia), "nvidia.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({{"amd", "gpu"}}), both), "amd.com/gpu");
    EXPECT_EQ(gpu_kind(asks_for({}), nvidia), "");
}

TEST(GpuRequest, MayNameItsDriver) {
    DeviceRequest request = asks_for({{"gpu"}});
    request.driver = "amd";
    EXPECT_EQ(gpu_kind(request, both), "amd.com/gpu");
    request.driver = "nvidia.cdi";
    EXPECT_EQ(gpu_kind(request, both), "nvidia.com/gpu");
    request.driver = "nvidia.runtime-hook";
    EXPECT_EQ(gpu_kind(request, both), "");
}

TEST(GpuRequest, CountsFromZeroOrTakesAllOrThoseNamed) {
    DeviceRequest request = asks_for({{"gpu"}});
    EXPECT_THAT(gpu_device_names(request, "nvidia.com/gpu").value(), IsEmpty());
    request.count = -1;
    EXPECT_THAT(
        gpu_device_names(request, "nvidia.com/gpu").value(), ElementsAre("nvidia.com/gpu=all"));
    request.count = 2;
    EXPECT_THAT(
        gpu_device_names(request, "amd.com/gpu").value(),
        ElementsAre("amd.com/gpu=0", "amd.com/gpu=1"));
    request.device_ids = {"GPU-1", "other.com/gpu=x"};
    EXPECT_EQ(
        gpu_device_names(request, "nvidia.com/gpu").error().message(),
        "cannot set both Count and DeviceIDs on device request");
    request.count = 0;
    EXPECT_THAT(
        gpu_device_names(request, "nvidia.com/gpu").value(),
        ElementsAre("nvidia.com/gpu=GPU-1", "other.com/gpu=x"));
    request.device_ids.clear();
    request.count = std::int64_t{1} << 40;
    EXPECT_FALSE(gpu_device_names(request, "nvidia.com/gpu").ok());
}

} // namespace
} // namespace berth::engine
