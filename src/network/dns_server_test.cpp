// SPDX-License-Identifier: Apache-2.0
// The server in real network namespaces, with servers of the outside world beside it.
#include "base/file.h"
#include "base/random.h"
#include "kernel/netlink_namespace.h"
#include "kernel/netlink_test_support.h"
#include "network/dns_server.h"
#include "network/dns_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

namespace berth::network {
namespace {

using kernel::in_new_network;
using kernel::NetworkNamespaceScope;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<DnsBytes> answer_address(const TestDnsServer::Asked& asked) {
    return {answer_with(asked.bytes, {asked.name + ". 60 IN A 1.2.3.4"})};
}

std::vector<DnsBytes> stay_silent(const TestDnsServer::Asked& /*asked*/) {
    return {};
}

// An engine's server with a host's resolv.conf of its own.
struct Host {
    TemporaryDirectory directory = TemporaryDirectory::create("/tmp").value();
    std::string file = directory.path() + "/resolv.conf";
    DnsServer::Options options;

    explicit Host(std::uint16_t port, const std::string& resolvers = "nameserver 127.0.0.1\n") {
        options.etc_path = file;
        options.resolved_path = directory.path() + "/none";
        options.exchange = {
            .port = port,
            .first_patience = milliseconds(300),
            .second_patience = milliseconds(600)};
        write(resolvers);
    }

    void write(const std::string& resolvers) const {
        ASSERT_TRUE(replace_file(file, resolvers, 0644, Sync::No).ok());
    }

    std::unique_ptr<DnsServer> start() const { return DnsServer::start(options).value(); }
};

DnsView view_of(const std::string& network = "n1") {
    return {.networks = {{.id = network, .name = "back"}}};
}

void attach(DnsServer& server, const UniqueFd& netns, DnsView view, const std::string& id = "c1") {
    const Result<void> attached = server.attach(id, netns, std::move(view));
    ASSERT_TRUE(attached.ok()) << attached.error().message();
}

UniqueFd bind_everywhere(const UniqueFd& netns, int type) {
    const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
    UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const SocketAddress any = SocketAddress::of(kernel::IpAddress(), 53);
    EXPECT_EQ(::bind(socket.get(), any.get(), any.size), 0) << errno;
    return socket;
}

TEST(DnsServer, AnswersNamesOfTheContainersNetworks) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        server->names().add(
            "n1",
            {.id = "e1",
             .name = "web",
             .addresses = {ip("10.0.0.2")},
             .ports = {{"http", "tcp", 80}}});
        server->names().add("n1", {.id = "e2", .name = "six", .addresses = {ip("fd00::6")}});
        server->names().add("n2", {.id = "e3", .name = "other", .addresses = {ip("10.1.0.2")}});
        attach(*server, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "WEB"}), "NOERROR WEB. A 10.0.0.2");
        EXPECT_EQ(ask_dns(netns, {.name = "web.back"}), "NOERROR web.back. A 10.0.0.2");
        EXPECT_EQ(ask_dns(netns, {.name = "web", .type = "AAAA"}), "NOERROR");
        EXPECT_EQ(ask_dns(netns, {.name = "six", .type = "AAAA"}), "NOERROR six. AAAA fd00::6");
        EXPECT_EQ(ask_dns(netns, {.name = "web", .type = "MX"}), "NOERROR");
        EXPECT_EQ(ask_dns(netns, {.name = "web", .type = "TXT"}), "NOERROR");
        EXPECT_EQ(
            ask_dns(netns, {.name = "2.0.0.10.in-addr.arpa", .type = "PTR"}),
            "NOERROR 2.0.0.10.in-addr.arpa. PTR web.back.");
        EXPECT_EQ(
            ask_dns(netns, {.name = "_http._tcp.web", .type = "SRV"}),
            "NOERROR _http._tcp.web. SRV 0 0 80 web.; web. A 10.0.0.2");
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
        EXPECT_EQ(ask_dns(netns, {.name = "other"}), "SERVFAIL") << "not in its networks";
    });
}

TEST(DnsServer, LeavesPort53ToTheContainersOwnServer) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip("10.0.0.2")}});
        attach(*server, netns, view_of());
        const UniqueFd udp = bind_everywhere(netns, SOCK_DGRAM);
        const UniqueFd tcp = bind_everywhere(netns, SOCK_STREAM);
        EXPECT_EQ(ask_dns(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
    });
}

