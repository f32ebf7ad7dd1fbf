# The version and the architecture in the names that Docker's clients expect.
set(architecture ${CMAKE_SYSTEM_PROCESSOR})
string(REPLACE "x86_64" "amd64" architecture ${architecture})
string(REPLACE "aarch64" "arm64" architecture ${architecture})
add_compile_definitions(BERTH_VERSION="${PROJECT_VERSION}" BERTH_ARCHITECTURE="${architecture}")
