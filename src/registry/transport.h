// SPDX-License-Identifier: Apache-2.0
// HTTP exchanges by libcurl whose answer is read like a file: the transfer runs while somebody
// reads. For this library, and for what else is downloaded (ADD's remote files).
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "codec/stream.h"
#include "http/headers.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

enum class VerifyTls : bool { No, Yes };

// What a registry's configuration adds to the system's trust.
struct TlsMaterial {
    std::string authorities;      // PEM, beside the system's
    std::string certificate_file; // of the client, PEM; "" for none
    std::string key_file;
};

struct Outgoing {
    std::string method = "GET";
    std::string url;
    http::Headers headers;
    std::string body;
    // Instead of body, with its length.
    ByteSource* content = nullptr;
    std::uint64_t content_length = 0;
    VerifyTls verify = VerifyTls::Yes;
    std::shared_ptr<const TlsMaterial> tls;
    bool follow_redirects = true; // of GET and HEAD
    // The other side is given up when it sends next to nothing for so long.
    std::chrono::seconds stalled{60};
};

class CurlHandle;

// One exchange, by one thread. Where redirects are followed the Authorization header stays with the
// host it was meant for; other headers go along.
class Exchange final : public ByteSource {
  public:
    ~Exchange() override;

    unsigned status() const;
    const http::Headers& headers() const;
    // What was asked at the end of all redirects.
    const std::string& url() const;

    // Fails with Unavailable when the connection breaks, Cancelled when stopped.
    Result<std::size_t> read(std::span<char> buffer) override;
    Result<std::string> read_body(std::size_t limit = 1U << 20);

  private:
    friend class Transport;
    explicit Exchange(std::unique_ptr<CurlHandle> handle);

    std::unique_ptr<CurlHandle> handle_;
    std::function<void(std::unique_ptr<CurlHandle>)> give_back_;
};

// Thread-safe. Keeps connections of finished exchanges for the next ones. Exchanges must not
// outlive it.
class Transport {
  public:
    explicit Transport(std::string user_agent);
    ~Transport();

    // Returns when the answer's head is there. Errors are Go's net/http words, which Docker's users
    // know: `Get "http://x/v2/": dial tcp 127.0.0.1:5000: connect: connection refused`.
    Result<std::unique_ptr<Exchange>> send(std::stop_token stop, const Outgoing& request);

  private:
    std::string user_agent_;
    Synchronized<std::vector<std::unique_ptr<CurlHandle>>> idle_;
};

} // namespace berth::registry
