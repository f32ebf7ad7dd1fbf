// SPDX-License-Identifier: Apache-2.0
// Whole builds on a real store, network and monitor.
#include "build/builder_test_support.h"

namespace berth::build {

TEST_F(BuilderTest, RunsACommandAndTagsTheImage) {
    const oci::Digest id = must_build(
        "FROM busybox\nRUN echo hello > /made && echo said\nCMD [\"cat\", \"/made\"]\n",
        {},
        {.tags = {"app", "app:v1"}});
    EXPECT_EQ(content(id, "/made"), "hello\n");
    EXPECT_EQ(config(id).cmd, (std::vector<std::string>{"cat", "/made"}));
    EXPECT_EQ(store_->images().get("app").value().id, id);
    EXPECT_EQ(store_->images().get("app:v1").value().id, id);
    EXPECT_TRUE(output_.starts_with("Step 1/3 : FROM busybox\n ---> ")) << output_;
    EXPECT_NE(
        output_.find("\nStep 2/3 : RUN echo hello > /made && echo said\n ---> Running in "),
        std::string::npos)
        << output_;
    EXPECT_NE(output_.find("\nsaid\n ---> Removed intermediate container "), std::string::npos);
    EXPECT_TRUE(output_.ends_with(
        "Successfully built " + id.short_id() +
        "\nSuccessfully tagged app:latest\nSuccessfully tagged app:v1\n"))
        << output_;
    const auto history = store_->images().get(id).value().config.history;
    ASSERT_EQ(history.size(), 2U);
    EXPECT_EQ(history[0].created_by, "/bin/sh -c echo hello > /made && echo said");
    EXPECT_EQ(history[1].created_by, "/bin/sh -c #(nop)  CMD [\"cat\" \"/made\"]");
    EXPECT_TRUE(history[1].empty_layer);
    // Mount points of the step are no part of the image.
    EXPECT_EQ(content(id, "/etc/resolv.conf"), "absent");
    EXPECT_EQ(content(id, "/proc"), "absent");
}

TEST_F(BuilderTest, GivesTheLabelsOfEachStepBack) {
    std::vector<std::string> taken;
    std::vector<std::string> given_back;
    labeling_.take = [&taken]() -> Result<StepLabels> {
        taken.push_back(std::to_string(taken.size()));
        return StepLabels{.process = {}, .mount = taken.size() < 2 ? "" : "no label"};
    };
    labeling_.give_back = [&](const StepLabels& labels) {
        EXPECT_TRUE(store_->layers().list_writable()->empty());
        given_back.push_back(labels.mount);
    };
    labeling_.apply = [](const std::string&, const std::string&) -> Result<void> { return ok(); };
    open_builder();
    // The second step's cannot be had, whether the kernel has SELinux or not.
    EXPECT_NE(error_of("FROM busybox\nRUN true > /a\nRUN true > /b\n"), "");
    EXPECT_EQ(taken.size(), 2U);
    EXPECT_EQ(given_back, (std::vector<std::string>{"", "no label"}));
}

TEST_F(BuilderTest, ReportsTheExitCodeOfAFailedCommand) {
    EXPECT_EQ(
        error_of("FROM busybox\nRUN exit 3\n"),
        "The command '/bin/sh -c exit 3' returned a non-zero code: 3");
    EXPECT_EQ(failure_.exit_code, 3);
    EXPECT_NE(
        error_of("FROM busybox\nRUN [\"nosuch\"]\n")
            .find("exec: \"nosuch\": executable file not found in $PATH"),
        std::string::npos);
}

TEST_F(BuilderTest, UsesTheCacheUntilSomethingChanges) {
    const std::string dockerfile = "FROM busybox\nCOPY a /a\nRUN cat /a > /b\nENV X=1\n";
    const oci::Digest first = must_build(dockerfile, {{.name = "a", .content = "1"}});
    EXPECT_EQ(output_.find("Using cache"), std::string::npos);
    EXPECT_EQ(must_build(dockerfile, {{.name = "a", .content = "1"}}), first);
    EXPECT_NE(output_.find("/a\n ---> Using cache\n ---> "), std::string::npos) << output_;
    EXPECT_NE(output_.find("X=1\n ---> Using cache\n"), std::string::npos) << output_;
    EXPECT_EQ(output_.find("Running in"), std::string::npos);
    const oci::Digest changed = must_build(dockerfile, {{.name = "a", .content = "2"}});
    EXPECT_NE(changed, first);
    EXPECT_EQ(content(changed, "/b"), "2");
    EXPECT_NE(must_build(dockerfile, {{.name = "a", .content = "1"}}, {.no_cache = true}), first);
    ASSERT_TRUE(builder_->prune_cache({}, {.all = true}).ok());
    must_build(dockerfile, {{.name = "a", .content = "1"}});
    EXPECT_EQ(output_.find("Using cache"), std::string::npos);
}

TEST_F(BuilderTest, BuildsTheTargetOnly) {
    const std::string dockerfile = "FROM busybox AS a\nENV A=1\nFROM a AS b\nRUN false\n";
    const oci::Digest id = must_build(dockerfile, {}, {.target = "A"});
    EXPECT_EQ(config(id).env.back(), "A=1");
    EXPECT_EQ(
        error_of(dockerfile, {}, {.target = "c"}), "failed to reach build target c in Dockerfile");
}

TEST_F(BuilderTest, ExpandsVariablesAndArguments) {
    const oci::Digest id = must_build(
        "ARG TAG=nothing\nFROM $TAG\nARG NAME=default\nARG TAG\nARG OTHER\nENV FULL=${NAME}-x A=1\n"
        "ENV A=2 B=$A\nLABEL l=\"$FULL\" \"m n\"=o\nEXPOSE 80 9000-9001/udp\nUSER app\nVOLUME /v\n"
        "WORKDIR /srv\nWORKDIR $NAME\nSTOPSIGNAL SIGINT\nRUN echo \"$NAME $TAG $FULL\" > /tmp/o\n"
        "HEALTHCHECK --interval=5s --retries=2 CMD test -f /x\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD "
        "go\n",
        {},
        {.build_args = {{"NAME", "given"}, {"TAG", "busybox"}, {"UNUSED", "1"}}});
    const oci::ContainerDefaults defaults = config(id);
    EXPECT_EQ(defaults.env, (std::vector<std::string>{"PATH=/bin", "FULL=given-x", "A=2", "B=1"}));
    EXPECT_EQ(defaults.labels.at("l"), "given-x");
    EXPECT_EQ(defaults.labels.at("m n"), "o");
    EXPECT_TRUE(defaults.exposed_ports.contains("80/tcp"));
    EXPECT_TRUE(defaults.exposed_ports.contains("9001/udp"));
    EXPECT_EQ(defaults.user, "app");
    EXPECT_EQ(defaults.working_dir, "/srv/given");
    EXPECT_EQ(defaults.stop_signal, "SIGINT");
    EXPECT_EQ(defaults.healthcheck->test, (std::vector<std::string>{"CMD-SHELL", "test -f /x"}));
    EXPECT_EQ(defaults.healthcheck->interval, 5'000'000'000);
    EXPECT_EQ(defaults.cmd, (std::vector<std::string>{"/bin/sh", "-ec", "go"}));

    struct stat status {};

    EXPECT_EQ(content(id, "/tmp/o", &status), "given busybox given-x\n");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_NE(
        output_.find("[Warning] One or more build-args [UNUSED] were not consumed\n"),
        std::string::npos)
        << output_;
    const auto history = store_->images().get(id).value().config.history;
    bool found = false;
    for (const auto& entry : history) {
        found = found || entry.created_by.starts_with("|2 NAME=given TAG=busybox /bin/sh -c echo");
    }
    EXPECT_TRUE(found);
}

TEST_F(BuilderTest, RunsHeredocsAndMounts) {
    const oci::Digest id = must_build(
        "FROM busybox\nRUN <<EOF\nset -e\necho one > /one\necho two > /two\nEOF\n"
        "COPY <<A <<'B' /docs/\n$PATH\nA\n$PATH\nB\n"
        "RUN cat <<X > /three\nthree\nX\n"
        "RUN <<S\n#!/bin/cat\nshown\nS\n"
        "RUN --mount=type=bind,source=f,target=/f --mount=type=tmpfs,target=/t "
        "--mount=type=cache,target=/c cat /f > /from && touch /t/x && echo 1 >> /c/count\n"
        "RUN --network=none --mount=type=cache,target=/c echo 2 >> /c/count && cat /c/count > "
        "/count\n",
        {{.name = "f", .content = "bound"}});
    EXPECT_EQ(content(id, "/one"), "one\n");
    EXPECT_EQ(content(id, "/docs/A"), "/bin\n");
    EXPECT_EQ(content(id, "/docs/B"), "$PATH\n");
    EXPECT_EQ(content(id, "/three"), "three\n");
    EXPECT_NE(output_.find("#!/bin/cat\nshown\n"), std::string::npos);
    EXPECT_EQ(content(id, "/from"), "bound");
    EXPECT_EQ(content(id, "/count"), "1\n2\n");
    EXPECT_EQ(content(id, "/c"), "absent");
    EXPECT_EQ(content(id, "/f"), "absent");
    EXPECT_NE(error_of("FROM busybox\nRUN --mount=type=secret,id=x,target=/s true\n"), "");
}

TEST_F(BuilderTest, RunsTriggersOfTheBaseImage) {
    must_build(
        "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n", {}, {.tags = {"base"}});
    const oci::Digest id =
        must_build("FROM base\nENV A=1\n", {{.name = "f", .content = "triggered"}});
    EXPECT_EQ(content(id, "/g"), "triggered");
    EXPECT_TRUE(config(id).on_build.empty());
    EXPECT_NE(output_.find("# Executing 2 build triggers\n"), std::string::npos);
}

TEST_F(BuilderTest, AddsLabelsOfTheRequest) {
    const oci::Digest id =
        must_build("FROM busybox\n", {}, {.labels = {{"it's", "a \"label\" $HOME"}}});
    EXPECT_EQ(config(id).labels.at("it's"), "a \"label\" $HOME");
}

TEST_F(BuilderTest, QuietBuildsSayOnlyTheId) {
    const oci::Digest id = must_build("FROM busybox\nENV A=1\n", {}, {.quiet = true});
    EXPECT_EQ(output_, id.to_string() + "\n");
}

TEST_F(BuilderTest, ReportsMissingDockerfilesAndImages) {
    EXPECT_EQ(
        error_of("FROM busybox\n", {}, {.dockerfile = "other"}),
        "Cannot locate specified Dockerfile: other");
    EXPECT_EQ(error_of(""), "the Dockerfile (Dockerfile) cannot be empty");
    auto missing = build("FROM nowhere\n");
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
    EXPECT_NE(error_of("FROM Bad\n"), "");
}

TEST_F(BuilderTest, StopsARunningStepAndLeavesNothing) {
    std::stop_source stop;
    on_output_ = [&] {
        if (output_.find("started") != std::string::npos) {
            stop.request_stop();
        }
    };
    auto built = build("FROM busybox\nRUN echo started && sleep 1000\n", {}, {}, stop.get_token());
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().kind(), ErrorKind::Cancelled);
}

TEST_F(BuilderTest, HasANetworkAndNames) {
    must_build("FROM busybox\nRUN cat /etc/hosts && ip addr show eth0 && cat /etc/resolv.conf\n");
    EXPECT_NE(output_.find("10.213.0."), std::string::npos) << output_;
    EXPECT_NE(output_.find("nameserver "), std::string::npos);
    must_build(
        "FROM busybox\nRUN ip addr show eth0 || echo lonely\n", {}, {.network_mode = "none"});
    EXPECT_NE(output_.find("lonely\n"), std::string::npos) << output_;
    EXPECT_EQ(
        error_of("FROM busybox\nRUN id\n", {}, {.no_cache = true, .network_mode = "nope"}),
        "network nope not found");
}

} // namespace berth::build
