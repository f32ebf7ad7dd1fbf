// SPDX-License-Identifier: Apache-2.0
// The grammar of https://github.com/distribution/reference, by hand: no regular expression runs
// over a stranger's text.
#include "oci/reference.h"

#include "base/strings.h"

#include <algorithm>

namespace berth::oci {

namespace {

constexpr std::string_view default_registry = "docker.io";
constexpr std::string_view legacy_registry = "index.docker.io";
constexpr std::string_view official_prefix = "library/";
constexpr std::string_view default_tag = "latest";
constexpr std::size_t path_limit = 255;
constexpr std::size_t tag_limit = 128;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

template <class Predicate>
bool all_of(std::string_view text, Predicate predicate) {
    return std::all_of(text.begin(), text.end(), predicate);
}

bool is_identifier(std::string_view text) {
    return text.size() == 64 && all_of(text, [](char c) { return is_hex(c) && !is_upper(c); });
}

bool is_domain_component(std::string_view text) {
    return !text.empty() && text.front() != '-' && text.back() != '-' && all_of(text, [](char c) {
        return is_lower(c) || is_upper(c) || is_digit(c) || c == '-';
    });
}

bool is_host(std::string_view text) {
    if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
        return all_of(
            text.substr(1, text.size() - 2), [](char c) { return is_hex(c) || c == ':'; });
    }
    const auto components = split(text, '.');
    return std::all_of(components.begin(), components.end(), is_domain_component);
}

bool is_domain(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    const std::size_t bracket = text.rfind(']');
    const bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    if (!has_port) {
        return is_host(text);
    }
    const std::string_view port = text.substr(colon + 1);
    return !port.empty() && all_of(port, is_digit) && is_host(text.substr(0, colon));
}

// alpha-numeric runs joined by ".", "_", "__" or any number of "-".
bool is_path_component(std::string_view text) {
    const auto alphanumeric = [](char c) { return is_lower(c) || is_digit(c); };
    if (text.empty() || !alphanumeric(text.front()) || !alphanumeric(text.back())) {
        return false;
    }
    for (std::size_t i = 0; i < text.size();) {
        if (alphanumeric(text[i])) {
            ++i;
            continue;
        }
        const char separator = text[i];
        const std::size_t end = std::min(text.find_first_not_of(separator, i), text.size());
        const std::size_t length = end - i;
        const bool valid = separator == '-' || (separator == '_' && length <= 2) ||
                           (separator == '.' && length == 1);
        if (!valid || !alphanumeric(text[end])) {
            return false;
        }
        i = end;
    }
    return true;
}

bool is_path(std::string_view text) {
    const auto components = split(text, '/');
    return std::all_of(components.begin(), components.end(), is_path_component);
}

// The form only; which algorithms there are is Digest's matter.
bool looks_like_digest(std::string_view text) {
    const auto parts = cut(text, ":");
    return parts && !parts->before.empty() && parts->after.size() >= 32 &&
           all_of(parts->after, is_hex) && all_of(parts->before, [](char c) {
               return is_lower(c) || is_upper(c) || is_digit(c) ||
                      std::string_view("-_+.").find(c) != std::string_view::npos;
           });
}

struct Parts {
    std::string registry;
    std::string path;
    std::string tag;
    std::string digest;
};

// A first component is a registry when it is "localhost", or cannot be a namespace of Docker Hub.
void split_registry(std::string_view text, std::string& registry, std::string& remainder) {
    registry = default_registry;
    remainder = text;
    if (const auto parts = cut(text, "/")) {
        const std::string_view first = parts->before;
        if (first == legacy_registry) {
            remainder = parts->after;
        } else if (
            first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
            !all_of(first, [](char c) { return !is_upper(c); })) {
            registry = first;
            remainder = parts->after;
        }
    }
    if (registry == default_registry && remainder.find('/') == std::string::npos) {
        remainder.insert(0, official_prefix);
    }
}

Parts split_parts(std::string_view text) {
    Parts parts;
    split_registry(text, parts.registry, parts.path);
    if (const std::size_t at = parts.path.find('@'); at != std::string::npos) {
        parts.digest = parts.path.substr(at);
        parts.path.resize(at);
    }
    if (const std::size_t colon = parts.path.find(':'); colon != std::string::npos) {
        parts.tag = parts.path.substr(colon);
        parts.path.resize(colon);
    }
    return parts;
}

// tag and digest still have their ':' and '@', so that "name:" differs from "name".
bool is_well_formed(const Parts& parts) {
    return is_domain(parts.registry) && is_path(parts.path) &&
           (parts.tag.empty() || is_valid_tag(std::string_view(parts.tag).substr(1))) &&
           (parts.digest.empty() || looks_like_digest(std::string_view(parts.digest).substr(1)));
}

} // namespace

bool is_valid_tag(std::string_view tag) {
    const auto word = [](char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '_'; };
    return !tag.empty() && tag.size() <= tag_limit && word(tag.front()) &&
           all_of(tag, [&word](char c) { return word(c) || c == '.' || c == '-'; });
}

Result<Reference> Reference::parse_normalized(std::string_view text) {
    if (is_identifier(text)) {
        return invalid_argument(
            "invalid repository name (" + std::string(text) +
            "), cannot specify 64-byte hexadecimal strings");
    }
    Parts parts = split_parts(text);
    if (!all_of(parts.path, [](char c) { return !is_upper(c); })) {
        return invalid_argument(
            "invalid reference format: repository name (" + parts.path + ") must be lowercase");
    }
    if (!is_well_formed(parts)) {
        return invalid_argument("invalid reference format");
    }
    if (parts.path.size() > path_limit) {
        return invalid_argument("repository name must not be more than 255 characters");
    }
    Reference reference;
    reference.registry_ = std::move(parts.registry);
    reference.path_ = std::move(parts.path);
    if (!parts.tag.empty()) {
        reference.tag_ = parts.tag.substr(1);
    }
    if (!parts.digest.empty()) {
        reference.digest_ = TRY(Digest::parse(std::string_view(parts.digest).substr(1)));
    }
    return reference;
}

std::string Reference::to_string() const {
    return name() + (has_tag() ? ":" + tag_ : "") + (has_digest() ? "@" + digest_.to_string() : "");
}

std::string Reference::familiar_name() const {
    if (registry_ != default_registry) {
        return name();
    }
    const std::string_view path = path_;
    if (path.starts_with(official_prefix)) {
        const std::string_view short_path = path.substr(official_prefix.size());
        if (short_path.find('/') == std::string_view::npos) {
            return std::string(short_path);
        }
    }
    return path_;
}

std::string Reference::familiar() const {
    return familiar_name() + (has_tag() ? ":" + tag_ : "") +
           (has_digest() ? "@" + digest_.to_string() : "");
}

Reference Reference::with_default_tag() const {
    Reference result = *this;
    if (is_name_only()) {
        result.tag_ = default_tag;
    }
    return result;
}

Result<Reference> Reference::with_tag(std::string_view tag) const {
    if (!is_valid_tag(tag)) {
        return invalid_argument("invalid tag format");
    }
    Reference result = without_tag_and_digest();
    result.tag_ = tag;
    return result;
}

Reference Reference::with_digest(Digest digest) const {
    Reference result = *this;
    result.digest_ = std::move(digest);
    return result;
}

Reference Reference::without_tag_and_digest() const {
    Reference result = *this;
    result.tag_.clear();
    result.digest_ = Digest();
    return result;
}

} // namespace berth::oci
