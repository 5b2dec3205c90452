# Llhttp::Llhttp: the installed library (libllhttp-dev, 9 or later) where there is one, else the sources that Debian
# ships in node-llhttp, compiled here as they are.

find_path(Llhttp_INCLUDE_DIR llhttp.h PATHS /usr/include /usr/local/include NO_DEFAULT_PATH)
find_library(Llhttp_LIBRARY NAMES llhttp)
if(NOT (Llhttp_INCLUDE_DIR AND Llhttp_LIBRARY))
  unset(Llhttp_INCLUDE_DIR CACHE)
  unset(Llhttp_LIBRARY CACHE)
  find_path(Llhttp_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
  find_path(Llhttp_SOURCE_DIR NAMES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
  mark_as_advanced(Llhttp_SOURCE_DIR)
endif()
mark_as_advanced(Llhttp_INCLUDE_DIR Llhttp_LIBRARY)

if(Llhttp_INCLUDE_DIR)
  set(Llhttp_VERSION)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${Llhttp_INCLUDE_DIR}/llhttp.h" line REGEX "^#define LLHTTP_VERSION_${part} ")
    string(REGEX REPLACE "[^0-9]" "" digits "${line}")
    list(APPEND Llhttp_VERSION "${digits}")
  endforeach()
  list(JOIN Llhttp_VERSION "." Llhttp_VERSION)
endif()

if(Llhttp_LIBRARY)
  set(Llhttp_FROM "${Llhttp_LIBRARY}")
else()
  set(Llhttp_FROM "${Llhttp_SOURCE_DIR}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp
  REQUIRED_VARS Llhttp_FROM Llhttp_INCLUDE_DIR VERSION_VAR Llhttp_VERSION
  REASON_FAILURE_MESSAGE "install libllhttp-dev (Debian 13 and later) or node-llhttp (Debian 12)")

if(Llhttp_FOUND AND NOT TARGET Llhttp::Llhttp)
  if(Llhttp_LIBRARY)
    add_library(Llhttp::Llhttp UNKNOWN IMPORTED)
    set_target_properties(Llhttp::Llhttp PROPERTIES
      IMPORTED_LOCATION "${Llhttp_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${Llhttp_INCLUDE_DIR}")
  else()
    file(GLOB sources "${Llhttp_SOURCE_DIR}/*.c")
    add_library(llhttp_from_source STATIC ${sources})
    target_include_directories(llhttp_from_source SYSTEM PUBLIC "${Llhttp_INCLUDE_DIR}")
    target_compile_options(llhttp_from_source PRIVATE -w)
    target_link_libraries(llhttp_from_source PRIVATE carillon_instrument)
    add_library(Llhttp::Llhttp ALIAS llhttp_from_source)
  endif()
endif()
