// SPDX-License-Identifier: Apache-2.0
// Signals, names and sizes as users write them.
#include "engine/container_reader.h"
#include "engine/daemon_config.h"
#include "engine/names.h"
#include "engine/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace berth::engine {
namespace {

TEST(Signals, AreKnownByNameWithAndWithoutPrefixAndByNumber) {
    EXPECT_EQ(parse_signal("SIGTERM").value_or(0), SIGTERM);
    EXPECT_EQ(parse_signal("term").value_or(0), SIGTERM);
    EXPECT_EQ(parse_signal("9").value_or(0), SIGKILL);
    EXPECT_EQ(parse_signal("SIGRTMIN+3").value_or(0), 37);
    EXPECT_EQ(parse_signal("RTMAX-1").value_or(0), 63);
}

TEST(Signals, RejectsWhatIsNone) {
    for (const char* text : {"", "0", "65", "FOO", "RTMIN+99", "RTMIN-1", "SIG"}) {
        auto parsed = parse_signal(text);
        ASSERT_FALSE(parsed.ok()) << text;
        EXPECT_EQ(parsed.error().message(), std::string("invalid signal: ") + text);
    }
}

TEST(Names, GeneratedOnesAreValid) {
    for (unsigned attempt = 0; attempt < 100; ++attempt) {
        EXPECT_TRUE(is_valid_container_name(generate_container_name(attempt)));
    }
}

TEST(Names, RejectsSlashesSpacesAndSingleCharacters) {
    for (const char* name : {"", "a", "a/b", "-ab", ".ab", "a b", "a\n"}) {
        EXPECT_FALSE(is_valid_container_name(name)) << name;
    }
    EXPECT_TRUE(is_valid_container_name("a_b.c-d1"));
}

TEST(StatusText, NamesHealthAndExitCode) {
    const Timestamp now = Timestamp::from_seconds(1000);
    ContainerState state{.status = ContainerStatus::Running};
    state.started_at = Timestamp::from_seconds(700);
    EXPECT_EQ(status_text(state, now), "Up 5 minutes");
    state.health = Health{.status = "healthy"};
    EXPECT_EQ(status_text(state, now), "Up 5 minutes (healthy)");
    state.status = ContainerStatus::Exited;
    state.exit_code = 137;
    state.finished_at = Timestamp::from_seconds(990);
    EXPECT_EQ(status_text(state, now), "Exited (137) 10 seconds ago");
}

} // namespace
} // namespace berth::engine
