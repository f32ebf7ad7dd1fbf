// SPDX-License-Identifier: Apache-2.0
// linux.seccomp of the OCI runtime specification: which system calls a container may make.
// https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
#pragma once

#include "codec/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::oci {

struct SeccompArgument {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    std::string op;
};

struct SeccompRule {
    std::vector<std::string> names;
    std::string action;
    std::optional<std::uint32_t> errno_ret;
    std::vector<SeccompArgument> args;
};

struct Seccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<std::string> flags;
    std::vector<SeccompRule> syscalls;
    std::string listener_path;     // socket that gets the descriptor of SCMP_ACT_NOTIFY
    std::string listener_metadata; // goes with it
};

} // namespace berth::oci

namespace berth::json {

template <>
struct Fields<oci::SeccompArgument> {
    static constexpr auto table = std::tuple{
        field("index", &oci::SeccompArgument::index),
        field("value", &oci::SeccompArgument::value),
        field("valueTwo", &oci::SeccompArgument::value_two, OmitEmpty),
        field("op", &oci::SeccompArgument::op)};
};

template <>
struct Fields<oci::SeccompRule> {
    static constexpr auto table = std::tuple{
        field("names", &oci::SeccompRule::names),
        field("action", &oci::SeccompRule::action),
        field("errnoRet", &oci::SeccompRule::errno_ret, OmitEmpty),
        field("args", &oci::SeccompRule::args, OmitEmpty)};
};

template <>
struct Fields<oci::Seccomp> {
    static constexpr auto table = std::tuple{
        field("defaultAction", &oci::Seccomp::default_action),
        field("defaultErrnoRet", &oci::Seccomp::default_errno_ret, OmitEmpty),
        field("architectures", &oci::Seccomp::architectures, OmitEmpty),
        field("flags", &oci::Seccomp::flags, OmitEmpty),
        field("listenerPath", &oci::Seccomp::listener_path, OmitEmpty),
        field("listenerMetadata", &oci::Seccomp::listener_metadata, OmitEmpty),
        field("syscalls", &oci::Seccomp::syscalls, OmitEmpty)};
};

} // namespace berth::json
