# Compiler and linker settings that every target shares.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(BERTH_WERROR "Treat warnings as errors" OFF)
option(BERTH_UNITY "Compile several sources of a target as one (docs/decisions/0037-unity-builds.md)" OFF)
option(BERTH_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(BERTH_SANITIZE "" CACHE STRING "Value of -fsanitize=, empty for none")

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                    -Wold-style-cast -Wswitch-enum -Wno-missing-field-initializers -fvisibility=hidden -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12 about inlined std::string and std::variant (GCC bugs 105651 and 105593); the last two are
  # raised in the C++ library's own headers once they come from a precompiled header.
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized -Wno-free-nonheap-object -Wno-stringop-overflow
                      -Wno-array-bounds -Wno-stringop-overread)
  # The compiler collects its garbage from 600 MB on: 5 % of its time for some 200 MB more.
  add_compile_options(--param=ggc-min-heapsize=600000)
endif()
# Messages name sources as the tree has them, and where it was built makes no difference to a program.
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(BERTH_WERROR)
  add_compile_options(-Werror)
endif()
# -O2: nothing here gains from -O3 but the compiler's own running time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
# Of the sources of tests: optimising GoogleTest's macros takes a third of their time (docs/decisions/0013).
set(BERTH_TEST_OPTIONS $<$<CONFIG:Release>:-Og>)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
                      -fstack-clash-protection -ffunction-sections -fdata-sections)
  add_link_options(-Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed)
endif()
if(BERTH_SANITIZE)
  add_compile_options(-fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BERTH_SANITIZE})
endif()

find_program(BERTH_CCACHE ccache)
if(BERTH_CCACHE)
  # Precompiled headers are cached only with these: the last two because CMake has just written what includes them.
  set(sloppiness pch_defines,time_macros,include_file_mtime,include_file_ctime)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=${sloppiness} ${BERTH_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${BERTH_CCACHE})
endif()
find_program(BERTH_MOLD mold)
if(BERTH_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
