// SPDX-License-Identifier: Apache-2.0
// What tests of the embedded DNS server share: questions as bytes, answers as text, written and
// read by ldns.
#pragma once

#include "base/unique_fd.h"
#include "kernel/netlink_address.h"
#include "network/dns_message.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace berth::network {

kernel::IpAddress ip(const std::string& text);

struct TestQuestion {
    std::string name;
    std::string type = "A";
    std::uint16_t id = 4711;
    std::uint16_t udp_size = 0; // not 0: with EDNS
};

DnsBytes question_bytes(const TestQuestion& question);
DnsQuery parsed_question(const TestQuestion& question);

// "NOERROR web. A 10.0.0.2; web. A 10.0.0.3", with " TC" behind the code where it is cut short.
// Records are sorted. Adds a failure when ldns cannot read it.
std::string answer_text(const DnsBytes& bytes);

// A namespace with lo up.
UniqueFd new_namespace();

// Asks 127.0.0.11:53 in the namespace; "silence" when nothing comes.
std::string ask_dns(
    const UniqueFd& netns,
    const TestQuestion& question,
    std::chrono::milliseconds patience = std::chrono::seconds(5));
std::string ask_dns_by_tcp(const UniqueFd& netns, const TestQuestion& question);

// A server of the outside world in a namespace (the test's own: an empty descriptor), on any port
// of the address, which may have a zone. It answers with what `answer` makes of a question; nothing
// is silence.
class TestDnsServer {
  public:
    struct Asked {
        std::string name;
        bool by_tcp = false;
        DnsBytes bytes;
        std::uint16_t client_port = 0;
        std::string client;
    };

    using Answer = std::function<std::vector<DnsBytes>(const Asked&)>;

    TestDnsServer(
        const UniqueFd& netns, const std::string& address, std::uint16_t port, Answer answer);
    ~TestDnsServer();
    TestDnsServer(const TestDnsServer&) = delete;
    TestDnsServer& operator=(const TestDnsServer&) = delete;

    std::uint16_t port() const { return port_; }

    int asked() const { return asked_; }

  private:
    void serve();
    void serve_datagram();
    void serve_connection();

    Answer answer_;
    std::uint16_t port_ = 0;
    UniqueFd udp_;
    UniqueFd tcp_;
    Pipe stop_;
    std::atomic<int> asked_ = 0;
    std::thread thread_;
};

// An answer to the question with these records ("www.example. 60 IN A 1.2.3.4").
DnsBytes answer_with(
    const DnsBytes& question,
    const std::vector<std::string>& records,
    int code = 0,
    bool cut = false);

} // namespace berth::network
