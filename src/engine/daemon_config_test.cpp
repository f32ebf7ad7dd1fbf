// SPDX-License-Identifier: Apache-2.0
// berthd's command line and daemon.json, in dockerd's words.
#include "base/file.h"
#include "engine/daemon_config.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

class DaemonFlags : public testing::Test {
  protected:
    void SetUp() override {
        directory_ = std::make_unique<TemporaryDirectory>(
            std::move(TemporaryDirectory::create("/tmp")).value());
        path_ = directory_->path() + "/daemon.json";
    }

    Result<ParsedDaemonFlags>
    parse(std::vector<std::string> flags, const std::string& json = "{}") {
        replace_file(path_, json, 0600, Sync::No).value();
        flags.insert(flags.end(), {"--config-file", path_});
        return parse_daemon_flags("dockerd", flags);
    }

    std::string error_of(std::vector<std::string> flags, const std::string& json = "{}") {
        auto parsed = parse(std::move(flags), json);
        return parsed.ok() ? "" : parsed.error().message();
    }

    std::unique_ptr<TemporaryDirectory> directory_;
    std::string path_;
};

TEST_F(DaemonFlags, TakesLongShortAndCombinedForms) {
    auto parsed = parse(
        {"-D",
         "-lwarn",
         "-H",
         "unix:///a",
         "-H=tcp://b:1",
         "--mtu=1400",
         "--label",
         "a=b",
         "--icc=false",
         "--default-ulimit",
         "nofile=10:20",
         "--log-opt",
         "max-size=1m"});
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    const DaemonConfig& config = parsed->config;
    EXPECT_TRUE(config.debug);
    EXPECT_EQ(config.log_level, "warn");
    EXPECT_EQ(config.hosts, (std::vector<std::string>{"unix:///a", "tcp://b:1"}));
    EXPECT_EQ(config.mtu, 1400);
    EXPECT_FALSE(config.icc);
    EXPECT_EQ(config.default_ulimits.at("nofile").hard, 20);
    EXPECT_EQ(config.log_options.at("max-size"), "1m");
}

TEST_F(DaemonFlags, RejectsUnknownFlagsInDockersWords) {
    EXPECT_EQ(error_of({"--foo"}), "unknown flag: --foo\nSee 'dockerd --help'.");
    EXPECT_EQ(error_of({"-x"}), "unknown shorthand flag: 'x' in -x\nSee 'dockerd --help'.");
    EXPECT_TRUE(error_of({"run"}).starts_with("\"dockerd\" accepts no arguments."));
    EXPECT_EQ(
        error_of({"--mtu=abc"}),
        "invalid argument \"abc\" for \"--mtu\" flag: strconv.ParseInt: parsing \"abc\": invalid "
        "syntax\nSee 'dockerd --help'.");
}

TEST_F(DaemonFlags, ReadsDaemonJson) {
    auto parsed = parse(
        {},
        R"({"debug": true, "hosts": ["unix:///x"], "log-opts": {"max-file": "3"},
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 1024}},
            "max-concurrent-downloads": 7, "data-root": "/srv/berth"})");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    EXPECT_TRUE(parsed->config.debug);
    EXPECT_EQ(parsed->config.hosts, std::vector<std::string>{"unix:///x"});
    EXPECT_EQ(parsed->config.log_options.at("max-file"), "3");
    EXPECT_EQ(parsed->config.default_ulimits.at("nofile").soft, 1024);
    EXPECT_EQ(parsed->config.max_concurrent_downloads, 7);
    EXPECT_EQ(parsed->config.data_root, "/srv/berth");
}

