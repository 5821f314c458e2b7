// test_time.h: the time that templates see in the tests of chat/ and in their oracle.
#pragma once

#include <ctime>

namespace longgen {

/// Returns 2026-07-04 15:09:08, a Saturday.
inline std::tm test_time() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mon = 6;
  now.tm_mday = 4;
  now.tm_hour = 15;
  now.tm_min = 9;
  now.tm_sec = 8;
  now.tm_wday = 6;
  now.tm_yday = 184;
  return now;
}

}  // namespace longgen
