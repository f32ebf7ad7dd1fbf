# berth_library(name SOURCES … [TESTS …] [USES other berth libraries …] [EXTERNAL imported targets …]
#               [TEST_EXTERNAL …] [PRECOMPILED core|engine|runtime|none])
# makes the static library berth_<name> and, when it has tests, the program berth_<name>_test.
# PRECOMPILED: one of berth_precompiled.cmake that has the library's compile options; core is the default.
# berth_program(name SOURCES … USES … [EXTERNAL …] [STATIC]) makes bin/<name>.
# USES is checked against the layer table by tools/check_layers.

function(berth_library name)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;TESTS;USES;EXTERNAL;TEST_EXTERNAL;TEST_USES" ${ARGN})
  add_library(berth_${name} STATIC ${ARG_SOURCES})
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
  list(TRANSFORM ARG_USES PREPEND berth_ OUTPUT_VARIABLE uses)
  target_link_libraries(${name} PRIVATE ${uses} ${ARG_EXTERNAL})
  add_dependencies(programs ${name})
  # A sanitizer's run-time library cannot be linked into a static program.
  if(ARG_STATIC AND NOT BERTH_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie)
  endif()
endfunction()
