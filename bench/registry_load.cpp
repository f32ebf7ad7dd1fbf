// SPDX-License-Identifier: Apache-2.0
// A load of one kind on a registry: many connections in one thread, so that what is measured is the
// server. Bodies that come in are dropped in the kernel (MSG_TRUNC).
//   registry_load ADDRESS PORT CONNECTIONS SECONDS get TARGET...
//   registry_load ADDRESS PORT CONNECTIONS SECONDS push REPOSITORY BYTES SEED
// Prints JSON: operations, bytes, errors, seconds, processor seconds, latency percentiles in ms.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "registry_load: %s (errno %d)\n", what.c_str(), errno);
    std::exit(1);
}

constexpr int lazy_bytes = 256 << 10;

struct Load {
    sockaddr_in server{};
    std::string host;
    bool push = false;
    std::vector<std::string> targets;
    std::string repository;
    std::string body;             // of a push; its last 16 bytes are another number each time
    EVP_MD_CTX* prefix = nullptr; // the hash of all but those
    std::uint64_t counter = 0;
    std::string seed;

    std::uint64_t operations = 0;
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;
    std::vector<double> latencies;
};

// One operation after the other: a GET, or a POST and a PUT.
class Connection {
  public:
    Connection(Load& load, int epoll)
        : load_(load)
        , epoll_(epoll) {}

    void open();
    void on_event();

    void begin();

  private:
    void send_request(std::string head, bool with_body);
    void write_more();
    void read_more();
    void on_head(std::string_view head);
    void done(bool ok);
    void watch(bool writing);
    void wake_at(int bytes);

    Load& load_;
    int epoll_;
    int fd_ = -1;
    bool busy_ = false;
    bool putting_ = false;
    std::string out_;
    std::string tail_; // the number at the body's end
    std::size_t sent_ = 0;
    std::size_t total_ = 0;
    std::string in_;
    std::uint64_t left_ = 0; // of the response's body
    bool in_body_ = false;
    bool lazy_ = false;
    unsigned status_ = 0;
    std::string location_;
    Clock::time_point begun_;
};

void Connection::open() {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd_ < 0 ||
        connect(fd_, reinterpret_cast<sockaddr*>(&load_.server), sizeof(load_.server)) != 0) {
        die("connect");
    }
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = this;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
}

void Connection::watch(bool writing) {
    epoll_event event{};
    event.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = this;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_, &event);
}

