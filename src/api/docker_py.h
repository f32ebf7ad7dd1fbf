// SPDX-License-Identifier: Apache-2.0
// docker-py (testcontainers and Ansible use it) is told from other clients where it alone needs
// something.
#pragma once

#include "http/message.h"

namespace berth::api {

// By its name, or by what the library below it always sends: programs give it names of their own.
bool is_docker_py(const http::Request& request);

} // namespace berth::api
