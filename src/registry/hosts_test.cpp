// SPDX-License-Identifier: Apache-2.0
// hosts.toml and the folders of certificates.
#include "base/file.h"
#include "registry/hosts.h"

#include <gtest/gtest.h>

namespace berth::registry {

namespace {

class HostsTest : public testing::Test {
  protected:
    std::string root() const { return folder_.path(); }

    void write(const std::string& name, std::string_view text) {
        std::string path = root() + "/" + name;
        ASSERT_TRUE(make_directories(path.substr(0, path.rfind('/'))).ok());
        ASSERT_TRUE(replace_file(path, text, 0644, Sync::No).ok());
    }

    HostsOptions options() const { return {.directories = {root()}}; }

    std::vector<RegistryHost> hosts(std::string_view registry) {
        auto found = registry_hosts(registry, options());
        EXPECT_TRUE(found.ok()) << found.error().message();
        return found.ok() ? *found : std::vector<RegistryHost>();
    }

    std::string error(std::string_view registry) {
        auto found = registry_hosts(registry, options());
        EXPECT_FALSE(found.ok());
        return found.ok() ? "" : found.error().message();
    }

    TemporaryDirectory folder_ = std::move(TemporaryDirectory::create("/tmp")).value();
};

} // namespace

TEST_F(HostsTest, IsTheRegistryAloneWithoutConfiguration) {
    auto found = hosts("registry.example");
    ASSERT_EQ(found.size(), 1U);
    ASSERT_EQ(found[0].bases.size(), 1U);
    EXPECT_EQ(found[0].bases[0].api(), "https://registry.example/v2");
    EXPECT_EQ(found[0].bases[0].tls, nullptr);
    EXPECT_EQ(hosts("docker.io")[0].bases[0].url, "https://registry-1.docker.io");
}

TEST_F(HostsTest, TriesDaemonJsonsMirrorsFirstAndForTheHubOnly) {
    HostsOptions with{
        .mirrors = {"http://10.0.0.1:5000/", "https://mirror.example"}, .directories = {root()}};
    auto hub = registry_hosts("docker.io", with);
    ASSERT_TRUE(hub.ok());
    ASSERT_EQ(hub->size(), 3U);
    EXPECT_EQ((*hub)[0].bases[0].url, "http://10.0.0.1:5000");
    EXPECT_FALSE((*hub)[0].is_registry);
    EXPECT_EQ((*hub)[1].bases[0].url, "https://mirror.example");
    EXPECT_TRUE((*hub)[2].is_registry);
    EXPECT_EQ(registry_hosts("quay.example", with)->size(), 1U);
    EXPECT_EQ(push_host(*hub).bases[0].url, "https://registry-1.docker.io");
}

TEST_F(HostsTest, ReadsAHostsFileInItsOrder) {
    write("registry.example:5000/ca.pem", "AUTHORITY");
    write("registry.example:5000/client.pem", "CERTIFICATE");
    write("registry.example:5000/client.key", "KEY");
    write(
        "registry.example:5000/hosts.toml",
        "server = \"https://registry.example:5000\"\n"
        "ca = \"ca.pem\"\n"
        "[host.\"https://z.example/prefix\"]\n"
        "  capabilities = [\"pull\"]\n"
        "  client = [[\"client.pem\", \"client.key\"]]\n"
        "  override_path = true\n"
        "  [host.\"https://z.example/prefix\".header]\n"
        "    X-Key = [\"a\", \"b\"]\n"
        "[host.\"http://a.example:80\"]\n"
        "  capabilities = [\"pull\", \"resolve\", \"push\"]\n"
        "  skip_verify = true\n");
    auto found = hosts("registry.example:5000");
    ASSERT_EQ(found.size(), 3U);
    const ApiBase& first = found[0].bases[0];
    EXPECT_EQ(first.api(), "https://z.example/prefix");
    EXPECT_EQ(first.headers.get_all("X-Key").size(), 2U);
    EXPECT_EQ(first.namespace_of, "registry.example:5000");
    EXPECT_TRUE(found[0].can_pull && !found[0].can_resolve && !found[0].can_push);
    EXPECT_EQ(first.tls->key_file, root() + "/registry.example:5000/client.key");
    EXPECT_EQ(found[1].bases[0].api(), "http://a.example:80/v2");
    EXPECT_EQ(found[1].bases[0].verify, VerifyTls::No);
    EXPECT_EQ(found[2].bases[0].tls->authorities, "AUTHORITY\n");
    EXPECT_TRUE(found[2].is_registry && found[2].bases[0].namespace_of.empty());
    EXPECT_EQ(&push_host(found), &found[1]);
}

TEST_F(HostsTest, FindsTheFolderUnderEachOfItsNames) {
    write("_default/hosts.toml", "[host.\"https://cache.example\"]\n");
    write("own.example_5000_/hosts.toml", "server = \"http://own.example:5000\"\n");
    EXPECT_EQ(hosts("own.example:5000")[0].bases[0].url, "http://own.example:5000");
    auto other = hosts("other.example");
    ASSERT_EQ(other.size(), 2U);
    EXPECT_EQ(other[0].bases[0].url, "https://cache.example");
    EXPECT_EQ(other[1].bases[0].url, "https://other.example");
}

TEST_F(HostsTest, ReadsDockersCertificates) {
    write("registry.example/ca.crt", "ONE");
    write("registry.example/other.crt", "TWO");
    write("registry.example/client.cert", "C");
    write("registry.example/client.key", "K");
    auto tls = hosts("registry.example")[0].bases[0].tls;
    ASSERT_NE(tls, nullptr);
    EXPECT_EQ(tls->authorities, "ONE\nTWO\n");
    EXPECT_EQ(tls->certificate_file, root() + "/registry.example/client.cert");
    write("half.example/client.cert", "C");
    EXPECT_EQ(
        error("half.example"),
        "missing key client.key for client certificate client.cert in " + root() +
            "/half.example. CA certificates must use the extension .crt");
}

TEST_F(HostsTest, NamesWhatIsWrongInAFile) {
    const std::string path = root() + "/x.example/hosts.toml";
    auto error_of = [&](std::string_view text) {
        write("x.example/hosts.toml", text);
        return error("x.example");
    };
    EXPECT_EQ(error_of("sever = \"https://x\"\n"), path + ": unknown key sever");
    EXPECT_EQ(
        error_of("[host.\"https://m.example\"]\nskip_verify = 1\n"),
        path + ": host.\"https://m.example\".skip_verify must be true or false");
    EXPECT_EQ(
        error_of("[host.\"ftp://m.example\"]\n"),
        path + ": unsupported scheme in \"ftp://m.example\"");
    EXPECT_EQ(
        error_of("[host.\"https://m.example\"]\ncapabilities = [\"fly\"]\n"),
        path + ": unknown capability \"fly\"");
    EXPECT_EQ(error_of("server = \"https://\"\n"), path + ": \"https:\" is no registry host");
    EXPECT_EQ(error_of("server = [\n").substr(0, path.size() + 2), path + ": ");
    EXPECT_NE(error_of("ca = \"absent.pem\"\n").find("absent.pem"), std::string::npos);
}

} // namespace berth::registry
