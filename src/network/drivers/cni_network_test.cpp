// SPDX-License-Identifier: Apache-2.0
// CNI networks of real plugins (Debian's containernetworking-plugins), and of such that do what
// they should not. Each test has a network and a /tmp of its own.
#include "kernel/netlink_test_support.h"
#include "network/cni_test_support.h"
#include "network/drivers/cni_network.h"
#include "network/network_contract.h"
#include "network/network_driver.h"
#include "network/network_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/mount.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::output_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What plugins keep goes with the test, which ends without any destructor of ours.
void hide_host_folders() {
    EXPECT_EQ(::unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr), 0);
}

void in_cni_host(const std::function<void()>& body) {
    in_new_network([&] {
        hide_host_folders();
        body();
    });
}

std::string ranges(const std::string& v4, const std::string& v6 = "") {
    return R"("ipam": {"type": "host-local", "dataDir": "/tmp/ipam", "ranges": [[{"subnet": ")" +
           v4 + R"("}])" + (v6.empty() ? "" : R"(, [{"subnet": ")" + v6 + R"("}])") +
           R"(], "routes": [{"dst": "0.0.0.0/0"})" + (v6.empty() ? "" : R"(, {"dst": "::/0"})") +
           R"(]})";
}

std::string list_of(const std::string& plugins, const std::string& version = "1.0.0") {
    return R"({"cniVersion": ")" + version + R"(", "name": "net", "plugins": [)" + plugins + "]}";
}

std::string bridge_list() {
    return list_of(
        R"({"type": "bridge", "bridge": "cni0", "isGateway": true,
            "ipMasq": true, "capabilities": {"ips": true, "mac": true}, )" +
        ranges("10.88.0.0/16") + R"(}, {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "firewall"})");
}

CniOptions options_with(const std::string& configuration) {
    return {.name = "cni-test", .configuration = configuration, .description = "net (cni-test)"};
}

std::shared_ptr<CniNetwork> make(NetworkDriver& driver, const std::string& configuration) {
    auto made = driver.create(options_with(configuration));
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
    return made.ok() ? *made : nullptr;
}

NetworkDriver::Options with_plugins(const CniPluginFolder& folder) {
    NetworkDriver::Options options;
    options.cni.directory = "/tmp/state";
    options.cni.plugins.directories = {folder.path(), "/usr/lib/cni"};
    options.cni.timeout = std::chrono::seconds(10);
    options.cni.first_retry = std::chrono::milliseconds(20);
    return options;
}

// Makes one end of a veth pair, as 10.5.0.2, and takes it away.
void add_maker(const CniPluginFolder& folder, const std::string& then = "") {
    folder.add("maker", R"(
cat > $home/maker.$CNI_COMMAND.input
env | grep ^CNI_ | sort > $home/maker.$CNI_COMMAND.environment
echo maker $CNI_COMMAND >> $home/calls
inside() { nsenter --net=$CNI_NETNS ip "$@"; }
case $CNI_COMMAND in
ADD)
    inside link add $CNI_IFNAME type veth peer name peer0
    inside address add 10.5.0.2/24 dev $CNI_IFNAME
    inside link set $CNI_IFNAME up
    inside link set peer0 up
    inside route add default via 10.5.0.1
    )" + then + R"(
    echo '{"cniVersion":"1.0.0","interfaces":[{"name":"h0"},{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}],
      "ips":[{"address":"10.5.0.2/24","gateway":"10.5.0.1","interface":1}],
      "dns":{"nameservers":["10.5.0.53"],"search":["x.test"]}}' ;;
DEL) [ -z "$CNI_NETNS" ] || inside link delete $CNI_IFNAME || true ;;
esac
)");
}

std::string maker_list() {
    return list_of(R"({"type": "maker", "capabilities":
        {"portMappings": true, "aliases": true, "dns": true, "bandwidth": true}})");
}

INSTANTIATE_TEST_SUITE_P(
    Cni,
    NetworkContract,
    testing::Values(NetworkVariant{
        "cni",
        [](NetworkDriver& driver, bool v6) {
            return std::shared_ptr<Network>(make(
                driver,
                list_of(
                    R"({"type": "macvlan", "master": "wan0", "capabilities": {"ips": true, "mac": true}, )" +
                    ranges("10.77.0.0/24", v6 ? "fd00:77::/64" : "") + "}")));
        },
        [] {
            hide_host_folders();
            static const UniqueFd machine = make_outside_world();
        },
        false,
        "is not available"}),
    [](const auto& instance) { return instance.param.name; });

