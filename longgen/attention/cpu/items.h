// attention/cpu/items.h: items of work of uneven size, spread over the threads of ATen.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace longgen::cpu {

/// Calls work(state, item) once for every item in [0, num_items). Which thread takes which item is
/// open, so items must not share outputs; make_state() is called once for each thread that works.
template <typename MakeState, typename Work>
void for_each_item(int64_t num_items, const MakeState& make_state, const Work& work) {
  const int64_t num_workers = std::min<int64_t>(num_items, at::get_num_threads());
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, num_workers, 1, [&](int64_t, int64_t) {
    auto state = make_state();
    for (int64_t item = next++; item < num_items; item = next++) work(state, item);
  });
}

}  // namespace longgen::cpu
