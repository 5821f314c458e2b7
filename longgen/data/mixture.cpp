#include "longgen/data/mixture.h"

#include <cmath>
#include <iterator>
#include <numeric>

#include "longgen/base/check.h"
#include "longgen/base/random.h"

namespace longgen {
namespace {

constexpr int kShareBits = 53;  // of a double

std::vector<double> weights_of(const std::vector<MixtureSource>& sources) {
  std::vector<double> weights;
  for (const MixtureSource& source : sources) weights.push_back(source.weight);
  return weights;
}

/// Gives the options of one source's packing.
PackingOptions packing_options(const TokenDataset& dataset, const MixtureSource& source,
                               const MixtureOptions& options, uint64_t seed) {
  PackingOptions packing{options.length, source.packing, seed, {}};
  if (!options.anchors) return packing;
  packing.anchor = dataset.begin_id();
  LG_CHECK(packing.anchor, source.where, ": ", source.path.string(),
           ": was prepared without a begin token, which data.mask = \"anchor\" puts before every "
           "part of a document. Prepare it with --begin-token TOKEN.");
  return packing;
}

}  // namespace

SourceOrder::SourceOrder(const std::vector<double>& weights, uint64_t seed) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  LG_CHECK(std::isfinite(sum) && sum > 0, "[mixture] weights: expected a sum above 0, found ", sum,
           ".");
  for (auto weight = weights.begin(); weight + 1 != weights.end(); ++weight) {
    // From the small end, so that no rounding of the large ones is in the small ones' shares.
    const double rest = std::accumulate(std::make_reverse_iterator(weights.end()),
                                        std::make_reverse_iterator(weight), 0.0);
    shares_.push_back({static_cast<uint64_t>(std::llround(*weight / rest * 0x1p53)),
                       mix_pair(seed, ~uint64_t{shares_.size()}) >> (64 - kShareBits)});
  }
}

/// Returns how many of the first samples left over are this source's.
int64_t SourceOrder::count(const Share& share, int64_t num_samples) {
  const auto product =
      static_cast<unsigned __int128>(share.of_rest) * static_cast<uint64_t>(num_samples);
  return static_cast<int64_t>((product + share.phase) >> kShareBits);
}

SourceOrder::Place SourceOrder::place(int64_t index) const {
  LG_CHECK(index >= 0, "[mixture] sample index: expected at least 0, found ", index, ".");
  for (size_t s = 0; s < shares_.size(); ++s) {
    const int64_t before = count(shares_[s], index);
    if (count(shares_[s], index + 1) > before) return {s, before};
    index -= before;
  }
  return {shares_.size(), index};
}

Mixture::Part::Part(const MixtureSource& source, const std::string& split,
                    const MixtureOptions& options, uint64_t seed)
    : dataset(TokenDataset::open(source.path, split)),
      packing(dataset, packing_options(dataset, source, options, seed)) {}

Mixture::Mixture(const std::vector<MixtureSource>& sources, const std::string& split,
                 const MixtureOptions& options)
    : order_(weights_of(sources), options.seed) {
  for (size_t s = 0; s < sources.size(); ++s) {
    const uint64_t seed = s == 0 ? options.seed : mix_pair(options.seed, s);
    parts_.push_back(std::make_unique<const Part>(sources[s], split, options, seed));
  }
}

Sample Mixture::sample(const SourceOrder::Place& place) const {
  return parts_[place.source]->packing.sample(place.index);
}

std::string Mixture::hash() const {
  if (parts_.size() == 1) return parts_.front()->dataset.hash();
  std::string hashes;
  for (const auto& part : parts_) hashes += part->dataset.hash() + "\n";
  return hash_hex(hashes);
}

}  // namespace longgen
