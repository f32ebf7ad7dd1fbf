// SPDX-License-Identifier: Apache-2.0
// The list of commands: docker's short words and their long forms.
#include "cli/command.h"
#include "cli/commands/commands.h"
#include "cli/spelling.h"

#include <utility>

namespace berth::cli {

namespace {

// clang-format off
constexpr Command table[] = {
    {"run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image", commands::run},
    {"exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container", commands::exec},
    {"ps", "[OPTIONS]", "List containers", commands::ps},
    {"build", "[OPTIONS] PATH | -", "Build an image from a Dockerfile", commands::build},
    {"pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", commands::pull},
    {"push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry", commands::push},
    {"images", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", commands::images},
    {"login", "[OPTIONS] [SERVER]", "Authenticate to a registry", commands::login},
    {"logout", "[SERVER]", "Log out from a registry", commands::logout},
    {"version", "[OPTIONS]", "Show the Berth version information", commands::version},
    {"info", "[OPTIONS]", "Display system-wide information", commands::info},
    {"registry", "[OPTIONS]", "Start a registry on this machine", commands::registry},
    {"attach", "[OPTIONS] CONTAINER", "Attach local standard input, output, and error streams to a running container", commands::attach},
    {"commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes", commands::commit},
    {"cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem", commands::cp},
    {"create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", commands::create},
    {"diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem", commands::diff},
    {"events", "[OPTIONS]", "Get real time events from the server", commands::events},
    {"export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive", commands::export_container},
    {"history", "[OPTIONS] IMAGE", "Show the history of an image", commands::history},
    {"import", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image", commands::import},
    {"inspect", "[OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on objects", commands::inspect},
    {"kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers", commands::kill},
    {"load", "[OPTIONS]", "Load an image from a tar archive or STDIN", commands::load},
    {"logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container", commands::logs},
    {"pause", "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers", commands::pause},
    {"port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", commands::port},
    {"port add", "CONTAINER [HOST_IP:][HOST_PORT:]PORT[/PROTO] [PORT...]", "Publish further ports of a container, running or not", commands::port_add, false},
    {"port rm", "CONTAINER [HOST_IP:][HOST_PORT:]PORT[/PROTO] [PORT...]", "Withdraw published ports of a container, running or not", commands::port_rm, false},
    {"rename", "CONTAINER NEW_NAME", "Rename a container", commands::rename},
    {"restart", "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers", commands::restart},
    {"rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers", commands::rm},
    {"rmi", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", commands::rmi},
    {"save", "[OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)", commands::save},
    {"search", "[OPTIONS] TERM", "Search Docker Hub for images", commands::search},
    {"start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers", commands::start},
    {"stats", "[OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics", commands::stats},
    {"stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers", commands::stop},
    {"tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", commands::tag},
    {"top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container", commands::top},
    {"unpause", "CONTAINER [CONTAINER...]", "Unpause all processes within one or more containers", commands::unpause},
    {"update", "[OPTIONS] CONTAINER [CONTAINER...]", "Update configuration of one or more containers", commands::update},
    {"wait", "CONTAINER [CONTAINER...]", "Block until one or more containers stop, then print their exit codes", commands::wait},

    {"artifact ls", "[OPTIONS] NAME[:TAG|@DIGEST]", "List what refers to an image or artifact in a registry", commands::artifact_ls, false},
    {"artifact pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download the files of an artifact from a registry", commands::artifact_pull, false},
    {"artifact push", "[OPTIONS] NAME[:TAG] [FILE[:TYPE]...]", "Upload files to a registry as an artifact", commands::artifact_push, false},
    {"image bootstrap", "[OPTIONS] NAME[:SUITE]", "Make a base image from the distribution's signed packages", commands::bootstrap, false},
    {"image build", "[OPTIONS] PATH | -", "Build an image from a Dockerfile", commands::build, false},
    {"image history", "[OPTIONS] IMAGE", "Show the history of an image", commands::history, false},
    {"image import", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image", commands::import, false},
    {"image inspect", "[OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images", commands::inspect_image, false},
    {"image load", "[OPTIONS]", "Load an image from a tar archive or STDIN", commands::load, false},
    {"image ls", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", commands::images, false},
    {"image prune", "[OPTIONS]", "Remove unused images", commands::image_prune, false},
    {"image pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", commands::pull, false},
    {"image push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry", commands::push, false},
    {"image rm", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", commands::rmi, false},
    {"image save", "[OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)", commands::save, false},
    {"image tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", commands::tag, false},
    {"container attach", "[OPTIONS] CONTAINER", "Attach local standard input, output, and error streams to a running container", commands::attach, false},
    {"container commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes", commands::commit, false},
    {"container cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem", commands::cp, false},
    {"container create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", commands::create, false},
    {"container diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem", commands::diff, false},
    {"container exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container", commands::exec, false},
    {"container export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive", commands::export_container, false},
    {"container inspect", "[OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on one or more containers", commands::inspect_container, false},
    {"container kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers", commands::kill, false},
    {"container logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container", commands::logs, false},
    {"container ls", "[OPTIONS]", "List containers", commands::ps, false},
    {"container pause", "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers", commands::pause, false},
    {"container port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", commands::port, false},
    {"container prune", "[OPTIONS]", "Remove all stopped containers", commands::container_prune, false},
    {"container rename", "CONTAINER NEW_NAME", "Rename a container", commands::rename, false},
    {"container restart", "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers", commands::restart, false},
    {"container rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers", commands::rm, false},
    {"container run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image", commands::run, false},
    {"container start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers", commands::start, false},
    {"container stats", "[OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics", commands::stats, false},
    {"container stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers", commands::stop, false},
    {"container top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container", commands::top, false},
    {"container unpause", "CONTAINER [CONTAINER...]", "Unpause all processes within one or more containers", commands::unpause, false},
    {"container update", "[OPTIONS] CONTAINER [CONTAINER...]", "Update configuration of one or more containers", commands::update, false},
    {"container wait", "CONTAINER [CONTAINER...]", "Block until one or more containers stop, then print their exit codes", commands::wait, false},
    {"builder prune", "[OPTIONS]", "Remove build cache", commands::builder_prune, false},
    {"network connect", "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network", commands::network_connect, false},
    {"network create", "[OPTIONS] NETWORK", "Create a network", commands::network_create, false},
    {"network disconnect", "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network", commands::network_disconnect, false},
    {"network inspect", "[OPTIONS] NETWORK [NETWORK...]", "Display detailed information on one or more networks", commands::inspect_network, false},
    {"network ls", "[OPTIONS]", "List networks", commands::network_ls, false},
    {"network prune", "[OPTIONS]", "Remove all unused networks", commands::network_prune, false},
    {"network rm", "[OPTIONS] NETWORK [NETWORK...]", "Remove one or more networks", commands::network_rm, false},
    {"mount add", "CONTAINER MOUNT", "Add a mount to a container, running or not", commands::mount_add, false},
    {"mount rm", "CONTAINER TARGET", "Take a mount from a container, running or not", commands::mount_rm, false},
    {"volume clone", "[OPTIONS] VOLUME NEW_VOLUME", "Create a volume with the content of another", commands::volume_clone, false},
    {"volume create", "[OPTIONS] [VOLUME]", "Create a volume", commands::volume_create, false},
    {"volume export", "[OPTIONS] VOLUME", "Write a volume's content as a tar archive", commands::volume_export, false},
    {"volume import", "[OPTIONS] VOLUME [file|-]", "Create a volume from a tar archive", commands::volume_import, false},
    {"volume inspect", "[OPTIONS] VOLUME [VOLUME...]", "Display detailed information on one or more volumes", commands::inspect_volume, false},
    {"volume ls", "[OPTIONS]", "List volumes", commands::volume_ls, false},
    {"volume prune", "[OPTIONS]", "Remove unused local volumes", commands::volume_prune, false},
    {"volume rm", "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes", commands::volume_rm, false},
    {"system check", "[OPTIONS]", "Check blobs, layers and metadata on disk, and repair them", commands::system_check, false},
    {"system df", "[OPTIONS]", "Show disk usage", commands::system_df, false},
    {"system events", "[OPTIONS]", "Get real time events from the server", commands::events, false},
    {"system info", "[OPTIONS]", "Display system-wide information", commands::info, false},
    {"system prune", "[OPTIONS]", "Remove unused data", commands::system_prune, false},
};
// clang-format on

// docker's second names of commands, and their first.
constexpr std::pair<std::string_view, std::string_view> second_names[] = {
    {"container list", "container ls"},
    {"container ps", "container ls"},
    {"container remove", "container rm"},
    {"image list", "image ls"},
    {"image remove", "image rm"},
    {"network list", "network ls"},
    {"network remove", "network rm"},
    {"volume list", "volume ls"},
    {"volume remove", "volume rm"},
};

} // namespace

std::span<const Command> all_commands() {
    return table;
}

std::string_view first_spelling(std::string_view path) {
    for (const auto& [second, first] : second_names) {
        if (path == second) {
            return first;
        }
    }
    return path;
}

std::vector<std::string_view> spellings(const Command& command) {
    std::vector<std::string_view> found;
    for (const bool grouped : {true, false}) {
        for (const Command& candidate : table) {
            const bool in_group = candidate.path.find(' ') != std::string_view::npos;
            if (candidate.run != command.run || in_group != grouped) {
                continue;
            }
            found.push_back(candidate.path);
            for (const auto& [second, first] : second_names) {
                if (first == candidate.path) {
                    found.push_back(second);
                }
            }
        }
    }
    return found;
}

} // namespace berth::cli
