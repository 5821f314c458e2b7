// data/packing.h: training samples of a fixed length from a token dataset.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "longgen/data/token_dataset.h"

namespace longgen {

enum class PackingMode {
  /// The epoch's documents are shuffled, concatenated and cut every T tokens: a sample may begin
  /// and end inside a document.
  packed,
  /// Each document gives as many slices of T tokens as it has room for, each a sample of its own;
  /// what is left of it and documents shorter than T are packed with each other.
  whole,
};

struct PackingOptions {
  int64_t length = 0;  ///< T, tokens of a sample
  PackingMode mode = PackingMode::packed;
  uint64_t seed = 0;
  /// A token that every part of a document begins with: put before those that do not, with no
  /// target, while as many tokens are cut from the sample's end.
  std::optional<int32_t> anchor = {};
};

struct Sample {
  std::vector<int32_t> tokens;  ///< (T)
  /// (T) the token after tokens[t] in its document; -1 (no target) at a document's last token. For
  /// the sample's last token it is the one token beyond the sample.
  std::vector<int32_t> targets;
  /// Where documents, or parts of them, begin in the sample: ascending, the first at 0.
  std::vector<int64_t> doc_starts;
  /// (T) the Mark of targets[t], ignored where there is none: a target that is not to be learned
  /// is -1. Empty where all targets are ordinary.
  std::vector<uint8_t> marks = {};
};

/// The endless sequence of samples that a seed gives. Sample i is a function of (dataset, options,
/// i) alone: any one can be made without the others, on any machine, so a resumed run continues
/// exactly. An epoch is samples_per_epoch samples; within it no token comes twice, and all tokens
/// come but the fewer than T that do not fill a last sample. The order of documents and of samples
/// is drawn anew for every epoch. A sample in which nothing is to be learned (the marks of all its
/// targets are Mark::ignored) gives its place to the next one in the epoch's order.
/// Memory: 16 bytes a document and 8 a sample, for each of the last two epochs asked for.
/// Usable from several threads.
class Packing {
 public:
  /// The dataset must outlive the packing. Throws Error when it has fewer than T tokens.
  Packing(const TokenDataset& dataset, const PackingOptions& options);

  int64_t samples_per_epoch() const { return samples_per_epoch_; }
  /// Makes sample `index`, which is at least 0; its epoch is index / samples_per_epoch().
  Sample sample(int64_t index) const;

 private:
  /// A run of tokens of one document.
  struct Piece {
    int64_t position;  // of its first token in the dataset
    int64_t stream;    // of its first token in the epoch's stream
  };
  struct Epoch {
    int64_t number;
    std::vector<Piece> pieces;   // ends with one that stands for the end of the stream
    std::vector<int64_t> order;  // of the stream's samples
  };

  std::shared_ptr<const Epoch> epoch(int64_t number) const;
  Epoch build(int64_t number) const;
  void add_whole(const std::vector<int64_t>& documents, std::vector<Piece>& pieces) const;
  void append_part(int64_t position, int64_t count, Sample& sample) const;
  void put_anchors(Sample& sample) const;
  Sample cut(const Epoch& epoch, int64_t place) const;
  void append_marks(int64_t position, int64_t count, Sample& sample) const;

  const TokenDataset& dataset_;
  const PackingOptions options_;
  int64_t samples_per_epoch_;
  mutable std::mutex mutex_;
  mutable std::array<std::shared_ptr<const Epoch>, 2> epochs_;  // of even and odd number
};

}  // namespace longgen
