// SPDX-License-Identifier: Apache-2.0
// The commit that this program was built from. Its source file is generated at each build, and
// compiled when the commit is another one (cmake/write_commit.cmake).
#pragma once

#include <string_view>

namespace berth {

// 40 hexadecimal digits, or "unknown" for a build outside of the repository.
std::string_view build_commit();

} // namespace berth