TEST_F(DaemonFlags, RefusesAnOptionGivenTwice) {
    EXPECT_EQ(
        error_of({"--debug", "-H", "unix:///y"}, R"({"debug": false, "hosts": ["unix:///x"]})"),
        "unable to configure the Docker daemon with file " + path_ +
            ": the following directives are specified both as a flag and in the configuration "
            "file: debug: (from flag: true, from file: false), hosts: (from flag: [unix:///y], "
            "from file: [unix:///x])");
}

TEST_F(DaemonFlags, RefusesUnknownKeysAndWrongTypes) {
    EXPECT_EQ(
        error_of({}, R"({"nope": 1})"),
        "unable to configure the Docker daemon with file " + path_ +
            ": the following directives don't match any configuration option: nope");
    EXPECT_NE(error_of({}, R"({"debug": "yes"})").find("\"debug\" must be"), std::string::npos);
    EXPECT_NE(error_of({}, "{").find("unable to configure"), std::string::npos);
    EXPECT_EQ(error_of({}, R"({"log-level": "loud"})"), "invalid logging level: loud");
    EXPECT_EQ(
        error_of({}, R"({"socket-families": "few"})"),
        "invalid --socket-families: \"few\" is neither all nor limited");
}

TEST_F(DaemonFlags, BoundsLayers) {
    auto parsed = parse({"--max-layer-ratio", "1000"}, R"({"max-layer-size": "20g"})");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    EXPECT_EQ(parsed->config.max_layer_ratio, 1000);
    EXPECT_EQ(parsed->config.max_layer_size, 20LL << 30);
    EXPECT_EQ(error_of({"--max-layer-size=0"}), "invalid max-layer-size: 0");
    EXPECT_EQ(error_of({}, R"({"max-layer-ratio": -1})"), "invalid max-layer-ratio: -1");
    EXPECT_NE(
        error_of({"--max-layer-size=large"}).find("invalid size: 'large'"), std::string::npos);
}

TEST_F(DaemonFlags, StorageOptionsSaySizesAndForms) {
    auto parsed = parse({"--storage-opt=overlay2.size=10g", "--selinux-enabled"});
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    EXPECT_EQ(parsed->config.container_size, 10LL << 30);
    EXPECT_TRUE(parsed->config.selinux_enabled);
    EXPECT_NE(
        error_of({"--storage-opt=overlay2.size=large"}).find("invalid size: 'large'"),
        std::string::npos);
    EXPECT_NE(
        error_of({"--storage-opt=dm.basesize=1g"}).find("unknown storage option"),
        std::string::npos);
}

TEST_F(DaemonFlags, RefusesWhatIsNotBuiltAndNotesWhatHasNoEffect) {
    auto refused = parse({"--cpu-rt-runtime", "1000"});
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(
        refused.error().message().find("--cpu-rt-runtime is not implemented"), std::string::npos);
    auto accepted = parse({"--containerd", "/run/containerd.sock", "--userland-proxy-path=/x"});
    ASSERT_TRUE(accepted.ok());
    EXPECT_EQ(
        accepted->config.ignored, (std::vector<std::string>{"containerd", "userland-proxy-path"}));
    EXPECT_TRUE(accepted->config.userland_proxy);
    EXPECT_FALSE(parse({"--userland-proxy=false"})->config.userland_proxy);
    EXPECT_TRUE(accepted->config.ip6tables);
    EXPECT_FALSE(parse({"--ip6tables=false"})->config.ip6tables);
    EXPECT_FALSE(parse({}, R"({"ip6tables": false})")->config.ip6tables);
    EXPECT_TRUE(parse({"--cpu-rt-period=0", "--allow-direct-routing=false"}).ok());
    EXPECT_FALSE(parse({"--cpu-rt-period=1000"}).ok());
}

// moby's daemon/config/config_linux.go (validateFwMarkMask); numbers are Go's.
TEST_F(DaemonFlags, ReadsTheMarkThatBridgesAccept) {
    const auto mark_of = [&](const std::string& text) {
        return parse({"--bridge-accept-fwmark=" + text})->config.bridge_accept_mark;
    };
    EXPECT_EQ(mark_of("1"), (network::PacketMark{.value = 1}));
    EXPECT_EQ(mark_of("0x1/0x3"), (network::PacketMark{.value = 1, .mask = 3}));
    EXPECT_EQ(mark_of("0b10/017"), (network::PacketMark{.value = 2, .mask = 15}));
    EXPECT_EQ(mark_of("0xffff_ffff/0"), (network::PacketMark{.value = UINT32_MAX, .mask = 0}));
    EXPECT_EQ(mark_of(""), std::nullopt);
    EXPECT_EQ(
        parse({}, R"({"bridge-accept-fwmark": "0o7/7"})")->config.bridge_accept_mark,
        (network::PacketMark{.value = 7, .mask = 7}));
    const auto has = [&](const std::string& text, const std::string& words) {
        return error_of({"--bridge-accept-fwmark=" + text})
                   .find("invalid bridge-accept-fwmark: " + words) != std::string::npos;
    };
    EXPECT_TRUE(has(
        "one", R"(invalid firewall mark "one": strconv.ParseUint: parsing "one": invalid syntax)"));
    EXPECT_TRUE(has(
        "1/x", R"(invalid firewall mask "1/x": strconv.ParseUint: parsing "x": invalid syntax)"));
    EXPECT_TRUE(has(
        "0x100000000",
        R"(invalid firewall mark "0x100000000": strconv.ParseUint: parsing "0x100000000": value out)"));
    for (const char* text : {"/3", "1/", "-1", "08", "0x", "1_", "_1", "1__0", "0x1/3/3", " 1"}) {
        EXPECT_FALSE(parse({"--bridge-accept-fwmark=" + std::string(text)}).ok()) << text;
    }
}

// moby's cmd/dockerd/daemon.go: tls alone verifies, tlsverify alone is TLS, whatever it says.
TEST_F(DaemonFlags, ReadsTlsAsDockerdDoes) {
    struct Case {
        std::vector<std::string> flags;
        std::string file;
        bool tls;
        bool verified;
    };

    for (const Case& test : std::vector<Case>{
             {{}, "{}", false, false},
             {{"--tls"}, "{}", true, true},
             {{"--tls=false"}, "{}", false, false},
             {{"--tlsverify"}, "{}", true, true},
             {{"--tlsverify=false"}, "{}", true, false},
             {{}, R"({"tls": true, "tlsverify": false})", true, false},
             {{}, R"({"tls": false, "tlsverify": false})", true, false},
             {{"--tlscacert=/a"},
              R"({"tlsverify": true, "tlscert": "/b", "tlskey": "/c"})",
              true,
              true}}) {
        auto parsed = parse(test.flags, test.file);
        ASSERT_TRUE(parsed.ok()) << parsed.error().message();
        EXPECT_EQ(parsed->config.uses_tls(), test.tls) << test.file;
        EXPECT_EQ(parsed->config.verifies_clients(), test.verified) << test.file;
    }
    EXPECT_NE(
        error_of({"--tls"}, R"({"tls": true})").find("tls: (from flag: true"), std::string::npos);
    auto files =
        parse({"--tlscacert=/a"}, R"({"tlsverify": true, "tlscert": "/b", "tlskey": "/c"})");
    EXPECT_EQ(
        files->config.tls_ca + files->config.tls_certificate + files->config.tls_key, "/a/b/c");
}

TEST_F(DaemonFlags, ReadsAddressPoolsAndNetworkOptionsInBothForms) {
    auto flags = parse(
        {"--ipv6",
         "--default-address-pool=base=10.0.0.0/8,size=24",
         "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"});
    auto file = parse(
        {},
        R"({"ipv6": true, "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}],
            "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}})");
    for (const auto* parsed : {&flags, &file}) {
        ASSERT_TRUE(parsed->ok()) << parsed->error().message();
        const DaemonConfig& config = (*parsed)->config;
        EXPECT_TRUE(config.ipv6);
        ASSERT_EQ(config.default_address_pools.size(), 1U);
        EXPECT_EQ(config.default_address_pools[0].base, "10.0.0.0/8");
        EXPECT_EQ(config.default_address_pools[0].size, 24);
        EXPECT_EQ(
            config.default_network_options.at("bridge").at("com.docker.network.driver.mtu"),
            "1400");
    }
    EXPECT_FALSE(parse({"--default-address-pool=10.0.0.0/8"}).ok());
    EXPECT_FALSE(parse({"--default-network-opt=bridge=mtu"}).ok());
}

