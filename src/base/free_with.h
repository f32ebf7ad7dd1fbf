// SPDX-License-Identifier: Apache-2.0
// A deleter for what a C library made: std::unique_ptr<X509, FreeWith<X509_free>>.
#pragma once

namespace berth {

template <auto free_function>
struct FreeWith {
    template <class T>
    void operator()(T* object) const {
        free_function(object);
    }
};

} // namespace berth
