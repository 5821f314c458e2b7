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
  if (dataset_.has_marks()) append_marks(position + 1, last ? count - 1 : count, sample);
}

/// Appends the marks of the targets appended last, of which `count` stand in the dataset from
/// `position` on, and takes out those that are not to be learned.
void Packing::append_marks(int64_t position, int64_t count, Sample& sample) const {
  const size_t first = sample.marks.size();
  sample.marks.resize(sample.targets.size(), static_cast<uint8_t>(Mark::ignored));
  dataset_.read_marks(position, std::span(sample.marks).subspan(first, static_cast<size_t>(count)));
  for (size_t t = first; t < sample.marks.size(); ++t) {
    if (sample.marks[t] == static_cast<uint8_t>(Mark::ignored)) sample.targets[t] = -1;
  }
}

/// Makes every part of a document begin with the anchor.
void Packing::put_anchors(Sample& sample) const {
  const auto length = static_cast<size_t>(options_.length);
  Sample anchored;
  const auto copy = [](const auto& from, size_t first, size_t count, auto& to) {
    if (from.empty()) return;  // no marks
    const auto begin = from.begin() + static_cast<ptrdiff_t>(first);
    to.insert(to.end(), begin, begin + static_cast<ptrdiff_t>(count));
  };
  for (size_t i = 0; i < sample.doc_starts.size() && anchored.tokens.size() < length; ++i) {
    const auto begin = static_cast<size_t>(sample.doc_starts[i]);
    const bool is_last = i + 1 == sample.doc_starts.size();
    const size_t end = is_last ? length : static_cast<size_t>(sample.doc_starts[i + 1]);
    anchored.doc_starts.push_back(static_cast<int64_t>(anchored.tokens.size()));
    if (sample.tokens[begin] != *options_.anchor) {
      anchored.tokens.push_back(*options_.anchor);
      anchored.targets.push_back(-1);
      if (!sample.marks.empty()) anchored.marks.push_back(static_cast<uint8_t>(Mark::ignored));
    }
    const size_t count = std::min(end - begin, length - anchored.tokens.size());
    copy(sample.tokens, begin, count, anchored.tokens);
    copy(sample.targets, begin, count, anchored.targets);
    copy(sample.marks, begin, count, anchored.marks);
  }
  sample = std::move(anchored);
}

/// Makes the sample that stands at this place of the epoch's stream.
Sample Packing::cut(const Epoch& epoch, int64_t place) const {
  const int64_t begin = place * options_.length, end = begin + options_.length;
  Sample sample;
  sample.tokens.reserve(static_cast<size_t>(options_.length));
  sample.targets.reserve(static_cast<size_t>(options_.length));
  // Find the last piece that starts at or before the sample.
  auto piece = std::upper_bound(epoch.pieces.begin(), epoch.pieces.end(), begin,
                                [](int64_t at, const Piece& p) { return at < p.stream; }) -
               1;
  for (int64_t at = begin; at < end; ++piece) {
    const int64_t stop = std::min(end, (piece + 1)->stream);
    append_part(piece->position + (at - piece->stream), stop - at, sample);
    at = stop;
  }
  if (options_.anchor) put_anchors(sample);
  constexpr auto kAnswer = static_cast<uint8_t>(Mark::answer);
  if (std::ranges::find(sample.marks, kAnswer) == sample.marks.end()) sample.marks.clear();
  return sample;
}

Sample Packing::sample(int64_t index) const {
  LG_CHECK(index >= 0, "[packing] sample index: expected at least 0, found ", index, ".");
  const auto current = epoch(index / samples_per_epoch_);
  const auto has_target = [](const Sample& sample) {
    return std::ranges::any_of(sample.targets, [](int32_t target) { return target >= 0; });
  };
  Sample sample;
  for (int64_t skipped = 0; skipped < samples_per_epoch_; ++skipped) {
    const int64_t at = (index + skipped) % samples_per_epoch_;
    sample = cut(*current, current->order[static_cast<size_t>(at)]);
    if (!dataset_.has_marks() || has_target(sample)) break;
  }
  return sample;
}

}  // namespace longgen
