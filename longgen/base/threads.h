// base/threads.h: how many threads a user may ask for, and how many work where none are asked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>

namespace longgen {

/// The largest number of threads. The libraries under libtorch sort an array of one entry a thread
/// on the stack of a thread that they started themselves: with 2,048 threads the program ends in a
/// segmentation fault, with 1,024 it works.
inline constexpr int64_t kMaxThreads = 1024;

/// Returns one thread a core, and 1 where the system does not say how many cores there are.
inline int64_t default_threads() {
  return std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
}

}  // namespace longgen
