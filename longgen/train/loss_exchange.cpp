#include "longgen/train/loss_exchange.h"

#include <type_traits>

namespace longgen {

std::vector<LossSums> all_losses(Communicator& ranks, std::string_view call,
                                 const std::vector<LossSums>& own, int64_t count) {
  static_assert(std::is_trivially_copyable_v<LossSums>);
  const auto num_ranks = static_cast<int64_t>(ranks.num_ranks());
  std::vector<std::vector<LossSums>> found(static_cast<size_t>(num_ranks));
  std::vector<Bytes> places;
  for (int64_t r = 0; r < num_ranks; ++r) {
    std::vector<LossSums>& of_rank = found[static_cast<size_t>(r)];
    of_rank.resize(static_cast<size_t>((count - r + num_ranks - 1) / num_ranks));
    places.push_back(std::as_writable_bytes(std::span(of_rank)));
  }
  ranks.all_gather(call, std::as_bytes(std::span(own)), places).wait();
  std::vector<LossSums> all;
  for (int64_t i = 0; i < count; ++i) {
    all.push_back(found[static_cast<size_t>(i % num_ranks)][static_cast<size_t>(i / num_ranks)]);
  }
  return all;
}

}  // namespace longgen