TEST(CniNetwork, JoinsContainersByABridgeAndPublishesPorts) {
    in_cni_host([] {
        const UniqueFd world = make_outside_world();
        const auto driver = start_driver();
        const auto network = make(*driver, bridge_list());
        PortRequest port = tcp(8080, 80);
        port.every_family = true;
        const Endpoint a = connect(*network, "a", {port});
        const Endpoint b = connect(*network, "b");
        EXPECT_EQ(a.ip.to_string(), "10.88.0.2");
        EXPECT_EQ(a.prefix_length, 16);
        EXPECT_EQ(a.gateway.to_string(), "10.88.0.1");
        EXPECT_THAT(a.host_interface, testing::StartsWith("veth"));
        EXPECT_THAT(inside(a, {"ip", "link"}), HasSubstr(a.mac.to_string()));
        EXPECT_TRUE(reaches(b, "10.88.0.2"));
        EXPECT_TRUE(reaches(b, "10.99.0.2")) << "the way out";
        ASSERT_EQ(a.ports.size(), 1U) << "it has no IPv6 address";
        EXPECT_EQ(a.ports[0].host_port, 8080);
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        EXPECT_EQ(ask(world, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_EQ(
            network->connect({.id = "c", .container_name = "c", .ports = {tcp(8080, 80)}})
                .error()
                .message(),
            "driver failed programming external connectivity on endpoint c (c): Bind for "
            "0.0.0.0:8080 failed: port is already allocated");
        ASSERT_TRUE(network->disconnect("a").ok());
        ASSERT_TRUE(network->disconnect("b").ok());
        EXPECT_NE(ask_in_vain(world, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_THAT(output_of({"nft", "list", "ruleset"}), Not(HasSubstr("8080")));
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("veth")));
        ASSERT_TRUE(driver->remove("cni-test").ok());
    });
}

TEST(CniNetwork, PublishesAndWithdrawsPortsWhileTheContainerRuns) {
    in_cni_host([] {
        const UniqueFd world = make_outside_world();
        const auto driver = start_driver();
        const auto network = make(*driver, bridge_list());
        const Endpoint a = connect(*network, "a", {tcp(8080, 80)});
        const EchoServer server(a.netns, Protocol::Tcp, 80);
        const auto more = network->publish("a", {tcp(8081, 80)});
        ASSERT_TRUE(more.ok()) << more.error().message();
        EXPECT_EQ(ask(world, Protocol::Tcp, "10.99.0.1", 8081), "10.99.0.2");
        EXPECT_EQ(ask(world, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        ASSERT_TRUE(network->unpublish("a", a.ports).ok());
        EXPECT_EQ(ask(world, Protocol::Tcp, "10.99.0.1", 8081), "10.99.0.2");
        EXPECT_NE(ask_in_vain(world, Protocol::Tcp, "10.99.0.1", 8080), "10.99.0.2");
        EXPECT_FALSE(network->publish("a", {tcp(8081, 81)}).ok()) << "taken";
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_THAT(output_of({"nft", "list", "ruleset"}), Not(HasSubstr("8081")));
    });
}

TEST(CniNetwork, GivesPointToPointLinks) {
    in_cni_host([] {
        const UniqueFd world = make_outside_world();
        const auto driver = start_driver();
        const auto network = make(
            *driver,
            list_of(
                R"({"type": "ptp", "ipMasq": true, "mtu": 1400, )" + ranges("10.89.0.0/24") + "}"));
        const Endpoint a = connect(*network, "a");
        const Endpoint b = connect(*network, "b");
        EXPECT_TRUE(reaches(a, b.ip.to_string()));
        EXPECT_TRUE(reaches(a, "10.99.0.2"));
        EXPECT_THAT(inside(a, {"ip", "link"}), HasSubstr("mtu 1400"));
        ASSERT_TRUE(network->disconnect("a").ok());
        ASSERT_TRUE(network->disconnect("b").ok());
        EXPECT_THAT(output_of({"ip", "link"}), Not(HasSubstr("veth")));
    });
}

TEST(CniNetwork, TellsThePluginsWhatTheContainerWants) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const auto driver = start_driver(with_plugins(folder));
        const auto network = make(*driver, maker_list());
        EndpointRequest request{.id = "a", .container_name = "a", .ports = {}};
        request.ports = {tcp(8080, 80), tcp(0, 81), tcp(8082, 82, "127.0.0.1")};
        request.aliases = {"web", "www"};
        request.dns = {.nameservers = {"10.9.9.9"}, .search = {"y.test"}, .options = {}};
        request.arguments = {{"K8S_POD_NAME", "pod"}};
        request.rates = {.egress = 1'250'000, .ingress = 0};
        const Endpoint a = connect(*network, request);
        const json::Value told = folder.input("maker", "ADD");
        const json::Value* runtime = json::find(told, "runtimeConfig");
        ASSERT_NE(runtime, nullptr);
        EXPECT_EQ(json::serialize(*json::find(*runtime, "aliases")), R"(["web","www"])");
        EXPECT_EQ(
            json::serialize(*json::find(*runtime, "dns")),
            R"({"servers":["10.9.9.9"],"searches":["y.test"]})");
        EXPECT_EQ(
            json::serialize(*json::find(*runtime, "bandwidth")),
            R"({"egressRate":10000000,"egressBurst":1000000})");
        const std::string ports = json::serialize(*json::find(*runtime, "portMappings"));
        ASSERT_EQ(a.ports.size(), 3U);
        EXPECT_EQ(
            ports,
            R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"hostPort":)" +
                std::to_string(a.ports[1].host_port) +
                R"(,"containerPort":81,"protocol":"tcp"},)"
                R"({"hostPort":8082,"containerPort":82,"protocol":"tcp","hostIP":"127.0.0.1"}])");
        EXPECT_THAT(
            folder.environment("maker", "ADD"),
            AllOf(
                HasSubstr("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=pod\n"),
                HasSubstr("CNI_CONTAINERID=a\nCNI_IFNAME=eth0\nCNI_NETNS=/proc/")));
        EXPECT_THAT(a.dns.nameservers, ElementsAre("10.5.0.53"));
        EXPECT_THAT(a.dns.search, ElementsAre("x.test"));
        EXPECT_EQ(a.host_interface, "h0");
        EXPECT_THAT(inside(a, {"ip", "route"}), HasSubstr("default via 10.5.0.1"));
        ASSERT_TRUE(network->disconnect("a").ok());
        EXPECT_THAT(inside(a, {"ip", "link"}), Not(HasSubstr("eth0")));
    });
}

