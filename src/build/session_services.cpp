// SPDX-License-Identifier: Apache-2.0
// moby.buildkit.secrets.v1.Secrets, moby.sshforward.v1.SSH and moby.filesync.v1.Auth of a session.
#include "build/session_services.h"

#include "base/strings.h"
#include "build/proto/session.pb.h"
#include "build/session_agent.h"

namespace berth::build {

namespace {

constexpr const char* get_secret = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
constexpr const char* get_credentials = "/moby.filesync.v1.Auth/Credentials";
constexpr const char* check_agent = "/moby.sshforward.v1.SSH/CheckAgent";
// A credential helper may ask somebody.
constexpr std::chrono::seconds answer_limit{60};

} // namespace

Result<std::optional<std::string>>
SessionServices::secret(const std::stop_token& stop, const std::string& id) {
    if (!session_->supports(to_lower(get_secret))) {
        return std::optional<std::string>();
    }
    session::GetSecretRequest request;
    request.set_id(id);
    auto answer =
        call_once(session_->channel(), get_secret, request.SerializeAsString(), stop, answer_limit);
    if (!answer.ok()) {
        if (answer.error().kind() == ErrorKind::NotFound) {
            return std::optional<std::string>();
        }
        return std::move(answer).error();
    }
    session::GetSecretResponse response;
    if (!response.ParseFromString(*answer)) {
        return invalid_argument("the client's answer cannot be read");
    }
    return std::optional<std::string>(std::move(*response.mutable_data()));
}

Result<std::unique_ptr<AgentForward>> SessionServices::forward_agent(
    const std::stop_token& stop, const std::string& id, UniqueFd listener) {
    if (!session_->supports(to_lower(check_agent))) {
        return std::unique_ptr<AgentForward>();
    }
    session::CheckAgentRequest request;
    request.set_id(id);
    auto answer = call_once(
        session_->channel(), check_agent, request.SerializeAsString(), stop, answer_limit);
    if (!answer.ok()) {
        if (answer.error().kind() == ErrorKind::Cancelled) {
            return std::move(answer).error();
        }
        return std::unique_ptr<AgentForward>(); // none by that id
    }
    return start_agent_forward(session_, id, std::move(listener));
}

Result<SessionCredentials>
SessionServices::credentials(const std::stop_token& stop, const std::string& host) {
    if (!session_->supports(to_lower(get_credentials))) {
        return SessionCredentials();
    }
    session::CredentialsRequest request;
    request.set_host(host == "docker.io" ? "registry-1.docker.io" : host);
    const std::string answer = TRY_CONTEXT(
        call_once(
            session_->channel(), get_credentials, request.SerializeAsString(), stop, answer_limit),
        "credentials for " + host);
    session::CredentialsResponse response;
    if (!response.ParseFromString(answer)) {
        return invalid_argument("credentials for " + host + ": the answer cannot be read");
    }
    return SessionCredentials{.username = response.username(), .secret = response.secret()};
}

} // namespace berth::build
