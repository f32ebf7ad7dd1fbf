// SPDX-License-Identifier: Apache-2.0
// What a client's session is asked for, and what its answers come to.
#include "build/proto/session.pb.h"
#include "build/session_services.h"
#include "build/session_test_support.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace berth::build {

namespace {

constexpr const char* secret_method = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
constexpr const char* credentials_method = "/moby.filesync.v1.Auth/Credentials";
constexpr const char* agent_method = "/moby.sshforward.v1.SSH/CheckAgent";

// As docker's client answers: with what its configuration has.
class SessionServicesTest : public SessionTest {
  protected:
    void open(std::vector<std::string> methods) {
        open_session(std::move(methods), [this](RpcCall& call) { return answer(call); });
        services_.emplace(session_);
    }

    void TearDown() override {
        services_.reset();
        session_.reset();
        client_.reset();
    }

    Result<void> answer(RpcCall& call) {
        std::string request;
        if (hangs_) {
            Event stopped;
            const std::stop_callback on_stop(call.stop(), [&stopped] { stopped.happen(); });
            asked_.happen();
            EXPECT_TRUE(stopped.wait());
            return ok();
        }
        EXPECT_TRUE(call.read(request));
        if (failure_) {
            return Error(*failure_);
        }
        if (raw_) {
            call.write(*raw_);
            return ok();
        }
        if (call.method() == credentials_method) {
            session::CredentialsRequest asked;
            EXPECT_TRUE(asked.ParseFromString(request));
            session::CredentialsResponse response;
            if (const auto known = passwords_.find(asked.host()); known != passwords_.end()) {
                response.set_username(known->second.username);
                response.set_secret(known->second.secret);
            }
            call.write(response.SerializeAsString());
            return ok();
        }
        session::GetSecretRequest asked;
        EXPECT_TRUE(asked.ParseFromString(request));
        if (!secrets_.contains(asked.id())) {
            return not_found("secret " + asked.id() + " not found");
        }
        session::GetSecretResponse response;
        response.set_data(secrets_[asked.id()]);
        call.write(response.SerializeAsString());
        return ok();
    }

    std::string credentials(const std::string& host) {
        const auto found = services_->credentials({}, host);
        return found.ok() ? found->username + ":" + found->secret : found.error().message();
    }

    std::string secret(const std::string& id) {
        auto found = services_->secret({}, id);
        return found.ok() ? found->value_or("none") : found.error().message();
    }

    std::map<std::string, SessionCredentials> passwords_;
    std::map<std::string, std::string> secrets_;
    std::optional<Error> failure_;
    std::optional<std::string> raw_; // an answer of these bytes
    bool hangs_ = false;
    Event asked_;
    std::optional<SessionServices> services_;
};

} // namespace

TEST_F(SessionServicesTest, HaveCredentialsByRegistry) {
    open({credentials_method});
    passwords_ = {
        {"registry.example:5000", {.username = "ann", .secret = "pass:word"}},
        {"registry-1.docker.io", {.username = "bob", .secret = "hub"}},
        {"tokens.example", {.username = "", .secret = "identity"}}};
    EXPECT_EQ(credentials("registry.example:5000"), "ann:pass:word");
    EXPECT_EQ(credentials("registry.example"), ":");
    // BuildKit's name of it, which its clients know by another one again.
    EXPECT_EQ(credentials("docker.io"), "bob:hub");
    EXPECT_EQ(credentials("tokens.example"), ":identity");
}

TEST_F(SessionServicesTest, SayWhyThereAreNoCredentials) {
    open({credentials_method});
    failure_ = Error(ErrorKind::Internal, "the safe is locked");
    EXPECT_EQ(
        credentials("registry.example"), "credentials for registry.example: the safe is locked");
    failure_.reset();
    raw_ = "\xff\xff no message";
    EXPECT_EQ(
        credentials("registry.example"),
        "credentials for registry.example: the answer cannot be read");
}

TEST_F(SessionServicesTest, AskOnlyForWhatTheClientExposes) {
    open({"/moby.filesync.v1.FileSync/DiffCopy"});
    failure_ = Error(ErrorKind::Internal, "nobody must ask");
    EXPECT_EQ(credentials("registry.example"), ":");
    const auto secret = services_->secret({}, "one");
    ASSERT_TRUE(secret.ok());
    EXPECT_FALSE(*secret);
    auto [listener, unused] = kernel::socket_pair(SOCK_STREAM).value();
    const auto agent = services_->forward_agent({}, "default", std::move(listener));
    ASSERT_TRUE(agent.ok());
    EXPECT_EQ(*agent, nullptr);
}

// docker 20.10 and buildx spell methods in two ways.
TEST_F(SessionServicesTest, KnowMethodsInEitherCase) {
    open({"/MOBY.filesync.v1.auth/credentials"});
    passwords_ = {{"registry.example", {.username = "ann", .secret = "word"}}};
    EXPECT_EQ(credentials("registry.example"), "ann:word");
}

TEST_F(SessionServicesTest, TellAMissingSecretFromAFailure) {
    open({secret_method});
    secrets_ = {{"one", std::string("a\0\xff", 3)}, {"empty", ""}};
    EXPECT_EQ(secret("one"), secrets_["one"]);
    EXPECT_EQ(secret("empty"), "");
    EXPECT_EQ(secret("two"), "none");
    failure_ = Error(ErrorKind::Internal, "file has gone");
    EXPECT_EQ(secret("one"), "file has gone");
    failure_.reset();
    raw_ = "\xff\xff no message";
    EXPECT_EQ(secret("one"), "the client's answer cannot be read");
}

TEST_F(SessionServicesTest, HaveNoAgentThatTheClientDoesNotFind) {
    open({agent_method});
    failure_ = Error(ErrorKind::Internal, "unset ssh forward key work");
    auto [listener, unused] = kernel::socket_pair(SOCK_STREAM).value();
    const auto agent = services_->forward_agent({}, "work", std::move(listener));
    ASSERT_TRUE(agent.ok());
    EXPECT_EQ(*agent, nullptr);
}

TEST_F(SessionServicesTest, StopWithTheBuild) {
    open({secret_method, credentials_method, agent_method});
    hangs_ = true;
    std::stop_source stop;
    std::thread stopper([this, &stop] {
        EXPECT_TRUE(asked_.wait());
        stop.request_stop();
    });
    const auto secret = services_->secret(stop.get_token(), "one");
    stopper.join();
    ASSERT_FALSE(secret.ok());
    EXPECT_EQ(secret.error().kind(), ErrorKind::Cancelled);
    // And does not begin when it has stopped before.
    const auto credentials = services_->credentials(stop.get_token(), "docker.io");
    ASSERT_FALSE(credentials.ok());
    EXPECT_EQ(credentials.error().kind(), ErrorKind::Cancelled);
    auto [listener, unused] = kernel::socket_pair(SOCK_STREAM).value();
    const auto agent = services_->forward_agent(stop.get_token(), "default", std::move(listener));
    ASSERT_FALSE(agent.ok());
    EXPECT_EQ(agent.error().kind(), ErrorKind::Cancelled);
}

TEST_F(SessionServicesTest, FailWhenTheClientHasGone) {
    open({secret_method, credentials_method});
    client_.reset();
    EXPECT_FALSE(services_->secret({}, "one").ok());
    EXPECT_FALSE(services_->credentials({}, "docker.io").ok());
}

} // namespace berth::build
