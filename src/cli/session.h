// SPDX-License-Identifier: Apache-2.0
// A command's way to the engine: where it listens, requests with JSON answers, streams and hijacked
// connections. Used by one thread.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/json.h"
#include "codec/stream.h"

#include <memory>
#include <string>
#include <string_view>

namespace berth::http {
class Client;
}

namespace berth::cli {

// As docker's flags of these names, each with what its environment says where nothing is given.
struct SessionTls {
    bool enabled = false;         // --tls, $DOCKER_TLS
    bool verify = false;          // --tlsverify, $DOCKER_TLS_VERIFY; means enabled
    std::string ca_file;          // empty: ca.pem in $DOCKER_CERT_PATH or the folder of config.json
    std::string certificate_file; // cert.pem
    std::string key_file;         // key.pem
};

struct SessionOptions {
    std::string host;       // "unix:///…", "tcp://…"; empty: $DOCKER_HOST or the default socket
    SessionTls tls;         // of tcp://
    std::string config;     // the folder of config.json; empty: $DOCKER_CONFIG or ~/.docker
    std::string executable; // our own path: the other programs lie beside it
};

struct RequestOptions {
    std::string_view method = "GET";
    std::string target; // without the version: "/containers/json?all=1"
    std::string content_type;
    std::string registry_auth;   // X-Registry-Auth when not empty
    std::string registry_config; // X-Registry-Config when not empty
    ByteSource* body = nullptr;
    // What the answer has in this header.
    std::string_view wanted_header{};
    std::string* header_value = nullptr;
};

class Session {
  public:
    explicit Session(SessionOptions options);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    // The daemon's {"message": …} becomes the Error; its kind follows the status.
    Result<json::Value> get(const std::string& target);
    Result<json::Value> post(const std::string& target, const json::Value& body = nullptr);
    Result<json::Value> remove(const std::string& target);

    // Sends a request and hands over the answer's body as it comes. Several streams may be open at
    // once.
    Result<std::unique_ptr<ByteSource>> stream(const RequestOptions& request);

    // Attach and exec: the raw connection after the daemon's 101; `leftover` was read with the
    // head.
    struct Hijacked {
        UniqueFd fd;
        std::string leftover;
        bool multiplexed = true; // false: a terminal's raw bytes
    };

    Result<Hijacked> hijack(const std::string& target, const json::Value& body = nullptr);

    // The base64 auth header for the registry that `reference` names, from config.json; "" when
    // there is none. A helper program that fails is told and left out, as docker leaves it out.
    Result<std::string> registry_auth(std::string_view reference) const;
    // X-Registry-Config: all credentials that there are, for a build.
    Result<std::string> registry_config() const;

    const SessionOptions& options() const { return options_; }

  private:
    Result<http::Client*> client();
    Result<json::Value> exchange(const RequestOptions& request);

    SessionOptions options_;
    std::unique_ptr<http::Client> client_;
};

} // namespace berth::cli
