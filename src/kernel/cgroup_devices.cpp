// SPDX-License-Identifier: Apache-2.0
// Which devices a group may use. Version 1 has files for it; version 2 has an eBPF program of type
// BPF_PROG_TYPE_CGROUP_DEVICE, which is called for each open and mknod of a device.
#include "base/file.h"
#include "kernel/bpf.h"
#include "kernel/cgroup_files.h"

#include <array>
#include <cstddef>

#include <fcntl.h>

namespace berth::kernel::cgroup_files {

namespace {

constexpr std::size_t max_rules = 1024;
constexpr std::size_t max_attached = 64;

// Registers: r1 the context, then type, access, major, minor as the program loads them first.
constexpr std::uint8_t type_register = BPF_REG_2;
constexpr std::uint8_t access_register = BPF_REG_3;
constexpr std::uint8_t major_register = BPF_REG_4;
constexpr std::uint8_t minor_register = BPF_REG_5;

constexpr std::uint32_t mknod_access = BPF_DEVCG_ACC_MKNOD;
constexpr std::uint32_t read_access = BPF_DEVCG_ACC_READ;
constexpr std::uint32_t write_access = BPF_DEVCG_ACC_WRITE;
constexpr std::uint32_t all_access = mknod_access | read_access | write_access;

std::uint32_t access_bits(const CgroupDeviceRule& rule) {
    return (rule.mknod ? mknod_access : 0U) | (rule.read ? read_access : 0U) |
           (rule.write ? write_access : 0U);
}

bool is_everything(const CgroupDeviceRule& rule) {
    return rule.type == 'a' && rule.major < 0 && rule.minor < 0 && access_bits(rule) == all_access;
}

// if (type, access, major and minor fit) return allow;
void emit_rule(std::vector<bpf_insn>& program, const CgroupDeviceRule& rule) {
    std::vector<bpf_insn> body;
    auto unless_equal = [&body](std::uint8_t reg, std::int64_t value) {
        body.push_back(bpf_instruction(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, value));
    };
    if (rule.type != 'a') {
        unless_equal(type_register, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    std::uint32_t access = access_bits(rule);
    if (access != all_access) {
        // Allowed only if the rule covers all that is asked; refused if any of it is refused.
        body.push_back(
            bpf_instruction(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_0, access_register, 0, 0));
        body.push_back(bpf_instruction(
            BPF_ALU | BPF_AND | BPF_K,
            BPF_REG_0,
            0,
            0,
            rule.allow ? ~access & all_access : access));
        body.push_back(bpf_instruction(
            BPF_JMP32 | (rule.allow ? BPF_JNE : BPF_JEQ) | BPF_K, BPF_REG_0, 0, 0, 0));
    }
    if (rule.major >= 0) {
        unless_equal(major_register, rule.major);
    }
    if (rule.minor >= 0) {
        unless_equal(minor_register, rule.minor);
    }
    body.push_back(bpf_instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, rule.allow ? 1 : 0));
    body.push_back(bpf_instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    for (std::size_t i = 0; i < body.size(); ++i) {
        if ((body[i].code & 7) == BPF_JMP32) {
            body[i].off = static_cast<std::int16_t>(body.size() - i - 1);
        }
    }
    program.insert(program.end(), body.begin(), body.end());
}

std::vector<bpf_insn> device_program(const std::vector<CgroupDeviceRule>& rules) {
    std::vector<bpf_insn> program;
    auto load = [&program](std::uint8_t reg, std::size_t offset) {
        program.push_back(bpf_instruction(
            BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, static_cast<std::int64_t>(offset)));
    };
    load(type_register, offsetof(bpf_cgroup_dev_ctx, access_type));
    program.push_back(
        bpf_instruction(BPF_ALU | BPF_MOV | BPF_X, access_register, type_register, 0, 0));
    program.push_back(bpf_instruction(BPF_ALU | BPF_AND | BPF_K, type_register, 0, 0, 0xffff));
    program.push_back(bpf_instruction(BPF_ALU | BPF_RSH | BPF_K, access_register, 0, 0, 16));
    load(major_register, offsetof(bpf_cgroup_dev_ctx, major));
    load(minor_register, offsetof(bpf_cgroup_dev_ctx, minor));
    bool otherwise = false;
    // The last rule that fits wins; what stands before a rule for everything counts no more.
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        if (is_everything(*rule)) {
            otherwise = rule->allow;
            break;
        }
        emit_rule(program, *rule);
    }
    program.push_back(
        bpf_instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, otherwise ? 1 : 0));
    program.push_back(bpf_instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    return program;
}

Result<std::vector<std::uint32_t>> attached_programs(FdRef group) {
    std::vector<std::uint32_t> ids(max_attached);
    bpf_attr attributes{};
    attributes.query.target_fd = static_cast<std::uint32_t>(group.get());
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
    attributes.query.prog_cnt = max_attached;
    if (bpf_call(BPF_PROG_QUERY, attributes) < 0) {
        return errno_error("query device programs");
    }
    ids.resize(attributes.query.prog_cnt);
    return ids;
}

Result<void> detach_programs(FdRef group, const std::vector<std::uint32_t>& ids) {
    for (std::uint32_t id : ids) {
        bpf_attr open{};
        open.prog_id = id;
        UniqueFd program(static_cast<int>(bpf_call(BPF_PROG_GET_FD_BY_ID, open)));
        if (!program) {
            return errno_error("open a device program");
        }
        bpf_attr detach{};
        detach.target_fd = static_cast<std::uint32_t>(group.get());
        detach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
        detach.attach_type = BPF_CGROUP_DEVICE;
        if (bpf_call(BPF_PROG_DETACH, detach) < 0) {
            return errno_error("detach a device program");
        }
    }
    return ok();
}

} // namespace

Result<void>
allow_devices_version1(const std::string& directory, const std::vector<CgroupDeviceRule>& rules) {
    auto number = [](std::int64_t value) {
        return value < 0 ? std::string("*") : std::to_string(value);
    };
    UniqueFd allow;
    UniqueFd deny;
    for (const CgroupDeviceRule& rule : rules) {
        const std::string name = rule.allow ? "devices.allow" : "devices.deny";
        UniqueFd& file = rule.allow ? allow : deny;
        if (!file) {
            file = TRY(open_file(directory + "/" + name, O_WRONLY));
        }
        std::string access =
            std::string(rule.read ? "r" : "") + (rule.write ? "w" : "") + (rule.mknod ? "m" : "");
        const std::string text = is_everything(rule)
                                     ? "a"
                                     : std::string(1, rule.type) + " " + number(rule.major) + ":" +
                                           number(rule.minor) + " " + access;
        // One rule a write: the kernel reads no further than the first.
        TRY_CONTEXT(write_all(file, text), "write \"" + text + "\" to " + directory + "/" + name);
    }
    return ok();
}

Result<void>
allow_devices_version2(const std::string& directory, const std::vector<CgroupDeviceRule>& rules) {
    if (rules.size() > max_rules) {
        return Error(ErrorKind::ResourceExhausted, "more than 1024 device rules");
    }
    UniqueFd group = TRY(open_file(directory, O_RDONLY | O_DIRECTORY));
    std::vector<std::uint32_t> before = TRY(attached_programs(group));
    // The default of a group without a program is to allow everything.
    if (!rules.empty() && !(is_everything(rules.back()) && rules.back().allow)) {
        UniqueFd program = TRY(
            load_bpf_program(BPF_PROG_TYPE_CGROUP_DEVICE, "berth_devices", device_program(rules)));
        bpf_attr attributes{};
        attributes.target_fd = static_cast<std::uint32_t>(group.get());
        attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
        attributes.attach_type = BPF_CGROUP_DEVICE;
        attributes.attach_flags = BPF_F_ALLOW_MULTI;
        if (bpf_call(BPF_PROG_ATTACH, attributes) < 0) {
            return errno_error("attach the device program");
        }
    }
    return detach_programs(group, before);
}

} // namespace berth::kernel::cgroup_files