TEST(CniNetwork, SaysWhatNoPluginCanDo) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const auto driver = start_driver(with_plugins(folder));
        const auto network = make(*driver, list_of(R"({"type": "maker"})"));
        const auto refused = [&](const std::function<void(EndpointRequest&)>& change) {
            EndpointRequest request{.id = "a", .container_name = "a", .ports = {}};
            change(request);
            const auto made = network->connect(request);
            return made.ok() ? std::string() : made.error().message();
        };
        EXPECT_EQ(
            refused([](EndpointRequest& request) { request.ports = {tcp(8080, 80)}; }),
            "published ports are not possible in CNI network \"net\": none of its plugins has the "
            "capability portMappings");
        EXPECT_THAT(
            refused([](EndpointRequest& request) { request.rates.egress = 1'000'000; }),
            HasSubstr("capability bandwidth"));
        EXPECT_THAT(
            refused([](EndpointRequest& request) { request.connections = 100; }),
            HasSubstr("com.berth.connections is not implemented for CNI networks"));
        CniOptions limited = options_with(list_of(R"({"type": "maker"})"));
        limited.name = "cni-limited";
        limited.has_rates = true;
        EXPECT_THAT(driver->create(limited).error().message(), HasSubstr("capability bandwidth"));
        EXPECT_THAT(
            refused([](EndpointRequest& request) { request.ip = *IpAddress::parse("10.5.0.9"); }),
            HasSubstr("did not give the address 10.5.0.9 that was asked for"));
        EXPECT_THAT(
            refused([](EndpointRequest& request) {
                request.mac = *MacAddress::parse("02:00:00:00:00:09");
            }),
            HasSubstr("did not give the MAC address 02:00:00:00:00:09"));
        EXPECT_THAT(
            refused([](EndpointRequest& request) {
                request.arguments = {{"A", "1;B=2"}};
            }),
            HasSubstr("invalid CNI argument"));
        EXPECT_EQ(network->endpoint_count(), 0U);
        EXPECT_THAT(list_directory("/tmp/state").value_or({}), IsEmpty());
        const Endpoint a = connect(*network, "a");
        EXPECT_THAT(
            network->publish("a", {tcp(8080, 80)}).error().message(),
            HasSubstr("capability portMappings"));
        ASSERT_TRUE(network->disconnect("a").ok());
    });
}

