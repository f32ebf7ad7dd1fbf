// SPDX-License-Identifier: Apache-2.0
// Datagrams come and go in batches (recvmmsg, sendmmsg); one batch a turn for each container, so
// that one who floods takes no more than its share of the thread.
#include "network/dns_client.h"

#include "network/dns_tcp.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

#include <sys/epoll.h>

namespace berth::network {
namespace {

constexpr std::size_t batch_size = 32;
constexpr std::size_t longest_query = 2048; // by UDP; a longer one is cut, and so malformed
constexpr std::size_t most_connections = 32;

// One thread has one; too big for its stack.
struct Batch {
    std::array<std::array<std::uint8_t, longest_query>, batch_size> buffers;
    std::array<sockaddr_in, batch_size> addresses;
    std::array<iovec, batch_size> vectors;
    std::array<mmsghdr, batch_size> messages;
    std::array<DnsBytes, batch_size> answers;

    void prepare(std::size_t index, void* data, std::size_t size) {
        vectors[index] = {.iov_base = data, .iov_len = size};
        messages[index] = {};
        messages[index].msg_hdr.msg_name = &addresses[index];
        messages[index].msg_hdr.msg_namelen = sizeof addresses[index];
        messages[index].msg_hdr.msg_iov = &vectors[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
};

Batch& batch() {
    static thread_local const std::unique_ptr<Batch> instance = std::make_unique<Batch>();
    return *instance;
}

// Spreads load over the addresses of a name; nobody's secret.
void shuffle(std::vector<kernel::IpAddress>& addresses) {
    static thread_local std::minstd_rand random{std::random_device()()};
    if (addresses.size() > 1) {
        std::shuffle(addresses.begin(), addresses.end(), random);
    }
}

bool is_single_label(const std::string& name) {
    return !name.empty() && name.find('.') == std::string::npos;
}

std::optional<DnsReply>
resolve_address(const DnsNames& names, const DnsView& view, const DnsQuestion& question) {
    std::optional<std::vector<kernel::IpAddress>> found = names.find(view.networks, question.name);
    if (!found) {
        // As Docker: an empty answer lets the client go on with its search list.
        return view.has_ndots && is_single_label(question.name)
                   ? std::optional<DnsReply>(DnsReply{})
                   : std::nullopt;
    }
    // A name without an address of the kind asked for is still a name: there is nothing to ask
    // others about.
    const bool wants_v4 = question.is(DnsType::A);
    std::erase_if(*found, [&](const auto& address) { return address.is_v4() != wants_v4; });
    shuffle(*found);
    return DnsReply{.addresses = *std::move(found)};
}

} // namespace

std::optional<DnsReply>
resolve_dns(const DnsNames& names, const DnsView& view, const DnsQuestion& question) {
    if (question.dns_class != dns_class_internet) {
        return std::nullopt;
    }
    if (question.is(DnsType::A) || question.is(DnsType::Aaaa)) {
        return resolve_address(names, view, question);
    }
    if (question.is(DnsType::Ptr)) {
        const std::optional<kernel::IpAddress> address = parse_reverse_name(question.name);
        std::string name = address ? names.find_pointer(view.networks, *address) : std::string();
        return name.empty() ? std::nullopt
                            : std::optional<DnsReply>(DnsReply{.pointer = std::move(name)});
    }
    if (question.is(DnsType::Srv)) {
        std::vector<DnsService> services = names.find_services(view.networks, question.name);
        return services.empty()
                   ? std::nullopt
                   : std::optional<DnsReply>(DnsReply{.services = std::move(services)});
    }
    // An empty answer to MX makes mail go to the address itself. Of other types nothing is known
    // of a container, nor to anybody else; but an alias with dots may stand in front of a real
    // name's address only.
    const bool is_ours = question.is(DnsType::Mx) || is_single_label(question.name);
    return is_ours && names.find(view.networks, question.name) ? std::optional<DnsReply>(DnsReply{})
                                                               : std::nullopt;
}

// The listening TCP socket.
class DnsClient::Acceptor final : public SocketHandler {
  public:
    explicit Acceptor(std::weak_ptr<DnsClient> client)
        : client_(std::move(client)) {}

    void on_ready(std::uint32_t /*events*/) override {
        if (const std::shared_ptr<DnsClient> client = client_.lock()) {
            client->accept_connections();
        }
    }

