# The clang that tools/install_dependencies installs: 14 on Debian 12, 19 on Debian 13.
find_program(clang NAMES clang-14 clang-19 NO_CACHE REQUIRED)
set(CMAKE_C_COMPILER ${clang})
string(REPLACE clang- clang++- CMAKE_CXX_COMPILER ${clang})
