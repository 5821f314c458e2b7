// train/gradient_exchange.h: the gradients of a step whose micro-batches several ranks computed.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "longgen/dist/communicator.h"
#include "longgen/model/weights.h"

namespace longgen {

/// Micro-batch i of a step is computed by rank i mod P, P of them at a time: a round. Each
/// element's sum is made by one rank, which adds the micro-batches in their order, and then given
/// to all: so it has the same bits as on one rank. Numbers go through the memory of the host.
class GradientExchange {
 public:
  static constexpr int64_t kChunkElements = int64_t{1} << 22;

  /// `gradients` are those of this rank's model, in fp32; both must live as long. So many elements
  /// are sent at once, to each rank its share of them. Takes the host's memory of a Pth of the
  /// gradients, and of two chunks.
  GradientExchange(Communicator& ranks, const ModelWeights& gradients,
                   int64_t chunk_elements = kChunkElements);

  Communicator& ranks() const { return ranks_; }
  /// Begins the sums of a step.
  void clear() { is_empty_ = true; }
  /// Adds the gradients of a round: those that ranks 0 to num_given - 1 hold now.
  void add_round(std::string_view call, int num_given);
  /// Gives the sums to the gradients of every rank.
  void finish(std::string_view call);

 private:
  struct Piece;
  template <typename Visit>
  void for_each_piece(int64_t begin, int64_t count, const Visit& visit) const;
  template <typename Action>
  void for_each_chunk(const Action& action);
  void add_chunk(std::string_view call, int num_given, int64_t begin, int64_t count,
                 const at::Tensor& sums);
  void give_chunk(std::string_view call, int64_t begin, int64_t count, const at::Tensor& sums);

  Communicator& ranks_;
  std::vector<at::Tensor> gradients_;  // each as one row of numbers
  int64_t num_elements_ = 0, chunk_elements_;
  at::Tensor chunk_, received_;  // of this rank's gradients; shares of others'
  at::Tensor sums_;              // of this rank's share of each chunk, one after the other
  bool is_empty_ = true;
};

}  // namespace longgen
