// SPDX-License-Identifier: Apache-2.0
// login and logout: docker's dialogue. The daemon asks the registry; what it accepted is kept.
#include "base/file.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/session.h"
#include "io/terminal.h"

#include <unistd.h>

namespace berth::cli::commands {

namespace {

constexpr std::size_t line_limit = 64U << 10;

struct Login {
    std::string server; // as config.json has it
    Credentials credentials;
};

bool has_terminal() {
    return io::is_terminal(FdRef::unowned(STDIN_FILENO));
}

// Without its end of line; byte by byte, for what follows is not ours.
Result<std::string> read_line() {
    std::string line;
    char c = 0;
    while (line.size() < line_limit) {
        ssize_t got = ::read(STDIN_FILENO, &c, 1);
        if (got < 0) {
            return errno_error("read from standard input");
        }
        if (got == 0 || c == '\n') {
            return std::string(trim(line));
        }
        line += c;
    }
    return invalid_argument("the line on standard input is too long");
}

Result<std::string> read_password() {
    TRY(print("Password: "));
    io::RawMode silence = TRY(io::RawMode::without_echo(FdRef::unowned(STDIN_FILENO)));
    Result<std::string> line = read_line();
    TRY(print("\n"));
    return line;
}

// docker's cli/command/registry.go, PromptUserForCredentials.
Result<void> ask(Login& login, const std::string& known_user) {
    if (!has_terminal() &&
        (login.credentials.username.empty() || login.credentials.password.empty())) {
        return invalid_argument("Cannot perform an interactive login from a non TTY device");
    }
    if (login.credentials.username.empty()) {
        TRY(print("Username" + (known_user.empty() ? "" : " (" + known_user + ")") + ": "));
        login.credentials.username = TRY(read_line());
        if (login.credentials.username.empty()) {
            login.credentials.username = known_user;
        }
        if (login.credentials.username.empty()) {
            return invalid_argument("username is required");
        }
    }
    if (login.credentials.password.empty()) {
        login.credentials.password = TRY(read_password());
        if (login.credentials.password.empty()) {
            return invalid_argument("password is required");
        }
    }
    return ok();
}

// The registry's answer; an identity token takes the password's place.
Result<std::string> authenticate(Session& session, Login& login) {
    json::Object body{
        {"username", login.credentials.username},
        {"password", login.credentials.password},
        {"serveraddress", login.server}};
    if (!login.credentials.identity_token.empty()) {
        body["identitytoken"] = login.credentials.identity_token;
    }
    json::Value answer = TRY(session.post("/auth", json::Value(body)));
    if (std::string token = text_of(answer, "IdentityToken"); !token.empty()) {
        login.credentials.password.clear();
        login.credentials.identity_token = token;
    }
    return text_of(answer, "Status");
}

Result<int> keep(CredentialFile& file, const Login& login, const std::string& status) {
    bool readable =
        TRY_CONTEXT(file.store(login.server, login.credentials), "Error saving credentials");
    if (readable) {
        print_error(
            "\nWARNING! Your credentials are stored unencrypted in '" + file.path() +
            "'.\nConfigure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n\n");
    }
    TRY(print(status.empty() ? "" : status + "\n"));
    return 0;
}

std::string server_key(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0] == "docker.io" || arguments[0] == hub_key) {
        return std::string(hub_key);
    }
    return hostname_of(arguments[0]);
}

struct LoginFlags {
    std::string username;
    std::string password;
    bool password_stdin = false;

    void declare(Flags& flags) {
        flags.text("password", 'p', password, "Password or Personal Access Token (PAT)");
        flags.boolean(
            "password-stdin",
            0,
            password_stdin,
            "Take the Password or Personal Access Token (PAT) from stdin");
        flags.text("username", 'u', username, "Username");
    }

    Result<void> check(const Flags& flags) {
        if (flags.given("password")) {
            print_error(
                "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
            if (password_stdin) {
                return invalid_argument("--password and --password-stdin are mutually exclusive");
            }
        }
        if (flags.given("username") && username.empty()) {
            return invalid_argument("username is empty");
        }
        if (flags.given("password") && password.empty()) {
            return invalid_argument("password is empty");
        }
        if (!password_stdin) {
            return ok();
        }
        if (username.empty()) {
            return invalid_argument("the --password-stdin option requires --username to be set");
        }
        password = TRY(read_all(FdRef::unowned(STDIN_FILENO), line_limit));
        for (char end : {'\n', '\r'}) {
            if (password.ends_with(end)) {
                password.pop_back();
            }
        }
        return ok();
    }
};

} // namespace

Result<int> login(Session& session, const Invocation& invocation) {
    Flags flags;
    LoginFlags chosen;
    chosen.declare(flags);
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 1);
    TRY(chosen.check(flags));
    CredentialFile file = TRY(CredentialFile::load(session.options().config));
    Login login{.server = server_key(arguments), .credentials = {}};
    std::string known_user;
    if (chosen.username.empty() && chosen.password.empty()) {
        Credentials known = TRY(file.get(login.server));
        known_user = known.username;
        bool usable =
            (!known.username.empty() && !known.password.empty()) || !known.identity_token.empty();
        if (usable) {
            login.credentials = std::move(known);
            print_error(
                "Authenticating with existing credentials..." +
                (known_user.empty() ? "" : " [Username: " + known_user + "]") + "\n");
            auto status = authenticate(session, login);
            if (status.ok()) {
                return keep(file, login, *status);
            }
            print_error("Login did not succeed, error: " + status.error().message() + "\n");
        }
    }
    login.credentials = {.username = chosen.username, .password = chosen.password};
    TRY(ask(login, known_user));
    std::string status = TRY(authenticate(session, login));
    return keep(file, login, status);
}

Result<int> logout(Session& session, const Invocation& invocation) {
    Flags flags;
    BERTH_PARSE_ARGUMENTS(arguments, flags, invocation, .most = 1);
    std::string server = server_key(arguments);
    std::vector<std::string> keys{server};
    if (server != hub_key) {
        // How older clients wrote it.
        keys.insert(keys.end(), {"http://" + server, "https://" + server});
        if (arguments[0] != server) {
            keys.push_back(arguments[0]);
        }
    }
    TRY(print("Removing login credentials for " + server + "\n"));
    CredentialFile file = TRY(CredentialFile::load(session.options().config));
    std::string failures;
    std::size_t failed = 0;
    for (const std::string& key : keys) {
        if (auto erased = file.erase(key); !erased.ok()) {
            failures += key + ": " + erased.error().message() + "\n";
            ++failed;
        }
    }
    if (failed == keys.size()) {
        print_error("WARNING: could not erase credentials:\n" + failures);
    }
    return 0;
}

} // namespace berth::cli::commands