TEST(DnsServer, SpreadsLoadOverTheAddressesOfAName) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        for (int i = 1; i <= 3; ++i) {
            const std::string number = std::to_string(i);
            server->names().add(
                "n1",
                {.id = "e" + number,
                 .name = "web" + number,
                 .aliases = {"app"},
                 .addresses = {ip("10.0.0." + number)}});
        }
        attach(*server, netns, view_of());
        const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
        std::set<std::string> first;
        for (int i = 0; i < 40; ++i) {
            const std::string all =
                kernel::output_of({"dig", "+short", "+tries=1", "@127.0.0.11", "app"});
            EXPECT_THAT(
                all, AllOf(HasSubstr("10.0.0.1"), HasSubstr("10.0.0.2"), HasSubstr("10.0.0.3")));
            first.insert(all.substr(0, all.find('\n')));
            if (first.size() == 3) {
                break;
            }
        }
        EXPECT_EQ(first.size(), 3U);
    });
}

TEST(DnsServer, SeesChangesAtOnce) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        for (int i = 1; i <= 100; ++i) {
            const std::string address = "10.0.0." + std::to_string(i);
            server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip(address)}});
            ASSERT_EQ(ask_dns(netns, {.name = "web"}), "NOERROR web. A " + address);
            ASSERT_TRUE(server->update("c1", view_of("n2")));
            ASSERT_EQ(ask_dns(netns, {.name = "web"}), "SERVFAIL");
            ASSERT_TRUE(server->update("c1", view_of("n1")));
            server->names().remove("n1", "e1");
            ASSERT_EQ(ask_dns(netns, {.name = "web"}), "SERVFAIL");
        }
        EXPECT_FALSE(server->update("nobody", {}));
    });
}

TEST(DnsServer, AsksTheHostsResolversAndKeepsTheAnswer) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, answer_address);
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        const UniqueFd other = new_namespace();
        attach(*server, netns, view_of(), "c1");
        attach(*server, other, view_of(), "c2");
        EXPECT_EQ(ask_dns(netns, {.name = "www.Example"}), "NOERROR www.Example. A 1.2.3.4");
        EXPECT_EQ(
            ask_dns(other, {.name = "WWW.example", .id = 5}), "NOERROR WWW.example. A 1.2.3.4");
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "www.example"}), "NOERROR www.example. A 1.2.3.4");
        EXPECT_EQ(outside.asked(), 1);
    });
}

TEST(DnsServer, AsksTheContainersOwnServersFromItsNetwork) {
    in_new_network([] {
        const TestDnsServer hosts({}, "127.0.0.1", 0, answer_address);
        const UniqueFd netns = new_namespace();
        const TestDnsServer own(netns, "127.0.0.1", hosts.port(), [](const auto& asked) {
            return std::vector<DnsBytes>{
                answer_with(asked.bytes, {asked.name + ". 60 IN A 9.9.9.9"})};
        });
        const Host server_host(hosts.port());
        const auto server = server_host.start();
        DnsView view = view_of();
        view.servers = {ip("127.0.0.11"), ip("127.0.0.1")}; // itself is left out
        attach(*server, netns, view);
        EXPECT_EQ(ask_dns(netns, {.name = "www.example"}), "NOERROR www.example. A 9.9.9.9");
        EXPECT_EQ(ask_dns(netns, {.name = "www.example"}), "NOERROR www.example. A 9.9.9.9");
        EXPECT_EQ(own.asked(), 1);
        view.has_way_out = false; // its own network is as far as its own servers can be
        ASSERT_TRUE(server->update("c1", view));
        EXPECT_EQ(ask_dns(netns, {.name = "two.example"}), "NOERROR two.example. A 9.9.9.9");
        EXPECT_EQ(hosts.asked(), 0);
    });
}

TEST(DnsServer, LeaksNothingFromInternalNetworks) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, answer_address);
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip("10.0.0.2")}});
        DnsView view = view_of();
        view.has_way_out = false;
        attach(*server, netns, view);
        EXPECT_EQ(ask_dns(netns, {.name = "secret.example"}), "SERVFAIL");
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "secret.example"}), "SERVFAIL");
        EXPECT_EQ(ask_dns(netns, {.name = "9.9.9.9.in-addr.arpa", .type = "PTR"}), "SERVFAIL");
        EXPECT_EQ(ask_dns(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
        EXPECT_EQ(outside.asked(), 0);
    });
}

