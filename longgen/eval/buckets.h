// eval/buckets.h: what is measured by position in a document, and how sure it is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "longgen/eval/nll.h"

namespace longgen {

/// Gives 0, first, 2 first, 4 first, ... up to length, which ends the last bucket wherever it
/// falls. Throws Error unless 0 < first and 0 < length.
std::vector<int64_t> doubling_edges(int64_t first_tokens, int64_t length_tokens);

/// Gives 0, bucket, 2 bucket, ... up to length; the last may be shorter. At most kMaxBuckets.
std::vector<int64_t> uniform_edges(int64_t bucket_tokens, int64_t length_tokens);

inline constexpr int64_t kMaxBuckets = 100'000;

struct BucketSummary : NllSummary {
  int64_t begin = 0, end = 0;  ///< positions [begin, end)
};

/// Log-probabilities of tokens, gathered by the token's position in its document.
class PositionBuckets {
 public:
  /// The edges ascend strictly from 0 and make at least one bucket. Throws Error otherwise.
  explicit PositionBuckets(std::vector<int64_t> edges);

  /// Adds a token of the current document, in any order: its position in [0, length) and its
  /// log-probability in nats, finite and not above 0 (but for rounding). Throws Error otherwise.
  void add(int64_t position, double logprob);
  /// Adds tokens at first_position, first_position + 1, ...
  void add(int64_t first_position, std::span<const float> logprobs);
  /// Ends a document: tokens added next belong to another one. One without tokens leaves no trace.
  void end_document();
  /// Adds the documents of `other`. Both must have the same edges, and no document may be open in
  /// either. The result does not depend on the order, but for rounding.
  void merge(const PositionBuckets& other);

  const std::vector<int64_t>& edges() const { return edges_; }
  int64_t num_buckets() const { return static_cast<int64_t>(edges_.size()) - 1; }
  int64_t num_documents() const { return static_cast<int64_t>(documents_.size()); }
  /// Summarizes a bucket over the documents ended so far.
  BucketSummary bucket(int64_t i) const;
  /// Summarizes all positions together.
  BucketSummary overall() const;
  /// Gives what each document ended so far has in a bucket; nothing is an entry, too.
  std::vector<NllSum> documents(int64_t i) const;
  /// Gives what each document has at all positions together.
  std::vector<NllSum> documents() const;

 private:
  using Document = std::vector<NllSum>;  // one entry a bucket

  void check_bucket(int64_t i) const;
  std::vector<NllSum> sums(int64_t first, int64_t last) const;
  BucketSummary summary_of(int64_t first, int64_t last) const;

  std::vector<int64_t> edges_;
  std::vector<Document> documents_;
  Document current_;
  bool open_ = false;
};

}  // namespace longgen
