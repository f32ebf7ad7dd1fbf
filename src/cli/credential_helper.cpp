// SPDX-License-Identifier: Apache-2.0
// A token has the user name "<token>".
#include "cli/credential_helper.h"

#include "base/strings.h"
#include "cli/child.h"

namespace berth::cli {

namespace {

constexpr std::string_view token_user = "<token>";
// What every program made with docker's library prints, with exit code 1.
constexpr std::string_view nothing_there = "credentials not found in native keychain";

} // namespace

Result<std::string> CredentialHelper::run(
    std::string_view action, std::string_view doing, const std::string& input) const {
    std::string what = "error " + std::string(doing) + " credentials - err: ";
    auto outcome = run_program({program_, std::string(action)}, input);
    if (!outcome.ok()) {
        if (outcome.error().kind() == ErrorKind::NotFound) {
            return not_found(
                what + "exec: \"" + program_ + "\": executable file not found in $PATH, out: ``");
        }
        return std::move(outcome).error();
    }
    std::string output(trim(outcome->output));
    if (outcome->status.empty()) {
        return output;
    }
    if (output == nothing_there) {
        return not_found(output);
    }
    return internal_error(what + outcome->status + ", out: `" + output + "`");
}

Result<Credentials> CredentialHelper::get(std::string_view server) const {
    auto output = run("get", "getting", std::string(server));
    if (!output.ok()) {
        if (output.error().message() == nothing_there) {
            return Credentials{};
        }
        return std::move(output).error();
    }
    json::Value document = TRY_CONTEXT(json::parse(*output), program_);
    Credentials found;
    found.username = json::find_string(document, "Username");
    std::string secret(json::find_string(document, "Secret"));
    if (found.username == token_user) {
        found.username.clear();
        found.identity_token = std::move(secret);
    } else {
        found.password = std::move(secret);
    }
    return found;
}

Result<void>
CredentialHelper::store(std::string_view server, const Credentials& credentials) const {
    bool token = !credentials.identity_token.empty();
    json::Object document{
        {"ServerURL", server},
        {"Username", token ? token_user : std::string_view(credentials.username)},
        {"Secret", token ? credentials.identity_token : credentials.password}};
    TRY(run("store", "storing", json::serialize(json::Value(document))));
    return ok();
}

Result<void> CredentialHelper::erase(std::string_view server) const {
    auto outcome = run("erase", "erasing", std::string(server));
    if (!outcome.ok() && outcome.error().message() != nothing_there) {
        return std::move(outcome).error();
    }
    return ok();
}

Result<std::map<std::string, std::string>> CredentialHelper::list() const {
    std::string output = TRY(run("list", "listing", ""));
    json::Value document = TRY_CONTEXT(json::parse(output), program_);
    std::map<std::string, std::string> users;
    if (document.is_object()) {
        for (const auto& member : document.get_object()) {
            users[std::string(member.key())] =
                member.value().is_string() ? std::string(member.value().get_string()) : "";
        }
    }
    return users;
}

} // namespace berth::cli