TEST(DnsServer, KeepsNamesWithoutDotsInsideWhereNdotsIsSet) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, answer_address);
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        DnsView view = view_of();
        view.has_ndots = true;
        attach(*server, netns, view);
        EXPECT_EQ(ask_dns(netns, {.name = "printer"}), "NOERROR");
        EXPECT_EQ(outside.asked(), 0);
        EXPECT_EQ(ask_dns(netns, {.name = "a.example"}), "NOERROR a.example. A 1.2.3.4");
    });
}

TEST(DnsServer, AsksByTcpWhatUdpCutsShort) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, [](const TestDnsServer::Asked& asked) {
            std::vector<std::string> records;
            for (int i = 1; i <= (asked.by_tcp ? 60 : 3); ++i) {
                records.push_back(asked.name + ". 60 IN A 10.0.0." + std::to_string(i));
            }
            return std::vector<DnsBytes>{answer_with(asked.bytes, records, 0, !asked.by_tcp)};
        });
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        EXPECT_THAT(
            ask_dns(netns, {.name = "big.example"}),
            StartsWith("NOERROR TC big.example. A 10.0.0.1;"));
        EXPECT_EQ(outside.asked(), 2);
        const std::string whole = ask_dns_by_tcp(netns, {.name = "big.example"});
        EXPECT_THAT(whole, testing::AllOf(StartsWith("NOERROR big"), HasSubstr("10.0.0.60")));
        EXPECT_EQ(outside.asked(), 2) << "known by now";
        EXPECT_THAT(
            ask_dns(netns, {.name = "big.example", .udp_size = 4096}),
            testing::AllOf(StartsWith("NOERROR big"), HasSubstr("10.0.0.60")));
    });
}

TEST(DnsServer, BelievesNoForgedAnswer) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, [](const TestDnsServer::Asked& asked) {
            DnsBytes wrong_id = answer_with(asked.bytes, {asked.name + ". 60 IN A 6.6.6.6"});
            wrong_id[0] ^= 1;
            const DnsBytes other = answer_with(
                format_dns_query(
                    parsed_question({.name = "other.example"}),
                    static_cast<std::uint16_t>(asked.bytes[0] << 8 | asked.bytes[1])),
                {asked.name + ". 60 IN A 6.6.6.6"});
            return std::vector<DnsBytes>{wrong_id, other, DnsBytes(7), answer_address(asked)[0]};
        });
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "www.example"}), "NOERROR www.example. A 1.2.3.4");
    });
}

TEST(DnsServer, AsksFromAnotherPortWithAnotherIdEachTime) {
    in_new_network([] {
        std::set<std::uint16_t> ports;
        std::set<int> ids;
        const TestDnsServer outside({}, "127.0.0.1", 0, [&](const TestDnsServer::Asked& asked) {
            ports.insert(asked.client_port);
            ids.insert(asked.bytes[0] << 8 | asked.bytes[1]);
            return answer_address(asked);
        });
        const Host server_host(outside.port());
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        for (int i = 0; i < 32; ++i) {
            ask_dns(netns, {.name = std::to_string(i) + ".example"});
        }
        EXPECT_GT(ports.size(), 28U);
        EXPECT_GT(ids.size(), 30U);
    });
}

TEST(DnsServer, GoesToTheNextServer) {
    in_new_network([] {
        const TestDnsServer silent({}, "127.0.0.1", 0, stay_silent);
        const TestDnsServer failing({}, "127.0.0.2", silent.port(), [](const auto& asked) {
            return std::vector<DnsBytes>{answer_with(asked.bytes, {}, 2)};
        });
        const TestDnsServer good({}, "127.0.0.3", silent.port(), answer_address);
        const Host server_host(
            silent.port(), "nameserver 127.0.0.9\nnameserver 127.0.0.1\nnameserver 127.0.0.2\n");
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "a.example"}), "SERVFAIL") << "all fail";
        EXPECT_EQ(silent.asked(), 2) << "two rounds";
        EXPECT_EQ(failing.asked(), 2);
        const Host second_host(
            silent.port(), "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
        const auto second = second_host.start();
        attach(*second, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "b.example"}), "NOERROR b.example. A 1.2.3.4");
        EXPECT_EQ(silent.asked(), 3);
        EXPECT_EQ(ask_dns(netns, {.name = "c.example"}), "NOERROR c.example. A 1.2.3.4");
        EXPECT_EQ(silent.asked(), 3) << "who was silent is not waited for again";
    });
}

