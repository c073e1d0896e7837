# What runs inside PostgreSQL: the server linked again with the seams, strata.so, and the installation that holds both.

# Builds PostgreSQL where the cache does not hold it yet.
execute_process(
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/postgres.sh ${STRATA_FLAVOUR}
  OUTPUT_VARIABLE postgresql OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE ".*\n" "" postgresql "${postgresql}")
message(STATUS "PostgreSQL: ${postgresql}")

set(server ${PROJECT_BINARY_DIR}/server/postgres)
file(GLOB seam_files CONFIGURE_DEPENDS seams/*)
add_custom_command(
  OUTPUT ${server}
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/relink.sh ${postgresql} ${PROJECT_BINARY_DIR}/server
  DEPENDS ${seam_files} scripts/relink.sh scripts/relink.mk ${postgresql}/complete
  COMMENT "Linking postgres again with the seams"
  VERBATIM)

set(staged ${server}:bin/postgres)
set(staged_files ${server})

file(GLOB server_sources CONFIGURE_DEPENDS
  src/pg/*.cc src/redo/*.cc src/ingest/*.cc src/workers/*.cc src/travel/*.cc src/versions/*.cc src/travellers/*.cc src/sql/*.cc
  src/main/*.cc)
if(server_sources)
  # Undefined symbols are the server's: they are resolved when it loads the library.
  add_library(strata MODULE ${server_sources})
  set_target_properties(strata PROPERTIES PREFIX "" CXX_EXTENSIONS ON)
  # PostgreSQL's headers assume these two in all code that includes them.
  target_compile_options(strata PRIVATE -fno-strict-aliasing -fwrapv)
  target_include_directories(strata PRIVATE src seams)
  target_include_directories(strata SYSTEM PRIVATE ${postgresql}/install/include/server)
  target_link_libraries(strata PRIVATE strata_store)
  target_link_options(strata PRIVATE -Wl,-z,now)
  list(APPEND staged $<TARGET_FILE:strata>:lib/strata.so)
  list(APPEND staged_files strata)
endif()

# What tests load into servers; never installed.
file(GLOB test_libraries CONFIGURE_DEPENDS test/oracle/*.cc test/t/*.cc test/crash/*.cc test/faults/*.cc)
foreach(source ${test_libraries})
  get_filename_component(name ${source} NAME_WE)
  add_library(strata_test_${name} MODULE ${source})
  set_target_properties(strata_test_${name} PROPERTIES PREFIX "" CXX_EXTENSIONS ON)
  target_compile_options(strata_test_${name} PRIVATE -fno-strict-aliasing -fwrapv)
  target_include_directories(strata_test_${name} PRIVATE src seams)
  target_include_directories(strata_test_${name} SYSTEM PRIVATE ${postgresql}/install/include/server)
endforeach()

file(GLOB extension_files CONFIGURE_DEPENDS sql/strata.control sql/strata--*.sql)
foreach(file ${extension_files})
  get_filename_component(name ${file} NAME)
  list(APPEND staged ${file}:share/extension/${name})
endforeach()
list(APPEND staged_files ${extension_files})

if(TARGET pg_strata)
  list(APPEND staged $<TARGET_FILE:pg_strata>:bin/pg_strata)
  list(APPEND staged_files pg_strata)
endif()

set(stage_stamp ${PROJECT_BINARY_DIR}/install.stamp)
add_custom_command(
  OUTPUT ${stage_stamp}
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/stage.sh ${postgresql} ${PROJECT_BINARY_DIR}/install ${staged}
  COMMAND ${CMAKE_COMMAND} -E touch ${stage_stamp}
  DEPENDS ${staged_files} scripts/stage.sh ${postgresql}/complete
  COMMENT "Staging PostgreSQL with strata"
  VERBATIM)
add_custom_target(stage ALL DEPENDS ${stage_stamp})

install(DIRECTORY ${PROJECT_BINARY_DIR}/install/ DESTINATION . USE_SOURCE_PERMISSIONS PATTERN .copy-of EXCLUDE)
