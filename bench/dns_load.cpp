// SPDX-License-Identifier: Apache-2.0
// A load of DNS queries over UDP from one thread, so that what is measured is the server.
//   dns_load ADDRESS PORT SECONDS IN_FLIGHT NAME...
// Keeps IN_FLIGHT questions for A records open, over the names in turn; a lost one is asked anew
// after 100 ms. Prints JSON: answers, failures (codes other than NOERROR, or no record), lost ones,
// seconds, latency percentiles in ms.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t batch_size = 64;
constexpr std::size_t answer_size = 1500;
constexpr auto patience = std::chrono::milliseconds(100);

struct Open {
    Clock::time_point sent;
    bool waits = false;
};

std::vector<std::uint8_t> question(const std::string& name) {
    std::vector<std::uint8_t> bytes{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    for (std::size_t start = 0; start <= name.size();) {
        const std::size_t end = std::min(name.find('.', start), name.size());
        bytes.push_back(static_cast<std::uint8_t>(end - start));
        bytes.insert(
            bytes.end(),
            name.begin() + static_cast<std::ptrdiff_t>(start),
            name.begin() + static_cast<std::ptrdiff_t>(end));
        start = end + 1;
    }
    for (const std::uint8_t byte : {0, 0, 1, 0, 1}) {
        bytes.push_back(byte);
    }
    return bytes;
}

class Load {
  public:
    Load(int socket, std::size_t in_flight, std::vector<std::vector<std::uint8_t>> questions)
        : socket_(socket)
        , open_(in_flight)
        , questions_(std::move(questions)) {}

    void run(double seconds) {
        const Clock::time_point start = Clock::now();
        const auto length = std::chrono::duration<double>(seconds);
        while (Clock::now() - start < length) {
            send();
            receive();
        }
        print(std::chrono::duration<double>(Clock::now() - start).count());
    }

  private:
    void send() {
        const Clock::time_point now = Clock::now();
        std::array<mmsghdr, batch_size> messages{};
        std::array<iovec, batch_size> vectors{};
        std::array<std::vector<std::uint8_t>, batch_size> bytes;
        unsigned count = 0;
        for (std::size_t id = 0; id < open_.size() && count < batch_size; ++id) {
            if (open_[id].waits && now - open_[id].sent < patience) {
                continue;
            }
            lost_ += open_[id].waits ? 1 : 0;
            open_[id] = {now, true};
            bytes[count] = questions_[next_++ % questions_.size()];
            bytes[count][0] = static_cast<std::uint8_t>(id >> 8);
            bytes[count][1] = static_cast<std::uint8_t>(id & 0xff);
            vectors[count] = {bytes[count].data(), bytes[count].size()};
            messages[count].msg_hdr.msg_iov = &vectors[count];
            messages[count].msg_hdr.msg_iovlen = 1;
            ++count;
        }
        if (count > 0) {
            static_cast<void>(::sendmmsg(socket_, messages.data(), count, 0));
        }
    }

    void receive() {
        pollfd entry{.fd = socket_, .events = POLLIN, .revents = 0};
        ::poll(&entry, 1, 100);
        std::array<mmsghdr, batch_size> messages{};
        std::array<iovec, batch_size> vectors{};
        for (std::size_t i = 0; i < batch_size; ++i) {
            vectors[i] = {buffers_[i].data(), answer_size};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int count = ::recvmmsg(socket_, messages.data(), batch_size, MSG_DONTWAIT, nullptr);
        const Clock::time_point now = Clock::now();
        for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(count, 0)); ++i) {
            const auto& bytes = buffers_[i];
            const std::size_t id = std::size_t{bytes[0]} << 8 | bytes[1];
            if (messages[i].msg_len < 12 || id >= open_.size() || !open_[id].waits) {
                continue;
            }
            open_[id].waits = false;
            latencies_.push_back(
                std::chrono::duration<double, std::milli>(now - open_[id].sent).count());
            failures_ += (bytes[3] & 15) != 0 || (bytes[6] == 0 && bytes[7] == 0) ? 1 : 0;
        }
    }

    double percentile(double part) const {
        return latencies_.empty() ? 0
                                  : latencies_[static_cast<std::size_t>(
                                        static_cast<double>(latencies_.size() - 1) * part)];
    }

    void print(double seconds) {
        std::sort(latencies_.begin(), latencies_.end());
        std::printf(
            "{\"answers\": %zu, \"failures\": %zu, \"lost\": %zu, \"seconds\": %.3f, "
            "\"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f}\n",
            latencies_.size(),
            failures_,
            lost_,
            seconds,
            percentile(0.5),
            percentile(0.9),
            percentile(0.99));
    }

    int socket_;
    std::vector<Open> open_;
    std::vector<std::vector<std::uint8_t>> questions_;
    std::array<std::array<std::uint8_t, answer_size>, batch_size> buffers_{};
    std::vector<double> latencies_;
    std::size_t next_ = 0;
    std::size_t failures_ = 0;
    std::size_t lost_ = 0;
};

} // namespace

int main(int count, char** arguments) {
    if (count < 6) {
        std::fprintf(stderr, "usage: dns_load ADDRESS PORT SECONDS IN_FLIGHT NAME...\n");
        return 2;
    }
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(arguments[2])));
    ::inet_pton(AF_INET, arguments[1], &server.sin_addr);
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) {
        std::perror("connect");
        return 1;
    }
    std::vector<std::vector<std::uint8_t>> questions;
    for (int i = 5; i < count; ++i) {
        questions.push_back(question(arguments[i]));
    }
    const auto in_flight = static_cast<std::size_t>(std::clamp(std::atoi(arguments[4]), 1, 60000));
    static Load load(socket, in_flight, std::move(questions));
    load.run(std::atof(arguments[3]));
    return 0;
}
