// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "network/cni_configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* list = R"({"cniVersion": "1.0.0", "name": "net", "plugins": [
    {"type": "bridge", "mtu": 1400}, {"type": "portmap", "capabilities": {"portMappings": true}}]})";

void write(const std::string& path, const std::string& text) {
    EXPECT_TRUE(replace_file(path, text, 0644, Sync::No).ok());
}

TEST(CniConfiguration, ReadsListsAndSinglePlugins) {
    const auto several = CniConfiguration::parse(list);
    ASSERT_TRUE(several.ok()) << several.error().message();
    EXPECT_EQ(several->name, "net");
    ASSERT_EQ(several->plugins.size(), 2U);
    EXPECT_EQ(several->plugins[0].type, "bridge");
    EXPECT_TRUE(several->has_capability("portMappings"));
    EXPECT_FALSE(several->plugins[0].has_capability("portMappings"));
    EXPECT_FALSE(several->has_capability("ips"));
    const auto one =
        CniConfiguration::parse(R"({"cniVersion": "0.3.1", "name": "n", "type": "ptp"})");
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->plugins[0].type, "ptp");
    EXPECT_EQ(CniConfiguration::parse(several->text("1.0.0"))->plugins.size(), 2U);
}

TEST(CniConfiguration, TellsWhichVersionsItIsFor) {
    const auto versions = [](const std::string& words) {
        const auto read =
            CniConfiguration::parse("{" + words + R"("name": "n", "plugins": [{"type": "x"}]})");
        return read.ok() ? read->versions : std::vector<std::string>{read.error().message()};
    };
    EXPECT_THAT(versions(R"("cniVersion": "0.4.0",)"), ElementsAre("0.4.0"));
    EXPECT_THAT(
        versions(R"("cniVersion": "1.1.0", "cniVersions": ["0.4.0", "1.0.0", "2.0.0"],)"),
        ElementsAre("0.4.0", "1.0.0", "1.1.0"));
    EXPECT_THAT(
        versions(R"("cniVersion": "0.2.0",)"),
        ElementsAre("its cniVersion 0.2.0 is not supported; 0.3.0 to 1.1.0 are"));
    EXPECT_THAT(versions(""), ElementsAre("it names no cniVersion; 0.3.0 to 1.1.0 are supported"));
    EXPECT_EQ(
        highest_common_cni_version({{"0.4.0", "1.0.0", "1.1.0"}, {"1.0.0", "0.4.0", "0.1.0"}}),
        "1.0.0");
    EXPECT_EQ(highest_common_cni_version({{"0.4.0"}, {"1.0.0"}}), "");
}

TEST(CniConfiguration, RefusesWhatIsNone) {
    const std::string head = R"({"cniVersion": "1.0.0", )";
    for (const std::string& text :
         {std::string(),
          std::string("[]"),
          std::string("{"),
          head + "}",
          head + R"("name": "n"})",
          head + R"("name": "n", "plugins": []})",
          head + R"("name": "n", "plugins": {}})",
          head + R"("name": "n", "plugins": ["bridge"]})",
          head + R"("name": "n", "plugins": [{}]})",
          head + R"("name": "n", "plugins": [{"type": "../sh"}]})",
          head + R"("name": "../n", "plugins": [{"type": "x"}]})",
          head + R"("name": ".n", "plugins": [{"type": "x"}]})",
          head + R"("name": "n", "disableCheck": 1, "plugins": [{"type": "x"}]})",
          std::string(100'000, '[')}) {
        EXPECT_FALSE(CniConfiguration::parse(text).ok()) << text.substr(0, 100);
    }
}

TEST(CniConfiguration, IsFoundByNamePathAndText) {
    const TemporaryDirectory folder = TemporaryDirectory::create("/tmp").value();
    write(folder.path() + "/10-net.conflist", list);
    write(folder.path() + "/05-broken.conflist", "{");
    write(folder.path() + "/readme.txt", list);
    EXPECT_EQ(load_cni_configuration("net", folder.path())->plugins.size(), 2U);
    EXPECT_EQ(load_cni_configuration("10-net.conflist", folder.path())->name, "net");
    EXPECT_EQ(load_cni_configuration(folder.path() + "/10-net.conflist", "/none")->name, "net");
    EXPECT_FALSE(load_cni_configuration("net", folder.path())->is_inline);
    EXPECT_TRUE(load_cni_configuration(list, "/none")->is_inline);
    const Error error = load_cni_configuration("other", folder.path()).error();
    EXPECT_EQ(error.kind(), ErrorKind::NotFound);
    EXPECT_EQ(error.message(), "CNI network \"other\" not found in " + folder.path());
    EXPECT_EQ(load_cni_configuration("net", "/none").error().kind(), ErrorKind::NotFound);
    EXPECT_EQ(load_cni_configuration("/none/x", "/none").error().kind(), ErrorKind::NotFound);
    EXPECT_THAT(
        load_cni_configuration("broken", folder.path()).error().message(),
        HasSubstr("05-broken.conflist"));
}

TEST(CniConfiguration, TakesPluginsOfItsFolderToo) {
    const TemporaryDirectory folder = TemporaryDirectory::create("/tmp").value();
    ASSERT_TRUE(make_directories(folder.path() + "/net").ok());
    write(folder.path() + "/net/50-tuning.conf", R"({"type": "tuning"})");
    write(folder.path() + "/net/60.txt", R"({"type": "x"})");
    write(folder.path() + "/net.conflist", list);
    const auto all = load_cni_configuration("net", folder.path());
    ASSERT_TRUE(all.ok());
    ASSERT_EQ(all->plugins.size(), 3U);
    EXPECT_EQ(all->plugins[2].type, "tuning");
    write(
        folder.path() + "/net.conflist",
        R"({"cniVersion": "1.1.0", "name": "net", "loadOnlyInlinedPlugins": true, "plugins": [{"type": "x"}]})");
    EXPECT_EQ(load_cni_configuration("net", folder.path())->plugins.size(), 1U);
}

} // namespace
} // namespace berth::network
