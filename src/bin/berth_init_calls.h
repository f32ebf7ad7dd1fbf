// SPDX-License-Identifier: Apache-2.0
// System calls and the few library functions that berth-init needs, without a C library: the
// program is some kilobytes and has nothing in it that could fail before main.
#pragma once

#include <cstddef>

#include <sys/syscall.h>

namespace berth::init {

#if defined(__x86_64__)
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
    long result = number;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#elif defined(__riscv)
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
    register long a7 asm("a7") = number;
    register long a0 asm("a0") = a;
    register long a1 asm("a1") = b;
    register long a2 asm("a2") = c;
    register long a3 asm("a3") = d;
    register long a4 asm("a4") = e;
    asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4) : "memory");
    return a0;
}
#else
#error "berth-init: this architecture's system call instruction is missing"
#endif

template <class T>
long address(T* pointer) {
    return reinterpret_cast<long>(pointer);
}

[[noreturn]] inline void end(int status) {
    while (true) {
        system_call(SYS_exit_group, status);
    }
}

inline std::size_t length(const char* text) {
    std::size_t size = 0;
    while (text[size] != '\0') {
        ++size;
    }
    return size;
}

inline bool equal(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

inline void print(int fd, const char* text) {
    std::size_t left = length(text);
    while (left > 0) {
        long written = system_call(SYS_write, fd, address(text), static_cast<long>(left));
        if (written <= 0) {
            return;
        }
        text += written;
        left -= static_cast<std::size_t>(written);
    }
}

} // namespace berth::init
