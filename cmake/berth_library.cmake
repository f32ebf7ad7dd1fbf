# berth_library(name SOURCES … [TESTS …] [USES other berth libraries …] [EXTERNAL imported targets …]
#               [TEST_EXTERNAL …] [PRECOMPILED core|engine|runtime|none] [ALONE sources …] [SEPARATE])
# makes the static library berth_<name> and, when it has tests, the program berth_<name>_test.
# PRECOMPILED: one of berth_precompiled.cmake that has the library's compile options; core is the default.
# ALONE: sources whose system headers clash with those of others, so that no unity build may compile them together.
# SEPARATE: so are all of the library's, because a program takes a part of it, and must not load what only the other parts need.
# berth_program(name SOURCES … USES … [EXTERNAL …] [STATIC]) makes bin/<name>.
# USES is checked against the layer table by tools/check_layers.

# Compiles the target's sources a few at a time, where BERTH_UNITY is on (docs/decisions/0037-unity-builds.md).
function(berth_unite target)
  if(BERTH_UNITY)
    # Several of Linux's headers give way to the C library's where those come first, and clash with them where they do not.
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4
      UNITY_BUILD_CODE_BEFORE_INCLUDE "#include <net/if.h>\n#include <netinet/in.h>")
    # It warns of classes that have members of a source's own types, in files that are included: others might see the class
    # with other types. Here such files are sources, which nobody else includes.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

function(berth_library name)
  cmake_parse_arguments(ARG "SEPARATE" "PRECOMPILED" "SOURCES;TESTS;USES;EXTERNAL;TEST_EXTERNAL;TEST_USES;ALONE" ${ARGN})
  if(ARG_ALONE)
    set_source_files_properties(${ARG_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
  add_library(berth_${name} STATIC ${ARG_SOURCES})
  if(NOT ARG_SEPARATE)
    berth_unite(berth_${name})
  endif()
  target_include_directories(berth_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ARG_USES PREPEND berth_ OUTPUT_VARIABLE uses)
  target_link_libraries(berth_${name} PUBLIC ${uses} ${ARG_EXTERNAL})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED core)
  endif()
  if(NOT ARG_PRECOMPILED STREQUAL "none")
    target_precompile_headers(berth_${name} REUSE_FROM berth_precompiled_${ARG_PRECOMPILED})
  endif()
  if(ARG_TESTS AND NOT BERTH_FUZZ)
    list(TRANSFORM ARG_TEST_USES PREPEND berth_ OUTPUT_VARIABLE test_uses)
    add_executable(berth_${name}_test ${ARG_TESTS})
    berth_unite(berth_${name}_test)
    target_link_libraries(berth_${name}_test PRIVATE berth_${name} ${test_uses} ${ARG_TEST_EXTERNAL}
                                                     GTest::gmock GTest::gtest_main)
    set(test_precompiled test)
    if(ARG_PRECOMPILED MATCHES "^(engine|runtime)$")
      set(test_precompiled ${ARG_PRECOMPILED}_test)
    endif()
    target_precompile_headers(berth_${name}_test REUSE_FROM berth_precompiled_${test_precompiled})
    target_compile_options(berth_${name}_test PRIVATE ${BERTH_TEST_OPTIONS})
    add_test(NAME ${name} COMMAND berth_${name}_test)
  endif()
endfunction()

# What people run, without the tests.
add_custom_target(programs)

function(berth_program name)
  cmake_parse_arguments(ARG "STATIC" "" "SOURCES;USES;EXTERNAL" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  berth_unite(${name})
  list(TRANSFORM ARG_USES PREPEND berth_ OUTPUT_VARIABLE uses)
  target_link_libraries(${name} PRIVATE ${uses} ${ARG_EXTERNAL})
  add_dependencies(programs ${name})
  # A sanitizer's run-time library cannot be linked into a static program.
  if(ARG_STATIC AND NOT BERTH_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie)
  endif()
endfunction()