TEST(CniNetwork, LeavesTheWayOutToAnotherNetwork) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const auto driver = start_driver(with_plugins(folder));
        const auto network = make(*driver, maker_list());
        const auto bridge = create_default(*driver);
        const Endpoint a = connect(*bridge, "a");
        EndpointRequest request{.id = "b", .container_name = "a", .ports = {}};
        request.netns = &a.netns;
        request.interface_name = "eth1";
        request.default_route = false;
        request.default_route_v6 = false;
        const Endpoint b = connect(*network, request);
        EXPECT_THAT(
            inside(a, {"ip", "route"}),
            AllOf(HasSubstr("default via 172.17.0.1"), Not(HasSubstr("10.5.0.1"))));
        ASSERT_TRUE(network->disconnect("b", Detach::Now).ok());
        EXPECT_THAT(inside(a, {"ip", "link"}), Not(HasSubstr("eth1")));
    });
}

TEST(CniNetwork, LeavesNothingOfPluginsThatFail) {
    in_cni_host([] {
        const CniPluginFolder folder;
        NetworkDriver::Options options = with_plugins(folder);
        options.cni.timeout = std::chrono::seconds(2);
        const auto driver = start_driver(options);
        folder.add_well_behaved("maker");
        const auto network = make(*driver, maker_list());
        const auto refused = [&](const std::string& script) {
            add_maker(folder, script);
            const auto made =
                network->connect({.id = "a", .container_name = "a", .ports = {tcp(8080, 80)}});
            EXPECT_THAT(list_directory("/tmp/state").value_or({}), IsEmpty()) << script;
            EXPECT_EQ(folder.calls().back(), "maker DEL") << script;
            return made.ok() ? std::string() : made.error().message();
        };
        EXPECT_THAT(refused("exit 5"), HasSubstr("ended with status 5"));
        EXPECT_THAT(refused("echo garbage; exit 0"), HasSubstr("its answer cannot be read"));
        EXPECT_THAT(refused("exec sleep 1000"), HasSubstr("did not answer in time"));
        EXPECT_THAT(refused("kill -9 $$"), HasSubstr("ended with status 137"));
        EXPECT_THAT(refused("exec yes"), HasSubstr("more than 1 MiB"));
        EXPECT_THAT(refused("inside link delete $CNI_IFNAME"), HasSubstr("made no interface eth0"));
        EXPECT_THAT(
            refused(R"(echo '{"ips":[{"address":"x"}]}'; exit 0)"),
            HasSubstr("an address that is none"));
        EXPECT_EQ(network->endpoint_count(), 0U);
        // The port, too, is free again.
        add_maker(folder);
        EXPECT_EQ(connect(*network, "a", {tcp(8080, 80)}).ports.size(), 1U);
    });
}

TEST(CniNetwork, TriesAgainWhatCouldNotBeDeleted) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const auto driver = start_driver(with_plugins(folder));
        const auto network = make(*driver, maker_list());
        const Endpoint a = connect(*network, "a", {tcp(8080, 80)});
        folder.add("maker", "[ -e $home/works ] && rm $home/works || { echo busy >&2; exit 1; }");
        EXPECT_THAT(network->disconnect("a").error().message(), HasSubstr("busy"));
        EXPECT_EQ(network->endpoint_count(), 0U);
        EXPECT_THAT(list_directory("/tmp/state").value(), ElementsAre("a.json"));
        ASSERT_TRUE(replace_file(folder.path() + "/works", "", 0644, Sync::No).ok());
        EXPECT_TRUE(comes_true([] { return list_directory("/tmp/state")->empty(); }));
        EXPECT_TRUE(driver->remove("cni-test").ok());
    });
}

TEST(CniNetwork, IsAskedBeforeItIsMade) {
    in_cni_host([] {
        const CniPluginFolder folder;
        const auto driver = start_driver(with_plugins(folder));
        const auto refused = [&](const std::string& configuration) {
            return driver->create(options_with(configuration)).error();
        };
        EXPECT_THAT(
            refused(list_of(R"({"type": "nobody"})")).message(),
            HasSubstr("CNI plugin \"nobody\" not found in "));
        EXPECT_EQ(refused("no-such-network").kind(), ErrorKind::NotFound);
        EXPECT_THAT(refused("{").message(), HasSubstr("CNI configuration: "));
        folder.add("starting", R"(echo '{"code":50,"msg":"no daemon yet"}'; exit 1)");
        const Error error = refused(list_of(R"({"type": "starting"})", "1.1.0"));
        EXPECT_EQ(error.message(), "CNI plugin starting (STATUS): no daemon yet");
        EXPECT_EQ(error.kind(), ErrorKind::Unavailable);
        EXPECT_FALSE(driver->find("cni-test"));
    });
}

