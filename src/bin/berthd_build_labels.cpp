// SPDX-License-Identifier: Apache-2.0
// From one library's words to the other's.
#include "bin/berthd_build_labels.h"

#include "base/file.h"
#include "engine/volume_owner.h"

#include <fcntl.h>

namespace berth::bin {

namespace {

// As for volumes: a directory that has the label has it on all that is in it.
Result<void> apply_label(const std::string& path, const std::string& label) {
    const UniqueFd place = TRY(open_file(path, O_PATH | O_NOFOLLOW));
    return engine::label_of(place) == label ? ok() : engine::relabel_tree(place, path, label);
}

} // namespace

build::StepLabeling step_labeling(engine::SelinuxLabeler& labeler) {
    if (!labeler.is_enabled()) {
        return {};
    }
    build::StepLabeling labeling;
    labeling.take = [&labeler]() -> Result<build::StepLabels> {
        engine::SelinuxLabels labels = TRY(labeler.make({}));
        return build::StepLabels{
            .process = std::move(labels.process), .mount = std::move(labels.mount)};
    };
    labeling.give_back = [&labeler](const build::StepLabels& labels) {
        labeler.release(labels.process);
    };
    labeling.apply = apply_label;
    labeling.shared = labeler.shared();
    return labeling;
}

} // namespace berth::bin
