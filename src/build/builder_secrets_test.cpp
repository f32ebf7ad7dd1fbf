// SPDX-License-Identifier: Apache-2.0
// Builds whose steps use what their client lends.
#include "build/builder_test_support.h"
#include "build/lender_test_support.h"

namespace berth::build {

TEST_F(BuilderTest, LendsSecretsToOneStep) {
    Lender lender;
    lender.secrets = {{"one", "lent"}};
    client_ = &lender;
    const std::string dockerfile =
        "FROM busybox\nENV WORD=own\nWORKDIR /app\n"
        "RUN --mount=type=secret,id=one,mode=0440 --mount=type=secret,id=one,target=token,uid=1234 "
        "stat -c '%n %a %u' /run/secrets/one /app/token && cat token > /copy\n"
        "RUN --mount=type=secret,id=one,env=WORD env && test ! -e /run/secrets/one\n"
        "RUN echo then $WORD && test ! -e /app/token\n";
    const oci::Digest id = must_build(dockerfile);
    EXPECT_EQ(content(id, "/copy"), "lent");
    EXPECT_NE(output_.find("/run/secrets/one 440 0\n/app/token 400 1234\n"), std::string::npos)
        << output_;
    // The variable is there once: programs differ in which of two they see.
    EXPECT_NE(output_.find("\nWORD=lent\n"), std::string::npos) << output_;
    EXPECT_EQ(output_.find("\nWORD=own\n"), std::string::npos) << output_;
    EXPECT_NE(output_.find("then own\n"), std::string::npos) << output_;
    EXPECT_EQ(content(id, "/run/secrets"), "absent");
    EXPECT_EQ(content(id, "/app/token"), "absent");
    EXPECT_EQ(lender.asked, (std::vector<std::string>{"one", "one", "one"}));
    // Their content is no part of the cache's key, and a cached step asks for none.
    lender.secrets = {{"one", "another"}};
    EXPECT_EQ(must_build(dockerfile), id);
    EXPECT_EQ(lender.asked.size(), 3U);
    EXPECT_EQ(
        error_of("FROM busybox\nRUN --mount=type=secret,id=two,required true\n"),
        "secret two: not found");
    must_build("FROM busybox\nRUN --mount=type=secret,id=two test ! -e /run/secrets/two\n");
}

TEST_F(BuilderTest, LendsAnAgentUnlessTheImageNamesOne) {
    Lender lender;
    lender.agents = {"default", "work"};
    client_ = &lender;
    const oci::Digest id = must_build(
        "FROM busybox\n"
        "RUN --mount=type=ssh --mount=type=ssh,id=work test -S /run/buildkit/ssh_agent.1 && "
        "test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK\n"
        "RUN echo none $SSH_AUTH_SOCK\n"
        "ENV SSH_AUTH_SOCK=/own\nRUN --mount=type=ssh,target=/lent test -S /lent && env\n");
    EXPECT_NE(output_.find("\n/run/buildkit/ssh_agent.0\n"), std::string::npos) << output_;
    EXPECT_NE(output_.find("\nnone\n"), std::string::npos) << output_;
    EXPECT_NE(output_.find("\nSSH_AUTH_SOCK=/own\n"), std::string::npos) << output_;
    EXPECT_EQ(output_.find("SSH_AUTH_SOCK=/lent\n"), std::string::npos) << output_;
    EXPECT_EQ(content(id, "/run/buildkit/ssh_agent.0"), "absent");
    EXPECT_EQ(lender.ended_agents, 3);
}

TEST_F(BuilderTest, RunsCommandsThatAreNoUtf8) {
    const oci::Digest id = must_build("FROM busybox\nLABEL a=caf\xe9\nRUN echo caf\xe9 > /word\n"
                                      "COPY <<EOF /file\ncaf\xe9\nEOF\n");
    EXPECT_EQ(content(id, "/word"), "caf\xef\xbf\xbd\n");
    EXPECT_EQ(content(id, "/file"), "caf\xe9\n");
    EXPECT_EQ(config(id).labels.at("a"), "caf\xef\xbf\xbd");
    EXPECT_EQ(
        error_of("FROM busybox\nRUN exit 3 # caf\xe9\n"),
        "The command '/bin/sh -c exit 3 # caf\xef\xbf\xbd' returned a non-zero code: 3");
}

} // namespace berth::build
