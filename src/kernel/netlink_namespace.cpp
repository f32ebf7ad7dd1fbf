// SPDX-License-Identifier: Apache-2.0
// Entering and leaving network namespaces, per thread.
#include "kernel/netlink_namespace.h"

#include "base/file.h"

#include <fcntl.h>
#include <sched.h>

namespace berth::kernel {

Result<UniqueFd> current_network_namespace() {
    return open_file("/proc/thread-self/ns/net", O_RDONLY);
}

Result<NetworkNamespaceScope> NetworkNamespaceScope::enter(FdRef netns) {
    NetworkNamespaceScope scope(TRY(current_network_namespace()));
    // SAFETY: CLONE_NEWNET is per thread; the destructor brings the thread back.
    if (::setns(netns.get(), CLONE_NEWNET) != 0) {
        return errno_error("enter a network namespace");
    }
    return scope;
}

Result<NetworkNamespaceScope> NetworkNamespaceScope::enter_new() {
    NetworkNamespaceScope scope(TRY(current_network_namespace()));
    // SAFETY: CLONE_NEWNET is per thread; the destructor brings the thread back.
    if (::unshare(CLONE_NEWNET) != 0) {
        return errno_error("create a network namespace");
    }
    scope.entered_ = TRY(current_network_namespace());
    return scope;
}

NetworkNamespaceScope::~NetworkNamespaceScope() {
    if (before_) {
        VERIFY(::setns(before_.get(), CLONE_NEWNET) == 0);
    }
}

} // namespace berth::kernel
