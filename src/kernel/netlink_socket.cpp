// SPDX-License-Identifier: Apache-2.0
// Sending netlink batches and reading the answers.
#include "kernel/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <sys/socket.h>

namespace berth::kernel {
namespace {

// A batch larger than the socket's send buffer is refused with EMSGSIZE.
constexpr std::size_t default_send_buffer = 128U << 10;
constexpr int dump_attempts = 10;

// The sentence of an extended acknowledgement: attributes behind the (perhaps capped) copy of the
// request.
std::string extended_message(const nlmsghdr& header) {
    if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) {
        return {};
    }
    const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&header));
    std::size_t offset = sizeof(nlmsgerr);
    if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) {
        const std::size_t copied = error->msg.nlmsg_len;
        if (copied < sizeof(nlmsghdr) || copied > header.nlmsg_len) {
            return {};
        }
        offset += MNL_ALIGN(copied - sizeof(nlmsghdr));
    }
    for (const nlattr* attribute : attributes_of(header, offset)) {
        const std::size_t length = mnl_attr_get_payload_len(attribute);
        if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG && length > 0) {
            const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
            return std::string(text, ::strnlen(text, length));
        }
    }
    return {};
}

constexpr int greatest_errno = 4095; // MAX_ERRNO, err.h of the kernel

std::optional<NetlinkReply> parse_reply(const nlmsghdr& header) {
    if (header.nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(&header) < sizeof(nlmsgerr)) {
        return std::nullopt;
    }
    const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&header));
    const bool is_known = error->error <= 0 && error->error >= -greatest_errno;
    return NetlinkReply{
        .sequence = header.nlmsg_seq,
        .error_number = is_known ? -error->error : EPROTO,
        .message = extended_message(header),
    };
}

// Calls visit for each whole message in the buffer.
template <class Visit>
void for_each_message(std::span<const std::byte> buffer, const Visit& visit) {
    while (buffer.size() >= sizeof(nlmsghdr)) {
        // SAFETY: buffers are aligned for nlmsghdr, and each length is checked against what is left
        // (by us: mnl_nlmsg_ok takes lengths above INT_MAX for negative ones, hence for good).
        const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
        if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > buffer.size()) {
            return;
        }
        visit(*header);
        const std::size_t step = NLMSG_ALIGN(std::size_t{header->nlmsg_len});
        buffer = buffer.subspan(std::min(step, buffer.size()));
    }
}

} // namespace

std::vector<NetlinkReply> parse_netlink_replies(std::span<const std::byte> buffer) {
    std::vector<NetlinkReply> replies;
    for_each_message(buffer, [&](const nlmsghdr& header) {
        if (std::optional<NetlinkReply> reply = parse_reply(header)) {
            replies.push_back(std::move(*reply));
        }
    });
    return replies;
}

Error netlink_error(const NetlinkBatch& batch, const NetlinkReply& reply) {
    std::string what = "netlink request";
    if (reply.sequence >= 1 && reply.sequence <= batch.message_count()) {
        what = batch.description(reply.sequence - 1);
    }
    if (!reply.message.empty()) {
        what += " (" + reply.message + ")";
    }
    return Error::from_errno(what, reply.error_number);
}

void NetlinkSocket::Closer::operator()(mnl_socket* socket) const {
    mnl_socket_close(socket);
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
    std::unique_ptr<mnl_socket, Closer> socket(mnl_socket_open2(protocol, SOCK_CLOEXEC));
    if (!socket) {
        return errno_error("open a netlink socket");
    }
    if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
        return errno_error("bind a netlink socket");
    }
    // Sentences in errors, without the request's copy. Kernels without it (before 4.12) still work.
    int on = 1;
    mnl_socket_setsockopt(socket.get(), NETLINK_EXT_ACK, &on, sizeof on);
    mnl_socket_setsockopt(socket.get(), NETLINK_CAP_ACK, &on, sizeof on);
    return NetlinkSocket(std::move(socket));
}