TEST_F(DaemonFlags, TakesOneHostGatewayOfEachFamily) {
    const auto addresses = [](const ParsedDaemonFlags& parsed) {
        std::string text;
        for (const kernel::IpAddress& address : parsed.config.host_gateway_ips) {
            text += address.to_string() + " ";
        }
        return text;
    };
    EXPECT_EQ(
        addresses(*parse({"--host-gateway-ip", "192.0.2.1", "--host-gateway-ip=2001:db8::1"})),
        "192.0.2.1 2001:db8::1 ");
    EXPECT_NE(
        error_of({"--host-gateway-ip", "192.0.2.1", "--host-gateway-ip=192.0.2.2"})
            .find("only one IPv4 host gateway IP address can be specified"),
        std::string::npos);
    EXPECT_FALSE(parse({"--host-gateway-ip", "192.0.2"}).ok());
    EXPECT_EQ(
        addresses(*parse({}, R"({"host-gateway-ips": ["2001:db8::1", "192.0.2.1"]})")),
        "2001:db8::1 192.0.2.1 ");
    EXPECT_EQ(addresses(*parse({}, R"({"host-gateway-ip": "192.0.2.7"})")), "192.0.2.7 ");
    EXPECT_FALSE(parse({}, R"({"host-gateway-ip": "192.0.2.7", "host-gateway-ips": []})").ok());
}

