// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"
#include "base/rollback.h"
#include "base/unique_fd.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <unistd.h>

namespace berth {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) {
        return invalid_argument("odd");
    }
    return number / 2;
}

Result<int> quarter(int number) {
    int halved = TRY(half(number));
    return TRY_CONTEXT(half(halved), "second step");
}

TEST(Result, TryPassesValuesThrough) {
    EXPECT_EQ(quarter(8).value(), 2);
}

TEST(Result, TryReturnsTheFirstError) {
    Result<int> result = quarter(7);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_EQ(result.error().message(), "odd");
}

TEST(Result, ContextGoesBeforeTheMessage) {
    EXPECT_EQ(quarter(6).error().message(), "second step: odd");
}

TEST(Result, TryMovesOutOfMoveOnlyValues) {
    auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(3); };
    auto take = [&]() -> Result<int> { return *TRY(make()); };
    EXPECT_EQ(take().value(), 3);
}

TEST(ResultDeathTest, ReadingTheValueOfAnErrorAborts) {
    EXPECT_DEATH((void)half(1).value(), "invariant broken");
}

TEST(Error, ErrnoNeverPicksTheKind) {
    Error error = Error::from_errno("open /x", ENOENT);
    EXPECT_EQ(error.kind(), ErrorKind::Internal);
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.message(), "open /x: no such file or directory");
    EXPECT_EQ(std::move(error).as(ErrorKind::NotFound).kind(), ErrorKind::NotFound);
}

TEST(Rollback, UndoesInReverseOrderUnlessCommitted) {
    std::string order;
    {
        Rollback rollback;
        rollback.push([&] { order += "a"; });
        rollback.push([&] { order += "b"; });
    }
    EXPECT_EQ(order, "ba");
    {
        Rollback rollback;
        rollback.push([&] { order += "c"; });
        rollback.commit();
    }
    EXPECT_EQ(order, "ba");
}

TEST(UniqueFd, ClosesItsDescriptorAndMakesPipesCloseOnExec) {
    int raw = -1;
    {
        Pipe pipe = Pipe::create().value();
        raw = pipe.read_end.get();
        EXPECT_EQ(::fcntl(raw, F_GETFD), FD_CLOEXEC);
        UniqueFd copy = pipe.write_end.duplicate().value();
        EXPECT_EQ(::fcntl(copy.get(), F_GETFD), FD_CLOEXEC);
    }
    EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

} // namespace
} // namespace berth
