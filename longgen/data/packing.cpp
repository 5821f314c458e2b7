#include "longgen/data/packing.h"

#include <algorithm>
#include <span>

#include "longgen/base/check.h"
#include "longgen/base/random.h"

namespace longgen {
namespace {

// These number the independent random streams of one epoch.
enum : uint64_t { kDocumentStream = 0, kSampleStream = 1 };

}  // namespace

Packing::Packing(const TokenDataset& dataset, const PackingOptions& options)
    : dataset_(dataset), options_(options) {
  LG_CHECK(options.length >= 1 && options.length <= kMaxTokens, "[packing] length: expected 1 to ",
           kMaxTokens, ", found ", options.length, ".");
  // In both modes the epoch's stream holds every token once, so the count is the same.
  samples_per_epoch_ = dataset.num_tokens() / options.length;
  LG_CHECK(samples_per_epoch_ > 0, dataset.directory().string(), ": split ", dataset.split(),
           " has ", dataset.num_tokens(), " tokens, fewer than one sample of ", options.length,
           ". Prepare more text or choose a shorter length.");
}

std::shared_ptr<const Packing::Epoch> Packing::epoch(int64_t number) const {
  const std::lock_guard lock(mutex_);  // held while building, so that it is built once
  std::shared_ptr<const Epoch>& slot = epochs_[static_cast<size_t>(number % 2)];
  if (slot == nullptr || slot->number != number) {
    slot.reset();  // frees the older one first
    slot = std::make_shared<const Epoch>(build(number));
  }
  return slot;
}

Packing::Epoch Packing::build(int64_t number) const {
  const uint64_t key = mix_pair(options_.seed, static_cast<uint64_t>(number));
  const std::vector<int64_t> documents =
      shuffled(dataset_.num_documents(), mix_pair(key, kDocumentStream));
  Epoch epoch{number, {}, {}};
  epoch.pieces.reserve(documents.size() + 1);
  if (options_.mode == PackingMode::whole) {
    add_whole(documents, epoch.pieces);
  } else {
    int64_t stream = 0;
    for (const int64_t document : documents) {
      const int64_t begin = dataset_.document_begin(document);
      epoch.pieces.push_back({begin, stream});
      stream += dataset_.document_end(document) - begin;
    }
  }
  epoch.pieces.push_back({dataset_.num_tokens(), dataset_.num_tokens()});
  epoch.order = shuffled(samples_per_epoch_, mix_pair(key, kSampleStream));
  return epoch;
}

/// Puts all full slices first, which then are samples exactly, and what is left behind them.
void Packing::add_whole(const std::vector<int64_t>& documents, std::vector<Piece>& pieces) const {
  const int64_t length = options_.length;
  int64_t stream = 0;
  for (const int64_t document : documents) {
    const int64_t end = dataset_.document_end(document);
    for (int64_t at = dataset_.document_begin(document); at + length <= end; at += length) {
      pieces.push_back({at, stream});
      stream += length;
    }
  }
  for (const int64_t document : documents) {
    const int64_t end = dataset_.document_end(document);
    const int64_t left = (end - dataset_.document_begin(document)) % length;
    if (left == 0) continue;
    pieces.push_back({end - left, stream});
    stream += left;
  }
}

/// Appends tokens [position, position + count) of one document, with their targets.
void Packing::append_part(int64_t position, int64_t count, Sample& sample) const {
  sample.doc_starts.push_back(static_cast<int64_t>(sample.tokens.size()));
  const int64_t end = dataset_.document_end(dataset_.document_at(position));
  const bool last = position + count == end;
  std::vector<int32_t> tokens(static_cast<size_t>(last ? count : count + 1));
  dataset_.read(position, tokens);
  if (last) tokens.push_back(-1);
  sample.tokens.insert(sample.tokens.end(), tokens.begin(), tokens.end() - 1);
  sample.targets.insert(sample.targets.end(), tokens.begin() + 1, tokens.end());
}

Sample Packing::sample(int64_t index) const {
  LG_CHECK(index >= 0, "[packing] sample index: expected at least 0, found ", index, ".");
  const auto current = epoch(index / samples_per_epoch_);
  const int64_t place = current->order[static_cast<size_t>(index % samples_per_epoch_)];
  const int64_t begin = place * options_.length, end = begin + options_.length;
  Sample sample;
  sample.tokens.reserve(static_cast<size_t>(options_.length));
  sample.targets.reserve(static_cast<size_t>(options_.length));
  // Find the last piece that starts at or before the sample.
  auto piece = std::upper_bound(current->pieces.begin(), current->pieces.end(), begin,
                                [](int64_t at, const Piece& p) { return at < p.stream; }) -
               1;
  for (int64_t at = begin; at < end; ++piece) {
    const int64_t stop = std::min(end, (piece + 1)->stream);
    append_part(piece->position + (at - piece->stream), stop - at, sample);
    at = stop;
  }
  return sample;
}

}  // namespace longgen