// Two links of the host with a server each, of one address: only the zone tells which is meant.
TEST(DnsServer, AsksServersByTheInterfaceThatTheHostNames) {
    in_new_network([] {
        for (const std::string name : {"lan0", "lan1"}) {
            kernel::output_of(
                {"ip", "link", "add", name, "type", "veth", "peer", "name", name + "-far"});
            kernel::output_of({"ip", "link", "set", name + "-far", "up"});
            kernel::output_of({"ip", "link", "set", name, "up"});
            kernel::output_of({"ip", "address", "add", "fe80::53/64", "dev", name, "nodad"});
        }
        const TestDnsServer first({}, "fe80::53%lan0", 0, answer_address);
        const TestDnsServer second({}, "fe80::53%lan1", first.port(), [](const auto& asked) {
            return std::vector<DnsBytes>{
                answer_with(asked.bytes, {asked.name + ". 60 IN A 5.6.7.8"})};
        });
        const UniqueFd netns = new_namespace();
        const auto answer_by = [&](const std::string& resolvers) {
            const Host host(first.port(), resolvers);
            const auto server = host.start();
            attach(*server, netns, view_of());
            std::string answer = ask_dns(netns, {.name = "a.example"});
            server->detach("c1");
            return answer;
        };
        EXPECT_EQ(answer_by("nameserver fe80::53%lan0\n"), "NOERROR a.example. A 1.2.3.4");
        EXPECT_EQ(answer_by("nameserver fe80::53%lan1\n"), "NOERROR a.example. A 5.6.7.8");
        const std::string number = std::to_string(::if_nametoindex("lan1"));
        EXPECT_EQ(
            answer_by("nameserver fe80::53%" + number + "\n"), "NOERROR a.example. A 5.6.7.8");
        EXPECT_EQ(
            answer_by("nameserver fe80::53%gone0\nnameserver fe80::53%lan0\n"),
            "NOERROR a.example. A 1.2.3.4");
        EXPECT_EQ(answer_by("nameserver fe80::53%gone0\n"), "SERVFAIL");
    });
}

TEST(DnsServer, ReadsTheHostsFileAgain) {
    in_new_network([] {
        const TestDnsServer first({}, "127.0.0.1", 0, answer_address);
        const TestDnsServer second({}, "127.0.0.2", first.port(), [](const auto& asked) {
            return std::vector<DnsBytes>{
                answer_with(asked.bytes, {asked.name + ". 60 IN A 5.6.7.8"})};
        });
        const Host host(first.port());
        const auto server = host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "a.example"}), "NOERROR a.example. A 1.2.3.4");
        host.write("nameserver 127.0.0.2\n");
        std::string answer;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        do {
            answer = ask_dns(netns, {.name = "a.example"});
        } while (answer != "NOERROR a.example. A 5.6.7.8" &&
                 std::chrono::steady_clock::now() < deadline);
        EXPECT_EQ(answer, "NOERROR a.example. A 5.6.7.8") << "what the old one said is forgotten";
    });
}

// Questions with names of their own that nobody answers; how many refusals come back. Those after
// the first `patient` ones are refused at once.
int flood(const UniqueFd& netns, const std::string& zone, int count, int patient) {
    const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const SocketAddress server =
        SocketAddress::of(kernel::IpAddress::from_v4(dns_server_address), dns_server_port);
    EXPECT_EQ(::connect(socket.get(), server.get(), server.size), 0);
    int refused = 0;
    for (int i = 0; i < count; ++i) {
        const DnsBytes bytes = question_bytes({.name = std::to_string(i) + zone});
        ::send(socket.get(), bytes.data(), bytes.size(), 0);
        pollfd entry{.fd = socket.get(), .events = POLLIN, .revents = 0};
        std::array<std::uint8_t, 512> buffer{};
        if (i >= patient && ::poll(&entry, 1, 5000) > 0 &&
            ::recv(socket.get(), buffer.data(), buffer.size(), 0) > 3) {
            refused += (buffer[3] & 15) == 5 ? 1 : 0;
        }
    }
    return refused;
}