TEST_F(DaemonFlags, KnowsTheKeysThatNoFlagHas) {
    auto parsed = parse(
        {},
        R"({"builder": {"gc": {"enabled": true}, "history": {}}, "proxies": {"http-proxy": ""}})");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    EXPECT_EQ(parsed->config.ignored, std::vector<std::string>{"builder.history"});
    auto proxies = parse(
        {"--no-proxy=.example"},
        R"({"proxies": {"http-proxy": "http://proxy:3128", "https-proxy": "http://proxy:3129"}})");
    ASSERT_TRUE(proxies.ok()) << proxies.error().message();
    EXPECT_EQ(proxies->config.http_proxy, "http://proxy:3128");
    EXPECT_EQ(proxies->config.https_proxy, "http://proxy:3129");
    EXPECT_EQ(proxies->config.no_proxy, ".example");
}

TEST(DaemonFlagDefaults, FollowTheProgramsName) {
    const std::vector<std::string> none;
    auto docker = parse_daemon_flags("dockerd", none);
    auto berth = parse_daemon_flags("berthd", none);
    if (docker.ok()) {
        EXPECT_EQ(docker->config.bridge, "docker0");
        EXPECT_EQ(docker->config.hosts.front(), "unix:///var/run/docker.sock");
    }
    if (berth.ok()) {
        EXPECT_EQ(berth->config.bridge, "berth0");
        EXPECT_EQ(berth->config.hosts.front(), "unix:///run/berth/berth.sock");
    }
}

TEST(MemorySize, KnowsUnits) {
    EXPECT_EQ(parse_memory_size("64m").value_or(0), 64 << 20);
    EXPECT_EQ(parse_memory_size("1.5GiB").value_or(0), 3LL << 29);
    EXPECT_EQ(parse_memory_size("512").value_or(0), 512);
    EXPECT_EQ(parse_memory_size("2kb").value_or(0), 2048);
    for (const char* text : {"", "m", "1x", "-1", "1.2.3", "99999999999p"}) {
        EXPECT_FALSE(parse_memory_size(text).ok()) << text;
    }
}

TEST(UlimitFlag, SoftIsHardWhenAlone) {
    EXPECT_EQ(parse_ulimit("nofile=5").value_or({}).hard, 5);
    EXPECT_EQ(parse_ulimit("nofile=5:-1").value_or({}).hard, -1);
    EXPECT_FALSE(parse_ulimit("nofile=6:5").ok());
    EXPECT_FALSE(parse_ulimit("nofile").ok());
}

} // namespace
} // namespace berth::engine
