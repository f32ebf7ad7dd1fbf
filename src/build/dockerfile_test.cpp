// SPDX-License-Identifier: Apache-2.0
// The Dockerfile's grammar, by tables.
#include "build/dockerfile.h"

#include <gtest/gtest.h>

namespace berth::build {

namespace {

std::string error_of(std::string_view text) {
    auto dockerfile = parse_dockerfile(text);
    return dockerfile.ok() ? "" : dockerfile.error().message();
}

// The only instruction after FROM.
Instruction instruction(const std::string& text) {
    auto dockerfile = parse_dockerfile("FROM x\n" + text);
    EXPECT_TRUE(dockerfile.ok()) << dockerfile.error().message();
    if (!dockerfile.ok()) {
        return {};
    }
    EXPECT_EQ(dockerfile->stages[0].instructions.size(), 1U);
    return dockerfile->stages[0].instructions[0];
}

using Words = std::vector<std::string>;

} // namespace

TEST(Dockerfile, ReadsStagesAndGlobalArguments) {
    auto dockerfile = parse_dockerfile("ARG V=1\nARG W\nFROM --platform=linux/arm64 a:$V AS Base\n"
                                       "RUN x\nfrom base as second\ncopy --from=base a b\n");
    ASSERT_TRUE(dockerfile.ok()) << dockerfile.error().message();
    ASSERT_EQ(dockerfile->global_args.size(), 2U);
    EXPECT_EQ(dockerfile->global_args[0].assignments[0].value, "1");
    EXPECT_FALSE(dockerfile->global_args[1].assignments[0].value);
    ASSERT_EQ(dockerfile->stages.size(), 2U);
    EXPECT_EQ(dockerfile->stages[0].name, "base");
    EXPECT_EQ(dockerfile->stages[0].base, "a:$V");
    EXPECT_EQ(dockerfile->stages[0].platform, "linux/arm64");
    EXPECT_EQ(dockerfile->stages[1].instructions[0].flag("from"), "base");
    EXPECT_EQ(dockerfile->stages[1].instructions[0].line, 6);
}

TEST(Dockerfile, JoinsContinuedLines) {
    const Instruction run = instruction("RUN a \\\n  # a comment\n\n  b \\  \n  c");
    EXPECT_EQ(run.arguments, Words{"a   b   c"});
    EXPECT_EQ(run.original, "RUN a   b   c");
    EXPECT_EQ(run.line, 2);
    EXPECT_EQ(instruction("RUN a \\").arguments, Words{"a"});
    EXPECT_EQ(instruction("RUN echo a\\\\").arguments, Words{"echo a\\\\"});
}

TEST(Dockerfile, HonoursTheEscapeDirective) {
    auto dockerfile = parse_dockerfile("# escape=`\nFROM x\nRUN a `\n b\\\n");
    ASSERT_TRUE(dockerfile.ok());
    EXPECT_EQ(dockerfile->escape, '`');
    EXPECT_EQ(dockerfile->stages[0].instructions[0].arguments, Words{"a  b\\"});
    // After anything else it is a comment.
    EXPECT_EQ(parse_dockerfile("# x\n# escape=`\nFROM x")->escape, '\\');
    EXPECT_EQ(parse_dockerfile("FROM x\n# escape=`\n")->escape, '\\');
    EXPECT_EQ(parse_dockerfile("# syntax=docker/dockerfile:1\n# escape = `\nFROM x")->escape, '`');
    EXPECT_NE(error_of("# escape=x\nFROM a"), "");
    EXPECT_NE(error_of("# escape=`\n# escape=`\nFROM a"), "");
}

TEST(Dockerfile, ReadsByteOrderMarkAndCarriageReturns) {
    EXPECT_EQ(
        error_of("\xef\xbb\xbf"
                 "FROM x\r\nRUN a\r\n"),
        "");
}

TEST(Dockerfile, TellsJsonFromShellForm) {
    EXPECT_TRUE(instruction(R"(RUN ["a", "b c"])").is_json);
    EXPECT_EQ(instruction(R"(CMD [ "a", "b c" ])").arguments, (Words{"a", "b c"}));
    EXPECT_FALSE(instruction("RUN [ -f x ] && y").is_json);
    EXPECT_EQ(instruction("RUN ['a']").arguments, Words{"['a']"});
    EXPECT_EQ(instruction("CMD []").arguments, Words{});
    EXPECT_EQ(instruction("COPY [\"a b\", \"c d\"]").arguments, (Words{"a b", "c d"}));
    EXPECT_EQ(instruction("COPY \"a b\" c").arguments, (Words{"\"a b\"", "c"}));
    EXPECT_EQ(instruction("VOLUME /a /b").arguments, (Words{"/a", "/b"}));
    EXPECT_EQ(instruction("VOLUME [\"/a\"]").arguments, Words{"/a"});
    EXPECT_EQ(
        error_of("FROM x\nCMD [\"a\", 1]"),
        "dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised "
        "of "
        "strings only");
}

TEST(Dockerfile, ReadsAssignments) {
    const Instruction env = instruction("ENV A=1 B=\"x y\" C=a\\ b D=$A");
    ASSERT_EQ(env.assignments.size(), 4U);
    EXPECT_EQ(env.assignments[1].name, "B");
    EXPECT_EQ(env.assignments[1].value, "\"x y\"");
    EXPECT_EQ(env.assignments[2].value, "a\\ b");
    const Instruction old = instruction("ENV NAME the rest  of it");
    ASSERT_EQ(old.assignments.size(), 1U);
    EXPECT_EQ(old.assignments[0].value, "the rest  of it");
    EXPECT_EQ(instruction("ARG A B=2").assignments[1].value, "2");
}

TEST(Dockerfile, ReadsFlags) {
    const Instruction copy = instruction("COPY --from=0 --chown=\"a:b\" --link a b");
    EXPECT_EQ(copy.flag("from"), "0");
    EXPECT_EQ(copy.flag("chown"), "a:b");
    EXPECT_EQ(copy.flag("link"), "true");
    EXPECT_EQ(copy.arguments, (Words{"a", "b"}));
    EXPECT_EQ(instruction("RUN --mount=type=cache,target=/c x").repeated_flags.size(), 1U);
    EXPECT_EQ(instruction("RUN -- --x").arguments, Words{"--x"});
}

TEST(Dockerfile, ReadsHeredocs) {
    const Instruction run = instruction("RUN <<EOF\necho 1\n# not a comment\n  echo 2 \\\nEOF\n");
    ASSERT_EQ(run.heredocs.size(), 1U);
    EXPECT_EQ(run.heredocs[0].content, "echo 1\n# not a comment\n  echo 2 \\\n");
    EXPECT_TRUE(run.heredocs[0].is_alone);
    const Instruction copy = instruction("COPY <<-'A' <<B /dir/\n\tone\n\tA\ntwo\nB\n");
    ASSERT_EQ(copy.heredocs.size(), 2U);
    EXPECT_EQ(copy.heredocs[0].content, "one\n");
    EXPECT_FALSE(copy.heredocs[0].expand);
    EXPECT_EQ(copy.heredocs[1].name, "B");
    EXPECT_TRUE(copy.heredocs[1].expand);
    EXPECT_FALSE(instruction("RUN cat <<X >y\n1\nX").heredocs[0].is_alone);
    EXPECT_TRUE(instruction("RUN cat <<< x").heredocs.empty());
    EXPECT_TRUE(instruction("RUN [\"cat\", \"<<EOF\"]").heredocs.empty());
    EXPECT_TRUE(instruction("CMD cat <<EOF").heredocs.empty());
    EXPECT_EQ(
        error_of("FROM x\nRUN <<EOF\necho"),
        "dockerfile parse error on line 2: unterminated heredoc");
}

// Commands and configurations are JSON, whose text is UTF-8; files are bytes.
TEST(Dockerfile, ReadsTextThatIsNoUtf8) {
    EXPECT_EQ(instruction("RUN echo caf\xe9").original, "RUN echo caf\xef\xbf\xbd");
    EXPECT_EQ(instruction("RUN echo caf\xe9").arguments[0], "echo caf\xef\xbf\xbd");
    EXPECT_EQ(instruction("ENV A=caf\xc3\\\n\xa9").original, "ENV A=caf\xc3\xa9");
    EXPECT_EQ(instruction("RUN <<E\n\xe9\nE").heredocs[0].content, "\xef\xbf\xbd\n");
    EXPECT_EQ(instruction("COPY <<E /a\n\xe9\nE").heredocs[0].content, "\xe9\n");
    EXPECT_EQ(
        instruction("ONBUILD COPY <<E /a\n\xe9\nE").arguments[0], "COPY <<E /a\n\xef\xbf\xbd\nE");
}

TEST(Dockerfile, ReadsTheRest) {
    EXPECT_EQ(instruction("HEALTHCHECK NONE").arguments, Words{"NONE"});
    EXPECT_EQ(
        instruction("HEALTHCHECK --interval=5s CMD curl x").arguments, (Words{"CMD", "curl x"}));
    EXPECT_TRUE(instruction("HEALTHCHECK CMD [\"a\"]").is_json);
    EXPECT_EQ(instruction("ONBUILD RUN  x").arguments, Words{"RUN  x"});
    EXPECT_EQ(instruction("EXPOSE 80 81/udp").arguments, (Words{"80", "81/udp"}));
    EXPECT_EQ(instruction("USER a:b").arguments, Words{"a:b"});
    EXPECT_EQ(instruction("WORKDIR /a b").arguments, Words{"/a b"});
    EXPECT_EQ(instruction("MAINTAINER Me <x>").arguments, Words{"Me <x>"});
    EXPECT_EQ(instruction("SHELL [\"/bin/bash\", \"-c\"]").arguments.size(), 2U);
}

TEST(Dockerfile, ReportsErrorsInDockersWords) {
    const std::pair<const char*, const char*> cases[] = {
        {"FROM x\n\nFOO bar", "line 3: unknown instruction: FOO (did you mean FROM?)"},
        {"FORM x", "line 1: unknown instruction: FORM (did you mean FROM?)"},
        {"FROM x\ncpoy a b", "line 2: unknown instruction: cpoy (did you mean copy?)"},
        {"FROM x\nEntrypiont a",
         "line 2: unknown instruction: Entrypiont (did you mean entrypoint?)"},
        {"FROM x\nONBUILD RUNN y", "line 2: unknown instruction: RUNN (did you mean RUN?)"},
        {"FROM x\nFROBNICATE", "line 2: unknown instruction: FROBNICATE"},
        {"FROM x\nRUN", "line 2: RUN requires at least one argument"},
        {"FROM x\nENV", "line 2: ENV requires at least one argument"},
        {"FROM x\nENV A", "line 2: ENV must have two arguments"},
        {"FROM x\nENV =a", "line 2: ENV names can not be blank"},
        {"FROM x\nENV A=1 B",
         "line 2: Syntax error - can't find = in \"B\". Must be of the form: name=value"},
        {"FROM x\nCOPY a",
         "line 2: COPY requires at least two arguments, but only one was provided. Destination "
         "could not be determined."},
        {"FROM", "line 1: FROM requires either one or three arguments"},
        {"FROM a b", "line 1: FROM requires either one or three arguments"},
        {"FROM a AS 1x",
         "line 1: invalid name for build stage: \"1x\", name can't start with a number or contain "
         "symbols"},
        {"FROM x\nUSER", "line 2: USER requires exactly one argument"},
        {"FROM x\nSHELL a", "line 2: SHELL requires the arguments to be in JSON form"},
        {"FROM x\nONBUILD FROM y", "line 2: FROM isn't allowed as an ONBUILD trigger"},
        {"FROM x\nONBUILD ONBUILD RUN y",
         "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
        {"FROM x\nHEALTHCHECK FOO", "line 2: Unknown type \"FOO\" in HEALTHCHECK (try CMD)"},
        {"FROM x\nHEALTHCHECK CMD", "line 2: Missing command after HEALTHCHECK CMD"},
        {"FROM x\nHEALTHCHECK NONE a", "line 2: HEALTHCHECK NONE takes no arguments"},
        {"FROM x\nCOPY --foo=1 a b", "line 2: unknown flag: --foo"},
        {"FROM x\nCOPY --from a b", "line 2: missing a value on flag: --from"},
        {"FROM x\nCOPY --from=a --from=b a b", "line 2: duplicate flag specified: --from"},
        {"FROM x\nVOLUME [\"\"]", "line 2: VOLUME specified can not be an empty string"},
        {"RUN x\nFROM y", "line 1: no build stage in current context"},
    };
    for (const auto& [text, message] : cases) {
        EXPECT_EQ(error_of(text), "dockerfile parse error on " + std::string(message)) << text;
    }
    EXPECT_EQ(error_of(""), "file with no instructions");
    EXPECT_EQ(error_of("# nothing\n\n"), "file with no instructions");
}

TEST(Dockerfile, ParsesTriggersAlone) {
    auto trigger = parse_instruction("COPY <<EOF /x\nhello\nEOF");
    ASSERT_TRUE(trigger.ok()) << trigger.error().message();
    EXPECT_EQ(trigger->heredocs[0].content, "hello\n");
    EXPECT_FALSE(parse_instruction("RUN a\nRUN b").ok());
}

} // namespace berth::build