TEST(DnsServer, LetsNoFloodHarmOthers) {
    in_new_network([] {
        const TestDnsServer outside({}, "127.0.0.1", 0, [](const TestDnsServer::Asked& asked) {
            return asked.name.ends_with(".flood") ? stay_silent(asked) : answer_address(asked);
        });
        Host host(outside.port());
        host.options.exchange.first_patience = std::chrono::seconds(20);
        host.options.most_waiting = 50;
        host.options.most_exchanges = 60;
        const auto server = host.start();
        const UniqueFd flooder = new_namespace();
        const UniqueFd helper = new_namespace();
        const UniqueFd victim = new_namespace();
        attach(*server, flooder, view_of(), "c1");
        attach(*server, helper, view_of(), "c2");
        attach(*server, victim, view_of(), "c3");
        EXPECT_EQ(flood(flooder, ".one.flood", 300, 50), 250);
        // The places for all are taken now, and shared.
        EXPECT_EQ(flood(helper, ".two.flood", 300, 30), 270);
        for (int i = 0; i < 100; ++i) {
            const std::string name = std::to_string(i) + ".example";
            ASSERT_EQ(ask_dns(victim, {.name = name}), "NOERROR " + name + ". A 1.2.3.4");
        }
    });
}

TEST(DnsServer, ServesAgainAfterARestart) {
    in_new_network([] {
        const UniqueFd netns = new_namespace();
        for (int i = 1; i <= 3; ++i) {
            const Host server_host(1);
            const auto server = server_host.start();
            server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip("10.0.0.2")}});
            attach(*server, netns, view_of());
            EXPECT_EQ(ask_dns(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
            attach(*server, netns, view_of());
            EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
        }
        EXPECT_EQ(ask_dns(netns, {.name = "web"}, milliseconds(100)), "silence");
        const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
        const std::string rules = kernel::output_of({"nft", "list", "ruleset"});
        EXPECT_EQ(rules.find("udp dport set"), rules.rfind("udp dport set")) << rules;
    });
}

TEST(DnsServer, StopsWhenDetached) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        attach(*server, netns, view_of());
        EXPECT_EQ(ask_dns(netns, {.name = "web"}), "SERVFAIL");
        server->detach("c1");
        server->detach("c1");
        EXPECT_FALSE(server->update("c1", {}));
        std::string sockets;
        const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        do {
            sockets = kernel::output_of({"ss", "-H", "-lntu"});
        } while (!sockets.empty() && std::chrono::steady_clock::now() < deadline);
        EXPECT_EQ(sockets, "") << "sockets keep the namespace alive";
    });
}

TEST(DnsServer, SurvivesGarbage) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip("10.0.0.2")}});
        attach(*server, netns, view_of());
        const DnsBytes good = question_bytes({.name = "web", .udp_size = 1232});
        {
            const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
            const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            const SocketAddress to =
                SocketAddress::of(kernel::IpAddress::from_v4(dns_server_address), dns_server_port);
            for (int i = 0; i < 3000; ++i) {
                DnsBytes bytes = good;
                bytes[random_u64() % bytes.size()] = static_cast<std::uint8_t>(random_u64());
                bytes.resize(random_u64() % (bytes.size() + 1));
                ::sendto(socket.get(), bytes.data(), bytes.size(), 0, to.get(), to.size);
            }
        }
        // By TCP: the queue of datagrams may be full of garbage for a while.
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
    });
}

TEST(DnsServer, BoundsTheConnectionsOfAContainer) {
    in_new_network([] {
        const Host server_host(1);
        const auto server = server_host.start();
        const UniqueFd netns = new_namespace();
        server->names().add("n1", {.id = "e1", .name = "web", .addresses = {ip("10.0.0.2")}});
        attach(*server, netns, view_of());
        std::vector<UniqueFd> idle;
        const SocketAddress to =
            SocketAddress::of(kernel::IpAddress::from_v4(dns_server_address), dns_server_port);
        {
            const NetworkNamespaceScope scope = NetworkNamespaceScope::enter(netns).value();
            for (int i = 0; i < 60; ++i) {
                idle.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                ASSERT_EQ(::connect(idle.back().get(), to.get(), to.size), 0);
            }
        }
        EXPECT_EQ(ask_dns_by_tcp(netns, {.name = "web"}), "NOERROR web. A 10.0.0.2");
        char byte = 0;
        EXPECT_EQ(::recv(idle.front().get(), &byte, 1, 0), 0) << "the oldest is hung up on";
        EXPECT_LT(::recv(idle.back().get(), &byte, 1, MSG_DONTWAIT), 0) << "the newest is not";
    });
}

} // namespace
} // namespace berth::network