TEST(CniNetwork, ClearsUpWhenItGoes) {
    in_cni_host([] {
        const CniPluginFolder folder;
        folder.add_well_behaved("one");
        const auto driver = start_driver(with_plugins(folder));
        ASSERT_TRUE(make(*driver, list_of(R"({"type": "one"})", "1.1.0")));
        ASSERT_TRUE(driver->remove("cni-test").ok());
        EXPECT_THAT(folder.calls(), ElementsAre("one STATUS", "one GC"));
        // A configuration of the host's folder may be that of others, too.
        folder.forget_calls();
        ASSERT_TRUE(
            replace_file("/tmp/x.conflist", list_of(R"({"type": "one"})", "1.1.0"), 0644, Sync::No)
                .ok());
        ASSERT_TRUE(make(*driver, "/tmp/x.conflist"));
        ASSERT_TRUE(driver->remove("cni-test").ok());
        EXPECT_THAT(folder.calls(), ElementsAre("one STATUS"));
    });
}

EndpointRecord record_of(const Endpoint& endpoint) {
    return {
        .id = endpoint.id,
        .container_name = endpoint.id,
        .ip = endpoint.ip,
        .mac = endpoint.mac,
        .host_interface = endpoint.host_interface,
        .ports = endpoint.ports};
}

TEST(CniNetwork, IsThereAgainAfterARestart) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const NetworkDriver::Options options = with_plugins(folder);
        Endpoint a;
        Endpoint unknown;
        {
            const auto driver = start_driver(options);
            const auto network = make(*driver, maker_list());
            a = connect(*network, "a", {tcp(8080, 80)});
            unknown = connect(*network, "unknown");
        }
        folder.forget_calls();
        NetworkDriver::Options again = options;
        again.networks = {
            {.options = {}, .endpoints = {record_of(a)}, .cni = options_with(maker_list())}};
        const auto driver = start_driver(again);
        driver->wait_until_removed();
        EXPECT_THAT(folder.calls(), ElementsAre("maker DEL"));
        EXPECT_THAT(folder.environment("maker", "DEL"), HasSubstr("CNI_CONTAINERID=unknown"));
        const auto network = driver->find("cni-test");
        ASSERT_TRUE(network);
        EXPECT_EQ(network->endpoint_count(), 1U);
        EXPECT_EQ(driver->remove("cni-test").error().kind(), ErrorKind::Forbidden);
        network->adopt("a", a.netns, "eth0");
        driver->wait_until_removed();
        EXPECT_EQ(folder.calls().back(), "maker CHECK");
        EXPECT_FALSE(
            network->connect({.id = "b", .container_name = "b", .ports = {tcp(8080, 80)}}).ok())
            << "its port is held";
        ASSERT_TRUE(network->disconnect("a", Detach::Now).ok());
        EXPECT_THAT(json::serialize(folder.input("maker", "DEL")), HasSubstr("prevResult"));
        EXPECT_THAT(inside(a, {"ip", "link"}), Not(HasSubstr("eth0")));
        EXPECT_THAT(list_directory("/tmp/state").value(), IsEmpty());
    });
}

TEST(CniNetwork, LetsContainersGoWithoutItsConfiguration) {
    in_cni_host([] {
        const CniPluginFolder folder;
        add_maker(folder);
        const NetworkDriver::Options options = with_plugins(folder);
        ASSERT_TRUE(replace_file("/tmp/x.conflist", maker_list(), 0644, Sync::No).ok());
        Endpoint a;
        {
            const auto driver = start_driver(options);
            a = connect(*make(*driver, "/tmp/x.conflist"), "a");
        }
        ASSERT_TRUE(replace_file("/tmp/x.conflist", "{", 0644, Sync::No).ok());
        NetworkDriver::Options again = options;
        again.networks = {
            {.options = {}, .endpoints = {record_of(a)}, .cni = options_with("/tmp/x.conflist")}};
        const auto driver = start_driver(again);
        const auto network = driver->find("cni-test");
        ASSERT_TRUE(network);
        EXPECT_THAT(
            network->connect({.id = "b", .container_name = "b", .ports = {}}).error().message(),
            HasSubstr("CNI configuration /tmp/x.conflist"));
        EXPECT_TRUE(network->disconnect("a").ok());
        EXPECT_EQ(folder.calls().back(), "maker DEL");
        EXPECT_TRUE(driver->remove("cni-test").ok());
    });
}

} // namespace
} // namespace berth::network
