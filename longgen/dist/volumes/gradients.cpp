#include "longgen/dist/volumes/gradients.h"

namespace longgen {

int64_t gradient_bytes_sent(int64_t num_elements, int64_t bytes_each, int64_t num_batches,
                            int64_t chunk, int rank, int num_ranks) {
  int64_t own_batches = 0, elements = 0;
  for (int64_t batch = rank; batch < num_batches; batch += num_ranks) ++own_batches;
  for (int64_t begin = 0; begin < num_elements; begin += chunk) {
    const int64_t count = std::min(chunk, num_elements - begin);
    const int64_t own = share_of(count, rank, num_ranks).size();
    elements += own_batches * (count - own) + own * (num_ranks - 1);
  }
  return elements * bytes_each;
}

}  // namespace longgen
