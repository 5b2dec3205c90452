# What the project stands on. Everything with a pkg-config file is found by it; the rest has a Find module here.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
find_package(ZLIB REQUIRED)
find_package(Llhttp 8.1 REQUIRED)
pkg_check_modules(Uv REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(Ck REQUIRED IMPORTED_TARGET ck>=0.7)
pkg_check_modules(Jansson REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(Deflate REQUIRED IMPORTED_TARGET libdeflate>=1.14) # tools/embed alone
pkg_check_modules(Sqlite REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(Pq REQUIRED IMPORTED_TARGET libpq>=15)
# Of Debian 12 and 13: from 2.0 on it is another interface.
pkg_check_modules(Jwt REQUIRED IMPORTED_TARGET libjwt>=1.10 libjwt<2)
pkg_check_modules(Yaml REQUIRED IMPORTED_TARGET yaml-0.1)
