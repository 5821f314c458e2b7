// data/mixture.h: samples from several datasets, in fixed shares.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/packing.h"
#include "longgen/data/token_dataset.h"

namespace longgen {

/// Which source each sample of a mixture is drawn from. Of any n samples in a row the number from
/// a source differs from its share of n by less than the number of sources: of the first n, source
/// 0 has floor(share * n + phase), of those left over the next one has as many in the same way, and
/// so on. The phases are drawn from the seed. A function of (weights, seed, i) alone, in integers,
/// so that it is the same on every machine.
class SourceOrder {
 public:
  /// Takes at least one weight, each finite and above 0.
  SourceOrder(const std::vector<double>& weights, uint64_t seed);

  struct Place {
    size_t source;
    int64_t index;  ///< among the samples of this source
  };
  /// Returns the place of sample `index`, which is from 0 to 2^62.
  Place place(int64_t index) const;

 private:
  struct Share {
    uint64_t of_rest, phase;  // in 2^-53
  };
  static int64_t count(const Share& share, int64_t num_samples);
  std::vector<Share> shares_;  // of all sources but the last, each of what those before it leave
};

/// A dataset in a mixture.
struct MixtureSource {
  fs::path path;
  double weight = 1;  ///< its share of the tokens, in any unit
  PackingMode packing = PackingMode::packed;
  std::string where;  ///< the beginning of messages about it: "run.toml: line 7: data.path"
};

struct MixtureOptions {
  int64_t length = 0;  ///< T, tokens of a sample
  uint64_t seed = 0;
  bool anchors = false;  ///< PackingOptions::anchor is each dataset's begin token
};

/// One split of several datasets, packed. Sample i is a function of (datasets, sources, options, i)
/// alone. With one source it is Packing's with the same seed; the samples of further ones have
/// seeds of their own.
class Mixture {
 public:
  /// Throws Error as TokenDataset and Packing do, and where anchors are asked of a dataset that was
  /// prepared without a begin token.
  Mixture(const std::vector<MixtureSource>& sources, const std::string& split,
          const MixtureOptions& options);

  Sample sample(int64_t index) const { return sample(order_.place(index)); }
  /// Sample `index` stands at this place.
  SourceOrder::Place place(int64_t index) const { return order_.place(index); }
  /// Returns the sample of a source, whether or not the mixture has come to it.
  Sample sample(const SourceOrder::Place& place) const;

  size_t num_sources() const { return parts_.size(); }
  const TokenDataset& dataset(size_t source) const { return parts_[source]->dataset; }
  /// Returns the hash of the dataset, or one of all datasets' hashes.
  std::string hash() const;

 private:
  struct Part {
    Part(const MixtureSource& source, const std::string& split, const MixtureOptions& options,
         uint64_t seed);
    TokenDataset dataset;
    Packing packing;
  };
  SourceOrder order_;
  std::vector<std::unique_ptr<const Part>> parts_;  // a packing keeps a reference to its dataset
};

}  // namespace longgen