// Large bodies are taken in large pieces: to be woken for each packet costs more than the packet.
void Connection::wake_at(int bytes) {
    lazy_ = bytes > 1;
    setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

void Connection::begin() {
    busy_ = true;
    putting_ = false;
    begun_ = Clock::now();
    std::string common = " HTTP/1.1\r\nHost: " + load_.host +
                         "\r\nAccept: */*, application/vnd.oci.image.manifest.v1+json\r\n";
    if (load_.push) {
        send_request(
            "POST /v2/" + load_.repository + "/blobs/uploads/" + common +
                "Content-Length: 0\r\n\r\n",
            false);
    } else {
        const std::string& target = load_.targets[load_.counter++ % load_.targets.size()];
        send_request("GET " + target + common + "\r\n", false);
    }
}

void Connection::send_request(std::string head, bool with_body) {
    out_ = std::move(head);
    sent_ = 0;
    total_ = out_.size() + (with_body ? load_.body.size() : 0);
    in_.clear();
    in_body_ = false;
    write_more();
}

void Connection::write_more() {
    while (sent_ < total_) {
        std::array<iovec, 3> parts{};
        std::size_t count = 0;
        std::size_t skip = sent_;
        auto add = [&](const char* data, std::size_t size) {
            if (skip >= size) {
                skip -= size;
            } else {
                parts[count++] = {const_cast<char*>(data) + skip, size - skip};
                skip = 0;
            }
        };
        add(out_.data(), out_.size());
        if (total_ > out_.size()) {
            add(load_.body.data(), load_.body.size() - tail_.size());
            add(tail_.data(), tail_.size());
        }
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = count;
        ssize_t wrote = sendmsg(fd_, &message, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN) {
            watch(true);
            return;
        }
        if (wrote < 0) {
            die("send");
        }
        sent_ += static_cast<std::size_t>(wrote);
    }
    watch(false);
}

void Connection::on_head(std::string_view head) {
    status_ = static_cast<unsigned>(std::atoi(head.substr(9, 3).data()));
    left_ = 0;
    std::size_t position = head.find("\r\n");
    while (position + 2 < head.size()) {
        std::size_t end = head.find("\r\n", position + 2);
        std::string_view line = head.substr(position + 2, end - position - 2);
        position = end;
        std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) {
            break;
        }
        std::string name(line.substr(0, colon));
        std::ranges::transform(
            name, name.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
        std::string value(line.substr(colon + 2));
        if (name == "content-length") {
            left_ = std::strtoull(value.c_str(), nullptr, 10);
        } else if (name == "location") {
            std::size_t scheme = value.find("://");
            location_ =
                scheme == std::string::npos ? value : value.substr(value.find('/', scheme + 3));
        } else if (name == "transfer-encoding") {
            die("a chunked answer is not expected");
        }
    }
}

void Connection::read_more() {
    static std::array<char, 64 << 10> buffer;
    while (busy_) {
        if (in_body_ && left_ > 0) {
            ssize_t got = recv(fd_, nullptr, std::min<std::uint64_t>(left_, 1U << 20), MSG_TRUNC);
            if (got < 0 && errno == EAGAIN) {
                return;
            }
            if (got <= 0) {
                die("the server closed a connection in a body");
            }
            left_ -= static_cast<std::uint64_t>(got);
            if (lazy_ && left_ <= 2 * lazy_bytes) {
                wake_at(1);
            }
            load_.bytes += static_cast<std::uint64_t>(got);
        } else if (!in_body_) {
            // Heads are peeked at, so that the body can be dropped unseen.
            ssize_t got = recv(fd_, buffer.data(), 2048, MSG_PEEK);
            if (got < 0 && errno == EAGAIN) {
                return;
            }
            if (got <= 0) {
                die("the server closed a connection");
            }
            std::string_view seen(buffer.data(), static_cast<std::size_t>(got));
            std::size_t end = seen.find("\r\n\r\n");
            if (end == std::string_view::npos) {
                return;
            }
            on_head(seen.substr(0, end + 2));
            recv(fd_, buffer.data(), end + 4, 0);
            in_body_ = true;
            if (left_ > 8 * lazy_bytes) {
                wake_at(lazy_bytes);
            }
        }
        if (in_body_ && left_ == 0) {
            if (load_.push && !putting_ && status_ == 202) {
                putting_ = true;
                char number[17];
                std::snprintf(
                    number,
                    sizeof(number),
                    "%016llx",
                    static_cast<unsigned long long>(load_.counter++));
                tail_ = number;
                EVP_MD_CTX* context = EVP_MD_CTX_new();
                EVP_MD_CTX_copy_ex(context, load_.prefix);
                EVP_DigestUpdate(context, tail_.data(), tail_.size());
                unsigned char hash[32];
                EVP_DigestFinal_ex(context, hash, nullptr);
                EVP_MD_CTX_free(context);
                std::string digest;
                for (unsigned char byte : hash) {
                    char text[3];
                    std::snprintf(text, sizeof(text), "%02x", byte);
                    digest += text;
                }
                std::string mark = location_.find('?') == std::string::npos ? "?" : "&";
                send_request(
                    "PUT " + location_ + mark + "digest=sha256:" + digest +
                        " HTTP/1.1\r\nHost: " + load_.host +
                        "\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
                        std::to_string(load_.body.size()) + "\r\n\r\n",
                    true);
                continue;
            }
            done(load_.push ? status_ == 201 : status_ == 200);
        }
    }
}

void Connection::done(bool ok) {
    busy_ = false;
    load_.operations += ok ? 1 : 0;
    load_.errors += ok ? 0 : 1;
    if (ok && load_.push) {
        load_.bytes += load_.body.size();
    }
    load_.latencies.push_back(
        std::chrono::duration<double, std::milli>(Clock::now() - begun_).count());
    begin();
}

void Connection::on_event() {
    if (sent_ < total_) {
        write_more();
    }
    read_more();
}

double percentile(const std::vector<double>& sorted, double part) {
    return sorted.empty()
               ? 0
               : sorted[std::min(
                     sorted.size() - 1,
                     static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

double processor_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 7) {
        die("wrong arguments");
    }
    Load load;
    load.host = std::string(argv[1]) + ":" + argv[2];
    load.server.sin_family = AF_INET;
    load.server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
    inet_pton(AF_INET, argv[1], &load.server.sin_addr);
    load.push = std::string_view(argv[5]) == "push";
    if (load.push) {
        load.repository = argv[6];
        load.body.resize(std::strtoull(argv[7], nullptr, 10));
        std::uint64_t state = std::strtoull(argv[8], nullptr, 10) * 2654435761U + 1;
        for (char& byte : load.body) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            byte = static_cast<char>(state >> 56U);
        }
        load.prefix = EVP_MD_CTX_new();
        EVP_DigestInit_ex(load.prefix, EVP_sha256(), nullptr);
        EVP_DigestUpdate(load.prefix, load.body.data(), load.body.size() - 16);
    } else {
        load.targets.assign(argv + 6, argv + argc);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::deque<Connection> connections;
    for (int i = 0; i < std::atoi(argv[3]); ++i) {
        connections.emplace_back(load, epoll).open();
    }
    double processor = processor_seconds();
    auto begun = Clock::now();
    auto end = begun + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(std::atof(argv[4])));
    for (Connection& connection : connections) {
        connection.begin();
    }
    std::array<epoll_event, 64> events{};
    while (Clock::now() < end) { // what is under way at the end counts by its bytes
        int count = epoll_wait(epoll, events.data(), events.size(), 100);
        for (int i = 0; i < count && Clock::now() < end; ++i) {
            static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr)->on_event();
        }
    }
    double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    std::ranges::sort(load.latencies);
    std::printf(
        "{\"operations\":%llu,\"bytes\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"client_processor\":"
        "%.3f,"
        "\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}\n",
        static_cast<unsigned long long>(load.operations),
        static_cast<unsigned long long>(load.bytes),
        static_cast<unsigned long long>(load.errors),
        seconds,
        processor_seconds() - processor,
        percentile(load.latencies, 0.5),
        percentile(load.latencies, 0.9),
        percentile(load.latencies, 0.99),
        load.latencies.empty() ? 0 : load.latencies.back());
    return 0;
}
