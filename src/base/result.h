// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. TRY(expression) yields the value or returns the error to the
// caller. Reading the wrong alternative aborts: it is a broken invariant, not a condition to
// handle.
#pragma once

#include "base/error.h"
#include "base/verify.h"

#include <optional>
#include <utility>
#include <variant>

namespace berth {

template <class T>
class [[nodiscard]] Result {
  public:
    using value_type = T;

    Result(T value)
        : state_(std::in_place_index<0>, std::move(value)) {}

    Result(Error error)
        : state_(std::in_place_index<1>, std::move(error)) {}

    // Anything that T converts from (a derived unique_ptr, a string literal).
    template <class U>

    requires(
        std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
        !std::is_same_v<std::remove_cvref_t<U>, Error> &&
        !std::is_same_v<std::remove_cvref_t<U>, Result>) Result(U&& value)
        : state_(std::in_place_index<0>, std::forward<U>(value)) {}

    bool ok() const { return state_.index() == 0; }

    explicit operator bool() const { return ok(); }

    T& value() & {
        VERIFY(ok());
        return *std::get_if<0>(&state_);
    }

    const T& value() const& {
        VERIFY(ok());
        return *std::get_if<0>(&state_);
    }

    T&& value() && {
        VERIFY(ok());
        return std::move(*std::get_if<0>(&state_));
    }

    T value_or(T fallback) && { return ok() ? std::move(*this).value() : std::move(fallback); }

    const Error& error() const& {
        VERIFY(!ok());
        return *std::get_if<1>(&state_);
    }

    Error&& error() && {
        VERIFY(!ok());
        return std::move(*std::get_if<1>(&state_));
    }

    T& operator*() & { return value(); }

    const T& operator*() const& { return value(); }

    T&& operator*() && { return std::move(*this).value(); }

    T* operator->() { return &value(); }

    const T* operator->() const { return &value(); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    using value_type = void;

    Result() = default;

    Result(Error error)
        : error_(std::move(error)) {}

    bool ok() const { return !error_; }

    explicit operator bool() const { return ok(); }

    void value() const { VERIFY(ok()); }

    const Error& error() const& {
        VERIFY(!ok());
        return *error_;
    }

    Error&& error() && {
        VERIFY(!ok());
        return std::move(*error_);
    }

  private:
    std::optional<Error> error_;
};

// `return ok();` reads better than `return {};`.
inline Result<void> ok() {
    return {};
}

} // namespace berth

// A statement expression: g++ and clang both have it, and nothing else lets an expression return
// early.
#define TRY(expression)                                                                            \
    __extension__({                                                                                \
        auto&& try_result = (expression);                                                          \
        if (!try_result.ok()) [[unlikely]]                                                         \
            return std::move(try_result).error();                                                  \
        std::move(try_result).value();                                                             \
    })

// TRY with words before the error's message: TRY_CONTEXT(open(path), "image store").
#define TRY_CONTEXT(expression, context)                                                           \
    __extension__({                                                                                \
        auto&& try_result = (expression);                                                          \
        if (!try_result.ok()) [[unlikely]]                                                         \
            return std::move(try_result).error().with_context(context);                            \
        std::move(try_result).value();                                                             \
    })
