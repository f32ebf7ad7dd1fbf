// SPDX-License-Identifier: Apache-2.0
// Basic authentication against an htpasswd file with bcrypt hashes, which crypt(3) of libxcrypt
// checks. A check costs tens of milliseconds by design and a push is dozens of requests, so a
// password that was right is remembered for a while, as a keyed hash.
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/synchronized.h"
#include "codec/base64.h"
#include "codec/sha256.h"
#include "registry/server/authenticator.h"

#include <atomic>
#include <chrono>
#include <map>
#include <unordered_map>

#include <crypt.h>
#include <sys/stat.h>

namespace berth::registry {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t password_file_limit = 16U << 20;
constexpr std::size_t remembered_limit = 4096;
constexpr auto remembered_time = std::chrono::minutes(10);
constexpr std::size_t password_limit = 72; // of bcrypt: what is behind would not count
constexpr int checks_limit = 32; // at once: each is a processor's work for tens of milliseconds

// Of nobody's password: an unknown user takes as long as a known one, whose hash begins with
// "$2y$<cost>$".
std::string decoy_like(std::string_view hash) {
    constexpr std::string_view rest = "CCCCCCCCCCCCCCCCCCCCC.XLuME1Q5SzQ1ln0te9UMqwE063Hf9ya";
    return std::string(hash.substr(0, 7)) + std::string(rest);
}

using Users = std::map<std::string, std::string, std::less<>>; // to hashes

Result<Users> parse_users(std::string_view text, const std::string& file) {
    Users users;
    int number = 0;
    for (std::string_view line : split(text, '\n')) {
        ++number;
        line = trim(line);
        if (line.empty() || line.starts_with('#')) {
            continue;
        }
        std::optional<Cut> parts = cut(line, ":");
        std::string where = file + ":" + std::to_string(number);
        if (!parts || parts->before.empty()) {
            return invalid_argument(where + ": not of the form user:hash");
        }
        if (!parts->after.starts_with("$2a$") && !parts->after.starts_with("$2b$") &&
            !parts->after.starts_with("$2y$")) {
            return invalid_argument(where + ": not a bcrypt hash (htpasswd -B makes these)");
        }
        users.insert_or_assign(std::string(parts->before), std::string(parts->after));
    }
    return users;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    }
    return difference == 0;
}

bool verify_password(const std::string& password, const std::string& hash) {
    auto data = std::make_unique<crypt_data>(); // 32 KiB: too much for a small stack
    const char* made = crypt_r(password.c_str(), hash.c_str(), data.get());
    return made != nullptr && equal_in_constant_time(made, hash);
}

struct Login {
    std::string user;
    std::string password;
};

std::optional<Login> read_login(const http::Request& request) {
    std::string_view header = trim(request.headers.get("Authorization"));
    if (header.size() < 6 || !equals_ignoring_case(header.substr(0, 6), "basic ")) {
        return std::nullopt;
    }
    auto text = base64_decode(trim(header.substr(6)));
    std::optional<Cut> parts = text.ok() ? cut(*text, ":") : std::nullopt;
    if (!parts) {
        return std::nullopt;
    }
    return Login{std::string(parts->before), std::string(parts->after)};
}

// One of the checks that go on.
class CountedCheck {
  public:
    explicit CountedCheck(std::atomic<int>& all)
        : all_(all)
        , too_many_(all_.fetch_add(1) >= checks_limit) {}

    ~CountedCheck() { all_.fetch_sub(1); }

    CountedCheck(const CountedCheck&) = delete;
    CountedCheck& operator=(const CountedCheck&) = delete;

    bool too_many() const { return too_many_; }

  private:
    std::atomic<int>& all_;
    bool too_many_;
};

class Htpasswd final : public Authenticator {
  public:
    explicit Htpasswd(const HtpasswdOptions& options)
        : options_(options) {}

    // Reads the file again when it was changed.
    Result<void> refresh();
    Result<std::optional<Denial>>
    check(const http::Request& request, std::span<const Access>, std::string& user) override;

  private:
    struct State {
        Users users;
        std::string decoy = decoy_like("$2y$10$");
        timespec changed{};
        std::unordered_map<std::string, Clock::time_point> right; // keyed hashes of logins
    };

    Denial refuse(std::string detail) const;

    const HtpasswdOptions options_;
    const std::string key_ = random_hex(32);
    Synchronized<State> state_;
    std::atomic<int> checking_ = 0;
};

Result<void> Htpasswd::refresh() {
    struct stat status {};

    if (stat(options_.file.c_str(), &status) != 0) {
        return errno_error(options_.file);
    }
    {
        auto state = state_.lock();
        if (state->changed.tv_sec == status.st_mtim.tv_sec &&
            state->changed.tv_nsec == status.st_mtim.tv_nsec) {
            return ok();
        }
    }
    std::string text = TRY(read_file(options_.file, password_file_limit));
    Users users = TRY(parse_users(text, options_.file));
    auto state = state_.lock();
    if (!users.empty()) {
        state->decoy = decoy_like(users.begin()->second);
    }
    state->users = std::move(users);
    state->changed = status.st_mtim;
    state->right.clear();
    return ok();
}

Denial Htpasswd::refuse(std::string detail) const {
    return {
        .code = ErrorCode::Unauthorized,
        .detail = std::move(detail),
        .challenge = "Basic realm=\"" + replace_all(options_.realm, "\"", "'") + "\""};
}

Result<std::optional<Denial>>
Htpasswd::check(const http::Request& request, std::span<const Access>, std::string& user) {
    auto login = read_login(request);
    if (!login) {
        return std::optional(refuse("a user name and a password are needed"));
    }
    if (auto fresh = refresh(); !fresh.ok()) {
        log::warn(
            "the password file cannot be read, keeping the old one",
            {{"error", fresh.error().message()}});
    }
    std::string hash;
    std::string memory = sha256_hex(key_ + login->user + '\0' + login->password);
    bool known = false;
    {
        auto state = state_.lock();
        hash = state->decoy;
        if (auto found = state->users.find(login->user); found != state->users.end()) {
            hash = found->second;
            known = true;
        }
        auto right = state->right.find(memory);
        if (known && right != state->right.end() && right->second > Clock::now()) {
            user = std::move(login->user);
            return std::optional<Denial>();
        }
    }
    bool fits =
        login->password.size() <= password_limit && login->password.find('\0') == std::string::npos;
    CountedCheck check(checking_);
    if (check.too_many()) {
        return std::optional(
            Denial{.code = ErrorCode::TooManyRequests, .detail = "too many passwords to check"});
    }
    if (!verify_password(fits ? login->password : std::string(), hash) || !known || !fits) {
        return std::optional(refuse("the user name or the password is wrong"));
    }
    auto state = state_.lock();
    if (state->right.size() >= remembered_limit) {
        state->right.clear();
    }
    state->right.insert_or_assign(std::move(memory), Clock::now() + remembered_time);
    user = std::move(login->user);
    return std::optional<Denial>();
}

} // namespace

Result<std::unique_ptr<Authenticator>> make_htpasswd_authenticator(const HtpasswdOptions& options) {
    auto authenticator = std::make_unique<Htpasswd>(options);
    TRY(authenticator->refresh());
    return std::unique_ptr<Authenticator>(std::move(authenticator));
}

} // namespace berth::registry
