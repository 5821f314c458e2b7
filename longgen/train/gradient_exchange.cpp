#include "longgen/train/gradient_exchange.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/dist/volumes/gradients.h"

namespace longgen {
namespace {

Bytes bytes_of(const at::Tensor& numbers) {
  return {static_cast<std::byte*>(numbers.data_ptr()), numbers.nbytes()};
}

at::Tensor part(const at::Tensor& numbers, const ElementRange& range) {
  return numbers.narrow(0, range.begin, range.size());
}

}  // namespace

/// Elements of one tensor that stand in a chunk.
struct GradientExchange::Piece {
  at::Tensor numbers;  // in the tensor, on its device
  int64_t in_chunk;    // where they begin
};

GradientExchange::GradientExchange(Communicator& ranks, const ModelWeights& gradients,
                                   int64_t chunk_elements)
    : ranks_(ranks), chunk_elements_(chunk_elements) {
  for (const NamedTensor& gradient : gradients.parameters()) {
    LG_DCHECK(gradient.tensor.scalar_type() == at::kFloat && gradient.tensor.is_contiguous());
    gradients_.push_back(gradient.tensor.view({-1}));
    num_elements_ += gradient.tensor.numel();
  }
  int64_t own = 0, largest = 0;
  for (int64_t begin = 0; begin < num_elements_; begin += chunk_elements_) {
    const int64_t count = std::min(chunk_elements_, num_elements_ - begin);
    own += share_of(count, ranks.rank(), ranks.num_ranks()).size();
    largest = std::max(largest, share_of(count, 0, ranks.num_ranks()).size());
  }
  chunk_ = at::empty({std::min(chunk_elements_, num_elements_)}, at::kFloat);
  received_ = at::empty({ranks.num_ranks(), largest}, at::kFloat);
  sums_ = at::empty({own}, at::kFloat);
}

/// Calls visit(piece) for the parts of tensors that elements [begin, begin + count) are.
template <typename Visit>
void GradientExchange::for_each_piece(int64_t begin, int64_t count, const Visit& visit) const {
  int64_t tensor_begin = 0;
  for (const at::Tensor& tensor : gradients_) {
    const int64_t first = std::max(begin, tensor_begin);
    const int64_t last = std::min(begin + count, tensor_begin + tensor.numel());
    if (first < last) {
      visit(Piece{tensor.narrow(0, first - tensor_begin, last - first), first - begin});
    }
    tensor_begin += tensor.numel();
  }
}

/// Calls action(begin, count, sums) for each chunk, with the place of its share's sums.
template <typename Action>
void GradientExchange::for_each_chunk(const Action& action) {
  int64_t own = 0;
  for (int64_t begin = 0; begin < num_elements_; begin += chunk_elements_) {
    const int64_t count = std::min(chunk_elements_, num_elements_ - begin);
    const int64_t share = share_of(count, ranks_.rank(), ranks_.num_ranks()).size();
    action(begin, count, sums_.narrow(0, own, share));
    own += share;
  }
}

void GradientExchange::add_round(std::string_view call, int num_given) {
  for_each_chunk([&](int64_t begin, int64_t count, const at::Tensor& sums) {
    add_chunk(call, num_given, begin, count, sums);
  });
  is_empty_ = false;
}

void GradientExchange::add_chunk(std::string_view call, int num_given, int64_t begin, int64_t count,
                                 const at::Tensor& sums) {
  const int own = ranks_.rank();
  const bool gives = own < num_given;
  if (gives) {
    for_each_piece(begin, count, [&](const Piece& piece) {
      chunk_.narrow(0, piece.in_chunk, piece.numbers.numel()).copy_(piece.numbers);
    });
  }
  std::vector<ConstBytes> parts;
  std::vector<at::Tensor> found;
  std::vector<Bytes> places;
  for (int r = 0; r < ranks_.num_ranks(); ++r) {
    const at::Tensor to_r = part(chunk_, share_of(count, r, ranks_.num_ranks()));
    parts.push_back(gives ? ConstBytes(bytes_of(to_r)) : ConstBytes());
    found.push_back(received_[r].narrow(0, 0, sums.numel()));
    places.push_back(r < num_given ? bytes_of(found.back()) : Bytes());
  }
  ranks_.all_to_all(call, parts, places).wait();
  for (int r = 0; r < num_given; ++r) {
    if (is_empty_ && r == 0) {
      sums.copy_(found[0]);
    } else {
      sums.add_(found[static_cast<size_t>(r)]);
    }
  }
}

void GradientExchange::finish(std::string_view call) {
  for_each_chunk([&](int64_t begin, int64_t count, const at::Tensor& sums) {
    give_chunk(call, begin, count, sums);
  });
}

void GradientExchange::give_chunk(std::string_view call, int64_t begin, int64_t count,
                                  const at::Tensor& sums) {
  std::vector<Bytes> places;
  for (int r = 0; r < ranks_.num_ranks(); ++r) {
    places.push_back(bytes_of(part(chunk_, share_of(count, r, ranks_.num_ranks()))));
  }
  ranks_.all_gather(call, bytes_of(sums), places).wait();
  for_each_piece(begin, count, [&](const Piece& piece) {
    piece.numbers.copy_(chunk_.narrow(0, piece.in_chunk, piece.numbers.numel()));
  });
}

}  // namespace longgen
