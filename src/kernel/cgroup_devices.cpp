// SPDX-License-Identifier: Apache-2.0
// Which devices a group may use. Version 1 has files for it; version 2 has an eBPF program of type
// BPF_PROG_TYPE_CGROUP_DEVICE, which is called for each open and mknod of a device.
#include "base/file.h"
#include "kernel/bpf.h"
#include "kernel/cgroup_files.h"

#include <cstddef>
#include <utility>
#include <vector>

#include <fcntl.h>

namespace berth::kernel::cgroup_files {

namespace {

constexpr std::size_t max_rules = 1024;
constexpr std::size_t max_attached = 64;

// What is asked, in one word, so that a rule is one comparison: the verifier follows both ways of
// each, which is most of what loading a program costs. Bits: 0 minor, 20 major (as the kernel's own
// device numbers), 32 type, 48 access.
constexpr std::uint8_t asked = BPF_REG_2;
constexpr unsigned major_shift = 20;
constexpr unsigned type_shift = 32;
constexpr unsigned access_shift = 48;
constexpr std::int64_t largest_minor = (1 << major_shift) - 1;
constexpr std::int64_t largest_major = (1 << (type_shift - major_shift)) - 1;
constexpr std::uint64_t type_mask = 0xffff;

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

// A program whose ends, to refuse and to allow, are jumped to once it is known where they are.
class Program {
  public:
    void add(int code, std::uint8_t destination, std::uint8_t source, std::int64_t value = 0) {
        instructions_.push_back(bpf_instruction(code, destination, source, 0, value));
    }

    void load_word(std::uint8_t destination, std::uint8_t base, std::size_t offset) {
        instructions_.push_back(bpf_instruction(
            BPF_LDX | BPF_MEM | BPF_W, destination, base, static_cast<std::int64_t>(offset)));
    }

    void load_constant(std::uint8_t destination, std::uint64_t value) {
        add(BPF_LD | BPF_IMM | BPF_DW,
            destination,
            0,
            static_cast<std::int64_t>(value & 0xffffffffU));
        add(0, 0, 0, static_cast<std::int64_t>(value >> 32U));
    }

    void jump_to_end(int code, std::uint8_t left, std::uint8_t right, bool allow) {
        ends_.emplace_back(instructions_.size(), allow);
        add(code, left, right);
    }

    std::vector<bpf_insn> finish(bool otherwise) && {
        add_end(otherwise);
        for (const bool allow : {false, true}) {
            const std::size_t end = instructions_.size();
            bool is_reached = false; // the verifier takes nothing else
            for (const auto& [from, wanted] : ends_) {
                if (wanted == allow) {
                    instructions_[from].off = static_cast<std::int16_t>(end - from - 1);
                    is_reached = true;
                }
            }
            if (is_reached) {
                add_end(allow);
            }
        }
        return std::move(instructions_);
    }

  private:
    void add_end(bool allow) {
        add(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, allow ? 1 : 0);
        add(BPF_JMP | BPF_EXIT, 0, 0);
    }

    std::vector<bpf_insn> instructions_;
    std::vector<std::pair<std::size_t, bool>> ends_; // jumps to them
};

void load_asked(Program& program) {
    constexpr std::uint8_t part = BPF_REG_3;
    // The type, and the access 16 bits above it.
    program.load_word(asked, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, access_type));
    program.add(BPF_ALU64 | BPF_LSH | BPF_K, asked, 0, type_shift);
    program.load_word(part, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, major));
    program.add(BPF_ALU64 | BPF_LSH | BPF_K, part, 0, major_shift);
    program.add(BPF_ALU64 | BPF_OR | BPF_X, asked, part);
    program.load_word(part, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, minor));
    program.add(BPF_ALU64 | BPF_OR | BPF_X, asked, part);
}

// Some bits of what is asked, and what they are where a rule fits.
struct Pattern {
    std::uint64_t mask = 0;
    std::uint64_t value = 0;

    Pattern with(std::uint64_t bits, std::uint64_t wanted, unsigned shift) const {
        return {mask | bits << shift, value | wanted << shift};
    }
};

void add_comparison(Program& program, const Pattern& pattern, bool allow) {
    program.add(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, asked);
    program.load_constant(BPF_REG_1, pattern.mask);
    program.add(BPF_ALU64 | BPF_AND | BPF_X, BPF_REG_0, BPF_REG_1);
    program.load_constant(BPF_REG_1, pattern.value);
    program.jump_to_end(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_0, BPF_REG_1, allow);
}

void add_rule(Program& program, const CgroupDeviceRule& rule) {
    if (rule.major > largest_major || rule.minor > largest_minor) {
        return; // no device of this kernel
    }
    Pattern device;
    if (rule.type != 'a') {
        device = device.with(
            type_mask, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, type_shift);
    }
    if (rule.major >= 0) {
        device = device.with(largest_major, static_cast<std::uint64_t>(rule.major), major_shift);
    }
    if (rule.minor >= 0) {
        device = device.with(largest_minor, static_cast<std::uint64_t>(rule.minor), 0);
    }
    // Allowed only if the rule covers all that is asked; refused if any of it is refused.
    const std::uint32_t access = access_bits(rule);
    if (rule.allow) {
        add_comparison(program, device.with(~access & all_access, 0, access_shift), true);
        return;
    }
    for (const std::uint32_t bit : {mknod_access, read_access, write_access}) {
        if ((access & bit) != 0) {
            add_comparison(program, device.with(bit, bit, access_shift), false);
        }
    }
}

std::vector<bpf_insn> device_program(const std::vector<CgroupDeviceRule>& rules) {
    Program program;
    load_asked(program);
    // The last rule that fits wins; what stands before a rule for everything counts no more.
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        if (is_everything(*rule)) {
            return std::move(program).finish(rule->allow);
        }
        add_rule(program, *rule);
    }
    return std::move(program).finish(false);
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
