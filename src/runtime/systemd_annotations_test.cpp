// SPDX-License-Identifier: Apache-2.0
#include "runtime/systemd_annotations.h"

#include <gtest/gtest.h>

namespace berth::runtime {

namespace {

using kernel::DbusProperty;

DbusProperty only(const std::string& name, const std::string& text) {
    auto list = systemd_properties({{"org.systemd.property." + name, text}, {"other", "x"}});
    EXPECT_TRUE(list.ok()) << list.error().message();
    EXPECT_EQ(list->size(), 1U);
    return list->at(0);
}

template <class Type>
Type value(const std::string& text) {
    return std::get<Type>(only("Name", text).value);
}

std::string error(const std::string& name, const std::string& text) {
    auto list = systemd_properties({{"org.systemd.property." + name, text}});
    EXPECT_FALSE(list.ok()) << name << "=" << text;
    return list.ok() ? "" : list.error().message();
}

TEST(SystemdAnnotations, AreGVariantText) {
    EXPECT_EQ(value<std::uint64_t>("uint64 18446744073709551615"), UINT64_MAX);
    EXPECT_EQ(value<std::uint64_t>("@t 0x10"), 16U);
    EXPECT_EQ(value<std::int32_t>("-5"), -5);
    EXPECT_EQ(value<std::int64_t>("int64 -9223372036854775808"), INT64_MIN);
    EXPECT_EQ(value<std::uint8_t>("byte 255"), 255);
    EXPECT_EQ(value<double>("1.5"), 1.5);
    EXPECT_EQ(value<bool>(" true "), true);
    EXPECT_EQ(value<std::string>("'inactive-or-failed'"), "inactive-or-failed");
    EXPECT_EQ(value<std::string>("\"it's \\\"so\\\"\""), "it's \"so\"");
    using Texts = std::vector<std::string>;
    EXPECT_EQ(value<Texts>("['a.service', 'b']"), (Texts{"a.service", "b"}));
    EXPECT_EQ(value<Texts>("@as []"), Texts());
    EXPECT_EQ(
        value<std::vector<std::uint32_t>>("[uint32 1, 2]"), (std::vector<std::uint32_t>{1, 2}));
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(value<Pairs>("[('/dev/null', 'rw')]"), (Pairs{{"/dev/null", "rw"}}));
}

TEST(SystemdAnnotations, SecondsBecomeMicroseconds) {
    DbusProperty stop = only("TimeoutStopSec", "15");
    EXPECT_EQ(stop.name, "TimeoutStopUSec");
    EXPECT_EQ(std::get<std::uint64_t>(stop.value), 15'000'000U);
    EXPECT_EQ(std::get<std::uint64_t>(only("RuntimeMaxSec", "1.5").value), 1'500'000U);
    EXPECT_EQ(only("TimeoutStopUSec", "uint64 3").name, "TimeoutStopUSec");
}

TEST(SystemdAnnotations, WrongOnesAreNamed) {
    EXPECT_NE(error("A-b", "1").find("org.systemd.property.A-b"), std::string::npos);
    EXPECT_NE(error("ab", "1").find("no property's name"), std::string::npos);
    EXPECT_NE(error("TimeoutStopSec", "'x'").find("TimeoutStopSec='x'"), std::string::npos);
    EXPECT_NE(error("TimeoutStopSec", "-1").find("not a time"), std::string::npos);
    for (const char* text :
         {"",
          "uint64",
          "5x",
          "uint64 -1",
          "byte 256",
          "2147483648",
          "'open",
          "'a' b",
          "[",
          "[]",
          "['a'",
          "['a' 'b']",
          "@v <5>",
          "true false",
          "'\\q'"}) {
        error("Name", text);
    }
}

} // namespace

} // namespace berth::runtime