std::uint32_t NetlinkSocket::port_id() const {
    return mnl_socket_get_portid(socket_.get());
}

Result<void> NetlinkSocket::send(std::span<const std::byte> bytes) {
    if (bytes.size() > default_send_buffer) {
        const int size = static_cast<int>(bytes.size()) + (64 << 10);
        ::setsockopt(
            mnl_socket_get_fd(socket_.get()), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    }
    if (mnl_socket_sendto(socket_.get(), bytes.data(), bytes.size()) < 0) {
        return errno_error("send a netlink request of " + std::to_string(bytes.size()) + " bytes");
    }
    return ok();
}

Result<std::vector<NetlinkReply>> NetlinkSocket::exchange(NetlinkBatch& batch) {
    TRY(send(batch.finish()));
    std::vector<NetlinkReply> replies;
    alignas(nlmsghdr) std::array<std::byte, receive_buffer_bytes> buffer{};
    while (true) {
        const ssize_t size =
            ::recv(mnl_socket_get_fd(socket_.get()), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            return replies;
        }
        if (size < 0) {
            return errno_error("receive a netlink answer");
        }
        const auto filled = std::span(buffer).first(static_cast<std::size_t>(size));
        std::vector<NetlinkReply> more = parse_netlink_replies(filled);
        std::move(more.begin(), more.end(), std::back_inserter(replies));
    }
}

Result<void> NetlinkSocket::execute(NetlinkBatch& batch) {
    if (batch.empty()) {
        return ok();
    }
    const std::vector<NetlinkReply> replies = TRY(exchange(batch));
    const auto failed = std::find_if(
        replies.begin(), replies.end(), [](const auto& reply) { return reply.error_number != 0; });
    if (failed != replies.end()) {
        return netlink_error(batch, *failed);
    }
    if (replies.empty()) {
        return internal_error(batch.description(0) + ": the kernel did not answer");
    }
    return ok();
}

Result<void>
NetlinkSocket::query(NetlinkBatch& request, const std::function<void(const nlmsghdr&)>& visit) {
    TRY(send(request.finish()));
    alignas(nlmsghdr) std::array<std::byte, receive_buffer_bytes> buffer{};
    ssize_t size = -1;
    do {
        size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return errno_error(request.description(0));
    }
    std::optional<NetlinkReply> failed;
    const auto filled = std::span(buffer).first(static_cast<std::size_t>(size));
    for_each_message(filled, [&](const nlmsghdr& header) {
        if (header.nlmsg_type == NLMSG_ERROR) {
            failed = parse_reply(header);
        } else {
            visit(header);
        }
    });
    if (failed) {
        return netlink_error(request, *failed);
    }
    return ok();
}

Result<void> NetlinkSocket::dump(
    NetlinkBatch& request,
    const std::function<void()>& restart,
    const std::function<void(const nlmsghdr&)>& visit) {
    alignas(nlmsghdr) std::array<std::byte, receive_buffer_bytes> buffer{};
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        restart();
        TRY(send(request.finish()));
        bool done = false;
        bool interrupted = false;
        std::optional<NetlinkReply> failed;
        while (!done && !failed) {
            const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
            if (size < 0 && errno == EINTR) {
                continue;
            }
            if (size < 0) {
                return errno_error(request.description(0));
            }
            const auto filled = std::span(buffer).first(static_cast<std::size_t>(size));
            for_each_message(filled, [&](const nlmsghdr& header) {
                interrupted = interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
                if (header.nlmsg_type == NLMSG_DONE) {
                    done = true;
                } else if (header.nlmsg_type == NLMSG_ERROR) {
                    failed = parse_reply(header);
                } else {
                    visit(header);
                }
            });
        }
        if (failed) {
            return netlink_error(request, *failed);
        }
        if (!interrupted) {
            return ok();
        }
    }
    return Error(ErrorKind::Unavailable, request.description(0) + ": changes all the time");
}

} // namespace berth::kernel
