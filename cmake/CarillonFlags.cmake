# How every file of the project is compiled: linked as carillon_flags, never set globally, so that code which is not
# ours (llhttp) keeps its own warnings. carillon_instrument is the part that such code has to share.

option(CARILLON_WERROR "Warnings are errors" OFF)
option(CARILLON_FUZZ "Build the fuzz targets with libFuzzer (clang only)" OFF)
set(CARILLON_SANITIZE none CACHE STRING "address (with undefined behaviour), thread, or none")
set_property(CACHE CARILLON_SANITIZE PROPERTY STRINGS none address thread)

# Release keeps assert(): what "cannot happen" should stop the server, not corrupt it.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Type of build" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(carillon_instrument INTERFACE)
if(CARILLON_SANITIZE STREQUAL "address")
  set(instrument -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(CARILLON_SANITIZE STREQUAL "thread")
  set(instrument -fsanitize=thread)
elseif(CARILLON_SANITIZE STREQUAL "none")
  set(instrument)
else()
  message(FATAL_ERROR "CARILLON_SANITIZE is '${CARILLON_SANITIZE}': want address, thread or none")
endif()
if(CARILLON_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CARILLON_FUZZ needs clang (-DCMAKE_C_COMPILER=clang)")
  endif()
  target_compile_options(carillon_instrument INTERFACE -fsanitize=fuzzer-no-link)
endif()
# Everything ends up in a position independent executable. -fPIE says so, where -fPIC would keep the compiler from
# inlining for the sake of a shared library that nobody makes.
target_compile_options(carillon_instrument INTERFACE -fPIE ${instrument})
target_link_options(carillon_instrument INTERFACE -pie ${instrument})

add_library(carillon_flags INTERFACE)
target_link_libraries(carillon_flags INTERFACE carillon_instrument)
target_compile_features(carillon_flags INTERFACE c_std_17)
target_compile_definitions(carillon_flags INTERFACE _GNU_SOURCE CARILLON_VERSION="${PROJECT_VERSION}")
target_include_directories(carillon_flags INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_compile_options(carillon_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wformat=2 -Wcast-qual -Wmissing-prototypes
  -Wstrict-prototypes -Wnull-dereference
  $<$<BOOL:${CARILLON_WERROR}>:-Werror>
  -fstack-protector-strong -fno-plt -fno-common)
target_link_options(carillon_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)

# Programs with the property CARILLON_WHOLE are optimised across files when they are linked: what an event passes through
# is many small functions of many files. Tests are not, for their number; so objects hold both forms, which clang does
# not offer.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT instrument)
  target_compile_options(carillon_flags INTERFACE -flto=auto -ffat-lto-objects)
  target_link_options(carillon_flags INTERFACE
    $<IF:$<BOOL:$<TARGET_PROPERTY:CARILLON_WHOLE>>,-flto=auto,-fno-lto>)
endif()

if(instrument OR CARILLON_FUZZ)
  target_compile_options(carillon_flags INTERFACE -fno-omit-frame-pointer)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # The C library honours it in optimised builds only, and the sanitizers do better themselves.
  target_compile_options(carillon_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(CARILLON_SANITIZE STREQUAL "thread")
  # ThreadSanitizer can't see into Concurrency Kit's inline assembly: this header, ahead of everything else, maps the
  # ring's loads and stores to builtins that it does see.
  set(shim "${PROJECT_SOURCE_DIR}/src/runtime/tsan_ck.h")
  if(EXISTS "${shim}")
    target_compile_options(carillon_flags INTERFACE "SHELL:-include ${shim}")
  endif()
  # gcc says of every atomic_thread_fence that the sanitizer does not model it.
  target_compile_options(carillon_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
endif()
