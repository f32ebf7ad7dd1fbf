// SPDX-License-Identifier: Apache-2.0
// Progress messages have the members and the bars that Docker's clients know.
#include "api/exchange_for_test.h"
#include "api/progress_stream.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(Progress, PrintsSizesAsDockerDoes) {
    EXPECT_EQ(human_size(0), "0B");
    EXPECT_EQ(human_size(999), "999B");
    EXPECT_EQ(human_size(1500), "1.5kB");
    EXPECT_EQ(human_size(31'375'296), "31.38MB");
    EXPECT_EQ(human_size(2'000'000'000), "2GB");
}

TEST(Progress, DrawsABar) {
    EXPECT_EQ(
        progress_bar(50, 100),
        "[=========================>                         ]      50B/100B");
    EXPECT_EQ(
        progress_bar(100, 100),
        "[==================================================>]     100B/100B");
    EXPECT_EQ(progress_bar(1500, 0), "   1.5kB");
    EXPECT_EQ(progress_bar(0, 0), "");
}

TEST(Progress, TellsUpdatesOfLayersFromPlainMessages) {
    EXPECT_EQ(
        progress_message(
            {.id = "latest", .status = "Pulling from library/x", .stream = {}, .aux = {}}),
        R"({"status":"Pulling from library/x","id":"latest"})");
    EXPECT_EQ(
        progress_message({.id = "abc", .status = "Pull complete", .stream = {}, .aux = {}}),
        R"({"status":"Pull complete","progressDetail":{},"id":"abc"})");
    EXPECT_EQ(
        progress_message({.id = {}, .status = "Digest: sha256:1", .stream = {}, .aux = {}}),
        R"({"status":"Digest: sha256:1"})");
    EXPECT_EQ(
        progress_message({.id = {}, .status = {}, .stream = {}, .aux = json::Object{{"Tag", "x"}}}),
        R"({"progressDetail":{},"aux":{"Tag":"x"}})");
}

TEST(ProgressStream, LeavesAnErrorBeforeTheFirstMessageToTheRouter) {
    RecordedResponse response;
    ProgressStream stream(response);
    EXPECT_FALSE(stream.finish(not_found("nothing")).ok());
    EXPECT_FALSE(response.begun());
}

TEST(ProgressStream, IsJsonWhateverAStepWrites) {
    RecordedResponse response;
    ProgressStream stream(response);
    stream.send_stream("caf\xe9 caf\xc3\xa9\n");
    EXPECT_TRUE(stream.finish(invalid_argument("\xff")).ok());
    EXPECT_EQ(
        response.body,
        "{\"stream\":\"caf\xef\xbf\xbd caf\xc3\xa9\\n\"}\r\n"
        "{\"errorDetail\":{\"message\":\"\xef\xbf\xbd\"},\"error\":\"\xef\xbf\xbd\"}\r\n");
}

TEST(ProgressStream, EndsWithTheErrorOnceItHasBegun) {
    RecordedResponse response;
    ProgressStream stream(response);
    stream.send_stream("Step 1/1 : FROM x\n");
    EXPECT_TRUE(stream.finish(not_found("nothing")).ok());
    EXPECT_EQ(response.status, 200U);
    EXPECT_EQ(
        response.body,
        "{\"stream\":\"Step 1/1 : FROM x\\n\"}\r\n"
        "{\"errorDetail\":{\"message\":\"nothing\"},\"error\":\"nothing\"}\r\n");
}

} // namespace berth::api
