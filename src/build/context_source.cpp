// SPDX-License-Identifier: Apache-2.0
// The archive is unpacked before the Dockerfile can be read: it may be the last of its files.
#include "build/context_source.h"

namespace berth::build {

Result<std::string> TarContext::dockerfile(const ContextPlace& place, const std::string& name) {
    context_.emplace(TRY(BuildContext::create(place.directory, archive_, place.limits)));
    std::string text = TRY(context_->read_dockerfile(name));
    return text;
}

Result<BuildContext> TarContext::files(const ContextPlace&) {
    TRY(context_->apply_ignore_file());
    return std::move(*context_);
}

} // namespace berth::build
