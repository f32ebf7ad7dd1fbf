// SPDX-License-Identifier: Apache-2.0
// eBPF programs, instruction by instruction: what the programs of this library have in common. All
// of them end early at one place, where they do nothing. Internal.
#pragma once

#include "base/unique_fd.h"
#include "kernel/bpf.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace berth::network {

class BpfAssembler {
  public:
    void
    add(int code,
        std::uint8_t to,
        std::uint8_t from,
        std::int64_t offset = 0,
        std::int64_t value = 0) {
        program_.push_back(kernel::bpf_instruction(code, to, from, offset, value));
    }

    void load(int size, std::uint8_t to, std::uint8_t base, std::size_t offset) {
        add(BPF_LDX | BPF_MEM | size, to, base, static_cast<std::int64_t>(offset));
    }

    void store_at(int size, std::uint8_t base, std::size_t offset, std::uint8_t from) {
        add(BPF_STX | BPF_MEM | size, base, from, static_cast<std::int64_t>(offset));
    }

    // `stack_offset` counts from the frame pointer, downwards.
    void store(int size, std::int64_t stack_offset, std::uint8_t from) {
        add(BPF_STX | BPF_MEM | size, BPF_REG_10, from, stack_offset);
    }

    void set(std::uint8_t to, std::int64_t value) {
        add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
    }

    void set_wide(std::uint8_t to, std::uint64_t value) {
        add(BPF_LD | BPF_DW | BPF_IMM, to, 0, 0, static_cast<std::int64_t>(value & 0xffffffffU));
        add(0, 0, 0, 0, static_cast<std::int64_t>(value >> 32U));
    }

    void move(std::uint8_t to, std::uint8_t from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }

    void set_table(std::uint8_t to, FdRef table) {
        add(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, table.get());
        add(0, 0, 0);
    }

    // The address of what make_bpf_word() has made.
    void set_word_address(std::uint8_t to, FdRef word) {
        add(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_VALUE, 0, word.get());
        add(0, 0, 0);
    }

    void give_up_if(int condition, std::uint8_t reg, std::int64_t value) {
        to_end_.push_back(program_.size());
        add(BPF_JMP | condition | BPF_K, reg, 0, 0, value);
    }

    void give_up_if_register(int condition, std::uint8_t reg, std::uint8_t other) {
        to_end_.push_back(program_.size());
        add(BPF_JMP | condition | BPF_X, reg, other);
    }

    // r0: the value's address, or 0.
    void find(FdRef table, int key_on_stack) {
        set_table(BPF_REG_1, table);
        move(BPF_REG_2, BPF_REG_10);
        add(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, key_on_stack);
        call(BPF_FUNC_map_lookup_elem);
    }

    // r0: the value's address. Gives up where there is none.
    void look_up(FdRef table, int key_on_stack) {
        find(table, key_on_stack);
        give_up_if(BPF_JEQ, BPF_REG_0, 0);
    }

    // Of one packet in so many (a power of two): a record from the stack.
    void tell_one_in(std::int64_t count, FdRef ring, int record_on_stack, std::size_t size) {
        call(BPF_FUNC_get_prandom_u32);
        add(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, count - 1);
        const std::size_t is_another = place();
        add(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, 0);
        set_table(BPF_REG_1, ring);
        move(BPF_REG_2, BPF_REG_10);
        add(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, record_on_stack);
        set(BPF_REG_3, static_cast<std::int64_t>(size));
        set(BPF_REG_4, 0);
        call(BPF_FUNC_ringbuf_output);
        land(is_another);
    }

    void call(int function) { add(BPF_JMP | BPF_CALL, 0, 0, 0, function); }

    void leave() { add(BPF_JMP | BPF_EXIT, 0, 0); }

    std::size_t place() const { return program_.size(); }

    // The jump at `from` comes here.
    void land(std::size_t from) {
        program_[from].off = static_cast<std::int16_t>(program_.size() - from - 1);
    }

    // A program that gave up goes on here.
    void land_given_up() {
        for (const std::size_t jump : std::exchange(to_end_, {})) {
            land(jump);
        }
    }

    // What a program leaves to the one that it goes on with.
    static constexpr std::size_t bequest = offsetof(__sk_buff, cb);

    // As finish(), but a packet for which there is an interface in the bequest of the context is
    // that interface's from now on, as if it had been received there.
    std::vector<bpf_insn> finish_or_hand_up(std::int64_t answer, std::uint8_t context) {
        land_given_up();
        load(BPF_W, BPF_REG_1, context, bequest);
        const std::size_t is_none = place();
        add(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0);
        set(BPF_REG_2, BPF_F_INGRESS);
        call(BPF_FUNC_redirect);
        leave();
        land(is_none);
        return finish(answer);
    }

    // Where a program that gave up ends, and one that comes here: with this answer.
    std::vector<bpf_insn> finish(std::int64_t answer) {
        land_given_up();
        set(BPF_REG_0, answer);
        leave();
        return std::move(program_);
    }

  private:
    std::vector<bpf_insn> program_;
    std::vector<std::size_t> to_end_;
};

} // namespace berth::network