  private:
    std::weak_ptr<DnsClient> client_;
};

std::shared_ptr<DnsClient> DnsClient::create(Parts parts) {
    return std::shared_ptr<DnsClient>(new DnsClient(std::move(parts)));
}

DnsClient::DnsClient(Parts parts)
    : loop_(parts.loop)
    , forwarder_(parts.forwarder)
    , names_(parts.names)
    , listeners_(std::move(parts.listeners))
    , view_(std::make_shared<const DnsView>(std::move(parts.view)))
    , source_(std::make_shared<DnsSource>()) {
    source_->netns = std::move(parts.netns);
}

DnsClient::~DnsClient() = default;

void DnsClient::set_view(DnsView view) {
    auto shared = std::make_shared<const DnsView>(std::move(view));
    view_.lock()->swap(shared);
}

Result<void> DnsClient::open() {
    TRY(loop_.add(listeners_.udp, EPOLLIN, shared_from_this()));
    return loop_.add(listeners_.tcp, EPOLLIN, std::make_shared<Acceptor>(weak_from_this()));
}

void DnsClient::close() {
    while (!connections_.empty()) {
        connections_.front()->close();
    }
    forwarder_.forget(*source_);
    loop_.remove(listeners_.udp);
    loop_.remove(listeners_.tcp);
    listeners_ = {};
    source_->netns.reset();
}

DnsBytes DnsClient::answer(
    std::span<const std::uint8_t> request,
    const std::shared_ptr<DnsReplySink>& sink,
    const sockaddr_in& from,
    bool is_datagram) {
    DnsRequest parsed = parse_dns_request(request);
    if (auto* refusal = std::get_if<DnsBytes>(&parsed)) {
        return std::move(*refusal);
    }
    auto* query = std::get_if<DnsQuery>(&parsed);
    if (query == nullptr) {
        return {};
    }
    const std::size_t limit = is_datagram ? query->datagram_limit() : dns_largest_message;
    const std::shared_ptr<const DnsView> view = *view_.lock();
    if (const std::optional<DnsReply> known = resolve_dns(names_, *view, query->question)) {
        return format_dns_reply(*query, *known, limit);
    }
    forwarder_.forward(
        source_,
        *view,
        {.sink = sink, .address = from, .query = std::move(*query), .limit = limit});
    return {};
}

void DnsClient::on_ready(std::uint32_t /*events*/) {
    Batch& all = batch();
    for (std::size_t i = 0; i < batch_size; ++i) {
        all.prepare(i, all.buffers[i].data(), longest_query);
    }
    const int received =
        ::recvmmsg(listeners_.udp.get(), all.messages.data(), batch_size, MSG_DONTWAIT, nullptr);
    const std::shared_ptr<DnsReplySink> sink = shared_from_this();
    std::size_t count = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(received, 0)); ++i) {
        const sockaddr_in from = all.addresses[i];
        all.answers[count] =
            answer({all.buffers[i].data(), all.messages[i].msg_len}, sink, from, true);
        if (!all.answers[count].empty()) {
            all.addresses[count] = from; // count <= i: what stands there has been used
            ++count;
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        all.prepare(i, all.answers[i].data(), all.answers[i].size());
    }
    // What a client has no room for it asks for again.
    if (count > 0) {
        static_cast<void>(::sendmmsg(
            listeners_.udp.get(),
            all.messages.data(),
            static_cast<unsigned>(count),
            MSG_DONTWAIT | MSG_NOSIGNAL));
    }
}

void DnsClient::send(const sockaddr_in& to, const DnsBytes& message) {
    static_cast<void>(::sendto(
        listeners_.udp.get(),
        message.data(),
        message.size(),
        MSG_DONTWAIT | MSG_NOSIGNAL,
        reinterpret_cast<const sockaddr*>(&to),
        sizeof to));
}

void DnsClient::accept_connections() {
    UniqueFd socket(
        ::accept4(listeners_.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
        return;
    }
    while (connections_.size() >= most_connections) {
        connections_.front()->close();
    }
    const auto connection = DnsTcpConnection::create(
        {.loop = loop_, .client = weak_from_this(), .socket = std::move(socket)});
    if (connection->open().ok()) {
        connections_.push_back(connection);
    }
}

void DnsClient::drop(const DnsTcpConnection& connection) {
    connections_.remove_if([&](const auto& other) { return other.get() == &connection; });
}

} // namespace berth::network
